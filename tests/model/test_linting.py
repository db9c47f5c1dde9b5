"""What is legal in a component, but surely not meant."""

from __future__ import annotations

import pytest

from xcstore.model.linting import RULES, lint
from xcstore.model.loader import parse_component, parse_components

HEAD = "name: A\nstateMachines:\n  - name: M\n    initialState: S\n"


def findings(text):
    return [(finding.rule, finding.path) for finding in lint(parse_components(text))]


def machine(states, transitions, more=""):
    return f"{HEAD}    states: [{states}]\n    transitions: [{transitions}]\n{more}"


CASES = {
    "unreachable-state": (
        machine("{name: S}, {name: Lost}", "{from: S, to: S, event: E}, {from: Lost, to: S, event: E}"),
        ("states", 1),
    ),
    "dead-end": (machine("{name: S}, {name: T}", "{from: S, to: T, event: E}"), ("states", 1)),
    "transition-from-end": (
        machine("{name: S}, {name: T, type: final}", "{from: S, to: T, event: E}, {from: T, to: S, event: F}"),
        ("transitions", 1),
    ),
    "ambiguous-transitions": (
        machine("{name: S}, {name: T, type: final}", "{from: S, to: S, event: E}, {from: S, to: T, event: E}"),
        ("transitions", 1),
    ),
    "unknown-component": (
        machine(
            "{name: S}",
            "{from: S, to: S, event: E, type: cross_component, targetComponent: B, targetMachine: N}",
        ),
        ("transitions", 0),
    ),
    "unknown-machine": (
        machine("{name: S}", "{from: S, to: S, event: E, type: inter_machine, targetMachine: N}"),
        ("transitions", 0),
    ),
    "unknown-state": (
        machine(
            "{name: S, cascadingRules: [{targetMachine: M, targetState: Nowhere, event: E}]}",
            "{from: S, to: S, event: E}",
        ),
        ("states", 0, "cascadingRules", 0),
    ),
    "unknown-event": (
        machine(
            "{name: S, cascadingRules: [{targetMachine: M, targetState: S, event: F}]}",
            "{from: S, to: S, event: E}",
        ),
        ("states", 0, "cascadingRules", 0),
    ),
    "no-target": (machine("{name: S}", "{from: S, to: S, event: E, type: cross_component}"), ("transitions", 0)),
    "unknown-property": (
        machine(
            "{name: S}",
            "{from: S, to: S, event: E, matchingRules: [{eventProperty: id, instanceProperty: orderID}]}",
            "    contextSchema: {orderId: {type: text}}\n",
        ),
        ("transitions", 0, "matchingRules", 0),
    ),
    "timeout-without-duration": (
        machine("{name: S}", "{from: S, to: S, event: E, type: timeout, timeoutMs: 0}"),
        ("transitions", 0),
    ),
    "unused-timeout": (machine("{name: S}", "{from: S, to: S, event: E, timeoutMs: 500}"), ("transitions", 0)),
    "endless-auto": (
        machine(
            "{name: S}, {name: T}",
            "{from: S, to: T, event: E, type: auto}, {from: T, to: T, event: G},{from: T, to: S, event: F, type: auto}",
        ),
        ("transitions", 0),
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_finds_its_fault_where_it_is(rule):
    text, path = CASES[rule]

    found = findings(text)

    assert (rule, ("stateMachines", 0, *path)) in found
    assert {name for name, _ in found} == {rule}


@pytest.mark.parametrize(
    "text",
    [
        machine("{name: S}, {name: T, type: final}", "{from: S, to: S, event: E}, {from: S, to: T, event: F}"),
        # One with rules, one without: the second is for all others.
        machine(
            "{name: S}, {name: T, type: error}",
            "{from: S, to: S, event: E, matchingRules: [{eventProperty: a, instanceProperty: a}]},"
            "{from: S, to: T, event: E}",
        ),
        # Rules that differ by their operator alone.
        machine(
            "{name: S}, {name: T, type: final}",
            "{from: S, to: S, event: E, matchingRules: [{eventProperty: a, instanceProperty: a, operator: <}]},"
            "{from: S, to: T, event: E, matchingRules: [{eventProperty: a, instanceProperty: a, operator: '>='}]}",
        ),
        # A circle of autos with a delay in it ends each time.
        machine(
            "{name: S}, {name: T}",
            "{from: S, to: T, event: E, type: auto}, {from: T, to: S, event: F, type: auto, timeoutMs: 1000}",
        ),
        machine(
            "{name: S}",
            "{from: S, to: S, event: E, matchingRules: [{eventProperty: id, instanceProperty: order.id}]}",
            "    contextSchema: {order: {type: object}}\n",
        ),
    ],
)
def test_what_is_meant_is_not_found(text):
    assert findings(text) == []


def test_no_way_leads_through_a_state_where_instances_end():
    text = machine(
        "{name: S}, {name: T, type: error}, {name: U, type: final}",
        "{from: S, to: T, event: E}, {from: T, to: U, event: F}",
    )

    assert {rule for rule, _ in findings(text)} == {"transition-from-end", "unreachable-state"}


def test_a_way_to_another_component_is_looked_at_in_all_that_are_given():
    text = """
A:
  name: A
  stateMachines:
    - name: M
      initialState: S
      states: [{name: S}]
      transitions:
        - {from: S, to: S, event: E, type: cross_component, targetComponent: B, targetMachine: N, targetEvent: GO}
        - {from: S, to: S, event: F, type: cross_component, targetComponent: B, targetMachine: N, targetEvent: GONE}
B:
  name: B
  stateMachines:
    - {name: N, initialState: T, states: [{name: T}], transitions: [{from: T, to: T, event: GO}]}
"""

    assert findings(text) == [("unknown-event", ("stateMachines", 0, "transitions", 1))]


def test_rules_of_a_way_to_another_component_are_about_the_instances_there():
    text = """
A:
  name: A
  stateMachines:
    - name: M
      initialState: S
      contextSchema: {orderId: {type: text}}
      states: [{name: S}]
      transitions:
        - from: S
          to: S
          event: E
          type: cross_component
          targetComponent: B
          targetMachine: N
          targetEvent: GO
          matchingRules: [{eventProperty: id, instanceProperty: ref}, {eventProperty: id, instanceProperty: orderId}]
B:
  name: B
  stateMachines:
    - name: N
      initialState: T
      contextSchema: {ref: {type: text}}
      states: [{name: T}]
      transitions: [{from: T, to: T, event: GO}]
"""

    assert findings(text) == [
        ("unknown-property", ("stateMachines", 0, "transitions", 0, "matchingRules", 1)),
    ]


def test_news_for_a_parent_that_does_not_take_them_are_found():
    text = """
name: A
stateMachines:
  - name: Parent
    initialState: S
    states: [{name: S}]
    transitions:
      - {from: S, to: S, event: MAKE, type: inter_machine, targetMachine: Child}
      - {from: S, to: S, event: DONE}
  - name: Child
    initialState: T
    parentLink: {enabled: true, onStateChange: MOVED}
    states: [{name: T}]
    transitions:
      - {from: T, to: T, event: E, notifyParent: {event: DONE}}
      - {from: T, to: T, event: F, notifyParent: true}
"""

    assert findings(text) == [
        ("unknown-event", ("stateMachines", 1, "parentLink")),
        ("unknown-event", ("stateMachines", 1, "transitions", 1, "notifyParent")),
    ]


@pytest.mark.parametrize("more", ["", ", type: auto", ", type: timeout, timeoutMs: 5"])
def test_a_transition_to_a_state_that_is_not_there_is_found_as_the_loader_lets_it_pass(more):
    component = parse_component(machine("{name: S}", f"{{from: S, to: Ghost, event: E{more}}}"))

    (finding,) = lint([component])

    assert finding.rule == "unknown-state"
    assert finding.path == ("stateMachines", 0, "transitions", 0, "to")
    assert finding.message == "machine 'M': 'to' of S -> Ghost (E) names no state; there are S"


def test_a_message_says_what_is_wrong_and_what_there_is():
    component = parse_component(CASES["unknown-machine"][0])

    (finding,) = lint([component])

    assert finding.message == ("machine 'M': S -> S (E) leads to the machine 'N', which 'A' does not have; it has M")
    assert finding.component == "A"


def test_a_circle_of_thousands_of_states_is_found_whole():
    count = 2_000
    states = ",".join(f"{{name: s{n}}}" for n in range(count))
    transitions = ",".join(f"{{from: s{n}, to: s{(n + 1) % count}, event: E, type: auto}}" for n in range(count))
    text = f"name: A\nstateMachines: [{{name: M, initialState: s0, states: [{states}], transitions: [{transitions}]}}]"

    found = findings(text)
    assert {rule for rule, _ in found} == {"endless-auto"}
    assert len(found) == count
