"""How events change the row of their instance: what the triggers do in SQL, for those who write many at once.

`tests/store/` holds both to the same rows.
"""

from __future__ import annotations

from typing import Any, Final

from xcstore.store.sql_database import EventRow
from xcstore.store.sql_tables import instances

__all__ = ["INSTANCE_COLUMNS", "take_in"]

INSTANCE_COLUMNS: Final = tuple(column.name for column in instances.c)


def take_in(instances: dict[str, list[Any]], row: EventRow, seq: int | None) -> None:
    """One event more of its instance; `instances` are values of `INSTANCE_COLUMNS` after the id, by id.

    Its `seq` must be greater than those of all events that are there. None: written down later.
    """
    event_id, instance_id, machine, component, event_type, _, before, after, at = row[:9]
    known = instances.get(instance_id)
    if known is None:
        instances[instance_id] = [
            component,
            machine,
            after,
            at,
            at,
            1,
            event_id,
            event_type,
            seq,
            1,
            before == "",
            True,
        ]
        return
    _, _, state, created_at, updated_at, count, _, _, _, size, chained, settled = known
    if at < updated_at:
        known[3] = min(created_at, at)
        known[5] = count + 1
        known[10] = False
        known[11] = size == 1
        return
    goes_on = bool(settled and state == before)
    if at > updated_at:
        size, chained, settled = 0, goes_on, True
    else:
        settled = goes_on and bool(chained)
    known[:] = (component, machine, after, created_at, at, count + 1, event_id, event_type, seq)
    known += (size + 1, chained, settled)
