"""A short way to write events down."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from xcstore.model.history import PersistedEvent
from xcstore.units import EpochMs


def make_event(event_id: str, at: int, move: str, event_type: str = "GO", **fields: object) -> PersistedEvent:
    """`move` is 'A>B'; '>A' is a creation."""
    before, _, after = move.partition(">")
    values: dict[str, object] = {"instance_id": "i1", "machine_name": "M", "component_name": "C", **fields}
    if not before and "event_type" not in fields:
        event_type = "INSTANCE_CREATED"
    return PersistedEvent(
        id=event_id,
        event_type=event_type,
        state_before=before,
        state_after=after,
        persisted_at=EpochMs(at),
        **values,  # type: ignore[arg-type]
    )


@pytest.fixture
def event() -> Callable[..., PersistedEvent]:
    return make_event
