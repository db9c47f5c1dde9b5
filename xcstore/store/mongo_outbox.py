"""The outbox of a MongoDB store of ours, written together with the events without a transaction.

Work goes into `fsm_outbox` before the event it comes with, `pending` under the event's number. The event is the one
document that makes it count: it names, in `open`, the ids of the work it changes. What is done then may be done by
anybody, late, and any number of times: take `pending` away, and remove what these ids stood for before that number.
Nothing is ever put in afterwards, so that nothing that is done can come back. A change without an event is made to
count by a document in `fsm_intents` in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from pymongo import DeleteMany, UpdateMany

from xcstore.jsontext import json_text, parse_json
from xcstore.store.base import OutboxChange, StoredWork
from xcstore.store.mongo_database import MongoDatabase, MongoReader
from xcstore.store.mongo_layout import EVENTS, INTENTS, META, OUTBOX, SEQ
from xcstore.store.values import is_encodable

__all__ = ["change_outbox", "changed_ids", "finish_change", "finish_intents", "prepare_change", "read_outbox", "undo"]

_ATTEMPTS: Final = 5

Open = Mapping[int, Sequence[str]]
"""Ids of work by the number of the change that is not finished."""


def changed_ids(change: OutboxChange | None) -> list[str]:
    """Ids of all the work that the change removes, replaces or adds."""
    if change is None:
        return []
    ids = dict.fromkeys((*change.remove, *(work.id for work in change.add)))
    return [work_id for work_id in ids if is_encodable(work_id)]


def prepare_change(database: MongoDatabase, change: OutboxChange | None, seq: int) -> None:
    """Put in what is added, so that it counts as soon as the change does."""
    if change is None or not change.add:
        return
    put = {work.id: work for work in change.add}
    documents: list[dict[str, Any]] = [
        {
            "_id": f"{seq}.{number}",
            "workId": work.id,
            "componentName": work.component_name,
            "position": work.position,
            "document": json_text(work.document),
            "seq": seq,
            "pending": seq,
        }
        for number, work in enumerate(put.values())
    ]
    database.insert_many(OUTBOX, documents)


def undo(database: MongoDatabase, seq: int) -> None:
    """Take out again what was put in for a change that did not come to count."""
    database.delete(OUTBOX, {"pending": seq})


def finish_change(database: MongoDatabase, seq: int, ids: Iterable[str]) -> None:
    """What is left to do once a change counts."""
    wanted = list(ids)
    if wanted:
        database.write(
            OUTBOX,
            [
                UpdateMany({"pending": seq}, {"$unset": {"pending": ""}}),
                DeleteMany({"workId": {"$in": wanted}, "seq": {"$lt": seq}}),
            ],
        )


def change_outbox(database: MongoDatabase, change: OutboxChange) -> None:
    """A change that comes with no event."""
    ids = changed_ids(change)
    if not ids:
        return
    seq = database.take_numbers(META, SEQ)
    prepare_change(database, change, seq)
    database.update(INTENTS, {"_id": seq}, {"$setOnInsert": {"works": ids}}, upsert=True)
    finish_change(database, seq, ids)
    database.delete(INTENTS, {"_id": seq})


def finish_intents(database: MongoDatabase) -> None:
    """Finish what others began, as after a crash."""
    for intent in database.find(INTENTS, {}, sort=[("_id", 1)]):
        finish_change(database, intent["_id"], intent["works"])
        database.delete(INTENTS, {"_id": intent["_id"]})


def read_outbox(database: MongoReader, component_name: str | None) -> Sequence[StoredWork]:
    """By (position, id), ids by their bytes."""
    before = _open(database)
    for _ in range(_ATTEMPTS):
        documents = list(database.find(OUTBOX, {}))
        after = _open(database)
        if after.keys() <= before.keys():
            break
        before = after  # a change came to count meanwhile: half of it may have been seen
    latest: dict[str, dict[str, Any]] = {}
    for document in sorted(documents, key=lambda document: int(document["seq"])):
        if document.get("pending") is None or document["pending"] in before:
            latest[document["workId"]] = document
    for seq, ids in before.items():
        for work_id in ids:
            if work_id in latest and latest[work_id]["seq"] < seq:
                del latest[work_id]
    works = [
        StoredWork(
            id=document["workId"],
            position=document["position"],
            component_name=document["componentName"],
            document=cast(Mapping[str, object], parse_json(document["document"])),
        )
        for document in latest.values()
        if component_name is None or document["componentName"] == component_name
    ]
    return sorted(works, key=lambda work: (work.position, work.id))


def _open(database: MongoReader) -> Open:
    found: dict[int, Sequence[str]] = {}
    for event in database.find(EVENTS, {"xcstore.open": {"$exists": True}}, fields={"xcstore": 1}):
        beside = event["xcstore"]
        if isinstance(beside.get("open"), dict):
            found[beside["seq"]] = beside["open"].get("works", ())
    for intent in database.find(INTENTS, {}):
        found[intent["_id"]] = intent["works"]
    return found
