"""PostgreSQL: reading only, restarts, cancelling, other writers, who we say we are."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator, Sequence

import psycopg
import pytest
import sqlalchemy as sa

from tests.factories import event
from xcstore.errors import (
    ConcurrencyError,
    DuplicateEventError,
    ReadOnlyStoreError,
    StoreTimeoutError,
    StoreUnavailableError,
)
from xcstore.model.history import PersistedEvent
from xcstore.store import postgresql, sql_writing
from xcstore.store.base import EventQuery, InstanceQuery, InstanceSummary, Stores
from xcstore.store.cancelling import running_for
from xcstore.store.opening import open_stores
from xcstore.store.postgresql_stores import PostgreSQLEventStore, PostgreSQLSnapshotStore
from xcstore.store.sql_events import SqlEventStore
from xcstore.units import EpochMs


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


def summaries(stores: Stores) -> dict[str, InstanceSummary]:
    return {item.instance_id: item for item in stores.events.instances(InstanceQuery()).items}


def insert_as_others(url: str, events: Sequence[PersistedEvent]) -> None:
    """As a writer that knows nothing of our tables."""
    with psycopg.connect(url) as connection:
        for item in events:
            connection.execute(
                "INSERT INTO fsm_events (id, instance_id, machine_name, component_name, event_type, event_payload,"
                " state_before, state_after, persisted_at) VALUES (%s, %s, %s, %s, %s, '{}', %s, %s, %s)",
                (
                    item.id,
                    item.instance_id,
                    item.machine_name,
                    item.component_name,
                    item.event_type,
                    item.state_before,
                    item.state_after,
                    item.persisted_at,
                ),
            )


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


def test_where_all_connections_are_taken_the_server_is_not_said_to_be_gone(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "_CONNECTIONS", 1)
    with open_stores(url) as stores:
        assert isinstance(stores.events, SqlEventStore)
        database = stores.events._database

        def ask_for_another(_: sa.Connection) -> None:
            with pytest.raises(StoreUnavailableError, match="gave no connection within 2 s, but does now"):
                stores.events.count(EventQuery())

        database.read(ask_for_another)
        assert stores.events.count(EventQuery())[0].count == 3


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


@pytest.mark.parametrize("way", ["one by one", "in batches", "by others", "by all in turn"])
@pytest.mark.parametrize("seed", range(6))
def test_the_table_of_instances_says_what_their_streams_say(postgresql_database: str, seed: int, way: str) -> None:
    """Late events, events of one moment that chain, go round in circles or do neither; and some deleted afterwards."""
    rng = random.Random(seed)
    events = [
        event(
            id=f"e{number}",
            instance_id=f"i{rng.randrange(6)}",
            persisted_at=EpochMs(rng.randrange(3) + number // 12),
            state_before=rng.choice(("", "A", "B", "C")),
            state_after=rng.choice("ABC"),
        )
        for number in range(60)
    ]
    with (
        open_stores(postgresql_database, read_only=False) as stores,
        open_stores("memory://", read_only=False) as model,
    ):
        if way == "one by one":
            for item in events:
                stores.events.append(item)
        elif way == "in batches":
            for start in range(0, 60, 20):
                stores.events.append_many(events[start : start + 20])
        elif way == "by all in turn":
            for start in range(0, 60, 12):
                stores.events.append(events[start])
                insert_as_others(postgresql_database, events[start + 1 : start + 4])
                stores.events.append_many(events[start + 4 : start + 12])
        else:
            insert_as_others(postgresql_database, events)
        model.events.append_many(events)

        assert summaries(stores) == summaries(model)
        # Also without asking the streams, where the row says that it knows.
        with psycopg.connect(postgresql_database) as connection:
            known = connection.execute("SELECT instance_id, last_event_id FROM fsm_instances WHERE settled").fetchall()
        assert all(summaries(model)[instance_id].last_event_id == last for instance_id, last in known)
        assert stores.events.count_instances(InstanceQuery()) == model.events.count_instances(InstanceQuery())

        kept = [item for item in events if rng.random() < 0.7 and item.instance_id != "i0"]
        with psycopg.connect(postgresql_database) as connection:
            connection.execute("DELETE FROM fsm_events WHERE NOT id = ANY(%s)", ([item.id for item in kept],))
        with open_stores("memory://", read_only=False) as rest:
            rest.events.append_many(kept)
            assert summaries(stores) == summaries(rest)


def test_others_stay_traced_after_we_wrote(url: str) -> None:
    """Our writers keep the trigger away from their own transactions only, also in a session that others get."""
    with open_stores(url, read_only=False) as stores:
        assert isinstance(stores.events, SqlEventStore)

        def as_others_in_our_session(connection: sa.Connection) -> None:
            connection.exec_driver_sql(
                "INSERT INTO fsm_events (id, instance_id, machine_name, component_name, event_type, event_payload,"
                " state_before, state_after, persisted_at, caused_by)"
                " VALUES ('theirs', 'i9', 'm', 'c', 'GO', '{}', '', 'A', 7, ARRAY['ours'])"
            )

        stores.events.append(event(id="ours"))
        stores.events.append_many([event(id="ours too")])
        stores.events._database.write(as_others_in_our_session)

        assert [found.id for found in stores.events.get_caused_events("ours")] == ["theirs"]
        assert summaries(stores)["i9"].last_event_id == "theirs"


def test_a_writer_goes_on_after_the_server_ended_its_connection(url: str) -> None:
    with open_stores(url, read_only=False) as stores:
        stores.events.append(event(id="before"))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'xcstore' AND datname = current_database()"
            )
        # Whether an event that met the end of a connection was written nobody knows, so it is not written again.
        with contextlib.suppress(StoreUnavailableError):
            stores.events.append(event(id="during"))
        stores.events.append(event(id="after"))

        assert stores.events.get_event("after").id == "after"


def test_the_table_of_instances_settles_what_chains(url: str) -> None:
    """Else each list of instances would read their streams."""
    path = ["", "A", "B", "A", "C"]
    with open_stores(url, read_only=False) as stores:
        for number in range(4):
            before, after = path[number : number + 2]
            stores.events.append(event(id=f"c{number}", instance_id="chain", state_before=before, state_after=after))

        assert asked(stores, "SELECT settled FROM fsm_instances WHERE instance_id = 'chain'") is True
        assert asked(stores, "SELECT state FROM fsm_instances WHERE instance_id = 'chain'") == "C"


def test_imports_of_the_same_instances_wait_for_each_other(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_writing, "_BATCH", 2)
    monkeypatch.setattr(postgresql, "_IMPORT", 2)
    barrier = threading.Barrier(2)
    failures: list[BaseException] = []

    with open_stores(url, read_only=False) as stores:

        def write(name: str, instances: list[str]) -> None:
            barrier.wait()
            try:
                for turn in range(5):
                    stores.events.append_many(
                        event(id=f"{name}-{turn}-{number}", instance_id=instance_id, persisted_at=EpochMs(turn))
                        for number, instance_id in enumerate(instances)
                    )
            except BaseException as error:
                failures.append(error)

        order = [f"i{number:02}" for number in range(40)]
        threads = [
            threading.Thread(target=write, args=("up", order)),
            threading.Thread(target=write, args=("down", order[::-1])),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert failures == []
        found = stores.events.instances(InstanceQuery(id_prefix="i0"))
        assert [item.event_count for item in found.items if item.instance_id in order] == [10] * 10


def test_the_names_of_the_specification_open_the_same_stores(url: str) -> None:
    events, snapshots = PostgreSQLEventStore(url), PostgreSQLSnapshotStore(url)

    events.connect()
    events.append(event(id="e9"))

    assert events.get_event("e9").id == "e9"
    assert list(snapshots.get_all_snapshots()) == []
    events.close()
    snapshots.close()
