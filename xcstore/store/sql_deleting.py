"""Removing events from a SQL store, for retention: of ours, and of other writers that were opened for writing.

Nothing but rows of `fsm_events` and of the tables that triggers keep is touched, and nothing is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import sqlalchemy as sa

from xcstore.errors import ReadOnlyStoreError
from xcstore.store.sql_database import SqlDatabase
from xcstore.store.sql_layout import SqlLayout
from xcstore.store.sql_tables import event_extra, events, instances

__all__ = ["delete_events", "refuse_reading"]

_CHUNK: Final = {"sqlite": 500}
_CHUNK_OF_OTHERS: Final = 5_000
"""PostgreSQL works out the instances anew after each statement, so statements are large there."""

_FIRST, _LAST = -(2**63), 2**63 - 1


def refuse_reading(database: SqlDatabase) -> None:
    """Only what was opened for writing is deleted from, whoever it belongs to."""
    if database.read_only:
        raise ReadOnlyStoreError(f"{database.identity} was opened for reading; open it with read_only=False to write")


def delete_events(database: SqlDatabase, layout: SqlLayout, event_ids: Iterable[str]) -> int:
    """Remove these events in one transaction; returns how many there were."""
    refuse_reading(database)
    # In one order: of two who delete the same events, one then waits for the other, and not each for the other.
    known = sorted(layout.ids(dict.fromkeys(event_ids)))
    if not known:
        return 0
    column = layout.columns["id"]
    chunks = list(_chunks(known, _CHUNK.get(layout.dialect, _CHUNK_OF_OTHERS)))

    def work(connection: sa.Connection) -> int:
        database.lock(connection, "delete")
        touched = _open_ends(connection, chunks) if layout.is_ours and layout.dialect == "sqlite" else ()
        deleted = sum(
            connection.execute(sa.delete(layout.events).where(column.in_(chunk))).rowcount for chunk in chunks
        )
        for chunk in _chunks(list(touched), _CHUNK["sqlite"]):
            connection.execute(_fold_again(chunk))
        return deleted

    return database.write(work)


def _open_ends(connection: sa.Connection, chunks: Sequence[Sequence[str]]) -> dict[str, None]:
    """The instances that these events are of, so marked that no event is their first or last.

    The trigger looks for the new first or last event of the instance each time that one is deleted, which takes as
    long as there are others. Within the transaction nobody sees the mark; `_fold_again` then looks once.
    """
    touched: dict[str, None] = {}
    for chunk in chunks:
        select = sa.select(events.c.instance_id).where(events.c.id.in_(chunk)).distinct()
        touched.update(dict.fromkeys(connection.execute(select).scalars()))
    for ids in _chunks(list(touched), _CHUNK["sqlite"]):
        marked = instances.c.instance_id.in_(ids)
        connection.execute(sa.update(instances).where(marked).values(created_at=_FIRST, updated_at=_LAST))
    return touched


def _fold_again(instance_ids: Sequence[str]) -> sa.Update:
    """Instances as their events tell them, by time and insertion: what is not in order is worked out when it is read.

    As the trigger of PostgreSQL does it.
    """
    at, moment = events.c.persisted_at, (events.c.instance_id, events.c.persisted_at)
    ranked = (
        sa.select(
            events.c.instance_id,
            events.c.component_name,
            events.c.machine_name,
            events.c.state_after.label("state"),
            sa.func.min(at).over(partition_by=events.c.instance_id).label("created_at"),
            at.label("updated_at"),
            sa.func.count().over(partition_by=events.c.instance_id).label("event_count"),
            events.c.id.label("last_event_id"),
            events.c.event_type.label("last_event_type"),
            event_extra.c.seq.label("last_seq"),
            sa.func.count().over(partition_by=moment).label("moment_size"),
            sa.func.row_number()
            .over(partition_by=events.c.instance_id, order_by=(at.desc(), event_extra.c.seq.desc()))
            .label("place"),
        )
        .join(event_extra, event_extra.c.event_id == events.c.id)
        .where(events.c.instance_id.in_(instance_ids))
        .subquery()
    )
    last = sa.select(ranked).where(ranked.c.place == 1).subquery()
    told = [name for name in instances.c.keys() if name not in ("instance_id", "chained", "settled")]  # noqa: SIM118
    return (
        sa.update(instances)
        .where(instances.c.instance_id == last.c.instance_id)
        .values({name: last.c[name] for name in told})
        .values(chained=False, settled=last.c.moment_size == 1)
    )


def _chunks(values: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
