"""PostgreSQL: reading only, restarts, cancelling, other writers, who we say we are."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa

from tests.factories import event
from xcstore.errors import ConcurrencyError, DuplicateEventError, ReadOnlyStoreError, StoreTimeoutError
from xcstore.store.base import EventQuery, Stores
from xcstore.store.opening import open_stores
from xcstore.store.postgresql_stores import PostgreSQLEventStore, PostgreSQLSnapshotStore
from xcstore.store.sql_database import running_for
from xcstore.store.sql_events import SqlEventStore


@pytest.fixture
def url(postgresql_database: str) -> str:
    """A store of three events."""
    with open_stores(postgresql_database, read_only=False) as stores:
        stores.events.append_many([event(id=f"e{n}", persisted_at=n) for n in range(3)])
    return postgresql_database


@pytest.fixture
def reading(url: str) -> Iterator[Stores]:
    with open_stores(url) as stores:
        yield stores


def asked(stores: Stores, statement: str) -> object:
    """The answer to a statement of the store's own connection."""
    assert isinstance(stores.events, SqlEventStore)
    return stores.events._database.read(lambda connection: connection.execute(sa.text(statement)).scalar())


def test_the_server_itself_refuses_writes_of_a_reader(reading: Stores) -> None:
    assert isinstance(reading.events, SqlEventStore)

    for statement in ("DELETE FROM fsm_events", "CREATE TABLE t (a int)", "UPDATE fsm_meta SET schema_version = '9'"):
        with pytest.raises(ReadOnlyStoreError, match="read-only transaction"):
            reading.events._database.read(
                lambda connection, statement=statement: connection.exec_driver_sql(statement).rowcount
            )
    assert reading.events.count(EventQuery())[0].count == 3


def test_connections_say_who_they_are_and_have_time_limits(reading: Stores) -> None:
    assert asked(reading, "SELECT current_setting('application_name')") == "xcstore"
    assert asked(reading, "SELECT current_setting('statement_timeout')") == "10s"
    assert asked(reading, "SELECT current_setting('lock_timeout')") == "5s"


def test_a_question_that_takes_too_long_is_given_up(url: str) -> None:
    with open_stores(url, statement_timeout_ms=100) as stores:
        with pytest.raises(StoreTimeoutError, match=r"0\.1 s"):
            asked(stores, "SELECT pg_sleep(5)")
        assert stores.events.count(EventQuery())[0].count == 3


def test_a_question_of_somebody_who_left_is_cancelled(reading: Stores) -> None:
    store = reading.events
    assert isinstance(store, SqlEventStore)
    outcome: list[BaseException] = []

    def ask() -> None:
        with running_for("page 1"):
            try:
                asked(reading, "SELECT pg_sleep(8)")
            except StoreTimeoutError as error:
                outcome.append(error)

    thread = threading.Thread(target=ask)
    began = time.monotonic()
    thread.start()
    while thread.is_alive() and not outcome:
        store.cancel_running("page 1")
        thread.join(timeout=0.1)
    thread.join()

    assert len(outcome) == 1
    assert time.monotonic() - began < 8
    assert store.count(EventQuery())[0].count == 3


def test_connections_that_the_server_ended_are_replaced_unnoticed(url: str, reading: Stores) -> None:
    assert reading.events.count(EventQuery())[0].count == 3

    with psycopg.connect(url, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE application_name = 'xcstore' AND datname = current_database()"
        ).fetchone()

    assert ended is not None
    assert ended[0] >= 1
    assert reading.events.count(EventQuery())[0].count == 3


def test_events_of_another_writer_get_their_place_and_their_causes(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO fsm_events (id, instance_id, machine_name, component_name, event_type, event_payload,"
            " state_before, state_after, persisted_at, caused_by) VALUES"
            " ('theirs', 'i9', 'm', 'c', 'GO', '{\"a\": 1}', '', 'A', 7, ARRAY['e0', 'e0', 'gone', NULL])"
        )

    with open_stores(url) as stores:
        assert stores.events.get_event("theirs").seq == 4
        assert [found.id for found in stores.events.get_caused_events("e0")] == ["theirs"]
        assert stores.events.trace("theirs").missing == ("gone",)


def test_of_writers_that_expect_the_same_last_event_one_is_let_in(url: str) -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(4)
    with open_stores(url, read_only=False) as stores:

        def write(number: int) -> None:
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


def test_a_batch_with_a_stored_id_names_it_and_writes_nothing(url: str) -> None:
    with open_stores(url, read_only=False) as stores:
        with pytest.raises(DuplicateEventError) as raised:
            stores.events.append_many([event(id="new"), event(id="e2"), event(id="e1")])

        assert raised.value.event_id == "e2"
        assert stores.events.count(EventQuery())[0].count == 3


def test_texts_that_copy_could_misread_come_back_as_they_were(url: str) -> None:
    hostile = ["\\N", "\\.", "tab\there", "new\nline", "cr\rhere", "back\\slash", '{"a","b"}', "NULL", "quote\"s'"]
    events = [
        event(id=f"h{n}", event_type=text, payload={"text": text}, caused_by=(text, "e0"))
        for n, text in enumerate(hostile)
    ]

    with open_stores(url, read_only=False) as stores:
        stores.events.append_many(events)

        for written in events:
            read = stores.events.get_event(written.id)
            assert read == written
            assert read.faults == ()


def test_the_names_of_the_specification_open_the_same_stores(url: str) -> None:
    events, snapshots = PostgreSQLEventStore(url), PostgreSQLSnapshotStore(url)

    events.connect()
    events.append(event(id="e9"))

    assert events.get_event("e9").id == "e9"
    assert list(snapshots.get_all_snapshots()) == []
    events.close()
    snapshots.close()
