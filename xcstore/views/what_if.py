"""What becomes of a fork beside what was recorded: one sentence, and rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Final, NamedTuple

from xcstore.analysis.context import Change, path_text
from xcstore.model.history import CREATION
from xcstore.render.labels import count_text, duration_text, moment_text, short_id, visible_text
from xcstore.views.what_if_steps import WINDOW, change_text

if TYPE_CHECKING:
    from xcstore.model.history import PersistedEvent
    from xcstore.replay.forks import ForkInstance, ForkResult, ForkStep, ForkVerdict

__all__ = [
    "MARKS",
    "change_rows",
    "first_difference",
    "headline",
    "instance_rows",
    "main_instance",
    "notes",
    "payload_text",
    "result_rows",
    "verdicts",
    "named",
    "whose",
]

TableRow = dict[str, object]

MAX_CHANGES: Final = 200
MANY: Final = 20
"""So many rows that are the same, or not known, are left out at first."""
SHOWN_ENDS: Final = 3
"""Instances that the sentence names."""


class Mark(NamedTuple):
    """How a verdict looks in tables and is told."""

    sign: str
    word: str
    meaning: str

    @property
    def text(self) -> str:
        return f"{self.sign} {self.word}"


MARKS: Final[Mapping[ForkVerdict, Mark]] = {
    "same": Mark("=", "same", "Happens in the fork as it was recorded"),
    "changed": Mark("≠", "changed", "Happens too, with another state, other values or at another time"),
    "rejected": Mark(
        "✕", "rejected", "Is sent, and not taken: the state ignores it, or the instance has ended or is not there"
    ),
    "unknown": Mark("?", "not known", "Depends on what somebody outside would have done: assumed in the run, no fact"),
    "new": Mark("+", "new", "Happens in the fork only"),
    "gone": Mark("−", "gone", "Was recorded, and does not happen in the fork"),
}


def main_instance(result: ForkResult, preferred: str = "") -> ForkInstance | None:
    """The instance that the pictures begin with: `preferred` where it ends elsewhere, else the first that does."""
    order = _in_order(result, preferred)
    return order[0] if order else None


def _in_order(result: ForkResult, preferred: str) -> list[ForkInstance]:
    """Those that end elsewhere first, and among them what is certain, then `preferred`."""
    return sorted(
        result.instances,
        key=lambda item: (
            item.recorded_state == item.forked_state,
            item.verdict == "unknown",
            item.verdict in ("new", "gone"),
            item.recorded_id != preferred,
        ),
    )


def headline(result: ForkResult, preferred: str = "", keys: Mapping[str, str] | None = None) -> str:
    """What becomes of it, in one sentence; nothing that rests on an assumption is told as a fact.

    Parameters
    ----------
    preferred : str
        Instance that the sentence is about where none ends elsewhere.
    keys : mapping, optional
        Business keys by instance.
    """
    if not result.instances:
        return "There is no instance in this fork."
    return f"{_ends_told(result, preferred, keys)}{_not_known(result, keys or {})}"


def _not_known(result: ForkResult, keys: Mapping[str, str]) -> str:
    """What of it nobody knows, and why: in every instance, not only in those whose ends are told."""
    unknown = [step for step in result.steps if step.verdict == "unknown"]
    if not unknown:
        return ""
    whom = Counter(whose(step, keys) for step in unknown)
    shown = ", ".join(f"{count:,} of {name}" for name, count in whom.most_common(SHOWN_ENDS))
    more = f" and of {count_text(len(whom) - SHOWN_ENDS, 'other instance')}" if len(whom) > SHOWN_ENDS else ""
    # A method that is called where nothing was recorded: whether somebody outside answers it is not known.
    methods = dict.fromkeys(result.run.rests_on[s.forked.id] for s in unknown if s.forked and _rests(result, s))
    names = " and ".join(visible_text(name, 80) for name in list(methods)[:2])
    taken = f" {names} was taken to do nothing, and nobody to answer." if names else ""
    return f" Not known: {len(unknown):,} of {count_text(len(result.steps), 'event')} ({shown}{more}).{taken}"


def _rests(result: ForkResult, step: ForkStep) -> bool:
    return step.recorded is None and step.forked is not None and step.forked.id in result.run.rests_on


def _ends_told(result: ForkResult, preferred: str, keys: Mapping[str, str] | None) -> str:
    order = _in_order(result, preferred)
    named = [(item, _name(item, keys or {})) for item in order]
    differing = [(item, name) for item, name in named if item.recorded_state != item.forked_state]
    if not differing:
        item = next((item for item in result.instances if item.recorded_id == preferred), order[0])
        return _same_end(result, item, _name(item, keys or {}))
    told = [_told(item, name) for item, name in differing[:SHOWN_ENDS]]
    more = len(differing) - len(told)
    if more:
        told.append(f"{count_text(more, 'other instance')} would be elsewhere too")
    return f"With this change {_listed(told)}."


def _same_end(result: ForkResult, item: ForkInstance, name: str) -> str:
    where = _ends(item.forked_state, item.forked_ended)
    if result.counts.get("same", 0) == len(result.steps) and not item.changes:
        return f"Nothing changes: {name} {where}, as recorded."
    if any(other.verdict == "unknown" for other in result.instances):
        return f"With this change {name} {where}, as recorded, if the others answer as is assumed here."
    how = "with other values" if item.changes else "by another way"
    return f"With this change {name} {where}, as recorded, but {how}."


def _told(item: ForkInstance, name: str) -> str:
    was, then = item.recorded_state, item.forked_state
    if then is None:
        return f"there is no {name}, which {_ended(was, item.recorded_ended)}"
    if was is None:
        if item.verdict == "unknown":
            return f"there may be a new {name}, in {_state(then)}, which rests on what is assumed"
        return f"there is a new {name}, in {_state(then)}"
    if item.verdict == "unknown":
        return f"{name} may be in {_state(then)} instead of {_state(was)}, which rests on what is assumed"
    # Of what goes on, nobody knows that it would stay there.
    how = "ends in" if item.forked_ended else "gets as far as"
    return f"{name} {how} {_state(then)} instead of {_state(was)}"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}, and {parts[-1]}"


def _name(item: ForkInstance, keys: Mapping[str, str]) -> str:
    own = item.recorded_id or item.forked_id or ""
    return f"{visible_text(item.machine_name, 60)} {visible_text(keys.get(own, ''), 40) or short_id(own)}"


def _state(state: str | None) -> str:
    return visible_text(state, 60) if state else "(none)"


def _ends(state: str | None, ended: bool) -> str:
    return f"ends in {_state(state)}" if ended else f"is in {_state(state)}"


def _ended(state: str | None, ended: bool) -> str:
    return f"ended in {_state(state)}" if ended else f"was in {_state(state)}"


def first_difference(result: ForkResult) -> int | None:
    """The first row that is not the same; None where all are."""
    return next((number for number, step in enumerate(result.steps) if step.verdict != "same"), None)


def notes(result: ForkResult, zone: tzinfo) -> tuple[str, ...]:
    """What is counted, how far the fork ran, and where it was cut."""
    told = []
    recorded = [step for step in result.steps if step.recorded is not None]
    outside = sum(step.position is None for step in recorded)
    if outside:
        told.append(
            f"Of {count_text(len(recorded), 'recorded event')}, {outside:,} are no steps of this history: what these "
            "instances did beside it. They are run anew too."
        )
    if result.cut:
        told.append(f"The run was cut: {result.cut_reason or 'it took too long'}. What comes after that is not told.")
    if result.until > result.end:
        told.append(
            f"The recording ends at {moment_text(result.end, zone)}; in the fork, timers ran on to "
            f"{moment_text(result.until, zone)}. Nothing else was sent in that time."
        )
    return tuple(told)


def verdicts(result: ForkResult) -> tuple[dict[ForkVerdict, str], list[ForkVerdict]]:
    """The verdicts that there are, each with its count; and those whose rows are shown at first.

    Where many rows are the same, or not known, these would hide the few that one looks for.
    """
    told = {
        kind: f"{mark.sign} {result.counts[kind]:,} {mark.word}" for kind, mark in MARKS.items() if result.counts[kind]
    }
    few = [kind for kind in told if kind not in ("same", "unknown") or result.counts[kind] <= MANY]
    return told, few or list(told)


def result_rows(
    result: ForkResult, *, keys: Mapping[str, str], kinds: Collection[ForkVerdict] = (), page: int = 1
) -> tuple[list[TableRow], list[str], int]:
    """Recorded and fork side by side, the number of each row as text, and how many pages there are.

    Parameters
    ----------
    kinds : collection of ForkVerdict
        Only rows of these; () for all.
    """
    numbers = [n for n, step in enumerate(result.steps) if not kinds or step.verdict in kinds]
    shown = numbers[(page - 1) * WINDOW : page * WINDOW]
    several = len(result.instances) > 1
    rows = [_result_row(result.steps[number], number, keys if several else None) for number in shown]
    if not any(row["later by"] for row in rows):
        for row in rows:
            del row["later by"]
    return rows, list(map(str, shown)), max(1, -(-len(numbers) // WINDOW))


def _result_row(step: ForkStep, number: int, keys: Mapping[str, str] | None) -> TableRow:
    return {
        "row": number + 1,
        "is": MARKS[step.verdict].text + (" ✎" if step.edited else ""),
        **({"instance": whose(step, keys)} if keys is not None else {}),
        "recorded": _cell(step.recorded),
        "in the fork": _cell(step.forked) or _sent(step),
        "later by": _later(step),
        "why": visible_text(step.reason, 300),
    }


def whose(step: ForkStep, keys: Mapping[str, str]) -> str:
    """The machine and instance of a step; one that is only sent, and not taken, has no event."""
    about = step.recorded or step.forked or step.input
    if about is None:
        return ""
    name = keys.get(about.instance_id) or short_id(about.instance_id)
    return f"{visible_text(about.machine_name, 40)} {visible_text(name, 40)}"


def named(step: ForkStep) -> str:
    """The type of the event, or of what was sent."""
    about = step.recorded or step.forked or step.input
    return visible_text(about.event_type, 60) if about is not None and about.event_type else CREATION


def _sent(step: ForkStep) -> str:
    return f"{named(step)}: not taken" if step.verdict == "rejected" else ""


def _cell(event: PersistedEvent | None) -> str:
    return "" if event is None else f"{visible_text(event.event_type, 60)}: {change_text(event)}"


def _later(step: ForkStep) -> str:
    if step.recorded is None or step.forked is None:
        return ""
    difference = step.forked.persisted_at - step.recorded.persisted_at
    return duration_text(difference) if difference else ""


def instance_rows(result: ForkResult, keys: Mapping[str, str]) -> tuple[list[TableRow], list[str]]:
    """What became of each instance on both sides, those that differ first; and an id for each row."""
    order = sorted(result.instances, key=lambda item: item.verdict == "same")
    rows: list[TableRow] = []
    for item in order:
        own = item.recorded_id or item.forked_id or ""
        rows.append(
            {
                "is": MARKS[item.verdict].text,
                "machine": visible_text(item.machine_name, 60),
                "instance": visible_text(keys.get(own, ""), 40) or short_id(own),
                "recorded end": _side(item.recorded_state, item.recorded_ended),
                "end in the fork": _side(item.forked_state, item.forked_ended),
                "took": _lasted(item.recorded_ms, item.recorded_ended),
                "takes in the fork": _lasted(item.forked_ms, item.forked_ended),
                "values differ": len(item.changes),
                "why": visible_text(item.reason, 300),
            }
        )
    return rows, [item.recorded_id or item.forked_id or "" for item in order]


def _lasted(ms: int | None, ended: bool) -> str:
    return duration_text(ms) if ended or ms is None else f"{duration_text(ms)} so far"


def _side(state: str | None, ended: bool) -> str:
    if state is None:
        return "–"
    return f"{_state(state)} (ended)" if ended else _state(state)


def change_rows(changes: Sequence[Change]) -> tuple[list[TableRow], str]:
    """Fields that differ, recorded against fork; and what is said when not all are listed."""
    rows: list[TableRow] = [
        {
            "field": visible_text(path_text(change.path) or "(all)", 200),
            "recorded": "(absent)" if change.kind == "added" else _json(change.old),
            "in the fork": "(absent)" if change.kind == "removed" else _json(change.new),
        }
        for change in changes[:MAX_CHANGES]
    ]
    shown = f"shown {MAX_CHANGES:,} of {len(changes):,} fields" if len(changes) > MAX_CHANGES else ""
    return rows, shown


def payload_text(event: PersistedEvent) -> str:
    """The payload, to be shown as code."""
    try:
        return json.dumps(event.payload, indent=2, ensure_ascii=True, default=str)[:20_000]
    except (RecursionError, ValueError):
        return "(nested too deeply to show)"


def _json(value: object) -> str:
    try:
        return visible_text(json.dumps(value, ensure_ascii=False, default=str), 200)
    except (RecursionError, ValueError):
        return "(nested too deeply to show)"
