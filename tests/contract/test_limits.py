"""Promise 6: what cannot be written is refused alike on every backend, and nothing is written."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.helpers import nested
from tests.factories import event, snapshot
from xcstore.errors import LimitExceededError
from xcstore.store.base import EventQuery, Stores
from xcstore.store.codec import LIMITS

TOO_LONG = {
    "id": "x" * 51,
    "instance_id": "x" * 51,
    "machine_name": "x" * 101,
    "component_name": "x" * 101,
    "event_type": "x" * 51,
    "state_before": "x" * 51,
    "state_after": "x" * 51,
    "caused_by": ("fine", "x" * 51),
    "caused": ("x" * 51,),
    "source_component_name": "x" * 101,
    "target_component_name": "x" * 101,
    "persisted_at": 2**63,
    "timestamp": -(2**63) - 1,
}
REFUSED = [
    *TOO_LONG.items(),
    ("id", ""),
    ("instance_id", ""),
    ("caused_by", ("",)),
    ("persisted_at", 1.5),
    *((name, "a\0b") for name in ("id", "instance_id", "machine_name", "component_name", "event_type", "state_after")),
    *((name, "a\ud800") for name in ("id", "instance_id", "machine_name", "event_type", "state_before")),
    ("caused_by", ("a\0",)),
    ("payload", {"a": "b\0"}),
    ("payload", {"a\0": "b"}),
    ("payload", {"a": [{"b": "\udfff"}]}),
    ("payload", {"\ud800": 1}),
    ("payload", {"a": float("nan")}),
    ("payload", [float("inf")]),
    ("payload", nested(101)),
    ("payload", "x" * (LIMITS["payload_bytes"].maximum + 1)),
    ("payload", {"a": {1, 2}}),
    ("context", {"a": "b\0"}),
    ("context", {"deep": nested(100)}),
    ("public_member_snapshot", {"a": "\ud800"}),
    ("original", {"id": "e1", "odd": "a\0"}),
]


@pytest.mark.parametrize(("field", "value"), REFUSED, ids=lambda value: repr(value)[:30])
def test_what_cannot_be_written_is_refused_and_nothing_is_written(stores: Stores, field: str, value: Any) -> None:
    good, bad = event(id="good"), event(**{field: value})

    with pytest.raises(LimitExceededError):
        stores.events.append(bad)
    with pytest.raises(LimitExceededError):
        stores.events.append_many([good, bad])

    assert stores.events.count(EventQuery())[0].count == 0
    stores.events.append(good)
    assert stores.events.get_event("good") == good


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "x" * 50),
        ("id", "💥" * 50),
        ("instance_id", "é" * 50),
        ("machine_name", "日" * 100),
        ("component_name", "x" * 100),
        ("event_type", "💥" * 50),
        ("state_before", "x" * 50),
        ("state_after", ""),
        ("caused_by", ("x" * 50, "y" * 50)),
        ("persisted_at", 2**63 - 1),
        ("persisted_at", -(2**63)),
        ("persisted_at", 0),
        ("timestamp", -1),
        ("payload", nested(100)),
        ("payload", "x" * (LIMITS["payload_bytes"].maximum - 2)),
        ("payload", {"\x01\x1f\x7f\u2028": "\ufeff\uffff"}),
        ("payload", {"big": 2**70, "negative": -(2**64), "tiny": 5e-324, "huge": 1.7976931348623157e308}),
        ("payload", {"third": 1 / 3, "tenth": 0.1, "whole": 3.0, "zero": 0}),
        ("payload", {"b": 1, "a": 2, "": 3}),
        ("payload", None),
        ("payload", []),
        ("payload", False),
        ("payload", "text"),
        ("payload", 12.25),
        ("payload", [[], {}, [None]]),
        ("context", {}),
        ("public_member_snapshot", {}),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_just_within_the_limits_comes_back_equal(stores: Stores, field: str, value: Any) -> None:
    original = event(**{"id": "e", field: value})

    stores.events.append_many([original])

    stored = stores.events.get_event(original.id)
    assert stored == original
    assert repr(stored.payload) == repr(original.payload)
    assert stored.faults == () or "big" in repr(value)  # readable, though odd: JavaScript would round it
    (found,) = stores.events.find(EventQuery()).items
    assert found == original


def test_one_bad_event_among_many_keeps_the_whole_batch_out(stores: Stores) -> None:
    batch = [event(id=f"e{number}") for number in range(500)]

    with pytest.raises(LimitExceededError):
        stores.events.append_many([*batch, event(payload={"note": "\0"})])

    assert stores.events.count(EventQuery())[0].count == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "x" * 51),
        ("id", ""),
        ("machine_name", "x" * 101),
        ("current_state", "x" * 51),
        ("current_state", "a\0"),
        ("context", {"a": "b\0"}),
        ("context", {"a": "\ud800"}),
        ("context", {"deep": nested(100)}),
        ("public_member", {"a\0": 1}),
        ("last_event_id", "x" * 51),
        ("snapshot_at", 2**63),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_snapshot_that_cannot_be_written_is_refused(stores: Stores, field: str, value: Any) -> None:
    with pytest.raises(LimitExceededError):
        stores.snapshots.save_snapshot(snapshot(**{field: value}))

    assert stores.snapshots.count() == 0
