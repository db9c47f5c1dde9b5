"""Which documents count: those of an `append_many` do from the moment on at which all of them are there.

Each such document has the number of its batch. `fsm_batches` names the batches whose documents do not count. So a batch
is committed by one deletion, and readers, who see no batch there nearly always, need ask only for numbers that they
have not met before. The `state` there says who may go on with it:

open      being written: whoever deletes the record commits the batch, whoever makes it `undoing` undoes it, never both
undoing   its documents are being taken out; anybody may help, or do it again
undone    they are out. What a server still puts in stays hidden, and is taken out before the record is forgotten
"""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from pymongo import errors as mongo

from xcstore.errors import StoreError, StoreTimeoutError, StoreUnavailableError
from xcstore.store.mongo_database import MongoDatabase, MongoReader
from xcstore.store.mongo_documents import OURS
from xcstore.store.mongo_layout import BATCHES, EVENTS, EXTRA, META, SEQ

__all__ = ["Batch", "Visible", "alone", "batch_of", "make_way", "roll_back_abandoned"]

_BEAT_SECONDS: Final = 5
_LATE: Final = {"$lt": ["$beat", {"$subtract": ["$$NOW", 60_000]}]}
"""Who said nothing for a minute is taken to be gone."""
_UNDOING: Final = {"$set": {"state": "undoing"}, "$currentDate": {"beat": True}}
_LOCK: Final = "import"
_PAUSES: Final = (0.005, 0.1)
_REMEMBERED_MS: Final = 3_600_000
_AT_A_TIME: Final = 500


class Visible:
    """Tells documents that count from those that do not. One for each store, shared between threads."""

    def __init__(self, database: MongoReader, *, ours: bool) -> None:
        self._database: Final = database
        self._ours: Final = ours
        self._counted: set[int] = set()
        """Batches that are committed: they stay so."""
        self._lock: Final = threading.Lock()

    def among(self, documents: Iterable[dict[str, Any]], at_a_time: int = _AT_A_TIME) -> Iterator[dict[str, Any]]:
        """Those of the documents that count, in their order; so many are looked at together.

        What did not count at one of them does not at those after it, so that no half of a batch is seen.
        """
        if not self._ours:
            yield from documents
            return
        remaining = iter(documents)
        hidden: set[int] = set()
        while some := list(islice(remaining, at_a_time)):
            hidden |= self._hidden({number for number in map(batch_of, some) if number is not None} - hidden)
            yield from some if not hidden else (one for one in some if batch_of(one) not in hidden)

    def _hidden(self, numbers: set[int]) -> set[int]:
        unknown = numbers - self._counted
        if not unknown:
            return set()
        found = {batch["_id"] for batch in self._database.find(BATCHES, {"_id": {"$in": list(unknown)}})}
        with self._lock:
            self._counted |= unknown - found
        return found

    def uncounted(self) -> list[int]:
        """Numbers of all batches that do not count now."""
        if not self._ours:
            return []
        return [batch["_id"] for batch in self._database.find(BATCHES, {}, fields={"_id": 1})]


def batch_of(document: Mapping[str, Any]) -> int | None:
    beside = document.get(OURS)
    return beside.get("batch") if isinstance(beside, Mapping) else None


class Batch:
    """One `append_many` that is being written. `number` is less than the `seq` of each of its events."""

    def __init__(self, database: MongoDatabase, number: int, turn: str) -> None:
        self._database: Final = database
        self.number: Final = number
        self._own: Final = {"_id": number}
        self._open: Final = {"_id": number, "state": "open"}
        self._is_committing = False
        change = {"$setOnInsert": {"state": "open", "turn": turn, **_owner()}, "$currentDate": {"beat": True}}
        database.update(BATCHES, self._own, change, upsert=True)

    def check(self) -> None:
        """Look whether it is still ours to write.

        Raises
        ------
        StoreUnavailableError
            Others took it for abandoned, and undid it.
        """
        if self._database.find_one(BATCHES, self._open) is None:
            raise StoreUnavailableError(
                f"{self._database.identity} heard nothing from this program for so long that another undid its batch"
            )

    def commit(self) -> None:
        """From now on it counts. Where the server did not answer, it is asked what it did.

        Raises
        ------
        StoreUnavailableError
            Others undid it; or nobody knows, as the server cannot be asked.
        """
        self.check()
        self._is_committing = True
        try:
            if self._database.delete(BATCHES, self._open):
                return
        except StoreError as error:
            if self._is_undone(error):
                raise
            return
        # Nothing there: the first of two tries did it, whose answer was lost.
        if self._database.find_one(BATCHES, self._own) is not None:
            self.check()

    def _is_undone(self, error: StoreError) -> bool:
        try:
            return self.roll_back()
        except StoreError:
            raise StoreUnavailableError(
                f"whether the batch was written is not known, look for its events before you try again: {error}"
            ) from error

    def roll_back(self) -> bool:
        """Take out all that it has put in; False where it counts already, then nothing is taken out."""
        found = self._database.update(BATCHES, self._open, _UNDOING)
        if not found and self._database.find_one(BATCHES, self._own) is None:
            if self._is_committing:
                return False
            # It was undone and forgotten while this program slept: what it put in since then is hidden first.
            self._database.update(BATCHES, self._own, _UNDOING, upsert=True)
        _take_out(self._database, self.number)
        return True


@contextmanager
def alone(database: MongoDatabase, seconds: float) -> Iterator[str]:
    """Let no other `append_many` in here, whichever program it is of; one that is gone is not waited for.

    Gives the name of this turn. Its lock, and its batch, show that somebody is here, however long the events take.

    Raises
    ------
    StoreTimeoutError
        Another is in here for longer.
    """
    end = time.monotonic() + seconds
    turn = uuid4().hex
    lock = {"_id": _LOCK, "token": turn}
    while True:
        try:
            # The server's time; `beat` must be there from the start, as nothing is less than any time.
            database.update(META, lock, {"$set": _owner(), "$currentDate": {"beat": True}}, upsert=True)
            break
        except mongo.DuplicateKeyError:
            held = database.find_one(META, {"_id": _LOCK})
        if held is not None and (_is_gone(held) or database.find_one(META, {"_id": _LOCK, "$expr": _LATE})):
            database.delete(META, {"_id": _LOCK, "token": held["token"]})
            roll_back_abandoned(database)
        if time.monotonic() > end:
            raise StoreTimeoutError(f"another import into {database.identity} takes longer than {seconds:g} s")
        time.sleep(random.uniform(*_PAUSES))
    ended = threading.Event()
    threading.Thread(target=_beat, args=(database, turn, ended), name="xcstore-import", daemon=True).start()
    try:
        yield turn
    finally:
        ended.set()
        database.delete(META, lock)


def _beat(database: MongoDatabase, turn: str, ended: threading.Event) -> None:
    """Say, until the end, that somebody still works at it."""
    now = {"$currentDate": {"beat": True}}
    while not ended.wait(_BEAT_SECONDS):
        with suppress(StoreError):  # who cannot be heard for long finds out at `check`
            database.update(META, {"_id": _LOCK, "token": turn}, now)
            database.update(BATCHES, {"turn": turn, "state": "open"}, now)


def roll_back_abandoned(database: MongoDatabase) -> None:
    """Undo the batches whose writer is gone: its process on this machine is, or it said nothing for a minute."""
    make_way(database, {"state": {"$ne": "undone"}})
    old = {"$lt": ["$beat", {"$subtract": ["$$NOW", _REMEMBERED_MS]}]}
    for batch in list(database.find(BATCHES, {"state": "undone", "$expr": old})):
        # The server may have put in more after all of it was taken out.
        _delete_documents(database, batch["_id"], batch.get("last"))
        database.delete(BATCHES, {"_id": batch["_id"], "state": "undone"})


def make_way(database: MongoDatabase, which: Mapping[str, Any]) -> None:
    """Take out the documents of those batches that nobody writes any more."""
    for batch in list(database.find(BATCHES, which)):
        if batch["state"] != "open" or _take_over(database, batch):
            _take_out(database, batch["_id"])


def _take_over(database: MongoDatabase, batch: Mapping[str, Any]) -> bool:
    """Whether it was abandoned; from now on its writer can no longer commit it."""
    late = {} if _is_gone(batch) else {"$expr": _LATE}
    return database.update(BATCHES, {"_id": batch["_id"], "state": "open", **late}, _UNDOING)


def _take_out(database: MongoDatabase, number: int) -> None:
    """Its number stays, for those who have read some of it."""
    # Read after the batch could no longer be written, so beyond all of its numbers.
    counter = database.find_one(META, {"_id": SEQ})
    last = None if counter is None else counter["value"]
    _delete_documents(database, number, last)
    undone = {"$set": {"state": "undone", "last": last}, "$currentDate": {"beat": True}}
    database.update(BATCHES, {"_id": number}, undone)


def _delete_documents(database: MongoDatabase, number: int, last: int | None) -> None:
    seqs = {"$gt": number} if last is None else {"$gt": number, "$lte": last}
    of_batch = {"xcstore.seq": seqs, "xcstore.batch": number}
    large = {**of_batch, "xcstore.extra": {"$exists": True}}
    for document in database.find(EVENTS, large, fields={"xcstore.seq": 1, "xcstore.extra": 1}):
        beside = document[OURS]
        keys = [f"{beside['seq']}.{part}" for part in range(beside["extra"])]
        database.delete(EXTRA, {"_id": {"$in": keys}})
    database.delete(EVENTS, of_batch)


def _owner() -> dict[str, Any]:
    return {"host": _machine(), "pid": os.getpid()}


@cache
def _machine() -> str:
    """Where our process ids mean something: containers that share a host's name have ids of their own."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), os.readlink("/proc/self/ns/pid")]
    return " ".join(parts)


def _is_gone(owned: Mapping[str, Any]) -> bool:
    if owned.get("host") != _machine():
        return False
    try:
        os.kill(int(owned["pid"]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
