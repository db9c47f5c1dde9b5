"""Random programs: whatever is sent, the store tells the same as the runtime."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.helpers import World, component, world
from xcstore.errors import InstanceNotActiveError
from xcstore.store.codec import event_to_document

SHOP = component("""
name: Shop
stateMachines:
  - name: Order
    initialState: New
    states:
      - {name: New, type: entry}
      - name: Open
        cascadingRules:
          - targetMachine: Item
            targetState: Idle
            event: TAKE
            matchingRules: [{eventProperty: k, instanceProperty: k}]
            payload: {k: "{{k}}"}
      - {name: Done, type: final}
      - {name: Failed, type: error}
    transitions:
      - {from: New, to: Open, event: GO, type: inter_machine, targetMachine: Item}
      - {from: Open, to: Open, event: LOOP, triggeredMethod: note}
      - {from: Open, to: New, event: LATE, type: timeout, timeoutMs: 700}
      - {from: Open, to: Failed, event: DEADLINE, type: timeout, timeoutMs: 2500, resetOnTransition: false}
      - {from: Open, to: Done, event: END}
  - name: Item
    initialState: Idle
    publicMemberType: Thing
    parentLink: {enabled: true, onStateChange: LOOP}
    states: [{name: Idle, type: entry}, {name: Taken}]
    transitions:
      - {from: Idle, to: Taken, event: TAKE, matchingRules: [{eventProperty: k, instanceProperty: k}]}
      - {from: Taken, to: Idle, event: GIVE, type: auto, timeoutMs: 300}
""")

values = st.sampled_from([1, "1", None, 2.5, {"a": [1]}])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("create"), st.sampled_from(["Order", "Item"]), st.dictionaries(st.just("k"), values)),
        st.tuples(
            st.just("send"),
            st.integers(0, 8),
            st.sampled_from(["GO", "LOOP", "END", "TAKE", "LATE", "NOPE"]),
            st.dictionaries(st.sampled_from("kxy"), values),
        ),
        st.tuples(st.just("broadcast"), st.just("Item"), st.just("TAKE"), st.dictionaries(st.just("k"), values)),
        st.tuples(st.just("advance"), st.integers(0, 1_500)),
    ),
    max_size=30,
)


def play(program) -> World:
    def note(event, instance, sender):
        instance.context["notes"] = [*instance.context.get("notes", []), event.type]

    w = world(SHOP, methods={"note": note}, snapshot_interval=2)
    made: list[str] = []
    w.runtime.listen(lambda n: made.append(n.instance_id) if n.name == "instance_created" else None)
    for name, *arguments in program:
        if name == "create":
            w.runtime.create_instance(*arguments)
        elif name == "send" and arguments[0] < len(made):
            try:
                w.runtime.send(made[arguments[0]], *arguments[1:])
            except InstanceNotActiveError:
                assert w.runtime.find_instance(made[arguments[0]]) is None
        elif name == "broadcast":
            w.runtime.broadcast(*arguments)
        elif name == "advance":
            w.clock.advance(arguments[0])
    return w


@given(steps)
@settings(max_examples=60, deadline=None)
def test_the_live_instance_is_what_its_last_event_says(program):
    w = play(program)
    for instance in w.runtime.instances():
        last = w.last(instance.id)
        recorded = instance.context if instance.public_member is None else instance.public_member
        assert last.state_after == instance.current_state
        assert last.public_member_snapshot == recorded
        assert last.id == w.runtime.last_event_id(instance.id)
    ended = {n.instance_id for n in w.notices if n.name == "instance_disposed"}
    assert ended.isdisjoint(instance.id for instance in w.runtime.instances())


@given(steps)
@settings(max_examples=60, deadline=None)
def test_streams_chain_and_causes_come_first(program):
    w = play(program)
    position = {event.id: index for index, event in enumerate(w.events())}
    for instance_id in {event.instance_id for event in w.events()}:
        stream = w.stores.events.get_events_for_instance(instance_id)
        assert stream[0].state_before == ""
        assert all(a.state_after == b.state_before for a, b in pairwise(stream))
        assert all(position[cause] < position[event.id] for event in stream for cause in event.caused_by)


@given(steps)
@settings(max_examples=30, deadline=None)
def test_the_same_program_gives_the_same_documents(program):
    first, second = play(program), play(program)

    def documents(w: World) -> str:
        return json.dumps([event_to_document(event) for event in w.events()])

    assert documents(first) == documents(second)


@given(steps)
@settings(max_examples=40, deadline=None)
def test_every_snapshot_is_what_its_event_says(program):
    w = play(program)
    events = {event.id: event for event in w.events()}
    for snapshot in w.stores.snapshots.get_all_snapshots():
        event = events[snapshot.last_event_id]
        instance = snapshot.instance
        assert instance.current_state == event.state_after
        recorded = instance.context if instance.public_member is None else instance.public_member
        assert recorded == event.public_member_snapshot
