"""What the Restore page shows of a restore: what would come back and from what, and what lives in the runtime made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from itertools import islice
from typing import Final

from xcstore.analysis.context import path_text
from xcstore.jsontext import json_text
from xcstore.model.history import Instance, PendingTimeout
from xcstore.ops.fresh_runtime import FreshRuntime
from xcstore.ops.restoration_results import (
    PROBLEMS,
    Base,
    InstanceRestoration,
    Outcome,
    RestorationReport,
    SnapshotState,
)
from xcstore.render.labels import count_text, duration_text, moment_text, visible_text
from xcstore.render.theme import STATUSES, find_look
from xcstore.views.integrity import Number

__all__ = [
    "COMPONENT_WIDTHS",
    "SHOWN_LIVING",
    "component_rows",
    "fact_rows",
    "fresh_text",
    "living",
    "living_rows",
    "numbers",
    "population_rows",
    "problem_rows",
    "told_rows",
    "told_text",
    "verdict",
    "waiting_text",
]

Row = dict[str, object]

SHOWN_LIVING: Final = 200
COMPONENT_WIDTHS: Final = {
    "component": 140,
    "instances": 70,
    "come back": 75,
    "by snapshot": 85,
    "ended": 60,
    "not": 45,
    "timers": 60,
    "overdue": 65,
    "work": 50,
    "behind": 60,
    "disagree": 65,
    "no snapshot": 90,
}
"""In px."""

_OUTCOMES: Final[Mapping[Outcome, str]] = {
    "restored": "✓ comes back",
    "ended": "○ has ended",
    "not_restored": "✕ does not come back",
}
_BASES: Final[Mapping[Base, str]] = {
    "snapshot": "its snapshot",
    "snapshot_and_events": "its snapshot and the events after it",
    "events": "all of its events",
    "none": "–",
}
_SNAPSHOTS: Final[Mapping[SnapshotState, str]] = {
    "agrees": "✓ agrees with the events",
    "behind": "◔ behind the events",
    "disagrees": "✕ disagrees with the events",
    "unknown_event": "✕ names an event that is not there",
    "not_compared": "◌ agrees in its state; its layout has no place for the values",
    "none": "none is kept",
    "no_events": "✕ no event of the instance is stored",
}


def verdict(found: RestorationReport) -> str:
    """The report in one line."""
    lost, restored = found.not_restored, found.restored
    if lost:
        return f"✕ {count_text(lost, 'instance')} would not come back, {restored:,} would"
    said = (
        f"✓ Every live instance would come back: {restored:,}"
        if restored
        else "✓ No instance lives that has to come back"
    )
    return f"{said} · ▲ {found.told_of:,} with something to say" if found.told_of else said


def numbers(found: RestorationReport) -> tuple[Number, ...]:
    """What would come back, in figures."""
    parts = found.components
    snapshots = sum(part.from_snapshot for part in parts)
    figures = (
        ("Come back", found.restored, "Instances that would live again"),
        ("From snapshots", snapshots, "Of these, from a snapshot and the events after it; the others from all events"),
        ("Ended", found.ended, "Instances that have ended, and stay so"),
        ("Not restored", found.not_restored, "Instances that could not be brought back; why is below"),
        ("Timers", sum(part.timers for part in parts), "Would run on, with the time that is left"),
        ("Overdue", sum(part.overdue for part in parts), "Timers that fell due before: each would fire once"),
        ("Waiting work", sum(part.work for part in parts), "Kept in the store's outbox, and still to be done"),
    )
    return tuple(Number(label=label, value=f"{value:,}", meaning=meaning) for label, value, meaning in figures)


def component_rows(found: RestorationReport) -> list[Row]:
    """A row for each component."""
    return [
        {
            "component": visible_text(part.component_name, 80) or "(none)",
            "instances": part.instances,
            "come back": part.restored,
            "by snapshot": part.from_snapshot,
            "ended": part.ended,
            "not": part.not_restored,
            "timers": part.timers,
            "overdue": part.overdue,
            "work": part.work,
            "behind": part.snapshots.get("behind", 0),
            "disagree": part.snapshots.get("disagrees", 0) + part.snapshots.get("unknown_event", 0),
            "no snapshot": part.snapshots.get("none", 0),
        }
        for part in found.components
    ]


def problem_rows(found: RestorationReport) -> list[Row]:
    """A row for each kind of problem, the most frequent first."""
    counts: Counter[str] = Counter()
    for part in found.components:
        counts.update(part.problems)
    return [{"problem": PROBLEMS.get(kind, kind), "instances": count} for kind, count in counts.most_common()]


def told_text(found: RestorationReport) -> str:
    """How many instances there is something to say about, and how many of them are told."""
    shown = len(found.told)
    if shown < found.told_of:
        return f"shown {shown:,} of {count_text(found.told_of, 'instance')}; pick one to see what would come back of it"
    return f"{count_text(found.told_of, 'instance')}; pick one to see what would come back of it"


def told_rows(items: Sequence[InstanceRestoration]) -> list[Row]:
    """A row for each instance that is told."""
    return [
        {
            "is": _OUTCOMES[item.outcome],
            "instance": visible_text(item.instance_id, 80),
            "machine": visible_text(item.machine_name, 80),
            "state": visible_text(item.state, 60),
            "problem": visible_text("; ".join(problem.text for problem in item.problems), 300),
            "component": visible_text(item.component_name, 80) or "(none)",
        }
        for item in items
    ]


def fact_rows(item: InstanceRestoration, zone: tzinfo) -> list[Row]:
    """One instance: everything that is known about bringing it back."""
    rows = [
        ("would come back", _OUTCOMES[item.outcome]),
        ("component, machine", f"{item.component_name or '(none)'} / {item.machine_name}"),
        ("in state", item.state or "–"),
        ("from", _from(item)),
        ("last event", f"{item.last_event_id or '–'}, stored {moment_text(item.last_event_at, zone)}"),
        ("as all events say", _agrees(item)),
        ("snapshot", _snapshot(item, zone)),
    ]
    rows += [(f"differs: {path_text(one.path) or '(all)'}", _change(one.old, one.new)) for one in item.changes[:20]]
    if len(item.changes) > 20:
        rows.append(("differs", f"shown 20 of {count_text(len(item.changes), 'value')}"))
    for timer in item.timers:
        left = (
            f"overdue since {moment_text(timer.due, zone)}: would fire once"
            if timer.overdue
            else f"runs for another {duration_text(timer.remaining_ms)}, until {moment_text(timer.due, zone)}"
        )
        rows.append((f"timer {timer.event_type}", left))
    if item.work:
        rows.append(("waiting work", count_text(item.work, "piece")))
    rows += [("problem", problem.text) for problem in item.problems]
    return [{"what": visible_text(label, 120), "is": visible_text(text, 400)} for label, text in rows]


def _from(item: InstanceRestoration) -> str:
    words = _BASES[item.base]
    return words if item.base in ("none", "snapshot") else f"{words}: {count_text(item.folded, 'event')} folded"


def _agrees(item: InstanceRestoration) -> str:
    if item.agrees is None:
        return "cannot be told"
    return "✓ yes" if item.agrees else f"✕ no: {count_text(len(item.changes), 'value')} differ, or the state"


def _snapshot(item: InstanceRestoration, zone: tzinfo) -> str:
    audit = item.snapshot
    words = [_SNAPSHOTS[audit.state]]
    if audit.snapshot_at is not None:
        words.append(f"taken {moment_text(audit.snapshot_at, zone)}")
    if audit.behind:
        words.append(f"{count_text(audit.behind, 'event')} and {duration_text(audit.behind_ms)} behind")
    return ", ".join(words)


def _change(old: object, new: object) -> str:
    return f"by the events {json_text(old)[:80]}, brought back {json_text(new)[:80]}"


def population_rows(runtime: FreshRuntime) -> list[Row]:
    """What lives in the runtime, by component, machine and state."""
    counts: Counter[tuple[str, str, str]] = Counter()
    timers: Counter[tuple[str, str, str]] = Counter()
    for component, one in runtime.runtimes.items():
        for instance in one.instances():
            key = component, instance.machine_name, instance.current_state
            counts[key] += 1
            timers[key] += len(one.pending_timeouts(instance.id))
    return [
        {
            "component": visible_text(component, 80),
            "machine": visible_text(machine, 80),
            "state": visible_text(state, 60),
            "instances": counts[component, machine, state],
            "timers": timers[component, machine, state],
        }
        for component, machine, state in sorted(counts)
    ]


def living_rows(living: Sequence[tuple[str, Instance, Sequence[PendingTimeout]]]) -> list[Row]:
    """A row for each instance of the runtime, with its timers."""
    return [
        {
            "instance": visible_text(instance.id, 80),
            "machine": visible_text(instance.machine_name, 80),
            "state": visible_text(instance.current_state, 60),
            "status": find_look(STATUSES, instance.status).text,
            "pending": visible_text(
                "; ".join(f"{timer.event_type} in {duration_text(timer.remaining_ms)}" for timer in timers) or "–", 200
            ),
            "values": visible_text(
                json_text(instance.public_member if instance.public_member is not None else instance.context), 200
            ),
            "component": visible_text(component, 80),
        }
        for component, instance, timers in living
    ]


def living(runtime: FreshRuntime) -> list[tuple[str, Instance, Sequence[PendingTimeout]]]:
    """The first instances that live in the runtime, each with its component and its timers."""
    everything = (
        (component, instance, one.pending_timeouts(instance.id))
        for component, one in runtime.runtimes.items()
        for instance in one.instances()
    )
    return list(islice(everything, SHOWN_LIVING))


def fresh_text(runtime: FreshRuntime, zone: tzinfo) -> str:
    """What was brought back, and what the clock says."""
    words = [
        f"{count_text(runtime.instances, 'instance')} brought back",
        f"the clock says {moment_text(runtime.clock.now(), zone)}",
    ]
    if runtime.went_on:
        words.append("it went on")
    if runtime.truncated:
        words.append("there are more than are brought back here: choose a component in the sidebar")
    return "; ".join(words)


def waiting_text(runtime: FreshRuntime) -> str:
    """What would happen if it went on; '' where nothing waits."""
    parts = []
    if runtime.went_on:
        return ""
    if runtime.work:
        parts.append(f"{count_text(runtime.work, 'piece')} of waiting work would be done")
    if runtime.overdue:
        parts.append(f"{count_text(runtime.overdue, 'overdue timer')} would fire, each once")
    return f"Going on, {' and '.join(parts)}, in memory only." if parts else ""
