"""What the conditions mean; that every backend answers so is in tests/contract."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import event
from xcstore.store.filtering import MISSING, number_of, path_matches, payload_texts, text_matches, value_at

words = st.text(min_size=1, max_size=5)
values = st.recursive(
    words | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=10,
)


@given(values, st.data())
def test_each_key_and_scalar_of_a_payload_is_found(payload: object, data: st.DataObject) -> None:
    texts = list(payload_texts(payload))
    if texts:
        assert text_matches(event(payload=payload), data.draw(st.sampled_from(texts)))


def test_a_payload_nested_a_hundred_thousand_times_is_searched() -> None:
    payload: object = "needle"
    for _ in range(100_000):
        payload = [payload]

    assert list(payload_texts(payload)) == ["needle"]
    assert value_at(payload, ("0",) * 100_000) == "needle"


@pytest.mark.parametrize(
    ("text", "number"),
    [("42", 42), ("-1.50", Decimal("-1.5")), ("1e3", 1000), ("0", 0), ("-0", 0), ("1E+2", 100)],
)
def test_a_number_is_what_json_writes(text: str, number: object) -> None:
    assert number_of(text) == number


@pytest.mark.parametrize(
    "text", ["", " 42", "42 ", "+1", "007", "0x1", "1_000", "NaN", "Infinity", "٤٢", ".5", "1.", "1e"]
)
def test_what_json_would_not_write_is_no_number(text: str) -> None:
    assert number_of(text) is None


def test_a_path_into_a_scalar_leads_nowhere() -> None:
    assert value_at({"a": "text"}, ("a", "0")) is MISSING
    assert value_at(None, ("a",)) is MISSING
    assert value_at({"a": None}, ("a",)) is None
    assert not path_matches({"a": {"b": 1}}, ("a",), "")
