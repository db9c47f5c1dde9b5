"""The running machines: order, queue, timers, cascades, methods, ends."""

from __future__ import annotations

import pytest

from tests.runtime.helpers import component, world
from xcstore.errors import InstanceNotActiveError, NotFoundError
from xcstore.runtime import Event, FSMRuntime, PropertyFilter, TimeOrderedIds

DOOR = """
name: Doors
stateMachines:
  - name: Door
    initialState: Shut
    states: [{name: Shut, type: entry}, {name: Open}, {name: Gone, type: final}, {name: Burnt, type: error}]
    transitions:
      - {from: Shut, to: Open, event: PUSH, triggeredMethod: creak}
      - {from: Open, to: Open, event: PUSH}
      - {from: Open, to: Shut, event: FELL_SHUT, type: timeout, timeoutMs: 1000}
      - {from: Open, to: Gone, event: REMOVE}
      - {from: Open, to: Burnt, event: FIRE}
"""


def test_an_event_moves_an_instance_and_is_appended():
    w = world(DOOR)
    door = w.runtime.create_instance("Door", {"room": 1})
    w.runtime.send(door, "PUSH", {"by": "Grace"})

    assert w.runtime.get_instance(door).current_state == "Open"
    assert w.runtime.get_instance(door).context == {"room": 1, "by": "Grace"}
    assert w.history(door) == [("INSTANCE_CREATED", "", "Shut"), ("PUSH", "Shut", "Open")]


def test_an_event_without_a_transition_is_told_and_not_appended():
    w = world(DOOR)
    door = w.runtime.create_instance("Door")
    w.runtime.send(door, "REMOVE")

    assert w.told("event_ignored") == [{"state": "Shut", "event": "REMOVE"}]
    assert len(w.history(door)) == 1


@pytest.mark.parametrize(("event", "status"), [("REMOVE", "completed"), ("FIRE", "error")])
def test_an_ended_instance_is_forgotten_and_refuses_events(event, status):
    w = world(DOOR)
    door = w.runtime.create_instance("Door")
    w.runtime.send(door, "PUSH")
    w.runtime.send(door, event)

    assert w.told("instance_disposed")[0]["status"] == status
    assert w.runtime.find_instance(door) is None
    with pytest.raises(InstanceNotActiveError, match=f"Instance {door} not found"):
        w.runtime.send(door, "PUSH")


def test_an_unknown_machine_is_refused_with_the_names_that_exist():
    with pytest.raises(NotFoundError, match="'Doors' has no machine 'Window'; it has: Door"):
        world(DOOR).runtime.create_instance("Window")


def test_a_timeout_fires_with_its_reason_in_the_payload():
    w = world(DOOR)
    door = w.runtime.create_instance("Door")
    w.runtime.send(door, "PUSH")

    assert w.clock.advance(999) == 0
    assert w.clock.advance(1) == 1
    assert w.last(door).payload == {"reason": "timeout"}
    assert w.runtime.get_instance(door).context == {"reason": "timeout"}


def test_a_self_loop_restarts_the_timeout():
    w = world(DOOR)
    door = w.runtime.create_instance("Door")
    w.runtime.send(door, "PUSH")
    w.clock.advance(600)
    w.runtime.send(door, "PUSH")
    w.clock.advance(600)
    assert w.runtime.get_instance(door).current_state == "Open"

    w.clock.advance(400)
    assert w.runtime.get_instance(door).current_state == "Shut"


def test_leaving_a_state_by_another_way_stops_its_timeout():
    w = world(DOOR)
    door = w.runtime.create_instance("Door")
    w.runtime.send(door, "PUSH")
    w.runtime.send(door, "REMOVE")

    assert w.clock.advance(5_000) == 0


def test_a_timeout_sent_by_hand_is_taken_too():
    w = world(DOOR)
    door = w.runtime.create_instance("Door")
    w.runtime.send(door, "PUSH")
    w.runtime.send(door, "FELL_SHUT", {"by": "hand"})

    assert w.runtime.get_instance(door).current_state == "Shut"
    assert w.clock.advance(5_000) == 0


DEADLINE = """
name: C
stateMachines:
  - name: M
    initialState: W-1
    states: [{name: W-1, type: entry}, {name: E, type: error}]
    transitions:
      - {from: W-1, to: W-1, event: LOOP}
      - {from: W-1, to: E, event: LATE, type: timeout, timeoutMs: 1000, resetOnTransition: false}
"""


def test_a_deadline_that_is_not_reset_survives_self_loops_also_in_a_state_with_a_dash():
    w = world(DEADLINE)
    it = w.runtime.create_instance("M")
    w.clock.advance(600)
    w.runtime.send(it, "LOOP")
    w.clock.advance(400)

    assert w.history(it)[-1] == ("LATE", "W-1", "E")


CHAIN = """
name: C
stateMachines:
  - name: M
    initialState: A
    states: [{name: A, type: entry}, {name: B}, {name: C}, {name: D, type: final}]
    transitions:
      - {from: A, to: B, event: A1, type: auto, timeoutMs: 0}
      - {from: B, to: C, event: A2, type: auto}
      - {from: C, to: D, event: A3, type: auto, timeoutMs: 400}
"""


def test_auto_transitions_chain_within_one_advance():
    w = world(CHAIN)
    it = w.runtime.create_instance("M")

    assert w.clock.advance(0) == 2
    assert w.runtime.get_instance(it).context == {"reason": "auto-transition"}
    assert w.clock.advance(400) == 1
    assert w.history(it)[-1] == ("A3", "C", "D")


def test_a_method_may_change_the_context_before_the_payload_is_merged_over_it():
    def creak(event, instance, sender):
        instance.context["loud"] = True
        instance.context["by"] = "the wind"

    w = world(DOOR, methods={"creak": creak})
    door = w.runtime.create_instance("Door", {"room": 1})
    w.runtime.send(door, "PUSH", {"by": "Grace"})

    assert w.runtime.get_instance(door).context == {"room": 1, "loud": True, "by": "Grace"}
    assert w.last(door).public_member_snapshot == {"room": 1, "loud": True, "by": "Grace"}


def test_a_method_that_fails_is_told_and_the_transition_goes_on():
    def creak(event, instance, sender):
        sender.send_to_self("REMOVE")
        raise RuntimeError("rust")

    w = world(DOOR, methods={"creak": creak})
    door = w.runtime.create_instance("Door")
    w.runtime.send(door, "PUSH")

    assert w.told("user_code_error")[0]["error"] == "rust"
    assert [row[0] for row in w.history(door)] == ["INSTANCE_CREATED", "PUSH", "REMOVE"]


def test_what_a_method_sends_waits_until_the_transition_is_done():
    order = []

    def creak(event, instance, sender):
        sender.send_to_self("PUSH", {"again": True})
        order.append("method")

    w = world(DOOR, methods={"creak": creak})
    w.runtime.listen(lambda notice: order.append((notice.name, notice.data.get("after"))))
    door = w.runtime.create_instance("Door")
    w.runtime.send(door, "PUSH")

    changes = [entry for entry in order if entry == "method" or entry[0] == "state_change"]
    assert changes == ["method", ("state_change", "Open"), ("state_change", "Open")]


def test_a_listener_that_fails_does_not_stop_the_runtime(caplog):
    w = world(DOOR)
    w.runtime.listen(lambda notice: 1 / 0)
    door = w.runtime.create_instance("Door")
    w.runtime.send(door, "PUSH")

    assert w.runtime.get_instance(door).current_state == "Open"
    assert "a listener failed" in caplog.text


FAMILY = """
name: Family
stateMachines:
  - name: Parent
    initialState: S
    states: [{name: S, type: entry}, {name: W}, {name: D, type: final}]
    transitions:
      - {from: S, to: W, event: GO, type: inter_machine, targetMachine: Child, contextMapping: {order: id, amt: amount}}
      - {from: W, to: W, event: NEWS}
      - {from: W, to: D, event: END, type: inter_machine, targetMachine: Child}
  - name: Child
    initialState: S
    publicMemberType: Sheet
    parentLink: {enabled: true, onStateChange: NEWS}
    states: [{name: S, type: entry}, {name: T}]
    transitions:
      - {from: S, to: T, event: STEP}
"""


def test_an_inter_machine_transition_makes_a_child_with_what_is_mapped():
    w = world(FAMILY)
    parent = w.runtime.create_instance("Parent", {"id": 1, "secret": "s"})
    w.runtime.send(parent, "GO", {"amount": 7})

    child = next(w.runtime.instances("Child"))
    assert (child.context, child.public_member) == ({}, {"order": 1, "amt": 7})
    assert (child.parent_instance_id, child.parent_machine_name) == (parent, "Parent")
    assert w.last(child.id).payload == {
        "parentInstanceId": parent,
        "parentMachineName": "Parent",
        "triggerEvent": "inter_machine transition",
        "initialContext": {"order": 1, "amt": 7},
    }


def test_a_child_tells_its_parent_of_each_change_and_nothing_locks():
    w = world(FAMILY)
    parent = w.runtime.create_instance("Parent")
    w.runtime.send(parent, "GO")
    child = next(w.runtime.instances("Child")).id
    w.runtime.send(child, "STEP")

    news = w.last(parent)
    assert news.event_type == "NEWS"
    assert news.payload == {
        "childInstanceId": child,
        "childMachine": "Child",
        "previousState": "S",
        "newState": "T",
    }
    assert news.caused_by == (w.last(child).id,)


def test_a_child_whose_parent_has_ended_tells_nobody():
    w = world(FAMILY)
    parent = w.runtime.create_instance("Parent")
    w.runtime.send(parent, "GO")
    w.runtime.send(parent, "END")
    for child in list(w.runtime.instances("Child")):
        w.runtime.send(child.id, "STEP")

    assert w.told("delivery_failed") == []


UNKNOWN = """
name: C
stateMachines:
  - name: M
    initialState: S
    states: [{name: S, type: entry}, {name: T}]
    transitions: [{from: S, to: T, event: GO, type: inter_machine, targetMachine: Elsewhere}]
"""


def test_an_unknown_target_machine_is_an_error_of_the_instance_after_its_state_changed():
    from dataclasses import replace

    machine = component(UNKNOWN.replace("Elsewhere", "M")).machines[0]
    lost = replace(machine, transitions=(replace(machine.transitions[0], target_machine="Elsewhere"),))
    w = world(replace(component(UNKNOWN.replace("Elsewhere", "M")), machines=(lost,)))
    it = w.runtime.create_instance("M")
    w.runtime.send(it, "GO")

    assert w.told("instance_error") == [{"error": "Machine Elsewhere not found"}]
    assert w.history(it)[-1] == ("GO", "S", "T")
    assert w.runtime.find_instance(it) is None
    again = FSMRuntime(w.runtime.component, w.stores, clock=w.clock)
    assert (again.restore().ended, again.find_instance(it)) == (1, None)


KEYED = """
name: C
stateMachines:
  - name: A
    initialState: S
    states: [{name: S, type: entry}, {name: T}, {name: U, type: final}]
    transitions:
      - {from: S, to: S, event: SET}
      - {from: S, to: T, event: HIT, matchingRules: [{eventProperty: k, instanceProperty: k}]}
      - {from: S, to: T, event: ALL}
      - {from: T, to: U, event: HIT, matchingRules: [{eventProperty: k, instanceProperty: k}]}
      - {from: S, to: S, event: STAY, matchingRules: [{eventProperty: k, instanceProperty: k}]}
      - {from: S, to: T, event: OVER, matchingRules: [{eventProperty: limit, instanceProperty: n, operator: ">"}]}
"""


def test_a_broadcast_reaches_those_whose_rules_hold_whatever_the_kind_of_the_value():
    w = world(KEYED)
    number, text, other = (w.runtime.create_instance("A", {"k": k}) for k in (42, "42", 43))

    assert w.runtime.broadcast("A", "HIT", {"k": 42}) == 2
    assert [w.runtime.get_instance(i).current_state for i in (number, text, other)] == ["T", "T", "S"]


def test_a_broadcast_with_another_comparison_looks_at_everybody():
    w = world(KEYED)
    for n in (5, 10, 15, None):
        w.runtime.create_instance("A", {"n": n})

    assert w.runtime.broadcast("A", "OVER", {"limit": 9}) == 2


def test_a_broadcast_without_rules_reaches_all_or_those_in_the_state():
    w = world(KEYED)
    first = w.runtime.create_instance("A", {"k": 1})
    w.runtime.create_instance("A", {"k": 2})
    w.runtime.broadcast("A", "HIT", {"k": 1})

    assert w.runtime.broadcast("A", "ALL", state="S") == 1
    assert w.runtime.broadcast("A", "SET", state="*") == 2
    assert w.runtime.get_instance(first).current_state == "T"


def test_self_loops_are_not_counted_where_rules_choose():
    w = world(KEYED)
    w.runtime.create_instance("A", {"k": 1})

    assert w.runtime.broadcast("A", "STAY", {"k": 1}) == 0
    assert w.events()[-1].event_type == "STAY"


def test_an_instance_gets_a_broadcast_once_even_if_its_first_event_makes_a_second_transition_fit():
    w = world(KEYED)
    it = w.runtime.create_instance("A", {"k": 1})

    assert w.runtime.broadcast("A", "HIT", {"k": 1}) == 1
    assert w.runtime.get_instance(it).current_state == "T"


def test_the_index_knows_the_values_at_creation_as_the_reference_does():
    w = world(KEYED)
    x, y = (w.runtime.create_instance("A", {"k": k}) for k in "xy")
    w.runtime.send(x, "SET", {"k": "y"})

    assert w.runtime.broadcast("A", "HIT", {"k": "y"}) == 1
    assert w.runtime.get_instance(y).current_state == "T"
    assert w.runtime.broadcast("A", "HIT", {"k": "x"}) == 1


CASCADE = """
name: C
stateMachines:
  - name: P
    initialState: A
    states:
      - {name: A, type: entry}
      - name: B
        type: final
        cascadingRules:
          - {targetMachine: K, targetState: S, event: GO, payload: {v: "{{x}}", miss: "{{nope}}"}}
          - targetMachine: K
            targetState: D
            event: CHECK
            matchingRules: [{eventProperty: v, instanceProperty: v}]
            payload: {v: "{{x}}"}
    transitions: [{from: A, to: B, event: E}]
  - name: K
    initialState: S
    states: [{name: S, type: entry}, {name: D}, {name: F, type: final}]
    transitions:
      - {from: S, to: D, event: GO}
      - {from: D, to: F, event: CHECK, matchingRules: [{eventProperty: v, instanceProperty: k}]}
"""


def test_a_cascade_reaches_the_state_as_it_is_when_its_turn_comes():
    w = world(CASCADE)
    p = w.runtime.create_instance("P", {"x": 7})
    matching, other = (w.runtime.create_instance("K", {"k": k}) for k in (7, 8))
    w.runtime.send(p, "E")

    assert w.history(matching) == [("INSTANCE_CREATED", "", "S"), ("GO", "S", "D"), ("CHECK", "D", "F")]
    assert w.history(other)[-1] == ("GO", "S", "D")
    assert w.runtime.get_instance(other).context == {"k": 8, "v": 7}
    assert [(done["event"], done["count"]) for done in w.told("cascade_completed")] == [("GO", 2), ("CHECK", 1)]


ENTRY = """
name: C
entryMachine: Desk
stateMachines:
  - name: Desk
    initialState: Open
    states: [{name: Open, type: entry}, {name: Closed, type: final}]
    transitions: [{from: Open, to: Closed, event: CLOSE}]
"""


def test_registering_makes_one_entry_instance_that_stays_when_it_ends():
    w = world(ENTRY)
    (desk,) = w.runtime.instances()
    w.runtime.start_entry_point()
    w.runtime.send(desk.id, "CLOSE")

    assert desk.is_entry_point
    assert [i.status for i in w.runtime.instances()] == ["completed"]
    with pytest.raises(InstanceNotActiveError, match="is not active"):
        w.runtime.send(desk.id, "CLOSE")


def test_a_runtime_without_stores_runs_as_well():
    runtime = FSMRuntime(component(DOOR), ids=TimeOrderedIds(1))
    door = runtime.create_instance("Door")
    runtime.send(door, Event("PUSH", {"a": 1}))

    assert runtime.get_instance(door).current_state == "Open"


def test_equal_seeds_give_equal_histories():
    def run(seed):
        w = world(FAMILY, seed=seed)
        parent = w.runtime.create_instance("Parent", {"id": 1})
        w.runtime.send(parent, "GO")
        w.runtime.send(next(w.runtime.instances("Child")).id, "STEP")
        return w.events()

    assert run(5) == run(5)
    assert run(5) != run(6)


def test_a_child_is_made_before_what_the_method_on_entry_has_sent():
    def tell(event, instance, sender):
        if event.type == "GO":
            sender.send_to_self("NEWS")

    w = world(FAMILY.replace("{name: W}", "{name: W, onEntry: tell}"), methods={"tell": tell})
    parent = w.runtime.create_instance("Parent")
    w.runtime.send(parent, "GO")

    assert [(e.machine_name, e.event_type) for e in w.events()] == [
        ("Parent", "INSTANCE_CREATED"),
        ("Parent", "GO"),
        ("Child", "INSTANCE_CREATED"),
        ("Parent", "NEWS"),
    ]


LISTED = """
name: C
stateMachines:
  - name: M
    initialState: S
    states: [{name: S, type: entry}, {name: T}]
    transitions: [{from: S, to: T, event: GO}]
"""


def test_a_broadcast_with_filters_reaches_those_whose_properties_fit():
    w = world(LISTED)
    items = [w.runtime.create_instance("M", {"k": k, "deep": {"n": k}}) for k in (1, 2, 3)]
    filters = [PropertyFilter("deep.n", 2, ">="), PropertyFilter("k", 3, "!==")]

    assert w.runtime.broadcast("M", "GO", filters=filters) == 1
    assert [w.runtime.get_instance(it).current_state for it in items] == ["S", "T", "S"]


def test_a_method_broadcasts_with_filters_too():
    def pick(event, instance, sender):
        sender.broadcast("M", "GO", filters=[PropertyFilter("k", 1)])

    way_back = "[{from: S, to: T, event: GO}, {from: T, to: S, event: BACK, triggeredMethod: pick}]"
    w = world(LISTED.replace("[{from: S, to: T, event: GO}]", way_back), methods={"pick": pick})
    first, second, third = (w.runtime.create_instance("M", {"k": k}) for k in (1, 2, 1))
    w.runtime.send(second, "GO")
    w.runtime.send(second, "BACK")

    assert [w.runtime.get_instance(it).current_state for it in (first, second, third)] == ["T", "S", "T"]
