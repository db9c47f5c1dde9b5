"""A writer that is killed, at each of its writes: what is there is whole, before and after others clean up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pymongo
import pytest

from tests.store import mongodb_killed
from xcstore.model.history import PersistedEvent
from xcstore.store.base import EventQuery, InstanceQuery, Stores
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores

ROOT = Path(__file__).parents[2]


def look(stores: Stores) -> dict[str, Any]:
    """All that can be seen of a store."""
    events = list(stores.events.get_all_events())
    return {
        "events": [replace(one, payload=len(str(one.payload))) for one in events],
        "streams": {key: [one.id for one in stores.events.get_events_for_instance(key)] for key in "abc"},
        "instances": stores.events.instances(InstanceQuery()).items,
        "states": list(stores.events.count_instances(InstanceQuery())),
        "counts": list(stores.events.count(EventQuery(), by=("state_after",))),
        "found": [stores.events.get_events([one.id]).keys() for one in events],
        "outbox": list(stores.events.get_outbox()),
        "snapshots": [one.instance.context for one in stores.snapshots.list_snapshots("a")],
        "latest": [one.instance.context for one in stores.snapshots.get_all_snapshots()],
    }


@contextmanager
def databases(server: str, doing: str) -> Iterator[list[str]]:
    """URLs of databases in which this was begun, and broken off at each write in turn; the last is whole."""
    prefix = f"xcstore_killed_{os.getpid()}"
    count = 0
    try:
        done = subprocess.run(
            [sys.executable, mongodb_killed.__file__, server, prefix, doing],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        count = int(done.stdout)
        yield [f"{server}{prefix}_{number}" for number in range(1, count + 1)]
    finally:
        with pymongo.MongoClient(server) as client:
            for number in range(1, count + 1):
                client.drop_database(f"{prefix}_{number}")


@pytest.mark.parametrize("doing", mongodb_killed.DOINGS)
def test_whatever_was_begun_is_done_or_not_and_the_store_goes_on(mongodb_server: str, doing: str) -> None:
    with open_memory_stores() as model:
        mongodb_killed.prepare(model)
        before = look(model)
        mongodb_killed.DOINGS[doing](model)
        after = look(model)

    with databases(mongodb_server, doing) as urls:
        assert len(urls) > 2
        seen = []
        for url in urls:
            with open_stores(url) as reading:
                first = look(reading)
            with open_stores(url, read_only=False) as writing:
                second = look(writing)
                assert _marks(url) == 0
                assert first == second
                if doing == "delete":  # in two steps: the newest events of whole instances go last
                    assert ids(after["events"]) <= ids(second["events"]) <= ids(before["events"])
                else:
                    assert second in (before, after)
                seen.append(second == after)
                stream = writing.events.get_events_for_instance("a")
                last = stream[-1].id if stream else ""
                writing.events.append(mongodb_killed.e("next", "a", 9, "S", "T"), expected_last_id=last)
                summary = writing.events.instances(InstanceQuery(instance_ids=("a",))).items[0]
                assert (summary.last_event_id, summary.event_count) == ("next", len(stream) + 1)
        assert seen[-1]
        assert seen == sorted(seen), "what was done came undone"


def ids(events: Iterable[PersistedEvent]) -> set[str]:
    return {one.id for one in events}


def _marks(url: str) -> int:
    """How much is marked as begun, or does not count."""
    with pymongo.MongoClient(url) as client:
        database = client.get_default_database()
        begun = database.events.count_documents({"xcstore.open": {"$exists": True}})
        return (
            begun
            + database.fsm_intents.count_documents({})
            + database.fsm_batches.count_documents({"state": {"$ne": "undone"}})
            + database.events.count_documents({"xcstore.batch": {"$in": database.fsm_batches.distinct("_id")}})
        )
