"""Everything that one business key touched, across all components.

A business key (an order number, a customer) is a value in payloads: nobody stores it as a column. An instance whose
creation mentions the key belongs to it, so its whole stream does; of any other instance (a stock item that serves
many orders) only the events that mention the key do. Where the path of the key is given, the value counts at that
path only, and the store itself looks there.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from xcstore.analysis.causality import Mode, causal_graph, linked_graph
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.queries.causality import Neighbourhood, links_between
from xcstore.redaction import MASK
from xcstore.store.base import Cursor, EventQuery, Stores
from xcstore.store.filtering import path_matches, scalar_text
from xcstore.units import EpochMs

__all__ = [
    "MAX_EVENTS",
    "MAX_INSTANCES",
    "MAX_PATHS",
    "MAX_SECONDS",
    "Correlation",
    "Participant",
    "Path",
    "as_neighbourhood",
    "correlation",
]

Path = tuple[str, ...]
"""Keys, or list positions as text, from the payload's root."""

MAX_INSTANCES = 40
"""Most instances in one picture."""
MAX_EVENTS = 2_000
"""Most events read for the whole streams of those that belong."""
MAX_PATHS = 20
"""Most paths that are told; the value of a list may be at hundreds."""
MAX_SECONDS = 8.0
"""How long a key is looked for, page by page."""
_PAGE = 500
_Place = tuple["_Place", str] | None
_INITIAL = "initialContext"
"""Under this key a creation holds what others hold at the root of their payload."""


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
    path: Path = ()
    """Where in payloads the key was looked for; () anywhere."""
    paths: tuple[tuple[Path, int], ...] = ()
    """Where the found events hold it, and how many do; the most frequent first, at most `MAX_PATHS`. Creations count
    with their `initialContext` as the root."""
    participants: tuple[Participant, ...]
    links: tuple[tuple[str, str], ...]
    """(cause id, effect id), as recorded, between events of different instances shown here."""
    searched_to: EpochMs | None = None
    """Set when the search stopped at a limit: older events were not all looked at."""
    next: Cursor | None = None
    """Where a search in all text would go on; None for a search by path."""
    hidden_instances: int = 0
    """How many more instances were found than are shown."""
    cut: bool = False
    """Some stream is longer than what was read."""
    unshown_causes: tuple[str, ...] = ()
    """Events that shown ones name as causes, and that are not shown: links to them are not in `links`."""

    @property
    def events(self) -> tuple[PersistedEvent, ...]:
        """Those of all participants, by time."""
        every = (event for participant in self.participants for event in participant.events)
        return tuple(sorted(every, key=_place_in_time))


def correlation(
    stores: Stores, key: str, path: Path = (), *, max_mentions: int = 1_000, max_seconds: float = MAX_SECONDS
) -> Correlation:
    """Find what `key` touched; the search goes back from the newest event and is bounded in time and number.

    Parameters
    ----------
    key : str
        The whole value. What is masked is not found, and neither is the mask.
    path : tuple of str, optional
        Where payloads hold it; creations also hold it there under `initialContext`. Numbers compare by value then:
        '42' finds 42.0. Without it the value may be anywhere.
    max_mentions : int
        Most events that mention it.
    max_seconds : float
        After so long no further page is asked for; the store bounds the time of each. A key that is a part of other
        values is found in many events that do not count as mentions.

    Raises
    ------
    QueryError
        The path is masked.
    """
    found: dict[str, list[PersistedEvent]] = defaultdict(list)
    paths: dict[Path, int] = defaultdict(int)
    after: Cursor | None = None
    searched_to: EpochMs | None = None
    seen: set[str] = set()
    until = time.monotonic() + max_seconds
    for query in _queries(key, path):
        after, reached = None, 0
        while True:
            page = stores.events.find(query, after=after, limit=_PAGE, newest_first=True)
            for event in page.items:
                if event.id in seen or not (places := _places(event.payload, key, path)):
                    continue
                seen.add(event.id)
                found[event.instance_id].append(event)
                reached += 1
                for place in {_without_initial(event, place) for place in places}:
                    paths[place] += 1
            after = page.next
            if after is None:
                break
            if page.searched_to is not None or reached >= max_mentions or time.monotonic() >= until:
                back_to = page.searched_to or page.items[-1].persisted_at
                searched_to = back_to if searched_to is None else max(searched_to, back_to)
                break

    ids = sorted(found, key=lambda name: (min(_place_in_time(event) for event in found[name]), name))
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
    recorded = [
        (cause, event.id) for participant in participants for event in participant.events for cause in event.caused_by
    ]
    links = tuple((cause, effect) for cause, effect in recorded if cause in owner and owner[cause] != owner[effect])
    return Correlation(
        key=key,
        path=path,
        paths=tuple(sorted(paths.items(), key=lambda item: (-item[1], len(item[0]), item[0]))[:MAX_PATHS]),
        participants=participants,
        links=links,
        searched_to=searched_to,
        next=after if searched_to is not None and not path else None,
        hidden_instances=len(ids) - len(shown),
        cut=cut,
        unshown_causes=tuple(dict.fromkeys(cause for cause, _ in recorded if cause not in owner)),
    )


def as_neighbourhood(
    stores: Stores, found: Correlation, *, mode: Mode = "recorded", catalog: Catalog | None = None
) -> Neighbourhood | None:
    """All events of a business key with the links between them, as if traced from the first one; None without events.

    It is `truncated` where something was left out: instances, ends of long streams, a part of the search, or causes
    that are not among these events. The latter are counted as `unread`. What is recorded is at hand; the other modes
    ask the store for what stands around these events.
    """
    events = found.events
    if not events:
        return None
    among = {event.id for event in events}
    recorded = dict.fromkeys((cause, event.id) for event in events for cause in event.caused_by)
    if mode == "recorded":
        graph = causal_graph(events, [pair for pair in recorded if pair[0] in among], catalog=catalog)
        outside, replaced = set(found.unshown_causes), 0
    else:
        links = links_between(stores, events, mode=mode, catalog=catalog)
        graph = linked_graph(events, [link for link in links if link.cause_id in among])
        outside = {link.cause_id for link in links} - among
        replaced = len(recorded.keys() - {(link.cause_id, link.effect_id) for link in links})
    return Neighbourhood(
        root_id=events[0].id,
        direction="both",
        mode=mode,
        graph=graph,
        depths=graph.depths(events[0].id),
        truncated=bool(found.hidden_instances or found.cut or found.searched_to or outside),
        unread=len(outside),
        replaced=replaced,
    )


def _place_in_time(event: PersistedEvent) -> tuple[int, int]:
    return (event.persisted_at, event.seq if event.seq is not None else 0)


def _queries(key: str, path: Path) -> Iterator[EventQuery]:
    if not path:
        yield EventQuery(text=key)
        return
    yield EventQuery(payload_path=path, payload_value=key)
    if path[0] != _INITIAL:
        yield EventQuery(event_types=(CREATION,), payload_path=(_INITIAL, *path), payload_value=key)


def _places(payload: object, key: str, path: Path) -> list[Path]:
    """Where a value (not a name) in the payload is exactly `key`; nowhere, unless it is at `path` too."""
    if key == MASK:
        return []  # it stands for many values, which are nobody's business
    at_path = [place for place in (path, (_INITIAL, *path)) if path and path_matches(payload, place, key)]
    if path and not at_path:
        return []
    found: list[Path] = []
    # Each place is a step and the place that it is taken from: payloads may be nested deeply.
    pending: list[tuple[_Place, object]] = [(None, payload)]
    while pending:
        place, value = pending.pop()
        if isinstance(value, Mapping):
            pending += [((place, str(name)), inner) for name, inner in value.items()]
        elif isinstance(value, (list, tuple)):
            pending += [((place, str(position)), inner) for position, inner in enumerate(value)]
        elif scalar_text(value) == key:
            found.append(_written(place))
    return [*at_path, *found]


def _written(place: _Place) -> Path:
    steps: list[str] = []
    while place is not None:
        place, step = place
        steps.append(step)
    return tuple(reversed(steps))


def _without_initial(event: PersistedEvent, place: Path) -> Path:
    inside = event.event_type == CREATION and len(place) > 1 and place[0] == _INITIAL
    return place[1:] if inside else place


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
