"""The events of one instance: the table, one event and what it changed, and which events set a field."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from xcstore.analysis.context import RULES_UNKNOWN, Change, ContextStep, FieldSet, diff, field_history, path_text
from xcstore.model.history import CREATION
from xcstore.render.labels import moment_text, visible_text

if TYPE_CHECKING:
    from datetime import tzinfo

    from xcstore.model.history import PersistedEvent
    from xcstore.views.instances import InstanceView

__all__ = ["EventView", "change_rows", "event_rows", "event_view", "field_rows", "field_sets", "page_of"]

Row = dict[str, object]

WINDOW = 200
"""Rows of the event table that are shown at a time."""
MAX_SETS = 500
"""Rows of the history of one field."""
MAX_JSON = 100_000
"""Characters of a document that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """One event of an instance, and what it did to the values."""

    event: PersistedEvent
    heading: str
    position: str
    previous_id: str | None
    next_id: str | None
    values: str
    """JSON of what the instance held after it."""
    payload: str
    source: str
    """Where the values come from, in words."""
    notes: tuple[str, ...]
    changes: tuple[Row, ...] = field(hash=False)
    changed_paths: tuple[str, ...]
    disagreement: tuple[Row, ...] = field(hash=False)
    """Recorded values against the fold, where they differ."""


def event_rows(
    view: InstanceView, *, zone: tzinfo, selected: str | None = None, page: int = 1
) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Rows of the event table, newest first, and the id of each; `WINDOW` of them, from `page` on."""
    newest = view.steps[::-1]
    window = newest[(page - 1) * WINDOW : page * WINDOW]
    rows: list[Row] = []
    for offset, step in enumerate(window):
        index = len(newest) - 1 - ((page - 1) * WINDOW + offset)
        before = view.steps[index - 1].values if index else {}
        event = step.event
        rows.append(
            {
                "selected": "▶" if event.id == selected else "",
                "stored at": moment_text(event.persisted_at, zone, millis=True),
                "event": visible_text(event.event_type, 80),
                "from": visible_text(event.state_before, 80),
                "to": visible_text(event.state_after, 80),
                "fields changed": _changed(diff(before, step.values))
                if index or event.event_type == CREATION
                else "unknown",
                "values": step.source,
                "remarks": "; ".join(_marks(step)),
                "event id": visible_text(event.id, 80),
            }
        )
    return tuple(rows), tuple(step.event.id for step in window)


def page_of(view: InstanceView, event_id: str | None) -> int:
    """Page of the event table that holds the event; 1 where there is none."""
    for position, step in enumerate(reversed(view.steps)):
        if step.event.id == event_id:
            return position // WINDOW + 1
    return 1


def event_view(view: InstanceView, event_id: str, *, zone: tzinfo) -> EventView | None:
    """The event and its effect on the values; None where it is not among the loaded events."""
    index = next((number for number, step in enumerate(view.steps) if step.event.id == event_id), None)
    if index is None:
        return None
    step = view.steps[index]
    event = step.event
    changes = diff(view.steps[index - 1].values if index else {}, step.values)
    first = index == 0 and event.event_type != CREATION
    return EventView(
        event=event,
        heading=f"{event.event_type}: {event.state_before or '(new)'} → {event.state_after}",
        position=(
            f"event {index + 1 + view.older:,} of {len(view.steps) + view.older:,} · "
            f"stored {moment_text(event.persisted_at, zone, millis=True)}"
        ),
        previous_id=view.steps[index - 1].event.id if index else None,
        next_id=view.steps[index + 1].event.id if index + 1 < len(view.steps) else None,
        values=_json(step.values),
        payload=_json(event.payload),
        source=_source(step),
        # What the fold does not know is beside the point where the values are recorded and it agrees.
        notes=tuple(note for note in step.notes if not (step.agrees and note == RULES_UNKNOWN)),
        changes=() if first else change_rows(changes),
        changed_paths=() if first else tuple(path_text(change.path) for change in changes),
        disagreement=change_rows(diff(step.folded, step.values)) if step.agrees is False else (),
    )


def field_rows(sets: Sequence[FieldSet], *, zone: tzinfo) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Rows for the newest `MAX_SETS` of the history of one field, newest first, and the event of each."""
    rows: list[Row] = []
    newest = list(reversed(sets))[:MAX_SETS]
    for item in newest:
        event = item.step.event
        rows.append(
            {
                "stored at": moment_text(event.persisted_at, zone, millis=True),
                "value": "(removed)" if item.change.kind == "removed" else _short_json(item.change.new),
                "before": "(absent)" if item.change.kind == "added" else _short_json(item.change.old),
                "set by event": visible_text(event.event_type, 80),
                "from": visible_text(event.state_before, 80),
                "to": visible_text(event.state_after, 80),
                "where the value came from": _origin(item),
                "values": item.step.source,
                "event id": visible_text(event.id, 80),
            }
        )
    return tuple(rows), tuple(item.step.event.id for item in newest)


def field_sets(view: InstanceView, path: Sequence[str | int]) -> tuple[FieldSet, ...]:
    """The loaded events that set the field, oldest first."""
    return field_history(view.steps, tuple(path))


def change_rows(changes: Sequence[Change]) -> tuple[Row, ...]:
    marks: dict[Literal["added", "removed", "changed"], str] = {
        "added": "+ added",
        "removed": "− removed",
        "changed": "± changed",
    }
    return tuple(
        {
            "field": visible_text(path_text(change.path), 200) or "(all)",
            "change": marks[change.kind],
            "before": "" if change.kind == "added" else _short_json(change.old),
            "after": "" if change.kind == "removed" else _short_json(change.new),
        }
        for change in changes
    )


def _marks(step: ContextStep) -> list[str]:
    marks = ["chain breaks"] if any(note.startswith("the chain breaks") for note in step.notes) else []
    if step.agrees is False:
        marks.append("recorded values differ from the fold")
    return marks + [visible_text(fault, 80) for fault in step.event.faults]


def _source(step: ContextStep) -> str:
    where = f"{step.holder} after this event"
    if step.source == "recorded":
        same = "equals" if step.agrees else "differs from"
        return f"{where}: recorded; {same} what the payload folds to"
    how = {
        "initial": "the initial context of the creation",
        "merged": "the payload is merged in, as the transition has no matching rules",
        "kept": "the payload is not merged in, as the transition has matching rules",
        "assumed": "the payload is merged in; matching rules unknown",
        "nothing": "there is no payload to merge in",
    }[step.merge]
    return f"{where}: folded; {how}"


def _origin(item: FieldSet) -> str:
    if item.change.kind == "removed":
        return "removed; payloads cannot do that" if item.step.source == "recorded" else "removed"
    if item.origin is None:
        return "not in the payload of this event"
    place = f"payload.{path_text(item.origin.path)}"
    return place if item.origin.how == "same place" else f"{place} holds an equal value"


def _changed(changes: Sequence[Change]) -> str:
    names = [path_text(change.path) for change in changes[:4]]
    more = f" +{len(changes) - 4}" if len(changes) > 4 else ""
    return visible_text(", ".join(names), 100) + more


def _json(value: object) -> str:
    """Indented JSON with nothing hidden in it, cut where a browser would suffer."""
    try:
        text = json.dumps(value, ensure_ascii=False, indent=2, default=str)
    except RecursionError:
        return "(nested too deeply to show)"
    shown = "\n".join(visible_text(line) for line in text[:MAX_JSON].split("\n"))
    return shown if len(text) <= MAX_JSON else f"{shown}\n… shown {MAX_JSON:,} of {len(text):,} characters"


def _short_json(value: object, limit: int = 200) -> str:
    try:
        return visible_text(json.dumps(value, ensure_ascii=False, default=str), limit)
    except RecursionError:
        return "(nested too deeply to show)"
