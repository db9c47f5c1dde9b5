"""Wire to model and back: nothing lost, nothing raised that can be shown."""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories import START, event, snapshot
from xcstore.errors import CorruptEventError, LimitExceededError
from xcstore.model.history import PendingTimeout
from xcstore.store.codec import (
    LIMITS,
    Redaction,
    check_writable,
    event_extra_text,
    event_from_document,
    event_from_documented_row,
    event_from_shipped_row,
    event_to_document,
    event_to_documented_row,
    json_text,
    snapshot_extra_text,
    snapshot_from_document,
    snapshot_from_documented_row,
    snapshot_from_shipped_row,
    snapshot_to_document,
    snapshot_to_documented_row,
)

DOCUMENT: dict[str, Any] = {
    "id": "e1",
    "instanceId": "i1",
    "machineName": "Order",
    "componentName": "Shop",
    "event": {"type": "PAY", "payload": {"amount": 10}, "timestamp": 1_000, "_sourceComponent": "Bank"},
    "stateBefore": "Created",
    "stateAfter": "Paid",
    "persistedAt": 1_001,
    "causedBy": ["e0"],
    "caused": [],
    "publicMemberSnapshot": {"amount": 10},
}
SNAPSHOT: dict[str, Any] = {
    "instance": {
        "id": "i1",
        "machineName": "Order",
        "currentState": "Paid",
        "context": {"amount": 10},
        "createdAt": 1,
        "updatedAt": 2,
        "status": "completed",
        "isEntryPoint": True,
    },
    "snapshotAt": 3,
    "lastEventId": "e1",
    "pendingTimeouts": [{"stateKey": "Paid-0", "eventType": "TIMEOUT", "remainingMs": 5}],
}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
WIRE_KEYS = [*DOCUMENT, "sourceComponentName", "targetComponentName", "context", "definitionHash", "_id", "__v"]
ids = st.text(min_size=1, max_size=10)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Any object with usable ids: known keys with any value, unknown keys, any order."""
    document = draw(st.dictionaries(st.sampled_from(WIRE_KEYS) | st.text(), json_values, max_size=10))
    if draw(st.booleans()):
        inner_keys = st.sampled_from(["type", "payload", "timestamp", "_sourceComponent"]) | st.text()
        document["event"] = draw(st.dictionaries(inner_keys, json_values, max_size=5))
    document["id"] = draw(ids)
    document["instanceId"] = draw(ids)
    order = draw(st.permutations(list(document)))
    return {key: document[key] for key in order}


@st.composite
def snapshot_documents(draw: st.DrawFn) -> dict[str, Any]:
    keys = st.sampled_from([*SNAPSHOT, "_id"]) | st.text()
    document = draw(st.dictionaries(keys, json_values, max_size=5))
    inner_keys = st.sampled_from([*SNAPSHOT["instance"], "componentName", "publicMember"]) | st.text()
    instance = draw(st.dictionaries(inner_keys, json_values, max_size=8))
    instance["id"] = draw(ids)
    document["instance"] = instance
    return {key: document[key] for key in draw(st.permutations(list(document)))}


def text_of(document: object) -> str:
    """JSON text that shows the order of keys and the kind of every number."""
    return json.dumps(document)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


# --- Documents ---


def test_a_document_of_the_typescript_runtime_is_read_field_by_field() -> None:
    read = event_from_document(DOCUMENT)

    assert (read.id, read.instance_id, read.machine_name, read.component_name) == ("e1", "i1", "Order", "Shop")
    assert (read.event_type, read.payload, read.timestamp) == ("PAY", {"amount": 10}, 1_000)
    assert (read.state_before, read.state_after, read.persisted_at) == ("Created", "Paid", 1_001)
    assert (read.caused_by, read.caused) == (("e0",), ())
    assert (read.public_member_snapshot, read.context) == ({"amount": 10}, None)
    assert read.faults == ()


@settings(deadline=None)
@given(documents())
def test_any_event_document_goes_through_unchanged(document: dict[str, Any]) -> None:
    assert text_of(event_to_document(event_from_document(document))) == text_of(document)


@settings(deadline=None)
@given(snapshot_documents())
def test_any_snapshot_document_goes_through_unchanged(document: dict[str, Any]) -> None:
    assert text_of(snapshot_to_document(snapshot_from_document(document))) == text_of(document)


@settings(deadline=None)
@given(documents())
def test_any_event_document_goes_through_our_own_row_unchanged(document: dict[str, Any]) -> None:
    read = event_from_document(document)
    back = event_from_documented_row(event_to_documented_row(read), extra=event_extra_text(read))

    assert text_of(event_to_document(back)) == text_of(document)
    assert back == read
    assert back.faults == read.faults


@settings(deadline=None)
@given(snapshot_documents())
def test_any_snapshot_document_goes_through_our_own_row_unchanged(document: dict[str, Any]) -> None:
    read = snapshot_from_document(document)
    back = snapshot_from_documented_row(snapshot_to_documented_row(read), extra=snapshot_extra_text(read))

    assert text_of(snapshot_to_document(back)) == text_of(document)
    assert back == read


def test_an_event_of_our_runtime_has_the_keys_of_the_typescript_runtime_in_its_order() -> None:
    made = event(
        timestamp=1, caused_by=("e0",), source_component_name="Bank", public_member_snapshot={}, definition_hash="h"
    )

    document = event_to_document(made)

    assert list(document) == [
        *("id", "instanceId", "machineName", "componentName", "event", "stateBefore", "stateAfter", "persistedAt"),
        *("causedBy", "caused", "sourceComponentName", "publicMemberSnapshot", "definitionHash"),
    ]
    assert list(document["event"]) == ["type", "payload", "timestamp"]  # type: ignore[call-overload]
    assert event_from_document(document) == made


def test_a_snapshot_of_our_runtime_can_be_read_back() -> None:
    timer = PendingTimeout(state_key="Paid-0", event_type="LATE", remaining_ms=5)  # type: ignore[arg-type]
    made = snapshot(pending_timeouts=(timer,), parent_instance_id="i0", is_entry_point=True, public_member={"a": 1})

    document = snapshot_to_document(made)

    assert list(document) == ["instance", "snapshotAt", "lastEventId", "pendingTimeouts"]
    assert snapshot_from_document(document) == made


@pytest.mark.parametrize(
    ("change", "key", "value"),
    [
        ({"state_after": "Refunded"}, "stateAfter", "Refunded"),
        ({"caused_by": ("e9",)}, "causedBy", ["e9"]),
        ({"persisted_at": 5}, "persistedAt", 5),
        ({"component_name": ""}, "componentName", ""),
        ({"context": {"a": 1}}, "context", {"a": 1}),
        ({"public_member_snapshot": {"amount": 10.0}}, "publicMemberSnapshot", {"amount": 10.0}),
    ],
)
def test_a_field_that_was_changed_wins_over_what_was_read(change: dict[str, Any], key: str, value: object) -> None:
    changed = dataclasses.replace(event_from_document(DOCUMENT), **change)

    assert text_of(event_to_document(changed)) == text_of({**DOCUMENT, key: value})


def test_a_changed_payload_wins_also_where_python_calls_it_equal() -> None:
    read = event_from_document({**DOCUMENT, "event": {"type": "PAY", "payload": {"paid": 1}}})

    document = event_to_document(dataclasses.replace(read, payload={"paid": True}))

    assert text_of(document["event"]) == '{"type": "PAY", "payload": {"paid": true}}'


def test_a_document_of_mongodb_may_have_its_id_under_its_own_key() -> None:
    document = {"_id": "e1", **{key: value for key, value in DOCUMENT.items() if key != "id"}}

    read = event_from_document(document)

    assert read.id == "e1"
    assert text_of(event_to_document(read)) == text_of(document)


@pytest.mark.parametrize("document", [None, 3, "text", [], {}, {"id": "e1"}, {"id": "", "instanceId": "i1"}])
def test_a_document_without_usable_ids_is_refused_with_what_would_be_right(document: object) -> None:
    with pytest.raises(CorruptEventError, match="must be"):
        event_from_document(document)


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"instance": None}, {"instance": {}}, {"instance": {"id": 0.5}}, {"instance": {"id": ""}}],
)
def test_a_snapshot_without_an_instance_is_refused_with_what_would_be_right(document: object) -> None:
    with pytest.raises(CorruptEventError, match="must be"):
        snapshot_from_document(document)


@pytest.mark.parametrize(
    ("value", "moment", "faulty"),
    [
        (1_001, 1_001, False),
        (-5, -5, False),
        (Decimal("1001"), 1_001, False),
        (Decimal("NaN"), 0, True),
        ("1001", 1_001, False),
        (1_001.0, 1_001, False),
        ({"$numberLong": "1001"}, 1_001, False),
        ({"$date": {"$numberLong": "1001"}}, 1_001, False),
        ({"$date": "1970-01-01T00:00:01.001Z"}, 1_001, False),
        (datetime(1970, 1, 1, 0, 0, 1, 1_000, tzinfo=UTC), 1_001, False),
        (1_001.5, 1_001, True),
        ("1970-01-01T00:00:01.001Z", 1_001, True),
        (True, 0, True),
        (None, 0, True),
        ("soon", 0, True),
        (2**63, 0, True),
        ("9" * 19, 0, True),
        (math.nan, 0, True),
        (math.inf, 0, True),
        ([1], 0, True),
        ({"$date": {"$date": {"$date": 1}}}, 0, True),
    ],
)
def test_a_time_is_read_in_every_form_and_what_is_no_time_is_0_and_a_fault(
    value: object, moment: int, faulty: bool
) -> None:
    read = event_from_document({**DOCUMENT, "persistedAt": value})

    assert read.persisted_at == moment
    assert bool(read.faults) is faulty
    assert all("persistedAt" in fault for fault in read.faults)
    assert event_to_document(read)["persistedAt"] is value


def test_what_is_absent_is_neutral_and_no_fault_unless_it_is_the_time() -> None:
    read = event_from_document({"id": "e1", "instanceId": "i1", "event": {"type": "PAY"}})

    assert (read.machine_name, read.payload, read.timestamp, read.caused_by) == ("", {}, None, ())
    assert read.faults == ("persistedAt is missing; shown as 0",)


@pytest.mark.parametrize(
    ("key", "value", "field", "neutral"),
    [
        ("machineName", 5, "machine_name", ""),
        ("stateAfter", ["Paid"], "state_after", ""),
        ("causedBy", "e0", "caused_by", ()),
        ("causedBy", {"e0": 1}, "caused_by", ()),
        ("causedBy", ["e0", None, 7, "e1"], "caused_by", ("e0", "e1")),
        ("publicMemberSnapshot", "gold", "public_member_snapshot", None),
        ("context", [1], "context", None),
        ("event", "PAY", "event_type", ""),
        ("sourceComponentName", False, "source_component_name", ""),
    ],
)
def test_an_odd_value_is_neutral_named_in_a_fault_and_kept(
    key: str, value: object, field: str, neutral: object
) -> None:
    read = event_from_document({**DOCUMENT, key: value})

    assert getattr(read, field) == neutral
    assert read.faults
    assert all(fault.startswith(key) for fault in read.faults)
    assert event_to_document(read)[key] == value


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**64, math.nan, math.inf])
def test_a_number_that_json_or_64_bits_cannot_hold_is_a_fault_that_says_where(number: float) -> None:
    read = event_from_document({**DOCUMENT, "event": {"type": "PAY", "payload": {"order": {"lines": [1, number]}}}})

    assert [fault.split(" is ")[0] for fault in read.faults] == ["event.payload.order.lines.1"]


def test_a_snapshot_without_status_says_that_it_is_not_recorded() -> None:
    document = {**SNAPSHOT, "instance": {"id": "i1"}}

    read = snapshot_from_document(document)

    assert (read.instance.status, read.status_recorded) == ("active", False)
    assert "instance.status is missing; shown as active" in read.faults


def test_an_unknown_status_and_odd_timers_are_faults() -> None:
    read = snapshot_from_document(
        {
            **SNAPSHOT,
            "instance": {**SNAPSHOT["instance"], "status": "asleep"},
            "pendingTimeouts": [3, {"stateKey": "Paid-0", "eventType": "LATE"}],
        }
    )

    assert read.instance.status == "active"
    assert [timer.remaining_ms for timer in read.pending_timeouts] == [0]
    assert len(read.faults) == 3


def test_ten_thousand_levels_of_nesting_are_a_fault_and_no_crash() -> None:
    deep = nested(10_000)

    read = event_from_document({**DOCUMENT, "event": {"type": "PAY", "payload": deep}})
    masked = Redaction.parse("card.number").event(read)

    assert read.faults == ("event.payload is nested 10000 levels deep",)
    assert event_to_document(read)["event"]["payload"] is deep  # type: ignore[index]
    assert masked.faults == read.faults
    with pytest.raises(LimitExceededError, match="100 levels"):
        check_writable(read)


# --- Rows ---


def documented_row(**overrides: Any) -> dict[str, Any]:
    return {**event_to_documented_row(event(id="e1", caused_by=("e0",), persisted_at=START)), **overrides}


def shipped_row(**overrides: Any) -> dict[str, Any]:
    row = {
        "id": UUID("104d83a5-555d-4522-adad-33faabcae390"),
        "instance_id": UUID("c3be46c6-9cce-401a-8f0b-e4a94556216c"),
        "machine_name": "Order",
        "component_name": None,
        "event_type": "PAY",
        "event_payload": {"amount": 10},
        "from_state": None,
        "to_state": "Paid",
        "context": {"a": 1},
        "public_member_snapshot": '{"b": 2}',
        "source_component_name": None,
        "correlation_id": None,
        "causation_id": None,
        "caused": [],
        "persisted_at": 1_000,
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return {**row, **overrides}


def test_a_documented_row_reads_alike_whatever_the_driver_made_of_it() -> None:
    as_text = event_from_documented_row(documented_row(caused_by='["e0"]', caused="[]"))
    as_values = event_from_documented_row(documented_row(event_payload={"amount": 10}, caused_by=["e0"], caused=None))

    assert as_text == as_values
    assert as_text.caused_by == ("e0",)
    assert as_text.faults == as_values.faults == ()


def test_a_row_takes_seq_and_hash_of_the_definition_where_they_are_stored() -> None:
    read = event_from_documented_row(documented_row(seq=7, definition_hash="abc"))

    assert (read.seq, read.definition_hash) == (7, "abc")


def test_a_column_that_was_changed_is_shown_with_a_fault() -> None:
    made = event(state_after="Paid", payload={"amount": 10})
    row = event_to_documented_row(made)

    read = event_from_documented_row(
        {**row, "state_after": "Refunded", "event_payload": '{"amount":99}'}, extra=event_extra_text(made)
    )

    assert (read.state_after, read.payload) == ("Refunded", {"amount": 99})
    assert ["state_after" in read.faults[0], "event_payload" in read.faults[1], len(read.faults)] == [True, True, 2]


def test_a_payload_that_jsonb_wrote_in_its_own_way_is_the_same_payload() -> None:
    made = event(payload={"longer": 1e2, "a": [1.50, None]})
    row = {**event_to_documented_row(made), "event_payload": {"a": [1.5, None], "longer": 100}}

    read = event_from_documented_row(row, extra=event_extra_text(made))

    assert read.faults == ()
    assert json_text(read.payload) == '{"longer":100.0,"a":[1.5,null]}'


def test_columns_may_be_left_out_beside_the_kept_document() -> None:
    made = event(payload={"amount": 10})

    assert event_from_documented_row({"id": made.id}, extra=event_extra_text(made)) == made


def test_a_kept_document_that_is_damaged_is_a_fault_and_the_columns_are_read() -> None:
    made = event()

    read = event_from_documented_row(event_to_documented_row(made), extra='{"id":"e')

    assert read == made
    assert "not JSON" in read.faults[0]


@pytest.mark.parametrize(
    ("causation", "correlation", "causes", "faulty"),
    [
        (None, None, (), False),
        ("a", "a", ("a",), False),
        ("a", "b", ("a", "b"), True),
        ("a", None, ("a",), True),
        (None, "b", ("b",), True),
    ],
)
def test_both_columns_for_causes_of_the_shipped_layout_count(
    causation: str | None, correlation: str | None, causes: tuple[str, ...], faulty: bool
) -> None:
    read = event_from_shipped_row(shipped_row(causation_id=causation, correlation_id=correlation))

    assert read.caused_by == causes
    assert bool(read.faults) is faulty


def test_a_shipped_row_reads_with_uuids_nulls_and_json_in_either_form() -> None:
    read = event_from_shipped_row(shipped_row())

    assert read.id == "104d83a5-555d-4522-adad-33faabcae390"
    assert (read.component_name, read.state_before, read.state_after) == ("", "", "Paid")
    assert (read.context, read.public_member_snapshot) == ({"a": 1}, {"b": 2})
    assert read.faults == ()


@pytest.mark.parametrize("payload", ["[" * 10_000 + "]" * 10_000, "not json", b"\xff"])
def test_a_payload_column_that_cannot_be_read_is_text_and_a_fault(payload: str | bytes) -> None:
    read = event_from_documented_row(documented_row(event_payload=payload))

    assert isinstance(read.payload, str)
    assert read.faults
    assert event_from_shipped_row(shipped_row(event_payload=payload)).faults


@pytest.mark.parametrize("row", [{}, {"id": None, "instance_id": "i1"}, {"id": "e1", "instance_id": ""}])
def test_a_row_without_ids_is_refused(row: dict[str, object]) -> None:
    for read in (event_from_documented_row, event_from_shipped_row):
        with pytest.raises(CorruptEventError, match="must be text"):
            read(row)


def test_a_shipped_snapshot_row_says_what_is_not_recorded() -> None:
    row = {
        "instance_id": UUID("c3be46c6-9cce-401a-8f0b-e4a94556216c"),
        "machine_name": "Order",
        "current_state": "Paid",
        "context": {"a": 1},
        "event_count": 0,
        "pending_timeouts": [],
        "created_at": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
        "updated_at": datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC),
    }
    as_sqlite = {**row, "created_at": "1970-01-01 00:00:01+00", "updated_at": "1970-01-01 00:00:02"}

    read = snapshot_from_shipped_row(row)

    assert (read.status_recorded, read.last_event_id, read.instance.status) == (False, "", "active")
    assert (read.instance.created_at, read.instance.updated_at, read.snapshot_at) == (1_000, 2_000, 2_000)
    assert read.faults == ()
    assert snapshot_from_shipped_row(as_sqlite) == read


def test_a_documented_snapshot_row_is_read_without_times_of_the_instance() -> None:
    timer = PendingTimeout(state_key="Paid-0", event_type="LATE", remaining_ms=5)  # type: ignore[arg-type]
    made = snapshot(component_name="", created_at=None, updated_at=None, pending_timeouts=(timer,), status="error")

    assert snapshot_from_documented_row(snapshot_to_documented_row(made)) == made


@settings(deadline=None)
@given(documents())
def test_an_event_that_may_be_written_has_a_row_that_reads_the_same(document: dict[str, Any]) -> None:
    read = event_from_document(document)
    try:
        check_writable(read)
    except LimitExceededError:
        return

    row = event_to_documented_row(read)

    assert len(read.id) <= LIMITS["id"].maximum
    assert "\\u0000" not in json_text(read.payload).replace("\\\\", "")
    assert event_from_documented_row(row, extra=event_extra_text(read)) == read
