"""What may be written: refused by name, or let through, the same for every backend."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.factories import event, snapshot
from xcstore.errors import LimitExceededError
from xcstore.model.history import PendingTimeout
from xcstore.store.limits import check_writable, check_writable_snapshot, pack


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": "x" * 51}, "id"),
        ({"id": ""}, "id"),
        ({"instance_id": "x" * 51}, "instance_id"),
        ({"machine_name": "x" * 101}, "machine_name"),
        ({"component_name": "x" * 101}, "component_name"),
        ({"source_component_name": "x" * 101}, "source_component_name"),
        ({"event_type": "x" * 51}, "event_type"),
        ({"state_before": "x" * 51}, "state_before"),
        ({"state_after": "a\0"}, "state_after"),
        ({"machine_name": "\ud800"}, "machine_name"),
        ({"machine_name": None}, "machine_name"),
        ({"definition_hash": "x" * 65}, "definition_hash"),
        ({"definition_hash": "\0"}, "definition_hash"),
        ({"caused_by": ("x" * 51,)}, "caused_by"),
        ({"caused_by": ("",)}, "caused_by"),
        ({"caused_by": ("a\0",)}, "caused_by"),
        ({"caused": ("x" * 51,)}, "caused"),
        ({"persisted_at": 2**63}, "persisted_at"),
        ({"persisted_at": None}, "persisted_at"),
        ({"persisted_at": True}, "persisted_at"),
        ({"persisted_at": 1.0}, "persisted_at"),
        ({"timestamp": -(2**63) - 1}, "timestamp"),
        ({"payload": {"a": ["\0"]}}, "payload.a.0"),
        ({"payload": {"\0": 1}}, "a key of payload"),
        ({"payload": {"a": {"b\ud800": 1}}}, "a key of payload.a"),
        ({"payload": {"a": "\udc00"}}, "payload.a"),
        ({"payload": {"a": math.nan}}, "payload.a"),
        ({"payload": {"a": -math.inf}}, "payload.a"),
        ({"payload": {1: "a"}}, "a key of payload"),
        ({"payload": {"at": datetime(2026, 1, 1, tzinfo=UTC)}}, "payload.at"),
        ({"payload": {"a": "x" * (8 * 1024 * 1024)}}, "payload"),
        ({"context": nested(101)}, "context"),
        ({"public_member_snapshot": {"a": "\0"}}, "public_member_snapshot.a"),
        ({"original": {"id": "e1", "unknown": ["\0"]}}, "the document.unknown.0"),
    ],
)
def test_what_some_backend_cannot_hold_is_refused_by_name(change: dict[str, Any], field: str) -> None:
    with pytest.raises(LimitExceededError) as caught:
        check_writable(event(**change))

    assert str(caught.value).startswith(f"{field} is ") or str(caught.value).startswith(f"{field} has ")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "change",
    [
        {"id": "x" * 50, "instance_id": "é" * 50, "event_type": "x" * 50, "state_after": "状" * 50},
        {"machine_name": "x" * 100, "component_name": "🚀" * 100, "target_component_name": "x" * 100},
        {"persisted_at": 2**63 - 1, "timestamp": -(2**63), "caused_by": ("x" * 50,) * 300},
        {"payload": {"text": "\\u0000 written out", "null": None, "n": 2**70, "f": 1e308}},
        {"payload": nested(100)},
        {"payload": [[1], [2]] * 300},
        {"payload": None},
        {"payload": {"a": "x" * (8 * 1024 * 1024 - 8)}},
        {"state_before": "", "machine_name": ""},
    ],
)
def test_what_is_within_the_limits_is_not_refused(change: dict[str, Any]) -> None:
    check_writable(event(**change))


@pytest.mark.parametrize(
    ("change", "values"),
    [
        ({"payload": {"b": 1, "a": [None]}}, '[{"b":1,"a":[null]}]'),
        ({"public_member_snapshot": {}}, '[{"amount":10},{}]'),
        ({"payload": {"n": 2**70}}, None),
        ({"payload": nested(100)}, None),
        ({"context": {}}, None),
        ({"original": {}}, None),
    ],
)
def test_the_text_that_checking_made_is_given_where_it_is_all_there_is(change: dict[str, Any], values: str) -> None:
    labels, text = pack(event(**change))

    assert labels == ("Order", "Shop", "PAY", "Created", "Paid", None, None, None)
    assert text == values


def test_equal_labels_are_one_object() -> None:
    first, _ = pack(event(state_after="".join(["Pa", "id"])))
    second, _ = pack(event(state_after="".join(["Pai", "d"])))

    assert first is second


def test_the_id_of_a_known_instance_is_not_looked_at_again() -> None:
    pack(event(instance_id="x" * 51), {"x" * 51})
    with pytest.raises(LimitExceededError):
        pack(event(instance_id="x" * 51), {"y"})


@pytest.mark.parametrize(
    "change",
    [
        {"id": "x" * 51},
        {"id": ""},
        {"current_state": "x" * 51},
        {"parent_instance_id": "x" * 51},
        {"last_event_id": "x" * 51},
        {"snapshot_at": 2**63},
        {"context": {"a": "\0"}},
        {"internal_member": {"a": math.nan}},
        {"public_member": nested(101)},
        {"pending_timeouts": (PendingTimeout(state_key="\0", event_type="T", remaining_ms=1),)},  # type: ignore[arg-type]
    ],
)
def test_a_snapshot_is_held_to_the_same_limits(change: dict[str, Any]) -> None:
    check_writable_snapshot(snapshot())
    with pytest.raises(LimitExceededError):
        check_writable_snapshot(snapshot(**change))
