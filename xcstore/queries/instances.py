"""Which instances there are, and everything that is stored about one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from xcstore.errors import NotFoundError
from xcstore.model.history import CREATION, InstanceSnapshot, PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.queries.keys import business_keys
from xcstore.store.base import (
    Cursor,
    EventQuery,
    InstanceQuery,
    InstanceSummary,
    StateCount,
    Stores,
)
from xcstore.units import EpochMs

__all__ = [
    "MAX_CHILDREN",
    "MAX_EVENTS",
    "Children",
    "InstanceHistory",
    "InstancePage",
    "children",
    "instance_counts",
    "instance_history",
    "instance_page",
    "leaving",
    "newest",
    "set_in_motion",
]

MAX_EVENTS = 5_000
"""Most events of one instance that are loaded at a time."""

MAX_CHILDREN = 50
MAX_READS = 20
MAX_EFFECTS = 100
"""Events that are followed from the one that began the present stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstancePage:
    """One page of instances, with what their snapshots say."""

    instances: tuple[InstanceSummary, ...]
    next: Cursor | None
    snapshots: Mapping[str, InstanceSnapshot] = field(hash=False)
    keys: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Business keys by instance id, of those that have one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceHistory:
    """One instance: its newest events in stream order, and its snapshots."""

    summary: InstanceSummary
    events: tuple[PersistedEvent, ...]
    snapshots: tuple[InstanceSnapshot, ...] = ()
    """Oldest first."""

    @property
    def older(self) -> int:
        """How many events are stored but not loaded."""
        return max(0, self.summary.event_count - len(self.events))


@dataclass(frozen=True, slots=True, kw_only=True)
class Children:
    """Creations that name the instance as their parent."""

    events: tuple[PersistedEvent, ...] = ()
    more: bool = False


def instance_page(
    stores: Stores,
    query: InstanceQuery,
    *,
    only: tuple[tuple[str, str, str], ...] | None = None,
    after: Cursor | None = None,
    limit: int = 100,
) -> InstancePage:
    """A page of instances, latest first, with the latest snapshot of each.

    `only` are the (component, machine, state) to keep, as a query cannot tie a state to a machine. What is left out
    is made up for by reading on, for at most `MAX_READS` reads, so a page may hold fewer than `limit`, or up to
    twice as many.
    """
    wanted = None if only is None else frozenset(only)
    kept: list[InstanceSummary] = []
    following = after
    for _ in range(0 if wanted == frozenset() else MAX_READS):
        page = stores.events.instances(query, after=following, limit=limit)
        following = page.next
        kept += [
            item
            for item in page.items
            if wanted is None or (item.component_name, item.machine_name, item.state) in wanted
        ]
        if following is None or len(kept) >= limit or wanted is None:
            break
    ids = [item.instance_id for item in kept]
    return InstancePage(
        instances=tuple(kept),
        next=following if wanted != frozenset() else None,
        snapshots=stores.snapshots.get_snapshots(ids),
        keys=business_keys(stores, ids),
    )


def instance_counts(stores: Stores, query: InstanceQuery) -> tuple[StateCount, ...]:
    """Instances by component, machine and current state."""
    return tuple(stores.events.count_instances(query))


def instance_history(stores: Stores, instance_id: str, *, max_events: int = MAX_EVENTS) -> InstanceHistory:
    """One instance with its newest `max_events` events.

    Raises
    ------
    NotFoundError
        No event of that instance is stored.
    """
    found = stores.events.instances(InstanceQuery(instance_ids=(instance_id,)), limit=1).items
    if not found:
        raise NotFoundError(
            f"no instance {instance_id!r} in this store; it holds no event of it. "
            "Check the id, the chosen store, or search for it."
        )
    summary = found[0]
    newest = stores.events.find(EventQuery(instance_ids=(instance_id,)), limit=max_events, newest_first=True)
    return InstanceHistory(
        summary=summary,
        events=tuple(order_stream(newest.items)),
        snapshots=tuple(stores.snapshots.list_snapshots(instance_id)),
    )


def newest(stores: Stores) -> EpochMs | None:
    """When the last event of the store was stored: up to then its histories are known. None when it is empty."""
    known = stores.events.time_range()
    return known[1] if known else None


def leaving(stores: Stores, component: str, machine: str, state: str) -> tuple[tuple[tuple[str, str, str], int], ...]:
    """What left a state, over all instances of the machine.

    Rows are ((state before, event type, state after), count), as `lifecycle.observed_machine` takes them.
    """
    query = EventQuery(components=(component,), machines=(machine,), states_before=(state,))
    return tuple(
        ((count.key[0], count.key[1], count.key[2]), count.count)
        for count in stores.events.count(query, by=("state_before", "event_type", "state_after"))
    )


def set_in_motion(stores: Stores, instance_id: str, event_id: str) -> tuple[InstanceSummary, ...]:
    """Other instances that the event's effects belong to, as recorded links tell, as they are now; latest first."""
    trace = stores.events.trace(event_id, "effects", MAX_EFFECTS)
    others = tuple(dict.fromkeys(event.instance_id for event in trace.events if event.instance_id != instance_id))
    if not others:
        return ()
    return stores.events.instances(InstanceQuery(instance_ids=others), limit=MAX_EFFECTS).items


def children(stores: Stores, instance_id: str, since: EpochMs) -> Children:
    """Instances that this one created, as far as their creation says so.

    Only creations from `since` on are looked at, and at most `MAX_CHILDREN` come back.
    """
    query = EventQuery(
        event_types=(CREATION,),
        start=since,
        payload_path=("parentInstanceId",),
        payload_value=instance_id,
    )
    page = stores.events.find(query, limit=MAX_CHILDREN)
    return Children(events=page.items, more=page.next is not None)
