"""Writing events into a SQL store of ours. The rows beside them that triggers keep are not our business here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import sqlalchemy as sa

from xcstore.errors import ConcurrencyError, DuplicateEventError
from xcstore.model.history import PersistedEvent
from xcstore.store.base import OutboxChange
from xcstore.store.codec import check_writable, check_writable_outbox, event_extra_text, event_to_documented_row
from xcstore.store.sql_database import MovedOnError, SqlDatabase
from xcstore.store.sql_instances import last_event_id
from xcstore.store.sql_layout import SqlLayout, is_storable
from xcstore.store.sql_outbox import work_rows
from xcstore.store.sql_tables import event_extra, events, instances

__all__ = ["append", "append_many"]

_BATCH: Final = 5_000


def append(
    database: SqlDatabase,
    layout: SqlLayout,
    event: PersistedEvent,
    expected_last_id: str | None,
    outbox: OutboxChange | None,
) -> None:
    check_writable(event)
    if outbox is not None:
        check_writable_outbox(outbox)
    row = tuple(event_to_documented_row(event).values())
    extra = (event.id, event_extra_text(event), event.definition_hash)
    works = work_rows(outbox)

    def work(connection: sa.Connection) -> None:
        """Where the database cannot tell what the stream ends with: its last moment must be put in order."""
        mine = instances.c.instance_id == event.instance_id
        connection.execute(sa.select(instances.c.instance_id).where(mine).with_for_update())
        last = last_event_id(connection, layout, event.instance_id)
        if last != expected_last_id:
            raise MovedOnError(last)
        database.add_event(connection, row, extra, works)

    try:
        if expected_last_id is not None and not is_storable(expected_last_id):
            database.write(work)  # no event has this id; a database would cut it, or refuse to be asked
            return
        try:
            database.add_event_alone(row, extra, works, expected_last_id)
        except MovedOnError as moved:
            if moved.last is not None:
                raise
            database.write(work)
    except MovedOnError as moved:
        raise ConcurrencyError(
            f"instance {event.instance_id!r} ends with event {moved.last!r}, not {expected_last_id!r}; "
            "read it again, then append"
        ) from None
    except sa.exc.IntegrityError as error:
        raise DuplicateEventError(event.id) from error


def append_many(database: SqlDatabase, given: Iterable[PersistedEvent]) -> int:
    """All in one transaction, a batch at a time, so that little is held in memory."""
    batch: list[PersistedEvent] = []

    def work(connection: sa.Connection) -> int:
        nonlocal batch
        seen: set[str] = set()
        remaining = _checked(given, seen)
        while batch := list(islice(remaining, _BATCH)):
            database.add_many(
                connection,
                [tuple(event_to_documented_row(event).values()) for event in batch],
                [(event.id, event_extra_text(event), event.definition_hash) for event in batch],
            )
        return len(seen)

    try:
        return database.write(work)
    except sa.exc.IntegrityError as error:
        raise DuplicateEventError(_present(database, batch)) from error


def _checked(given: Iterable[PersistedEvent], seen: set[str]) -> Iterator[PersistedEvent]:
    for event in given:
        check_writable(event)
        if event.id in seen:
            raise DuplicateEventError(event.id)
        seen.add(event.id)
        yield event


def _present(database: SqlDatabase, batch: list[PersistedEvent]) -> str:
    """The first of the batch that is stored."""

    def present(connection: sa.Connection) -> set[str]:
        found: set[str] = set()
        for start in range(0, len(batch), 1_000):
            ids = [event.id for event in batch[start : start + 1_000]]
            for column in (events.c.id, event_extra.c.event_id):
                found.update(connection.execute(sa.select(column).where(column.in_(ids))).scalars())
        return found

    stored = database.read(present)
    return next((event.id for event in batch if event.id in stored), batch[0].id)
