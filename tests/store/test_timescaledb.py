"""docs/timescaledb.sql on plain PostgreSQL: after it, a store of ours and one of others work as before.

What TimescaleDB itself makes of it is not tested: no server could be had.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.contract.helpers import ids, walk
from tests.factories import START, event
from tests.servers.postgresql import PostgresServer
from xcstore.errors import ConcurrencyError, DuplicateEventError
from xcstore.store.base import EventQuery, InstanceQuery
from xcstore.store.opening import open_stores

SCRIPT = Path(__file__).parents[2] / "docs" / "timescaledb.sql"


@pytest.fixture
def migrated(postgresql_server: PostgresServer, postgresql_database: str) -> str:
    """URL of a store of ours with some events, after the script has run twice."""
    with open_stores(postgresql_database, read_only=False) as opened:
        opened.events.append_many(
            event(id=f"e{number}", persisted_at=START + number, caused_by=(f"e{number - 1}",) if number else ())
            for number in range(5)
        )
    for _ in range(2):
        postgresql_server.load(postgresql_database, SCRIPT)
    return postgresql_database


def test_its_keys_satisfy_the_rule_of_hypertables(migrated: str) -> None:
    with psycopg.connect(migrated) as connection:
        unique = connection.execute(
            "SELECT indexdef FROM pg_indexes WHERE tablename = 'fsm_events' AND indexdef LIKE 'CREATE UNIQUE%'"
        ).fetchall()
        (now,) = connection.execute("SELECT fsm_now_ms()").fetchone() or (0,)

    assert unique
    assert all("persisted_at" in definition for (definition,) in unique)
    assert now > START


def test_a_store_of_ours_goes_on(migrated: str) -> None:
    with open_stores(migrated, read_only=False) as opened:
        events = opened.events
        assert events.layout == "ours"
        events.append(event(id="e5", persisted_at=START + 5, caused_by=("e4",)), expected_last_id="e4")
        events.append_many([event(id="e6", persisted_at=START + 6, instance_id="i2"), event(id="e7", instance_id="i2")])

        for again in (START, START + 10**9):
            with pytest.raises(DuplicateEventError):
                events.append(event(id="e2", persisted_at=again))
            with pytest.raises(DuplicateEventError):
                events.append_many([event(), event(id="e6", persisted_at=again)])
        with pytest.raises(ConcurrencyError):
            events.append(event(persisted_at=START + 10**9), expected_last_id="e4")

        assert sorted(ids(walk(events.find, EventQuery(), limit=3))) == [f"e{number}" for number in range(8)]
        assert ids(events.trace("e0").events) == [f"e{number}" for number in range(6)]
        assert {each.instance_id: each.event_count for each in events.instances(InstanceQuery()).items} == {
            "i1": 6,
            "i2": 2,
        }
        assert events.delete_events(["e5", "e6"]) == 2
        events.append(event(id="e5", persisted_at=START + 10**9))
        assert events.count(EventQuery())[0].count == 7


def test_an_id_is_stored_once_whoever_writes(migrated: str) -> None:
    """At another time too, where the primary key would let it pass."""
    statement = """INSERT INTO fsm_events (id, instance_id, machine_name, component_name, event_type, event_payload,
                                           state_before, state_after, persisted_at)
                   VALUES (%s, 'i1', 'Order', 'Shop', 'PAY', '{}', 'Created', 'Paid', %s)"""
    with psycopg.connect(migrated, autocommit=True) as connection:
        connection.execute(statement, ["new", START + 100])
        for event_id in ("new", "e1"):
            with pytest.raises(psycopg.errors.UniqueViolation):
                connection.execute(statement, [event_id, START + 200])

    with open_stores(migrated) as opened:
        assert opened.events.count(EventQuery())[0].count == 6
        assert opened.events.get_event("new").instance_id == "i1"


def test_a_store_of_others_is_read_as_before(postgresql_server: PostgresServer, postgresql_database: str) -> None:
    with psycopg.connect(postgresql_database, autocommit=True) as connection:
        connection.execute("""
            CREATE TABLE fsm_events (
              id VARCHAR(50) PRIMARY KEY, instance_id VARCHAR(50) NOT NULL, machine_name VARCHAR(100) NOT NULL,
              component_name VARCHAR(100) NOT NULL, event_type VARCHAR(50) NOT NULL, event_payload JSONB NOT NULL,
              state_before VARCHAR(50) NOT NULL, state_after VARCHAR(50) NOT NULL, persisted_at BIGINT NOT NULL,
              caused_by VARCHAR(50)[], caused VARCHAR(50)[], source_component_name VARCHAR(100),
              target_component_name VARCHAR(100), created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)""")
        connection.execute("""
            INSERT INTO fsm_events (id, instance_id, machine_name, component_name, event_type, event_payload,
                                    state_before, state_after, persisted_at, caused_by)
            SELECT 'e' || n, 'i1', 'Order', 'Shop', 'PAY', '{}', 'A', 'B', n, ARRAY['e' || (n - 1)]::varchar(50)[]
            FROM generate_series(1, 5) AS n""")
    postgresql_server.load(postgresql_database, SCRIPT)

    with open_stores(postgresql_database) as opened:
        assert opened.events.layout == "documented"
        assert ids(opened.events.get_all_events()) == ["e1", "e2", "e3", "e4", "e5"]
        assert ids(opened.events.trace("e3", "effects").events) == ["e3", "e4", "e5"]
