"""The outbox of a SQL store of ours: what runtimes have still to do, in one transaction with the events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Final, cast

import sqlalchemy as sa

from xcstore.jsontext import json_text, parse_json
from xcstore.store.base import OutboxChange, StoredWork
from xcstore.store.sql_database import WorkRows
from xcstore.store.sql_layout import SqlLayout, is_storable
from xcstore.store.sql_tables import outbox

__all__ = ["change_outbox", "read_outbox", "work_rows"]

_DELETE: Final = "DELETE FROM fsm_outbox WHERE id = :id"
_PUT: Final = (
    "INSERT INTO fsm_outbox (id, component_name, position, document)"
    " VALUES (:id, :component_name, :position, :document)"
    " ON CONFLICT (id) DO UPDATE SET component_name = excluded.component_name,"
    " position = excluded.position, document = excluded.document"
)


def work_rows(change: OutboxChange | None) -> WorkRows:
    """What a database is to write. In the order of ids: of two writers who change the same work, one then waits for
    the other, and not each for the other."""
    if change is None:
        return ()
    put = {work.id: work for work in change.add}
    rows: list[tuple[str, str | None, int | None, str | None]] = [
        (work.id, work.component_name, work.position, json_text(work.document)) for work in put.values()
    ]
    rows += [(id_, None, None, None) for id_ in set(change.remove) if id_ not in put and is_storable(id_)]
    return sorted(rows, key=itemgetter(0))


def change_outbox(connection: sa.Connection, works: WorkRows) -> None:
    """In the transaction that is open."""
    for row in works:
        values = dict(zip(("id", "component_name", "position", "document"), row, strict=True))
        if row[3] is None:
            connection.execute(sa.text(_DELETE), {"id": row[0]})
        else:
            connection.execute(sa.text(_PUT), values)


def read_outbox(connection: sa.Connection, layout: SqlLayout, component_name: str | None) -> Sequence[StoredWork]:
    """By (position, id), ids by their bytes."""
    # A reader may have opened the store before a writer gave it its outbox.
    if not layout.has_outbox and not (layout.is_ours and sa.inspect(connection).has_table(outbox.name)):
        return ()
    select = sa.select(outbox)
    if component_name is not None:
        if not is_storable(component_name):
            return ()
        select = select.where(outbox.c.component_name == component_name)
    found = [
        StoredWork(
            id=row.id,
            position=row.position,
            component_name=row.component_name,
            document=cast(Mapping[str, object], parse_json(row.document)),
        )
        for row in connection.execute(select)
    ]
    return sorted(found, key=lambda work: (work.position, work.id))
