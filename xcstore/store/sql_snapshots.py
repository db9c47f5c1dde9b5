"""Snapshots and definitions over SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, cast

import sqlalchemy as sa

from xcstore.model.history import InstanceSnapshot
from xcstore.store import filtering
from xcstore.store.base import Cursor, Page, StoredDefinition
from xcstore.store.codec import (
    NO_REDACTION,
    Redaction,
    check_writable_snapshot,
    json_text,
    parse_json,
    snapshot_extra_text,
    snapshot_to_documented_row,
)
from xcstore.store.cursors import decode_cursor, encode_cursor
from xcstore.store.reading import all_pages
from xcstore.store.sql_database import SqlDatabase
from xcstore.store.sql_deleting import refuse_reading
from xcstore.store.sql_events import refuse_foreign
from xcstore.store.sql_layout import AnySelect, SqlLayout
from xcstore.store.sql_tables import definitions, snapshot_history

__all__ = ["SqlDefinitionStore", "SqlSnapshotStore"]

_BATCH: Final = 1_000
_TRIMMED: Final = 500
"""Instances whose history is cut in one transaction."""
_COMPARED: Final = ("snapshot_at", "last_event_id")


class SqlSnapshotStore:
    """Snapshots in a SQL database: the latest in the documented table, whole documents of the last few beside it.

    Parameters
    ----------
    retention : int
        How many documents of an instance are kept.
    """

    def __init__(
        self, database: SqlDatabase, layout: SqlLayout, *, redact: Redaction = NO_REDACTION, retention: int = 10
    ) -> None:
        self._database: Final = database
        self._layout: Final = layout
        self._redact: Final = redact
        self._retention: Final = retention

    def connect(self) -> None:
        """Look whether the database answers; stores are connected from the start."""
        self._database.read(lambda connection: connection.execute(sa.select(1)).scalar())

    def close(self) -> None:
        self._database.close()

    def save_snapshot(self, snapshot: InstanceSnapshot) -> None:
        self.save_snapshots([snapshot])

    def save_snapshots(self, snapshots: Iterable[InstanceSnapshot]) -> int:
        refuse_foreign(self._database, self._layout)

        def work(connection: sa.Connection) -> int:
            saved = 0
            remaining = iter(snapshots)
            while batch := list(islice(remaining, _BATCH)):
                for snapshot in batch:
                    check_writable_snapshot(snapshot)
                self._save_batch(connection, batch)
                saved += len(batch)
            return saved

        return self._database.write(work)

    def _save_batch(self, connection: sa.Connection, batch: Sequence[InstanceSnapshot]) -> None:
        rows = [
            {f"new_{name}": value for name, value in snapshot_to_documented_row(snapshot).items()} for snapshot in batch
        ]
        self._database.save_snapshots(connection, rows)
        documents = [
            {"instance_id": snapshot.instance.id, "document": snapshot_extra_text(snapshot)} for snapshot in batch
        ]
        connection.execute(snapshot_history.insert(), documents)
        connection.execute(self._beyond({snapshot.instance.id for snapshot in batch}, self._retention))

    def delete_snapshot(self, instance_id: str) -> None:
        """Also in stores of other writers, where they were opened for writing: retention takes it with its events."""
        self.delete_snapshots([instance_id])

    def delete_snapshots(self, instance_ids: Iterable[str]) -> None:
        """Those of many instances in one transaction, which takes much less time."""
        refuse_reading(self._database)
        known = sorted(self._layout.ids(dict.fromkeys(instance_ids)))
        if self._layout.snapshots is None or not known:
            return
        targets = [self._table()]
        if self._layout.is_ours:
            targets.append((snapshot_history, snapshot_history.c.instance_id))

        def work(connection: sa.Connection) -> None:
            for start in range(0, len(known), _BATCH):
                for target, key in targets:
                    connection.execute(sa.delete(target).where(key.in_(known[start : start + _BATCH])))

        self._database.write(work)

    def count_beyond(self, keep: int) -> int:
        filtering.check_keep(keep)
        if not self._layout.is_ours:
            return 0
        kept = sa.func.count().label("kept")
        more = sa.select(kept).select_from(snapshot_history).group_by(snapshot_history.c.instance_id)
        per = more.having(kept > keep).subquery()
        select = sa.select(sa.func.coalesce(sa.func.sum(per.c.kept - keep), 0))
        return int(self._database.read(lambda connection: connection.execute(select).scalar_one()))

    def trim(self, keep: int) -> int:
        filtering.check_keep(keep)
        refuse_reading(self._database)
        if not self._layout.is_ours:
            return 0
        history = snapshot_history.c
        many = sa.func.count() > keep
        some = sa.select(history.instance_id).group_by(history.instance_id).having(many).limit(_TRIMMED)

        def work(connection: sa.Connection) -> int:
            ids = connection.execute(some).scalars().all()
            return connection.execute(self._beyond(ids, keep)).rowcount if ids else 0

        trimmed = 0
        while batch := self._database.write(work):  # each batch is kept, should a later one fail
            trimmed += batch
        return trimmed

    def _beyond(self, instance_ids: Collection[str], keep: int) -> sa.Delete:
        """Deletes from the history of these instances what is older than the last `keep`."""
        history = snapshot_history.c
        newest_first = sa.func.row_number().over(partition_by=history.instance_id, order_by=history.seq.desc())
        numbered = (
            sa.select(history.seq, newest_first.label("number")).where(history.instance_id.in_(instance_ids)).subquery()
        )
        return snapshot_history.delete().where(
            history.seq.in_(sa.select(numbered.c.seq).where(numbered.c.number > keep))
        )

    def get_snapshot(self, instance_id: str) -> InstanceSnapshot | None:
        return self.get_snapshots([instance_id]).get(instance_id)

    def get_snapshots(self, instance_ids: Iterable[str]) -> Mapping[str, InstanceSnapshot]:
        if self._layout.snapshots is None:
            return {}
        wanted = list(dict.fromkeys(instance_ids))
        known = self._layout.ids(wanted)
        _, column = self._table()
        found: dict[str, InstanceSnapshot] = {}
        for start in range(0, len(known), _BATCH):
            chunk = known[start : start + _BATCH]
            for snapshot in self._select(self._latest().where(column.in_(chunk))):
                found[snapshot.instance.id] = snapshot
        return {instance_id: found[instance_id] for instance_id in wanted if instance_id in found}

    def get_all_snapshots(self) -> Iterator[InstanceSnapshot]:
        yield from all_pages(lambda after: self.find(after=after, limit=_BATCH))

    def list_snapshots(self, instance_id: str) -> Sequence[InstanceSnapshot]:
        latest = self.get_snapshot(instance_id)
        if latest is None:
            return []
        if not self._layout.is_ours:
            return [latest]
        history = snapshot_history.c
        select = sa.select(history.document).where(history.instance_id == instance_id).order_by(history.seq)
        documents = self._database.read(lambda connection: connection.execute(select).scalars().all())
        kept = [self._layout.snapshot({"document": document}, self._redact) for document in documents]
        # Another writer that saves snapshots writes the documented table only.
        return kept if kept and kept[-1] == latest else [*kept, latest]

    def find(self, *, after: Cursor | None = None, limit: int = 100) -> Page[InstanceSnapshot]:
        filtering.check_limit(limit)
        last = None if after is None else decode_cursor(after, "snapshots", (str,))[0]
        if self._layout.snapshots is None:
            return Page(items=())
        _, column = self._table()
        order: sa.ColumnElement[Any] = column
        if self._layout.dialect == "postgresql" and not self._layout.uuid_ids:
            order = sa.collate(column, "C")
        select = self._latest().order_by(order).limit(limit + 1)
        if last is not None:
            if not self._layout.ids([str(last)]):
                decode_cursor("", "snapshots", (str,))  # says that it is no cursor of this list
            select = select.where(order > sa.cast(sa.literal(last, sa.Text), column.type))
        found = self._select(select)
        more = len(found) > limit
        return Page(
            items=tuple(found[:limit]),
            next=encode_cursor("snapshots", found[limit - 1].instance.id) if more else None,
        )

    def count(self) -> int:
        if self._layout.snapshots is None:
            return 0
        select = sa.select(sa.func.count()).select_from(self._layout.snapshots)
        return self._database.read(lambda connection: connection.execute(select).scalar_one())

    def _table(self) -> tuple[sa.TableClause, sa.ColumnClause[Any]]:
        assert self._layout.snapshots is not None
        return self._layout.snapshots, self._layout.snapshots.c.instance_id

    def _latest(self) -> AnySelect:
        _, column = self._table()
        if not self._layout.is_ours:
            return sa.select(*self._layout.snapshot_columns())
        history = snapshot_history.c
        document = (
            sa.select(history.document)
            .where(history.instance_id == column)
            .order_by(history.seq.desc())
            .limit(1)
            .scalar_subquery()
        )
        return sa.select(*self._layout.snapshot_columns(), document.label("document"))

    def _select(self, select: AnySelect) -> list[InstanceSnapshot]:
        rows = self._database.read(lambda connection: connection.execute(select).all())
        return [self._decoded(row._mapping) for row in rows]

    def _decoded(self, row: Mapping[Any, Any]) -> InstanceSnapshot:
        snapshot = self._layout.snapshot(row, self._redact)
        if row.get("document") is not None and any(getattr(snapshot, name) != row[name] for name in _COMPARED):
            # Another writer replaced the row; the document is of an older snapshot.
            return self._layout.snapshot({**row, "document": None}, self._redact)
        return snapshot


class SqlDefinitionStore:
    """Component documents by hash. Empty in stores that are not ours."""

    def __init__(self, database: SqlDatabase, layout: SqlLayout) -> None:
        self._database: Final = database
        self._layout: Final = layout

    def save_definition(self, definition: StoredDefinition) -> None:
        refuse_foreign(self._database, self._layout)
        row = {
            "hash": definition.hash,
            "component_name": definition.component_name,
            "document": json_text(definition.document),
        }
        try:
            self._database.write(lambda connection: connection.execute(definitions.insert(), row).close())
        except sa.exc.IntegrityError:
            return  # the hash is present: left as it is

    def get_all_definitions(self) -> Sequence[StoredDefinition]:
        if not self._layout.is_ours:
            return []
        c = definitions.c
        select = sa.select(c.hash, c.component_name, c.document).order_by(c.seq)
        rows = self._database.read(lambda connection: connection.execute(select).all())
        return [
            StoredDefinition(
                hash=row.hash,
                component_name=row.component_name,
                document=cast(Mapping[str, object], parse_json(row.document)),
            )
            for row in rows
        ]
