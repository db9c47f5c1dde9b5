"""Counting events in MongoDB, by one aggregation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from xcstore.model.history import PersistedEvent
from xcstore.store.base import CountBy, EventQuery
from xcstore.store.mongo_pages import MongoEvents, all_of
from xcstore.units import DurationMs, EpochMs

__all__ = ["Counts", "count_events", "tally", "time_range"]

Counts = Counter[tuple[tuple[str, ...], EpochMs | None]]

_FIELDS: Final[dict[str, str]] = {
    "component_name": "componentName",
    "machine_name": "machineName",
    "event_type": "event.type",
    "state_before": "stateBefore",
    "state_after": "stateAfter",
}


def count_events(events: MongoEvents, query: EventQuery, by: Sequence[CountBy], bucket_ms: DurationMs | None) -> Counts:
    """Counts by (values, bucket); text and payload conditions are not looked at."""
    plain = events.layout.is_plain
    conditions = [*events.conditions(query), *events.ordinary, events.usable]
    keys: dict[str, Any] = {}
    for name in by:
        field = f"${_FIELDS[name]}"
        # What is missing, or no text, is read as ''.
        keys[name] = {"$cond": [{"$eq": [{"$type": field}, "string"]}, field, ""]}
    if bucket_ms is not None:
        at: Any = "$persistedAt" if plain else {"$toLong": {"$floor": "$persistedAt"}}
        # Rounded down before 1970 too, where the remainder is negative.
        length = int(bucket_ms)
        keys["bucket"] = {"$subtract": [at, {"$mod": [{"$add": [{"$mod": [at, length]}, length]}, length]}]}
    stages: list[dict[str, Any]] = [
        {"$match": all_of(conditions)},
        {"$group": {"_id": keys or None, "count": {"$sum": 1}}},
    ]
    counts: Counts = Counter()
    for row in events.aggregate(stages):
        key = row["_id"] or {}
        bucket = None if bucket_ms is None else EpochMs(int(key["bucket"]))
        counts[tuple(key[name] for name in by), bucket] += int(row["count"])
    if not plain:
        counts.update(tally(events.odd(query), by, bucket_ms))
    return counts


def tally(found: Iterable[PersistedEvent], by: Sequence[CountBy], bucket_ms: DurationMs | None) -> Counts:
    """The same of events that are at hand."""
    return Counts(
        (
            tuple(getattr(event, name) for name in by),
            None if bucket_ms is None else EpochMs(event.persisted_at // bucket_ms * bucket_ms),
        )
        for event in found
    )


def time_range(events: MongoEvents) -> tuple[EpochMs, EpochMs] | None:
    """First and last `persisted_at`: one step in the index each."""
    ends = []
    for newest_first in (False, True):
        found = events.page(EventQuery(), None, 1, newest_first=newest_first)
        if not found:
            return None
        ends.append(found[0].persisted_at)
    return ends[0], ends[1]
