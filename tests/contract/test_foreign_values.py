"""Values that others wrote, under no limits: shown with what is odd about them, and no question breaks on them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
import psycopg
import pytest

from tests.contract import foreign, others
from tests.contract.test_values import ODD_DOCUMENTS, document
from tests.factories import START, event
from xcstore.demo.redis_writer import RedisWriter
from xcstore.frames import events_frame
from xcstore.jsontext import json_text
from xcstore.model.history import PersistedEvent
from xcstore.store.base import EventQuery, InstanceQuery, Stores
from xcstore.store.codec import event_from_document, event_to_document
from xcstore.store.opening import open_stores
from xcstore.units import HOUR

MB = 1024 * 1024

PAYLOADS = {
    "cut off": '{"a": [1',
    "no text": "",
    "words": "needle, not JSON",
    "NaN": '{"a": [NaN, Infinity]}',
    "beyond a double": '{"a": 1e400}',
    "a lone surrogate": '{"a": "\\ud800"}',
    "NUL": '{"a": "\\u0000"}',
    "10,000 levels": "[" * 10_000 + "]" * 10_000,
    "90 levels": "[" * 90 + "]" * 90,
    "5,000 digits": "1" * 5_000,
    "beyond 64 bits": '{"a": 123456789012345678901234567890}',
    "a key twice": '{"a": 1, "a": 2}',
    "20 MB": f'"{"x" * (20 * MB)}"',
    "nothing": "null",
}
"""JSON texts, and what is none."""

SOUND = {"90 levels", "a key twice", "20 MB", "nothing", "NUL"}
"""Of these nothing need be said."""


def ask_everything(stores: Stores) -> dict[str, PersistedEvent]:
    """Each question that a page asks; none may raise, and all tell of the same events."""
    events = stores.events
    page = events.find(EventQuery(), limit=1000)
    assert page.next is None
    found = {one.id: one for one in page.items}
    assert len(found) == len(page.items)
    usable = [one for one in page.items if one.instance_id]  # others could not be read at all, but are not hidden
    for one in usable:
        # NaN is not equal to itself, but reads the same.
        assert repr(events.get_event(one.id)) == repr(one)
        assert repr(one) in map(repr, events.get_events_for_instance(one.instance_id))
        assert repr(events.trace(one.id).events[0]) == repr(one)
        event_to_document(one)
    assert [one.id for one in events.find(EventQuery(), limit=1000, newest_first=True).items] == list(found)[::-1]
    assert [one.id for one in events.get_all_events()] == list(found)
    events.find(EventQuery(text="needle"))
    events.find(EventQuery(payload_path=("a", "0"), payload_value="1"))
    streams = events.get_streams({one.instance_id for one in usable})
    assert sum(map(len, streams.values())) == len(usable)
    events.time_range()
    for counts in (
        events.count(EventQuery()),
        events.count(EventQuery(), by=("component_name", "machine_name", "event_type", "state_before", "state_after")),
        events.count(EventQuery(), bucket_ms=HOUR),
    ):
        assert sum(count.count for count in counts) == len(found)
    summaries = events.instances(InstanceQuery(), limit=1000).items
    assert {one.instance_id for one in summaries} == streams.keys()
    assert len(usable) <= sum(one.event_count for one in summaries) <= len(found)
    assert sum(count.count for count in events.count_instances(InstanceQuery())) == len(summaries)
    events.get_caused_events("e0")
    events.status()
    assert events.to_arrow(EventQuery()).num_rows == len(found)
    assert len(events_frame(events, EventQuery())) == len(found)
    list(stores.snapshots.get_all_snapshots())
    assert stores.snapshots.count() == 0
    return found


def by_ids(documents: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The documents by name, each with an id of its own."""
    return {name: {**one, "id": f"n{number}"} for number, (name, one) in enumerate(documents.items())}


WIDE = {
    "an id of 51 characters": document(id="x" * 51),
    "an instance of 300 characters": document(instanceId="i" * 300),
    "names of 300 characters": document(machineName="m" * 300, stateAfter="s" * 300, componentName="c" * 300),
    "90 levels": document(event={"type": "PAY", "payload": [[[[]]]] * 90}),
}


def told(
    found: Mapping[str, PersistedEvent], given: Mapping[str, Mapping[str, Any]], *, scored: bool = False
) -> dict[str, Any]:
    """By name: where what is shown, or what is said of it, is not what the document holds.

    Of `scored` documents, those without a usable time are shown at that of their score.
    """
    wrong: dict[str, Any] = {}
    for name, one in given.items():
        expected, shown = event_from_document(one), found.get(str(one["id"]))
        if shown is None:
            wrong[name] = "not shown"
            continue
        if scored and "persistedAt" in str(expected.faults):
            expected = replace(expected, persisted_at=shown.persisted_at)
        if shown != expected:
            wrong[name] = (shown, expected)
        elif bool(shown.faults) != bool(expected.faults):
            wrong[name] = shown.faults
    return wrong


def test_documents_of_mongodb_are_shown_with_what_is_odd_about_them(mongodb_database: str) -> None:
    given = {**by_ids({**ODD_DOCUMENTS, **WIDE}), "a long id": document(id="x" * 51)}
    del given["time is beyond 64 bits"]  # BSON has no such number
    others.make_documents(mongodb_database, given.values())

    with open_stores(mongodb_database) as stores:
        found = ask_everything(stores)
    assert told(found, given) == {}
    assert len(found) == len(given)


def test_kinds_of_bson_that_json_has_not_are_shown_with_a_remark(mongodb_database: str) -> None:
    kinds: list[object] = [
        bson.ObjectId(),
        datetime(2026, 1, 1, tzinfo=UTC),
        b"\x00\xff",
        bson.Decimal128("1.10"),
        bson.Regex("a.*"),
        bson.Timestamp(1, 2),
        bson.MinKey(),
        bson.Code("function() {}"),
        float("nan"),
        float("inf"),
        bson.Binary(b"0" * 16, 4),
        bson.DBRef("events", "e1"),
    ]
    given = [document(id=f"n{n}", event={"type": "PAY", "payload": {"a": [kind]}}) for n, kind in enumerate(kinds)]
    whole = {"id": "n99", "instanceId": "i1", "persistedAt": datetime(2026, 1, 1, tzinfo=UTC), "machineName": b"\x00"}
    others.make_documents(mongodb_database, [*given, whole])

    with open_stores(mongodb_database) as stores:
        found = ask_everything(stores)
    assert len(found) == len(kinds) + 1
    assert [one.id for one in found.values() if not one.faults and one.id != "n99"] == []
    assert found["n99"].persisted_at == START


def test_keys_of_redis_are_shown_with_what_is_odd_about_them(redis_database: str) -> None:
    given = by_ids({**ODD_DOCUMENTS, **WIDE})
    writer = RedisWriter(redis_database)
    for one in given.values():
        at = one.get("persistedAt")
        score = float(at) if type(at) in (int, float) else START
        writer.add_text(one["id"], str(one["instanceId"]), score, json_text(one))
    writer.close()

    with open_stores(redis_database) as stores:
        found = ask_everything(stores)
    assert told(found, given, scored=True) == {}
    assert len(found) == len(given)


def test_texts_of_redis_that_are_no_event_break_nothing(redis_database: str) -> None:
    payloads = {name: text for name, text in PAYLOADS.items() if name != "20 MB"}  # each question would read it
    no_events = [*payloads.values(), "[]", "7", "{}", '{"id": 1}', '{"id": "a"}', '{"instanceId": "a"}']
    writer = RedisWriter(redis_database)
    for number, text in enumerate(no_events):
        writer.add_text(f"t{number}", "broken", START + number, text)
    for name, text in payloads.items():
        whole = json_text(document(id=name, event={"payload": "HERE"})).replace('"HERE"', text)
        writer.add_text(name, f"of {name}", START, whole.replace('"i1"', f'"of {name}"'))
    writer.append(event(id="sound"))
    writer.close()

    with open_stores(redis_database) as stores:
        found = ask_everything(stores)
    assert "sound" in found
    assert found.keys() >= SOUND - {"20 MB"}
    assert [name for name in found.keys() - SOUND - {"sound"} if not found[name].faults] == []


def test_texts_in_a_column_of_sqlite_are_shown_with_what_is_odd_about_them(tmp_path: Path) -> None:
    path = tmp_path / "foreign.db"
    odd: dict[str, tuple[object, object]] = {
        "a time that is words": ("yesterday", None),
        "a time that is nothing": (None, None),
        "a fraction": (START + 0.5, None),
        "bytes": (b"\x00\xff", None),
        "causes that are no list": (START, "not JSON"),
        "causes that are cut off": (START, '["a"'),
        "causes that are numbers": (START, "[1, null]"),
    }
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE fsm_events (id TEXT, instance_id TEXT, machine_name TEXT, component_name TEXT,"
            " event_type TEXT, event_payload TEXT, state_before TEXT, state_after TEXT, persisted_at, caused_by TEXT)"
        )
        insert = "INSERT INTO fsm_events VALUES (?1, 'of ' || ?1, 'Order', 'Shop', 'PAY', ?2, 'New', 'Paid', ?3, ?4)"
        connection.executemany(insert, [(name, text, START, None) for name, text in PAYLOADS.items()])
        connection.executemany(insert, [(name, "{}", at, causes) for name, (at, causes) in odd.items()])

    with open_stores(f"sqlite:///{path}") as stores:
        found = ask_everything(stores)
    assert found.keys() == {*PAYLOADS, *odd}
    assert [name for name, one in found.items() if not one.faults] == [name for name in found if name in SOUND]


def test_a_payload_of_20_mb_is_read_from_every_place_that_others_write(
    redis_database: str, mongodb_database: str, subtests: pytest.Subtests
) -> None:
    large = event(id="large", payload={"text": "x" * (20 * MB)})
    for_mongodb = replace(large, payload={"text": "x" * (15 * MB)})  # no document of MongoDB is larger than 16 MB
    with RedisWriter(redis_database) as writer:
        writer.append(large)
    others.make_documents(mongodb_database, [event_to_document(for_mongodb)])

    for url, expected in ((redis_database, large), (mongodb_database, for_mongodb)):
        with subtests.test(url), open_stores(url) as stores:
            assert stores.events.get_event("large") == expected
            assert stores.events.find(EventQuery()).items == (expected,)


@pytest.mark.parametrize("layout", ["documented", "shipped"])
def test_values_in_columns_of_postgresql_are_shown_as_they_are(postgresql_database: str, layout: str) -> None:
    texts = ["null", "true", "42", '"needle"', "[]", "[1, null]", '{"": {"a.b": 1}}', "1" * 4_000, '{"n": 1e300}']
    texts += ["[" * 2_000 + "]" * 2_000, f'"{"x" * (12 * MB)}"', '{"$oid": "1"}', '{"__proto__": 1}']
    foreign.make(postgresql_database, layout)
    ids = [f"00000000-0000-0000-0000-{number:012}" for number in range(len(texts))]
    before = "state_before, state_after" if layout == "documented" else "from_state, to_state"
    with psycopg.connect(postgresql_database) as connection:
        for event_id, text in zip(ids, texts, strict=True):
            connection.execute(
                "INSERT INTO fsm_events (id, instance_id, machine_name, component_name, event_type, event_payload,"
                f" {before}, persisted_at) VALUES (%s, %s, 'M', 'C', 'T', %s::jsonb, '', '', %s)",
                (event_id, event_id, text, START),
            )
        if layout == "documented":
            odd = "caused_by = ARRAY['a', NULL, '']::varchar[]"
        else:
            odd = """context = '[1]', caused = '"x"'"""
            connection.execute("UPDATE fsm_events SET event_payload = NULL WHERE id = %s", ids[1:2])
        connection.execute(f"UPDATE fsm_events SET {odd} WHERE id = %s", ids[:1])

    with open_stores(postgresql_database) as stores:
        found = ask_everything(stores)
    assert list(found) == ids
    assert found[ids[0]].faults
    assert found[ids[9]].faults
    assert found[ids[5]].payload == [1, None]
