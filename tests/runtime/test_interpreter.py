"""One step: which transition, what becomes of the instance, what is to be done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from xcstore.model.definition import (
    CascadingRule,
    MatchingRule,
    ParentLink,
    State,
    StateMachine,
    Transition,
)
from xcstore.model.history import Instance
from xcstore.runtime.interpreter import (
    Cascade,
    CreateInstance,
    Dispose,
    Event,
    NotifyParent,
    RunMethod,
    SendAcross,
    StartTimer,
    StopTimer,
    step,
)
from xcstore.units import EpochMs

NOW = EpochMs(5_000)


def machine(*transitions: Transition, states: tuple[State, ...] = (), **fields: object) -> StateMachine:
    named = {state.name: state for state in states}
    for transition in transitions:
        for name in (transition.source, transition.target):
            named.setdefault(name, State(name=name))
    return StateMachine(name="M", initial_state="A", states=tuple(named.values()), transitions=transitions, **fields)


def go(target: str, *rules: MatchingRule, source: str = "A", **fields: object) -> Transition:
    return Transition(source=source, target=target, event="GO", matching_rules=rules, **fields)


def same(name: str) -> MatchingRule:
    return MatchingRule(event_property=name, instance_property=name)


@pytest.fixture
def instance() -> Instance:
    return Instance(id="i1", machine_name="M", current_state="A", context={"k": 1}, created_at=EpochMs(1))


def test_an_event_that_the_state_does_not_know_changes_nothing(instance):
    assert step(machine(go("B")), instance, Event("OTHER"), NOW).transition is None
    assert step(machine(go("B")), instance, Event("OTHER"), NOW).instance is instance


def test_the_only_candidate_is_taken_without_looking_at_its_rules(instance):
    taken = step(machine(go("B", same("k"))), instance, Event("GO", {"k": 99}), NOW)

    assert taken.instance.current_state == "B"


def test_of_several_candidates_the_first_whose_rules_hold_is_taken(instance):
    several = machine(go("B", same("x")), go("C", same("k")), go("D", same("k")), go("E"))

    taken = step(several, instance, Event("GO", {"k": 1}), NOW)

    assert (taken.instance.current_state, taken.ambiguous) == ("C", False)


def test_when_no_rules_hold_the_only_candidate_without_rules_is_taken(instance):
    taken = step(machine(go("B", same("k")), go("C")), instance, Event("GO", {"k": 2}), NOW)

    assert (taken.instance.current_state, taken.ambiguous) == ("C", False)


@pytest.mark.parametrize("candidates", [(go("B"), go("C")), (go("B", same("k")), go("C", same("k")))])
def test_when_nothing_tells_candidates_apart_the_first_is_taken_and_it_is_said(instance, candidates):
    taken = step(machine(*candidates), instance, Event("GO", {"k": 2}), NOW)

    assert (taken.instance.current_state, taken.ambiguous) == ("B", True)


def test_the_payload_is_merged_into_the_context_when_the_transition_has_no_rules(instance):
    taken = step(machine(go("B")), instance, Event("GO", {"k": 2, "new": None}), NOW)

    assert taken.instance.context == {"k": 2, "new": None}
    assert instance.context == {"k": 1}


def test_the_payload_is_not_merged_when_the_transition_has_rules(instance):
    taken = step(machine(go("B", same("k"))), instance, Event("GO", {"k": 1, "new": 2}), NOW)

    assert taken.instance.context == {"k": 1}


def test_a_public_member_takes_the_payload_beside_the_context_and_is_what_rules_look_at(instance):
    public = replace(instance, context={}, public_member={"k": 1})

    taken = step(machine(go("B", same("k")), go("C")), public, Event("GO", {"k": 1}), NOW)
    merged = step(machine(go("C")), public, Event("GO", {"v": 3}), NOW)

    assert taken.instance.current_state == "B"
    assert (merged.instance.context, merged.instance.public_member) == ({"v": 3}, {"k": 1, "v": 3})


def test_the_time_of_the_step_is_the_time_of_the_instance(instance):
    taken = step(machine(go("B")), instance, Event("GO"), NOW).instance

    assert (taken.created_at, taken.updated_at) == (1, NOW)


@pytest.mark.parametrize(("kind", "status"), [("final", "completed"), ("error", "error"), ("regular", "active")])
def test_the_type_of_the_state_decides_about_the_status(instance, kind, status):
    taken = step(machine(go("B"), states=(State(name="B", type=kind),)), instance, Event("GO"), NOW)

    assert taken.instance.status == status
    assert (Dispose() in taken.effects) is (status != "active")


def timeout(source: str, target: str, event: str = "LATE", **fields: object) -> Transition:
    return Transition(source=source, target=target, event=event, type="timeout", timeout_ms=100, **fields)


def test_leaving_a_state_stops_its_timers_and_entering_one_starts_its_own(instance):
    timed = machine(
        go("B"),
        timeout("A", "C"),
        timeout("B", "C", "TOO_LATE"),
        Transition(source="B", target="C", event="AT_ONCE", type="auto"),
    )

    effects = step(timed, instance, Event("GO"), NOW).effects

    assert effects == (
        StopTimer("LATE"),
        StartTimer("TOO_LATE", 100, "timeout"),
        StartTimer("AT_ONCE", 0, "auto-transition"),
    )


def test_a_self_loop_restarts_timers_but_those_that_are_not_to_be_reset(instance):
    looped = machine(go("A"), timeout("A", "C"), timeout("A", "C", "DEADLINE", reset_on_transition=False))

    effects = step(looped, instance, Event("GO"), NOW).effects

    assert effects == (StopTimer("LATE"), StartTimer("LATE", 100, "timeout"))


def test_a_timer_that_is_not_reset_still_stops_when_the_state_is_left(instance):
    left = machine(go("B"), timeout("A", "C", reset_on_transition=False))

    assert step(left, instance, Event("GO"), NOW).effects == (StopTimer("LATE"),)


def test_a_state_that_ends_the_instance_starts_no_timers(instance):
    ended = machine(go("B"), timeout("B", "C"), states=(State(name="B", type="error"),))

    assert step(ended, instance, Event("GO"), NOW).effects == (Dispose(),)


def test_effects_come_in_the_order_in_which_they_are_carried_out(instance):
    rule = CascadingRule(target_machine="K", target_state="S", event="C", payload={"k": "{{k}}"})
    full = machine(
        go("B", type="inter_machine", target_machine="Child", context_mapping={"v": "k"}, triggered_method="during"),
        timeout("A", "C"),
        timeout("B", "C"),
        states=(State(name="A", exit_method="out"), State(name="B", entry_method="in", cascading_rules=(rule,))),
        parent_link=ParentLink(enabled=True, on_state_change="CHILD"),
    )

    effects = step(full, replace(instance, parent_instance_id="p"), Event("GO", {"x": 2}), NOW).effects

    assert [type(effect) for effect in effects] == [
        RunMethod, RunMethod, StopTimer, Cascade, RunMethod, NotifyParent, CreateInstance, StartTimer,
    ]  # fmt: skip
    assert [effect.name for effect in effects if isinstance(effect, RunMethod)] == ["out", "during", "in"]
    assert effects[3] == Cascade(None, "K", "S", Event("C", {"k": 1}))
    assert effects[6] == CreateInstance("Child", {"v": 1})


def test_without_a_parent_nobody_is_told(instance):
    linked = machine(go("B"), parent_link=ParentLink(enabled=True, on_state_change="CHILD"))

    assert step(linked, instance, Event("GO"), NOW).effects == ()


def test_another_component_gets_context_and_payload_but_not_the_public_member(instance):
    across = go("B", same("k"), type="cross_component", target_component="X", target_machine="Y", target_event="DONE")
    public = replace(instance, public_member={"secret": 1})

    effects = step(machine(across), public, Event("GO", {"k": 2, "p": 3}), NOW).effects

    assert effects == (SendAcross("X", "Y", "DONE", {"k": 2, "p": 3}, (same("k"),)),)


def test_cascades_run_from_states_that_end_the_instance_too(instance):
    rule = CascadingRule(target_machine="K", target_state="S", event="C", target_component="X")
    ended = machine(go("B"), states=(State(name="B", type="final", cascading_rules=(rule,)),))

    effects = step(ended, instance, Event("GO"), NOW).effects

    assert effects == (Cascade("X", "K", "S", Event("C", {})), Dispose())
