"""Tracing recorded causes, on every backend."""

from __future__ import annotations

import pytest

from tests.contract.helpers import ids
from tests.factories import START, event
from xcstore.errors import NotFoundError, QueryError
from xcstore.store.base import Direction, Stores, Trace


def store(stores: Stores, links: dict[str, str]) -> None:
    """Events by name, one per second, each with the names of its causes."""
    stores.events.append_many(
        event(id=name, instance_id=f"i-{name}", persisted_at=START + number * 1000, caused_by=tuple(causes.split()))
        for number, (name, causes) in enumerate(links.items())
    )


def traced(trace: Trace) -> str:
    return " ".join(ids(trace.events))


DIAMOND = {"root": "", "left": "root", "right": "root", "join": "left right", "after": "join", "aside": ""}
#         left
#  root <       > join - after        aside
#         right


def test_effects_of_a_diamond_come_breadth_first_and_once(stores: Stores) -> None:
    store(stores, DIAMOND)

    trace = stores.events.trace("root", "effects")

    assert traced(trace) == "root left right join after"
    assert set(trace.links) == {
        ("root", "left"),
        ("root", "right"),
        ("left", "join"),
        ("right", "join"),
        ("join", "after"),
    }
    assert len(trace.links) == 5
    assert (trace.root_id, trace.missing, trace.truncated, trace.unread) == ("root", (), False, 0)


def test_causes_of_a_diamond_come_nearest_first(stores: Stores) -> None:
    store(stores, DIAMOND)

    trace = stores.events.trace("after", "causes")

    assert traced(trace) == "after join left right root"
    assert len(trace.links) == 5


def test_both_directions_meet_in_the_middle(stores: Stores) -> None:
    store(stores, DIAMOND)

    assert traced(stores.events.trace("join", "both")) == "join left right after root"
    assert stores.events.trace("join") == stores.events.trace("join", "both")


def test_both_directions_leave_out_the_other_effects_of_a_cause(stores: Stores) -> None:
    store(stores, {"root": "", "mine": "root", "sibling": "root", "child": "mine"})

    trace = stores.events.trace("mine", "both")

    assert traced(trace) == "mine root child"
    assert set(trace.links) == {("root", "mine"), ("mine", "child")}


def test_equally_near_events_come_by_time_then_id(stores: Stores) -> None:
    stores.events.append(event(id="root", persisted_at=START))
    stores.events.append_many(
        event(id=id_, caused_by=("root",), persisted_at=START + at)
        for id_, at in [("c", 2), ("b", 1), ("a", 2), ("d", 1), ("B", 2)]
    )

    assert traced(stores.events.trace("root")) == "root b d B a c"


def test_an_event_without_links_is_its_own_trace(stores: Stores) -> None:
    store(stores, DIAMOND)

    trace = stores.events.trace("aside")

    assert trace == Trace(root_id="aside", events=(stores.events.get_event("aside"),), links=())


@pytest.mark.parametrize("direction", ["effects", "causes", "both"])
def test_a_cycle_is_walked_once(stores: Stores, direction: Direction) -> None:
    store(stores, {"a": "c", "b": "a", "c": "b"})

    trace = stores.events.trace("a", direction)

    assert sorted(ids(trace.events)) == ["a", "b", "c"]
    assert sorted(trace.links) == [("a", "b"), ("b", "c"), ("c", "a")]
    assert not trace.truncated


def test_an_event_that_is_its_own_cause_is_shown_once_with_the_link(stores: Stores) -> None:
    store(stores, {"a": "a"})

    trace = stores.events.trace("a")

    assert traced(trace) == "a"
    assert trace.links == (("a", "a"),)


def test_a_cause_that_is_not_stored_is_named_and_linked(stores: Stores) -> None:
    store(stores, {"a": "lost", "b": "a gone lost"})

    trace = stores.events.trace("a", "effects")

    assert traced(trace) == "a b"
    assert sorted(trace.missing) == ["gone", "lost"]
    assert sorted(trace.links) == [("a", "b"), ("gone", "b"), ("lost", "a"), ("lost", "b")]
    assert stores.events.trace("a", "causes").missing == ("lost",)


def test_a_stored_cause_that_is_not_loaded_is_not_linked(stores: Stores) -> None:
    store(stores, {"a": "", "b": "", "c": "a b", "d": "c"})

    trace = stores.events.trace("a", "effects")

    assert traced(trace) == "a c d"
    assert sorted(trace.links) == [("a", "c"), ("c", "d")]


def test_a_cause_named_twice_is_one_link(stores: Stores) -> None:
    stores.events.append_many([event(id="a"), event(id="b", caused_by=("a", "a"))])

    assert stores.events.trace("a").links == (("a", "b"),)


def test_a_wide_fan_is_cut_and_says_so(stores: Stores) -> None:
    stores.events.append(event(id="root", persisted_at=START))
    stores.events.append_many(event(id=f"e{n:03}", caused_by=("root",), persisted_at=START + 1 + n) for n in range(250))

    trace = stores.events.trace("root", max_events=100)

    assert ids(trace.events) == ["root", *(f"e{n:03}" for n in range(99))]
    assert trace.truncated
    assert trace.unread == 151
    whole = stores.events.trace("root", max_events=251)
    assert len(whole.events) == 251
    assert (whole.truncated, whole.unread) == (False, 0)


def test_a_long_chain_is_cut_and_says_so(stores: Stores) -> None:
    store(stores, {f"e{n:03}": f"e{n - 1:03}" if n else "" for n in range(30)})

    trace = stores.events.trace("e000", "effects", max_events=10)

    assert ids(trace.events) == [f"e{n:03}" for n in range(10)]
    assert trace.truncated
    assert trace.unread == 1
    assert trace.missing == ()
    assert len(trace.links) == 9


def test_a_chain_longer_than_python_calls_does_not_overflow(stores: Stores) -> None:
    store(stores, {f"e{n:04}": f"e{n - 1:04}" if n else "" for n in range(1200)})

    assert len(stores.events.trace("e0000", "effects", max_events=10_000).events) == 1200
    assert len(stores.events.trace("e1199", "causes", max_events=10_000).events) == 1200


def test_a_trace_of_one_event_loads_only_that(stores: Stores) -> None:
    store(stores, DIAMOND)

    trace = stores.events.trace("join", "both", max_events=1)

    assert traced(trace) == "join"
    assert trace.truncated
    assert trace.unread == 3


def test_a_trace_crosses_instances_and_components(stores: Stores) -> None:
    stores.events.append_many(
        [
            event(id="order", component_name="Order", instance_id="i1"),
            event(id="stock", component_name="Stock", instance_id="i2", caused_by=("order",)),
            event(id="ship", component_name="Ship", instance_id="i3", caused_by=("stock",)),
        ]
    )

    assert traced(stores.events.trace("ship")) == "ship stock order"


def test_tracing_an_unknown_event_is_refused(stores: Stores) -> None:
    store(stores, {"a": "lost"})

    with pytest.raises(NotFoundError, match="lost"):
        stores.events.trace("lost")


def test_a_trace_that_cannot_be_asked_for_is_refused(stores: Stores) -> None:
    store(stores, {"a": ""})

    with pytest.raises(QueryError):
        stores.events.trace("a", max_events=0)
    with pytest.raises(QueryError):
        stores.events.trace("a", "sideways")  # type: ignore[arg-type]
