"""What came in, and what the runtime made of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.replay.fork_examples import catalog, lost_order, whole
from tests.runtime.helpers import world
from xcstore.errors import QueryError
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION
from xcstore.replay.inputs import inputs_of, recording_of
from xcstore.replay.track import InstanceScope, open_track
from xcstore.store.memory import open_memory_stores


def test_what_is_sent_is_an_input_and_what_the_runtime_makes_is_none():
    made = lost_order()
    inputs = inputs_of(whole(made), catalog(made))
    assert [(one.event_type, one.kind) for one in inputs] == [
        ("", "outside"),
        ("PUT", "outside"),
        ("ORDER", "outside"),
        ("APPROVE", "outside"),
        ("SEND", "code"),
    ]
    assert inputs[0].payload == {"order": "O1", "amount": 5}


def test_an_answer_names_what_it_answers_and_code_what_sent_it():
    made = lost_order()
    track = whole(made)
    by_type = {one.event_type: one for one in inputs_of(track, catalog(made))}
    events = {event.id: event for event in track.events}
    assert events[by_type["APPROVE"].cause].event_type == CREATION
    assert events[by_type["SEND"].cause].event_type == "PAID"
    assert by_type["ORDER"].cause is None


def test_what_was_on_its_way_where_the_fork_begins_still_arrives():
    made = lost_order()
    track = whole(made)
    paid = next(event for event in track.events if event.event_type == "PAID")
    settled = next(event for event in track.events if event.event_type == "APPROVE")
    kinds = {one.event_type: one.kind for one in inputs_of(track, catalog(made), at=track.position_of(settled.id))}
    assert kinds == {"PAID": "pending", "SEND": "code"}
    kinds = {one.event_type: one.kind for one in inputs_of(track, catalog(made), at=track.position_of(paid.id))}
    assert kinds == {"SEND": "pending"}


def test_what_comes_from_an_instance_that_takes_no_part_is_an_input():
    made = lost_order()
    order = made.events()[0].instance_id
    track = open_track(made.stores, InstanceScope(instance_id=order), catalog=catalog(made))
    kinds = {one.event_type: one.kind for one in inputs_of(track, catalog(made))}
    assert kinds["PAID"] == "outside"
    assert "GIVE_UP" not in kinds


def test_without_recorded_causes_the_definitions_tell_what_the_runtime_made():
    made = lost_order()
    track = whole(made)
    bare = tuple(replace(event, caused_by=(), definition_hash=None) for event in track.events)
    kinds = {one.event_type: one.kind for one in inputs_of(replace(track, events=bare), catalog(made))}
    # Nothing tells any more that code sent SEND, or what APPROVE answers: both are taken as sent from outside.
    assert kinds == {"": "outside", "PUT": "outside", "ORDER": "outside", "APPROVE": "outside", "SEND": "outside"}


def test_events_without_a_definition_are_counted_and_not_run():
    made = lost_order()
    events = tuple(replace(event, definition_hash=None) for event in whole(made).events)

    stores = open_memory_stores()
    stores.events.append_many(events)
    track = open_track(stores, InstanceScope(instance_id=events[0].instance_id))
    recording = recording_of(track, Catalog())
    assert recording.inputs == ()
    assert len(recording.unknown) == len(track.events)
    assert any("no definition" in note for note in recording.notes)


def test_what_a_method_sends_is_told_from_the_like_that_the_definition_sends_at_the_same_event():
    def call(event, instance, sender):
        sender.send_to(targets[0], "HIT", {"by": "hand"})

    made = world(
        """
name: Pair
stateMachines:
  - name: Source
    initialState: A
    states:
      - {name: A, type: entry}
      - name: B
        entryMethod: call
        cascadingRules: [{targetMachine: Target, targetState: "*", event: HIT, payload: {}}]
    transitions: [{from: A, to: B, event: GO}]
  - name: Target
    initialState: S
    states: [{name: S, type: entry}, {name: T}]
    transitions: [{from: S, to: S, event: HIT}]
""",
        methods={"call": call},
    )
    targets = [made.runtime.create_instance("Target")]
    made.runtime.send(made.runtime.create_instance("Source"), "GO")
    track = whole(made)
    hits = [event for event in track.events if event.event_type == "HIT"]
    assert sorted(map(len, (hit.payload for hit in hits))) == [0, 1]
    sent = {one.origin: one.kind for one in inputs_of(track, catalog(made))}
    assert {len(hit.payload): sent.get(hit.id) for hit in hits} == {0: None, 1: "code"}


@pytest.mark.parametrize("step", [-1, 99])
def test_a_step_that_the_track_does_not_have_is_refused(step):
    made = lost_order()
    with pytest.raises(QueryError, match="is not in the track"):
        inputs_of(whole(made), catalog(made), at=step)
