"""What the Divergence page shows of a verified replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from xcstore.analysis.context import path_text
from xcstore.render.labels import count_text, moment_text, short_id, visible_text
from xcstore.replay.divergence_results import DivergenceMap, InstanceDivergence, MachineDivergence
from xcstore.replay.reasons import value_words
from xcstore.replay.verdicts import DIVERGING, KINDS, Verdict

__all__ = [
    "MARKS",
    "Number",
    "change_rows",
    "changes_text",
    "chosen",
    "instance_rows",
    "kind_rows",
    "kinds_in_order",
    "machine_id",
    "machine_rows",
    "numbers",
    "shown_text",
    "verdict",
]

Row = dict[str, object]

MARKS: Final[Mapping[Verdict, str]] = {
    "same": "✓ same",
    "different": "✕ different",
    "ignored_here": "✕ ignored here",
    "ignored_there": "✕ ignored there",
    "not_replayable": "◌ not replayable",
}
MEANINGS: Final[Mapping[Verdict, str]] = {
    "same": "Events that go as the definition says",
    "different": "Events that start, lead or leave values elsewhere than the definition says",
    "ignored_here": "Events that were taken, which the definition ignores",
    "ignored_there": "Timers that fall due by the definition and are not recorded",
    "not_replayable": "Events that could not be compared in full: no definition, or user code ran",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number at the top, and what it means."""

    label: str
    value: str
    meaning: str


def verdict(found: DivergenceMap) -> str:
    """The map in one line."""
    if found.diverging:
        return (
            f"✕ {count_text(found.diverging, 'instance')} of {found.instances:,} "
            f"{'does' if found.diverging == 1 else 'do'} not go as defined"
        )
    unable = found.verdicts.get("not_replayable", 0)
    if unable:
        return f"◌ No divergence was found; {count_text(unable, 'event')} could not be compared in full"
    return "✓ Everything goes as defined"


def numbers(found: DivergenceMap) -> tuple[Number, ...]:
    """What was replayed, in figures."""
    verdicts = found.verdicts
    return (
        Number(label="Events", value=f"{found.events:,}", meaning="Recorded events that were executed once more"),
        Number(label="Instances", value=f"{found.instances:,}", meaning="Instances that they belong to"),
        Number(label="Diverging", value=f"{found.diverging:,}", meaning="Instances with at least one divergence"),
        *(
            Number(
                label=mark.split(maxsplit=1)[1].capitalize(),
                value=f"{verdicts.get(name, 0):,}",
                meaning=MEANINGS[name],
            )
            for name, mark in MARKS.items()
        ),
    )


def machine_id(row: MachineDivergence) -> str:
    """How a row of the map is named in the address."""
    return "/".join((row.component_name, row.machine_name, row.definition_hash[:12]))


def machine_rows(found: DivergenceMap) -> list[Row]:
    """A row for each machine and version of its definition."""
    return [
        {
            "is": _standing(row),
            "component": visible_text(row.component_name, 60) or "(none)",
            "machine": visible_text(row.machine_name, 60),
            "version": _version(row),
            "instances": row.instances,
            "diverging": row.diverging,
            "events": row.events,
            **{mark.split(maxsplit=1)[1]: row.verdicts.get(name, 0) for name, mark in MARKS.items()},
        }
        for row in found.rows
    ]


def kinds_in_order(found: DivergenceMap) -> list[str]:
    """Kinds that occur: divergences first, then what could not be compared, then notes."""
    order = list(KINDS)
    return sorted(found.kinds, key=lambda kind: (KINDS[kind].verdict not in DIVERGING, order.index(kind)))


def kind_rows(found: DivergenceMap) -> list[Row]:
    """A row for each kind that occurs."""
    return [
        {
            "is": MARKS[KINDS[kind].verdict],
            "kind": KINDS[kind].title,
            "steps": found.kinds[kind],
            "instances, as their first": found.first_kinds.get(kind, 0),
            "what it is": KINDS[kind].meaning,
        }
        for kind in kinds_in_order(found)
    ]


def chosen(found: DivergenceMap, machine: str, kind: str) -> list[InstanceDivergence]:
    """The examples of a machine and version, and of a kind; '' for all."""
    return [
        one
        for one in found.examples
        if (not kind or one.kind == kind)
        and (not machine or "/".join((one.component_name, one.machine_name, one.definition_hash[:12])) == machine)
    ]


def shown_text(found: DivergenceMap, told: Sequence[InstanceDivergence], machine: str, kind: str) -> str:
    """How many diverging instances are listed, and of how many."""
    kept, total = len(found.examples), found.diverging
    if kind:
        kept, total = found.shown(kind), found.first_kinds.get(kind, 0)
    if machine:
        # Counts by machine and kind together are not kept.
        rest = "" if kept == total else f", among the {kept:,} of {total:,} that are kept"
        return f"{count_text(len(told), 'instance')} of the chosen machine{rest}; pick one to see what differs"
    if kept < total:
        return f"shown {kept:,} of {count_text(total, 'diverging instance')}; pick one to see what differs"
    return f"{count_text(total, 'diverging instance')}; pick one to see what differs"


def instance_rows(told: Sequence[InstanceDivergence], zone: tzinfo) -> list[Row]:
    """A row for the first divergence of each instance."""
    return [
        {
            "is": MARKS[one.verdict],
            "kind": KINDS[one.kind].title,
            "instance": visible_text(one.instance_id, 60),
            "machine": visible_text(one.machine_name, 60),
            "step": one.position,
            "of": one.events,
            "event": visible_text(one.event_type, 60) or "(not recorded)",
            "stored at": moment_text(one.at, zone),
            "why": visible_text(one.reason, 400),
            "component": visible_text(one.component_name, 60) or "(none)",
            "event id": visible_text(one.event_id, 60),
        }
        for one in told
    ]


def change_rows(one: InstanceDivergence) -> list[Row]:
    """The values that differ."""
    return [
        {
            "field": visible_text(path_text(change.path), 120) or "(all)",
            "by the definition": _absent(change.kind == "added", change.old),
            "recorded": _absent(change.kind == "removed", change.new),
        }
        for change in one.changes
    ]


def changes_text(one: InstanceDivergence) -> str:
    """How many values differ, and how many of them are shown."""
    if len(one.changes) < one.change_count:
        return f"shown {len(one.changes):,} of {count_text(one.change_count, 'value')} that differ"
    return f"{count_text(one.change_count, 'value')} differ{'s' if one.change_count == 1 else ''}"


def _standing(row: MachineDivergence) -> str:
    if row.diverging:
        return "✕ diverges"
    if not row.known:
        return "◌ not known"
    return "◌ in part" if row.verdicts.get("not_replayable") else "✓ same"


def _version(row: MachineDivergence) -> str:
    if not row.definition_hash:
        return "by name" if row.known else "not known"
    return short_id(row.definition_hash) + ("" if row.known else " (not known)")


def _absent(absent: bool, value: object) -> str:
    return "(absent)" if absent else visible_text(value_words(value), 80)
