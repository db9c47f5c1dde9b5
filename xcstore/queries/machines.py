"""What the events say about one machine: counts by transition, instances by state, a sample for durations."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from xcstore.analysis.intervals import dwell
from xcstore.store.base import EventQuery, InstanceQuery, StateCount, Stores

__all__ = ["MachineFacts", "Sample", "Stays", "latest_streams", "machine_facts", "stays_of"]

SAMPLE_INSTANCES = 500
"""Most instances that durations are taken from: the latest ones."""
SAMPLE_EVENTS = 20_000
"""Most events of theirs that are read."""
SMALL_SAMPLE = 300
"""For what is told of many machines at once, or in passing."""

COLUMNS = ("id", "instance_id", "component_name", "machine_name", "state_before", "state_after", "persisted_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Streams of the latest instances of a machine.

    Taken by instance, not by time: reading the newest events of one machine makes a database sort all of them.
    """

    events: pd.DataFrame = field(hash=False, compare=False)
    """With the columns that `analysis.intervals.dwell` takes."""
    instances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """One machine as its events tell it."""

    component: str
    machine: str
    transitions: tuple[tuple[tuple[str, str, str], int], ...] = ()
    """((state before, event type, state after), count): exact."""
    states: tuple[StateCount, ...] = ()
    """Instances by current state: exact."""
    sample: Sample

    @property
    def event_count(self) -> int:
        return sum(count for _, count in self.transitions)

    @property
    def instance_count(self) -> int:
        return sum(row.count for row in self.states)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stays:
    """How long instances of a machine stayed in each state, lately."""

    table: pd.DataFrame = field(hash=False, compare=False)
    """As `analysis.intervals.dwell` gives it."""
    instances: int
    """The latest ones, that it was measured on."""


def machine_facts(stores: Stores, component: str, machine: str, *, sample: int = SAMPLE_INSTANCES) -> MachineFacts:
    """Counts of one machine, and the streams of its latest `sample` instances. Empty for a machine without events."""
    query = EventQuery(components=(component,), machines=(machine,))
    counts = stores.events.count(query, by=("state_before", "event_type", "state_after"))
    return MachineFacts(
        component=component,
        machine=machine,
        transitions=tuple(((row.key[0], row.key[1], row.key[2]), row.count) for row in counts),
        states=tuple(stores.events.count_instances(InstanceQuery(components=(component,), machines=(machine,)))),
        sample=latest_streams(stores, component, machine, sample),
    )


def stays_of(stores: Stores, component: str, machine: str, *, sample: int = SMALL_SAMPLE) -> Stays:
    """Completed stays of the latest `sample` instances of a machine."""
    found = latest_streams(stores, component, machine, sample)
    return Stays(table=dwell(found.events), instances=found.instances)


def latest_streams(stores: Stores, component: str, machine: str, instances: int = SMALL_SAMPLE) -> Sample:
    """Streams of the latest `instances` of a machine, the latest `SAMPLE_EVENTS` events of them."""
    query = InstanceQuery(components=(component,), machines=(machine,))
    ids = tuple(item.instance_id for item in stores.events.instances(query, limit=instances).items)
    if not ids:
        return Sample(events=pd.DataFrame(columns=pd.Index([*COLUMNS[:-1], "persisted_at_ms"])), instances=0)
    table = stores.events.to_arrow(
        EventQuery(instance_ids=ids), columns=COLUMNS, limit=SAMPLE_EVENTS, newest_first=True
    )
    frame: pd.DataFrame = table.to_pandas()
    # An instance may have been written by several components or machines; this one is asked about.
    frame = frame[(frame["component_name"] == component) & (frame["machine_name"] == machine)]
    return Sample(events=frame.rename(columns={"persisted_at": "persisted_at_ms"}), instances=len(ids))
