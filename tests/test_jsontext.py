"""JSON text that loses nothing."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xcstore.jsontext import NestingError, canonical_json, json_text, parse_json

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def text_of(document: object) -> str:
    """JSON text that shows the order of keys and the kind of every number."""
    return json.dumps(document)


@settings(deadline=None)
@given(json_values)
def test_json_text_and_parsing_lose_nothing(value: object) -> None:
    assert text_of(parse_json(json_text(value))) == text_of(value)


@settings(deadline=None)
@given(st.dictionaries(st.text(), json_values))
def test_canonical_json_is_the_same_for_every_order_of_keys(value: dict[str, object]) -> None:
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


def test_integers_stay_exact_at_any_size() -> None:
    assert parse_json("[18446744073709551616, -9223372036854775809]") == [2**64, -(2**63) - 1]
    assert canonical_json({"b": 2**64, "a": 0.1}) == '{"a":0.1,"b":18446744073709551616}'


def test_half_a_surrogate_pair_is_read_and_written_as_an_escape() -> None:
    assert parse_json('"\\ud800"') == "\ud800"
    assert json_text({"a": "\ud800é"}) == '{"a":"\\ud800\\u00e9"}'


def test_not_a_number_is_written_as_null_like_javascript_does() -> None:
    assert json_text([math.nan, 1]) == "[null,1]"
    assert json_text([math.inf, 2**64]) == "[null,18446744073709551616]"


def test_what_json_has_no_form_for_becomes_text() -> None:
    value = {"at": datetime(2026, 1, 1, tzinfo=UTC), "map": MappingProxyType({"a": 1}), "set": {2, 1}, "c": 1j}

    expected = '{"at":"2026-01-01T00:00:00+00:00","map":{"a":1},"set":["1","2"],"c":"1j"}'
    assert json_text(value) == expected
    assert json_text([value, 2**64]) == f"[{expected},18446744073709551616]"


def test_too_deep_nesting_is_one_kind_of_error_in_both_directions() -> None:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]

    for work in (json_text, canonical_json):
        with pytest.raises(NestingError):
            work(deep)
    with pytest.raises(NestingError):
        parse_json("[" * 100_000 + "]" * 100_000)


@pytest.mark.parametrize("text", ["", "{", "[1,]", "tru", "{'a': 1}", b"\xff\xfe"])
def test_what_is_not_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # several kinds, one family
        parse_json(text)
