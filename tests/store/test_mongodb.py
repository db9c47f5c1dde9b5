"""What is particular to MongoDB: its URL, the documents on disk, indexes, a server that goes away, many writers."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import bson
import pytest

from tests.contract import others
from tests.contract.helpers import ids, nested
from tests.factories import START, event, snapshot
from xcstore.demo.servers.mongodb import running_mongodb
from xcstore.errors import (
    ConfigError,
    DuplicateEventError,
    LimitExceededError,
    NotAStoreError,
    ReadOnlyStoreError,
    StoreTimeoutError,
    StoreUnavailableError,
)
from xcstore.store.base import EventQuery, InstanceQuery, OutboxChange, StoredWork
from xcstore.store.codec import event_to_document
from xcstore.store.mongo_database import MongoDatabase, MongoReader
from xcstore.store.mongo_layout import EVENTS
from xcstore.store.mongodb import DocumentEventStore
from xcstore.store.opening import open_stores

ROOT = Path(__file__).parents[2]


# The URL


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://user:sec:ret@127.0.0.1/db",
        "mongodb://user:sec/ret@127.0.0.1/db",
        "mongodb://:secret@127.0.0.1/db",
        "mongodb://127.0.0.1:secret/db",
        "mongodb://127.0.0.1/sec%20ret",
        "mongodb://127.0.0.1/db?authMechanism=secret",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        open_stores(url)

    chain = [raised.value, raised.value.__cause__]
    assert not any("sec" in str(error) or "ret@" in str(error) for error in chain if error is not None)


def test_who_does_not_answer_is_named_without_the_password() -> None:
    with pytest.raises(StoreUnavailableError) as raised:
        open_stores("mongodb://ada:s3cr3t%40x@127.0.0.1:1/db?authSource=admin&serverSelectionTimeoutMS=100")

    assert str(raised.value).startswith("mongodb://ada@127.0.0.1:1/db?authsource=admin cannot be reached")
    assert "s3cr3t" not in str(raised.value)


def test_the_identity_names_what_is_reached_and_no_more(mongodb_database: str) -> None:
    url = f"{mongodb_database}?maxPoolSize=5&appName=other&directConnection=true"

    with open_stores(url, read_only=False) as stores:
        assert stores.identity == f"{mongodb_database}?directconnection=true"


def test_the_database_is_called_xcomponent_where_the_url_names_none() -> None:
    with pytest.raises(StoreUnavailableError, match=r"^mongodb://127\.0\.0\.1:1/xcomponent cannot be reached"):
        open_stores("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100")


# Documents


def test_a_document_is_that_of_the_typescript_runtime_and_what_is_ours_is_under_one_key(mongodb_database: str) -> None:
    one = event(id="e1", caused_by=("e0",), payload={"n": 1, "f": 1.0, "": {"a.b": [], "$x": None}}, timestamp=START)

    with open_stores(mongodb_database, read_only=False) as stores:
        stores.events.append(one)
        with others.documents(mongodb_database) as database:
            stored = database.events.find_one({"_id": "e1"})
            assert stored is not None
            assert list(stored) == ["_id", *event_to_document(one), "xcstore"]
            assert {**stored, "_id": None, "xcstore": None} == {
                "_id": None,
                **event_to_document(one),
                "xcstore": None,
            }
        found = stores.events.get_event("e1")
        assert found == one
        assert repr(found.payload) == repr(one.payload)
        assert found.original is not None
        assert not {"_id", "xcstore"} & found.original.keys()


INEXACT: list[dict[str, Any]] = [
    {"payload": {"big": 2**70, "list": [-(2**64), 1, 1.0, -0.0]}},
    {"payload": {"huge": 10**400}},
    {"payload": {"ref": {"$ref": "x", "$id": 1}}},
    {"payload": [0] * 4_000_000},
    {"payload": "ü" * 4_000_000, "context": {"c": "x" * 8_000_000}, "public_member_snapshot": {"m": "y" * 8_000_000}},
    {"original": {"z": 1, "id": "e1", "_id": "else", "xcstore": {"seq": "theirs"}}},
    {"original": {"id": "e1", "event": {"payload": {}, "extra": 2**65}}},
]


@pytest.mark.parametrize("fields", INEXACT, ids=range(len(INEXACT)))
def test_what_no_document_of_mongodb_holds_comes_back_exactly(mongodb_database: str, fields: dict[str, Any]) -> None:
    one, two = event(id="e1", **fields), event(id="e2")

    with open_stores(mongodb_database, read_only=False) as stores:
        stores.events.append(one)
        stores.events.append_many([two, event(id="e3", **{**fields, "original": None})])
        found = stores.events.get_event("e1")
        assert found == one
        assert repr(found.payload) == repr(one.payload)
        if one.original is not None:
            assert found.original is not None
            assert list(found.original)[: len(one.original)] == list(one.original)
            assert event_to_document(found) == event_to_document(one)
        assert ids(stores.events.find(EventQuery()).items) == ["e1", "e2", "e3"]

        stores.events.delete_events(["e1", "e3"])
        with others.documents(mongodb_database) as database:
            assert database.fsm_event_extra.count_documents({}) == 0


def test_an_event_that_is_refused_leaves_no_text_of_itself(mongodb_database: str) -> None:
    large, context = "ü" * 4_000_000, {"c": "x" * 8_000_000}
    with open_stores(mongodb_database, read_only=False) as stores:
        stores.events.append(event(id="e1", payload=large, context=context))
        with pytest.raises(DuplicateEventError):
            stores.events.append(event(id="e1", payload=large[::-1], context={"c": "y" * 8_000_000}))
        found = stores.events.get_event("e1")
        assert (found.payload, found.context) == (large, context)
        with others.documents(mongodb_database) as database:
            assert database.fsm_event_extra.count_documents({}) == 2


def test_more_causes_than_a_document_holds_are_refused(mongodb_database: str) -> None:
    with open_stores(mongodb_database, read_only=False) as stores:
        with pytest.raises(LimitExceededError, match="causes"):
            stores.events.append(event(caused_by=tuple(f"{n:050}" for n in range(300_000))))
        assert stores.events.count(EventQuery())[0].count == 0


def test_events_that_another_writer_puts_beside_ours_are_found_everywhere(mongodb_database: str) -> None:
    def theirs(**fields: Any) -> dict[str, Any]:
        document = event_to_document(event(**fields))
        return {**document, "_id": document["id"]}

    with open_stores(mongodb_database, read_only=False) as stores:
        stores.events.append_many([event(id=f"o{n}", persisted_at=START + n // 2, state_after="A") for n in range(6)])
        with others.documents(mongodb_database) as database:
            database.events.insert_many(
                [theirs(id=f"t{n}", persisted_at=START + n // 2, state_before="A", state_after="B") for n in range(6)]
            )
            database.events.insert_one(theirs(id="new", instance_id="i2", persisted_at=START + 9, caused_by=("o1",)))

        whole = ids(stores.events.find(EventQuery()).items)
        assert len(whole) == 13
        for newest_first in (False, True):
            paged, after = [], None
            while True:
                page = stores.events.find(EventQuery(), after=after, limit=2, newest_first=newest_first)
                paged += ids(page.items)
                after = page.next
                if after is None:
                    break
            assert paged == (whole[::-1] if newest_first else whole)
        assert ids(stores.events.get_caused_events("o1")) == ["new"]
        listed = {one.instance_id: one for one in stores.events.instances(InstanceQuery()).items}
        stream = stores.events.get_events_for_instance("i1")
        assert (listed["i1"].event_count, listed["i1"].last_event_id) == (12, stream[-1].id)
        assert listed["i2"].event_count == 1
        assert sum(one.count for one in stores.events.count_instances(InstanceQuery())) == 2


# Indexes


def _plan(stores: Any, condition: dict[str, Any], **options: Any) -> tuple[set[str], int]:
    """The stages of the server's plan, and how many documents it looked at."""
    told = stores.events._database.explain(EVENTS, condition, **options)
    stages: set[str] = set()
    waiting = [told["queryPlanner"]["winningPlan"]]
    while waiting:
        plan = waiting.pop()
        stages.add(plan.get("stage", ""))
        waiting += [plan[name] for name in ("inputStage", "queryPlan") if name in plan] + plan.get("inputStages", [])
    return stages, told["executionStats"]["totalDocsExamined"]


def test_history_pages_and_traces_walk_an_index(mongodb_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
    find = MongoReader.find

    def noted(self: MongoReader, collection: str, condition: Any, **options: Any) -> Any:
        asked.append((collection, condition, options))
        return find(self, collection, condition, **options)

    with open_stores(mongodb_database, read_only=False) as stores:
        stores.events.append_many(
            event(id=f"e{n:04}", instance_id=f"i{n % 100}", persisted_at=START + n // 3, caused_by=(f"e{n - 1:04}",))
            for n in range(2_000)
        )
        page = stores.events.find(EventQuery(), limit=900)
        monkeypatch.setattr(MongoReader, "find", noted)
        inner = stores.events._inner if hasattr(stores.events, "_inner") else stores.events
        inner.get_events_for_instance("i7")
        for after in (None, page.next):
            inner.find(EventQuery(), after=after, limit=10)
        inner.find(EventQuery(), limit=10, newest_first=True)
        inner.trace("e1000", max_events=5)
        inner.instances(InstanceQuery(), limit=5)
        monkeypatch.undo()

        questions = [one for one in asked if one[0] == EVENTS]
        assert len(questions) > 8
        for _, condition, options in questions:
            told = type("", (), {"events": inner})
            stages, looked_at = _plan(told, condition, sort=options.get("sort", ()), limit=options.get("limit", 0) or 0)
            assert "COLLSCAN" not in stages, condition
            assert "SORT" not in stages, condition
            assert looked_at <= 120, (condition, looked_at)


# Reading only


def test_a_store_that_was_opened_for_reading_has_no_way_to_write(mongodb_database: str) -> None:
    with open_stores(mongodb_database, read_only=False):
        pass
    with open_stores(mongodb_database) as stores:
        inner: Any = getattr(stores.events, "_inner", stores.events)
        assert isinstance(inner, DocumentEventStore)
        assert not isinstance(inner._database, MongoDatabase)
        with pytest.raises(ReadOnlyStoreError):
            inner._database.aggregate(EVENTS, [{"$match": {}}, {"$out": "copy"}])


def test_reading_makes_no_collection_and_no_index(mongodb_database: str) -> None:
    with pytest.raises(NotAStoreError, match="no collection events"):
        open_stores(mongodb_database)
    with others.documents(mongodb_database) as database:
        assert database.list_collection_names() == []
        database.events.insert_one({"_id": "e1", "instanceId": "i1", "event": {"type": "T"}, "persistedAt": 1})
        for read_only in (True, False):
            with open_stores(mongodb_database, read_only=read_only) as stores:
                assert stores.events.read_only
                assert ids(stores.events.find(EventQuery(text="e1")).items) == ["e1"]
                assert stores.events.instances(InstanceQuery()).items[0].event_count == 1
        assert database.list_collection_names() == ["events"]
        assert list(database.events.index_information()) == ["_id_"]


def test_other_things_that_are_called_events_are_refused(mongodb_database: str) -> None:
    with others.documents(mongodb_database) as database:
        database.events.insert_one({"user": "ada", "clicked": True})

    with pytest.raises(NotAStoreError, match="holds other things"):
        open_stores(mongodb_database)


def test_a_store_of_a_newer_version_is_left_alone(mongodb_database: str) -> None:
    with others.documents(mongodb_database) as database:
        database.fsm_meta.insert_one({"_id": "schema_version", "value": 99})

        for read_only in (True, False):
            with pytest.raises(NotAStoreError, match="schema version 99"):
                open_stores(mongodb_database, read_only=read_only)
        assert database.list_collection_names() == ["fsm_meta"]


def test_a_collection_of_others_with_a_name_of_ours_makes_no_store_of_ours(mongodb_database: str) -> None:
    with others.documents(mongodb_database) as database:
        database.fsm_meta.insert_one({"theirs": 1})
        database.events.insert_one({"_id": "e1", "instanceId": "i1", "event": {"type": "T"}, "persistedAt": 1})

        with open_stores(mongodb_database, read_only=False) as stores:
            assert stores.events.layout == "documents"
        assert sorted(database.list_collection_names()) == ["events", "fsm_meta"]
        assert list(database.events.index_information()) == ["_id_"]


def test_a_database_of_others_without_events_is_left_alone(mongodb_database: str) -> None:
    with others.documents(mongodb_database) as database:
        database.things.insert_one({"a": 1})

        with pytest.raises(NotAStoreError, match="collections found: things"):
            open_stores(mongodb_database, read_only=False)
        assert database.list_collection_names() == ["things"]


# What others store


ODD: list[dict[str, Any]] = [
    {"_id": "plain", "instanceId": "i1", "persistedAt": START},
    {"_id": "double", "instanceId": "i1", "persistedAt": START + 0.5},
    {"_id": "date", "instanceId": "i1", "persistedAt": bson.DatetimeMS(START)},
    {"_id": "text", "instanceId": "i1", "persistedAt": str(START)},
    {"_id": "iso", "instanceId": "i1", "persistedAt": "2026-01-01T00:00:00Z"},
    {"_id": "decimal", "instanceId": "i1", "persistedAt": bson.Decimal128(str(START))},
    {"_id": "nan", "instanceId": "i1", "persistedAt": float("nan")},
    {"_id": "far", "instanceId": "i1", "persistedAt": 1e300},
    {"_id": "none", "instanceId": "i1"},
    {"_id": "word", "instanceId": "i1", "persistedAt": "yesterday", "event": "no object"},
    {"_id": "list", "instanceId": "i1", "persistedAt": [START], "componentName": ["Shop"], "causedBy": "plain"},
    {"_id": 7, "instanceId": 8, "persistedAt": START, "componentName": 5},
    {"_id": bson.ObjectId("6b04afd30456c85fc14602ef"), "instanceId": "i1", "persistedAt": START},
    {"_id": bson.ObjectId(), "id": "beside", "instanceId": "i1", "persistedAt": START, "componentName": "Shop"},
]
UNUSABLE: list[dict[str, Any]] = [
    {"_id": "lost", "persistedAt": START},
    {"_id": "empty", "instanceId": "", "persistedAt": START},
    {"_id": "nested", "instanceId": {"$oid": "x"}, "persistedAt": START},
    {"_id": {"a": 1}, "instanceId": "i1", "persistedAt": START},
    {"_id": 1.5, "instanceId": "i1", "persistedAt": START},
]
NAMES = [
    *("plain", "double", "date", "text", "iso", "decimal", "nan", "far", "none", "word", "list", "7"),
    *("6b04afd30456c85fc14602ef", "beside"),
]


@pytest.mark.parametrize("first", ["plain", "beside"])
def test_every_document_with_an_id_is_found_whatever_its_time_and_the_others_break_nothing(
    mongodb_database: str, first: str
) -> None:
    with others.documents(mongodb_database) as database:
        database.events.insert_many([*(ODD if first == "plain" else ODD[::-1]), *UNUSABLE])

    with open_stores(mongodb_database) as stores:
        whole = ids(stores.events.find(EventQuery()).items)
        assert sorted(whole) == sorted(NAMES)
        for newest_first in (False, True):
            paged, after = [], None
            while True:
                page = stores.events.find(EventQuery(), after=after, limit=1, newest_first=newest_first)
                paged += ids(page.items)
                after = page.next
                if after is None:
                    break
            assert paged == (whole[::-1] if newest_first else whole)
        found = stores.events.get_events(NAMES)
        assert sorted(found) == sorted(NAMES)
        assert whole == [one.id for one in sorted(found.values(), key=lambda one: (one.persisted_at, one.id))]
        at = {name: found[name].persisted_at for name in NAMES}
        assert {name for name in NAMES if at[name] == START} == set(NAMES) - {"nan", "far", "none", "word", "list"}
        assert all(one.faults for one in found.values() if one.id not in ("plain", "date", "decimal"))
        assert stores.events.count(EventQuery())[0].count == len(NAMES)
        assert stores.events.count(EventQuery(start=START))[0].count == 9
        assert ids(stores.events.find(EventQuery(start=START, end=START)).items) == [n for n in whole if at[n] == START]
        by_component = {count.key: count.count for count in stores.events.count(EventQuery(), by=("component_name",))}
        assert by_component == {("",): len(NAMES) - 1, ("Shop",): 1}
        assert ids(stores.events.find(EventQuery(components=("Shop",))).items) == ["beside"]
        assert stores.events.count(EventQuery(components=("",)))[0].count == len(NAMES) - 1
        assert len(stores.events.get_events_for_instance("i1")) == len(NAMES) - 1
        assert ids(stores.events.get_events_for_instance("8")) == ["7"]
        counts = {one.instance_id: one.event_count for one in stores.events.instances(InstanceQuery()).items}
        assert counts == {"i1": len(NAMES) - 1, "8": 1}
        assert stores.events.trace("7").events[0].id == "7"
        assert stores.events.time_range() == (0, START)
        assert stores.events.to_arrow(EventQuery()).num_rows == len(NAMES)


# A server that goes away


def test_a_store_goes_on_after_the_server_was_killed_and_started_again(tmp_path: Path, mongodb_server: str) -> None:
    """The fixture only says whether there is a server to be had."""
    with (
        running_mongodb(tmp_path) as server,
        open_stores(f"{server.url}db", read_only=False) as stores,
        open_stores(f"{server.url}db") as reading,
    ):
        stores.events.append(event(id="e1"))
        server.kill()
        for ask in (lambda: reading.events.get_event("e1"), lambda: stores.events.append(event(id="lost"))):
            with pytest.raises((StoreUnavailableError, StoreTimeoutError)):
                ask()
        server.start()

        assert reading.events.get_event("e1").id == "e1"
        stores.events.append(event(id="e2"), expected_last_id="e1")
        stores.snapshots.save_snapshot(snapshot(id="i1"))
        assert ids(reading.events.get_events_for_instance("i1")) == ["e1", "e2"]


# Many writers


WRITER = """
import sys
from tests.factories import event
from xcstore.errors import ConcurrencyError
from xcstore.store.base import OutboxChange, StoredWork
from xcstore.store.opening import open_stores

url, name, turns = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open_stores(url, read_only=False) as stores:
    for turn in range(turns):
        while True:
            stream = stores.events.get_events_for_instance("shared")
            last = stream[-1].id if stream else ""
            new = event(
                id=f"{name}-{turn}", instance_id="shared", state_before=str(len(stream)),
                state_after=str(len(stream) + 1), persisted_at=len(stream) // 3, caused_by=(last,) if last else (),
            )
            work = StoredWork(id=new.id, position=0, component_name="Shop", document={})
            try:
                stores.events.append(new, expected_last_id=last, outbox=OutboxChange(add=(work,), remove=(last,)))
            except ConcurrencyError:
                continue
            break
        stores.events.append_many(
            event(id=f"{name}-{turn}-{n}", instance_id="own" if n % 2 else name, persisted_at=turn) for n in range(4)
        )
"""


def test_eight_processes_append_behind_each_other_and_nothing_is_lost(mongodb_database: str) -> None:
    turns = 5
    with open_stores(mongodb_database, read_only=False) as stores:
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, mongodb_database, f"w{number}", str(turns)],
                cwd=ROOT,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(8)
        ]
        errors = [writer.communicate()[1] for writer in writers]
        assert [writer.returncode for writer in writers] == [0] * 8, errors

        stream = stores.events.get_events_for_instance("shared")
        assert [one.state_after for one in stream] == [str(n + 1) for n in range(8 * turns)]
        assert [one.caused_by for one in stream[1:]] == [(one.id,) for one in stream[:-1]]
        assert [work.id for work in stores.events.get_outbox()] == [stream[-1].id]
        counted = Counter({one.instance_id: one.event_count for one in stores.events.instances(InstanceQuery()).items})
        assert counted == {"shared": 40, "own": 80, **{f"w{number}": 2 * turns for number in range(8)}}
        assert sum(one.count for one in stores.events.count_instances(InstanceQuery())) == 10
        seqs = [one.seq for one in stores.events.get_all_events()]
        assert len(set(seqs)) == 8 * turns * 5
        with others.documents(mongodb_database) as database:
            heads = [one["xcstore"]["head"] for one in database.events.find({"xcstore.head": {"$exists": True}})]
            assert {head["instance"]: head["count"] for head in heads} == counted
            assert len(heads) == 10


def test_a_batch_that_is_being_written_is_not_seen_and_one_that_was_left_is_undone(mongodb_database: str) -> None:
    code = """
import os, signal, sys
from tests.factories import event
from xcstore.store.opening import open_stores

def broken():
    for number in range(2500):
        yield event(id=f"b{number}", instance_id=f"i{number % 7}")
    print("halfway", flush=True)
    sys.stdin.read()

open_stores(sys.argv[1], read_only=False).events.append_many(broken())
"""
    with open_stores(mongodb_database, read_only=False) as stores:
        stores.events.append_many([event(id="a1", instance_id="i1"), event(id="a2", instance_id="i1")])
        writer = subprocess.Popen(
            [sys.executable, "-c", code, mongodb_database],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "halfway\n"

        def look() -> None:
            assert ids(stores.events.find(EventQuery()).items) == ["a1", "a2"]
            assert ids(stores.events.find(EventQuery(), newest_first=True, limit=1).items) == ["a2"]
            assert stores.events.count(EventQuery())[0].count == 2
            assert [one.event_count for one in stores.events.instances(InstanceQuery()).items] == [2]
            assert sum(one.count for one in stores.events.count_instances(InstanceQuery())) == 1
            assert stores.events.get_events(["a1", "b1", "b999"]).keys() == {"a1"}
            assert stores.events.get_streams(["i1", "i2"]).keys() == {"i1"}

        with others.documents(mongodb_database) as database:
            assert database.events.count_documents({}) == 1_002
            look()
            writer.kill()
            writer.communicate()
            look()
            stores.events.append(event(id="a3", instance_id="i1"), expected_last_id="a2")
            assert database.events.count_documents({}) == 3
        assert ids(stores.events.get_events_for_instance("i1")) == ["a1", "a2", "a3"]


def test_reading_the_outbox_finishes_what_a_killed_process_left(mongodb_database: str) -> None:
    with open_stores(mongodb_database, read_only=False) as stores, others.documents(mongodb_database) as database:
        stores.events.append(
            event(id="e1"), outbox=OutboxChange(add=(StoredWork(id="w1", position=0, component_name="", document={}),))
        )
        seq = database.events.find_one({"_id": "e1"}, {"xcstore.seq": 1})["xcstore"]["seq"]  # type: ignore[index]
        # As it is between the event and what follows it.
        database.events.update_one({"_id": "e1"}, {"$set": {"xcstore.open": {"works": ["w1"]}}})
        database.fsm_outbox.update_one({"workId": "w1"}, {"$set": {"pending": seq}})

        with open_stores(mongodb_database) as reading:
            assert [work.id for work in reading.events.get_outbox()] == ["w1"]
        assert [work.id for work in stores.events.get_outbox()] == ["w1"]
        assert database.fsm_outbox.count_documents({"pending": {"$exists": True}}) == 0
        assert database.events.count_documents({"xcstore.open": {"$exists": True}}) == 0


def test_a_question_that_takes_too_long_is_given_up(mongodb_database: str) -> None:
    with open_stores(mongodb_database, read_only=False) as stores:
        stores.events.append_many(event(id=f"e{n}") for n in range(3_000))
    # An index gives no help: each event is looked at.
    query = EventQuery(payload_path=("nothing", "here"), payload_value="x")
    # On a busy machine opening takes longer than that, too.
    with pytest.raises(StoreTimeoutError), open_stores(mongodb_database, statement_timeout_ms=1) as stores:
        stores.events.count(query)


def test_nested_a_hundred_levels_comes_back(mongodb_database: str) -> None:
    deep = event(payload=nested(100), context={"a": nested(99)}, public_member_snapshot={"b": nested(99)})
    with open_stores(mongodb_database, read_only=False) as stores:
        stores.events.append(deep)
        assert stores.events.get_event(deep.id) == deep
