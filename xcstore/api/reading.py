"""Reading for an answer of bounded size: what it holds is read a part at a time, so that memory follows the answer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from xcstore.api.json_body import Texts, event_texts
from xcstore.model.history import PersistedEvent
from xcstore.queries.causality import Neighbourhood
from xcstore.store.base import Cursor, EventQuery, EventStore, Page
from xcstore.units import EpochMs

__all__ = ["LARGER_PORTION", "PORTION", "TRACE_SECONDS", "Traced", "Written", "read_events", "read_trace"]

PORTION: Final = 20
"""Events that are read at a time. Decoded, they take about ten times the memory of their text."""
LARGER_PORTION: Final = 100
"""The same, while so many as large as the largest so far fill no quarter of an answer: each portion is a question."""
TRACE_SECONDS: Final = 8.0
"""For all that is asked of one trace along inferred links."""
_FIRST: Final = 50
"""Events of a trace that are asked for first; most have fewer."""
_SEARCH_SECONDS: Final = 3.0
"""After so long a search through values reads no further portion; of each the store bounds the time."""


@dataclass(slots=True)
class Written:
    """A page of events, in the order that they were read in."""

    texts: list[str] = field(default_factory=list)
    events: list[PersistedEvent] = field(default_factory=list)
    """The same events without their values: to order them by, and to tell what is odd about them."""
    next: Cursor | None = None
    searched_to: EpochMs | None = None


@dataclass(frozen=True, slots=True)
class Traced:
    """A trace, and its nearest events as text."""

    found: Neighbourhood
    events: Sequence[PersistedEvent]
    """All that are loaded, nearest first; `texts` are those of the first."""
    texts: Texts


def read_events(
    store: EventStore, query: EventQuery, *, after: Cursor | None, limit: int, newest_first: bool, most_bytes: int
) -> Written:
    """At most `limit` events that fit into `most_bytes`, the first one always."""
    until = time.monotonic() + _SEARCH_SECONDS if query.text or query.payload_path else math.inf
    found = Written(next=after)
    room, portion, largest = most_bytes, PORTION, 0
    while True:
        wanted = min(portion, limit - len(found.texts))
        page, texts = _portion(store, query, found, wanted, room, newest_first=newest_first)
        if page is None:
            return found
        found.texts += texts
        found.events += [
            replace(event, payload=None, context=None, public_member_snapshot=None, original=None)
            for event in page.items
        ]
        found.next, found.searched_to = page.next, page.searched_to
        room -= texts.size
        largest = max(largest, *map(len, texts), 0)
        portion = LARGER_PORTION if 4 * LARGER_PORTION * largest <= most_bytes else PORTION
        if page.next is None or len(page.items) < wanted or len(found.texts) == limit or time.monotonic() >= until:
            return found


def _portion(
    store: EventStore, query: EventQuery, found: Written, wanted: int, room: int, *, newest_first: bool
) -> tuple[Page[PersistedEvent] | None, Texts]:
    """What follows, as a page that fits, with a `next` of its own; None where not even its first event does."""
    while True:
        page = store.find(query, after=found.next, limit=wanted, newest_first=newest_first)
        texts = event_texts(page.items, room, whatever_first=not found.texts)
        if len(texts) == len(page.items):
            return page, texts
        if not texts:
            return None, texts
        wanted = len(texts)


def read_trace(
    ask: Callable[[int, float], Neighbourhood],
    ordered: Callable[[Neighbourhood], Sequence[PersistedEvent]],
    *,
    max_events: int,
    most_bytes: int,
) -> Traced:
    """A trace of at most `max_events`, and of what fits into `most_bytes` the nearest.

    A trace cannot be read on from where it was cut. So few events are asked for first, and then, where there are more
    and they fit, so many as their size lets expect to fit.

    Parameters
    ----------
    ask : callable
        The trace of at most so many events, in at most so many seconds.
    ordered : callable
        Its events, nearest first.
    """
    until = time.monotonic() + TRACE_SECONDS
    most = min(_FIRST, max_events)
    while True:
        traced = _traced(ask(most, max(0.0, until - time.monotonic())), ordered, most_bytes)
        known = traced.found.unread > 0 or len(traced.events) >= most
        more = traced.found.truncated and known and most < max_events
        late = traced.found.mode != "recorded" and time.monotonic() >= until
        if not more or late or len(traced.texts) < len(traced.events):
            return traced
        expected = 3 * most_bytes * len(traced.texts) // (2 * max(1, traced.texts.size))
        most = min(max_events, 10 * most, max(2 * most, expected))
        # The next one must not find it still in memory.
        del traced


def _traced(
    found: Neighbourhood, ordered: Callable[[Neighbourhood], Sequence[PersistedEvent]], most_bytes: int
) -> Traced:
    events = ordered(found)
    return Traced(found, events, event_texts(events, most_bytes))
