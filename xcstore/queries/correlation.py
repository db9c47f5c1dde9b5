"""Everything that one business key touched, across all components.

A business key (an order number, a customer) is a value in payloads: nobody stores it as a column. An instance whose
creation mentions the key belongs to it, so its whole stream does; of any other instance (a stock item that serves
many orders) only the events that mention the key do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from xcstore.model.history import CREATION, PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.store.base import Cursor, EventQuery, Stores
from xcstore.store.filtering import scalar_text
from xcstore.units import EpochMs

__all__ = ["MAX_EVENTS", "MAX_INSTANCES", "Correlation", "Participant", "correlation"]

MAX_INSTANCES = 40
"""Most instances in one picture."""
MAX_EVENTS = 2_000
"""Most events read for the whole streams of those that belong."""
_PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """One instance that the key touched."""

    instance_id: str
    component_name: str
    machine_name: str
    belongs: bool
    """Its creation mentions the key: `events` is its whole stream. Else: only the events that mention the key."""
    events: tuple[PersistedEvent, ...]
    mentions: frozenset[str]
    """Ids of the events that mention the key themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """The instances that a key touched, by their first event."""

    key: str
    participants: tuple[Participant, ...]
    links: tuple[tuple[str, str], ...]
    """(cause id, effect id), as recorded, between events of different instances shown here."""
    searched_to: EpochMs | None = None
    """Set when the search stopped at a limit: older events were not looked at."""
    next: Cursor | None = None
    """Where the search would go on."""
    hidden_instances: int = 0
    """How many more instances were found than are shown."""
    cut: bool = False
    """Some stream is longer than what was read."""


def correlation(stores: Stores, key: str, *, max_mentions: int = 1_000) -> Correlation:
    """Find what `key` touched; the search goes back from the newest event and is bounded in time and number."""
    found: dict[str, list[PersistedEvent]] = defaultdict(list)
    after: Cursor | None = None
    searched_to: EpochMs | None = None
    count = 0
    while True:
        page = stores.events.find(EventQuery(text=key), after=after, limit=_PAGE, newest_first=True)
        for event in page.items:
            if _holds(event.payload, key):
                found[event.instance_id].append(event)
                count += 1
        after = page.next
        if after is None:
            break
        if page.searched_to is not None or count >= max_mentions:
            searched_to = page.searched_to or page.items[-1].persisted_at
            break

    ids = sorted(found, key=lambda name: min(event.persisted_at for event in found[name]))
    shown = ids[:MAX_INSTANCES]
    whole = tuple(name for name in shown if any(event.event_type == CREATION for event in found[name]))
    streams: dict[str, list[PersistedEvent]] = defaultdict(list)
    cut = False
    if whole:
        read = stores.events.find(EventQuery(instance_ids=whole), limit=MAX_EVENTS)
        cut = read.next is not None
        for event in read.items:
            streams[event.instance_id].append(event)
    participants = tuple(_participant(name, found[name], streams.get(name)) for name in shown)

    owner = {event.id: participant.instance_id for participant in participants for event in participant.events}
    links = tuple(
        (cause, event.id)
        for participant in participants
        for event in participant.events
        for cause in event.caused_by
        if cause in owner and owner[cause] != participant.instance_id
    )
    return Correlation(
        key=key,
        participants=participants,
        links=links,
        searched_to=searched_to,
        next=after if searched_to is not None else None,
        hidden_instances=len(ids) - len(shown),
        cut=cut,
    )


def _holds(payload: object, key: str) -> bool:
    """Whether a value (not a name) in the payload is exactly `key`."""
    pending = [payload]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            pending += value.values()
        elif isinstance(value, (list, tuple)):
            pending += value
        elif scalar_text(value) == key:
            return True
    return False


def _participant(name: str, found: list[PersistedEvent], stream: list[PersistedEvent] | None) -> Participant:
    events = order_stream(stream if stream is not None else found)
    return Participant(
        instance_id=name,
        component_name=events[0].component_name,
        machine_name=events[0].machine_name,
        belongs=stream is not None,
        events=tuple(events),
        mentions=frozenset(event.id for event in found),
    )
