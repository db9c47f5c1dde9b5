"""Comparisons, paths and templates: what JavaScript would say."""

from __future__ import annotations

import pytest

from xcstore.model.definition import MatchingRule
from xcstore.runtime.matching import MISSING, compare, fill_template, js_text, map_context, rules_hold, value_at


@pytest.mark.parametrize(
    ("left", "operator", "right", "holds"),
    [
        (None, "<", 10, True),
        (None, ">=", 0, True),
        ("10", ">=", 10, True),
        ("9", "<", "10", False),  # two texts compare as text
        ("abc", "<", 10, False),  # not a number: nothing holds
        ("abc", ">=", 10, False),
        (True, "<", 2, True),
        ("", "<", 1, True),
        ([5], "<", 6, True),
        ({}, "<", 6, False),
        ("0x10", "<", 17, True),
        ("1_000", "<", 10**9, False),  # Python's digit groups are not JavaScript's
        (10, "===", 10.0, True),
        ("10", "===", 10, False),
        (1, "===", True, False),
        (None, "===", None, True),
        ([1], "===", [1], False),  # two lists are never the same one
        ("10", "!==", 10, True),
        (1, "!==", 1, False),
    ],
)
def test_values_compare_as_in_javascript(left, operator, right, holds):
    assert compare(left, operator, right) is holds


def test_the_instance_stands_on_the_left_of_a_rule():
    below = MatchingRule(event_property="threshold", instance_property="balance", operator="<")

    assert rules_hold([below], {"threshold": 10}, {"balance": 5})
    assert not rules_hold([below], {"threshold": 5}, {"balance": 10})


@pytest.mark.parametrize("operator", ["===", "!==", "<", ">="])
def test_a_value_that_is_missing_on_either_side_fails_the_rule(operator):
    rule = MatchingRule(event_property="a", instance_property="b", operator=operator)

    assert not rules_hold([rule], {}, {"b": 1})
    assert not rules_hold([rule], {"a": 1}, {})
    assert not rules_hold([rule], {}, {})


def test_all_rules_have_to_hold():
    same = MatchingRule(event_property="a", instance_property="a")
    other = MatchingRule(event_property="b", instance_property="b")

    assert rules_hold([same, other], {"a": 1, "b": 2}, {"a": 1, "b": 2})
    assert not rules_hold([same, other], {"a": 1, "b": 2}, {"a": 1, "b": 3})


def test_a_path_goes_through_objects_and_lists_and_tells_null_from_nothing():
    data = {"a": {"b": [{"c": 1}, None]}}

    assert value_at(data, "a.b.0.c") == 1
    assert value_at(data, "a.b.1") is None
    assert value_at(data, "a.b.2") is MISSING
    assert value_at(data, "a.b.1.c") is MISSING


def test_a_template_replaces_whole_strings_in_objects_but_not_in_lists_or_within_text():
    template = {"v": "{{x}}", "w": "{{ n.d }}", "text": "x={{x}}", "deep": {"z": "{{y}}"}, "list": ["{{x}}"], "k": 3}

    filled = fill_template(template, {"x": 7, "n": {"d": None}, "y": {"any": ["thing"]}})

    assert filled == {
        "v": 7,
        "w": None,
        "text": "x={{x}}",
        "deep": {"z": {"any": ["thing"]}},
        "list": ["{{x}}"],
        "k": 3,
    }


def test_a_template_leaves_out_what_is_not_there():
    assert fill_template({"a": "{{nope}}", "b": {"c": "{{nope.at.all}}"}}, {}) == {"b": {}}


def test_a_template_is_not_code():
    assert fill_template({"a": "{{__import__('os').getcwd()}}"}, {}) == {}


def test_without_a_mapping_everything_is_handed_over():
    assert map_context(None, {"a": 1, "b": 2}) == {"a": 1, "b": 2}
    assert map_context({}, {"a": 1}) == {}
    assert map_context({"order": "o.id", "gone": "x.y"}, {"o": {"id": 5}}) == {"order": 5}


@pytest.mark.parametrize(
    ("value", "text"),
    [(42, "42"), (42.0, "42"), (1.5, "1.5"), ("42", "42"), (None, "null"), (False, "false"), ({}, "[object Object]")],
)
def test_values_are_indexed_by_their_text(value, text):
    assert js_text(value) == text
