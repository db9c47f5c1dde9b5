"""Clocks that are set back, other runtimes on the same store, and callers who change what they hold."""

from __future__ import annotations

import pytest

from tests.runtime.helpers import START, component, world
from xcstore.errors import ConcurrencyError
from xcstore.runtime import FSMRuntime, PersistenceConfig, SimulatedClock
from xcstore.units import EpochMs

DOOR = """
name: C
stateMachines:
  - name: M
    initialState: A
    states: [{name: A, type: entry}, {name: B, onEntry: tell}, {name: Z, type: final}]
    transitions:
      - {from: A, to: B, event: GO}
      - {from: B, to: A, event: BACK}
      - {from: A, to: A, event: LOOP}
      - {from: B, to: A, event: LATE, type: timeout, timeoutMs: 1000}
      - {from: A, to: Z, event: END}
"""


def over(stores, start=START, methods=None, document=DOOR):
    clock = SimulatedClock(EpochMs(start))
    return FSMRuntime(component(document), PersistenceConfig.of(stores), clock=clock, methods=methods), clock


def test_a_clock_that_was_set_back_makes_no_event_earlier_than_the_one_before():
    w = world(DOOR)
    it = w.runtime.create_instance("M", {"k": 1})
    later, clock = over(w.stores, START - 5_000)
    later.restore()
    for event_type in ("LOOP", "LOOP", "GO", "BACK"):
        later.send(it, event_type)
        clock.advance(1)

    stream = w.stores.events.get_events_for_instance(it)
    assert [event.event_type for event in stream] == ["INSTANCE_CREATED", "LOOP", "LOOP", "GO", "BACK"]
    assert {event.persisted_at for event in stream} == {START}


def test_who_comes_second_reads_again_and_can_go_on():
    first = world(DOOR)
    it = first.runtime.create_instance("M")
    second, _ = over(first.stores)
    second.restore()
    first.runtime.send(it, "GO", {"by": "first"})

    with pytest.raises(ConcurrencyError):
        second.send(it, "LOOP")
    instance = second.get_instance(it)
    assert (instance.current_state, instance.context) == ("B", {"by": "first"})
    assert [timeout.event_type for timeout in second.pending_timeouts(it)] == ["LATE"]
    second.send(it, "BACK")
    assert [event.event_type for event in first.stores.events.get_events_for_instance(it)][1:] == ["GO", "BACK"]


def test_an_instance_that_another_ended_is_not_there_any_more():
    first = world(DOOR)
    it = first.runtime.create_instance("M")
    second, _ = over(first.stores)
    second.restore()
    first.runtime.send(it, "END")

    with pytest.raises(ConcurrencyError):
        second.send(it, "LOOP")
    assert second.find_instance(it) is None


def test_what_is_queued_for_an_instance_that_another_moved_on_is_not_lost():
    def tell(event, instance, sender):
        if event.payload.get("other"):
            sender.send_to(event.payload["other"], "LOOP", {"important": 1})

    first = world(DOOR)
    it, other = first.runtime.create_instance("M"), first.runtime.create_instance("M")
    second, _ = over(first.stores, methods={"tell": tell})
    second.restore()
    first.runtime.send(other, "LOOP", {"by": "first"})
    second.send(it, "GO", {"other": other})

    assert second.get_instance(other).context == {"by": "first", "important": 1}
    assert first.stores.events.get_outbox() == []


def test_a_definition_that_lacks_what_is_stored_is_told():
    w = world(DOOR, snapshot_interval=1)
    it = w.runtime.create_instance("M")
    w.runtime.send(it, "GO")
    renamed, _ = over(w.stores, document=DOOR.replace("event: LATE", "event: TOO_LATE"))
    gone, _ = over(w.stores, document=DOOR.replace("B", "C"))

    assert "no timer LATE" in renamed.restore().problems[0]
    assert [timeout.event_type for timeout in renamed.pending_timeouts(it)] == ["TOO_LATE"]
    assert "no state 'B'" in gone.restore().problems[0]


def test_what_callers_and_listeners_hold_is_theirs():
    w = world(DOOR)
    w.runtime.listen(lambda notice: (notice.data.get("context") or {}).update(evil=1))
    it = w.runtime.create_instance("M", {"deep": {"k": 1}})
    w.runtime.get_instance(it).context["deep"]["k"] = 2
    for instance in w.runtime.instances():
        instance.context["deep"]["k"] = 3

    assert w.runtime.get_instance(it).context == {"deep": {"k": 1}}
    assert w.last(it).payload["initialContext"] == {"deep": {"k": 1}}
