"""Traces of any length and shape: long chains, wide fans, cycles and diamonds, whole and cut, on every backend."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.contract.helpers import ids
from tests.factories import START, event
from xcstore.model.history import PersistedEvent
from xcstore.store.base import Direction, Stores

LONG = {"memory": 100_000, "sqlite": 100_000, "postgresql": 30_000, "archive": 1_000}
"""The longest chain by backend; longer ones take long to store, or to walk where each level is a question."""


def chain(length: int) -> Iterable[PersistedEvent]:
    """Each caused by the one before it; names tell the place."""
    for number in range(length):
        causes = (name(number - 1),) if number else ()
        yield event(id=name(number), instance_id=f"i{number // 100}", persisted_at=START + number, caused_by=causes)


def name(number: int) -> str:
    return f"e{number:06}"


def names(numbers: Iterable[int]) -> list[str]:
    return [name(number) for number in numbers]


def linked(causes: dict[str, str], *, at: int = START) -> list[PersistedEvent]:
    """Events of one moment, with the names of their causes."""
    return [
        event(id=one, instance_id=one, persisted_at=at, caused_by=tuple(its.split())) for one, its in causes.items()
    ]


def test_a_chain_of_any_length_is_walked_to_its_end(stores: Stores, backend: str) -> None:
    length = LONG.get(backend, 1_000)
    stores.events.append_many(chain(length))

    effects = stores.events.trace(name(0), "effects", max_events=200_000)

    assert ids(effects.events) == names(range(length))
    assert (len(effects.links), effects.missing, effects.truncated, effects.unread) == (length - 1, (), False, 0)


def test_a_chain_is_walked_both_ways_from_its_middle_nearest_first(stores: Stores) -> None:
    length = 1_000
    middle = length // 2
    stores.events.append_many(chain(length))

    trace = stores.events.trace(name(middle), "both", max_events=length)

    nearest = [middle]
    for distance in range(1, middle):
        nearest += [middle - distance, middle + distance]
    assert ids(trace.events) == names([*nearest, 0])
    assert not trace.truncated


@pytest.mark.parametrize("direction", ["effects", "causes"])
def test_a_long_chain_is_cut_after_the_nearest(stores: Stores, direction: Direction) -> None:
    stores.events.append_many(chain(1_000))
    root, step = (0, 1) if direction == "effects" else (999, -1)

    trace = stores.events.trace(name(root), direction, max_events=700)

    assert ids(trace.events) == names(range(root, root + 700 * step, step))
    assert (trace.truncated, trace.unread, trace.missing) == (True, 1, ())


def test_a_wide_fan_comes_by_time_then_id(stores: Stores, backend: str) -> None:
    width = 10_000 if backend in LONG else 500
    order = sorted(range(width), key=lambda number: (number * 7_919 % 97, name(number)))
    stores.events.append(event(id="root", persisted_at=START - 1))
    stores.events.append_many(
        event(id=name(number), instance_id="i1", persisted_at=START + number * 7_919 % 97, caused_by=("root",))
        for number in range(width)
    )

    whole = stores.events.trace("root", max_events=width + 1)
    cut = stores.events.trace("root", max_events=width // 2 + 1)

    assert ids(whole.events) == ["root", *names(order)]
    assert (whole.truncated, whole.unread) == (False, 0)
    assert ids(cut.events) == ["root", *names(order[: width // 2])]
    assert (cut.truncated, cut.unread) == (True, width - width // 2)


def test_many_causes_of_one_event_come_by_time_then_id(stores: Stores) -> None:
    stores.events.append_many(linked(dict.fromkeys(("b", "a"), ""), at=START + 1))
    stores.events.append_many(linked(dict.fromkeys(("d", "c"), ""), at=START))
    stores.events.append_many(linked({"root": "a b c d"}, at=START + 2))

    assert ids(stores.events.trace("root", "causes").events) == ["root", "c", "d", "a", "b"]
    assert ids(stores.events.trace("root", "causes", max_events=4).events) == ["root", "c", "d", "a"]


@pytest.mark.parametrize("length", [1, 2, 3, 50])
@pytest.mark.parametrize("direction", ["effects", "causes", "both"])
def test_a_cycle_of_any_length_is_walked_once(stores: Stores, length: int, direction: Direction) -> None:
    circle = {name(number): name((number - 1) % length) for number in range(length)}
    stores.events.append_many(linked(circle))

    whole = stores.events.trace(name(0), direction)
    cut = stores.events.trace(name(0), direction, max_events=max(1, length - 1))

    assert sorted(ids(whole.events)) == names(range(length))
    assert len(whole.links) == length
    assert not whole.truncated
    assert ids(cut.events) == ids(whole.events)[: max(1, length - 1)]
    assert cut.unread == (1 if length > 1 else 0)


@pytest.mark.parametrize("most", [1, 2, 4, 5, 61, 91, 400])
def test_a_chain_of_diamonds_is_cut_at_any_place(stores: Stores, most: int) -> None:
    # Paths double with each diamond: whoever walks paths instead of events does not come back.
    diamonds = {"j00": ""}
    for number in range(30):
        start, end = f"j{number:02}", f"j{number + 1:02}"
        diamonds |= {f"l{number:02}": start, f"r{number:02}": start, end: f"l{number:02} r{number:02}"}
    stores.events.append_many(linked(diamonds))
    order = ["j00"]
    for number in range(30):
        order += [f"l{number:02}", f"r{number:02}", f"j{number + 1:02}"]

    trace = stores.events.trace("j00", "effects", max_events=most)

    assert ids(trace.events) == order[:most]
    assert trace.truncated == (most < len(order))
    loaded = set(ids(trace.events))
    assert sorted(trace.links) == sorted(
        (cause, one) for one, its in diamonds.items() for cause in its.split() if {cause, one} <= loaded
    )


def test_an_event_is_as_near_as_its_shortest_way(stores: Stores) -> None:
    stores.events.append_many(linked({"a": "", "b": "a", "c": "b", "far": "c a", "z": "c"}))

    assert ids(stores.events.trace("a", "effects").events) == ["a", "b", "far", "c", "z"]
    assert ids(stores.events.trace("a", "effects", max_events=3).events) == ["a", "b", "far"]


def test_what_is_left_out_counts_each_event_next_to_what_is_shown_once(stores: Stores) -> None:
    # x and y follow from both that are shown; far is not next to them.
    stores.events.append_many(linked({"a": "", "b": "a", "x": "a b", "y": "a b", "far": "x"}))

    cut = stores.events.trace("a", "effects", max_events=2)

    assert ids(cut.events) == ["a", "b"]
    assert (cut.truncated, cut.unread) == (True, 2)
