"""Events that caused one, or that it caused, along the links that can be relied on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from xcstore.analysis.causality import SUCCESSION, Link
from xcstore.analysis.inference import named_instance
from xcstore.model.catalog import Catalog
from xcstore.model.history import PersistedEvent
from xcstore.queries.causality import neighbourhood
from xcstore.store.base import Direction, Stores

__all__ = ["Around", "Trust", "linked_events", "tells"]

MAX_EVENTS: Final = 100

Trust = Literal["true", "inferred", "as recorded"]
"""What the links to it are worth, the least of them: recorded by a runtime that records true causes; found by a rule;
or recorded by one that may name something else as the cause."""
_TRUSTS: Final = ("true", "inferred", "as recorded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """Events around one, and whether they are all."""

    events: tuple[tuple[PersistedEvent, Trust], ...] = field(hash=False)
    """Nearest first, with what the links to them are worth; the one itself is left out."""
    read: int
    """Events around it that were read, whether or not the links to them tell anything."""
    cut: bool
    """There may be more."""


def tells(
    link: Link, cause: PersistedEvent | None, effect: PersistedEvent | None, catalog: Catalog | None = None
) -> bool:
    """Whether the one caused the other, as far as is known.

    A doubtful link tells nothing. What only came before in its instance caused nothing: an instance that serves many
    would link all of them. A runtime that names its previous transition as the cause says no more than that within an
    instance; from one instance to another it is believed only where definitions are at hand to judge that, or the
    effect itself names its parent.
    """
    if link.doubts or link.rule == SUCCESSION:
        return False
    if link.provenance == "inferred" or effect is None:
        return True
    if link.same_instance:
        return bool(effect.definition_hash)
    if cause is None:
        return True
    judged = catalog is not None and catalog.find_machine(cause.component_name, cause.machine_name) is not None
    return judged or _says_so(cause, effect)


def linked_events(
    stores: Stores,
    event_id: str,
    direction: Direction,
    *,
    catalog: Catalog | None = None,
    max_depth: int | None = None,
) -> Around:
    """Events around one, at most `max_depth` steps away.

    Only links that `tells` something are followed. At most `MAX_EVENTS` are read.

    Raises
    ------
    NotFoundError
        The event is not in the store.
    """
    found = neighbourhood(
        stores,
        event_id,
        direction=direction,
        mode="repaired",
        max_events=MAX_EVENTS,
        max_depth=max_depth,
        catalog=catalog,
    )
    events = found.graph.events
    steps: dict[str, list[tuple[str, Trust]]] = {}
    for link in found.graph.links:
        cause, effect = events.get(link.cause_id), events.get(link.effect_id)
        if not tells(link, cause, effect, catalog):
            continue
        start, end = (link.cause_id, link.effect_id) if direction == "effects" else (link.effect_id, link.cause_id)
        steps.setdefault(start, []).append((end, _trust(link, cause, effect)))
    reached: dict[str, Trust] = {event_id: "true"}
    level = [event_id]
    while level:
        following: list[str] = []
        for start in level:
            for end, trust in steps.get(start, ()):
                if end not in reached:
                    reached[end] = max(reached[start], trust, key=_TRUSTS.index)
                    following.append(end)
        level = following
    return Around(
        events=tuple((events[name], trust) for name, trust in reached.items() if name != event_id and name in events),
        read=len(events) - 1,
        cut=found.truncated,
    )


def _trust(link: Link, cause: PersistedEvent | None, effect: PersistedEvent | None) -> Trust:
    if link.provenance == "inferred":
        return "inferred"
    return "true" if cause is not None and effect is not None and _says_so(cause, effect) else "as recorded"


def _says_so(cause: PersistedEvent, effect: PersistedEvent) -> bool:
    # Our runtime stamps its events with a definition, and records true causes.
    return bool(effect.definition_hash) or named_instance(effect) == cause.instance_id
