"""What another definition would have made of the stored instances: one sentence, numbers, tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from xcstore.render.labels import count_text, short_id, visible_text

if TYPE_CHECKING:
    from xcstore.replay.impact import Example, Impact, MachineImpact

__all__ = [
    "ExampleRow",
    "Number",
    "example_rows",
    "headline",
    "ignored_rows",
    "machine_rows",
    "move_rows",
    "notes",
    "numbers",
    "reached_rows",
    "unknown_rows",
]

TableRow = dict[str, object]
SAME, OTHER, UNKNOWN = "= same", "≠ elsewhere", "? not known"
SHOWN_ROWS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number at the top, and what it counts."""

    label: str
    value: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleRow:
    """An instance that ends elsewhere, and where it leaves its way."""

    instance_id: str
    event_id: str | None
    cells: TableRow


def headline(found: Impact) -> str:
    """The answer in one sentence."""
    other = sum(machine.other_end for machine in found.machines)
    whom = count_text(found.instances, "instance")
    if not found.instances:
        return "No stored instance belongs to a machine of this component."
    if found.current_hash == found.candidate_hash:
        return f"This is the definition that is in force: nothing can change for the {whom}."
    told = []
    if other:
        told.append(f"{other:,} of {whom} would end elsewhere")
    else:
        told.append(f"None of {whom} is seen to end elsewhere")
    if found.same_end:
        told.append(f"{found.same_end:,} would reach the same state by another way or at another time")
    if found.unknown:
        told.append(f"of {found.unknown:,} nobody can tell")
    return f"With this definition: {'; '.join(told)}." if other or found.same_end else f"{'; '.join(told)}."


def numbers(found: Impact) -> tuple[Number, ...]:
    """What was looked at and what came out, in figures."""
    other = sum(machine.other_end for machine in found.machines)
    return (
        Number(label="Instances", value=f"{found.instances:,}", meaning="Stored instances that were run through both"),
        Number(label="= Same", value=f"{found.same:,}", meaning="The same way to the same state"),
        Number(label="≈ Same end", value=f"{found.same_end:,}", meaning="The same state, another way or another time"),
        Number(label="≠ Elsewhere", value=f"{other:,}", meaning="Another state at the end of what is recorded"),
        Number(label="? Not known", value=f"{found.unknown:,}", meaning="Nobody can tell; the reasons are below"),
        Number(label="Events", value=f"{found.events:,}", meaning="Recorded events that were read"),
    )


def machine_rows(machines: Sequence[MachineImpact]) -> list[TableRow]:
    """A row for each machine of the component."""
    return [
        {
            "machine": visible_text(machine.machine_name, 60),
            "instances": machine.instances,
            "= same": machine.same,
            "≈ same end": machine.same_end,
            "≠ elsewhere": machine.other_end,
            "? not known": machine.unknown,
            "values differ": machine.values_differ,
            "what differs in the definition": visible_text("; ".join(machine.changed) or "nothing", 400),
        }
        for machine in machines
    ]


def move_rows(machines: Sequence[MachineImpact]) -> list[TableRow]:
    """From which state to which the ends move, the most frequent first."""
    moves = [(count, machine, now, then) for machine in machines for (now, then), count in machine.moves.items()]
    moves.sort(key=lambda item: (-item[0], item[1].machine_name, item[2], item[3]))
    return [
        {
            "machine": visible_text(machine.machine_name, 60),
            "ends now in": visible_text(now, 60) or "(none)",
            "would end in": visible_text(then, 60) or "(none)",
            "instances": count,
        }
        for count, machine, now, then in moves[:SHOWN_ROWS]
    ]


def example_rows(machines: Sequence[MachineImpact]) -> list[ExampleRow]:
    """Instances that end elsewhere, and the event at which they part."""
    return [_example(example) for machine in machines for example in machine.examples]


def _example(example: Example) -> ExampleRow:
    part = example.part
    return ExampleRow(
        instance_id=example.instance_id,
        event_id=part.event_id,
        cells={
            "machine": visible_text(example.machine_name, 60),
            "instance": short_id(example.instance_id),
            "ends now in": visible_text(example.end_now, 60) or "(none)",
            "would end in": visible_text(example.end_then, 60) or "(none)",
            "parts at": f"event {part.position:,}",
            "there": f"{visible_text(part.state, 40) or '(new)'} → {visible_text(part.now, 40)}"
            f" | {visible_text(part.then, 40)}",
            "why": visible_text(part.why, 300),
        },
    )


def ignored_rows(machines: Sequence[MachineImpact]) -> list[TableRow]:
    """Recorded events that are taken now and would not be."""
    rows: list[TableRow] = [
        {
            "machine": visible_text(machine.machine_name, 60),
            "event": visible_text(item.event_type, 60),
            "in state": visible_text(item.state, 60),
            "events": item.events,
            "instances": item.instances,
            "why": "the instance has ended" if item.ended else "the state does not take it",
        }
        for machine in machines
        for item in machine.ignored
    ]
    return rows[:SHOWN_ROWS]


def reached_rows(machines: Sequence[MachineImpact]) -> list[TableRow]:
    """States through which other numbers of instances would come."""
    rows: list[TableRow] = [
        {
            "machine": visible_text(machine.machine_name, 60),
            "state": visible_text(item.state, 60),
            "instances now": item.now,
            "instances then": item.then,
            "is": "never reached any more" if item.state in machine.never_reached else "",
        }
        for machine in machines
        for item in machine.reached
    ]
    return rows[:SHOWN_ROWS]


def unknown_rows(machines: Sequence[MachineImpact]) -> list[TableRow]:
    """Why nobody can tell of some instances."""
    rows: list[TableRow] = [
        {"machine": visible_text(machine.machine_name, 60), "instances": count, "why": visible_text(reason, 300)}
        for machine in machines
        for reason, count in machine.unknown_reasons.items()
    ]
    return rows[:SHOWN_ROWS]


def notes(found: Impact) -> tuple[str, ...]:
    """What the numbers rest on, and what was left out."""
    told = []
    if found.truncated:
        told.append(f"Looked at {found.instances:,} of {found.total:,} instances.")
    differing = sum(machine.current_differs for machine in found.machines)
    if differing:
        told.append(
            f"{count_text(differing, 'instance')} end elsewhere than recorded under the present definition already. "
            "Counted here is the difference between the two definitions, not between this one and the recording."
        )
    breaks = sum(machine.breaks for machine in found.machines)
    if breaks:
        told.append(
            f"{count_text(breaks, 'instance')} were taken back by a restart on the way; both definitions follow that."
        )
    recorded = sum(machine.other_than_recorded for machine in found.machines)
    if recorded:
        told.append(f"Against the recorded ends, {count_text(recorded, 'instance')} would differ.")
    return (*told, *found.notes)
