"""Instances, where nothing is kept about them but their events."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Final, NamedTuple

from xcstore.model.history import PersistedEvent
from xcstore.store import filtering
from xcstore.store.base import InstanceQuery, InstanceSummary, StateCount
from xcstore.store.scanned_rows import Row
from xcstore.units import EpochMs

__all__ = ["Lifetime", "Source", "counted_states", "find_instances"]

_TOGETHER: Final = 200
"""Instances that are asked for at a time."""


class Lifetime(NamedTuple):
    """When an instance began, and how many events it has."""

    first_at: int
    events: int


class Source(NamedTuple):
    """Where the events come from."""

    batches: Callable[[bool], Iterator[list[Row]]]
    """All, in page order, or from the newest to the oldest."""
    streams: Callable[[Iterable[str]], Mapping[str, Sequence[PersistedEvent]]]
    lifetimes: Callable[[Sequence[str]], Mapping[str, Lifetime]]


class _Last(NamedTuple):
    """The last event of an instance, as far as it is known."""

    event_id: str
    component: str
    machine: str
    state: str
    event_type: str
    at: int
    alone: bool
    """False: there are others of that moment, and only the stream tells which is the last."""


def find_instances(
    source: Source, query: InstanceQuery, after: tuple[int, str] | None, limit: int, *, newest_first: bool
) -> list[InstanceSummary]:
    """The first `limit` and one more, of those after (`updated_at`, last event id).

    From the newest on, events are looked at until there are enough. From the oldest on, all of them.
    """
    if newest_first and not query.instance_ids:
        return _newest(source, query, after, limit)
    found = sorted(_matching(source, query), key=_order)
    if after is not None:
        found = (
            found[: bisect_left(found, after, key=_order)]
            if newest_first
            else (found[bisect_right(found, after, key=_order) :])
        )
    return found[: -limit - 2 : -1] if newest_first else found[: limit + 1]


def counted_states(source: Source, query: InstanceQuery) -> list[StateCount]:
    """Instances per component, machine and state. Looks at all events, and holds a line for each instance."""
    times: defaultdict[tuple[str, str, str], list[EpochMs]] = defaultdict(list)
    for summary in _matching(source, query):
        times[summary.component_name, summary.machine_name, summary.state].append(summary.updated_at)
    return [
        StateCount(
            component_name=component,
            machine_name=machine,
            state=state,
            count=len(updated),
            oldest_updated_at=min(updated),
            newest_updated_at=max(updated),
        )
        for (component, machine, state), updated in sorted(times.items())
    ]


def _newest(source: Source, query: InstanceQuery, after: tuple[int, str] | None, limit: int) -> list[InstanceSummary]:
    """The first event of an instance that is met from the end is its last."""
    found: list[InstanceSummary] = []
    waiting: dict[str, _Last] = {}
    for instance_id, last in _from_the_end(source):
        if query.updated_from is not None and last.at < query.updated_from:
            break
        # Where others are of the same moment, one of these may be the last, and another label the right one.
        if (after is None or last.at <= after[0]) and (not last.alone or _may_be_asked(query, instance_id, last)):
            # Settled between moments only, as they are sorted within one.
            if len(waiting) >= min(_TOGETHER, limit + 1) and last.at != next(reversed(waiting.values())).at:
                found += _settled(source, query, after, waiting)
                waiting = {}
                if len(found) > limit:
                    return found[: limit + 1]
            waiting[instance_id] = last
    found += _settled(source, query, after, waiting)
    return found[: limit + 1]


def _from_the_end(source: Source) -> Iterator[tuple[str, _Last]]:
    """Each instance once, at its last event. Holds the ids of those that it met."""
    met: set[str] = set()
    rows = (row for batch in source.batches(True) for row in batch)
    for _, moment in groupby(rows, key=lambda row: row.key.moment):
        lasts: dict[str, _Last] = {}
        for row in moment:
            instance_id = row.event.instance_id
            if instance_id in lasts:
                if lasts[instance_id].at == row.at:
                    lasts[instance_id] = lasts[instance_id]._replace(alone=False)
            elif instance_id and instance_id not in met:
                lasts[instance_id] = _last_of(row)
        met.update(lasts)
        yield from lasts.items()


def _settled(
    source: Source, query: InstanceQuery, after: tuple[int, str] | None, lasts: Mapping[str, _Last]
) -> list[InstanceSummary]:
    """Summaries of these, newest first."""
    holds = filtering.instance_condition(query)
    found: list[InstanceSummary] = []
    for ids in _together(lasts):
        lifetimes = source.lifetimes(ids)
        tied = source.streams([instance_id for instance_id in ids if not lasts[instance_id].alone])
        for instance_id in ids:
            if instance_id in tied:
                found.append(_summary(tied[instance_id]))
            else:
                # Where a writer was killed between the places it writes to, the stream may lack what is listed.
                lifetime = lifetimes.get(instance_id, Lifetime(lasts[instance_id].at, 1))
                found.append(_told(instance_id, lasts[instance_id], lifetime))
    found = [summary for summary in found if holds(summary) and (after is None or _order(summary) < after)]
    return sorted(found, key=_order, reverse=True)


def _matching(source: Source, query: InstanceQuery) -> list[InstanceSummary]:
    holds = filtering.instance_condition(query)
    if query.instance_ids:
        streams = (source.streams(ids) for ids in _together(dict.fromkeys(query.instance_ids)))
        summaries = [_summary(stream) for found in streams for stream in found.values()]
    else:
        summaries = _folded(source, query.id_prefix)
    return [summary for summary in summaries if holds(summary)]


def _folded(source: Source, id_prefix: str) -> list[InstanceSummary]:
    """All instances, from all events."""
    lasts: dict[str, _Last] = {}
    lifetimes: dict[str, Lifetime] = {}
    for batch in source.batches(False):
        for row in batch:
            instance_id = row.event.instance_id
            if not instance_id or not instance_id.startswith(id_prefix):
                continue
            known = lasts.get(instance_id)
            last = _last_of(row)
            if known is None:
                lifetimes[instance_id] = Lifetime(row.at, 1)
            else:
                lifetimes[instance_id] = Lifetime(lifetimes[instance_id].first_at, lifetimes[instance_id].events + 1)
                if known.at == row.at:
                    last = last._replace(alone=False)
            lasts[instance_id] = last
    tied: dict[str, InstanceSummary] = {}
    for ids in _together((instance_id for instance_id, last in lasts.items() if not last.alone)):
        tied.update((instance_id, _summary(stream)) for instance_id, stream in source.streams(ids).items())
    return [
        tied.get(instance_id) or _told(instance_id, last, lifetimes[instance_id]) for instance_id, last in lasts.items()
    ]


def _last_of(row: Row) -> _Last:
    event = row.event
    return _Last(
        event.id, event.component_name, event.machine_name, event.state_after, event.event_type, row.at, alone=True
    )


def _may_be_asked(query: InstanceQuery, instance_id: str, last: _Last) -> bool:
    return filtering.instance_condition(query)(_told(instance_id, last, Lifetime(last.at, 1)))


def _told(instance_id: str, last: _Last, lifetime: Lifetime) -> InstanceSummary:
    return InstanceSummary(
        instance_id=instance_id,
        component_name=last.component,
        machine_name=last.machine,
        state=last.state,
        created_at=EpochMs(lifetime.first_at),
        updated_at=EpochMs(last.at),
        event_count=lifetime.events,
        last_event_id=last.event_id,
        last_event_type=last.event_type,
    )


def _summary(stream: Sequence[PersistedEvent]) -> InstanceSummary:
    last = stream[-1]
    return InstanceSummary(
        instance_id=last.instance_id,
        component_name=last.component_name,
        machine_name=last.machine_name,
        state=last.state_after,
        created_at=stream[0].persisted_at,
        updated_at=last.persisted_at,
        event_count=len(stream),
        last_event_id=last.id,
        last_event_type=last.event_type,
    )


def _together(ids: Iterable[str]) -> Iterator[list[str]]:
    left = iter(ids)
    while some := list(islice(left, _TOGETHER)):
        yield some


def _order(summary: InstanceSummary) -> tuple[int, str]:
    return summary.updated_at, summary.last_event_id
