"""Events around others, loaded as the rules of `analysis.inference` need them: in batches, bounded, each once.

What is asked for is bounded by instance, or by machine and a window of time, and by number; so the cost follows the
events that are looked at, not what is stored.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from xcstore.analysis.routes import WINDOW
from xcstore.analysis.surroundings import Surroundings
from xcstore.errors import NotFoundError
from xcstore.model.history import PersistedEvent
from xcstore.store.base import EventQuery, EventStore, Page
from xcstore.units import EpochMs

__all__ = ["LoadedSurroundings"]

STREAM: Final = 50
"""Events of one instance that are read before or after a moment."""
MOST: Final = 1_000
"""Events that one question may give."""
FEW: Final = 20
"""Events of the trace that is asked for to learn the effects of one event; few have more."""
IDS: Final = 100
"""Instances, or ids of events, in one question."""

Span = tuple[int, int]


class LoadedSurroundings(Surroundings):
    """Surroundings that grow out of a store."""

    def __init__(self, store: EventStore) -> None:
        super().__init__()
        self._store = store
        self._absent: set[str] = set()
        self._known: dict[str, Span] = {}
        """Instance -> a time over which all its events are here."""
        self._windows: defaultdict[EventQuery, list[Span]] = defaultdict(list)
        """Question -> the times for which it was asked, apart from each other."""
        self._effects: dict[str, Sequence[PersistedEvent]] = {}
        self._all_effects: set[str] = set()
        """Events of whose effects none is missing in `_effects`."""
        self.cut = False
        """Some question had more to say than was read."""

    def load(self, event_ids: Iterable[str]) -> None:
        """Events by id; those that are not stored are remembered as absent."""
        wanted = [name for name in dict.fromkeys(event_ids) if self.get(name) is None and name not in self._absent]
        for ids in _chunks(wanted, IDS):
            found = self._store.get_events(ids)
            self.add(found.values())
            self._absent.update(name for name in ids if name not in found)

    def note_effects(self, event_id: str, effects: Iterable[PersistedEvent], *, whole: bool) -> None:
        """Events that name it as their cause; `whole`: all there are."""
        if event_id not in self._all_effects:
            self._effects[event_id] = list(effects)
            self.add(self._effects[event_id])
            if whole:
                self._all_effects.add(event_id)

    def noted_effects(self, event_id: str) -> Sequence[PersistedEvent]:
        """Those that are known."""
        return self._effects.get(event_id, ())

    def knows_effects(self, event_id: str) -> bool:
        """Whether these are all."""
        return event_id in self._all_effects

    def load_effects(self, event_id: str, room: int) -> tuple[Sequence[PersistedEvent], bool]:
        """Events that name it as their cause, more than `room` at most, the earliest; and whether these are all.

        One event may have more effects than memory holds, so a short trace is asked for, not all of them.
        """
        for most in dict.fromkeys((min(FEW, room + 2), room + 2)):
            try:
                trace = self._store.trace(event_id, "effects", most)
            except NotFoundError:  # deleted meanwhile
                return (), True
            direct = {effect for cause, effect in trace.links if cause == event_id}
            beyond = any(event.id != event_id and event.id not in direct for event in trace.events)
            effects = [event for event in trace.events if event.id in direct]
            whole = beyond or not trace.truncated
            self.note_effects(event_id, effects, whole=whole)
            if whole:
                break
        return self.noted_effects(event_id), self.knows_effects(event_id)

    def load_before(self, wanted: Mapping[str, int]) -> None:
        """What each instance did just before a moment."""
        self._load_streams(wanted, newest_first=True)

    def load_after(self, wanted: Mapping[str, int]) -> None:
        """What each instance did just after a moment."""
        self._load_streams(wanted, newest_first=False)

    def load_entering(self, event: PersistedEvent) -> None:
        """What the instance did before the event, back to where it entered the state, or `STREAM` events."""
        page = self._ask([event.instance_id], event.persisted_at, STREAM, newest_first=True)
        entered = any(one.state_before != one.state_after == event.state_before for one in page.items)
        self.cut = self.cut or not (entered or page.next is None)

    def knows_end(self, instance_id: str) -> bool:
        """Whether all that the instance did last is here."""
        return self._known.get(instance_id, _NEVER)[1] == _FOREVER

    def load_window(self, query: EventQuery, spans: Iterable[Span]) -> None:
        """Events that `query` asks for in any of the spans of time; the latest, if there are too many."""
        asked = self._windows[query]
        # A window around the first or last moment of 64 bits would reach beyond it.
        together = _merged((max(start, -_FOREVER), min(end, _FOREVER - 1)) for start, end in spans)
        for span in together:
            for start, end in _without(span, asked):
                page = self._store.find(
                    replace(query, start=EpochMs(start), end=EpochMs(end)), limit=MOST, newest_first=True
                )
                self.cut = self.cut or page.next is not None
                self.add(page.items)
        asked[:] = _merged([*asked, *together], apart=1)

    def _load_streams(self, wanted: Mapping[str, int], *, newest_first: bool) -> None:
        left = {name: at for name, at in wanted.items() if not self._covers(name, at, newest_first)}
        for names in _chunks(list(left), IDS):
            at = (max if newest_first else min)(left[name] for name in names)
            self._ask(names, at, min(MOST, STREAM * len(names)), newest_first=newest_first)
            # One busy instance can fill the answer for all of them; then each is asked for by itself.
            for name in names:
                if len(names) > 1 and not self._covers(name, left[name], newest_first):
                    self._ask([name], left[name], STREAM, newest_first=newest_first)

    def _covers(self, name: str, at: int, newest_first: bool) -> bool:
        """Whether the event next to the moment is here, or there is none."""
        low, high = self._known.get(name, _NEVER)
        if not low <= at <= high:
            return False
        if (low == -_FOREVER) if newest_first else (high == _FOREVER):
            return True
        stream = self.stream(name)
        if newest_first:
            position = bisect_left(stream, at, key=_moment) - 1
            return position >= 0 and stream[position].persisted_at >= low
        position = bisect_right(stream, at, key=_moment)
        return position < len(stream) and stream[position].persisted_at <= high

    def _ask(self, names: Sequence[str], at: int, limit: int, *, newest_first: bool) -> Page[PersistedEvent]:
        """Ask what they did up to a moment, or from it on, and note over which time the answer is complete."""
        query = EventQuery(instance_ids=tuple(names))
        query = replace(query, end=EpochMs(at)) if newest_first else replace(query, start=EpochMs(at))
        page = self._store.find(query, limit=limit, newest_first=newest_first)
        self.add(page.items)
        ends: dict[str, int] = {}
        for event in page.items:
            ends[event.instance_id] = event.persisted_at  # the last of a page is farthest from the moment
        for name in names:
            if page.next is None:
                span = (-_FOREVER, at) if newest_first else (at, _FOREVER)
            elif name in ends:
                span = (ends[name], at) if newest_first else (at, ends[name])
            else:
                continue
            low, high = self._known.get(name, _NEVER)
            if low <= span[1] and span[0] <= high:
                span = min(low, span[0]), max(high, span[1])
            self._known[name] = span
        return page


_FOREVER: Final = 2**63
_NEVER: Final[Span] = (_FOREVER, -_FOREVER)


def _moment(event: PersistedEvent) -> int:
    return event.persisted_at


def _merged(spans: Iterable[Span], apart: int = WINDOW) -> list[Span]:
    """Spans that overlap, or are at most so far apart, as one; in order."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1] + apart:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def _without(span: Span, others: Iterable[Span]) -> Iterator[Span]:
    """What is left of a span; `others` are in order.

    >>> list(_without((0, 9), [(2, 3), (8, 20)]))
    [(0, 1), (4, 7)]
    """
    start, end = span
    for low, high in others:
        if high < start:
            continue
        if low > end:
            break
        if low > start:
            yield start, low - 1
        start = high + 1
    if start <= end:
        yield start, end


def _chunks(items: Sequence[str], size: int) -> Iterator[list[str]]:
    stream = iter(items)
    while chunk := list(islice(stream, size)):
        yield chunk
