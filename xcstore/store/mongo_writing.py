"""Writing events into a MongoDB store of ours: each step leaves a store that can be read, and goes on from.

An event goes in as one document, with its place in its instance and the instance's new head. The place is unique, so
that of two writers behind the same event one is refused; what the event changes in the outbox counts from then on.
Then the head before it is taken away and the mark `open` with it. Who finds the mark, after a crash, does the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from bson import Binary
from pymongo import UpdateMany, UpdateOne
from pymongo import errors as mongo

from xcstore.errors import ConcurrencyError, DuplicateEventError, StoreError, StoreTimeoutError
from xcstore.model.history import PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.redaction import NO_REDACTION
from xcstore.store import mongo_outbox
from xcstore.store.base import OutboxChange
from xcstore.store.codec import check_writable, check_writable_outbox
from xcstore.store.mongo_batches import Batch, Visible, alone, batch_of, make_way
from xcstore.store.mongo_database import MongoDatabase
from xcstore.store.mongo_documents import OURS, Packed, pack_event, unpack_event
from xcstore.store.mongo_heads import STREAM_FIELDS, Fold, fold_of, folded, head_of
from xcstore.store.mongo_layout import EVENTS, EXTRA, META, SEQ

__all__ = ["MongoWriter", "put_chunks"]

_BATCH: Final = 1_000
_WAIT_SECONDS: Final = 10.0
_TURN_SECONDS: Final = 60.0
_IMPORT_SECONDS: Final = 3_600.0
_PAUSE: Final = 0.02
_LOOK_SECONDS: Final = 1.0


@dataclass(slots=True)
class _Standing:
    """Where an instance stands: its last position, what its events tell, and the id of the last of them."""

    position: int
    fold: Fold | None
    last_id: str
    newest_id: str = ""
    """The event with that position."""
    inserted_id: str = ""
    """The event at that position, where the head has still to be put into it."""


class MongoWriter:
    """Writes the events of one store. Safe to share between threads."""

    def __init__(self, database: MongoDatabase, visible: Visible) -> None:
        self._database: Final = database
        self._visible: Final = visible
        self._looked_at = -_LOOK_SECONDS
        self._has_strangers = False

    def append(self, event: PersistedEvent, expected_last_id: str | None, outbox: OutboxChange | None) -> None:
        check_writable(event)
        if outbox is not None:
            check_writable_outbox(outbox)
        works = mongo_outbox.changed_ids(outbox)
        end = time.monotonic() + _WAIT_SECONDS
        while True:
            standing = self._standing(event.instance_id, end)
            if expected_last_id is not None and standing.last_id != expected_last_id:
                raise ConcurrencyError(
                    f"instance {event.instance_id!r} ends with event {standing.last_id!r}, "
                    f"not {expected_last_id!r}; read it again, then append"
                )
            seq = self._database.take_numbers(META, SEQ)
            beside = self._beside(event, seq, standing)
            beside["open"] = {"works": works, "after": standing.newest_id}
            packed = pack_event(event, beside)
            mongo_outbox.prepare_change(self._database, outbox, seq)
            put_chunks(self._database, seq, packed)
            if self._insert(event, seq, packed, works):
                break
            if time.monotonic() > end:
                raise StoreTimeoutError(f"instance {event.instance_id!r} is appended to by others all the time")
        self._finish(event.instance_id, event.id, seq, standing.position + 1, beside["open"])

    def _beside(self, event: PersistedEvent, seq: int, standing: _Standing) -> dict[str, Any]:
        fold = folded(standing.fold, event, seq)
        return {"seq": seq, "position": standing.position + 1, **head_of(event.instance_id, fold)}

    def _insert(self, event: PersistedEvent, seq: int, packed: Packed, works: Sequence[str]) -> bool:
        """Whether it is in; False where its place was taken.

        What was put in beside it is taken out again only where it was refused: where the server did not answer, it may
        still be about to insert it.
        """
        try:
            self._database.insert(EVENTS, packed.document)
        except mongo.DuplicateKeyError:
            stored = self._database.find_one(EVENTS, {"_id": event.id}, {OURS: 1})
            if stored is not None and (stored.get(OURS) or {}).get("seq") == seq:
                return True  # by the first of two tries, whose answer was lost
            self._undo(seq, packed, works)
            if self.stored([event.id]):
                raise DuplicateEventError(event.id) from None
            return False
        return True

    def _undo(self, seq: int, packed: Packed, works: Sequence[str]) -> None:
        if works:
            mongo_outbox.undo(self._database, seq)
        if packed.chunks:
            self._database.delete(EXTRA, {"_id": {"$in": [f"{seq}.{part}" for part in range(len(packed.chunks))]}})

    def _finish(self, instance_id: str, event_id: str, seq: int, position: int, to_do: Mapping[str, Any]) -> None:
        mongo_outbox.finish_change(self._database, seq, to_do.get("works", ()))
        own = {"_id": event_id, "xcstore.seq": seq}
        if to_do.get("rebuild") or not self._is_there(to_do):
            # Marked first: the instance is worked out from its events until somebody has rebuilt it.
            if self._database.update(EVENTS, own, {"$set": {"xcstore.open": {"works": [], "rebuild": True}}}):
                with suppress(StoreTimeoutError):
                    self.rebuild(instance_id)
            return
        requests: list[Any] = []
        if position > 1:
            requests.append(_demotion(instance_id, position))
        requests.append(UpdateOne(own, {"$unset": {"xcstore.open": ""}}))
        self._database.write(EVENTS, requests)

    def _is_there(self, to_do: Mapping[str, Any]) -> bool:
        """Whether the event that the head went on from was not deleted before the new one was in."""
        after = to_do.get("after")
        return not after or self._database.find_one(EVENTS, {"_id": after}, {"_id": 1}) is not None

    # What is there

    def _standing(self, instance_id: str, end: float) -> _Standing:
        newest = self._newest(instance_id, end)
        beside = {} if newest is None else newest[OURS]
        newest_id = "" if newest is None else newest["_id"]
        position = int(beside.get("position", 0))
        head = beside.get("head")
        if (newest is not None and head is None) or self._is_shared(instance_id):
            stream = self._stream(instance_id)
            fold = _fold_of_stream(stream)
        elif head is None:
            return _Standing(0, None, "")
        else:
            fold = fold_of(head)
            if head["settled"]:
                return _Standing(position, fold, head["last"], newest_id)
            stream = self._stream(instance_id)
        ordered = order_stream(stream)
        return _Standing(position, fold, ordered[-1].id if ordered else "", newest_id)

    def last_position(self, instance_id: str, *, beside: int | None) -> int:
        """The last position, in the batch `beside` or out of it; one that was abandoned is undone first."""
        end = time.monotonic() + _WAIT_SECONDS
        others = self._newest(instance_id, end, {"xcstore.batch": {"$ne": beside}})
        place = {"instanceId": instance_id, "xcstore.position": {"$gt": 0}, "xcstore.batch": beside}
        own = self._database.find(EVENTS, place, fields={OURS: 1}, sort=[("xcstore.position", -1)], limit=1)
        return max(int(one[OURS]["position"]) for one in (*own, others or {OURS: {"position": 0}}))

    def _newest(
        self, instance_id: str, end: float, condition: Mapping[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """The document with the last position. One of a batch that does not count yet is waited for."""
        place = {"instanceId": instance_id, "xcstore.position": {"$gt": 0}, **(condition or {})}
        while True:
            found = list(self._database.find(EVENTS, place, fields={OURS: 1}, sort=[("xcstore.position", -1)], limit=1))
            if not found or list(self._visible.among(found)):
                return found[0] if found else None
            self._make_way(f"instance {instance_id!r}", found, end)

    def stored(self, event_ids: Iterable[str], *, beside: int | None = None) -> set[str]:
        """Which of the ids are stored, out of the batch `beside`; one of a batch that does not count is waited for."""
        end = time.monotonic() + _WAIT_SECONDS
        where = {"_id": {"$in": list(event_ids)}}
        while True:
            found = [
                document
                for document in self._database.find(EVENTS, where, fields={OURS: 1})
                if beside is None or batch_of(document) != beside
            ]
            counted = {document["_id"] for document in self._visible.among(found)}
            if counted or not found:
                return counted
            self._make_way(f"event {found[0]['_id']!r}", found, end)

    def _make_way(self, name: str, hidden: Sequence[Mapping[str, Any]], end: float) -> None:
        """Have these documents taken out where their batch was abandoned; else wait a little."""
        if time.monotonic() > end:
            raise StoreTimeoutError(f"{name} is part of a batch that is being written for over {_WAIT_SECONDS:g} s")
        make_way(self._database, {"_id": {"$in": [batch_of(document) for document in hidden]}})
        time.sleep(_PAUSE)

    def _is_shared(self, instance_id: str) -> bool:
        """Whether another writer, who knows nothing of heads, has put in events of the instance."""
        if time.monotonic() - self._looked_at > _LOOK_SECONDS:
            self._has_strangers = self._database.find_one(EVENTS, {"xcstore.seq": None}, {"_id": 1}) is not None
            self._looked_at = time.monotonic()
        if not self._has_strangers:
            return False
        return self._database.find_one(EVENTS, {"xcstore.seq": None, "instanceId": instance_id}, {"_id": 1}) is not None

    def _stream(self, instance_id: str) -> list[PersistedEvent]:
        """Events without payloads, in no order."""
        found = self._database.find(EVENTS, {"instanceId": instance_id}, fields=STREAM_FIELDS)
        return [
            unpack_event(document, NO_REDACTION, ours=True, read_chunks=_no_chunks)
            for document in self._visible.among(found)
        ]

    # Many at once

    def append_many(self, given: Iterable[PersistedEvent]) -> int:
        remaining = iter(given)
        some, following = list(islice(remaining, _BATCH)), list(islice(remaining, _BATCH))
        if len(some) <= 1:
            for event in some:
                self.append(event, None, None)
            return len(some)
        # One batch at a time: two with events of the same instances would wait for each other.
        with alone(self._database, _IMPORT_SECONDS if following else _TURN_SECONDS) as turn:
            return self._add(_Many(self, turn), some, following, remaining)

    def _add(
        self, many: _Many, some: list[PersistedEvent], following: list[PersistedEvent], rest: Iterator[PersistedEvent]
    ) -> int:
        try:
            while some:
                many.add(some, is_last=not following)
                some, following = following, list(islice(rest, _BATCH))
            many.commit()
        except BaseException:
            with suppress(StoreError):  # what stays is not seen, and is taken out by who finds it
                many.roll_back()
            raise
        many.finish()
        return len(many.seen)

    # After a crash, and after deletions

    def finish_open(self) -> None:
        """Finish what others began."""
        marked = self._database.find(EVENTS, {"xcstore.open": {"$exists": True}}, fields={"instanceId": 1, OURS: 1})
        for document in self._visible.among(marked):
            beside = document[OURS]
            self._finish(document["instanceId"], document["_id"], beside["seq"], beside["position"], beside["open"])
        mongo_outbox.finish_intents(self._database)

    def rebuild(self, instance_id: str, last_position: int = 0) -> None:
        """Make the head of an instance anew from its events, where deleting or others have made it wrong.

        Its document gets the next position, also after `last_position`, of an event that is gone: a writer that has
        read the head before then finds the place taken.
        """
        while True:
            newest = self._newest(instance_id, time.monotonic() + _WAIT_SECONDS)
            if newest is None:
                return
            position = max(newest[OURS]["position"], last_position) + 1
            fold = _fold_of_stream(self._stream(instance_id))
            if fold is None:
                return
            head = head_of(instance_id, fold)
            # Its mark goes: what else it says is to do is done first.
            mongo_outbox.finish_change(
                self._database, newest[OURS]["seq"], newest[OURS].get("open", {}).get("works", ())
            )
            changes = {
                "$set": {"xcstore.position": position, **{f"{OURS}.{key}": value for key, value in head.items()}},
                "$unset": {"xcstore.open": "", **({} if "unsettled" in head else {"xcstore.unsettled": ""})},
            }
            where = {"_id": newest["_id"], "xcstore.position": newest[OURS]["position"]}
            try:
                if self._database.update(EVENTS, where, changes):
                    break
            except mongo.DuplicateKeyError:
                continue
        self._database.write(EVENTS, [_demotion(instance_id, position)])
        marked = {"instanceId": instance_id, "xcstore.open.rebuild": True, "xcstore.position": {"$lt": position}}
        done = UpdateMany({**marked, "xcstore.open.works.0": {"$exists": False}}, {"$unset": {"xcstore.open": ""}})
        self._database.write(EVENTS, [done, UpdateMany(marked, {"$unset": {"xcstore.open.rebuild": ""}})])


class _Many:
    """One `append_many` of at least two events."""

    def __init__(self, writer: MongoWriter, turn: str) -> None:
        self._writer: Final = writer
        self._database: Final = writer._database
        self._turn: Final = turn
        self.seen: Final[set[str]] = set()
        self._begun: Batch | None = None
        self._standings: Final[dict[str, _Standing]] = {}
        self._demoted: Final[set[str]] = set()
        """Instances with a head that the batch replaces."""
        self._wrong: Final[set[str]] = set()
        """Instances that others appended to meanwhile."""

    def add(self, events: Sequence[PersistedEvent], *, is_last: bool) -> None:
        ids = []
        for event in events:
            check_writable(event)
            if event.id in self.seen:
                raise DuplicateEventError(event.id)
            self.seen.add(event.id)
            ids.append(event.id)
        self._read_standings(events)
        first = self._database.take_numbers(META, SEQ, len(events) + 1)
        if self._begun is None:
            self._begun = Batch(self._database, first, self._turn)
        self._insert(events, first + 1, with_heads=is_last)

    @property
    def _batch(self) -> Batch:
        assert self._begun is not None, "add first"
        return self._begun

    @property
    def _number(self) -> int:
        return self._batch.number

    def _read_standings(self, events: Sequence[PersistedEvent]) -> None:
        unknown = {event.instance_id for event in events} - self._standings.keys()
        if not unknown:
            return
        heads = self._database.find(EVENTS, {"xcstore.head.instance": {"$in": list(unknown)}}, fields={OURS: 1})
        for document in self._writer._visible.among(heads):
            beside = document[OURS]
            known = self._standings.get(beside["head"]["instance"])
            if known is None or known.position < beside["position"]:
                fold = fold_of(beside["head"])
                self._standings[beside["head"]["instance"]] = _Standing(beside["position"], fold, "", document["_id"])
                self._demoted.add(beside["head"]["instance"])

    def _packed(
        self, events: Sequence[PersistedEvent], first: int, *, with_heads: bool
    ) -> Iterator[tuple[int, Packed]]:
        """With its number each. The last of an instance gets the head, which must wait where more may follow."""
        last_of = {event.instance_id: event.id for event in events}
        for seq, event in enumerate(events, first):
            standing = self._standings.setdefault(event.instance_id, _Standing(0, None, ""))
            standing.fold = folded(standing.fold, event, seq)
            standing.position += 1
            beside: dict[str, Any] = {"seq": seq, "position": standing.position, "batch": self._number}
            standing.inserted_id = event.id
            if with_heads and last_of[event.instance_id] == event.id:
                beside.update(self._head(event.instance_id, standing.fold))
                standing.inserted_id = ""
            yield seq, pack_event(event, beside)

    def _insert(self, events: Sequence[PersistedEvent], first: int, *, with_heads: bool) -> None:
        """An id that is stored is refused; where only the place in the instance was taken, the event gets another.

        With it all of these that are of its instance: they stay in order, behind what others appended meanwhile.
        """
        packed = list(self._packed(events, first, with_heads=with_heads))
        for seq, one in packed:
            put_chunks(self._database, seq, one)
        self._batch.check()
        try:
            self._database.insert_many(EVENTS, [one.document for _, one in packed], durable=False)
        except mongo.BulkWriteError as error:
            refused = [events[write["index"]] for write in error.details["writeErrors"]]
        else:
            return
        moved = {event.instance_id for event in refused}
        again = [event for event in events if event.instance_id in moved]
        ids = {event.id for event in again}
        self._database.delete(EVENTS, {"_id": {"$in": list(ids)}, "xcstore.batch": self._number})
        texts = [
            f"{seq}.{part}" for seq, one in packed if one.document["_id"] in ids for part in range(len(one.chunks))
        ]
        if texts:
            self._database.delete(EXTRA, {"_id": {"$in": texts}})
        stored = self._writer.stored([event.id for event in refused], beside=self._number)
        for event in refused:
            if event.id in stored:
                raise DuplicateEventError(event.id)
        for instance_id in moved:
            self._standings[instance_id].position = self._writer.last_position(instance_id, beside=self._number)
            self._wrong.add(instance_id)
            self._demoted.add(instance_id)
        self._insert(again, self._database.take_numbers(META, SEQ, len(again)), with_heads=False)

    def _head(self, instance_id: str, fold: Fold) -> dict[str, Any]:
        """Open where there is a head already, so that nobody counts the instance twice."""
        head = head_of(instance_id, fold)
        if instance_id in self._wrong:
            return {**head, "open": {"works": [], "rebuild": True}}
        after = self._standings[instance_id].newest_id
        return {**head, "open": {"works": [], "after": after}} if instance_id in self._demoted else head

    def commit(self) -> None:
        """Put in the heads that are missing, which nobody sees yet; then all of it counts."""
        requests = []
        for instance_id, standing in self._standings.items():
            if standing.inserted_id and standing.fold is not None:
                values = {f"{OURS}.{key}": value for key, value in self._head(instance_id, standing.fold).items()}
                requests.append(UpdateOne({"_id": standing.inserted_id}, {"$set": values}))
        for start in range(0, len(requests), _BATCH):
            self._database.write(EVENTS, requests[start : start + _BATCH])
        self._batch.commit()

    def roll_back(self) -> None:
        if self._begun is not None:
            self._begun.roll_back()

    def finish(self) -> None:
        """After the batch counts."""
        requests = [_demotion(instance_id, self._standings[instance_id].position) for instance_id in self._demoted]
        for start in range(0, len(requests), _BATCH):
            self._database.write(EVENTS, requests[start : start + _BATCH])
        for instance_id in self._wrong | self._gone_on_from_deleted():
            self._writer.rebuild(instance_id)
        done = {
            "xcstore.open": {"$exists": True},
            "xcstore.open.rebuild": {"$ne": True},
            "xcstore.batch": self._number,
        }
        self._database.write(EVENTS, [UpdateMany(done, {"$unset": {"xcstore.open": ""}})])

    def _gone_on_from_deleted(self) -> set[str]:
        """Instances whose head went on from an event that was deleted before the batch counted."""
        after = {one.newest_id: instance_id for instance_id, one in self._standings.items() if one.newest_id}
        ids, there = list(after), set[str]()
        for start in range(0, len(ids), _BATCH):
            found = self._database.find(EVENTS, {"_id": {"$in": ids[start : start + _BATCH]}}, fields={"_id": 1})
            there.update(document["_id"] for document in found)
        return {instance_id for event_id, instance_id in after.items() if event_id not in there}


def put_chunks(database: MongoDatabase, seq: int, packed: Packed) -> None:
    """The exact text that the document has no room for, before the document is there."""
    for part, chunk in enumerate(packed.chunks):
        database.replace(EXTRA, {"_id": f"{seq}.{part}"}, {"data": Binary(chunk)})


def _demotion(instance_id: str, position: int) -> UpdateMany:
    """Takes the heads before that position away."""
    where = {"xcstore.head.instance": instance_id, "xcstore.position": {"$lt": position}}
    return UpdateMany(where, {"$unset": {"xcstore.head": "", "xcstore.unsettled": ""}})


def _fold_of_stream(events: Sequence[PersistedEvent]) -> Fold | None:
    fold: Fold | None = None
    for event in sorted((event for event in events if event.seq is not None), key=lambda event: event.seq or 0):
        fold = folded(fold, event, event.seq or 0)
    return fold


def _no_chunks(seq: int, count: int) -> bytes:
    raise AssertionError("documents without their payload need no text beside them")
