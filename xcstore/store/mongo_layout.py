"""What a MongoDB database holds: whose store it is, and what ours is made of.

The documented collections are `events` and `snapshots`. A store of ours has `fsm_meta` with a schema version, and more:

fsm_meta              `schema_version`; `seq`, the last number that was given out
fsm_event_extra       exact texts that a document of `events`, `snapshots` or `fsm_snapshot_history` has no room for
fsm_batches           `append_many` that are not finished, or were undone
fsm_outbox, fsm_intents            see `mongo_outbox`
fsm_snapshot_history, fsm_definitions
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import Any, Final

import pymongo
from pymongo import errors as mongo

from xcstore.errors import NotAStoreError
from xcstore.store.base import Layout
from xcstore.store.mongo_database import MongoDatabase, MongoReader

__all__ = [
    "BATCHES",
    "DEFINITIONS",
    "EVENTS",
    "EXTRA",
    "HISTORY",
    "INTENTS",
    "META",
    "ODD_IDS",
    "ODD_TIMES",
    "OUTBOX",
    "SEQ",
    "SNAPSHOTS",
    "MongoLayout",
    "find_layout",
]

EVENTS: Final = "events"
SNAPSHOTS: Final = "snapshots"
META: Final = "fsm_meta"
EXTRA: Final = "fsm_event_extra"
BATCHES: Final = "fsm_batches"
OUTBOX: Final = "fsm_outbox"
INTENTS: Final = "fsm_intents"
HISTORY: Final = "fsm_snapshot_history"
DEFINITIONS: Final = "fsm_definitions"
SEQ: Final = "seq"
"""The counter in `fsm_meta`."""

_VERSION_KEY: Final = "schema_version"
_VERSION: Final = 1
_SAMPLE: Final = 100

_Index = tuple[str, tuple[tuple[str, int], ...], dict[str, Any]]

# The first four of events, and the first of snapshots, are the specification's.
_INDEXES: Final[tuple[_Index, ...]] = (
    (EVENTS, (("instanceId", 1),), {}),
    (EVENTS, (("componentName", 1),), {}),
    (EVENTS, (("persistedAt", 1),), {}),
    (EVENTS, (("causedBy", 1),), {}),
    (EVENTS, (("persistedAt", 1), ("xcstore.seq", 1), ("_id", 1)), {}),
    (EVENTS, (("instanceId", 1), ("persistedAt", 1)), {}),
    (
        EVENTS,
        (("instanceId", 1), ("xcstore.position", 1)),
        {"unique": True, "partialFilterExpression": {"xcstore.position": {"$exists": True}}},
    ),
    # Also what others wrote into a store of ours, as they give no seq.
    (EVENTS, (("xcstore.seq", 1),), {}),
    (EVENTS, (("xcstore.head.instance", 1),), {"sparse": True}),
    (EVENTS, (("xcstore.head.updated", 1), ("xcstore.head.seq", 1)), {"sparse": True}),
    (EVENTS, (("xcstore.open", 1),), {"sparse": True}),
    (EVENTS, (("xcstore.unsettled", 1),), {"sparse": True}),
    (SNAPSHOTS, (("instance.id", 1),), {"unique": True}),
    (HISTORY, (("instanceId", 1), ("seq", 1)), {}),
    (OUTBOX, (("workId", 1),), {}),
    (OUTBOX, (("pending", 1),), {"sparse": True}),
)

_NOT_NUMBERS: Final = [
    *("minKey", "null", "string", "object", "array", "binData", "objectId", "bool", "date", "timestamp"),
    *("regex", "javascript", "symbol", "maxKey", "undefined", "dbPointer", "javascriptWithScope"),
]
ODD_TIMES: Final = {
    "$or": [
        {"persistedAt": {"$type": _NOT_NUMBERS}},
        {"persistedAt": None},
        {"persistedAt": {"$lt": -(2**63)}},
        {"persistedAt": {"$gte": float(2**63)}},
        {"persistedAt": float("nan")},
    ]
}
"""Documents that no range of times finds, by the index on the time."""
ODD_IDS: Final = [name for name in (*_NOT_NUMBERS, "number") if name != "string"]
"""Types of a key that does not compare by its bytes."""


@dataclass(frozen=True, slots=True)
class MongoLayout:
    """Whose documents they are, and where their ids are."""

    is_ours: bool
    key: str = "_id"
    """The field with the id: `_id`, or `id` where another program made the `_id`s, as an import of a dump does."""
    odd_ids: bool = False
    """Whether some ids are not text."""
    is_shared: bool = False
    """Of ours: whether it holds events that another writer put in. They may be odd like all that others store."""

    @property
    def is_plain(self) -> bool:
        """Whether all is as we write it, so that nothing odd need be asked for."""
        return self.is_ours and not self.is_shared

    def shared(self) -> MongoLayout:
        """A store of ours with events of another writer."""
        return replace(self, key="id", odd_ids=True, is_shared=True)

    @property
    def name(self) -> Layout:
        return "ours" if self.is_ours else "documents"


def find_layout(database: MongoReader) -> MongoLayout:
    """What is there; an empty database that may be written to is made a store of ours.

    Raises
    ------
    NotAStoreError
        It holds no `events`, or events of another kind, or was written by a newer version.
    """
    names = database.collections()
    version = database.find_one(META, {"_id": _VERSION_KEY}) if META in names else None
    if version is not None:
        _check_version(database, version.get("value"))
    if isinstance(database, MongoDatabase) and (version is not None or _is_empty(database, names)):
        _make_ours(database)
        return MongoLayout(is_ours=True)
    if version is not None:
        return MongoLayout(is_ours=True)
    if EVENTS not in names:
        found = ", ".join(sorted(names)[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
        raise NotAStoreError(
            f"{database.identity} has no collection {EVENTS}; collections found: {found or 'none'}; "
            "import a history with `python -m xcstore import FILE --into URL`"
        )
    return _foreign(database)


def _is_empty(database: MongoReader, names: set[str]) -> bool:
    """Also where a program was interrupted at the first step of making a store."""
    return names <= {META} and database.find_one(META, {"_id": {"$ne": SEQ}}) is None


def _check_version(database: MongoReader, version: object) -> None:
    if version != _VERSION:
        raise NotAStoreError(
            f"{database.identity} has schema version {version!r}; this version of xcstore knows {_VERSION!r}; "
            "use the version that wrote it"
        )


def _make_ours(database: MongoDatabase) -> None:
    """The version first: whoever is interrupted here leaves a store of ours, to be completed by the next."""
    with contextlib.suppress(mongo.DuplicateKeyError):  # another program did so at the same moment
        database.update(META, {"_id": SEQ}, {"$setOnInsert": {"value": 0}}, upsert=True)
    with contextlib.suppress(mongo.DuplicateKeyError):
        database.update(META, {"_id": _VERSION_KEY}, {"$setOnInsert": {"value": _VERSION}}, upsert=True)
    for collection in (EVENTS, SNAPSHOTS, HISTORY, OUTBOX):
        wanted = [pymongo.IndexModel(list(keys), **options) for of, keys, options in _INDEXES if of == collection]
        present = database.indexes(collection)
        if missing := [index for index in wanted if index.document["name"] not in present]:
            database.create_indexes(collection, missing)


def _foreign(database: MongoReader) -> MongoLayout:
    sample = list(database.find(EVENTS, {}, fields={"id": 1, "instanceId": 1}, limit=_SAMPLE))
    if sample and not any("instanceId" in document for document in sample):
        raise NotAStoreError(
            f"the collection {EVENTS} of {database.identity} holds other things: none of its first {len(sample)} "
            "documents has an instanceId"
        )
    made = database.find_one(EVENTS, {"_id": {"$type": "objectId"}, "id": {"$exists": True}}, {"_id": 1})
    beside = any("id" in document and document["id"] != document["_id"] for document in sample)
    key = "id" if made is not None or beside else "_id"
    # Of `id` there is no index: looked at once, not with each question.
    odd = key == "id" and database.find_one(EVENTS, {key: {"$not": {"$type": "string"}}}, {"_id": 1}) is not None
    if key == "_id" and sample and not isinstance(sample[-1]["_id"], str):
        odd = True
    return MongoLayout(is_ours=False, key=key, odd_ids=odd)
