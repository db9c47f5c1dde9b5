from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xcstore.analysis.context import (
    RULES_UNKNOWN,
    Change,
    agreement,
    diff,
    field_history,
    fold,
    leaf_paths,
    parse_path,
    path_text,
    same_json,
    value_at,
)
from xcstore.errors import QueryError
from xcstore.model.definition import MatchingRule, State, StateMachine, Transition

RULE = MatchingRule(event_property="orderId", instance_property="orderId")


def machine(*transitions: Transition, public_member_type: str | None = None) -> StateMachine:
    return StateMachine(
        name="M",
        initial_state="A",
        states=(State(name="A", type="entry"), State(name="B", exit_method="leaveB")),
        transitions=transitions,
        public_member_type=public_member_type,
    )


PLAIN = machine(Transition(source="A", target="B", event="GO"))
RULED = machine(Transition(source="A", target="B", event="GO", matching_rules=(RULE,)))


def test_a_creation_gives_its_initial_context(event):
    (step,) = fold([event("e1", 1, ">A", payload={"triggerEvent": "x", "initialContext": {"orderId": 7}})], PLAIN)

    assert step.values == {"orderId": 7}
    assert (step.source, step.merge, step.holder) == ("folded", "initial", "context")


def test_the_payload_is_merged_in_key_by_key_at_the_top_level_only(event):
    steps = fold(
        [
            event("e1", 1, ">A", payload={"initialContext": {"a": {"x": 1, "y": 2}, "b": 1}}),
            event("e2", 2, "A>B", payload={"a": {"x": 5}}),
        ],
        PLAIN,
    )

    assert steps[1].values == {"a": {"x": 5}, "b": 1}
    assert steps[1].merge == "merged"


def test_a_transition_with_matching_rules_leaves_the_payload_out(event):
    steps = fold([event("e1", 1, ">A", payload={}), event("e2", 2, "A>B", payload={"orderId": 7})], RULED)

    assert steps[1].values == {}
    assert steps[1].merge == "kept"


def test_without_a_definition_the_fold_says_that_matching_rules_are_unknown(event):
    steps = fold([event("e1", 1, ">A", payload={}), event("e2", 2, "A>B", payload={"orderId": 7})])

    assert steps[1].values == {"orderId": 7}
    assert steps[1].merge == "assumed"
    assert RULES_UNKNOWN in steps[1].notes
    assert steps[0].notes == ()


def test_a_transition_declared_both_with_and_without_rules_is_not_guessed(event):
    both = machine(
        Transition(source="A", target="B", event="GO", matching_rules=(RULE,)),
        Transition(source="A", target="B", event="GO"),
    )

    steps = fold([event("e1", 1, ">A", payload={}), event("e2", 2, "A>B", payload={"n": 1})], both)

    assert steps[1].merge == "assumed"


def test_recorded_values_win_and_a_difference_is_told_not_raised(event):
    steps = fold(
        [
            event("e1", 1, ">A", payload={"initialContext": {"n": 1}}, public_member_snapshot={"n": 1}),
            event("e2", 2, "A>B", payload={"m": 2}, public_member_snapshot={"n": 9, "m": 2}),
            event("e3", 3, "B>B", payload={"k": 3}),
        ],
        PLAIN,
    )

    assert [step.source for step in steps] == ["recorded", "recorded", "folded"]
    assert [step.agrees for step in steps] == [True, False, None]
    assert steps[1].folded == {"n": 1, "m": 2}
    assert steps[2].values == {"n": 9, "m": 2, "k": 3}, "the fold goes on from what was recorded"
    assert agreement(steps).recorded == 2
    assert agreement(steps).rate == 0.5


def test_user_code_that_ran_before_the_event_was_stored_is_named(event):
    steps = fold([event("e1", 1, ">B", payload={}), event("e2", 2, "B>A", payload={})], PLAIN)

    assert any("leaveB" in note for note in steps[1].notes)


def test_a_history_that_starts_late_or_breaks_says_so(event):
    steps = fold([event("e5", 5, "A>B", payload={}), event("e6", 6, "A>B", payload={})], PLAIN)

    assert "history starts before" in steps[0].notes[0]
    assert "chain breaks" in steps[1].notes[0]


@pytest.mark.parametrize("payload", [None, "text", 7, [1, 2], {}])
def test_a_payload_that_is_no_object_changes_nothing(event, payload):
    steps = fold([event("e1", 1, ">A", payload={"initialContext": {"n": 1}}), event("e2", 2, "A>B", payload=payload)])

    assert steps[1].values == {"n": 1}
    assert steps[1].merge == "nothing"


def test_a_machine_with_a_public_member_holds_its_values_there(event):
    (step,) = fold([event("e1", 1, ">A", payload={})], machine(public_member_type="Order"))

    assert step.holder == "public member"


def test_the_fold_leaves_payloads_and_recorded_values_untouched(event):
    recorded = {"n": {"k": 1}}
    payload = {"n": {"k": 2}}

    fold([event("e1", 1, ">A", payload={}, context=recorded), event("e2", 2, "A>B", payload=payload)])

    assert recorded == {"n": {"k": 1}}
    assert payload == {"n": {"k": 2}}


def test_a_difference_is_told_leaf_by_leaf():
    before = {"a": {"x": 1, "y": [1, 2]}, "gone": 1, "same": None}
    after = {"a": {"x": 2, "y": [1, 3, 4]}, "same": None, "new": {"deep": True}, "empty": {}}

    assert diff(before, after) == (
        Change(path=("a", "x"), kind="changed", old=1, new=2),
        Change(path=("a", "y", 1), kind="changed", old=2, new=3),
        Change(path=("a", "y", 2), kind="added", old=None, new=4),
        Change(path=("gone",), kind="removed", old=1, new=None),
        Change(path=("new", "deep"), kind="added", old=None, new=True),
        Change(path=("empty",), kind="added", old=None, new={}),
    )


def test_a_value_that_changes_its_kind_is_one_change():
    assert diff({"a": {"x": 1}}, {"a": [1]}) == (Change(path=("a",), kind="changed", old={"x": 1}, new=[1]),)
    assert diff({"a": 1}, {"a": True}) == (Change(path=("a",), kind="changed", old=1, new=True),)
    assert diff({"a": 1}, {"a": 1.0}) == ()


def test_what_is_no_number_is_the_same_as_itself_and_as_nothing_else():
    nan, other = float("nan"), float("nan")

    assert same_json({"rate": [nan]}, {"rate": [other]})
    assert diff({"rate": nan}, {"rate": other}) == ()
    for value in (0, None, "NaN", False, float("inf"), [nan], {}):
        assert not same_json(nan, value)
        assert not same_json(value, nan)


def test_documents_nested_deeper_than_the_stack_are_compared():
    one: object = 1
    two: object = 2
    for _ in range(3_000):
        one, two = {"k": one}, {"k": two}

    (change,) = diff(one, two)

    assert len(change.path) == 3_000
    assert not same_json(one, two)
    assert len(leaf_paths([one])) == 1


def test_the_history_of_a_field_names_the_event_and_where_the_value_stood_in_its_payload(event):
    steps = fold(
        [
            event("e1", 1, ">A", payload={"initialContext": {"price": 10}}),
            event("e2", 2, "A>B", payload={"note": "x"}),
            event("e3", 3, "B>B", payload={"price": 12}),
            event("e4", 4, "B>B", payload={"total": {"amount": 99}}, context={"price": 99}),
            event("e5", 5, "B>B", payload={}, context={"price": 55}),
            event("e6", 6, "B>B", payload={}, context={}),
        ]
    )

    found = field_history(steps, ("price",))

    assert [(f.step.event.id, f.change.kind, f.change.new) for f in found] == [
        ("e1", "added", 10),
        ("e3", "changed", 12),
        ("e4", "changed", 99),
        ("e5", "changed", 55),
        ("e6", "removed", None),
    ]
    assert [(f.origin.path, f.origin.how) if f.origin else None for f in found] == [
        (("initialContext", "price"), "same place"),
        (("price",), "same place"),
        (("total", "amount"), "equal value"),
        None,
        None,
    ]


def test_a_value_that_is_everywhere_is_no_hint_of_where_it_came_from(event):
    steps = fold([event("e1", 1, ">A", payload={"initialContext": {}, "other": True}, context={"done": True})])

    assert field_history(steps, ("done",))[0].origin is None


def test_a_field_within_an_object_that_came_whole_has_a_history_too(event):
    steps = fold([event("e1", 1, ">A", payload={"initialContext": {"a": {"b": [{"c": 5}]}}})])

    (found,) = field_history(steps, ("a", "b", 0, "c"))

    assert found.change.new == 5
    assert found.origin is not None
    assert found.origin.path == ("initialContext", "a", "b", 0, "c")


keys = st.one_of(st.text(min_size=1, max_size=6), st.sampled_from(["a.b", '"', "\\", "[0]", "", " ", "0", "é"]))


@given(st.lists(st.one_of(keys, st.integers(0, 999)), max_size=6).map(tuple))
def test_a_path_reads_back_as_it_was_written(path):
    assert parse_path(path_text(path)) == path


@pytest.mark.parametrize("text", ["a..b", ".a", "a[", "a[x]", 'a["x]', "a b", "a.", "[-1]"])
def test_what_is_no_path_is_refused_with_an_example(text):
    with pytest.raises(QueryError, match="write it like"):
        parse_path(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x", float("nan")]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", ""]), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, json_values)
def test_a_difference_is_empty_exactly_when_the_values_are_equal_and_holds_both_sides(one, two):
    changes = diff(one, two)

    assert (changes == ()) == same_json(one, two)
    missing = object()
    for change in changes:
        old, new = value_at(one, change.path, missing), value_at(two, change.path, missing)
        assert (old is missing) == (change.kind == "added")
        assert (new is missing) == (change.kind == "removed")
        assert change.kind == "added" or same_json(old, change.old)
        assert change.kind == "removed" or same_json(new, change.new)
