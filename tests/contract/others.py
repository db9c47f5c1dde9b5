"""What other writers put into MongoDB and Redis, by the servers' own clients and none of our stores.

The keys and documents are those of the TypeScript runtime. `open_redis` gives stores that write so and read by ours,
so that the contract's questions can be asked of a store that we only ever read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pymongo

from xcstore.demo.redis_writer import RedisWriter
from xcstore.store.base import Stores
from xcstore.store.opening import open_stores

__all__ = ["documents", "make_documents", "open_redis"]

Document = Mapping[str, Any]


# MongoDB


@contextmanager
def documents(url: str) -> Iterator[pymongo.database.Database[dict[str, Any]]]:
    """The database that the URL names, as its driver gives it."""
    client: pymongo.MongoClient[dict[str, Any]]
    with pymongo.MongoClient(url, serverSelectionTimeoutMS=5_000) as client:
        yield client.get_default_database(default="xcomponent")


def make_documents(url: str, events: Iterable[Document] = (), snapshots: Iterable[Document] = ()) -> None:
    """The collections with their indexes, and these documents in them, as `append` and `saveSnapshot` leave them."""
    with documents(url) as database:
        for field in ("instanceId", "componentName", "persistedAt", "causedBy"):
            database.events.create_index(field)
        database.snapshots.create_index("instance.id", unique=True)
        if stored := [
            {**document, "_id": document["id"]} if "id" in document else dict(document) for document in events
        ]:
            database.events.insert_many(stored)
        for document in snapshots:
            database.snapshots.replace_one({"instance.id": document["instance"]["id"]}, dict(document), upsert=True)


# Redis


class _Written:
    """A store of ours for reading, with a writer of others for writing."""

    def __init__(self, store: Any, writer: RedisWriter, *writes: str) -> None:
        self._store = store
        self._writer = writer
        self._writes = writes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer if name in self._writes else self._store, name)

    def close(self) -> None:
        self._store.close()
        self._writer.close()


def open_redis(url: str, **options: Any) -> Stores:
    """Stores on Redis: what the runtime of others writes, read by ours."""
    opened = open_stores(url, **options)
    events: Any = _Written(opened.events, RedisWriter(url), "append", "append_many")
    snapshots: Any = _Written(opened.snapshots, RedisWriter(url), "save_snapshot", "save_snapshots", "delete_snapshot")
    return Stores(events=events, snapshots=snapshots, definitions=opened.definitions)
