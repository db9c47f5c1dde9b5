"""One row of a comparison in full: both events, and what differs between them and in what was held after them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from xcstore.analysis.comparing import Comparison, Step, differences
from xcstore.analysis.context import Change, diff, fold, path_text
from xcstore.render.labels import duration_text, visible_text
from xcstore.views.compare import MARKS, TableRow, is_over, turn

if TYPE_CHECKING:
    from xcstore.model.definition import StateMachine

__all__ = ["PairView", "pair"]

MAX_CHANGES: Final = 200
"""Fields of one pair of events that are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairView:
    """One row of a comparison in full."""

    heading: str
    left: Step | None
    right: Step | None
    events: tuple[TableRow, ...] = field(hash=False)
    """What differs between the two events, the payload field by field; empty where one side has none."""
    values: tuple[TableRow, ...] = field(hash=False)
    """What differs in the values that the two held after it."""
    missing: str = ""
    """Said of a side that has no step here."""
    shown: str = ""
    """Said when not every field is listed."""


def pair(
    found: Comparison, number: int, left: StateMachine | None, right: StateMachine | None, *, traces: bool = False
) -> PairView:
    """One row in full. `left` and `right` are the machines of two instances, for what these held after it."""
    row = found.rows[number]
    one, two = (row.left, row.right)
    if row.kind != "same" and number == found.first:
        one, two = turn(found, number, traces=traces)
    first = "First difference" if number == found.first else MARKS[row.kind].text
    place = f"row {number + 1:,} of {len(found.rows):,}"
    heading = f"{first} · {place}"
    if one is None or two is None:
        over = not traces and is_over(found, number, "left" if one is None else "right")
        missing = "no further event" if over else "no such step"
        return PairView(heading=heading, left=one, right=two, events=(), values=(), missing=missing)
    told: list[TableRow] = []
    total = 0
    for difference in differences(one, two):
        if difference.changes:
            total += len(difference.changes)
            told += [_changed(change, "payload") for change in difference.changes[:MAX_CHANGES]]
        else:
            told.append(
                {"what": difference.what, "left": _text(difference.left), "right": _text(difference.right)},
            )
    held = () if traces else diff(_held(found, one, left, "left"), _held(found, two, right, "right"))
    return PairView(
        heading=heading,
        left=one,
        right=two,
        events=tuple(told),
        values=tuple(_changed(change, "") for change in held[:MAX_CHANGES]),
        shown=(
            f"shown the first {MAX_CHANGES:,} of {max(total, len(held)):,} fields that differ"
            if max(total, len(held)) > MAX_CHANGES
            else ""
        ),
    )


def _held(found: Comparison, step: Step, machine: StateMachine | None, side: str) -> object:
    """What the instance held after the step."""
    events = []
    for row in found.rows:
        own = row.left if side == "left" else row.right
        if own is not None:
            events.append(own.event)
            if own is step:
                break
    steps = fold(events, machine)
    return steps[-1].values if steps else {}


def _changed(change: Change, where: str) -> TableRow:
    path = path_text(change.path)
    what = f"{where}{'' if path.startswith('[') or not path or not where else '.'}{path}" or "(all)"
    return {
        "what": visible_text(what, 200),
        "left": "(absent)" if change.kind == "added" else _json(change.old),
        "right": "(absent)" if change.kind == "removed" else _json(change.new),
    }


def _text(value: object) -> str:
    if isinstance(value, int):
        return duration_text(value)
    return "–" if value is None else visible_text(value, 200) or "(none)"


def _json(value: object) -> str:
    try:
        return visible_text(json.dumps(value, ensure_ascii=False, default=str), 200)
    except RecursionError:
        return "(nested too deeply to show)"
