"""How far snapshots lag behind, and how often they should be taken."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from xcstore.model.catalog import Catalog
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.ops.health_measures import Flows
from xcstore.store.base import InstanceQuery, InstanceSummary, StateCount, Stores
from xcstore.units import DAY, HOUR, DurationMs

__all__ = [
    "HIGH_RATE",
    "LONG_RUNNING_MS",
    "InstanceLag",
    "MachineAdvice",
    "SnapshotLag",
    "advise",
    "ended_states",
    "machine_advice",
    "snapshot_lag",
]

HIGH_RATE: Final = 60.0
"""Transitions of one instance in an hour from which they count as frequent: one a minute."""
LONG_RUNNING_MS: Final = DAY
"""From its first to its last event, half of the instances of a long-running workflow take at least this."""

INSTANCES: Final = 200
"""Newest live instances that are looked at."""
STREAM: Final = 2_000
STREAMS: Final = 10_000
"""Events of one, and of all instances together, that are read to count a lag."""
MACHINES: Final = 20
OF_A_MACHINE: Final = 100

State = tuple[str, str, str]
"""(component, machine, state)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceLag:
    """A live instance and its latest snapshot."""

    instance_id: str
    component_name: str
    machine_name: str
    state: str
    events: int
    """How many it has."""
    behind: int | None
    """Events after the snapshot; all of them where there is none; None where they were too many to count."""
    has_snapshot: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotLag:
    """The newest live instances against their snapshots, and how many live instances there are."""

    live: int
    snapshots: int
    """Snapshots stored, of instances that have ended too."""
    instances: tuple[InstanceLag, ...]
    """Those looked at, the largest lag first."""

    @property
    def without(self) -> int:
        """Of those looked at, how many have no snapshot."""
        return sum(not item.has_snapshot for item in self.instances)

    @property
    def worst(self) -> int:
        """The largest lag that was counted, of those that have a snapshot."""
        return max((item.behind or 0 for item in self.instances if item.has_snapshot), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineAdvice:
    """How often to take snapshots of one machine's instances, and the numbers that says so."""

    component_name: str
    machine_name: str
    looked_at: int
    instances: int
    per_hour: float | None
    """Transitions of one instance in an hour of its life; None where none moved, or no time passed in any."""
    median_ms: DurationMs
    """From the first to the last event of an instance."""
    median_transitions: float
    """Of an instance so far. With fewer than the interval, its end alone makes a snapshot."""
    frequency: Literal["low", "high"] | None
    """None, as the next two, where nothing moved: nothing is known."""
    is_long_running: bool | None
    interval: int | None
    """Transitions from one snapshot to the next."""


def ended_states(catalog: Catalog) -> tuple[State, ...]:
    """The final and error states of the definitions, as `snapshot_lag` wants them."""
    return tuple(
        (component.name, machine.name, state.name)
        for component in catalog
        for machine in component.machines
        for state in machine.states
        if state.is_terminal
    )


def snapshot_lag(
    stores: Stores, counts: Sequence[StateCount], flows: Flows, ended: Collection[State] = ()
) -> SnapshotLag:
    """How far the snapshots of the newest live instances are behind their events.

    Live is what is in a state that does not end it: by the definitions (`ended`), or, where these do not know the
    machine, a state that others were seen to leave. An instance in any other state may have ended.
    """
    live = _live(counts, flows, ended)
    names = tuple(dict.fromkeys(state for _, _, state in live))
    page = stores.events.instances(InstanceQuery(states=names), limit=INSTANCES).items if names else ()
    found = [item for item in page if (item.component_name, item.machine_name, item.state) in live]
    snapshots = stores.snapshots.get_snapshots([item.instance_id for item in found])
    streams = stores.events.get_streams(_to_read(found, snapshots))
    lags = [_lag(item, snapshots.get(item.instance_id), streams.get(item.instance_id)) for item in found]
    lags.sort(key=lambda item: (item.has_snapshot, -(math.inf if item.behind is None else item.behind)))
    return SnapshotLag(live=sum(live.values()), snapshots=stores.snapshots.count(), instances=tuple(lags))


def advise(per_hour: float, median_ms: float) -> tuple[Literal["low", "high"], bool, int]:
    """(frequency, whether long-running, interval) by the rule of the specification.

    "Low-frequency transitions: lower interval (10-20). High-frequency transitions: higher interval (50-100).
    Long-running workflows: lower interval for faster recovery." So the frequency of transitions chooses the range,
    and the length of the workflow the end of it.

    Parameters
    ----------
    per_hour : float
        Transitions of one instance in an hour; from `HIGH_RATE` on they are frequent.
    median_ms : float
        How long an instance takes; from `LONG_RUNNING_MS` on it is long-running.

    Examples
    --------
    >>> advise(2, 3_600_000), advise(2, 3 * 86_400_000)
    (('low', False, 20), ('low', True, 10))
    >>> advise(600, 60_000), advise(600, 3 * 86_400_000)
    (('high', False, 100), ('high', True, 50))
    """
    is_long = median_ms >= LONG_RUNNING_MS
    if per_hour >= HIGH_RATE:
        return "high", is_long, 50 if is_long else 100
    return "low", is_long, 10 if is_long else 20


def machine_advice(stores: Stores, counts: Sequence[StateCount]) -> tuple[MachineAdvice, ...]:
    """Advice for the machines with most instances, from the newest 100 instances of each."""
    totals: dict[tuple[str, str], int] = {}
    for row in counts:
        key = row.component_name, row.machine_name
        totals[key] = totals.get(key, 0) + row.count
    fullest = sorted(totals, key=lambda key: (-totals[key], key))[:MACHINES]
    return tuple(_advice(stores, component, machine, totals[component, machine]) for component, machine in fullest)


def _advice(stores: Stores, component: str, machine: str, instances: int) -> MachineAdvice:
    query = InstanceQuery(components=(component,), machines=(machine,))
    found = stores.events.instances(query, limit=OF_A_MACHINE).items
    lives = [item.updated_at - item.created_at for item in found]
    hours = sum(lives) / HOUR
    # Its creation is no transition.
    transitions = [max(0, item.event_count - 1) for item in found]
    per_hour = sum(transitions) / hours if hours > 0 and any(transitions) else None
    median_ms = statistics.median(lives) if lives else 0
    frequency, is_long, interval = (None, None, None) if per_hour is None else advise(per_hour, median_ms)
    return MachineAdvice(
        component_name=component,
        machine_name=machine,
        looked_at=len(found),
        instances=instances,
        per_hour=per_hour,
        median_ms=DurationMs(round(median_ms)),
        median_transitions=statistics.median(transitions) if transitions else 0.0,
        frequency=frequency,
        is_long_running=is_long,
        interval=interval,
    )


def _live(counts: Sequence[StateCount], flows: Flows, ended: Collection[State]) -> dict[State, int]:
    """Instances by state, of the states that do not end them."""
    ends = frozenset(ended)
    declared = {(component, machine) for component, machine, _ in ends}
    left = {
        (component, machine, before)
        for component, machine, before, _, after in (flow.key for flow in flows)
        if before != after
    }
    live: dict[State, int] = {}
    for row in counts:
        state = row.component_name, row.machine_name, row.state
        if state not in ends and (state in left or state[:2] in declared):
            live[state] = row.count
    return live


def _to_read(found: Sequence[InstanceSummary], snapshots: Mapping[str, InstanceSnapshot]) -> list[str]:
    """Instances whose events have to be read to know their lag, as far as they are not too many."""
    wanted: list[str] = []
    events = 0
    for item in found:
        snapshot = snapshots.get(item.instance_id)
        if snapshot is None or snapshot.last_event_id == item.last_event_id or item.event_count > STREAM:
            continue
        events += item.event_count
        if events > STREAMS:
            break
        wanted.append(item.instance_id)
    return wanted


def _lag(
    item: InstanceSummary, snapshot: InstanceSnapshot | None, stream: Sequence[PersistedEvent] | None
) -> InstanceLag:
    behind: int | None
    if snapshot is None:
        behind = item.event_count
    elif snapshot.last_event_id == item.last_event_id:
        behind = 0
    elif stream is None:
        behind = None
    else:
        behind = _after(snapshot, stream)
    return InstanceLag(
        instance_id=item.instance_id,
        component_name=item.component_name,
        machine_name=item.machine_name,
        state=item.state,
        events=item.event_count,
        behind=behind,
        has_snapshot=snapshot is not None,
    )


def _after(snapshot: InstanceSnapshot, stream: Sequence[PersistedEvent]) -> int:
    for behind, event in enumerate(reversed(stream)):
        if event.id == snapshot.last_event_id:
            return behind
    # The layout does not say which event it was, or that one is gone: by the time.
    return sum(event.persisted_at > snapshot.snapshot_at for event in stream)
