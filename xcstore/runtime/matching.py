"""Matching rules, paths and templates. Documents are data: nothing here evaluates text as code.

Values compare as in JavaScript, because the stored histories were decided by it: `null < 10` holds, and so does
`'10' >= 10`, while `===` asks for the same kind of value (ECMA-262, "IsLessThan" and "IsStrictlyEqual").
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, get_args

from xcstore.errors import InvalidEventError
from xcstore.model.definition import MatchingRule, Operator

__all__ = [
    "MISSING",
    "PropertyFilter",
    "compare",
    "filter_rules",
    "fill_template",
    "js_text",
    "map_context",
    "rules_hold",
    "value_at",
]


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
"""What JavaScript calls undefined: nothing is there. Not None, which is null."""

_PLACEHOLDER: Final = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
_NUMBER: Final = re.compile(r"[+-]?(Infinity|(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)")


def value_at(root: object, path: str) -> object:
    """The value at a dotted path through objects and lists, or `MISSING`.

    >>> value_at({"a": {"b": [10, 20]}}, "a.b.1")
    20
    >>> value_at({"a": None}, "a.b")
    MISSING
    """
    value = root
    for key in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(key, MISSING)
        elif isinstance(value, list | tuple) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return MISSING
    return value


@dataclass(frozen=True, slots=True)
class PropertyFilter:
    """Chooses instances by one of their properties: a dotted path, compared with a value."""

    property: str
    value: object = field(hash=False)
    operator: Operator = "==="

    def __post_init__(self) -> None:
        if self.operator not in get_args(Operator):
            known = " ".join(get_args(Operator))
            raise InvalidEventError(f"operator is {self.operator!r}; it must be one of {known}")


def filter_rules(filters: Iterable[PropertyFilter]) -> tuple[tuple[MatchingRule, ...], dict[str, object]]:
    """Filters as rules, and what these compare with.

    >>> rules, wanted = filter_rules([PropertyFilter("order.amount", 10, ">=")])
    >>> rules_hold(rules, wanted, {"order": {"amount": 12}})
    True
    """
    chosen = tuple(filters)
    for one in chosen:
        if not isinstance(one, PropertyFilter):
            raise InvalidEventError(f"a filter is of type {type(one).__name__}; give PropertyFilter(property, value)")
    rules = tuple(
        MatchingRule(event_property=str(number), instance_property=one.property, operator=one.operator)
        for number, one in enumerate(chosen)
    )
    return rules, {str(number): one.value for number, one in enumerate(chosen)}


def rules_hold(rules: Iterable[MatchingRule], payload: object, properties: Mapping[str, object]) -> bool:
    """Whether every rule holds between an event's payload and an instance's properties.

    The instance's value stands on the left: `{event: threshold, instance: balance, operator: '<'}` asks whether
    the balance is below the threshold. A value that is missing on either side fails the rule.
    """
    for rule in rules:
        wanted = value_at(payload, rule.event_property)
        found = value_at(properties, rule.instance_property)
        if wanted is MISSING or found is MISSING or not compare(found, rule.operator, wanted):
            return False
    return True


def compare(left: object, operator: Operator, right: object) -> bool:
    """Compare two JSON values as JavaScript does.

    >>> compare(None, "<", 10), compare("10", ">=", 10), compare("10", "===", 10)
    (True, True, False)
    """
    if operator == "===":
        return _strictly_equal(left, right)
    if operator == "!==":
        return not _strictly_equal(left, right)
    a, b = _primitive(left), _primitive(right)
    if isinstance(a, str) and isinstance(b, str):
        # JavaScript orders text by UTF-16 code units.
        return _ordered(a.encode("utf-16-be", "surrogatepass"), operator, b.encode("utf-16-be", "surrogatepass"))
    return _ordered(_number(a), operator, _number(b))


def fill_template(template: object, values: Mapping[str, object]) -> object:
    """Replace each string that is one placeholder as a whole by the value at its path.

    Text around a placeholder, and lists, stay as they are; a path that leads nowhere leaves its key out.

    >>> fill_template({"id": "{{order.id}}", "text": "id={{order.id}}", "gone": "{{x}}"}, {"order": {"id": 7}})
    {'id': 7, 'text': 'id={{order.id}}'}
    """
    if isinstance(template, str):
        placeholder = _PLACEHOLDER.fullmatch(template)
        return value_at(values, placeholder[1]) if placeholder else template
    if isinstance(template, Mapping):
        filled = {key: fill_template(value, values) for key, value in template.items()}
        return {key: value for key, value in filled.items() if value is not MISSING}
    return template


def map_context(mapping: Mapping[str, str] | None, values: Mapping[str, object]) -> dict[str, object]:
    """What is handed to another machine: `{target: source path}` applied to `values`, or all of them.

    >>> map_context({"id": "order.id", "gone": "x"}, {"order": {"id": 7}})
    {'id': 7}
    """
    if mapping is None:
        return dict(values)
    found = {target: value_at(values, source) for target, source in mapping.items()}
    return {target: value for target, value in found.items() if value is not MISSING}


def js_text(value: object) -> str:
    """A JSON value as JavaScript's String() writes it: what the property index is keyed by.

    >>> js_text(42), js_text(42.0), js_text(True), js_text([1, None, "a"])
    ('42', '42', 'true', '1,,a')
    """
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
    if isinstance(value, list | tuple):
        return ",".join("" if item is None else js_text(item) for item in value)
    return "[object Object]" if isinstance(value, Mapping) else str(value)


def _strictly_equal(left: object, right: object) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right
    # Objects and lists are equal in JavaScript only when they are the same object, which values from two
    # documents never are.
    return (left is None and right is None) or (isinstance(left, str) and left == right)


def _primitive(value: object) -> object:
    return js_text(value) if isinstance(value, Mapping | list | tuple) else value


def _number(value: object) -> float:
    if value is None:
        return 0
    if isinstance(value, int | float):
        return value
    text = str(value).strip()
    if not text:
        return 0
    if _NUMBER.fullmatch(text):
        return float(text)
    if re.fullmatch(r"0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+", text):
        return int(text, 0)
    return math.nan


def _ordered(a: float | bytes, operator: Operator, b: float | bytes) -> bool:
    if operator == "<":
        return a < b  # type: ignore[operator]  # both are numbers, or both are text
    if operator == ">":
        return a > b  # type: ignore[operator]
    if operator == "<=":
        return a <= b  # type: ignore[operator]
    return a >= b  # type: ignore[operator]
