"""Deleting, for retention: what is gone is gone from every answer, and what stays is what it was."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.contract import foreign
from tests.contract.helpers import ids, uid, walk
from tests.factories import START, event, snapshot
from xcstore.errors import NotFoundError, QueryError, ReadOnlyStoreError
from xcstore.model.history import PersistedEvent
from xcstore.store.base import EventQuery, InstanceQuery, Stores
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores
from xcstore.units import HOUR


def history(seed: int, count: int) -> list[PersistedEvent]:
    """Some instances at work: late events, events of one moment, causes in other instances."""
    chance = random.Random(seed)
    state: dict[str, str] = {}
    made: list[PersistedEvent] = []
    for number in range(count):
        instance = f"i{chance.randrange(7)}"
        after = chance.choice("ABC")
        made.append(
            event(
                id=f"e{number}",
                instance_id=instance,
                component_name=f"C{int(instance[1:]) % 2}",
                event_type=chance.choice(["GO", "STOP"]),
                state_before=state.get(instance, ""),
                state_after=after,
                persisted_at=START + number // 3 * 1_000_000 - chance.choice([0, 0, 0, 4_000_000]),
                caused_by=(f"e{chance.randrange(number)}",) if number and chance.random() < 0.6 else (),
            )
        )
        state[instance] = after
    return made


def answers(stores: Stores) -> dict[str, object]:
    """What a store says about everything, but for the numbers of insertion, which keep their gaps."""
    events = stores.events
    newest = sorted(walk(events.instances, InstanceQuery(), limit=3), key=lambda found: found.instance_id)
    everything = list(events.get_all_events())
    return {
        "events": everything,
        "streams": events.get_streams({found.instance_id for found in everything}),
        "instances": newest,
        "states": events.count_instances(InstanceQuery()),
        "counts": events.count(EventQuery(), by=("component_name", "event_type", "state_after")),
        "hours": events.count(EventQuery(), bucket_ms=HOUR),
        "span": events.time_range(),
        "pages": ids(walk(events.find, EventQuery(components=("C1",)), limit=4, newest_first=True)),
        "traces": {
            found.id: (sorted(ids(trace.events)), sorted(trace.missing), sorted(trace.links))
            for found in everything
            if (trace := events.trace(found.id))
        },
        "causes": {found.id: ids(events.get_caused_events(found.id)) for found in everything},
    }


@pytest.mark.needs("delete")
@pytest.mark.parametrize("seed", range(3))
def test_what_is_left_answers_as_if_the_rest_had_never_been(stores: Stores, seed: int) -> None:
    everything = history(seed, 90)
    chance = random.Random(seed)
    gone = {found.id for found in everything if chance.random() < 0.4 or found.instance_id == "i3"}
    stores.events.append_many(everything)

    assert stores.events.delete_events(gone) == len(gone)

    left = open_memory_stores()
    left.events.append_many([found for found in everything if found.id not in gone])
    assert answers(stores) == answers(left)
    assert stores.events.get_events(gone) == {}
    for event_id in gone:
        with pytest.raises(NotFoundError):
            stores.events.trace(event_id)


@pytest.mark.needs("delete", "append_many_whole")
@pytest.mark.parametrize("seed", range(3))
def test_what_comes_afterwards_finds_its_place(stores: Stores, seed: int) -> None:
    everything = history(seed, 60)
    stores.events.append_many(everything[:40])
    gone = {found.id for found in everything[:40:2]}
    stores.events.delete_events(gone)

    for found in everything[40:50]:
        stores.events.append(found)
    stores.events.append_many(everything[50:])

    left = open_memory_stores()
    left.events.append_many([found for found in everything if found.id not in gone])
    assert answers(stores) == answers(left)


@pytest.mark.needs("delete", "expected_last_id")
def test_an_instance_without_events_is_none_and_may_begin_anew(stores: Stores) -> None:
    stores.events.append(event(id="e1", instance_id="i1"), expected_last_id="")
    stores.events.delete_events(["e1"])

    assert stores.events.instances(InstanceQuery()).items == ()
    assert stores.events.time_range() is None
    stores.events.append(event(id="e1", instance_id="i1"), expected_last_id="")
    assert ids(stores.events.get_events_for_instance("i1")) == ["e1"]


@pytest.mark.needs("delete", "expected_last_id")
def test_the_last_event_that_is_left_is_the_one_to_expect(stores: Stores) -> None:
    stores.events.append_many([event(id=f"e{number}", instance_id="i1") for number in range(4)])
    stores.events.delete_events(["e1", "e3"])

    stores.events.append(event(id="e4", instance_id="i1"), expected_last_id="e2")

    assert ids(stores.events.get_events_for_instance("i1")) == ["e0", "e2", "e4"]


@pytest.mark.needs("delete", "seq")
def test_numbers_of_insertion_are_not_given_twice(stores: Stores) -> None:
    stores.events.append_many([event(id=f"e{number}", persisted_at=START) for number in range(3)])
    stores.events.delete_events(["e0"])
    stores.events.append(event(id="e3", persisted_at=START))

    assert ids(walk(stores.events.find, EventQuery(), limit=1)) == ["e1", "e2", "e3"]


@pytest.mark.needs("delete")
@pytest.mark.parametrize("strange", ["", "nobody", "x" * 500, "a\0b", "\ud800", "%"])
def test_unknown_ids_change_nothing(stores: Stores, strange: str) -> None:
    stores.events.append(event(id="e1"))

    assert stores.events.delete_events([strange, strange]) == 0
    assert stores.events.delete_events([]) == 0
    assert stores.events.delete_events([strange, "e1", "e1"]) == 1
    assert stores.events.delete_events(iter(["e1"])) == 0


@pytest.mark.needs("delete")
def test_fifty_thousand_go_at_once(stores: Stores) -> None:
    """Also of one stream: each that goes must not cost a look at all the others."""
    made = [event(id=f"e{n}", instance_id=f"i{n % 5 if n < 40_000 else n}", payload={}) for n in range(50_010)]
    stores.events.append_many(made)

    assert stores.events.delete_events(f"e{n}" for n in range(50_000)) == 50_000

    assert stores.events.count(EventQuery())[0].count == 10
    assert len(stores.events.instances(InstanceQuery()).items) == 10
    assert stores.events.time_range() == (made[50_000].persisted_at, made[-1].persisted_at)


@pytest.mark.needs("delete", "snapshots")
def test_a_store_opened_for_reading_refuses(store_url: str, backend: str) -> None:
    if backend == "memory":
        pytest.skip("memory:// is always writable")
    with open_stores(store_url, read_only=False) as stores:
        stores.events.append(event(id="e1", instance_id="i1"))
        stores.snapshots.save_snapshots([snapshot(id="i1"), snapshot(id="i1")])

    with open_stores(store_url) as stores:
        refused: list[Callable[[], object]] = [
            lambda: stores.events.delete_events(["e1"]),
            lambda: stores.events.delete_events([]),
            lambda: stores.snapshots.trim(1),
            lambda: stores.snapshots.delete_snapshot("i1"),
        ]
        for write in refused:
            with pytest.raises(ReadOnlyStoreError):
                write()
        assert stores.events.count(EventQuery())[0].count == 1
        assert stores.snapshots.count_beyond(1) == 1


@pytest.mark.needs("snapshots")
def test_the_oldest_snapshots_are_trimmed_and_the_latest_stays(stores: Stores) -> None:
    saved = {name: [snapshot(id=name) for _ in range(count)] for name, count in (("i1", 5), ("i2", 2), ("i3", 1))}
    for kept in saved.values():
        stores.snapshots.save_snapshots(kept)

    beyond = stores.snapshots.count_beyond(2)
    trimmed = stores.snapshots.trim(2)

    assert beyond == trimmed == 3
    assert stores.snapshots.count_beyond(2) == stores.snapshots.trim(2) == 0
    for name, kept in saved.items():
        assert list(stores.snapshots.list_snapshots(name)) == kept[-2:]
        assert stores.snapshots.get_snapshot(name) == kept[-1]
    for refused in (stores.snapshots.trim, stores.snapshots.count_beyond):
        with pytest.raises(QueryError, match="1 or more"):
            refused(0)


@pytest.mark.parametrize("layout", ["documented", "shipped"])
def test_a_store_of_another_writer_loses_rows_and_gets_nothing(postgresql_database: str, layout: str) -> None:
    made = [event(id=uid(n), instance_id=uid(n % 2), persisted_at=START + n) for n in range(1, 7)]
    foreign.make(postgresql_database, layout, made, [snapshot(id=uid(0)), snapshot(id=uid(1))])

    with open_stores(postgresql_database, read_only=False) as stores:
        assert stores.events.delete_events([uid(1), uid(3), uid(99), "no id of theirs"]) == 2
        stores.snapshots.delete_snapshot(uid(1))
        assert (stores.snapshots.count_beyond(1), stores.snapshots.trim(1)) == (0, 0)

        assert ids(stores.events.get_all_events()) == [uid(n) for n in (2, 4, 5, 6)]
        assert [found.instance.id for found in stores.snapshots.get_all_snapshots()] == [uid(0)]
    with psycopg.connect(postgresql_database) as connection:
        found = connection.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        assert {name for (name,) in found if not name.startswith("idx_") and not name.endswith("_pkey")} == {
            "fsm_events",
            "fsm_snapshots",
        }


def test_a_file_of_another_writer_keeps_its_kind(tmp_path_factory: pytest.TempPathFactory) -> None:
    import sqlite3
    from contextlib import closing

    path = tmp_path_factory.mktemp("theirs") / "theirs.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE fsm_events (id TEXT PRIMARY KEY, instance_id TEXT, machine_name TEXT, component_name TEXT,"
            " event_type TEXT, event_payload TEXT, state_before TEXT, state_after TEXT, persisted_at INTEGER)"
        )
        connection.executemany(
            "INSERT INTO fsm_events VALUES (?, 'i', 'm', 'c', 'GO', '{}', '', 'A', 7)", [("e1",), ("e2",)]
        )
    header = path.read_bytes()[18:20]

    with open_stores(f"sqlite:///{path}", read_only=False) as stores:
        assert stores.events.delete_events(["e1"]) == 1
        assert ids(stores.events.get_all_events()) == ["e2"]

    assert path.read_bytes()[18:20] == header  # not in WAL mode since
    assert [file.name for file in path.parent.iterdir()] == ["theirs.db"]


@pytest.mark.needs("delete", "append")
def test_what_is_appended_meanwhile_is_counted(stores: Stores) -> None:
    old = [event(id=f"old{n}", instance_id="i1", persisted_at=START + n) for n in range(100)]
    new = [event(id=f"new{n}", instance_id="i1", persisted_at=START + 1_000 + n) for n in range(60)]
    stores.events.append_many(old)
    barrier = threading.Barrier(2)

    def append() -> None:
        barrier.wait()
        for one in new:
            stores.events.append(one)

    def delete() -> None:
        barrier.wait()
        for start in range(0, 100, 5):
            stores.events.delete_events(one.id for one in old[start : start + 5])

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(append), pool.submit(delete)]:
            done.result()

    (summary,) = stores.events.instances(InstanceQuery()).items
    assert (summary.event_count, summary.last_event_id, summary.created_at) == (60, "new59", START + 1_000)
    assert stores.events.count(EventQuery(), bucket_ms=HOUR)[0].count == 60
    assert ids(stores.events.get_all_events()) == ids(new)
