"""Promise 5: paging gives every row exactly once."""

from __future__ import annotations

import pytest

from tests.contract.helpers import ids, in_page_order, walk
from tests.factories import START, event
from xcstore.errors import QueryError
from xcstore.store.base import Cursor, EventQuery, InstanceQuery, Stores


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("limit", [1, 7, 50, 1000])
def test_many_events_in_one_millisecond_are_paged_without_gap_or_repeat(
    stores: Stores, limit: int, newest_first: bool
) -> None:
    appended = [
        event(id=f"e{number * 37 % 150:03}", instance_id=f"i{number % 5}", persisted_at=START) for number in range(150)
    ]
    stores.events.append_many(appended)

    found = ids(walk(stores.events.find, EventQuery(), limit=limit, newest_first=newest_first))

    in_order = ids(in_page_order(stores, appended))
    assert found == (in_order[::-1] if newest_first else in_order)


def test_a_page_that_ends_exactly_at_the_last_event_has_no_next(stores: Stores) -> None:
    stores.events.append_many(event() for _ in range(10))

    assert stores.events.find(EventQuery(), limit=10).next is None
    assert stores.events.find(EventQuery(), limit=9).next is not None


def test_events_appended_while_paging_neither_repeat_nor_hide_others(stores: Stores) -> None:
    stores.events.append_many(event(id=f"e{n:02}", persisted_at=START + n // 4) for n in range(20))
    first = stores.events.find(EventQuery(), limit=6)
    backwards = stores.events.find(EventQuery(), limit=6, newest_first=True)

    stores.events.append_many(event(id=f"new{n}", persisted_at=START + n) for n in range(5))

    seen = ids(first.items) + ids(walk_from(stores, first.next, newest_first=False))
    assert [id_ for id_ in seen if id_.startswith("e")] == [f"e{n:02}" for n in range(20)]
    assert len(seen) == len(set(seen))
    seen = ids(backwards.items) + ids(walk_from(stores, backwards.next, newest_first=True))
    assert [id_ for id_ in seen if id_.startswith("e")] == [f"e{n:02}" for n in reversed(range(20))]
    assert len(seen) == len(set(seen))


def walk_from(stores: Stores, after: Cursor | None, *, newest_first: bool) -> list:  # type: ignore[type-arg]
    items: list[object] = []
    while after is not None:
        page = stores.events.find(EventQuery(), after=after, limit=3, newest_first=newest_first)
        items += page.items
        after = page.next
    return items


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize(
    "query",
    [
        EventQuery(components=("Shop",)),
        EventQuery(instance_ids=("i1", "i3")),
        EventQuery(states=("S1",)),
        EventQuery(text="needle"),
        EventQuery(payload_path=("n",), payload_value="2"),
        EventQuery(start=START + 5, end=START + 15),
    ],
    ids=lambda query: next(name for name in query.__slots__ if getattr(query, name)),
)
def test_filtered_pages_give_what_one_big_page_gives(stores: Stores, query: EventQuery, newest_first: bool) -> None:
    stores.events.append_many(
        event(
            id=f"e{n * 11 % 90:02}",
            instance_id=f"i{n % 5}",
            component_name="Shop" if n % 2 else "Depot",
            state_after=f"S{n % 3}",
            payload={"n": n % 4, "note": "a Needle" if n % 3 else "hay"},
            persisted_at=START + n // 4,
        )
        for n in range(90)
    )

    whole = stores.events.find(query, limit=1000, newest_first=newest_first)

    assert 10 <= len(whole.items) < 90
    assert whole.next is None
    assert walk(stores.events.find, query, limit=4, newest_first=newest_first) == list(whole.items)


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("limit", [1, 3, 50])
def test_instances_updated_in_one_moment_are_paged_without_gap_or_repeat(
    stores: Stores, limit: int, newest_first: bool
) -> None:
    appended = [
        event(id=f"e{n * 11 % 30:02}", instance_id=f"i{n * 7 % 30:02}", persisted_at=START + n // 10) for n in range(30)
    ]
    stores.events.append_many(appended)

    found = walk(stores.events.instances, InstanceQuery(), limit=limit, newest_first=newest_first)

    in_order = [last.instance_id for last in in_page_order(stores, appended)]
    assert [summary.instance_id for summary in found] == (in_order[::-1] if newest_first else in_order)


def test_what_is_no_cursor_is_refused(stores: Stores, subtests: pytest.Subtests) -> None:
    stores.events.append(event())

    for bad in ["", "x", "%%%", "e30", "WyJldmVudHMtYXNjIiwxXQ", "💥", "a\0b", "W10", "MQ", "x" * 5000]:
        with subtests.test(bad[:30]):
            with pytest.raises(QueryError):
                stores.events.find(EventQuery(), after=Cursor(bad))
            with pytest.raises(QueryError):
                stores.events.instances(InstanceQuery(), after=Cursor(bad))
            with pytest.raises(QueryError):
                stores.snapshots.find(after=Cursor(bad))


def test_a_cursor_of_another_list_or_direction_is_refused(stores: Stores) -> None:
    stores.events.append_many([event(instance_id="i1"), event(instance_id="i2")])
    of_events = stores.events.find(EventQuery(), limit=1).next
    of_instances = stores.events.instances(InstanceQuery(), limit=1).next
    assert of_events is not None
    assert of_instances is not None

    with pytest.raises(QueryError):
        stores.events.find(EventQuery(), after=of_events, newest_first=True)
    with pytest.raises(QueryError):
        stores.events.find(EventQuery(), after=of_instances)
    with pytest.raises(QueryError):
        stores.events.instances(InstanceQuery(), after=of_events)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_page_of_nothing_cannot_be_asked_for(stores: Stores, limit: int) -> None:
    with pytest.raises(QueryError):
        stores.events.find(EventQuery(), limit=limit)
    with pytest.raises(QueryError):
        stores.events.instances(InstanceQuery(), limit=limit)
    with pytest.raises(QueryError):
        stores.snapshots.find(limit=limit)
