"""Cursors come back through URLs and may be anything."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xcstore.errors import QueryError
from xcstore.store.base import Cursor
from xcstore.store.cursors import decode_cursor, encode_cursor

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(texts, st.integers(-(2**63), 2**63 - 1), texts)
def test_what_goes_into_a_cursor_comes_out(kind: str, number: int, text: str) -> None:
    cursor = encode_cursor(kind, number, text)

    assert decode_cursor(cursor, kind, (int, str)) == (number, text)
    assert cursor.replace("-", "").replace("_", "").isalnum()  # nothing that a URL would have to escape


@given(st.text())
def test_anything_else_is_refused_clearly(anything: str) -> None:
    with pytest.raises(QueryError, match="first page"):
        decode_cursor(Cursor(anything), "events-asc", (int, int))


def forged(value: object) -> Cursor:
    return Cursor(base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("="))


@pytest.mark.parametrize(
    "value",
    [
        ["other", 1, 2],
        ["kind", 1],
        ["kind", 1, 2, 3],
        ["kind", 1, "2"],
        ["kind", 1, 2.0],
        ["kind", True, 2],
        ["kind", None, 2],
        ["kind", 2**63, 2],
        ["kind", [1], 2],
        {"kind": 1},
        "kind",
        7,
    ],
)
def test_a_forged_cursor_is_refused(value: object) -> None:
    with pytest.raises(QueryError):
        decode_cursor(forged(value), "kind", (int, int))


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_a_text_that_no_database_takes_is_refused(text: str) -> None:
    with pytest.raises(QueryError):
        decode_cursor(forged(["kind", text]), "kind", (str,))
