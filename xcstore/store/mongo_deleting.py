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
    touched: dict[str, int] = {}
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        if not events.layout.is_ours:
            deleted += database.delete(EVENTS, events.by_id(chunk))
            continue
        positions, newest = _mark_newest(database, events, chunk)
        for instance_id, position in positions.items():
            touched[instance_id] = max(position, touched.get(instance_id, 0))
        # The newest of an instance last: wherever this is broken off, what is left is marked, and ends as it ended.
        for ids in ([event_id for event_id in chunk if event_id not in newest], sorted(newest)):
            if ids:
                deleted += _delete_large(database, events, ids)
                deleted += database.delete(EVENTS, events.by_id(ids))
    for instance_id, position in sorted(touched.items()):
        writer.rebuild(instance_id, position)
    return deleted


def _mark_newest(
    database: MongoDatabase, events: MongoEvents, ids: Sequence[str]
) -> tuple[dict[str, int], frozenset[str]]:
    """Have the instances worked out from what is left of their events until they are rebuilt.

    Returns the last position of those that go by instance, also where none is left: others may append until they are
    gone, and one who does afterwards finds that itself. Also the ids of events that are the newest of instances of
    which these were all.
    """
    places = {**events.by_id(ids), "xcstore.position": {"$gt": 0}}
    going: dict[str, tuple[int, str]] = {}
    for document in database.find(EVENTS, places, fields={"instanceId": 1, OURS: 1}):
        place = document[OURS]["position"], document["_id"]
        going[document["instanceId"]] = max(place, going.get(document["instanceId"], place))
    if not going:
        return {}, frozenset()
    left = database.aggregate(
        EVENTS,
        [
            {
                "$match": {
                    "instanceId": {"$in": sorted(going)},
                    "_id": {"$nin": list(ids)},
                    "xcstore.position": {"$gt": 0},
                }
            },
            {"$sort": {"xcstore.position": 1}},
            {"$group": {"_id": "$instanceId", "last": {"$last": "$_id"}}},
        ],
    )
    survivors = {row["_id"]: row["last"] for row in left}
    newest = {event_id for instance_id, (_, event_id) in going.items() if instance_id not in survivors}
    mark = {"$set": {"xcstore.open.rebuild": True}}
    marked = [*survivors.values(), *newest]
    database.write(EVENTS, [UpdateOne({"_id": event_id}, mark) for event_id in marked], durable=True)
    return {instance_id: position for instance_id, (position, _) in going.items()}, frozenset(newest)


def _delete_large(database: MongoDatabase, events: MongoEvents, ids: Sequence[str]) -> int:
    """Those with texts beside them. The event first: a text without an event is never read."""
    deleted = 0
    large = {"$and": [events.by_id(ids), {"xcstore.extra": {"$exists": True}}]}
    for document in list(database.find(EVENTS, large, fields={OURS: 1})):
        beside = document[OURS]
        deleted += database.delete(EVENTS, {"_id": document["_id"]})
        database.delete(EXTRA, {"_id": {"$in": [f"{beside['seq']}.{part}" for part in range(beside["extra"])]}})
    return deleted
