"""The quick road gives what the codec gives without it, in every field, or stands aside."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xcstore.errors import CorruptEventError
from xcstore.jsontext import json_text
from xcstore.model.history import PersistedEvent
from xcstore.store import codec
from xcstore.store.plain_events import agrees_with_columns, plain_event

PLAIN: dict[str, Any] = {
    "id": "e1",
    "instanceId": "i1",
    "machineName": "Order",
    "componentName": "Shop",
    "event": {"type": "PAY", "payload": {"b": [1, 2.5], "a": None, "å": "ø"}, "timestamp": 1_000, "_more": 1},
    "stateBefore": "Created",
    "stateAfter": "Paid",
    "persistedAt": 1_001,
    "causedBy": ["e0"],
    "caused": [],
    "sourceComponentName": "Bank",
    "publicMemberSnapshot": {"amount": 10},
    "context": {"amount": 10},
    "definitionHash": "d0",
    "unknown": {"kept": True},
}
ROW: dict[str, Any] = {
    "id": "e1",
    "instance_id": "i1",
    "machine_name": "Order",
    "component_name": "Shop",
    "event_type": "PAY",
    "event_payload": json_text(PLAIN["event"]["payload"]),
    "state_before": "Created",
    "state_after": "Paid",
    "persisted_at": 1_001,
    "caused_by": '["e0"]',
    "caused": "[]",
    "source_component_name": "Bank",
    "target_component_name": None,
    "seq": 7,
    "definition_hash": None,
}

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 7, -1, 2**63 - 1, 2**63, -(2**63), 2**64, 1.0, 1.5, float("nan"), float("inf")),
    *("", "7", "null", "[]", '["e0"]', '["e0","e9"]', "2024-01-01T00:00:00Z", "\ud800", "\0", "a" * 200),
    *([], {}, [None], ["e0", 1], ["\ud800"], [""], ("e0",), {"a": float("nan")}, {"a": 2**70}, {"\ud800": 1}),
    *({"$numberLong": "5"}, {"a": None}, {"a": 123_456_789_012_345_678_901}),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
values = st.sampled_from(ODD) | json_values
GONE = object()


def read(work: Callable[[], PersistedEvent]) -> object:
    """All fields with their kinds, those too that do not count where events are compared."""
    try:
        event = work()
    except CorruptEventError as error:
        return str(error)
    assert type(event) is PersistedEvent
    return [(field.name, repr(getattr(event, field.name))) for field in dataclasses.fields(event)]


def assert_same_without(work: Callable[[], PersistedEvent]) -> None:
    quick = read(work)
    with mock.patch.object(codec, "plain_event", return_value=None):
        assert quick == read(work)


def changed(document: dict[str, Any], key: str, value: object) -> dict[str, Any]:
    return {name: old for name, old in document.items() if name != key} | ({} if value is GONE else {key: value})


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@given(
    st.dictionaries(st.sampled_from([*PLAIN, "_id", "targetComponentName"]), values | st.just(GONE), max_size=2),
    st.dictionaries(st.sampled_from(["type", "payload", "timestamp"]), values | st.just(GONE), max_size=2),
)
def test_any_document_is_read_as_without_the_quick_road(outer: dict[str, Any], inner: dict[str, Any]) -> None:
    document = PLAIN
    for key, value in inner.items():
        document = changed(document, "event", changed(document["event"], key, value))
    for key, value in outer.items():
        document = changed(document, key, value)
    assert_same_without(lambda: codec.event_from_document(document))


@pytest.mark.parametrize("key", [*PLAIN, "targetComponentName", "_id"])
def test_any_odd_value_under_any_key_is_read_as_without_the_quick_road(key: str) -> None:
    for value in (*ODD, GONE, nested(101), nested(300)):
        document = changed(PLAIN, key, value)
        assert_same_without(lambda document=document: codec.event_from_document(document))  # type: ignore[misc]


@pytest.mark.parametrize("column", ROW)
def test_any_odd_column_is_read_as_without_the_quick_road(column: str) -> None:
    text = json.dumps(PLAIN)
    for value in (*ODD, GONE, ["e0"], [], '["e0" ]', '{"a":null,"å":"ø","b":[1,2.50]}', '{"b":[1],"b":[1,2.5]}'):
        row = changed(ROW, column, value)
        assert_same_without(lambda row=row: codec.event_from_documented_row(row, extra=text))  # type: ignore[misc]


@given(st.dictionaries(st.sampled_from(list(ROW)), values | st.just(GONE), max_size=2), json_values)
def test_any_row_is_read_as_without_the_quick_road(columns: dict[str, Any], payload: object) -> None:
    document = changed(PLAIN, "event", PLAIN["event"] | {"payload": payload})
    row = ROW | {"event_payload": json_text(payload)}
    for column, value in columns.items():
        row = changed(row, column, value)
    assert_same_without(lambda: codec.event_from_documented_row(row, extra=json_text(document)))


@pytest.mark.parametrize(
    ("stored", "kept"),
    [
        ("10000000000000000000000", "1e22"),  # as JSONB writes it
        ("100", "1e2"),
        ("1", "true"),
        ("1.0", "1"),
        ("NaN", "NaN"),
        ("1e999", "1e999"),
        ('{"a":1}', '{"a":1,"a":1}'),
        (r'"\ud800"', r'"\ud800"'),
        ("[" * 150 + "]" * 150, "[" * 150 + "]" * 150),
        ("[" * 150 + "null" + "]" * 150, "[" * 150 + "null" + "]" * 150),
        ("[" * 2_000 + "]" * 2_000, "[" * 2_000 + "]" * 2_000),
        ("{", "1"),
    ],
)
def test_payloads_spelled_in_any_way_are_read_as_without_the_quick_road(stored: str, kept: str) -> None:
    text = json.dumps(changed(PLAIN, "event", {"type": "PAY", "payload": "?"})).replace('"?"', kept)
    row = ROW | {"event_payload": stored}
    assert_same_without(lambda: codec.event_from_documented_row(row, extra=text))


@pytest.mark.parametrize("column", [column for column in ROW if column not in ("id", "seq", "definition_hash")])
def test_a_column_that_was_changed_is_noticed(column: str) -> None:
    event = plain_event(PLAIN)
    assert event is not None
    assert agrees_with_columns(event, ROW)
    assert not agrees_with_columns(event, ROW | {column: "another"})
    assert not agrees_with_columns(event, changed(ROW, column, GONE))


def test_what_our_stores_write_takes_the_quick_road() -> None:
    event = plain_event(PLAIN, seq=7, definition_hash="d1")
    assert event is not None
    assert (event.seq, event.definition_hash, event.original) == (7, "d1", PLAIN)
    written = codec.event_to_documented_row(event)
    of_lists = written | {"event_payload": json.dumps(PLAIN["event"]["payload"], sort_keys=True)}  # as PostgreSQL
    of_texts = written | {name: json_text(written[name]) for name in ("caused_by", "caused")}  # as SQLite
    assert agrees_with_columns(event, of_lists)
    assert agrees_with_columns(event, of_texts)
