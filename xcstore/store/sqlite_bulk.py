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

from xcstore.store.sql_database import EventRow, ExtraRow
from xcstore.store.sql_tables import EVENT_COLUMNS, HOUR_MS

__all__ = ["add_many", "id_list_text"]

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
_INSTANCE: Final = (
    "instance_id, component_name, machine_name, state, created_at, updated_at, event_count, last_event_id,"
    " last_event_type, last_seq, moment_size, chained, settled"
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
    counts = Counter(
        (max(row[8] - row[8] % HOUR_MS, _FIRST_HOUR), row[3], row[2], row[4], row[6], row[7]) for row in rows
    )
    connection.executemany(_ADD_COUNT, [(*key, count) for key, count in counts.items()])
    instances = _instances(connection, {row[1] for row in rows})
    for seq, row in enumerate(rows, last + 1):
        _take_in(instances, row, seq)
    connection.executemany(_PUT_INSTANCE, ((instance_id, *values) for instance_id, values in instances.items()))


def id_list_text(ids: Any) -> str:
    return orjson.dumps(ids).decode() if ids else "[]"


@contextmanager
def _without_trigger(connection: sqlite3.Connection, count: int) -> Iterator[None]:
    found = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = ?", (_TRIGGER,))
    sql = found.fetchone()
    if count < _MANY or sql is None:
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
        for row in connection.execute(f"SELECT {_INSTANCE} FROM fsm_instances WHERE instance_id IN ({marks})", chunk):
            found[row[0]] = list(row[1:])
    return found


def _take_in(instances: dict[str, list[Any]], row: EventRow, seq: int) -> None:
    """One event more of its instance, as the trigger does it."""
    event_id, instance_id, machine, component, event_type, _, before, after, at = row[:9]
    known = instances.get(instance_id)
    if known is None:
        instances[instance_id] = [component, machine, after, at, at, 1, event_id, event_type, seq, 1, before == "", 1]
        return
    _, _, state, created_at, updated_at, count, _, _, _, size, chained, settled = known
    if at > updated_at:
        known[:] = (
            component,
            machine,
            after,
            created_at,
            at,
            count + 1,
            event_id,
            event_type,
            seq,
            1,
            state == before,
            1,
        )
    elif at == updated_at:
        goes_on = bool(settled and chained and state == before)
        known[:] = (
            *(component, machine, after, created_at, at, count + 1, event_id, event_type, seq),
            *(size + 1, chained, goes_on),
        )
    else:
        known[3] = min(created_at, at)
        known[5] = count + 1
        known[10] = False
        known[11] = size == 1
