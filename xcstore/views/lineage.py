"""Where a field's value came from, as sentences and as rows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xcstore.analysis.context import RULES_UNKNOWN, path_text
from xcstore.render.labels import count_text, moment_text, short_id, visible_text
from xcstore.render.theme import PROVENANCES, find_look

if TYPE_CHECKING:
    from datetime import tzinfo

    from xcstore.model.history import PersistedEvent
    from xcstore.queries.lineage import Lineage, LineageStep, Via

__all__ = ["LineageView", "StepView", "build"]

Row = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One step, as stored text: escape it."""

    instance_id: str
    event_id: str
    name: str
    """'Parcel 019d…26c6'."""
    component: str
    field: str
    """The field of the instance, as the address names it; '' where only the event is known to hold the value."""
    place: str
    """The field, or where in the event's payload the value stands."""
    value: str
    setting: str
    """Which event set it, when, and how that is known."""
    handed_on: str
    """How the walk went on to the next step; '' for the last."""
    crosses: bool
    """Whether the next step is in another component."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageView:
    """Everything that is shown of one walk."""

    steps: tuple[StepView, ...]
    rows: tuple[Row, ...] = field(hash=False)
    summary: str
    end: str
    """Why there is no step before the last one."""


def build(found: Lineage, *, zone: tzinfo) -> LineageView:
    """The view of a walk."""
    steps = tuple(_step(step, zone) for step in found.steps)
    components = dict.fromkeys(step.event.component_name for step in found.steps)
    instances = dict.fromkeys(step.event.instance_id for step in found.steps)
    summary = (
        f"{count_text(len(steps), 'step')} back through {count_text(len(instances), 'instance')} of "
        f"{count_text(len(components), 'component')}"
    )
    return LineageView(
        steps=steps,
        rows=tuple(_row(number, step, zone) for number, step in enumerate(found.steps, start=1)),
        summary=summary,
        end=_end(found),
    )


def _step(step: LineageStep, zone: tzinfo) -> StepView:
    event = step.event
    kind, before, after = (visible_text(text, 80) for text in (event.event_type, event.state_before, event.state_after))
    return StepView(
        instance_id=event.instance_id,
        event_id=event.id,
        name=_name(event),
        component=visible_text(event.component_name, 80) or "(no component)",
        field=path_text(step.path),
        place=_place(step),
        value=_json(step.value),
        setting=(
            f"{'set' if step.path else 'carried'} by {kind}: {before or '(new)'} → {after} at "
            f"{moment_text(event.persisted_at, zone, millis=True)} · {_known(step)}"
        ),
        handed_on=_handed_on(step.via) if step.via else "",
        crosses=bool(step.via and step.via.cause.component_name != event.component_name),
    )


def _row(number: int, step: LineageStep, zone: tzinfo) -> Row:
    event, via = step.event, step.via
    return {
        "step": number,
        "component": visible_text(event.component_name, 80) or "(none)",
        "machine": visible_text(event.machine_name, 80),
        "field": visible_text(_place(step), 120),
        "value": _json(step.value),
        "set by event": visible_text(event.event_type, 80),
        "stored at": moment_text(event.persisted_at, zone, millis=True),
        "how it is known": visible_text(_known(step), 200),
        "came with": visible_text(f"{via.cause.event_type} of {_name(via.cause)}", 120) if via else "",
        "link": _link(via, find_look(PROVENANCES, via.link.standing).text) if via else "",
        "equal value in": visible_text(_found(via), 200) if via else "",
        "instance": visible_text(event.instance_id, 80),
        "event id": visible_text(event.id, 80),
    }


def _name(event: PersistedEvent) -> str:
    return f"{visible_text(event.machine_name, 80)} {short_id(event.instance_id)}"


def _place(step: LineageStep) -> str:
    return path_text(step.path) or f"payload.{path_text(step.origin.path if step.origin else ())}"


def _known(step: LineageStep) -> str:
    """How sure it is that the event set the field, and where in the event the value stands."""
    if step.setting is None:
        return "the event carries it, and set no field of that name"
    where = f"payload.{path_text(step.origin.path)}" if step.origin else ""
    context, how = step.setting.step, step.origin.how if step.origin else ""
    if how == "same place" and context.merge in ("initial", "merged"):
        return f"exact: from {where}"
    if how == "same place" and context.merge == "assumed":
        return f"from {where}, {RULES_UNKNOWN}" if context.source == "folded" else f"recorded; from {where}"
    if where:
        said = "exact that it did, as recorded" if context.source == "recorded" else "as folded"
        return f"{said}; {where} holds an equal value, so user code is likely to have taken it from there"
    return "not in its payload, so user code made it or took it from elsewhere"


def _handed_on(via: Via) -> str:
    cause, standing = via.cause, find_look(PROVENANCES, via.link.standing).word
    return (
        f"by causal link and equal value: caused by {visible_text(cause.event_type, 80)} of {_name(cause)} "
        f"({visible_text(cause.component_name, 80) or 'no component'}) · {_link(via, standing)} · {_found(via)}"
    )


def _link(via: Via, standing: str) -> str:
    said = "; ".join(via.link.doubts) or via.link.evidence
    return f"{standing} link" + (f": {visible_text(said, 200)}" if said else "")


def _found(via: Via) -> str:
    place = via.place
    where = f"payload.{path_text(place.path)}" if place.within == "payload" else path_text(place.path)
    told = {
        "declared": f"the definition takes it from {where}, which holds an equal value",
        "same name": f"{where}, of the same name, holds an equal value",
        "equal value": f"{where} holds an equal value",
    }[place.how]
    return told + (f"; so do {count_text(place.others, 'other place', 'other places')}" if place.others else "")


def _end(found: Lineage) -> str:
    if not found.steps:
        return "After this event the instance does not hold the field."
    last = found.steps[-1].event
    name = f"{visible_text(last.event_type, 80)} of {_name(last)}"
    if found.end == "outside":
        return f"The value came from outside with {name}: no cause of that event is known."
    if found.end == "cause not stored":
        missing = ", ".join(short_id(item) for item in found.missing[:3])
        return f"{name} brought the value; its cause ({missing}) is not in this store."
    return {
        "made here": f"The value is not in the payload of {name}: it was made there, by user code.",
        "not in the cause": f"{name} brought the value, and what caused that event does not hold it: "
        "it came from outside, or user code made it.",
        "doubtful": f"{name} brought the value; the cause recorded for it cannot be relied on, so it is not followed.",
        "too common": f"What caused {name} cannot be searched for this value: it is too common to tell.",
        "masked": "The value, or part of it, is hidden by the configuration, so it cannot be followed.",
        "not loaded": "The history that could be read starts with this value; what set it is earlier.",
        "absent": "The walk stops: the instance before does not hold the field.",
        "repeated": "The causes lead in a circle; the walk stops where it began to repeat.",
        "limit": f"The walk stops here after {count_text(len(found.steps), 'step')}; there may be more before.",
        "time": f"Looking for what caused {name} took too long; the walk stops here after "
        f"{count_text(len(found.steps), 'step')}, and there may be more before.",
    }[found.end]


def _json(value: object, limit: int = 120) -> str:
    try:
        return visible_text(json.dumps(value, ensure_ascii=False, default=str), limit)
    except RecursionError:
        return "(nested too deeply to show)"
