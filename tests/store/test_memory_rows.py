"""The form in which the store in memory keeps an event: nothing is lost in it, and the garbage collector lets it go."""

from __future__ import annotations

import gc
import math
from types import MappingProxyType
from typing import Any

import pytest

from tests.factories import event
from xcstore.model.history import PersistedEvent
from xcstore.store.limits import pack
from xcstore.store.memory_rows import VIEWED, Row, key_of, row_of, unpack, view_of, viewing


def row(one: PersistedEvent, seq: int = 7) -> Row:
    return row_of(one, seq, *pack(one))


def every_field(one: PersistedEvent) -> dict[str, object]:
    """Also those that do not take part in comparison."""
    return {name: getattr(one, name) for name in PersistedEvent.__dataclass_fields__ if name != "seq"}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"timestamp": 5, "caused_by": ("a", "b"), "definition_hash": "h" * 64},
        {"source_component_name": "Shop", "target_component_name": ""},
        {"public_member_snapshot": {"total": 3}},
        {"public_member_snapshot": {}},
        {"context": {"total": 3}},
        {"context": {}, "public_member_snapshot": {}},
        {"original": {"id": "e1", "unknown": [1, None]}},
        {"caused": ("e8", "e9")},
        {"faults": ("persisted_at is a text",)},
        {"component_name": "Café", "payload": {"\\u0000 written out": "🚀"}},
        {"payload": MappingProxyType({"a": 1})},
    ],
)
def test_what_was_kept_comes_back_in_every_field(change: dict[str, Any]) -> None:
    mine = event(**change)

    read = unpack(row(mine))

    assert every_field(read) == every_field(mine)
    assert read.seq == 7
    assert mine.seq is None


@pytest.mark.parametrize(
    "value",
    [None, True, 0, "", [], {}, "null", 2**63, 2**64 - 1, -(2**63), 2**70, -(10**300), 0.1, 5e-324, 1e308, 1.0, "é\n"],
)
def test_each_value_comes_back_as_it_is_and_of_its_kind(value: object) -> None:
    for payload in (value, {"b": value, "a": [value]}):
        read = unpack(row(event(payload=payload))).payload

        assert repr(read) == repr(payload)


def test_minus_zero_keeps_its_sign() -> None:
    read: Any = unpack(row(event(payload=-0.0))).payload

    assert math.copysign(1, read) == -1


def test_the_garbage_collector_lets_go_of_a_row() -> None:
    one = event(payload={"list": [{"deep": []}]}, public_member_snapshot={"a": [1]}, caused_by=("e1", "e2"))
    kept = row(one)
    del one

    # It lets go of a tuple once it has let go of all that is in it, and goes through them in an order that depends on
    # all else that lives: the tuples in a row may come after it, so each level of nesting can take one round.
    for _ in range(2):
        gc.collect()

    assert not gc.is_tracked(kept)


@pytest.mark.parametrize("change", [{"timestamp": 5}, {"caused_by": ("e1",)}, {"context": {"a": 1}}])
def test_a_view_shows_what_the_event_holds(change: dict[str, Any]) -> None:
    kept = row(event(**change))
    seen = view_of(kept)

    for name in (*VIEWED, "payload"):
        assert getattr(seen, name) == getattr(unpack(kept), name), name


def test_a_condition_on_events_is_asked_about_each_row() -> None:
    rows = [row(event(event_type=name, payload={"n": n})) for n, name in enumerate(("PAY", "SHIP", "PAY", "PAY"))]
    holds = viewing(lambda one: one.event_type == "PAY" and one.payload != {"n": 2})

    assert [holds(one) for one in rows] == [True, False, False, True]


def test_rows_are_ordered_by_time_then_by_insertion() -> None:
    late, early, tied = row(event(persisted_at=2), 1), row(event(persisted_at=1), 3), row(event(persisted_at=2), 2)

    assert sorted([late, tied, early], key=key_of) == [early, late, tied]
