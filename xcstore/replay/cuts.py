"""Whether a moment cuts an effect from its cause, what is on its way then, and which moments near by are better.

A moment is all that was stored up to it. It is consistent where with every effect its cause is in it (Chandy and
Lamport, 1985); clocks that differ make others. Only recorded causes that can be right are looked at. Those that our
runtime records are true, so of them none is too far on the wrong side of its effect: the clocks are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from xcstore.analysis.causality import TIMER_REASONS, doubts_of
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.replay.earlier import batches
from xcstore.store.base import EventQuery, Stores
from xcstore.units import DAY, DurationMs, EpochMs

__all__ = ["MAX_EVENTS", "MAX_LISTED", "WINDOW_MS", "Consistency", "Crossing", "consistency"]

WINDOW_MS: Final = DAY
MAX_EVENTS: Final = 4_000
MAX_LISTED: Final = 100
_IDS: Final = 500
_LATE: Final = "before"
"""The kind of doubt (`analysis.causality.DOUBTS`) that the effect was stored before its cause."""

_Interval = tuple[int, int]
"""First and last moment, both included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A cause and its effect, on different sides of a moment."""

    cause: PersistedEvent
    effect: PersistedEvent

    @property
    def gap_ms(self) -> DurationMs:
        """From cause to effect; negative where the effect was stored first."""
        return DurationMs(self.effect.persisted_at - self.cause.persisted_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """What a moment cuts."""

    at: EpochMs
    cut: tuple[Crossing, ...] = ()
    """Effects stored by then whose causes were stored later; the first `MAX_LISTED`."""
    cut_count: int = 0
    in_flight: tuple[Crossing, ...] = ()
    """Causes stored by then whose effects were stored later, those that arrived first; the first `MAX_LISTED`."""
    in_flight_count: int = 0
    timers: int = 0
    """Timers that ran then, and fired in what was looked at; they are not in flight."""
    before: EpochMs | None = None
    after: EpochMs | None = None
    """The nearest consistent moments, where this one is not; None where there is none in what was looked at."""
    quiet_before: EpochMs | None = None
    quiet_after: EpochMs | None = None
    """The nearest consistent moments with nothing in flight, where this is none."""
    looked_from: EpochMs
    looked_to: EpochMs
    """Effects stored from here to there were looked at, with their causes wherever they are."""
    events: int = 0
    """How many they are."""
    links: int = 0
    """Recorded causes of these that can be right."""
    doubtful: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Recorded causes that were left out, by kind of doubt (`analysis.causality.DOUBTS`); 'unjudged' where nothing is
    known that would tell; 'missing' where the cause is not stored."""
    not_believed: int = 0
    """Of these, how many would make the moment a cut: causes stored after it, of effects stored by then. They lie so
    far after their effect that they were not believed, as the runtime that named them also names wrong ones."""

    @property
    def is_consistent(self) -> bool:
        return not self.cut_count

    @property
    def is_quiet(self) -> bool:
        """Consistent, with nothing in flight."""
        return not self.cut_count and not self.in_flight_count


def consistency(
    stores: Stores,
    at: EpochMs,
    *,
    catalog: Catalog | None = None,
    window_ms: DurationMs = WINDOW_MS,
    max_events: int = MAX_EVENTS,
) -> Consistency:
    """What the moment `at` cuts, looking `window_ms` to both sides, at half of `max_events` on each at most.

    Parameters
    ----------
    catalog : Catalog, optional
        Definitions, to tell which recorded causes between instances can be right. Without them those of runtimes that
        name no definition are not judged, and left out.

    Notes
    -----
    An effect that was stored before what was looked at is not seen, so neither is that its cause came after `at`; nor
    what arrived after what was looked at.
    """
    found, looked_from, looked_to = _around(stores, at, window_ms, max(1, max_events // 2))
    links, late, doubtful = _links(stores, found, catalog or Catalog())
    links.sort(key=lambda one: (one.effect.persisted_at, one.effect.id, one.cause.id))
    cut = [one for one in links if one.effect.persisted_at <= at < one.cause.persisted_at]
    flying = [one for one in links if one.cause.persisted_at <= at < one.effect.persisted_at]
    timers = sum(_is_timed(one.effect) for one in flying)
    flying = [one for one in flying if not _is_timed(one.effect)]
    torn = [(one.effect.persisted_at, one.cause.persisted_at - 1) for one in links if one.gap_ms < 0]
    busy = [(one.cause.persisted_at, one.effect.persisted_at - 1) for one in links if one.gap_ms > 0 and not _is_timed(one.effect)]  # fmt: skip  # noqa: E501
    before, after = _outside(at, torn, looked_from, looked_to) if cut else (None, None)
    quiet = _outside(at, [*torn, *busy], looked_from, looked_to) if cut or flying else (None, None)
    return Consistency(
        at=at,
        cut=tuple(cut[:MAX_LISTED]),
        cut_count=len(cut),
        in_flight=tuple(flying[:MAX_LISTED]),
        in_flight_count=len(flying),
        timers=timers,
        before=before,
        after=after,
        quiet_before=quiet[0],
        quiet_after=quiet[1],
        looked_from=looked_from,
        looked_to=looked_to,
        events=len(found),
        links=len(links),
        doubtful=dict(doubtful),
        not_believed=sum(one.effect.persisted_at <= at < one.cause.persisted_at for one in late),
    )


def _around(
    stores: Stores, at: EpochMs, window_ms: DurationMs, limit: int
) -> tuple[list[PersistedEvent], EpochMs, EpochMs]:
    """The events around, and from when to when they are all there."""
    start, end = EpochMs(at - window_ms), EpochMs(at + window_ms)
    earlier = stores.events.find(EventQuery(start=start, end=at), limit=limit, newest_first=True)
    later = stores.events.find(EventQuery(start=EpochMs(at + 1), end=end), limit=limit)
    # Of the last moment of a page that is cut, not all may be there.
    looked_from = EpochMs(earlier.items[-1].persisted_at + 1) if earlier.next and earlier.items else start
    looked_to = EpochMs(later.items[-1].persisted_at - 1) if later.next and later.items else end
    found = [event for event in (*earlier.items, *later.items) if looked_from <= event.persisted_at <= looked_to]
    return found, EpochMs(min(looked_from, at)), EpochMs(max(looked_to, at))


def _links(
    stores: Stores, events: Iterable[PersistedEvent], catalog: Catalog
) -> tuple[list[Crossing], list[Crossing], Counter[str]]:
    """The recorded causes of these events that can be right, those too late to be believed, and what was left out."""
    known = {event.id: event for event in events}
    effects = list(known.values())
    wanted = tuple(dict.fromkeys(cause for event in effects for cause in event.caused_by if cause not in known))
    for ids in batches(wanted, _IDS):
        known |= stores.events.get_events(ids)
    links: list[Crossing] = []
    late: list[Crossing] = []
    left_out: Counter[str] = Counter()
    for effect in effects:
        for name in dict.fromkeys(effect.caused_by):
            cause = known.get(name)
            kinds = ["missing"] if cause is None else list(_doubts(cause, effect, catalog))
            if cause is None or kinds:
                left_out[kinds[0]] += 1
            if cause is not None and not kinds:
                links.append(Crossing(cause=cause, effect=effect))
            elif cause is not None and _LATE in kinds:
                late.append(Crossing(cause=cause, effect=effect))
    return links, late, left_out


def _doubts(cause: PersistedEvent, effect: PersistedEvent, catalog: Catalog) -> Iterator[str]:
    found = doubts_of(cause, effect, catalog)
    if effect.definition_hash and list(found) == [_LATE]:
        return  # a true cause, however late: that is what a cut is
    yield from found
    if effect.definition_hash or _names_parent(cause, effect):
        return
    # The TypeScript runtime names its previous transition: within an instance that only says what came before, and
    # between instances it takes a definition to tell.
    if cause.instance_id == effect.instance_id:
        if not _is_timed(effect):
            yield "unjudged"
    elif catalog.find_machine(cause.component_name, cause.machine_name) is None:
        yield "unjudged"


def _names_parent(cause: PersistedEvent, effect: PersistedEvent) -> bool:
    payload = effect.payload if isinstance(effect.payload, Mapping) else {}
    return effect.event_type == CREATION and payload.get("parentInstanceId") == cause.instance_id


def _is_timed(event: PersistedEvent) -> bool:
    reason = event.payload.get("reason") if isinstance(event.payload, Mapping) else None
    return isinstance(reason, str) and reason in TIMER_REASONS


def _outside(
    at: int, intervals: Iterable[_Interval], first: EpochMs, last: EpochMs
) -> tuple[EpochMs | None, EpochMs | None]:
    """The nearest moments before and after `at` that are in no interval, from `first` to `last`."""
    ordered = sorted(intervals)
    after = at
    for start, end in ordered:
        if start <= after <= end:
            after = end + 1
    # Backwards the interval that ends last is tried first; one that begins earlier may reach over it.
    before = at
    for start, end in sorted(ordered, key=lambda one: (one[1], one[0]), reverse=True):
        if start <= before <= end:
            before = start - 1
    return (EpochMs(before) if first <= before else None), (EpochMs(after) if after <= last else None)
