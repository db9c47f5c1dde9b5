"""Snapshots and definitions in MongoDB.

The latest of each instance is a document of `snapshots`, as the TypeScript runtime saves it. Stores of ours keep the
last few, whole, in `fsm_snapshot_history`. A snapshot goes into the history first and counts once the latest has its
number, so that after a crash it is there in both or shown in neither; of several saved at once, each counts on its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from bson import Binary
from pymongo import ReplaceOne
from pymongo import errors as mongo

from xcstore.errors import CorruptEventError, ReadOnlyStoreError
from xcstore.jsontext import json_text, parse_json
from xcstore.model.history import InstanceSnapshot
from xcstore.store import filtering
from xcstore.store.base import Cursor, Page, StoredDefinition
from xcstore.store.codec import NO_REDACTION, Redaction, check_writable_snapshot, snapshot_to_document
from xcstore.store.cursors import decode_cursor, encode_cursor
from xcstore.store.mongo_database import MongoDatabase, MongoReader, check_writable
from xcstore.store.mongo_documents import OURS, pack_value, unpack_snapshot
from xcstore.store.mongo_layout import DEFINITIONS, EXTRA, HISTORY, META, SEQ, SNAPSHOTS, MongoLayout
from xcstore.store.reading import all_pages
from xcstore.store.values import is_encodable

__all__ = ["DocumentDefinitionStore", "DocumentSnapshotStore", "refuse_foreign"]

_BATCH: Final = 1_000
_SAVED: Final = 200


def refuse_foreign(database: MongoReader, layout: MongoLayout) -> MongoDatabase:
    """Only stores of ours are written."""
    writable = check_writable(database)
    if not layout.is_ours:
        raise ReadOnlyStoreError(
            f"{database.identity} belongs to another writer ({layout.name} layout); "
            "import it into a store of your own to write"
        )
    return writable


class DocumentSnapshotStore:
    """Snapshots in MongoDB; see `store.base.SnapshotStore` for what it promises.

    Parameters
    ----------
    retention : int
        How many documents of an instance are kept.
    """

    def __init__(
        self, database: MongoReader, layout: MongoLayout, *, redact: Redaction = NO_REDACTION, retention: int = 10
    ) -> None:
        self._database: Final = database
        self._layout: Final = layout
        self._redact: Final = redact
        self._retention: Final = retention

    def connect(self) -> None:
        """Look whether the server answers; stores are connected from the start."""
        self._database.ping()

    def close(self) -> None:
        self._database.close()

    # Writing

    def save_snapshot(self, snapshot: InstanceSnapshot) -> None:
        self.save_snapshots([snapshot])

    def save_snapshots(self, snapshots: Iterable[InstanceSnapshot]) -> int:
        """Save all, in their order; returns how many. None is saved where one cannot be written.

        They are held in memory until all are checked.
        """
        database = refuse_foreign(self._database, self._layout)
        given = list(snapshots)
        for snapshot in given:
            check_writable_snapshot(snapshot)
        for start in range(0, len(given), _SAVED):
            self._save(database, given[start : start + _SAVED])
        return len(given)

    def _save(self, database: MongoDatabase, snapshots: Sequence[InstanceSnapshot]) -> None:
        first = database.take_numbers(META, SEQ, len(snapshots))
        latest: dict[str, ReplaceOne[Any]] = {}
        history = []
        for seq, snapshot in enumerate(snapshots, first):
            packed = pack_value(snapshot_to_document(snapshot), {"seq": seq})
            for part, chunk in enumerate(packed.chunks):
                database.replace(EXTRA, {"_id": f"{seq}.{part}"}, {"data": Binary(chunk)})
            instance_id = snapshot.instance.id
            history.append({"_id": seq, "instanceId": instance_id, "seq": seq, "document": packed.document})
            # One that was saved later, by another program, stays.
            older = {"instance.id": instance_id, "xcstore.seq": {"$not": {"$gt": seq}}}
            latest[instance_id] = ReplaceOne(older, packed.document, upsert=True)
        database.insert_many(HISTORY, history)
        for replacement in latest.values():
            with contextlib.suppress(mongo.BulkWriteError, mongo.DuplicateKeyError):
                database.write(SNAPSHOTS, [replacement], durable=True)
        for instance_id in latest:
            self._forget(database, {"instanceId": instance_id}, self._retention)

    def _forget(self, database: MongoDatabase, of_instance: Mapping[str, Any], keep: int) -> int:
        """Remove from the history of an instance what is older than the last `keep`."""
        kept = database.find(HISTORY, of_instance, fields={"seq": 1}, sort=[("seq", -1)])
        old = [document["_id"] for number, document in enumerate(kept) if number >= keep]
        if not old:
            return 0
        self._delete_texts(database, HISTORY, {"_id": {"$in": old}})
        return database.delete(HISTORY, {"_id": {"$in": old}})

    def _delete_texts(self, database: MongoDatabase, collection: str, condition: Mapping[str, Any]) -> None:
        large = {**condition, "document.xcstore.extra": {"$exists": True}}
        for document in list(database.find(collection, large, fields={"document.xcstore": 1})):
            beside = document["document"][OURS]
            database.delete(EXTRA, {"_id": {"$in": [f"{beside['seq']}.{part}" for part in range(beside["extra"])]}})

    def delete_snapshot(self, instance_id: str) -> None:
        """Also in stores of other writers, where they were opened for writing: retention takes it with its events."""
        database = check_writable(self._database)
        if not is_encodable(instance_id):
            return
        if self._layout.is_ours:
            self._delete_texts(database, HISTORY, {"instanceId": instance_id})
            database.delete(HISTORY, {"instanceId": instance_id})
        database.delete(SNAPSHOTS, {"instance.id": instance_id})

    def count_beyond(self, keep: int) -> int:
        filtering.check_keep(keep)
        return sum(number - keep for _, number in self._beyond(keep))

    def trim(self, keep: int) -> int:
        filtering.check_keep(keep)
        database = check_writable(self._database)
        return sum(self._forget(database, {"instanceId": instance_id}, keep) for instance_id, _ in self._beyond(keep))

    def _beyond(self, keep: int) -> list[tuple[str, int]]:
        """Instances with more than `keep` kept snapshots, and how many these are."""
        if not self._layout.is_ours:
            return []
        stages: list[dict[str, Any]] = [
            {"$group": {"_id": "$instanceId", "count": {"$sum": 1}}},
            {"$match": {"count": {"$gt": keep}}},
        ]
        return [(row["_id"], int(row["count"])) for row in self._database.aggregate(HISTORY, stages)]

    # Reading

    def get_snapshot(self, instance_id: str) -> InstanceSnapshot | None:
        return self.get_snapshots([instance_id]).get(instance_id)

    def get_snapshots(self, instance_ids: Iterable[str]) -> Mapping[str, InstanceSnapshot]:
        wanted = [one for one in dict.fromkeys(instance_ids) if is_encodable(one)]
        found: dict[str, InstanceSnapshot] = {}
        for start in range(0, len(wanted), _BATCH):
            chunk = wanted[start : start + _BATCH]
            for snapshot in self._decoded(self._database.find(SNAPSHOTS, {"instance.id": {"$in": chunk}})):
                found[snapshot.instance.id] = snapshot
        return {instance_id: found[instance_id] for instance_id in wanted if instance_id in found}

    def get_all_snapshots(self) -> Iterator[InstanceSnapshot]:
        yield from all_pages(lambda after: self.find(after=after, limit=_BATCH))

    def list_snapshots(self, instance_id: str) -> Sequence[InstanceSnapshot]:
        if not is_encodable(instance_id):
            return []
        latest = next(self._database.find(SNAPSHOTS, {"instance.id": instance_id}, limit=1), None)
        if latest is None:
            return []
        beside = latest.get(OURS)
        seq = beside.get("seq") if self._layout.is_ours and isinstance(beside, dict) else None
        kept: list[InstanceSnapshot] = []
        if self._layout.is_ours:
            history = {"instanceId": instance_id, **({} if seq is None else {"seq": {"$lte": seq}})}
            documents = self._database.find(HISTORY, history, sort=[("seq", 1)])
            kept = list(self._decoded(document["document"] for document in documents))
        # Another writer that saves snapshots writes the documented collection only.
        return kept if kept and seq is not None else [*kept, *self._decoded([latest])]

    def find(self, *, after: Cursor | None = None, limit: int = 100) -> Page[InstanceSnapshot]:
        filtering.check_limit(limit)
        condition: dict[str, Any] = {"instance.id": {"$type": "string"}}
        if after is not None:
            condition = {"instance.id": {"$gt": decode_cursor(after, "snapshots", (str,))[0]}}
        found = self._database.find(SNAPSHOTS, condition, sort=[("instance.id", 1)], limit=limit + 1, batch=limit + 2)
        documents = list(found)
        last = documents[limit - 1]["instance"]["id"] if len(documents) > limit else None
        return Page(
            items=tuple(self._decoded(documents[:limit])),
            next=None if last is None else encode_cursor("snapshots", last),
        )

    def count(self) -> int:
        rows = self._database.aggregate(
            SNAPSHOTS, [{"$match": {"instance.id": {"$type": "string"}}}, {"$count": "count"}]
        )
        return next((int(row["count"]) for row in rows), 0)

    def _decoded(self, documents: Iterable[dict[str, Any]]) -> Iterator[InstanceSnapshot]:
        for document in documents:
            with contextlib.suppress(CorruptEventError):  # without an instance it has no place anywhere
                yield unpack_snapshot(document, self._redact, ours=self._layout.is_ours, read_chunks=self._chunks)

    def _chunks(self, seq: int, count: int) -> bytes:
        wanted = [f"{seq}.{part}" for part in range(count)]
        found = {
            one["_id"]: bytes(one["data"]) for one in self._database.find(EXTRA, {"_id": {"$in": wanted}}, batch=1)
        }
        return b"".join(found[key] for key in wanted)


class DocumentDefinitionStore:
    """Component documents by hash. Empty in stores that are not ours."""

    def __init__(self, database: MongoReader, layout: MongoLayout) -> None:
        self._database: Final = database
        self._layout: Final = layout

    def save_definition(self, definition: StoredDefinition) -> None:
        database = refuse_foreign(self._database, self._layout)
        kept = {
            "seq": database.take_numbers(META, SEQ),
            "componentName": definition.component_name,
            "document": json_text(definition.document),
        }
        with contextlib.suppress(mongo.DuplicateKeyError):  # by another program at the same moment
            database.update(DEFINITIONS, {"_id": definition.hash}, {"$setOnInsert": kept}, upsert=True)

    def get_all_definitions(self) -> Sequence[StoredDefinition]:
        if not self._layout.is_ours:
            return []
        return [
            StoredDefinition(
                hash=one["_id"],
                component_name=one["componentName"],
                document=cast(Mapping[str, object], parse_json(one["document"])),
            )
            for one in self._database.find(DEFINITIONS, {}, sort=[("seq", 1)])
        ]
