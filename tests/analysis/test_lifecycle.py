from __future__ import annotations

import pytest

from xcstore.analysis.lifecycle import Sender, lifecycle, moves, observed_machine, senders
from xcstore.model.definition import CascadingRule, Component, State, StateMachine, Transition
from xcstore.model.history import Instance, InstanceSnapshot
from xcstore.units import DurationMs, EpochMs

MACHINE = StateMachine(
    name="M",
    initial_state="New",
    states=(
        State(name="New", type="entry"),
        State(name="Paid"),
        State(name="Done", type="final"),
        State(name="Bad", type="error"),
    ),
    transitions=(
        Transition(source="New", target="Paid", event="PAY"),
        Transition(source="New", target="Bad", event="TIMEOUT", type="timeout", timeout_ms=DurationMs(5_000)),
    ),
)


def snapshot(state: str, status: str, *, recorded: bool = True) -> InstanceSnapshot:
    instance = Instance(id="i", machine_name="M", current_state=state, status=status)  # type: ignore[arg-type]
    return InstanceSnapshot(instance=instance, snapshot_at=EpochMs(1), status_recorded=recorded)


@pytest.mark.parametrize(
    ("state", "status"), [("New", "active"), ("Paid", "active"), ("Done", "completed"), ("Bad", "error")]
)
def test_the_definition_decides_whether_an_instance_has_ended(state, status):
    assert lifecycle(state, machine=MACHINE, snapshot=snapshot(state, "error")).status == status


def test_without_a_definition_a_recorded_status_of_the_same_state_counts():
    assert lifecycle("Done", snapshot=snapshot("Done", "completed")).status == "completed"
    assert lifecycle("Done", snapshot=snapshot("Paid", "completed")).status == "unknown"
    assert lifecycle("Done", snapshot=snapshot("Done", "active", recorded=False)).status == "unknown"


def test_a_state_that_nobody_was_seen_to_leave_is_unknown_not_completed():
    found = lifecycle("Done", never_left=("Done",))

    assert found.status == "unknown"
    assert "no instance was ever seen to leave" in found.why


def test_a_state_that_others_left_is_active():
    assert lifecycle("Paid", never_left=("Done",)).status == "active"


def test_a_state_missing_from_the_definition_is_said_to_be_missing():
    assert "not in the definition" in lifecycle("Lost", machine=MACHINE).why


def test_an_observed_machine_counts_transitions_and_knows_initial_states_and_ends():
    seen = observed_machine(
        [
            (("", "INSTANCE_CREATED", "New"), 5),
            (("New", "PAY", "Paid"), 4),
            (("Paid", "NOTE", "Paid"), 9),
            (("New", "DROP", "Gone"), 1),
        ]
    )

    assert seen.states == ("New", "Gone", "Paid")
    assert (seen.initial, seen.created) == (("New",), 5)
    assert [(t.event, t.count) for t in seen.transitions] == [("NOTE", 9), ("PAY", 4), ("DROP", 1)]
    assert seen.never_left == ("Gone", "Paid"), "a self-loop does not leave"
    assert seen.entered("Paid") == 4


def test_what_moves_an_instance_on_is_what_the_definition_declares_with_how_often_it_was_seen():
    seen = observed_machine([(("New", "PAY", "Paid"), 4)])

    assert [(m.event, m.target, m.kind, m.timeout_ms, m.count) for m in moves("New", MACHINE, seen)] == [
        ("PAY", "Paid", "regular", None, 4),
        ("TIMEOUT", "Bad", "timeout", 5_000, 0),
    ]


def test_without_a_definition_what_was_observed_moves_it_on_most_frequent_first():
    seen = observed_machine([(("New", "DROP", "Gone"), 1), (("New", "PAY", "Paid"), 4), (("Paid", "X", "Y"), 7)])

    assert [(m.event, m.kind, m.count) for m in moves("New", None, seen)] == [
        ("PAY", "observed", 4),
        ("DROP", "observed", 1),
    ]


def test_a_self_loop_moves_nothing_on():
    seen = observed_machine([(("Paid", "NOTE", "Paid"), 9), (("Paid", "SHIP", "Done"), 2)])

    assert [move.event for move in moves("Paid", None, seen)] == ["SHIP"]


def test_the_definitions_say_who_sends_the_event_that_an_instance_waits_for():
    rule = CascadingRule(target_component="Shop", target_machine="M", target_state="New", event="PAY")
    elsewhere = CascadingRule(target_machine="M", target_state="New", event="PAY")
    bank = Component(
        name="Bank",
        machines=(
            StateMachine(
                name="Transfer",
                initial_state="Open",
                states=(State(name="Open"), State(name="Booked", cascading_rules=(rule, rule, elsewhere))),
                transitions=(
                    Transition(
                        source="Open",
                        target="Booked",
                        event="BOOK",
                        type="cross_component",
                        target_component="Shop",
                        target_machine="M",
                        target_event="PAY",
                    ),
                ),
            ),
        ),
    )

    found = senders([bank], "Shop", "M", "New", "PAY")

    assert found == (
        Sender(component="Bank", machine="Transfer", when="entering Booked"),
        Sender(component="Bank", machine="Transfer", when="Open → Booked on BOOK"),
    )
    assert senders([bank], "Shop", "M", "Paid", "PAY") == found[1:], "a cascade is for one state, a transition for any"
    assert moves("New", MACHINE, None, component="Shop", components=[bank])[0].senders == found
