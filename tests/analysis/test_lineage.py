from __future__ import annotations

import pytest

from xcstore.analysis.lineage import Place, declared_sources, find_place, is_common, is_masked
from xcstore.model.definition import CascadingRule, State, StateMachine, Transition
from xcstore.redaction import MASK

SENDING = StateMachine(
    name="M",
    initial_state="A",
    states=(
        State(name="A", type="entry"),
        State(
            name="B",
            cascading_rules=(
                CascadingRule(
                    target_machine="Desk",
                    target_state="Open",
                    target_component="Other",
                    event="TOLD",
                    payload={"order": "{{ref.id}}", "text": "order {{ref.id}}", "fixed": 7},
                ),
            ),
        ),
    ),
    transitions=(
        Transition(
            source="A",
            target="B",
            event="GO",
            type="cross_component",
            target_component="Other",
            target_machine="Kid",
            context_mapping={"town": "address.city", "number": "number"},
        ),
    ),
)


@pytest.mark.parametrize("value", [None, True, False, 0, 1, -1, 9, 2.0, "", "x", [], {}])
def test_values_that_stand_everywhere_say_nothing(value):
    assert is_common(value)
    assert find_place(value, ("f",), payload={"f": value}, values={"f": value}) is None


@pytest.mark.parametrize("value", [10, 0.5, -12, float("nan"), float("inf"), "no", [0], {"a": None}])
def test_other_values_say_something(value):
    assert not is_common(value)


def test_a_common_value_is_found_where_the_definition_names_the_place():
    found = find_place(1, ("f",), payload={}, values={"g": 1}, declared=(("values", ("g",)),))

    assert found == Place(within="values", path=("g",), how="declared")


def test_a_field_of_the_same_name_comes_before_another_and_what_was_held_before_what_was_brought():
    payload = {"other": "Bob", "deep": {"name": "Bob"}}

    assert find_place("Bob", ("name",), payload=payload, values={"x": "Bob", "name": "Bob"}) == Place(
        within="values", path=("name",), how="same name", others=3
    )
    assert find_place("Bob", ("name",), payload=payload, values={"x": "Bob"}) == Place(
        within="payload", path=("deep", "name"), how="same name", others=2
    )
    assert find_place("Bob", ("name",), payload={}, values={"x": "Bob"}) == Place(
        within="values", path=("x",), how="equal value"
    )
    assert find_place("Bob", ("name",), payload={"name": "bob"}, values={}) is None


def test_one_field_that_the_payload_was_merged_into_is_one_place():
    found = find_place("Bob", ("name",), payload={"initialContext": {"name": "Bob"}}, values={"name": "Bob"})

    assert found is not None
    assert found.others == 0


def test_lists_and_objects_are_found_whole():
    lines = [{"sku": "A", "n": 1}, {"sku": "B", "n": 2}]

    found = find_place(lines, ("basket",), payload={}, values={"order": {"lines": [dict(line) for line in lines]}})

    assert found == Place(within="values", path=("order", "lines"), how="equal value")
    assert find_place(lines, ("basket",), payload={}, values={"order": {"lines": lines[::-1]}}) is None


def test_a_document_nested_without_end_is_searched_as_far_as_the_limit():
    deep: object = "needle"
    for _ in range(20_000):
        deep = [deep]

    assert find_place("needle", ("f",), payload=deep, values={}) is None
    assert find_place("needle", ("f",), payload=[deep, "needle"], values={}) is None


def test_a_masked_value_is_known_as_such_wherever_the_mask_stands_in_it():
    assert is_masked(MASK)
    assert is_masked({"card": [{"number": MASK}]})
    assert not is_masked({"card": [{MASK: 1}]})


def test_a_mapping_takes_from_the_payload_what_it_holds_and_else_from_the_context(event):
    cause = event("c", 1, "A>B", payload={"number": 12})
    effect = event("e", 2, ">New", machine_name="Kid", component_name="Other")

    assert declared_sources(SENDING, cause, effect, ("initialContext", "town", "part")) == (
        ("values", ("address", "city", "part")),
    )
    assert declared_sources(SENDING, cause, effect, ("initialContext", "number")) == (("payload", ("number",)),)
    assert declared_sources(SENDING, cause, effect, ("initialContext", "unmapped")) == ()
    assert declared_sources(SENDING, cause, effect, ("triggerEvent",)) == ()


def test_a_cascade_takes_from_the_context_by_whole_placeholders_alone(event):
    cause = event("c", 1, "A>B", payload={"ref": {"id": 12}})
    effect = event("e", 2, "Open>Open", event_type="TOLD", machine_name="Desk", component_name="Other")

    assert declared_sources(SENDING, cause, effect, ("order",)) == (("values", ("ref", "id")),)
    assert declared_sources(SENDING, cause, effect, ("text",)) == ()
    assert declared_sources(SENDING, cause, effect, ("fixed",)) == ()


def test_what_another_transition_or_machine_does_is_not_taken_for_a_source(event):
    effect = event("e", 2, ">New", machine_name="Kid", component_name="Other")
    path = ("initialContext", "town")

    assert declared_sources(SENDING, event("c", 1, "B>A"), effect, path) == ()
    assert declared_sources(None, event("c", 1, "A>B"), effect, path) == ()
    stranger = event("e", 2, ">New", machine_name="Kid", component_name="Third")
    assert declared_sources(SENDING, event("c", 1, "A>B"), stranger, path) == ()
