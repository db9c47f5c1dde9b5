"""What a SQL database knows about itself, asked so that it costs the same whatever is stored."""

from __future__ import annotations

import json
from typing import Final

import sqlalchemy as sa

from xcstore.store import sql_tables
from xcstore.store.base import StoreStatus
from xcstore.store.sql_layout import SqlLayout

__all__ = ["read_status", "sqlite_damage"]

_COUNTED: Final = 5_000
"""Up to so many rows are counted; beyond, the database is asked for its estimate."""

_TOLD: Final = 100

_TABLES: Final = (
    *(table.name for table in (sql_tables.events, sql_tables.snapshots, sql_tables.meta, sql_tables.event_extra)),
    *(table.name for table in (sql_tables.event_causes, sql_tables.snapshot_history, sql_tables.definitions)),
    *(table.name for table in (sql_tables.instances, sql_tables.outbox)),
)

# A table in parts, such as partitions or the chunks of an extension, is itself empty.
_POSTGRESQL_SIZE: Final = sa.text("""
WITH RECURSIVE parts(oid) AS (
  SELECT to_regclass(name)::oid FROM unnest(CAST(:names AS text[])) AS name
  UNION
  SELECT inhrelid FROM pg_inherits JOIN parts ON inhparent = parts.oid
)
SELECT CAST(sum(pg_total_relation_size(oid)) AS bigint) FROM parts WHERE oid IS NOT NULL
""")


def read_status(connection: sa.Connection, layout: SqlLayout) -> StoreStatus:
    """All but the connections, which only their pool knows."""
    server, size = _sqlite(connection) if layout.dialect == "sqlite" else _postgresql(connection)
    count = _count(connection, layout)
    is_exact = count is not None
    return StoreStatus(
        server=server,
        size_bytes=size,
        event_count=count if is_exact else _estimate(connection, layout),
        event_count_is_exact=is_exact,
    )


def sqlite_damage(connection: sa.Connection) -> list[str]:
    """What SQLite finds wrong with its file, a sentence each, at most `_TOLD`: pages, rows and indexes."""
    found = connection.exec_driver_sql(f"PRAGMA integrity_check({_TOLD})").scalars().all()
    return [] if found == ["ok"] else [str(line) for line in found]


def _sqlite(connection: sa.Connection) -> tuple[str, int]:
    version = connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()
    pages, size = (connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_count", "page_size"))
    return f"SQLite {version}", pages * size


def _postgresql(connection: sa.Connection) -> tuple[str, int | None]:
    version = str(connection.execute(sa.text("SELECT current_setting('server_version')")).scalar_one())
    size = connection.execute(_POSTGRESQL_SIZE, {"names": list(_TABLES)}).scalar()
    return f"PostgreSQL {version.partition(' ')[0]}", size or None  # a view takes no room


def _count(connection: sa.Connection, layout: SqlLayout) -> int | None:
    """Exact; None where counting would take long."""
    if layout.is_ours and layout.dialect == "sqlite":
        few = sa.select(sql_tables.event_counts.c.count).limit(_COUNTED + 1).subquery()
        rows, events = connection.execute(sa.select(sa.func.count(), sa.func.sum(few.c.count))).one()
        return None if rows > _COUNTED else int(events or 0)
    some = sa.select(sa.literal(1)).select_from(layout.events).limit(_COUNTED + 1).subquery()
    rows = connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()
    return None if rows > _COUNTED else int(rows)


def _estimate(connection: sa.Connection, layout: SqlLayout) -> int | None:
    if layout.dialect == "sqlite":
        return _numbered(connection, layout)
    seen = sa.text("SELECT reltuples > 0 FROM pg_class WHERE oid = to_regclass(:name)")
    if layout.is_ours and not connection.execute(seen, {"name": layout.events.name}).scalar():
        return _numbered(connection, layout)
    # The planner knows the size of the table at this moment, and how full a page was when the server last looked.
    plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) SELECT 1 FROM {layout.events.name}").scalar_one()
    return int((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]["Plan Rows"])


def _numbered(connection: sa.Connection, layout: SqlLayout) -> int | None:
    """From the first row's number to the last one's: nothing is removed but the oldest, as a rule."""
    number = sql_tables.event_extra.c.seq if layout.is_ours else sa.literal_column("rowid")
    table = sql_tables.event_extra if layout.is_ours else layout.events
    try:
        # Two questions: each is one step in the tree, both in one would walk it.
        first, last = (
            connection.execute(sa.select(end(number)).select_from(table)).scalar() for end in (sa.func.min, sa.func.max)
        )
    except sa.exc.OperationalError:  # a view, or a table without such numbers
        return None
    return None if first is None or last is None else int(last) - int(first) + 1
