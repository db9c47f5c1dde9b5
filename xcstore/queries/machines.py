"""What the events say about one machine: counts by transition, instances by state, a sample for durations."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from xcstore.analysis.intervals import dwell
from xcstore.store.base import EventQuery, InstanceQuery, StateCount, Stores

__all__ = ["SAMPLE", "MachineFacts", "MachineName", "Stays", "machine_facts", "machine_names", "stays_of"]

SAMPLE = 20_000
"""Most events that durations are taken from: the newest ones."""

SMALL_SAMPLE = 3_000
"""For what is told in passing."""

COLUMNS = ("id", "instance_id", "component_name", "machine_name", "state_before", "state_after", "persisted_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineName:
    """A machine that events speak of, and how many there are."""

    component: str
    machine: str
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """One machine as its events tell it."""

    component: str
    machine: str
    transitions: tuple[tuple[tuple[str, str, str], int], ...] = ()
    """((state before, event type, state after), count): exact."""
    states: tuple[StateCount, ...] = ()
    """Instances by current state: exact."""
    sample: pd.DataFrame = field(default_factory=pd.DataFrame, hash=False, compare=False)
    """The newest events, with the columns that `analysis.intervals.dwell` takes."""

    @property
    def event_count(self) -> int:
        return sum(count for _, count in self.transitions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stays:
    """How long instances of a machine stayed in each state, lately."""

    table: pd.DataFrame = field(hash=False, compare=False)
    """As `analysis.intervals.dwell` gives it."""
    sampled: int
    """Newest events that it was measured on."""


def stays_of(stores: Stores, component: str, machine: str, *, sample: int = SMALL_SAMPLE) -> Stays:
    """Completed stays among the newest `sample` events of a machine."""
    frame = _newest(stores, EventQuery(components=(component,), machines=(machine,)), sample)
    return Stays(table=dwell(frame), sampled=len(frame))


def machine_names(stores: Stores) -> tuple[MachineName, ...]:
    """Machines with events, by component and name."""
    counts = stores.events.count(EventQuery(), by=("component_name", "machine_name"))
    return tuple(MachineName(component=row.key[0], machine=row.key[1], events=row.count) for row in counts)


def machine_facts(stores: Stores, component: str, machine: str, *, sample: int = SAMPLE) -> MachineFacts:
    """Counts of one machine, and its newest `sample` events. A machine without events gives empty facts."""
    query = EventQuery(components=(component,), machines=(machine,))
    counts = stores.events.count(query, by=("state_before", "event_type", "state_after"))
    return MachineFacts(
        component=component,
        machine=machine,
        transitions=tuple(((row.key[0], row.key[1], row.key[2]), row.count) for row in counts),
        states=tuple(stores.events.count_instances(InstanceQuery(components=(component,), machines=(machine,)))),
        sample=_newest(stores, query, sample),
    )


def _newest(stores: Stores, query: EventQuery, limit: int) -> pd.DataFrame:
    table = stores.events.to_arrow(query, columns=COLUMNS, limit=limit, newest_first=True)
    frame: pd.DataFrame = table.to_pandas()
    return frame.rename(columns={"persisted_at": "persisted_at_ms"})
