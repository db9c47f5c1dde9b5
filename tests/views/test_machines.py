from __future__ import annotations

from dataclasses import replace

import pandas as pd

from xcstore.analysis.lifecycle import observed_machine
from xcstore.model.definition import MatchingRule, State, StateMachine, Transition
from xcstore.queries.machines import MachineFacts, Sample
from xcstore.store.base import StateCount
from xcstore.units import DurationMs, EpochMs
from xcstore.views.machines import arrows, build, picked, state_kind, state_text

RULE = MatchingRule(event_property="a", instance_property="a")
MACHINE = StateMachine(
    name="Order",
    initial_state="New",
    states=(State(name="New"), State(name="Paid"), State(name="Done", type="final"), State(name="Lost", type="error")),
    transitions=(
        Transition(source="New", target="Paid", event="PAY"),
        Transition(source="New", target="Paid", event="PAY", matching_rules=(RULE,)),
        Transition(source="Paid", target="Done", event="SHIP"),
        Transition(source="Paid", target="Lost", event="TIMEOUT", type="timeout", timeout_ms=DurationMs(5_000)),
    ),
)
COUNTS = (
    (("", "INSTANCE_CREATED", "New"), 10),
    (("New", "PAY", "Paid"), 8),
    (("New", "SKIP", "Done"), 2),
    (("Paid", "SHIP", "Done"), 5),
    (("Done", "ODD", "Strange"), 1),
)


def facts(**more: object) -> MachineFacts:
    here = [("New", 0), ("Paid", 3), ("Done", 6), ("Strange", 1)]
    states = tuple(
        StateCount(
            component_name="Shop",
            machine_name="Order",
            state=state,
            count=count,
            oldest_updated_at=EpochMs(0),
            newest_updated_at=EpochMs(0),
        )
        for state, count in here
        if count
    )
    sample = pd.DataFrame(
        {
            "id": ["a", "b", "c"],
            "instance_id": ["i", "i", "i"],
            "component_name": ["Shop"] * 3,
            "machine_name": ["Order"] * 3,
            "state_before": ["", "New", "Paid"],
            "state_after": ["New", "Paid", "Done"],
            "persisted_at_ms": [0, 60_000, 3_660_000],
        }
    )
    values: dict[str, object] = {
        "transitions": COUNTS,
        "states": states,
        "sample": Sample(events=sample, instances=1),
        **more,
    }
    return MachineFacts(component="Shop", machine="Order", **values)  # type: ignore[arg-type]


def test_declared_and_observed_are_one_diagram_with_what_differs_marked():
    view = build(facts(), MACHINE)

    nodes = {node.label: node for node in view.diagram.nodes}
    assert list(nodes) == ["New", "Paid", "Done", "Lost", "Strange"]
    assert [node.count for node in nodes.values()] == [10, 8, 7, 0, 1]
    assert [name for name, node in nodes.items() if node.never_reached] == ["Lost"]
    assert [name for name, node in nodes.items() if node.undeclared] == ["Strange"]
    assert nodes["Paid"].sublabel == "3 now · median 1 h"
    kinds = {(edge.source, edge.label): (edge.kind, edge.count, edge.taken) for edge in view.diagram.edges}
    assert kinds == {
        ("s:New", "PAY"): ("declared", 8, None),
        ("s:Paid", "SHIP"): ("declared", 5, None),
        ("s:Paid", "TIMEOUT"): ("timeout", 0, False),
        ("s:New", "SKIP"): ("undeclared", 2, None),
        ("s:Done", "ODD"): ("undeclared", 1, None),
    }


def test_a_state_that_only_a_transition_names_is_drawn_and_marked():
    refund = Transition(source="Paid", target="Refunded", event="REFUND")
    back = Transition(source="Nowhere", target="New", event="BACK")
    machine = replace(MACHINE, transitions=(*MACHINE.transitions, refund, back))

    view = build(facts(), machine)

    nodes = {node.label: node for node in view.diagram.nodes}
    assert list(nodes) == ["New", "Paid", "Done", "Lost", "Refunded", "Nowhere", "Strange"]
    assert [name for name, node in nodes.items() if node.undeclared] == ["Refunded", "Nowhere", "Strange"]
    assert [nodes[name].kind for name in ("Refunded", "Nowhere")] == ["unknown", "unknown"]
    assert nodes["Refunded"].never_reached
    ends = {node.id for node in view.diagram.nodes}
    assert all({edge.source, edge.target} <= ends for edge in view.diagram.edges)
    remarks = {row["state"]: row["remark"] for row in view.state_rows}
    assert (remarks["? Refunded"], remarks["? Strange"]) == ("not declared, never observed", "not declared")
    assert "Paid → Refunded on REFUND" in view.never_reached
    assert "state Refunded" not in (*view.never_reached, *view.never_declared)


def test_what_was_never_reached_and_what_was_never_declared_is_listed():
    view = build(facts(), MACHINE)

    assert view.never_reached == ("state Lost", "Paid → Lost on TIMEOUT")
    assert view.never_declared == (
        "state Strange",
        "New → Done on SKIP (2 times)",
        "Done → Strange on ODD (1 time)",
    )


def test_without_a_definition_nothing_is_called_undeclared_or_unreached():
    view = build(facts(), None)

    assert view.never_reached == ()
    assert view.never_declared == ()
    assert {edge.kind for edge in view.diagram.edges} == {"observed"}
    assert not any(node.undeclared or node.never_reached for node in view.diagram.nodes)
    assert view.summary.startswith("observed; no definition is known")


def test_a_machine_that_was_only_declared_is_drawn_all_faded():
    view = build(facts(transitions=(), states=(), sample=Sample(events=pd.DataFrame(), instances=0)), MACHINE)

    assert all(node.never_reached for node in view.diagram.nodes)
    assert all(edge.taken is False for edge in view.diagram.edges)
    assert view.instances == 0


def test_durations_say_how_many_instances_they_were_taken_from():
    assert "the latest 1 of 10 instances" in build(facts(), MACHINE).dwell_note
    assert "which is all" in build(facts(states=facts().states[-1:]), MACHINE).dwell_note


def test_the_tables_say_what_the_diagram_shows():
    view = build(facts(), MACHINE)

    rows = {row["state"]: row for row in view.state_rows}
    assert list(rows) == ["● New", "○ Paid", "◎ Done", "✕ Lost", "? Strange"]
    assert (rows["○ Paid"]["instances now"], rows["○ Paid"]["times entered"]) == (3, 8)
    assert (rows["○ Paid"]["median stay"], rows["○ Paid"]["stays measured"]) == ("1 h", 1)
    assert [rows[name]["remark"] for name in ("✕ Lost", "? Strange")] == ["never observed", "not declared"]
    assert [(row["event"], row["observed"], row["after"]) for row in view.transition_rows] == [
        ("PAY", 8, "–"),
        ("SHIP", 5, "–"),
        ("TIMEOUT", 0, "5 s"),
        ("SKIP", 2, "–"),
        ("ODD", 1, "–"),
    ]


def test_a_click_means_the_state_or_the_transition_it_was_on():
    along = arrows(MACHINE, observed_machine(COUNTS))

    state = picked("s:a:b", along)
    arrow = picked("t:1", along)
    assert state is not None
    assert state.state == "a:b"
    assert arrow is not None
    assert arrow.arrow is not None
    assert arrow.arrow.event == "SHIP"
    assert [picked(click, along) for click in (None, "", "t:99", "t:x", "x:1")] == [None] * 5


def test_the_initial_state_is_an_entry_even_without_a_type():
    assert state_kind(MACHINE, "New") == "entry"
    assert state_kind(MACHINE, "Paid") == "regular"
    assert state_kind(None, "New") == "unknown"
    assert state_text(MACHINE, "") == "? (none)"
