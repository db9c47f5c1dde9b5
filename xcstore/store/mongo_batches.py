"""Which documents count: those of an `append_many` do from the moment on at which all of them are there.

Each such document has the number of its batch. `fsm_batches` names the batches whose documents do not count: they are
being written, or are being undone. So a batch is committed by one deletion, and readers, who see no batch there nearly
always, need ask only for numbers that they have not met before.
"""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final
from uuid import uuid4

from pymongo import errors as mongo

from xcstore.errors import StoreTimeoutError, StoreUnavailableError
from xcstore.store.mongo_database import MongoDatabase, MongoReader
from xcstore.store.mongo_documents import OURS
from xcstore.store.mongo_layout import BATCHES, EVENTS, EXTRA, META

__all__ = ["Batch", "Visible", "alone", "roll_back", "roll_back_abandoned"]

_BEAT_SECONDS: Final = 5
_LATE: Final = {"$lt": ["$beat", {"$subtract": ["$$NOW", 60_000]}]}
"""Who said nothing for a minute is taken to be gone."""
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
        """Those of the documents that count, in their order; so many are looked at together."""
        if not self._ours:
            yield from documents
            return
        remaining = iter(documents)
        while some := list(islice(remaining, at_a_time)):
            hidden = self._hidden({number for number in map(_batch_of, some) if number is not None})
            yield from some if not hidden else (one for one in some if _batch_of(one) not in hidden)

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


def _batch_of(document: Mapping[str, Any]) -> int | None:
    beside = document.get(OURS)
    return beside.get("batch") if isinstance(beside, Mapping) else None


class Batch:
    """One `append_many` that is being written. `number` is less than the `seq` of each of its events."""

    def __init__(self, database: MongoDatabase, number: int) -> None:
        self._database: Final = database
        self.number: Final = number
        self._beat_at = time.monotonic()
        change = {"$setOnInsert": {"state": "open", **_owner()}, "$currentDate": {"beat": True}}
        database.update(BATCHES, {"_id": number}, change, upsert=True)

    def beat(self) -> None:
        """Say that somebody still works at it."""
        if time.monotonic() - self._beat_at > _BEAT_SECONDS:
            self._beat_at = time.monotonic()
            self._database.update(BATCHES, {"_id": self.number}, {"$currentDate": {"beat": True}})
            self._database.update(META, {"_id": _LOCK, **_owner()}, {"$currentDate": {"beat": True}})

    def commit(self) -> None:
        """From now on it counts.

        Raises
        ------
        StoreUnavailableError
            Others took it for abandoned, and undid it.
        """
        self._database.delete(BATCHES, {"_id": self.number, "state": "open"})
        if self._database.find_one(BATCHES, {"_id": self.number}) is not None:
            raise StoreUnavailableError(
                f"{self._database.identity} took so long to write the batch that another program undid it"
            )

    def roll_back(self) -> None:
        roll_back(self._database, self.number)


@contextmanager
def alone(database: MongoDatabase, seconds: float) -> Iterator[None]:
    """Let no other `append_many` in here, whichever program it is of; one that is gone is not waited for.

    Raises
    ------
    StoreTimeoutError
        Another is in here for longer.
    """
    end = time.monotonic() + seconds
    lock = {"_id": _LOCK, "token": uuid4().hex}
    while True:
        try:
            # The server's time; `beat` must be there from the start, as nothing is less than any time.
            database.update(META, lock, {"$set": _owner(), "$currentDate": {"beat": True}}, upsert=True)
            break
        except mongo.DuplicateKeyError:
            held = database.find_one(META, {"_id": _LOCK})
        if held is not None and (_is_gone(held) or database.find_one(META, {"_id": _LOCK, "$expr": _LATE})):
            database.delete(META, {"_id": _LOCK, "token": held["token"]})
        if time.monotonic() > end:
            raise StoreTimeoutError(f"another import into {database.identity} takes longer than {seconds:g} s")
        time.sleep(random.uniform(*_PAUSES))
    try:
        yield
    finally:
        database.delete(META, {"_id": _LOCK, "token": lock["token"]})


def roll_back(database: MongoDatabase, number: int) -> None:
    """Take out all that the batch has put in. Its number stays, for those who have read some of it."""
    database.update(BATCHES, {"_id": number}, {"$set": {"state": "undone"}, "$currentDate": {"beat": True}})
    of_batch = {"xcstore.seq": {"$gt": number}, "xcstore.batch": number}
    large = {**of_batch, "xcstore.extra": {"$exists": True}}
    for document in database.find(EVENTS, large, fields={"xcstore.seq": 1, "xcstore.extra": 1}):
        beside = document[OURS]
        keys = [f"{beside['seq']}.{part}" for part in range(beside["extra"])]
        database.delete(EXTRA, {"_id": {"$in": keys}})
    database.delete(EVENTS, of_batch)


def roll_back_abandoned(database: MongoDatabase) -> None:
    """Undo the batches whose writer is gone: its process on this machine is, or it said nothing for a minute."""
    for batch in list(database.find(BATCHES, {"state": "open"})):
        if _is_gone(batch) or database.find_one(BATCHES, {"_id": batch["_id"], "$expr": _LATE}):
            roll_back(database, batch["_id"])
    forgotten = {"$lt": ["$beat", {"$subtract": ["$$NOW", _REMEMBERED_MS]}]}
    database.delete(BATCHES, {"state": "undone", "$expr": forgotten})


def _owner() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid()}


def _is_gone(owned: Mapping[str, Any]) -> bool:
    if owned.get("host") != socket.gethostname():
        return False
    try:
        os.kill(int(owned["pid"]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
