"""Many events at once into a PostgreSQL store of ours.

What the trigger `fsm_events_added` does for other writers, by a COPY for each table; the trigger stays away, see
`sql_tables`. The rows of all instances are made or locked first, in one order, as the trigger locks them: of two who
write the same instances one waits for the other, and not each for the other. And since nobody else is let in from then
on, the events have greater numbers than all that came before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import psycopg

from xcstore.store.sql_database import EventRow, ExtraRow
from xcstore.store.sql_folding import INSTANCE_COLUMNS, take_in
from xcstore.store.sql_tables import EVENT_COLUMNS, instances

__all__ = ["add_many", "array_text"]

_BYTES: Final = 1 << 18
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

_COLUMNS: Final = ", ".join(INSTANCE_COLUMNS)
_COUNT: Final = INSTANCE_COLUMNS.index("event_count")
_ARRAYS: Final = {str: "%s::varchar[]", int: "%s::bigint[]", bool: "%s::boolean[]"}
_SEQ: Final = "coalesce(new.last_seq, (SELECT seq FROM fsm_event_extra WHERE event_id = new.last_event_id))"
_LOCK: Final = f"""
INSERT INTO fsm_instances ({_COLUMNS})
  SELECT id, '', '', '', 0, 0, 0, '', '', 0, 0, false, false FROM unnest(%s::varchar[]) AS id ORDER BY id
  ON CONFLICT (instance_id) DO UPDATE SET event_count = fsm_instances.event_count
  RETURNING {_COLUMNS}"""
_PUT: Final = f"""
UPDATE fsm_instances SET ({", ".join(INSTANCE_COLUMNS[1:])})
    = ({", ".join(_SEQ if name == "last_seq" else f"new.{name}" for name in INSTANCE_COLUMNS[1:])})
  FROM unnest({", ".join(_ARRAYS[column.type.python_type] for column in instances.c)}) AS new ({_COLUMNS})
  WHERE fsm_instances.instance_id = new.instance_id"""


def add_many(connection: psycopg.Connection[Any], rows: Sequence[EventRow], extras: Sequence[ExtraRow]) -> None:
    """Insert events and all that is kept beside them, in the transaction that is open."""
    connection.execute("SELECT set_config('xcstore.writer', 'ours', true)")
    ids = list({row[1] for row in rows})
    found = connection.execute(_LOCK.encode(), [ids])
    known = {row[0]: list(row[1:]) for row in found if row[_COUNT] > 0}
    for row in rows:
        take_in(known, row, None)
    _copy(connection, "COPY fsm_event_extra (event_id, original, definition_hash) FROM STDIN", extras)
    _copy(connection, f"COPY fsm_events ({', '.join(EVENT_COLUMNS)}) FROM STDIN", rows)
    causes = {(cause, row[0]) for row in rows for cause in row[9]}
    if causes:
        _copy(connection, "COPY fsm_event_causes (cause_id, event_id) FROM STDIN", causes)
    columns = zip(*((instance_id, *values) for instance_id, values in known.items()), strict=True)
    connection.execute(_PUT.encode(), [list(column) for column in columns])


def _copy(connection: psycopg.Connection[Any], statement: str, rows: Iterable[Sequence[object]]) -> None:
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        lines: list[str] = []
        size = 0
        for row in rows:
            line = "\t".join([_copy_text(value) for value in row])
            lines.append(line)
            size += len(line)
            if size > _BYTES:
                copy.write("\n".join(lines) + "\n")
                lines, size = [], 0
        if lines:
            copy.write("\n".join(lines) + "\n")


def _copy_text(value: Any) -> str:
    """A value in the text form of COPY."""
    if isinstance(value, str):
        # Most texts have nothing to escape; a look for each character is faster than a translation.
        if "\\" in value or "\n" in value or "\t" in value or "\r" in value:
            return value.translate(_ESCAPES)
        return value
    if value is None:
        return "\\N"
    if not isinstance(value, list):
        return str(value)
    return array_text(value).translate(_ESCAPES)


def array_text(values: Sequence[str | int | None]) -> str:
    """An array as PostgreSQL spells it."""
    return "{" + ",".join([_element_text(value) for value in values]) + "}" if values else "{}"


def _element_text(value: str | int | None) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
