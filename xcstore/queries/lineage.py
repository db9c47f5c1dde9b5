"""Where the value of a field came from: step by step backwards, through the instances that handed it on."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from xcstore.analysis.causality import SUCCESSION, Link
from xcstore.analysis.context import ContextStep, FieldSet, Origin, Path, field_history, fold, value_at
from xcstore.analysis.lineage import Match, Place, declared_sources, find_place, is_common, is_masked
from xcstore.model.catalog import Catalog
from xcstore.model.definition import StateMachine
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.queries.causality import neighbourhood
from xcstore.queries.linked import tells
from xcstore.store.base import EventQuery, Stores

__all__ = ["MAX_SECONDS", "MAX_STEPS", "End", "Lineage", "LineageStep", "Via", "lineage"]

MAX_STEPS: Final = 20
MAX_SECONDS: Final = 5.0
"""How long the whole walk may go on, where nothing else is asked for."""
MAX_EVENTS: Final = 5_000
"""Events of one instance that are read to find the one that set the field."""
MAX_CAUSES: Final = 20
"""Causes of one event that are looked into."""

End = Literal[
    "outside",
    "made here",
    "not in the cause",
    "too common",
    "masked",
    "doubtful",
    "cause not stored",
    "not loaded",
    "absent",
    "repeated",
    "limit",
    "time",
]
"""Why the walk stops. `outside`: the event has no cause. `made here`: the value is not in the payload of the event that
set it. `not in the cause`: the event brought it, and no cause holds it. `too common`: an equal value in the cause would
say nothing. `doubtful`: a cause is recorded that cannot be relied on. `not loaded`: the loaded part of the instance's
history starts with the value. `absent`: the instance does not hold the field after that event. `limit`, `time`: there
may be more."""

_ABSENT: Final = object()
_BEST: Final[tuple[Match, ...]] = ("declared", "same name", "equal value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Via:
    """How the walk went on from one event to what caused it."""

    link: Link
    cause: PersistedEvent
    place: Place
    """Where the cause, or what its instance held after it, has an equal value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageStep:
    """The value in one instance, or in one event only."""

    event: PersistedEvent
    """The event that set the field; where `path` is empty, the event that carried the value and set nothing."""
    path: Path
    """The field of the instance; () where only the payload of the event is known to hold the value."""
    value: object = field(hash=False)
    origin: Origin | None
    """Where in the payload of the event it stands."""
    setting: FieldSet | None = None
    """What the fold knows about it; None where `path` is empty."""
    via: Via | None = None
    """How the next step was found; None for the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """The steps, latest first, and why there is no further one."""

    steps: tuple[LineageStep, ...]
    end: End
    missing: tuple[str, ...] = ()
    """Causes of the last step's event that are not in the store."""


def lineage(
    stores: Stores,
    event_id: str,
    path: Path,
    *,
    catalog: Catalog | None = None,
    max_steps: int = MAX_STEPS,
    max_seconds: float | None = MAX_SECONDS,
) -> Lineage:
    """Where the value came from that an instance held at `path` after the event.

    Within an instance the event that set the field is known from the fold. From there to what caused that event, the
    value is followed by the causal link (recorded, or inferred where the recorded one is doubtful) and by an equal
    value: likely, never certain.

    Parameters
    ----------
    event_id : str
        An event of the instance; the value is the one that the instance held after it.
    path : Path
        The field, as `analysis.context.parse_path` reads it.
    catalog : Catalog, optional
        Definitions: where they name the place a value is copied from, that place is looked at first.
    max_steps : int
        Most steps.
    max_seconds : float, optional
        How long to look for causes; the steps found until then are the answer. None for no limit.

    Raises
    ------
    NotFoundError
        The event is not in the store.
    """
    until = math.inf if max_seconds is None else time.monotonic() + max_seconds
    event, place = stores.events.get_event(event_id), Place(within="values", path=path, how="declared")
    steps: list[LineageStep] = []
    seen: set[tuple[str, Path]] = set()
    while True:
        step, end = _step(stores, catalog, event, place)
        if step is None:
            return _ended(steps, "absent" if not steps else end or "not loaded")
        key = step.event.id, step.path or (step.origin.path if step.origin else ())
        if key in seen:
            return _ended(steps, "repeated")
        seen.add(key)
        steps.append(step)
        if end is not None or step.origin is None:
            return _ended(steps, end or "made here")
        if len(steps) >= max_steps:
            return _ended(steps, "limit")
        via, end, missing = _cause(stores, catalog, step, step.origin, until)
        if via is None:
            return _ended(steps, end, missing)
        steps[-1] = replace(step, via=via)
        event, place = via.cause, via.place


def _ended(steps: list[LineageStep], end: End, missing: tuple[str, ...] = ()) -> Lineage:
    # Where the walk does not go on, nothing was gone through.
    return Lineage(steps=(*steps[:-1], *(replace(step, via=None) for step in steps[-1:])), end=end, missing=missing)


def _step(
    stores: Stores, catalog: Catalog | None, event: PersistedEvent, place: Place
) -> tuple[LineageStep | None, End | None]:
    """Which event brought the value that stands at `place`, and whether that is already the end."""
    stream, cut = _stream_to(stores, event)
    steps = fold(stream, _machine(catalog, event))
    if place.within == "payload":
        step = _carried(event, place.path, steps)
        return step, "masked" if is_masked(step.value) else None
    if not steps or value_at(steps[-1].values, place.path, _ABSENT) is _ABSENT:
        return None, "absent"
    setting = field_history(steps, place.path)[-1]
    step = _set(setting)
    if is_masked(step.value):
        return step, "masked"
    late = setting.step is steps[0] and (cut or setting.step.event.event_type != CREATION)
    return step, "not loaded" if late and step.origin is None else None


def _set(setting: FieldSet) -> LineageStep:
    return LineageStep(
        event=setting.step.event,
        path=setting.change.path,
        value=setting.change.new,
        origin=setting.origin,
        setting=setting,
    )


def _carried(event: PersistedEvent, path: Path, steps: Sequence[ContextStep]) -> LineageStep:
    """A value in the payload of the event; with the field of the instance, where the event set one of that name."""
    plain = path[1:] if path[:1] == ("initialContext",) else path
    settings = field_history(steps, plain)[-1:]
    if settings and settings[0].step.event.id == event.id and settings[0].origin == Origin(path=path, how="same place"):
        return _set(settings[0])
    value = value_at(event.payload, path)
    return LineageStep(event=event, path=(), value=value, origin=Origin(path=path, how="same place"))


def _stream_to(stores: Stores, event: PersistedEvent) -> tuple[list[PersistedEvent], bool]:
    """The instance's history up to and with the event, at most `MAX_EVENTS`, and whether older events are left out."""
    query = EventQuery(instance_ids=(event.instance_id,), end=event.persisted_at)
    page = stores.events.find(query, limit=MAX_EVENTS, newest_first=True)
    stream = order_stream(page.items)
    position = next((number for number, item in enumerate(stream) if item.id == event.id), len(stream) - 1)
    return stream[: position + 1], page.next is not None


def _cause(
    stores: Stores, catalog: Catalog | None, step: LineageStep, origin: Origin, until: float
) -> tuple[Via | None, End, tuple[str, ...]]:
    """The cause that holds the value; else why there is none, and the causes that are not stored."""
    near = neighbourhood(
        stores,
        step.event.id,
        direction="causes",
        mode="repaired",
        max_events=MAX_CAUSES + 1,
        max_depth=1,
        max_seconds=None if until == math.inf else max(0.0, until - time.monotonic()),
        catalog=catalog,
    )
    # Out of time, not all causes were looked for.
    if time.monotonic() >= until:
        return None, "time", ()
    # What only came before it in its instance caused nothing.
    all_links = [link for link in near.graph.links if link.effect_id == step.event.id and link.rule != SUCCESSION]
    links = [link for link in all_links if tells(link, near.graph.events.get(link.cause_id), step.event, catalog)]
    if not links:
        none: End = "limit" if near.truncated else "outside"
        return None, "doubtful" if all_links else none, ()
    found: list[Via] = []
    missing: list[str] = []
    for link in links[:MAX_CAUSES]:
        cause = near.graph.events.get(link.cause_id)
        if cause is None:
            missing.append(link.cause_id)
            continue
        if time.monotonic() >= until:
            return None, "time", ()
        machine = _machine(catalog, cause)
        stream, _ = _stream_to(stores, cause)
        held = fold(stream, machine)
        place = find_place(
            step.value,
            origin.path,
            payload=cause.payload,
            values=held[-1].values if held else {},
            declared=declared_sources(machine, cause, step.event, origin.path),
        )
        if place is not None:
            found.append(Via(link=link, cause=cause, place=place))
    if found:
        return min(found, key=lambda via: _BEST.index(via.place.how)), "limit", ()
    if len(links) >= MAX_CAUSES:
        return None, "limit", tuple(missing)
    if len(missing) == len(links):
        return None, "cause not stored", tuple(missing)
    return None, "too common" if is_common(step.value) else "not in the cause", tuple(missing)


def _machine(catalog: Catalog | None, event: PersistedEvent) -> StateMachine | None:
    return catalog.find_machine(event.component_name, event.machine_name) if catalog is not None else None
