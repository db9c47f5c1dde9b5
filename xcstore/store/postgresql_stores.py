"""The stores of PostgreSQL by the names that the specification gives them; `open_stores` is the other way in."""

from __future__ import annotations

from xcstore.store.base import Stores
from xcstore.store.opening import open_stores
from xcstore.store.sql_events import SqlEventStore
from xcstore.store.sql_snapshots import SqlSnapshotStore

__all__ = ["PostgreSQLEventStore", "PostgreSQLSnapshotStore"]


class PostgreSQLEventStore(SqlEventStore):
    """Events in PostgreSQL, open for writing: ``PostgreSQLEventStore("postgresql://user:pass@localhost/xcomponent")``.

    An empty database becomes a store of ours; a store of another writer can be read only.
    """

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        opened = _open(url, read_only=read_only)
        assert isinstance(opened.events, SqlEventStore)
        super().__init__(opened.events._database, opened.events._layout)


class PostgreSQLSnapshotStore(SqlSnapshotStore):
    """Snapshots in PostgreSQL, open for writing; see `PostgreSQLEventStore`."""

    def __init__(self, url: str, *, read_only: bool = False, retention: int = 10) -> None:
        opened = _open(url, read_only=read_only)
        assert isinstance(opened.snapshots, SqlSnapshotStore)
        super().__init__(opened.snapshots._database, opened.snapshots._layout, retention=retention)


def _open(url: str, *, read_only: bool) -> Stores:
    return open_stores(url, read_only=read_only, latency_alert_ms=None)
