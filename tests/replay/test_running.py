"""Runs repeat a history in memory, and leave everything else alone."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

from hypothesis import HealthCheck, given, settings

from tests.replay.fork_examples import (
    ORDERS,
    START,
    UNSHRUNK,
    at,
    catalog,
    lived,
    lost_order,
    programs,
    recorded_whole,
    whole,
)
from tests.runtime.strategies import components
from xcstore.model.history import PersistedEvent
from xcstore.model.loader import parse_component
from xcstore.replay.inputs import recording_of
from xcstore.replay.recording import Input, Recording
from xcstore.replay.run_results import Run
from xcstore.replay.running import run_inputs
from xcstore.replay.track import Track

LOOP = parse_component("""
name: Loop
stateMachines:
  - name: Wheel
    initialState: A
    states:
      - name: A
        cascadingRules: [{targetMachine: Wheel, targetState: "*", event: TURN}]
      - name: B
        cascadingRules: [{targetMachine: Wheel, targetState: "*", event: TURN}]
    transitions:
      - {from: A, to: B, event: TURN}
      - {from: B, to: A, event: TURN}
""")


def again(track: Track, recording: Recording) -> Run:
    return run_inputs(
        recording.components,
        recording.inputs,
        start=recording.start,
        start_at=recording.start_at,
        until=recording.end,
        recording=recording,
    )


def told(events):
    return [
        (
            event.persisted_at,
            event.instance_id,
            event.event_type,
            event.state_before,
            event.state_after,
            event.public_member_snapshot,
        )
        for event in events
    ]


def test_the_inputs_of_a_history_make_the_same_history_again():
    made = lost_order()
    track = whole(made)
    run = again(track, recording_of(track, catalog(made)))
    assert told(run.events) == told(track.events)
    assert [run.origins[event.id] for event in run.events] == [event.id for event in track.events]
    (lost,) = (one for one in run.instances.values() if one.machine_name == "Order")
    assert lost.current_state == "Lost"
    assert lost.context["label"] == "L-O1"  # left by a method, which is not called


@settings(max_examples=25, deadline=None, phases=UNSHRUNK, suppress_health_check=list(HealthCheck))
@given(components(), programs)
def test_random_histories_are_made_again_event_by_event(documents, program):
    made = lived(recorded_whole(documents), program)
    track = whole(made)
    run = again(track, recording_of(track, catalog(made)))
    # Instances of one moment may take turns in another order; each goes the same way.
    by_instance = sorted(told(track.events), key=lambda row: row[1])
    assert sorted(told(run.events), key=lambda row: row[1]) == by_instance


def test_a_run_that_begins_later_goes_on_from_there():
    made = lost_order()
    track = whole(made)
    for step in range(track.length + 1):
        recording = recording_of(track, catalog(made), at=step)
        assert told(again(track, recording).events) == told(track.events[step:])


def test_a_timer_that_was_late_is_as_late_again():
    made = lost_order()
    track = whole(made)
    last = track.events[-1]
    assert last.event_type == "GIVE_UP"
    late = replace(track, events=(*track.events[:-1], replace(last, persisted_at=last.persisted_at + 730)))
    run = again(late, recording_of(late, catalog(made)))
    assert run.events[-1].persisted_at == last.persisted_at + 730


def test_without_a_recording_new_instances_have_the_same_names_in_every_run():
    made = lost_order()
    inputs = recording_of(whole(made), catalog(made)).inputs

    def names() -> list[str]:
        run = run_inputs(catalog(made), inputs, start_at=START, until=at(50_000))
        return [name for name in run.instances if name.startswith("new-Payment-")]

    assert len(names()) == 1
    assert names() == names()


def test_an_event_that_is_not_taken_is_refused_with_the_reason():
    orders = parse_component(ORDERS)
    make = Input(at=START, component_name="Orders", machine_name="Order", instance_id="o", event_type="")
    send = replace(make, at=at(5), event_type="SEND")
    ghost = replace(send, instance_id="ghost")
    other = replace(make, component_name="Elsewhere", instance_id="x")
    run = run_inputs([orders], [make, send, ghost, other, replace(make, at=at(9))], start_at=START, until=at(10))
    assert [(one.input.instance_id, one.reason) for one in run.refused] == [
        ("x", "no definition of Order is known"),
        ("o", "Basket does not take SEND"),
        ("ghost", "the instance does not exist here"),
        ("o", "the instance is there already"),
    ]


def test_what_goes_round_in_circles_is_cut_and_says_so():
    one = Input(at=START, component_name="Loop", machine_name="Wheel", instance_id="w", event_type="")
    turn = replace(one, at=at(1), event_type="TURN")
    run = run_inputs([LOOP], [one, turn], start_at=START, until=at(5), max_events=500)
    assert len(run.events) == 500
    assert "500 events" in run.cut


def test_a_run_ends_where_it_is_told_to():
    made = lost_order()
    track = whole(made)
    recording = recording_of(track, catalog(made))
    run = run_inputs(
        recording.components,
        recording.inputs,
        start_at=recording.start_at,
        until=recording.end,
        recording=recording,
        stop=lambda event: event.event_type == "PAID",
    )
    assert [event.event_type for event in run.events][-1] == "PAID"


def test_a_run_writes_to_no_store_calls_no_method_and_tells_no_log(caplog):
    made = lost_order()
    track = whole(made)
    stored, notices = made.events(), len(made.notices)
    recording = recording_of(track, catalog(made))
    inputs = [one for one in recording.inputs if one.event_type]  # the order does not exist: all of it is refused
    with caplog.at_level(logging.INFO, logger="xcstore"):
        run_inputs(
            recording.components,
            inputs,
            start_at=recording.start_at,
            until=recording.end,
            recording=recording,
        )
    assert made.events() == stored
    assert len(made.notices) == notices
    assert caplog.records == []


def test_while_a_run_is_under_way_other_threads_log_and_afterwards_all_do(caplog):
    logger = logging.getLogger("xcstore.runtime.executor")
    before = list(logger.filters)

    def stop(event: PersistedEvent) -> bool:
        logger.warning("by the run")
        other = threading.Thread(target=logger.warning, args=("by another",))
        other.start()
        other.join()
        return True

    make = Input(at=START, component_name="Loop", machine_name="Wheel", instance_id="w", event_type="")
    run_inputs([LOOP], [make], start_at=START, until=at(5), stop=stop)
    logger.warning("afterwards")
    assert [record.getMessage() for record in caplog.records] == ["by another", "afterwards"]
    assert logger.filters == before
