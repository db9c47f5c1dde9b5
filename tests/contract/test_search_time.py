"""A search through text that runs out of time says how far it came, and goes on from there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.backends import open_writable
from tests.contract.helpers import ids
from tests.factories import START, event
from xcstore.store.base import EventQuery, Stores


@pytest.fixture
def stores(store_url: str) -> Iterator[Stores]:
    """A store that gives up at once, with needles far apart."""
    with open_writable(store_url, search_seconds=0.0) as opened:
        opened.events.append_many(
            event(id=f"e{n:05}", payload={"note": "needle" if n % 4000 == 7 else "hay"}, persisted_at=START + n // 3)
            for n in range(12_000)
        )
        yield opened


@pytest.mark.parametrize("newest_first", [False, True])
def test_each_page_says_how_far_it_came_and_together_they_find_all(stores: Stores, newest_first: bool) -> None:
    query = EventQuery(text="needle")
    found: list[str] = []
    stops: list[int] = []
    after = None
    while True:
        page = stores.events.find(query, after=after, limit=5, newest_first=newest_first)
        found += ids(page.items)
        if page.searched_to is not None:
            stops.append(page.searched_to)
            assert page.next is not None
        after = page.next
        if after is None:
            break

    expected = ["e00007", "e04007", "e08007"]
    assert found == (expected[::-1] if newest_first else expected)
    assert stops, "the search was to run out of time"
    assert stops == sorted(stops, reverse=newest_first)


def test_a_search_that_needs_no_scan_is_whole(stores: Stores) -> None:
    page = stores.events.find(EventQuery(machines=("Order",)), limit=5)

    assert page.searched_to is None
