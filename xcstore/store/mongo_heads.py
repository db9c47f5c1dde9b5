"""The head of an instance: what its events tell of it, kept in its last document.

The head goes in with the event, in one document, so that it can never be of another moment than the events are. Until
the head before it is taken away, which is the second step of an append, the new document is `open`, and whoever reads
works such instances out from their events.
"""

from __future__ import annotations

from typing import Any, Final

from xcstore.model.history import PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.store.base import InstanceSummary
from xcstore.store.sql_folding import INSTANCE_COLUMNS, take_in
from xcstore.units import EpochMs

__all__ = ["HEAD_FIELDS", "STREAM_FIELDS", "fold_of", "folded", "head_of", "summary_of_head", "summary_of_stream"]

Fold = list[Any]
"""Values of `INSTANCE_COLUMNS` after the id."""

HEAD_FIELDS: Final = (
    *("component", "machine", "state", "created", "updated", "count", "last", "type", "seq"),
    *("size", "chained", "settled"),
)
"""The names of the fold's values in a head."""
assert len(HEAD_FIELDS) == len(INSTANCE_COLUMNS) - 1

STREAM_FIELDS: Final = {
    **dict.fromkeys(("_id", "id", "instanceId", "machineName", "componentName", "event.type"), 1),
    **dict.fromkeys(("stateBefore", "stateAfter", "persistedAt", "xcstore.seq", "xcstore.batch"), 1),
}
"""What tells the order of a stream and what it ends with."""


def folded(fold: Fold | None, event: PersistedEvent, seq: int) -> Fold:
    """The fold with one event more, which is later in insertion than all that are in it."""
    instances = {} if fold is None else {event.instance_id: list(fold)}
    row = (
        *(event.id, event.instance_id, event.machine_name, event.component_name, event.event_type, None),
        *(event.state_before, event.state_after, event.persisted_at),
    )
    take_in(instances, row, seq)
    return instances[event.instance_id]


def head_of(instance_id: str, fold: Fold) -> dict[str, Any]:
    """What is stored of it, by key under ours."""
    head = {"instance": instance_id, **dict(zip(HEAD_FIELDS, fold, strict=True))}
    return {"head": head} if head["settled"] else {"head": head, "unsettled": True}


def fold_of(head: dict[str, Any]) -> Fold:
    """The fold in a stored head."""
    return [head[name] for name in HEAD_FIELDS]


def summary_of_head(head: dict[str, Any]) -> InstanceSummary:
    return InstanceSummary(
        instance_id=head["instance"],
        component_name=head["component"],
        machine_name=head["machine"],
        state=head["state"],
        created_at=EpochMs(head["created"]),
        updated_at=EpochMs(head["updated"]),
        event_count=head["count"],
        last_event_id=head["last"],
        last_event_type=head["type"],
    )


def summary_of_stream(events: list[PersistedEvent]) -> tuple[PersistedEvent, InstanceSummary]:
    """The last event of a stream in no order, and the summary of its instance."""
    last = order_stream(events)[-1]
    return last, InstanceSummary(
        instance_id=last.instance_id,
        component_name=last.component_name,
        machine_name=last.machine_name,
        state=last.state_after,
        created_at=min(event.persisted_at for event in events),
        updated_at=last.persisted_at,
        event_count=len(events),
        last_event_id=last.id,
        last_event_type=last.event_type,
    )
