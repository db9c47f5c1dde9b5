"""Removing events from MongoDB, for retention: of ours, and of other writers that were opened for writing.

Not all or none, as there are no transactions; each step leaves a store that can be read, and what is left to do after a
crash is done by the next program that opens the store for writing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from pymongo import UpdateOne

from xcstore.store.mongo_database import MongoDatabase
from xcstore.store.mongo_documents import OURS
from xcstore.store.mongo_layout import EVENTS, EXTRA
from xcstore.store.mongo_pages import MongoEvents
from xcstore.store.mongo_writing import MongoWriter
from xcstore.store.values import is_encodable

__all__ = ["delete_events"]

_CHUNK: Final = 1_000


def delete_events(database: MongoDatabase, events: MongoEvents, writer: MongoWriter, event_ids: Iterable[str]) -> int:
    """Remove these events; returns how many there were."""
    wanted = [event_id for event_id in dict.fromkeys(event_ids) if is_encodable(event_id)]
    deleted = 0
    touched: set[str] = set()
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        if events.layout.is_ours:
            touched |= _mark_survivors(database, events, chunk)
            deleted += _delete_large(database, events, chunk)
        deleted += database.delete(EVENTS, events.by_id(chunk))
    for instance_id in sorted(touched):
        writer.rebuild(instance_id)
    return deleted


def _mark_survivors(database: MongoDatabase, events: MongoEvents, ids: Sequence[str]) -> set[str]:
    """Have the instances worked out from what is left of their events until they are rebuilt; returns which."""
    going = database.find(EVENTS, events.by_id(ids), fields={"instanceId": 1})
    instances = sorted({document["instanceId"] for document in going})
    if not instances:
        return set()
    left = database.aggregate(
        EVENTS,
        [
            {"$match": {"instanceId": {"$in": instances}, "_id": {"$nin": list(ids)}, "xcstore.position": {"$gt": 0}}},
            {"$sort": {"xcstore.position": 1}},
            {"$group": {"_id": "$instanceId", "last": {"$last": "$_id"}}},
        ],
    )
    last = {row["_id"]: row["last"] for row in left}
    mark = {"$set": {"xcstore.open.rebuild": True}}
    database.write(EVENTS, [UpdateOne({"_id": event_id}, mark) for event_id in last.values()], durable=True)
    return set(last)


def _delete_large(database: MongoDatabase, events: MongoEvents, ids: Sequence[str]) -> int:
    """Those with texts beside them. The event first: a text without an event is never read."""
    deleted = 0
    large = {"$and": [events.by_id(ids), {"xcstore.extra": {"$exists": True}}]}
    for document in list(database.find(EVENTS, large, fields={OURS: 1})):
        beside = document[OURS]
        deleted += database.delete(EVENTS, {"_id": document["_id"]})
        database.delete(EXTRA, {"_id": {"$in": [f"{beside['seq']}.{part}" for part in range(beside["extra"])]}})
    return deleted
