"""What is read of a store for one answer, which must not be more than about what the answer holds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.factories import START, event
from xcstore.api import reading
from xcstore.api.answers import Ask, history
from xcstore.api.reading import PORTION, read_events, read_trace
from xcstore.queries.causality import Neighbourhood, neighbourhood
from xcstore.store.base import Cursor, EventQuery, Page, Stores
from xcstore.store.memory import InMemoryEventStore, open_memory_stores


class Watched(InMemoryEventStore):
    """Counts the questions, and the events that it gives."""

    asked = given = 0

    def find(self, *args: object, **options: object) -> Page:
        page = super().find(*args, **options)
        self.asked += 1
        self.given += len(page.items)
        return page


def sized(number: int, size: int, **fields: object):
    return event(id=f"e{number}", persisted_at=START + number, payload={"x": "y" * size}, **fields)


@pytest.fixture
def chain() -> Iterator[Stores]:
    """1,500 events of about a kilobyte, each the cause of the next."""
    with open_memory_stores() as stores:
        stores.events.append_many(
            sized(number, 1_000, caused_by=(f"e{number - 1}",) if number else ()) for number in range(1_500)
        )
        yield stores


def asked_for(stores: Stores, most_bytes: int, mode: str = "recorded", **options: object):
    """A trace from the first event, and how many events were asked for, time after time."""
    sizes = []

    def ask(max_events: int, max_seconds: float) -> Neighbourhood:
        sizes.append(max_events)
        return neighbourhood(stores, "e0", mode=mode, max_events=max_events, max_seconds=max_seconds)

    traced = read_trace(
        ask, lambda found: list(found.graph.events.values()), most_bytes=most_bytes, **{"max_events": 1_200, **options}
    )
    return traced, sizes


def test_of_large_events_a_page_reads_only_a_few_more_than_it_holds() -> None:
    store = Watched()
    store.append_many(sized(number, 100_000) for number in range(500))

    found = read_events(store, EventQuery(), after=None, limit=500, newest_first=False, most_bytes=1_000_000)

    assert len(found.texts) == 9
    assert store.given <= PORTION + 9
    assert all(kept.payload is None for kept in found.events)


def test_of_small_events_a_page_takes_few_questions() -> None:
    store = Watched()
    store.append_many(sized(number, 10) for number in range(1_000))

    found = read_events(store, EventQuery(), after=None, limit=1_000, newest_first=False, most_bytes=1_000_000)

    assert len(found.texts) == store.given == 1_000
    assert store.asked == 11


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("limit", [1, PORTION - 1, PORTION, PORTION + 1, 200])
def test_pages_of_bounded_size_hold_each_event_once(limit: int, newest_first: bool) -> None:
    store = InMemoryEventStore()
    sizes = (10, 4_000, 10, 10, 900, 20_000, 30)
    store.append_many(sized(number, sizes[number % len(sizes)]) for number in range(3 * PORTION))
    after: Cursor | None = None
    ids: list[str] = []
    while True:
        page = read_events(store, EventQuery(), after=after, limit=limit, newest_first=newest_first, most_bytes=10_000)
        assert 1 <= len(page.texts) == len(page.events) <= limit
        assert len(page.texts) == 1 or sum(map(len, page.texts)) <= 10_000
        ids += [kept.id for kept in page.events]
        after = page.next
        if after is None:
            break

    expected = [f"e{number}" for number in range(3 * PORTION)]
    assert ids == (expected[::-1] if newest_first else expected)


def test_a_search_that_takes_long_ends_with_what_was_found_and_where_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "_SEARCH_SECONDS", 0.0)
    store = InMemoryEventStore()
    store.append_many(sized(number, 10) for number in range(3 * PORTION))

    searched = read_events(
        store, EventQuery(text="yyy"), after=None, limit=1_000, newest_first=False, most_bytes=1_000_000
    )
    listed = read_events(store, EventQuery(), after=None, limit=1_000, newest_first=False, most_bytes=1_000_000)

    assert len(searched.texts) == PORTION
    assert searched.next is not None
    assert (len(listed.texts), listed.next) == (3 * PORTION, None)


def test_events_of_one_moment_are_in_order_over_the_whole_page_of_a_history() -> None:
    count = 2 * PORTION + 5
    with open_memory_stores() as stores:
        stores.events.append_many(
            event(id=f"e{number}", persisted_at=START, state_before=f"{number}", state_after=f"{number + 1}",
                  payload={"number": number})
            for number in reversed(range(count))
        )  # fmt: skip
        found = history(Ask(stores, lambda: None, {"instanceId": "i1", "after": None, "limit": 1_000}))

    assert [f'"number":{number}' in text for number, text in enumerate(found["history"])] == [True] * count


def test_of_large_events_a_trace_asks_for_few(chain: Stores) -> None:
    traced, sizes = asked_for(chain, most_bytes=20_000)

    assert sizes == [50]
    assert len(traced.texts) < 20
    assert traced.found.truncated


def test_a_trace_whose_events_fit_is_the_one_that_was_asked_for(chain: Stores) -> None:
    traced, sizes = asked_for(chain, most_bytes=10_000_000)

    assert sizes == [50, 500, 1_200]
    assert len(traced.texts) == 1_200
    assert traced.found.depths == neighbourhood(chain, "e0", max_events=1_200).depths


def test_what_a_trace_asks_for_next_is_what_can_be_expected_to_fit(chain: Stores) -> None:
    traced, sizes = asked_for(chain, most_bytes=300_000)

    assert sizes[0] == 50
    assert len(sizes) == 2
    assert len(traced.texts) < sizes[1] < 2 * len(traced.texts)


def test_a_short_trace_and_one_that_was_asked_to_be_short_take_one_question(chain: Stores) -> None:
    assert asked_for(chain, most_bytes=10_000_000, max_events=30)[1] == [30]
    with open_memory_stores() as stores:
        stores.events.append_many([sized(0, 10), sized(1, 10, caused_by=("e0",))])
        traced, sizes = asked_for(stores, most_bytes=10_000_000, mode="repaired")
    assert (sizes, len(traced.texts)) == ([50], 2)


def test_where_links_are_inferred_the_time_of_all_questions_together_is_bounded(
    chain: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "TRACE_SECONDS", 0.0)

    traced, sizes = asked_for(chain, most_bytes=10_000_000, mode="repaired")

    assert sizes == [50]
    assert traced.found.truncated
