"""The connections to PostgreSQL: at most 20, given back, and counted."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from xcstore.errors import StoreError, StoreUnavailableError
from xcstore.store.base import EventQuery, PoolUse
from xcstore.store.opening import open_stores
from xcstore.store.sql_database import SqlDatabase
from xcstore.store.sql_events import SqlEventStore


def database_of(store: object) -> SqlDatabase:
    assert isinstance(store, SqlEventStore)
    return store._database


def test_a_question_is_counted_as_a_connection_in_use_while_it_runs(postgresql_database: str) -> None:
    with open_stores(postgresql_database, read_only=False) as stores:
        database = database_of(stores.events)

        within = database.read(lambda _: database.pool_use())

        assert (within.in_use, within.maximum, within.waiting) == (1, 20, 0)
        assert database.pool_use().in_use == 0
        assert database.pool_use().open >= 1


def test_there_are_20_connections_and_who_asks_for_another_is_told_after_2_seconds(postgresql_database: str) -> None:
    with open_stores(postgresql_database, read_only=False) as stores:
        database = database_of(stores.events)
        seen: list[PoolUse] = []

        def within(depth: int) -> None:
            """Each question is asked while the one before still holds its connection."""
            if depth == 20:
                seen.append(database.pool_use())
                with pytest.raises(StoreUnavailableError, match=r"no connection within 2 s"):
                    database.read(lambda connection: connection.execute(sa.select(1)))
            else:
                database.read(lambda _: within(depth + 1))

        within(0)

        assert seen == [PoolUse(maximum=20, open=20, in_use=20)]
        assert database.pool_use().in_use == 0
        assert stores.events.count(EventQuery())[0].count == 0


def test_a_question_that_fails_gives_its_connection_back(postgresql_database: str) -> None:
    with open_stores(postgresql_database, read_only=False) as stores:
        database = database_of(stores.events)
        for _ in range(25):
            with pytest.raises(StoreError, match="division by zero"):
                database.read(lambda connection: connection.exec_driver_sql("SELECT 1/0"))

        assert database.pool_use().in_use == 0
        assert stores.events.status().event_count == 0
