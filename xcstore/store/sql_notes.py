"""Notes about a SQL store of ours, such as of what was removed from it: short JSON texts by id.

The table is made with the first note, as most stores never have one. Stores of other writers get none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from xcstore.store.sql_database import SqlDatabase

__all__ = ["get_notes", "put_note"]

_metadata: Final = sa.MetaData()
_notes: Final = sa.Table(
    "fsm_notes",
    _metadata,
    sa.Column("id", sa.String(50), primary_key=True, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)


def put_note(database: SqlDatabase, note_id: str, text: str) -> None:
    """Add a note, or replace the one of this id."""

    def work(connection: sa.Connection) -> None:
        database.lock(connection, "notes")
        _notes.create(connection, checkfirst=True)
        connection.execute(_notes.delete().where(_notes.c.id == note_id))
        connection.execute(_notes.insert(), {"id": note_id, "document": text})

    database.write(work)


def get_notes(database: SqlDatabase) -> Sequence[str]:
    """All, by id."""

    def work(connection: sa.Connection) -> Sequence[str]:
        if not sa.inspect(connection).has_table(_notes.name):
            return ()
        return connection.execute(sa.select(_notes.c.document).order_by(_notes.c.id)).scalars().all()

    return database.read(work)
