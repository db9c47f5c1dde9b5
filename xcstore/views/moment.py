"""The store as of a time, as words and rows of tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from xcstore.render.labels import count_text, duration_text, moment_text, visible_text
from xcstore.views.machines import state_text

if TYPE_CHECKING:
    from datetime import tzinfo

    from xcstore.queries.moment import InstancesThen, StatesThen, StateThen
    from xcstore.replay.cuts import Consistency, Crossing
    from xcstore.units import EpochMs
    from xcstore.views.instance_list import FindMachine

__all__ = ["CutView", "Way", "beyond_text", "crossing_rows", "cut_view", "instance_rows", "state_rows", "states_note"]

Row = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Another moment to go to."""

    label: str
    at: EpochMs


@dataclass(frozen=True, slots=True, kw_only=True)
class CutView:
    """What the moment cuts, in words. Plain text, without anything that was stored."""

    level: Literal["success", "info", "warning"]
    verdict: str
    ways: tuple[Way, ...] = field(hash=False)
    notes: tuple[str, ...]


def cut_view(cut: Consistency, zone: tzinfo) -> CutView:
    """The verdict, the moments near by that are better, and how far was looked."""
    left_out = sum(cut.doubtful.values())
    if not cut.is_consistent:
        level: Literal["success", "info", "warning"] = "warning"
        verdict = (
            f"This moment cuts {count_text(cut.cut_count, 'effect')} from the cause: stored by then, while the cause"
            " was stored later. Clocks differ; nothing that is shown as of this moment is quite what was."
        )
    elif cut.not_believed:
        level = "info"
        verdict = (
            "Doubtful: nothing that can be relied on speaks against this moment, but"
            f" {count_text(cut.not_believed, 'recorded cause')} would: stored after it, while the effect was stored"
            " by then. So far after their effect they were not believed."
        )
    elif cut.in_flight_count:
        level = "info"
        verdict = (
            "Consistent: in what was looked at, no effect without its cause."
            f" {count_text(cut.in_flight_count, 'effect')} of what was stored by then arrived later."
        )
    elif left_out > cut.links:
        level = "info"
        verdict = (
            f"Nothing speaks against this moment, but little could be told: {left_out:,} of"
            f" {count_text(left_out + cut.links, 'recorded cause')} around it cannot be relied on."
        )
    elif not cut.links:
        level = "info"
        verdict = "Nothing speaks against this moment: no causes are recorded around it."
    else:
        level = "success"
        verdict = (
            "Consistent and quiet: in what was looked at, no effect without its cause, and nothing on its way from one"
            " event to the next."
        )
    return CutView(level=level, verdict=verdict, ways=tuple(_ways(cut, zone)), notes=tuple(_notes(cut, zone)))


def beyond_text(at: EpochMs, bounds: tuple[EpochMs, EpochMs], zone: tzinfo) -> str:
    """What there is to say of a moment before the first event of the store, or after the last; '' of any other."""
    first, last = bounds
    if at < first:
        return f"Before the first event of the store, which was stored at {moment_text(first, zone, millis=True)}."
    if at > last:
        return (
            f"After the last event of the store, which was stored at {moment_text(last, zone, millis=True)}: nothing "
            "has changed since, as far as is stored."
        )
    return ""


def _ways(cut: Consistency, zone: tzinfo) -> list[Way]:
    named = [
        ("Consistent, before", cut.before),
        ("Consistent, after", cut.after),
        ("Quiet, before", cut.quiet_before),
        ("Quiet, after", cut.quiet_after),
    ]
    return [Way(label=f"{name}: {moment_text(at, zone, millis=True)}", at=at) for name, at in named if at is not None]


def _notes(cut: Consistency, zone: tzinfo) -> list[str]:
    first, last = (moment_text(at, zone) for at in (cut.looked_from, cut.looked_to))
    notes = [
        f"Looked at {count_text(cut.events, 'event')} stored from {first} to {last}, and"
        f" {count_text(cut.links, 'recorded cause')} of them; links that rules would infer are not looked at.",
        f"Not seen: an effect stored before {first} whose cause was stored after the moment, and what arrived after"
        f" {last}.",
    ]
    if cut.timers:
        notes.append(f"{count_text(cut.timers, 'timer')} ran then and fired in that time; timers are not on their way.")
    if left_out := sum(cut.doubtful.values()):
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(cut.doubtful.items()))
        notes.append(
            f"{count_text(left_out, 'recorded cause')} left out, as they are doubtful or cannot be judged: {kinds}."
        )
    if late := cut.doubtful.get("before", 0):
        verb = "lies after its effect and was" if late == 1 else "lie after their effect and were"
        notes.append(
            f"{count_text(late, 'recorded cause')} {verb} not believed: runtimes that name no definition also name"
            " causes that are none."
        )
    if not cut.is_consistent and cut.before is None and cut.after is None:
        notes.append("No consistent moment in what was looked at.")
    elif not cut.is_quiet and cut.quiet_before is None and cut.quiet_after is None:
        notes.append("No quiet moment in what was looked at.")
    return notes


def crossing_rows(crossings: Sequence[Crossing], zone: tzinfo) -> tuple[Row, ...]:
    """Causes and effects on different sides of the moment."""
    return tuple(
        {
            "cause": visible_text(one.cause.event_type, 80),
            "of": _instance(one.cause.component_name, one.cause.machine_name),
            "cause stored": moment_text(one.cause.persisted_at, zone, millis=True),
            "effect": visible_text(one.effect.event_type, 80),
            "in": _instance(one.effect.component_name, one.effect.machine_name),
            "effect stored": moment_text(one.effect.persisted_at, zone, millis=True),
            "after": duration_text(one.gap_ms) if one.gap_ms >= 0 else f"-{duration_text(-one.gap_ms)}",
            "cause id": visible_text(one.cause.id, 80),
            "effect id": visible_text(one.effect.id, 80),
        }
        for one in crossings
    )


def state_rows(states: StatesThen, find_machine: FindMachine) -> tuple[Row, ...]:
    """Instances by state, then and now."""
    return tuple(
        {
            "component": visible_text(row.component_name, 80) or "(none)",
            "machine": visible_text(row.machine_name, 80),
            "state": state_text(find_machine(row.component_name, row.machine_name), row.state),
            "then": _then(row, exact=states.exact),
            "now": row.now,
        }
        for row in states.rows
    )


def _then(row: StateThen, *, exact: bool) -> int | str:
    if exact:
        return row.at_least if row.then is None else row.then
    return f"at least {row.at_least:,}" if row.then is None else f"about {row.then:,}"


def states_note(states: StatesThen) -> str:
    """How the counts came about."""
    if states.exact:
        return "By the last event of each instance up to then. Ended instances are counted in the state they ended in."
    return (
        "Too many instances have gone on since to look at each. Counted are events that entered a state, less those"
        " that left it, up to then; where a stream has a gap or was rolled back, that is off. “at least”: it cannot be"
        " right, and so many are there unchanged since."
    )


def instance_rows(page: InstancesThen, find_machine: FindMachine, at: EpochMs, zone: tzinfo) -> tuple[Row, ...]:
    """Instances with their state then and now."""
    rows: list[Row] = []
    for one in page.instances:
        machine = find_machine(one.component_name, one.machine_name)
        gone_on = one.updated_at > at
        rows.append(
            {
                "key": visible_text(page.keys.get(one.instance_id, ""), 40),
                "component": visible_text(one.component_name, 80) or "(none)",
                "machine": visible_text(one.machine_name, 80),
                "state then": state_text(machine, one.state),
                "by": visible_text(one.last.event_type, 80),
                "stored at": moment_text(one.last.persisted_at, zone, millis=True),
                "idle then": duration_text(at - one.last.persisted_at),
                "state now": state_text(machine, one.state_now) if gone_on else "unchanged since",
                "instance": visible_text(one.instance_id, 80),
            }
        )
    return tuple(rows)


def _instance(component_name: str, machine_name: str) -> str:
    return visible_text(f"{component_name} · {machine_name}" if component_name else machine_name, 80)
