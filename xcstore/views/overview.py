"""The Overview: what runs, in which state, and what needs somebody's attention."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

import pandas as pd

from xcstore.analysis.lifecycle import Lifecycle, Move, ObservedMachine, lifecycle, moves, observed_machine
from xcstore.analysis.stuck import Limit, WaitingState
from xcstore.model.catalog import Catalog
from xcstore.model.definition import StateMachine
from xcstore.queries.overview import Activity, Facts, OddSample, StuckInstance, Waiting
from xcstore.render.labels import ago_text, count_text, duration_text, moment_text, visible_text
from xcstore.render.theme import STATE_KINDS, STATUSES, find_look
from xcstore.store.base import Count, StateCount
from xcstore.units import DurationMs, EpochMs

__all__ = [
    "Failure",
    "Headline",
    "Overview",
    "StateRow",
    "StuckLine",
    "StuckState",
    "activity_table",
    "build",
    "failures",
    "limit_text",
    "machines_table",
    "named",
    "shortest_timer",
    "states_table",
    "stuck_states",
    "waiting_states",
    "without_way_on",
]

SHOWN_STATES: Final = 12
LINES: Final = 5
"""Stuck instances that are named for each state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRow:
    """A state of a machine and the instances that are in it now."""

    component: str
    machine: str
    state: str
    kind: str
    """Key of `theme.STATE_KINDS`."""
    status: str
    """Key of `theme.STATUSES`, without 'stuck'."""
    why: str
    """What says so."""
    count: int
    oldest: EpochMs
    newest: EpochMs


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The numbers at the top. `*_note` says what a number rests on."""

    events: int
    instances: int
    active: int
    completed: int
    error: int
    unknown: int
    newest_at: EpochMs | None
    newest_age: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything that counts say, before anybody looks at single instances."""

    headline: Headline
    rows: tuple[StateRow, ...]
    waiting: tuple[WaitingState, ...]
    """States to look for stuck instances in."""
    machines: Mapping[tuple[str, str], tuple[StateMachine | None, ObservedMachine]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckLine:
    """One stuck instance in words."""

    instance_id: str
    key: str
    """Its business key; '' where its creation holds none."""
    waited: str
    since: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckState:
    """The stuck instances of one state: they share the rule and what would move them on."""

    component: str
    machine: str
    state: str
    count: str
    """How many; with '+' where not all were looked at."""
    rule: str
    ways_on: tuple[str, ...]
    lines: tuple[StuckLine, ...]
    """The longest waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Instances of one machine in one error state."""

    component: str
    machine: str
    state: str
    count: int
    newest: str


def build(
    facts: Facts,
    states: Sequence[StateCount],
    flows: Sequence[Count],
    catalog: Catalog,
    now: EpochMs,
    components: Sequence[str] = (),
) -> Overview:
    """The Overview out of counts.

    `components` is what `states` and `flows` were limited to; () for everything.
    """
    observed = _observed(flows)
    machines = {
        key: (catalog.find_machine(*key), observed.get(key, ObservedMachine()))
        for key in sorted({(item.component_name, item.machine_name) for item in states} | set(observed))
    }
    rows = tuple(_row(item, *machines[item.component_name, item.machine_name]) for item in states)
    events = sum(count for name, count in facts.components if not components or name in components)
    newest = max((row.newest for row in rows), default=None)
    by_status = {status: sum(row.count for row in rows if row.status == status) for status in STATUSES}
    return Overview(
        headline=Headline(
            events=events,
            instances=sum(row.count for row in rows),
            active=by_status["active"],
            completed=by_status["completed"],
            error=by_status["error"],
            unknown=by_status["unknown"],
            newest_at=newest,
            newest_age=ago_text(newest, now),
        ),
        rows=rows,
        waiting=waiting_states(rows, machines),
        machines=machines,
    )


def waiting_states(
    rows: Iterable[StateRow], machines: Mapping[tuple[str, str], tuple[StateMachine | None, ObservedMachine]]
) -> tuple[WaitingState, ...]:
    """States with instances in them that have a way on: declared so, or seen to be left.

    A state without one is no wait, however long: nothing is awaited. `without_way_on` tells of these.
    """
    rows = tuple(rows)
    totals: dict[tuple[str, str], int] = {}
    for row in rows:
        totals[row.component, row.machine] = totals.get((row.component, row.machine), 0) + row.count
    return tuple(
        WaitingState(
            component_name=row.component,
            machine_name=row.machine,
            state=row.state,
            count=row.count,
            oldest_updated_at=row.oldest,
            machine_instances=totals[row.component, row.machine],
            timeout_ms=shortest_timer(machines[row.component, row.machine][0], row.state),
            entered_from=_entered_from(machines[row.component, row.machine][1], row.state),
        )
        for row in rows
        if row.status == "active" and _has_way_on(*machines[row.component, row.machine], row.state)
    )


def without_way_on(overview: Overview) -> tuple[StateRow, ...]:
    """States that are no ends, hold instances, and that nothing declared or observed leaves; the fullest first."""
    rows = [
        row
        for row in overview.rows
        if row.status == "active" and not _has_way_on(*overview.machines[row.component, row.machine], row.state)
    ]
    return tuple(sorted(rows, key=lambda row: -row.count))


def _has_way_on(definition: StateMachine | None, observed: ObservedMachine, state: str) -> bool:
    declared = {(one.source, one.target) for one in definition.transitions} if definition else set()
    seen = {(one.source, one.target) for one in observed.transitions}
    return any(source == state != target for source, target in declared | seen)


def _entered_from(observed: ObservedMachine, state: str) -> tuple[str, ...]:
    into = {one.source for one in observed.transitions if one.target == state}
    if state not in into:
        return ()
    return tuple(sorted((into - {state}) | ({""} if state in observed.initial else set())))


def named(waiting: Waiting) -> tuple[str, ...]:
    """The stuck instances that `stuck_states` names, at least."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for item in waiting.stuck:
        key = (item.instance.component_name, item.instance.machine_name, item.instance.state)
        groups.setdefault(key, []).append(item.instance.instance_id)
    return tuple(name for names in list(groups.values())[:SHOWN_STATES] for name in names[:LINES])


def stuck_states(
    waiting: Waiting, overview: Overview, zone: tzinfo, *, keys: Mapping[str, str], lines: int = LINES
) -> tuple[StuckState, ...]:
    """Stuck instances by state, the state with the most abnormal wait first; `keys` are business keys by instance."""
    groups: dict[tuple[str, str, str], list[StuckInstance]] = {}
    for item in waiting.stuck:
        key = (item.instance.component_name, item.instance.machine_name, item.instance.state)
        groups.setdefault(key, []).append(item)
    return tuple(
        StuckState(
            component=component,
            machine=machine,
            state=state,
            count=f"{len(items):,}{'' if waiting.complete else '+'}",
            rule=limit_text(items[0].limit),
            ways_on=_ways_on(overview, component, machine, state),
            lines=tuple(
                StuckLine(
                    instance_id=item.instance.instance_id,
                    key=visible_text(keys.get(item.instance.instance_id, ""), 40),
                    waited=duration_text(item.waited_ms),
                    since=moment_text(item.since, zone),
                )
                for item in items[:lines]
            ),
        )
        for (component, machine, state), items in groups.items()
    )


def failures(overview: Overview, zone: tzinfo) -> tuple[Failure, ...]:
    """Error states with instances in them, the fullest first."""
    rows = sorted((row for row in overview.rows if row.status == "error"), key=lambda row: -row.count)
    return tuple(
        Failure(
            component=row.component,
            machine=row.machine,
            state=row.state,
            count=row.count,
            newest=moment_text(row.newest, zone),
        )
        for row in rows
    )


def states_table(overview: Overview, zone: tzinfo) -> pd.DataFrame:
    """A row for each component, machine and state; machines in order, the fullest states first."""
    rows = sorted(overview.rows, key=lambda row: (row.component, row.machine, -row.count, row.state))
    totals: dict[tuple[str, str], int] = {}
    for row in rows:
        totals[row.component, row.machine] = totals.get((row.component, row.machine), 0) + row.count
    return pd.DataFrame(
        [
            (
                visible_text(row.component, 100) or "(none)",
                visible_text(row.machine, 100),
                visible_text(row.state, 100),
                find_look(STATE_KINDS, row.kind).text,
                find_look(STATUSES, row.status).text,
                row.count,
                row.count / totals[row.component, row.machine],
                moment_text(row.oldest, zone),
                moment_text(row.newest, zone),
            )
            for row in rows
        ],
        columns=["component", "machine", "state", "kind", "means", "instances", "share", "oldest", "newest"],
    )


def activity_table(found: Activity, zone: tzinfo) -> pd.DataFrame:
    """A row for each bar of the chart: from when, and the events of each component."""
    rows: dict[int, dict[str, object]] = {}
    for count in found.counts:
        if count.bucket is not None:
            row = rows.setdefault(count.bucket, {"from": moment_text(count.bucket, zone)})
            row[visible_text(count.key[0], 100) or "(none)"] = count.count
    return pd.DataFrame([rows[bucket] for bucket in sorted(rows)]).fillna(0)


def machines_table(overview: Overview, stuck: Mapping[tuple[str, str], int], zone: tzinfo) -> pd.DataFrame:
    """A row for each component and machine: instances by what their state means, and the states in words."""
    grouped: dict[tuple[str, str], list[StateRow]] = {}
    for row in overview.rows:
        grouped.setdefault((row.component, row.machine), []).append(row)
    table = []
    for (component, machine), rows in grouped.items():
        rows.sort(key=lambda row: (-row.count, row.state))
        by_status = {status: sum(row.count for row in rows if row.status == status) for status in STATUSES}
        table.append(
            (
                visible_text(component, 100) or "(none)",
                visible_text(machine, 100),
                sum(row.count for row in rows),
                by_status["active"],
                stuck.get((component, machine), 0),
                by_status["completed"],
                by_status["error"],
                by_status["unknown"],
                [
                    f"{find_look(STATE_KINDS, row.kind).mark} {visible_text(row.state, 40)} {row.count:,}"
                    for row in rows[:8]
                ]
                + ([f"+{len(rows) - 8} more"] if len(rows) > 8 else []),
                moment_text(max(row.newest for row in rows), zone),
            )
        )
    names = ["component", "machine", "instances", *(status for status in _MACHINE_STATUSES), "states", "newest event"]
    return pd.DataFrame(table, columns=names)


_MACHINE_STATUSES: Final = ("active", "stuck", "completed", "error", "unknown")


def stuck_by_machine(waiting: Waiting) -> dict[tuple[str, str], int]:
    """How many stuck instances were loaded of each machine."""
    counts: dict[tuple[str, str], int] = {}
    for item in waiting.stuck:
        key = (item.instance.component_name, item.instance.machine_name)
        counts[key] = counts.get(key, 0) + 1
    return counts


def stuck_text(waiting: Waiting) -> str:
    """The number of stuck instances; with '+' where not all were loaded."""
    return f"{len(waiting.stuck):,}{'' if waiting.complete else '+'}"


def sample_text(waiting: Waiting) -> str:
    """What the normal lengths rest on."""
    return "; ".join(
        f"{visible_text(machine, 60)}: the latest {read:,} of {count_text(total, 'instance')}"
        for _, machine, read, total in waiting.sampled
    )


def odd_text(sample: OddSample, total: int) -> str:
    """How many of the latest events are odd."""
    return f"{sample.odd:,} of the latest {sample.read:,} events (of {total:,})"


def limit_text(limit: Limit) -> str:
    """The rule behind a limit, with its numbers."""
    over = f"too long after {duration_text(limit.limit_ms)}"
    if limit.rule == "timeout":
        return f"its timer should have fired after {duration_text(limit.normal_ms)}; {over}"
    if limit.rule == "default":
        return f"fewer than 5 stays in this machine are known to compare with; {over}"
    numbers = (
        f"95 % of {count_text(limit.stays, 'stay')} take at most {duration_text(limit.normal_ms)}, "
        f"the median {duration_text(limit.median_ms)}"
    )
    if limit.rule == "state":
        return f"{numbers}; {over}"
    return f"few stays in this state are known; in the slowest other state of the machine {numbers}; {over}"


def _ways_on(overview: Overview, component: str, machine: str, state: str) -> tuple[str, ...]:
    definition, observed = overview.machines.get((component, machine), (None, ObservedMachine()))
    return tuple(_way_on(move) for move in moves(state, definition, observed)[:6] if move.target != state)


def _way_on(move: Move) -> str:
    text = f"{visible_text(move.event, 60)} → {visible_text(move.target, 60)}"
    if move.timeout_ms is not None:
        text += f" (timer, {duration_text(move.timeout_ms)})"
    elif move.kind == "auto":
        text += " (by itself)"
    if move.count is not None:
        text += f", seen {move.count:,}×" if move.count else ", never seen"
    return text


def _row(item: StateCount, definition: StateMachine | None, observed: ObservedMachine) -> StateRow:
    declared = definition.find_state(item.state) if definition else None
    life: Lifecycle = lifecycle(item.state, machine=definition, never_left=observed.never_left)
    return StateRow(
        component=item.component_name,
        machine=item.machine_name,
        state=item.state,
        kind=declared.type if declared else "unknown",
        status=life.status,
        why=life.why,
        count=item.count,
        oldest=item.oldest_updated_at,
        newest=item.newest_updated_at,
    )


def _observed(flows: Sequence[Count]) -> dict[tuple[str, str], ObservedMachine]:
    rows: dict[tuple[str, str], list[tuple[tuple[str, str, str], int]]] = {}
    for flow in flows:
        component, machine, before, event, after = flow.key
        rows.setdefault((component, machine), []).append(((before, event, after), flow.count))
    return {key: observed_machine(found) for key, found in rows.items()}


def shortest_timer(definition: StateMachine | None, state: str) -> DurationMs | None:
    """The timer that ends a state first, as the definition says."""
    timers = [
        transition.timeout_ms
        for transition in (definition.transitions if definition else ())
        if transition.source == state != transition.target  # a reminder that leads back ends nothing
        and transition.type == "timeout"
        and transition.timeout_ms is not None
    ]
    return min(timers, default=None)
