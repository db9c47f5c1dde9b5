"""Many events at once into a SQLite store of ours.

What the trigger `fsm_events_added` does for one event, for thousands: the same rows, in a fifth of the time. Written
for speed, with the driver's own cursor and tuples; `tests/store/test_sqlite.py` holds it to the trigger.

The trigger itself would look at each event, and make its insert twice as slow even where it then does nothing. So it
is away while many are inserted: within the transaction, where nobody else sees or writes anything, and a transaction
that fails brings it back.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import orjson

from xcstore.store.sql_database import EventRow, ExtraRow, MovedOnError, WorkRows
from xcstore.store.sql_folding import INSTANCE_COLUMNS, take_in
from xcstore.store.sql_tables import EVENT_COLUMNS, HOUR_MS

__all__ = ["add_event", "add_many", "check_last"]

_CHUNK: Final = 500
_TRIGGER: Final = "fsm_events_added"
_MANY: Final = 200
"""Events from which on it is worth to take the trigger away: every other connection then reads the schema again."""
_FIRST_HOUR: Final = -(2**63)
"""The first moment there is lies within an hour that starts before 64 bits do."""

_INSERT_EVENT: Final = (
    f"INSERT INTO fsm_events ({', '.join(EVENT_COLUMNS)}) VALUES ({', '.join('?' * len(EVENT_COLUMNS))})"
)
_INSERT_EXTRA: Final = "INSERT INTO fsm_event_extra (seq, event_id, original, definition_hash) VALUES (?, ?, ?, ?)"
_INSERT_CAUSE: Final = "INSERT INTO fsm_event_causes (cause_id, event_id) VALUES (?, ?)"
_ADD_COUNT: Final = (
    "INSERT INTO fsm_event_counts VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count"
)
_INSTANCE: Final = ", ".join(INSTANCE_COLUMNS)
_READ_INSTANCE: Final = f"SELECT {_INSTANCE} FROM fsm_instances WHERE instance_id"
_UPDATE_INSTANCE: Final = (
    f"UPDATE fsm_instances SET {', '.join(f'{name} = ?' for name in INSTANCE_COLUMNS[1:])} WHERE instance_id = ?"
)
_PUT_INSTANCE: Final = f"INSERT OR REPLACE INTO fsm_instances ({_INSTANCE}) VALUES ({', '.join('?' * 13)})"


def add_many(connection: sqlite3.Connection, rows: Sequence[EventRow], extras: Sequence[ExtraRow]) -> None:
    """Insert events and all that is kept beside them, in the transaction that is open."""
    (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM fsm_event_extra").fetchone()
    connection.executemany(_INSERT_EXTRA, [(seq, *extra) for seq, extra in enumerate(extras, last + 1)])
    with _without_trigger(connection, len(rows)):
        connection.executemany(
            _INSERT_EVENT, [(*row[:9], id_list_text(row[9]), id_list_text(row[10]), row[11], row[12]) for row in rows]
        )
    causes = {(cause, row[0]) for row in rows for cause in row[9] or ()}
    connection.executemany(_INSERT_CAUSE, sorted(causes))
    counts = Counter(map(_counted, rows))
    connection.executemany(_ADD_COUNT, [(*key, count) for key, count in counts.items()])
    instances = _instances(connection, {row[1] for row in rows})
    for seq, row in enumerate(rows, last + 1):
        take_in(instances, row, seq)
    connection.executemany(_PUT_INSTANCE, ((instance_id, *values) for instance_id, values in instances.items()))


_LAST: Final = "SELECT last_event_id, settled FROM fsm_instances WHERE instance_id = ?"
_REMOVE_WORK: Final = "DELETE FROM fsm_outbox WHERE id = ?"
_PUT_WORK: Final = "INSERT OR REPLACE INTO fsm_outbox (id, component_name, position, document) VALUES (?, ?, ?, ?)"


def add_event(connection: sqlite3.Connection, row: EventRow, extra: ExtraRow, works: WorkRows) -> None:
    """Insert one event, all that is kept beside it, and the change of the outbox, in the transaction that is open."""
    execute = connection.execute
    seq = execute(_INSERT_EXTRA, (None, *extra)).lastrowid
    execute(_INSERT_EVENT, (*row[:9], id_list_text(row[9]), id_list_text(row[10]), row[11], row[12]))
    for cause in dict.fromkeys(row[9]):
        execute(_INSERT_CAUSE, (cause, row[0]))
    execute(_ADD_COUNT, (*_counted(row), 1))
    found = execute(f"{_READ_INSTANCE} = ?", (row[1],)).fetchone()
    known = {row[1]: list(found[1:])} if found else {}
    take_in(known, row, seq)
    values = known[row[1]]
    if found:
        execute(_UPDATE_INSTANCE, (*values, row[1]))
    else:
        execute(_PUT_INSTANCE, (row[1], *values))
    for work in works:
        if work[3] is None:
            execute(_REMOVE_WORK, work[:1])
        else:
            execute(_PUT_WORK, work)


def check_last(connection: sqlite3.Connection, instance_id: str, expected: str) -> None:
    """Raise `MovedOnError` where the stream does not end with the event that is expected, or may not."""
    known = connection.execute(_LAST, (instance_id,)).fetchone()
    last, settled = known or ("", True)
    if not settled or last != expected:
        raise MovedOnError(last if settled else None)


def _counted(row: EventRow) -> tuple[object, ...]:
    """The key of `fsm_event_counts`."""
    at = row[8]
    return max(at - at % HOUR_MS, _FIRST_HOUR), row[3], row[2], row[4], row[6], row[7]


def id_list_text(ids: Any) -> str:
    return orjson.dumps(ids).decode() if ids else "[]"


@contextmanager
def _without_trigger(connection: sqlite3.Connection, count: int) -> Iterator[None]:
    if count < _MANY:
        yield
        return
    found = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = ?", (_TRIGGER,))
    sql = found.fetchone()
    if sql is None:
        yield
        return
    connection.execute(f"DROP TRIGGER {_TRIGGER}")
    yield
    connection.execute(sql[0])


def _instances(connection: sqlite3.Connection, ids: Iterable[str]) -> dict[str, list[Any]]:
    found = {}
    wanted = list(ids)
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        marks = ", ".join("?" * len(chunk))
        for row in connection.execute(f"{_READ_INSTANCE} IN ({marks})", chunk):
            found[row[0]] = list(row[1:])
    return found
