"""SQLite: no trace of reading, triggers and bulk writing that agree, a file that survives VACUUM."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.factories import event
from xcstore.errors import (
    ConcurrencyError,
    DuplicateEventError,
    NotAStoreError,
    ReadOnlyStoreError,
    StoreError,
    StoreTimeoutError,
    StoreUnavailableError,
)
from xcstore.model.history import PersistedEvent
from xcstore.store import sqlite_adbc
from xcstore.store.base import EventQuery, InstanceQuery, Stores
from xcstore.store.cancelling import running_for
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores
from xcstore.store.sql_events import SqlEventStore
from xcstore.store.sqlite import SqliteDatabase
from xcstore.units import EpochMs

ROLLUPS = ("fsm_instances", "fsm_event_counts", "fsm_event_causes")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of three events, closed."""
    path = tmp_path / "events.db"
    with open_stores(f"sqlite:///{path}", read_only=False) as stores:
        stores.events.append_many([event(id=f"e{n}", persisted_at=n) for n in range(3)])
    return path


@pytest.fixture
def reading(path: Path) -> Iterator[Stores]:
    with open_stores(f"sqlite:///{path}") as stores:
        yield stores


def some_history(seed: int, length: int) -> list[PersistedEvent]:
    """Few instances, few moments: many ties, in and out of order."""
    chance = random.Random(seed)
    states = ["", "A", "B", "C"]
    return [
        event(
            id=f"e{number}",
            instance_id=f"i{chance.randrange(4)}",
            component_name=f"c{chance.randrange(2)}",
            event_type=chance.choice(["GO", "STOP"]),
            state_before=chance.choice(states),
            state_after=chance.choice(states[1:]),
            persisted_at=EpochMs(chance.choice([-3_600_001, -1, 0, 5, 3_600_000]) + number // 5 * 1_000_000),
            caused_by=tuple(f"e{chance.randrange(length)}" for _ in range(chance.randrange(3))),
        )
        for number in range(length)
    ]


def table(path: Path, name: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr)


# Reading


def test_reading_leaves_the_folder_as_it_was(path: Path, reading: Stores) -> None:
    before = path.read_bytes()

    assert len(list(reading.events.get_all_events())) == 3
    assert [file.name for file in path.parent.iterdir()] == ["events.db"]

    reading.close()
    assert [file.name for file in path.parent.iterdir()] == ["events.db"]
    assert path.read_bytes() == before


def test_the_database_itself_refuses_writes_of_a_reader(reading: Stores) -> None:
    assert isinstance(reading.events, SqlEventStore)

    for statement in ("DELETE FROM fsm_events", "CREATE TABLE t (a)", "PRAGMA query_only=OFF; "):
        with pytest.raises((ReadOnlyStoreError, StoreError)):
            reading.events._database.read(
                lambda connection, statement=statement: [
                    connection.exec_driver_sql("PRAGMA query_only=OFF"),
                    connection.exec_driver_sql("DELETE FROM fsm_events" if "PRAGMA" in statement else statement),
                ]
            )
    assert reading.events.count(EventQuery())[0].count == 3


def test_a_reader_sees_what_a_writer_adds_while_it_is_open(path: Path, reading: Stores) -> None:
    assert reading.events.count(EventQuery())[0].count == 3

    with open_stores(f"sqlite:///{path}", read_only=False) as writing:
        writing.events.append(event(id="new", persisted_at=9))
        assert reading.events.get_event("new").id == "new"
        writing.events.append(event(id="newer", persisted_at=10))
        assert reading.events.get_event("newer").id == "newer"

    assert reading.events.count(EventQuery())[0].count == 5
    assert reading.events.get_event("newer").id == "newer"
    assert [file.name for file in path.parent.iterdir()] == ["events.db"]


def test_readers_are_right_while_a_writer_comes_and_goes(path: Path, reading: Stores) -> None:
    stop = threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        while not stop.is_set():
            try:
                events = list(reading.events.get_all_events())
                assert [found.id for found in events] == [f"e{n}" for n in range(len(events))]
            except StoreUnavailableError:
                pass  # "written all the time" is a true answer
            except BaseException as error:
                failures.append(error)
                return

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(3, 40):
        with open_stores(f"sqlite:///{path}", read_only=False) as writing:
            writing.events.append(event(id=f"e{number}", persisted_at=number))
    stop.set()
    thread.join()

    assert failures == []
    assert reading.events.count(EventQuery())[0].count == 40


@pytest.mark.parametrize("changes", [1, 2, 3, 4])
def test_a_file_that_changes_as_soon_as_it_is_opened_is_read_again(path: Path, reading: Stores, changes: int) -> None:
    left = iter(range(changes))

    def change(*_: object) -> None:
        if next(left, None) is not None:
            _touch(path)

    sa.event.listen(_engine_of(reading), "connect", change)

    assert reading.events.count(EventQuery())[0].count == 3
    assert next(left, None) is None


def test_a_file_that_changes_each_time_it_is_opened_is_refused_in_our_words(path: Path, reading: Stores) -> None:
    sa.event.listen(_engine_of(reading), "connect", lambda *_: _touch(path))

    with pytest.raises(StoreUnavailableError, match="written by others all the time"):
        reading.events.count(EventQuery())


def test_what_sqlalchemy_itself_refuses_leaves_in_our_words_too(reading: Stores) -> None:
    def ask_a_closed_result(connection: sa.Connection) -> object:
        result = connection.execute(sa.select(1))
        result.close()
        return result.all()

    assert isinstance(reading.events, SqlEventStore)
    with pytest.raises(StoreError, match="failed: "):
        reading.events._database.read(ask_a_closed_result)


def test_an_answer_that_made_no_sense_is_asked_for_again_where_the_file_changed(path: Path, reading: Stores) -> None:
    answers = iter(["torn", "whole"])

    def work(connection: sa.Connection) -> str:
        connection.execute(sa.select(1))
        answer = next(answers)
        if answer == "torn":
            _touch(path)
            # The driver's own error, as where rows are read past SQLAlchemy.
            raise sqlite3.DatabaseError("database disk image is malformed")
        return answer

    assert isinstance(reading.events, SqlEventStore)
    assert reading.events._database.read(work) == "whole"


def _engine_of(stores: Stores) -> sa.Engine:
    """Emptied: the next question opens the file."""
    assert isinstance(stores.events, SqlEventStore)
    assert isinstance(stores.events._database, SqliteDatabase)
    engine = stores.events._database._engine
    engine.dispose()
    return engine


def _touch(path: Path) -> None:
    """Its times as after a change."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))


def test_a_database_without_wal_is_read_too(tmp_path: Path, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")

    with open_stores(f"sqlite:///{path}") as stores:
        assert stores.events.count(EventQuery())[0].count == 3

    assert [file.name for file in tmp_path.iterdir()] == ["events.db"]


def test_a_question_that_takes_too_long_is_given_up(path: Path) -> None:
    with open_stores(f"sqlite:///{path}", statement_timeout_ms=50) as stores:
        assert isinstance(stores.events, SqlEventStore)
        with pytest.raises(StoreTimeoutError, match=r"0\.05 s"):
            stores.events._database.read(_endless)


def test_a_question_of_somebody_who_left_is_cancelled(reading: Stores) -> None:
    store = reading.events
    assert isinstance(store, SqlEventStore)
    outcome: list[BaseException] = []

    def ask() -> None:
        with running_for("page 1"):
            try:
                store._database.read(_endless)
            except StoreTimeoutError as error:
                outcome.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while not store.cancel_running("page 1"):
        pass
    thread.join(timeout=5)

    assert len(outcome) == 1
    assert store.cancel_running("page 1") == 0
    assert store.count(EventQuery())[0].count == 3


def test_a_cancel_is_not_lost_where_the_file_changes_in_that_instant(path: Path) -> None:
    """What comes from a changed file is asked for again; not what nobody wants to know any more."""
    outcome: list[BaseException] = []
    started = threading.Event()

    def work(connection: sa.Connection) -> object:
        started.set()
        return _endless(connection)

    def ask(store: SqlEventStore) -> None:
        with running_for("page 1"):
            try:
                store._database.read(work)
            except StoreTimeoutError as error:
                outcome.append(error)

    with open_stores(f"sqlite:///{path}", statement_timeout_ms=20_000) as stores:
        assert isinstance(stores.events, SqlEventStore)
        thread = threading.Thread(target=ask, args=[stores.events])
        thread.start()
        assert started.wait(10)
        _touch(path)
        started.clear()
        assert stores.events.cancel_running("page 1") == 1
        thread.join()

        assert not started.is_set(), "it was asked again"
        assert len(outcome) == 1
        assert stores.events.count(EventQuery())[0].count == 3


def _endless(connection) -> object:  # type: ignore[no-untyped-def]
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    return connection.exec_driver_sql(numbers).scalar()


# Writing


def insert_as_others(path: Path, history: Sequence[PersistedEvent]) -> None:
    """As a writer that knows nothing of our tables."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for item in history:
            connection.execute(
                "INSERT INTO fsm_events (id, instance_id, machine_name, component_name, event_type, event_payload,"
                " state_before, state_after, persisted_at, caused_by) VALUES (?, ?, ?, ?, ?, '{}', ?, ?, ?, ?)",
                (
                    item.id,
                    item.instance_id,
                    item.machine_name,
                    item.component_name,
                    item.event_type,
                    item.state_before,
                    item.state_after,
                    item.persisted_at,
                    json.dumps(item.caused_by),
                ),
            )


@pytest.mark.parametrize("seed", range(8))
def test_all_ways_of_writing_keep_the_same_tables(tmp_path: Path, seed: int) -> None:
    history = some_history(seed, 60)
    with open_stores(f"sqlite:///{tmp_path}/single.db", read_only=False) as stores:
        for item in history:
            stores.events.append(item)
    with open_stores(f"sqlite:///{tmp_path}/bulk.db", read_only=False) as stores:
        for start in range(0, 60, 20):
            stores.events.append_many(history[start : start + 20])
    with open_stores(f"sqlite:///{tmp_path}/theirs.db", read_only=False) as stores:
        insert_as_others(tmp_path / "theirs.db", history[:30])
        stores.events.append_many(history[30:50])
        insert_as_others(tmp_path / "theirs.db", history[50:])

    for name in ROLLUPS:
        assert table(tmp_path / "theirs.db", name) == table(tmp_path / "single.db", name)
        assert table(tmp_path / "bulk.db", name) == table(tmp_path / "single.db", name)
    assert table(tmp_path / "bulk.db", "fsm_event_extra") == table(tmp_path / "single.db", "fsm_event_extra")


@pytest.mark.parametrize("seed", range(8))
def test_instances_are_those_of_memory_whatever_the_order_and_the_ties(tmp_path: Path, seed: int) -> None:
    history = some_history(seed, 60)
    memory = open_memory_stores().events
    memory.append_many(history)
    with open_stores(f"sqlite:///{tmp_path}/events.db", read_only=False) as stores:
        stores.events.append_many(history)

        assert stores.events.instances(InstanceQuery()) == memory.instances(InstanceQuery())
        assert stores.events.count_instances(InstanceQuery()) == memory.count_instances(InstanceQuery())


def test_events_of_another_writer_get_their_place_and_their_causes(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO fsm_events (id, instance_id, machine_name, component_name, event_type, event_payload,"
            " state_before, state_after, persisted_at, caused_by) VALUES"
            " ('theirs', 'i9', 'm', 'c', 'GO', '{\"a\": 1}', '', 'A', 7, '[\"e0\", \"e0\", \"gone\"]')"
        )

    with open_stores(f"sqlite:///{path}") as stores:
        assert stores.events.get_event("theirs").seq == 4
        assert [found.id for found in stores.events.get_caused_events("e0")] == ["theirs"]
        assert stores.events.trace("theirs").missing == ("gone",)
        counts = stores.events.count(EventQuery(), by=("component_name",))
        assert {count.key: count.count for count in counts} == {("Shop",): 3, ("c",): 1}
        assert stores.events.instances(InstanceQuery()).items[0].instance_id == "i9"


@pytest.mark.parametrize("seed", range(4))
def test_deleted_events_are_gone_from_everywhere(tmp_path: Path, seed: int) -> None:
    history = some_history(seed, 60)
    kept = [item for number, item in enumerate(history) if number % 3]
    path = tmp_path / "events.db"
    with open_stores(f"sqlite:///{path}", read_only=False) as stores:
        stores.events.append_many(history)
    with closing(sqlite3.connect(path)) as connection, connection:
        gone: Sequence[tuple[str]] = [(item.id,) for item in history if item not in kept]
        connection.executemany("DELETE FROM fsm_events WHERE id = ?", gone)

    memory = open_memory_stores().events
    memory.append_many(kept)
    with open_stores(f"sqlite:///{path}") as stores:
        assert list(stores.events.get_all_events()) == list(memory.get_all_events())
        # seq keeps its gaps: places are told apart, not compared
        assert {i.instance_id: i for i in stores.events.instances(InstanceQuery()).items} == {
            i.instance_id: i for i in memory.instances(InstanceQuery()).items
        }
        by = ("component_name", "event_type", "state_after")
        assert stores.events.count(EventQuery(), by=by) == memory.count(EventQuery(), by=by)
    assert len(table(path, "fsm_event_extra")) == len(kept)


def test_vacuum_changes_neither_order_nor_cursors(path: Path) -> None:
    with open_stores(f"sqlite:///{path}", read_only=False) as stores:
        stores.events.append_many([event(id=f"t{9 - n}", persisted_at=5) for n in range(6)])
        page = stores.events.find(EventQuery(), limit=5)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM fsm_events WHERE id = 'e1'")
        connection.commit()
        connection.execute("VACUUM")

    with open_stores(f"sqlite:///{path}") as stores:
        following = stores.events.find(EventQuery(), after=page.next, limit=9).items

    assert [found.id for found in following] == ["t7", "t6", "t5", "t4"]


def test_of_two_writers_that_expect_the_same_last_event_one_is_told(path: Path) -> None:
    url = f"sqlite:///{path}"
    outcomes: list[str] = []
    barrier = threading.Barrier(4)

    def write(number: int) -> None:
        with open_stores(url, read_only=False) as stores:
            barrier.wait()
            try:
                stores.events.append(event(id=f"n{number}", instance_id="fresh"), expected_last_id="")
                outcomes.append("in")
            except ConcurrencyError:
                outcomes.append("told")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["in", "told", "told", "told"]


def test_a_batch_with_a_stored_id_names_it_and_writes_nothing(path: Path) -> None:
    with open_stores(f"sqlite:///{path}", read_only=False) as stores:
        with pytest.raises(DuplicateEventError) as raised:
            stores.events.append_many([event(id="new"), event(id="e2"), event(id="e1")])

        assert raised.value.event_id == "e2"
        assert stores.events.count(EventQuery())[0].count == 3


def test_many_at_once_leave_the_triggers_where_they_were(path: Path) -> None:
    before = table(path, "sqlite_master WHERE type = 'trigger'")
    history = some_history(1, 600)
    with open_stores(f"sqlite:///{path}", read_only=False) as stores:
        stores.events.append_many([event(id=f"n{n}") for n in range(600)])
        with pytest.raises(DuplicateEventError):
            stores.events.append_many([*(event(id=f"m{n}") for n in range(600)), event(id="e1")])
        stores.events.append(event(id="single"))
        assert stores.events.count(EventQuery())[0].count == 604

    assert [row[:3] + row[4:] for row in before] == [
        row[:3] + row[4:] for row in table(path, "sqlite_master WHERE type = 'trigger'")
    ]
    with open_stores(f"sqlite:///{path.parent}/bulk.db", read_only=False) as stores:
        stores.events.append_many(history)
    with open_stores(f"sqlite:///{path.parent}/single.db", read_only=False) as stores:
        for item in history:
            stores.events.append(item)
    for name in (*ROLLUPS, "fsm_event_extra"):
        assert table(path.parent / "bulk.db", name) == table(path.parent / "single.db", name)


# Arrow


def shuffled(path: Path) -> list[PersistedEvent]:
    """Many events of few moments, whose rows lie in another order than they were appended in."""
    history = [event(id=f"e{n}", persisted_at=EpochMs(n // 7), payload={"n": n}) for n in range(500)]
    with open_stores(f"sqlite:///{path}", read_only=False) as stores:
        stores.events.append_many(history)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE fsm_events SET rowid = -rowid")
    return history


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("columns", [["id"], ["seq", "id"], ["payload", "id", "timestamp"]])
@pytest.mark.parametrize("limit", [None, 1, 6, 7, 8, 333, 500, 501])
def test_rows_come_in_page_order_wherever_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: list[str], limit: int | None, newest_first: bool
) -> None:
    monkeypatch.setattr("xcstore.store.sql_arrow._PIECE", 100)
    expected = [found.id for found in shuffled(tmp_path / "events.db")]
    if newest_first:
        expected.reverse()

    with open_stores(f"sqlite:///{tmp_path}/events.db") as stores:
        found = stores.events.to_arrow(EventQuery(), columns=columns, limit=limit, newest_first=newest_first)

    assert found.column_names == columns
    assert found["id"].to_pylist() == expected[:limit]


def test_both_roads_to_arrow_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = shuffled(tmp_path / "events.db")
    taken: list[str] = []

    def watched(*arguments: object, road: object = sqlite_adbc.fetch_table) -> object:
        taken.append("ADBC")
        return road(*arguments)  # type: ignore[operator]

    monkeypatch.setattr("xcstore.store.sqlite.fetch_table", watched)
    with open_stores(f"sqlite:///{tmp_path}/events.db") as stores:
        fast = stores.events.to_arrow(EventQuery(start=EpochMs(3)))
        assert taken == ["ADBC"]
        with open_stores(f"sqlite:///{tmp_path}/events.db", read_only=False) as writing:
            slow = stores.events.to_arrow(EventQuery(start=EpochMs(3)))
            assert writing.events.to_arrow(EventQuery(start=EpochMs(3))).to_pylist() == slow.to_pylist()
        assert taken == ["ADBC"]

    assert fast.to_pylist() == slow.to_pylist()
    assert fast["id"].to_pylist() == [one.id for one in history[21:]]


def test_a_column_that_is_empty_for_long_is_read(tmp_path: Path) -> None:
    with open_stores(f"sqlite:///{tmp_path}/events.db", read_only=False) as stores:
        stores.events.append_many(event(id=f"e{n}", source_component_name=None) for n in range(11_000))
        stores.events.append(event(id="last", source_component_name="Depot", context={"a": 1}))

    with open_stores(f"sqlite:///{tmp_path}/events.db") as stores:
        found = stores.events.to_arrow(EventQuery())

    assert found["source_component_name"].null_count == 11_000
    assert found.slice(11_000).to_pylist()[0]["context"] == '{"a":1}'


def test_a_writer_waits_for_those_who_read_by_adbc(tmp_path: Path) -> None:
    guard = sqlite_adbc.Writers()
    came: list[str] = []

    with guard.kept_out(tmp_path / "a") as alone:
        assert alone
        thread = threading.Thread(target=lambda: (guard.add(tmp_path / "a"), came.append("writer")))
        thread.start()
        guard.add(tmp_path / "b")
        thread.join(timeout=0.2)
        assert came == []
    thread.join(timeout=5)

    assert came == ["writer"]
    with guard.kept_out(tmp_path / "a") as alone:
        assert not alone
    guard.remove(tmp_path / "a")
    with guard.kept_out(tmp_path / "a") as alone:
        assert alone


def test_a_store_of_another_writer_stays_as_it_is_when_it_is_opened_for_writing(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE fsm_events (id TEXT PRIMARY KEY, instance_id TEXT, machine_name TEXT, event_type TEXT,"
            " state_before TEXT, state_after TEXT, persisted_at INTEGER)"
        )
    before = path.read_bytes()

    with open_stores(f"sqlite:///{path}", read_only=False) as stores:
        assert stores.events.layout == "documented"
        with pytest.raises(ReadOnlyStoreError):
            stores.events.append(event(id="e1"))

    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["theirs.db"]


def test_a_database_of_other_things_stays_as_it_is_when_it_is_opened_for_writing(tmp_path: Path) -> None:
    path = tmp_path / "recipes.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    before = path.read_bytes()

    with pytest.raises(NotAStoreError, match="recipes"):
        open_stores(f"sqlite:///{path}", read_only=False)

    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["recipes.db"]
