from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from tests.replay.conftest import START, stores_of, stream
from xcstore.demo.generator import generate_demo
from xcstore.model.history import PersistedEvent
from xcstore.queries import moment
from xcstore.queries.moment import InstanceThen, StatesThen, instances_then, states_then
from xcstore.store.base import InstanceQuery, Stores
from xcstore.store.opening import open_stores
from xcstore.units import EpochMs


def at(ms: int) -> EpochMs:
    return EpochMs(START + ms)


def then(states: StatesThen) -> dict[str, int | None]:
    return {row.state: row.then for row in states.rows}


@pytest.fixture
def three() -> list[PersistedEvent]:
    """One that is sent after 3 s, one that is paid after 3.5 s, and one that is made after 5 s."""
    events = [*stream("a", "CHANGE", "PAY", "SEND"), *stream("b", "CHANGE", "CHANGE", "PAY", at=500)]
    return sorted([*events, *stream("c", at=5_000)], key=lambda event: event.persisted_at)


MOMENTS = [
    (-1, {"New": 0, "Paid": 0, "Sent": 0}),
    (0, {"New": 1, "Paid": 0, "Sent": 0}),
    (1_999, {"New": 2, "Paid": 0, "Sent": 0}),
    (2_000, {"New": 1, "Paid": 1, "Sent": 0}),
    (3_000, {"New": 1, "Paid": 0, "Sent": 1}),
    (3_500, {"New": 0, "Paid": 1, "Sent": 1}),
    (9_999, {"New": 1, "Paid": 1, "Sent": 1}),
]


@pytest.mark.parametrize("small", [True, False], ids=["read whole", "by those that went on"])
def test_instances_are_counted_in_the_state_of_their_last_event_on_every_backend(
    stores: Stores, three: list[PersistedEvent], small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.events.append_many(three)
    monkeypatch.setattr(moment, "MAX_READ", 5_000 if small else 0)

    for ms, expected in MOMENTS:
        found = states_then(stores, at(ms))
        assert found.exact
        assert then(found) | dict.fromkeys(expected.keys() - then(found).keys(), 0) == expected
        assert {row.state: row.now for row in found.rows}["Sent"] == 1


def test_where_too_many_went_on_entries_less_exits_are_counted_and_said_to_be(
    stores: Stores, three: list[PersistedEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.events.append_many(three)
    monkeypatch.setattr(moment, "MAX_READ", 0)
    monkeypatch.setattr(moment, "MAX_MOVED", 0)

    for ms, expected in MOMENTS[1:-1]:
        found = states_then(stores, at(ms))
        assert not found.exact
        assert {state: number for state, number in expected.items() if number} == {
            state: number for state, number in then(found).items() if number
        }


def test_a_count_that_cannot_be_right_is_none_and_never_negative(monkeypatch: pytest.MonkeyPatch) -> None:
    events = stream("a", "PAY", "SEND")
    again = [replace(event, id=f"{event.id}-again", persisted_at=at(5_000 + number)) for number, event in
             enumerate(events[2:])]  # rolled back: it leaves Paid twice  # fmt: skip
    stores = stores_of([*events, *again], stream("b", at=9_000))
    monkeypatch.setattr(moment, "MAX_READ", 0)
    monkeypatch.setattr(moment, "MAX_MOVED", 0)

    found = {row.state: (row.then, row.at_least, row.now) for row in states_then(stores, at(6_000)).rows}

    assert found["Paid"] == (None, 0, 0)
    assert found["Sent"] == (2, 1, 1)


def test_components_limit_the_counts(three: list[PersistedEvent]) -> None:
    stores = stores_of(three, stream("bank", component_name="Bank"))

    found = states_then(stores, at(9_999), ("Bank",))

    assert [(row.component_name, row.state, row.then) for row in found.rows] == [("Bank", "New", 1)]
    assert found.created == 1


def facts(page: tuple[InstanceThen, ...]) -> list[tuple[str, str, str, str]]:
    return [(one.instance_id, one.state, one.last.id, one.state_now) for one in page]


def test_instances_are_listed_with_their_state_then_and_now_on_every_backend(
    stores: Stores, three: list[PersistedEvent]
) -> None:
    stores.events.append_many(three)

    assert facts(instances_then(stores, at(2_000)).instances) == [
        ("b", "New", "b-000001", "Paid"),
        ("a", "Paid", "a-000002", "Sent"),
    ]
    assert facts(instances_then(stores, at(3_500), machine="Order", state="Paid").instances) == [
        ("b", "Paid", "b-000003", "Paid")
    ]
    assert instances_then(stores, at(3_500), machine="Order", state="New").instances == ()
    assert instances_then(stores, at(-1)).instances == ()


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_hold_every_instance_once(three: list[PersistedEvent], limit: int) -> None:
    stores = stores_of(three)
    seen, cursor = [], None
    while True:
        page = instances_then(stores, at(9_999), after=cursor, limit=limit)
        seen += [one.instance_id for one in page.instances]
        cursor = page.next
        if cursor is None:
            break

    assert seen == ["c", "b", "a"]


def test_an_instance_without_creation_is_found_by_its_state() -> None:
    stores = stores_of(stream("a", "PAY")[1:])

    assert instances_then(stores, at(9_999)).instances == ()
    assert facts(instances_then(stores, at(9_999), state="Paid").instances) == [("a", "Paid", "a-000001", "Paid")]


def test_where_the_streams_of_a_page_are_long_each_instance_is_asked_about_by_itself(
    three: list[PersistedEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = stores_of(three, stream("tied", "CHANGE", "PAY", "SEND", every=0, at=1))
    whole = instances_then(stores, at(3_200)).instances
    monkeypatch.setattr(moment, "MAX_READ", 0)

    assert instances_then(stores, at(3_200)).instances == whole
    assert ("tied", "Sent", "tied-000003", "Sent") in facts(whole)


def test_of_the_demo_both_ways_of_counting_agree_with_a_look_at_every_stream(tmp_path_factory: Any) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('demo') / 'demo.db'}"
    with open_stores(url, read_only=False) as stores:
        generate_demo(stores, days=7)
    with open_stores(url) as stores:
        first, last = stores.events.time_range() or (EpochMs(0), EpochMs(0))
        page = stores.events.instances(InstanceQuery(), limit=100_000)
        streams = stores.events.get_streams(one.instance_id for one in page.items)
        for moment_ in (first, EpochMs((first + last) // 2), last):
            expected: Counter[str] = Counter()
            for events in streams.values():
                held = [event for event in events if event.persisted_at <= moment_]
                if held:
                    expected[f"{held[-1].component_name} {held[-1].machine_name} {held[-1].state_after}"] += 1
            found = states_then(stores, moment_)
            assert found.exact
            assert expected == {
                f"{row.component_name} {row.machine_name} {row.state}": row.then for row in found.rows if row.then
            }
