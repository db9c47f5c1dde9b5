"""Writing events into a SQL store of ours. The rows beside them that triggers keep are not our business here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import sqlalchemy as sa

from xcstore.errors import ConcurrencyError, DuplicateEventError
from xcstore.model.history import PersistedEvent
from xcstore.store.codec import check_writable, event_extra_text, event_to_documented_row
from xcstore.store.sql_database import SqlDatabase
from xcstore.store.sql_instances import last_event_id
from xcstore.store.sql_layout import SqlLayout
from xcstore.store.sql_tables import event_extra, events

__all__ = ["append", "append_many"]

_BATCH: Final = 20_000


def append(database: SqlDatabase, layout: SqlLayout, event: PersistedEvent, expected_last_id: str | None) -> None:
    check_writable(event)
    row = event_to_documented_row(event)
    extra = {"event_id": event.id, "original": event_extra_text(event), "definition_hash": event.definition_hash}

    def work(connection: sa.Connection) -> None:
        database.lock_instance(connection, event.instance_id)
        last = last_event_id(connection, layout, event.instance_id)
        if last != expected_last_id:
            raise ConcurrencyError(
                f"instance {event.instance_id!r} ends with event {last!r}, not {expected_last_id!r}; "
                "read it again, then append"
            )
        database.add_event(connection, row, extra)

    try:
        if expected_last_id is None:
            database.add_event_alone(row, extra)
        else:
            database.write(work)
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
