"""Batches of MongoDB: who commits and who undoes one, at the moments at which both could."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.contract import others
from tests.contract.helpers import ids
from tests.factories import START, event
from xcstore.errors import DuplicateEventError, StoreTimeoutError, StoreUnavailableError
from xcstore.model.history import PersistedEvent
from xcstore.store import mongo_batches
from xcstore.store.base import EventQuery, InstanceQuery, Stores
from xcstore.store.mongo_database import MongoDatabase
from xcstore.store.mongo_documents import pack_event
from xcstore.store.mongo_layout import BATCHES, EVENTS
from xcstore.store.opening import open_stores

ROOT = Path(__file__).parents[2]
WAIT = 60


def many(count: int, prefix: str = "b") -> list[PersistedEvent]:
    return [event(id=f"{prefix}{n}", instance_id=f"i{n % 5}", persisted_at=START + n) for n in range(count)]


def database_of(stores: Stores) -> MongoDatabase:
    database = stores.events._database  # type: ignore[attr-defined]
    assert isinstance(database, MongoDatabase)
    return database


def age(url: str, **by: float) -> None:
    """Make the records of batches, and the lock, older."""
    with others.documents(url) as raw:
        for collection in (raw.fsm_batches, raw.fsm_meta):
            collection.update_many({"beat": {"$exists": True}}, {"$set": {"beat": datetime.now(UTC) - timedelta(**by)}})


@contextmanager
def hooked(stores: Stores, name: str, hook: Callable[..., Any]) -> Iterator[None]:
    """Within, `hook(real, *args)` is called where the store's database would do `name`."""
    database = database_of(stores)
    real = getattr(database, name)
    setattr(database, name, lambda *args, **more: hook(real, *args, **more))
    try:
        yield
    finally:
        delattr(database, name)


def whole(url: str, count: int) -> None:
    """All of the events are there, and everything tells the same of them."""
    for read_only in (True, False):
        with open_stores(url, read_only=read_only) as stores:
            assert len(list(stores.events.get_all_events())) == count
            assert sum(one.count for one in stores.events.count(EventQuery())) == count
            summaries = stores.events.instances(InstanceQuery(), limit=1000).items
            assert sum(one.event_count for one in summaries) == count
            streams = stores.events.get_streams([one.instance_id for one in summaries])
            assert {one.instance_id: one.event_count for one in summaries} == {
                key: len(stream) for key, stream in streams.items()
            }
            assert sum(one.count for one in stores.events.count_instances(InstanceQuery())) == len(summaries)


# Committing and undoing


def test_a_batch_that_is_committed_while_another_program_is_about_to_undo_it_stays(mongodb_database: str) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def late(real: Callable[..., Any], collection: str, *args: Any, **more: Any) -> Any:
        if collection == BATCHES:
            arrived.set()
            assert go_on.wait(WAIT)
        return real(collection, *args, **more)

    with (
        open_stores(mongodb_database, read_only=False) as writing,
        open_stores(mongodb_database, read_only=False) as other,
        hooked(other, "update", late),
    ):
        undoing = threading.Thread(target=other.events.recover)  # type: ignore[attr-defined]

        def source() -> Iterator[PersistedEvent]:
            yield from many(2_500)[:2_000]
            age(mongodb_database, minutes=2)
            undoing.start()
            assert arrived.wait(WAIT)
            yield from many(2_500)[2_000:]

        assert writing.events.append_many(source()) == 2_500
        go_on.set()
        undoing.join()

    whole(mongodb_database, 2_500)


@pytest.mark.parametrize("error", [StoreTimeoutError("no answer"), KeyboardInterrupt()], ids=["lost", "interrupted"])
def test_a_commit_whose_answer_was_lost_is_not_undone(mongodb_database: str, error: BaseException) -> None:
    def deaf(real: Callable[..., Any], collection: str, *args: Any) -> Any:
        answer = real(collection, *args)
        if collection == BATCHES:
            raise error
        return answer

    with open_stores(mongodb_database, read_only=False) as stores:
        with hooked(stores, "delete", deaf):
            if isinstance(error, KeyboardInterrupt):
                with pytest.raises(KeyboardInterrupt):
                    stores.events.append_many(many(30))
            else:
                assert stores.events.append_many(many(30)) == 30
        stores.events.append(event(id="next", instance_id="i1"), expected_last_id="b26")

    whole(mongodb_database, 31)


def test_a_commit_that_was_not_done_is_undone_and_can_be_tried_again(mongodb_database: str) -> None:
    def broken(real: Callable[..., Any], collection: str, *args: Any) -> Any:
        if collection == BATCHES:
            raise StoreUnavailableError("gone")
        return real(collection, *args)

    with open_stores(mongodb_database, read_only=False) as stores:
        with hooked(stores, "delete", broken), pytest.raises(StoreUnavailableError, match="gone"):
            stores.events.append_many(many(30))
        assert list(stores.events.get_all_events()) == []
        assert stores.events.append_many(many(30)) == 30

    whole(mongodb_database, 30)


def test_who_cannot_ask_whether_the_commit_was_done_says_so(mongodb_database: str) -> None:
    gone = threading.Event()

    def delete(real: Callable[..., Any], collection: str, *args: Any) -> Any:
        if collection == BATCHES:
            real(collection, *args)
            gone.set()
            raise StoreUnavailableError("gone")
        return real(collection, *args)

    def update(real: Callable[..., Any], *args: Any, **more: Any) -> Any:
        if gone.is_set():
            raise StoreUnavailableError("still gone")
        return real(*args, **more)

    with (
        open_stores(mongodb_database, read_only=False) as stores,
        hooked(stores, "delete", delete),
        hooked(stores, "update", update),
        pytest.raises(StoreUnavailableError, match="whether the batch was written is not known"),
    ):
        stores.events.append_many(many(30))

    whole(mongodb_database, 30)


def test_a_writer_whose_batch_was_undone_is_told_and_leaves_nothing(mongodb_database: str) -> None:
    with (
        open_stores(mongodb_database, read_only=False) as writing,
        open_stores(mongodb_database, read_only=False) as other,
    ):

        def source() -> Iterator[PersistedEvent]:
            yield from many(3_500)[:3_000]
            age(mongodb_database, minutes=2)
            other.events.recover()  # type: ignore[attr-defined]
            assert database_of(other).find_one(EVENTS, {}) is None
            yield from many(3_500)[3_000:]

        with pytest.raises(StoreUnavailableError, match="another undid its batch"):
            writing.events.append_many(source())
        assert database_of(other).find_one(EVENTS, {}) is None
        assert writing.events.append_many(many(3_500)) == 3_500

    whole(mongodb_database, 3_500)


def test_a_writer_that_slept_until_its_batch_was_forgotten_is_told_and_leaves_nothing(mongodb_database: str) -> None:
    with (
        open_stores(mongodb_database, read_only=False) as writing,
        open_stores(mongodb_database, read_only=False) as other,
    ):

        def source() -> Iterator[PersistedEvent]:
            yield from many(3_500)[:3_000]
            for hours in (2, 2):
                age(mongodb_database, hours=hours)
                other.events.recover()  # type: ignore[attr-defined]
            assert database_of(other).find_one(BATCHES, {}) is None
            yield from many(3_500)[3_000:]

        with pytest.raises(StoreUnavailableError, match="another undid its batch"):
            writing.events.append_many(source())
        assert database_of(other).find_one(EVENTS, {}) is None


def test_a_slow_source_does_not_make_a_batch_late(mongodb_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo_batches, "_BEAT_SECONDS", 0.01)
    aged, beaten = threading.Event(), threading.Event()

    def update(real: Callable[..., Any], collection: str, *args: Any, **more: Any) -> Any:
        is_late = aged.is_set()
        answer = real(collection, *args, **more)
        if collection == BATCHES and is_late:
            beaten.set()
        return answer

    with (
        open_stores(mongodb_database, read_only=False) as writing,
        open_stores(mongodb_database, read_only=False) as other,
        hooked(writing, "update", update),
    ):

        def source() -> Iterator[PersistedEvent]:
            yield from many(2_500)[:2_000]
            age(mongodb_database, minutes=2)
            aged.set()
            assert beaten.wait(WAIT)
            other.events.recover()  # type: ignore[attr-defined]
            yield from many(2_500)[2_000:]

        assert writing.events.append_many(source()) == 2_500


def test_process_ids_of_another_machine_with_the_same_name_tell_nothing(mongodb_database: str) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with open_stores(mongodb_database, read_only=False) as stores, others.documents(mongodb_database) as raw:
        owner = {"host": socket.gethostname(), "pid": gone.pid, "beat": datetime.now(UTC)}
        raw.fsm_batches.insert_one({"_id": 7, "state": "open", **owner})
        stores.events.recover()  # type: ignore[attr-defined]
        assert [one["state"] for one in raw.fsm_batches.find()] == ["open"]


# What a killed writer leaves


KILLED = """
import os, signal, sys
from tests.factories import event
from xcstore.store.opening import open_stores

def broken():
    for number in range(2500):
        yield event(id=f"b{number}", instance_id=f"i{number % 5}")
    os.kill(os.getpid(), signal.SIGKILL)

open_stores(sys.argv[1], read_only=False).events.append_many(broken())
"""


@pytest.mark.parametrize("again", ["many", "one", "one of another instance"])
def test_a_store_that_was_open_before_takes_the_events_of_a_killed_import(mongodb_database: str, again: str) -> None:
    with open_stores(mongodb_database, read_only=False) as stores:
        subprocess.run([sys.executable, "-c", KILLED, mongodb_database], cwd=ROOT, check=False)
        assert database_of(stores).find_one(EVENTS, {"_id": "b0"}) is not None
        if again == "many":
            assert stores.events.append_many(many(2_500)) == 2_500
            count = 2_500
        else:
            stores.events.append(event(id="b0", instance_id="i0" if again == "one" else "another"))
            count = 1
        with pytest.raises(DuplicateEventError):
            stores.events.append(event(id="b0"))

    whole(mongodb_database, count)


@pytest.mark.parametrize("again", ["many", "one"])
def test_an_id_of_a_batch_that_is_being_written_is_no_duplicate_before_it_counts(
    mongodb_database: str, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    monkeypatch.setattr("xcstore.store.mongo_writing._WAIT_SECONDS", 0.0)
    with open_stores(mongodb_database, read_only=False) as stores:
        database = database_of(stores)
        batch = mongo_batches.Batch(database, database.take_numbers("fsm_meta", "seq", 1_000), "turn")
        database.insert(EVENTS, _document("b0", 2, 1))
        mine = event(id="b0", instance_id="x")

        def append() -> None:
            if again == "many":
                stores.events.append_many([event(id="a", instance_id="x"), mine])
            else:
                stores.events.append(mine)

        with pytest.raises(StoreTimeoutError, match="part of a batch that is being written"):
            append()
        batch.commit()
        with pytest.raises(DuplicateEventError):
            append()


def test_what_the_server_puts_in_after_its_batch_was_undone_never_counts(mongodb_database: str) -> None:
    with open_stores(mongodb_database, read_only=False) as stores:
        _undone_and_then_late(stores)
        assert list(stores.events.get_all_events()) == []

        age(mongodb_database, hours=2)
        stores.events.recover()  # type: ignore[attr-defined]

        with open_stores(mongodb_database) as reading:
            assert list(reading.events.get_all_events()) == []
        assert database_of(stores).find_one(EVENTS, {}) is None
        assert database_of(stores).find_one(BATCHES, {}) is None


def test_what_the_server_puts_in_after_its_batch_was_undone_is_in_nobodys_way(mongodb_database: str) -> None:
    with open_stores(mongodb_database, read_only=False) as stores:
        _undone_and_then_late(stores)
        stores.events.append(event(id="first", instance_id="late"), expected_last_id="")
        stores.events.append(event(id="z1", instance_id="late"))

    whole(mongodb_database, 2)


def test_undoing_that_was_broken_off_is_gone_on_with(mongodb_database: str) -> None:
    def broken(real: Callable[..., Any], collection: str, *args: Any) -> Any:
        if collection == EVENTS:
            raise StoreUnavailableError("gone")
        return real(collection, *args)

    with (
        open_stores(mongodb_database, read_only=False) as writing,
        open_stores(mongodb_database, read_only=False) as other,
    ):
        with hooked(writing, "delete", broken), pytest.raises(ZeroDivisionError):
            writing.events.append_many(1 / 0 if one is None else one for one in [*many(1_500), None])  # type: ignore[misc]
        assert list(other.events.get_all_events()) == []
        other.events.recover()  # type: ignore[attr-defined]
        assert database_of(other).find_one(EVENTS, {}) is None
        assert other.events.append_many(many(10)) == 10

    whole(mongodb_database, 10)


def _document(event_id: str, seq: int, position: int) -> Mapping[str, Any]:
    """As a batch with the number 1 puts it in."""
    return pack_event(event(id=event_id, instance_id="late"), {"seq": seq, "position": position, "batch": 1}).document


def _undone_and_then_late(stores: Stores) -> None:
    """A batch is undone; the server finishes an insert of its writer after that."""
    database = database_of(stores)
    number = database.take_numbers("fsm_meta", "seq", 4)
    assert number == 1
    mongo_batches.Batch(database, number, "turn").roll_back()
    for n in range(3):
        database.insert(EVENTS, _document(f"z{n}", number + 1 + n, n + 1))


# Reading and order


def test_a_stream_that_is_read_over_a_commit_is_of_one_moment(mongodb_database: str) -> None:
    with open_stores(mongodb_database, read_only=False) as stores, open_stores(mongodb_database) as reading:
        database = database_of(stores)
        batch = mongo_batches.Batch(database, database.take_numbers("fsm_meta", "seq", 1_000), "turn")
        database.insert_many(EVENTS, [_document(f"b{n}", n + 2, n + 1) for n in range(700)])
        visible = mongo_batches.Visible(database_of_reader(reading), ours=True)

        def documents() -> Iterator[dict[str, Any]]:
            for n, document in enumerate(database.find(EVENTS, {}, sort=[("xcstore.seq", 1)])):
                if n == 500 and database.find_one(BATCHES, {}):
                    batch.commit()
                yield document

        assert list(visible.among(documents())) == []
        assert len(list(visible.among(documents()))) == 700


def database_of_reader(stores: Stores) -> Any:
    return stores.events._database  # type: ignore[attr-defined]


def test_a_batch_stays_in_order_where_another_appends_to_the_instance_meanwhile(mongodb_database: str) -> None:
    large: dict[str, Any] = {"payload": "ü" * 4_000_000, "context": {"c": "x" * 8_000_000}}
    given = [event(id=f"o{n}", instance_id="a", persisted_at=START, **(large if n == 1 else {})) for n in range(3)]
    with (
        open_stores(mongodb_database, read_only=False) as stores,
        open_stores(mongodb_database, read_only=False) as other,
    ):

        def overtaken(real: Callable[..., Any], collection: str, *args: Any, **more: Any) -> Any:
            if collection == EVENTS and not other.events.get_events(["first"]):
                other.events.append(event(id="first", instance_id="a", persisted_at=START))
            return real(collection, *args, **more)

        with hooked(stores, "insert_many", overtaken):
            assert stores.events.append_many(given) == 3
        wanted = ["first", "o0", "o1", "o2"]
        assert ids(stores.events.find(EventQuery()).items) == wanted
        assert ids(stores.events.get_events_for_instance("a")) == wanted
        assert stores.events.get_event("o1").payload == large["payload"]
        with others.documents(mongodb_database) as raw:
            extra = raw.events.find_one({"_id": "o1"})["xcstore"]["extra"]  # type: ignore[index]
            assert raw.fsm_event_extra.count_documents({}) == extra

    whole(mongodb_database, 4)
