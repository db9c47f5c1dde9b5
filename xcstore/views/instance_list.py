"""Instances as rows of a table, and what such a table can be narrowed to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xcstore.analysis.lifecycle import Lifecycle, lifecycle
from xcstore.render.labels import ago_text, count_text, moment_text, visible_text
from xcstore.render.theme import STATUSES, find_look
from xcstore.views.machines import state_text

if TYPE_CHECKING:
    from datetime import tzinfo

    from xcstore.model.definition import StateMachine
    from xcstore.model.history import InstanceSnapshot
    from xcstore.queries.instances import InstancePage
    from xcstore.store.base import Count, InstanceSummary, StateCount
    from xcstore.units import EpochMs

__all__ = ["FilterOptions", "FindMachine", "ListView", "build_list", "filter_options", "left_states", "motion_rows"]

Row = dict[str, object]
FindMachine = Callable[[str, str], "StateMachine | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListView:
    """One page of the list."""

    rows: tuple[Row, ...] = field(hash=False)
    ids: tuple[str, ...]
    """Instance of each row."""
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterOptions:
    """What the list can be narrowed to, each with the number of instances."""

    machines: tuple[tuple[str, int], ...]
    states: tuple[tuple[str, int], ...]
    statuses: tuple[tuple[str, int], ...]
    counts: Mapping[tuple[str, str, str], tuple[str, int]] = field(hash=False)
    """(component, machine, state) -> its status and how many instances."""

    def with_status(
        self, statuses: Collection[str], machines: Collection[str], states: Collection[str]
    ) -> tuple[tuple[str, str, str], ...] | None:
        """The (component, machine, state) that have one of the statuses; None where no status is asked for."""
        if not statuses:
            return None
        return tuple(
            key
            for key, (status, _) in self.counts.items()
            if status in statuses and (not machines or key[1] in machines) and (not states or key[2] in states)
        )


def left_states(flows: Sequence[Count]) -> frozenset[tuple[str, str, str]]:
    """(component, machine, state) that events were seen to leave, from `queries.overview.flows`."""
    keys = (count.key for count in flows)
    return frozenset((component, machine, before) for component, machine, before, _, after in keys if before != after)


def filter_options(
    counts: Sequence[StateCount], find_machine: FindMachine, left: Collection[tuple[str, str, str]] = ()
) -> FilterOptions:
    """Machines, states and statuses that occur, most instances first; `left` as `left_states` gives it."""
    totals: tuple[dict[str, int], dict[str, int], dict[str, int]] = ({}, {}, {})
    known: dict[tuple[str, str, str], tuple[str, int]] = {}
    for count in counts:
        status = _status(count, find_machine, left).status
        for total, name in zip(totals, (count.machine_name, count.state, status), strict=True):
            total[name] = total.get(name, 0) + count.count
        known[count.component_name, count.machine_name, count.state] = status, count.count
    first, second, third = (tuple(sorted(t.items(), key=lambda item: (-item[1], item[0]))) for t in totals)
    return FilterOptions(machines=first, states=second, statuses=third, counts=known)


def build_list(
    page: InstancePage,
    counts: Sequence[StateCount],
    find_machine: FindMachine,
    *,
    left: Collection[tuple[str, str, str]] = (),
    only: Collection[tuple[str, str, str]] | None = None,
    before: int = 0,
    now: EpochMs,
    zone: tzinfo,
) -> ListView:
    """Rows for a page of instances, of which `before` are on the pages before it."""
    total = sum(
        count.count
        for count in counts
        if only is None or (count.component_name, count.machine_name, count.state) in only
    )
    rows: list[Row] = []
    for item in page.instances:
        machine = find_machine(item.component_name, item.machine_name)
        ended = _status(item, find_machine, left, page.snapshots.get(item.instance_id))
        rows.append(
            {
                "key": visible_text(page.keys.get(item.instance_id, ""), 40),
                "instance": visible_text(item.instance_id, 80),
                "component": visible_text(item.component_name, 80) or "(none)",
                "machine": visible_text(item.machine_name, 80),
                "state": state_text(machine, item.state),
                "status": find_look(STATUSES, ended.status).text,
                "last stored": moment_text(item.updated_at, zone),
                "idle": ago_text(item.updated_at, now),
                "events": item.event_count,
                "last event": visible_text(item.last_event_type, 80),
                "created": moment_text(item.created_at, zone),
            }
        )
    return ListView(
        rows=tuple(rows),
        ids=tuple(item.instance_id for item in page.instances),
        summary=(
            f"shown {before + 1:,} to {before + len(rows):,} of {count_text(total, 'instance')}, latest first. "
            "Select a row to open the instance."
            if rows
            else f"{count_text(total, 'instance')}"
        ),
    )


def motion_rows(
    items: Sequence[InstanceSummary], find_machine: FindMachine, *, now: EpochMs, zone: tzinfo
) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Rows for the instances that this one set in motion, those that have not ended first, and the id of each."""
    told = [(item, find_machine(item.component_name, item.machine_name)) for item in items]
    known = [(item, machine, lifecycle(item.state, machine=machine).status) for item, machine in told]
    known.sort(key=lambda one: one[2] in ("completed", "error"))
    rows: list[Row] = [
        {
            "machine": visible_text(item.machine_name, 80),
            "state": state_text(machine, item.state),
            "status": find_look(STATUSES, status).text,
            "last event": visible_text(item.last_event_type, 80),
            "last stored": moment_text(item.updated_at, zone),
            "idle": ago_text(item.updated_at, now),
            "component": visible_text(item.component_name, 80) or "(none)",
            "instance": visible_text(item.instance_id, 80),
        }
        for item, machine, status in known
    ]
    return tuple(rows), tuple(item.instance_id for item, _, _ in known)


def _status(
    item: InstanceSummary | StateCount,
    find_machine: FindMachine,
    left: Collection[tuple[str, str, str]],
    snapshot: InstanceSnapshot | None = None,
) -> Lifecycle:
    return lifecycle(
        item.state,
        machine=find_machine(item.component_name, item.machine_name),
        snapshot=snapshot,
        never_left=() if (item.component_name, item.machine_name, item.state) in left else (item.state,),
    )
