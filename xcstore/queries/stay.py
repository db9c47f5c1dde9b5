"""The stay of an instance in its present state: since when, what began it, and when its timers are due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from xcstore.analysis.intervals import state_history
from xcstore.analysis.lifecycle import Move
from xcstore.model.catalog import Catalog
from xcstore.model.history import PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.store.base import EventQuery, InstanceQuery, InstanceSummary, Stores
from xcstore.units import EpochMs

__all__ = ["Stay", "due", "read_stay"]

FEW: Final = 500
"""Newest events of one instance that are read."""
MOST: Final = 5_000
"""So many, where the few do not reach back to the entry into the state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """An instance as it is now."""

    instance: InstanceSummary
    events: Sequence[PersistedEvent] = field(hash=False)
    """The newest ones, in stream order."""
    cut: bool
    """Older events are stored."""
    since: EpochMs
    entered_by: str
    """Id of the event at `since`."""
    entry_read: bool
    """Whether that event is the entry into the state; else the instance had been in it before."""
    last_at: EpochMs
    """The last event of the stay: the entry, or one that led back to the same state."""


def read_stay(stores: Stores, instance_id: str) -> Stay | None:
    """The present stay of an instance; None where no event of it is stored."""
    found = stores.events.instances(InstanceQuery(instance_ids=(instance_id,)), limit=1).items
    if not found:
        return None
    stay = _read(stores, found[0], FEW)
    return _read(stores, found[0], MOST) if stay.cut and not stay.entry_read else stay


def due(stay: Stay, move: Move, catalog: Catalog | None) -> tuple[EpochMs | None, bool]:
    """When the instance's own timer sends the event of a move, and whether it may be due earlier.

    A transition back to the same state starts the timer anew, unless its definition says that it goes on.
    """
    if move.timeout_ms is None:
        return None, False
    item = stay.instance
    machine = catalog.find_machine(item.component_name, item.machine_name) if catalog is not None else None
    goes_on = any(
        t.type == "timeout" and not t.reset_on_transition
        for t in (machine.transitions if machine is not None else ())
        if (t.source, t.event) == (item.state, move.event)
    )
    if goes_on:
        return EpochMs(stay.since + move.timeout_ms), not stay.entry_read
    return EpochMs(stay.last_at + move.timeout_ms), False


def _read(stores: Stores, instance: InstanceSummary, most: int) -> Stay:
    query = EventQuery(instance_ids=(instance.instance_id,))
    page = stores.events.find(query, limit=most, newest_first=True)
    events = order_stream(page.items)
    current = state_history(events).current
    first = next((one for one in events if current is not None and one.id == current.entered_by), None)
    return Stay(
        instance=instance,
        events=events,
        cut=page.next is not None,
        since=current.entered_at if current else instance.updated_at,
        entered_by=current.entered_by if current else instance.last_event_id,
        entry_read=first is not None and first.state_before != first.state_after,
        last_at=current.last_seen_at if current else instance.updated_at,
    )
