"""Two instances, or two traces, side by side: one sentence, what else is to be said, and rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from xcstore.analysis.comparing import Comparison, Kind, Row, Step
from xcstore.queries.comparing import TypicalEvent, TypicalInstance
from xcstore.render.labels import count_text, duration_text, visible_text

if TYPE_CHECKING:
    from xcstore.model.history import PersistedEvent
    from xcstore.units import EpochMs

__all__ = [
    "MARKS",
    "WINDOW",
    "Side",
    "change_text",
    "headline",
    "is_over",
    "notes",
    "page_of",
    "rows",
    "summary",
    "turn",
    "typical_text",
]

TableRow = dict[str, object]

WINDOW: Final = 200
"""Rows of the table that are shown at a time."""
_DEEPEST: Final = 8


class _Mark(NamedTuple):
    sign: str
    word: str
    accent: int
    """Number of its colour in `theme.ACCENTS`."""

    @property
    def text(self) -> str:
        return f"{self.sign} {self.word}"


MARKS: Final[Mapping[Kind, _Mark]] = {
    "same": _Mark("=", "same", 2),
    "changed": _Mark("≠", "changed", 3),
    "only left": _Mark("◀", "only left", 1),
    "only right": _Mark("▶", "only right", 0),
}
"""How each kind of row is marked, in tables and pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What is said about one side of a comparison."""

    name: str
    """'left' or 'right'."""
    total: int
    """Steps that are stored, or known; of which the comparison holds those that were compared."""
    at_least: bool = False
    """There may be more than `total`."""
    ended: bool | None = None
    """Instances: whether its last state is one where instances end; None where nobody knows."""
    until: EpochMs | None = None
    """Instances: up to when the store knows what happened."""


def headline(found: Comparison, left: Side, right: Side, *, traces: bool = False) -> str:
    """One sentence: how far they are the same, and what each did then."""
    if found.first is None:
        steps = count_text(found.left, "step")
        return f"Both caused the same {steps}." if traces else f"Both went the same way, {steps}."
    one, two = turn(found, found.first, traces=traces)
    if traces:
        same = found.counts["same"]
        start = f"{count_text(same, 'step is', 'steps are')} the same on both sides. The first difference: "
    elif found.first == 0:
        start = "Different from the first step: "
    else:
        start = f"The same for {count_text(found.first, 'step')}, then "
    named = traces
    if one is not None and two is not None:
        return f"{start}left {_did(one, named)} where right {_did(two, named)}."
    lone, name, other = (one, "left", "right") if one is not None else (two, "right", "left")
    assert lone is not None
    after = f", {duration_text(lone.after_ms)} after the step before" if lone.after_ms is not None else ""
    if not traces and is_over(found, found.first, other):
        side, last = (right, _last(found, "right")) if other == "right" else (left, _last(found, "left"))
        return f"{start}{other} has no further event{_waits(last, side)}, where {name} {_did(lone, named)}{after}."
    return f"{start}{name} {_did(lone, named)}{after}, which {other} did not."


def notes(found: Comparison, left: Side, right: Side, *, traces: bool = False) -> tuple[str, ...]:
    """What else is to be said: where states part, data that differ, what was not compared."""
    told: list[str] = []
    number = found.first_turn
    if number is not None and number != found.first:
        one, two = turn(found, number, traces=traces)
        sides = [f"{name} {_did(step, traces)}" for name, step in (("left", one), ("right", two)) if step is not None]
        told.append(f"The first difference in a change of state, in row {number + 1:,}: {' where '.join(sides)}.")
    differing = sum(row.data_differs for row in found.rows)
    if differing:
        told.append(
            f"The payloads differ in {count_text(differing, 'step')} that both have; "
            "ids and times in them nearly always do."
        )
    for side, compared in ((left, found.left), (right, found.right)):
        if compared < side.total or side.at_least:
            least = "at least " if side.at_least else ""
            told.append(f"Of {side.name}, the first {compared:,} of {least}{side.total:,} steps were compared.")
    if found.max_depth is not None:
        told.append(
            f"Compared {count_text(found.max_depth, 'link')} deep, as far as both sides were loaded: "
            "what is deeper would seem to be missing."
        )
    return tuple(told)


def summary(found: Comparison) -> str:
    """How many rows of each kind."""
    return " · ".join(f"{mark.sign} {found.counts[kind]:,} {mark.word}" for kind, mark in MARKS.items())


def typical_text(chosen: TypicalInstance | TypicalEvent) -> str:
    """How the right side was chosen."""
    if isinstance(chosen, TypicalEvent):
        whose = "whose instance reached a final state" if chosen.ended else "though its instance is in no final state"
        return (
            f"Right was chosen as typical: the latest such event of another instance {whose}, "
            f"of the {chosen.among:,} looked at."
        )
    ended = (
        "that reached a final state" if chosen.declared else "that ended, as far as that can be told without definition"
    )
    begun = f"{chosen.near:,} began with the same {count_text(chosen.turns, 'change')} of state as left, and "
    return (
        f"Right was chosen as typical: of the latest {chosen.among:,} instances of this machine {ended}, "
        f"{begun if chosen.turns else ''}{chosen.alike:,} {'of these ' if chosen.turns else ''}went the same way "
        f"through {count_text(chosen.states, 'state')}; the right one is the latest of those that begin most like left "
        f"({count_text(chosen.shared, 'step')} the same)."
    )


def rows(
    found: Comparison, *, traces: bool = False, differing: bool = False, page: int = 1
) -> tuple[tuple[TableRow, ...], tuple[str, ...], int]:
    """Rows of the table, the number of each as text, and how many pages of `WINDOW` rows there are.

    Parameters
    ----------
    differing : bool
        Only rows that are not the same on both sides.
    """
    numbers = [n for n, row in enumerate(found.rows) if not differing or row.kind != "same"]
    shown = numbers[(page - 1) * WINDOW : page * WINDOW]
    told = tuple(_table_row(found, number, traces=traces) for number in shown)
    return told, tuple(map(str, shown)), max(1, -(-len(numbers) // WINDOW))


def page_of(found: Comparison, number: int, *, differing: bool = False) -> int:
    """The page of the table that holds row `number`."""
    before = sum(1 for row in found.rows[:number] if not differing or row.kind != "same")
    return before // WINDOW + 1


def _table_row(found: Comparison, number: int, *, traces: bool) -> TableRow:
    row = found.rows[number]
    one, two = row.left, row.right
    mark = MARKS[row.kind].text + (", elsewhere too" if row.elsewhere else "")
    left, right = _cell(one), _cell(two)
    if row.kind == "changed" and left == right:  # only what they came from differs
        left, right = (_cell(step, whole=True) for step in (one, two))
    return {
        "step": number + 1,
        "compared": f"{mark}, first" if number == found.first else mark,
        **({"machine": _place(row)} if traces else {}),
        "left": left,
        "right": right,
        "left after": duration_text(one.after_ms) if one else "",
        "right after": duration_text(two.after_ms) if two else "",
        "difference": _signed(row.slower_ms),
    }


def _cell(step: Step | None, *, whole: bool = False) -> str:
    """What the step did; what it came from is in the row above, so it is told only where it is asked for."""
    if step is None:
        return ""
    event = step.event
    kind, after = visible_text(event.event_type, 60), visible_text(event.state_after, 60) or "(none)"
    if whole:
        return f"{kind}: {change_text(event)}"
    return f"{kind}, stays {after}" if event.state_before == event.state_after else f"{kind} → {after}"


def _place(row: Row) -> str:
    """The machine, set in as deep as the step is, up to some depth. En spaces, which a table keeps."""
    step = row.left or row.right
    return "\u2002" * min(step.depth, _DEEPEST) + visible_text(step.event.machine_name, 60) if step else ""


def _signed(ms: int | None) -> str:
    if ms is None:
        return ""
    return f"+{duration_text(ms)}" if ms > 0 else duration_text(ms)


def turn(found: Comparison, number: int, *, traces: bool = False) -> tuple[Step | None, Step | None]:
    """The step of either side at a difference: where one has none in the row, its next one before both are the same."""
    row = found.rows[number]
    one, two = row.left, row.right
    if traces:  # the row below is another branch
        return one, two
    for later in found.rows[number + 1 :]:
        if later.kind == "same" or (one is not None and two is not None):
            break
        one, two = one or later.left, two or later.right
    return one, two


def is_over(found: Comparison, number: int, side: str) -> bool:
    """Whether that side has no step from row `number` on."""
    return all((row.left if side == "left" else row.right) is None for row in found.rows[number:])


def _last(found: Comparison, side: str) -> Step | None:
    for row in reversed(found.rows):
        step = row.left if side == "left" else row.right
        if step is not None:
            return step
    return None


def _waits(last: Step | None, side: Side) -> str:
    if last is None:
        return ""
    state = visible_text(last.event.state_after, 60) or "(none)"
    if side.ended:
        return f" (it ended in {state})"
    if side.until is None:
        return f" (it is in {state})"
    return f" (it has been in {state} for {duration_text(max(0, side.until - last.event.persisted_at))})"


def _did(step: Step, named: bool) -> str:
    event = step.event
    kind = visible_text(event.event_type, 60)
    after = visible_text(event.state_after, 60) or "(none)"
    if event.state_before == event.state_after:
        did = f"had {kind}, staying in {after}"
    elif not event.state_before:
        did = f"began in {after} by {kind}"
    else:
        did = f"went to {after} by {kind}"
    return f"({visible_text(event.machine_name, 60)}) {did}" if named else did


def change_text(event: PersistedEvent) -> str:
    """'Draft → Reserving'; a creation has no state before."""
    return f"{visible_text(event.state_before, 60) or '(new)'} → {visible_text(event.state_after, 60) or '(none)'}"
