"""What a MongoDB server knows about a store, asked so that it costs the same whatever is stored."""

from __future__ import annotations

from typing import Final

from xcstore.store.base import StoreStatus
from xcstore.store.mongo_layout import EVENTS
from xcstore.store.mongo_pages import MongoEvents

__all__ = ["read_status"]

_COUNTED: Final = 5_000
"""Up to so many events are counted; beyond, the collection is asked for its own count."""


def read_status(events: MongoEvents) -> StoreStatus:
    """Sizes are of documents before they are compressed, and of the indexes."""
    database = events.database
    statistics = database.statistics()
    counted = events.aggregate([{"$match": events.usable}, {"$limit": _COUNTED + 1}, {"$count": "count"}])
    count = int(counted[0]["count"]) if counted else 0
    return StoreStatus(
        server=f"MongoDB {database.build()['version']}",
        size_bytes=int(statistics["dataSize"]) + int(statistics["indexSize"]),
        event_count=count if count <= _COUNTED else database.estimate(EVENTS),
        event_count_is_exact=count <= _COUNTED,
        pool=database.pool_use(),
    )
