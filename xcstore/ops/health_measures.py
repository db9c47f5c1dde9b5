"""What a health report measures of events: how long questions and appends take, and how fast the store grows."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from xcstore.errors import XcstoreError
from xcstore.model.history import PersistedEvent
from xcstore.store.base import Count, CountBy, EventQuery, Stores
from xcstore.units import DAY, EpochMs

__all__ = [
    "WEEK_DAYS",
    "Flows",
    "Growth",
    "QueryTime",
    "StoredDelay",
    "Watch",
    "growth",
    "questions",
    "stored_delay",
]

T = TypeVar("T")

RUNS: Final = 3
"""How often a question is asked; the median counts."""
PAGE: Final = 100
TRACE: Final = 100
GROWTH_DAYS: Final = 30
WEEK_DAYS: Final = 7
FLOW: Final[tuple[CountBy, ...]] = ("component_name", "machine_name", "state_before", "event_type", "state_after")

Flows = tuple[Count, ...]
"""Every transition that was observed, counted by `FLOW`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryTime:
    """How long one kind of question took: the median of `runs`; None where it failed, for the reason in `problem`."""

    name: str
    median_ms: float | None = None
    runs: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDelay:
    """From when events were made to when they were stored, as recorded in the latest of them."""

    events: int
    p50_ms: float
    p95_ms: float
    slowest_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Events of the last days; of an old dump, of its last days."""

    until: EpochMs
    """Now, or the newest event where that is older."""
    days: tuple[tuple[EpochMs, int], ...]
    """(start of a UTC day, its events), oldest first, days without events included; the last one is not over."""
    week: int
    """Events of the 7 days before `until`."""
    month: int
    """Events of the 30 days before `until`."""

    age_days: float | None = None
    """From the oldest event to `until`; None: not known, taken as longer than 30."""

    @property
    def week_days(self) -> float:
        """Of the last 7 days, those in which there was a history; at least 1."""
        return self._of(WEEK_DAYS)

    @property
    def month_days(self) -> float:
        """Of the last 30 days, those in which there was a history; at least 1."""
        return self._of(GROWTH_DAYS)

    @property
    def per_day_week(self) -> float:
        return self.week / self.week_days

    @property
    def per_day_month(self) -> float:
        return self.month / self.month_days

    @property
    def next_month(self) -> int:
        """Events of the next 30 days, should it go on as in the last 7."""
        return round(self.per_day_week * GROWTH_DAYS)

    def _of(self, days: int) -> float:
        return days if self.age_days is None else min(days, max(1.0, self.age_days))


class Watch:
    """Asks until its time is up; what fails, or comes too late, is told in words."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock: Final = clock
        self._seconds: Final = seconds
        self._until: Final = clock() + seconds

    def timed(self, ask: Callable[[], T]) -> tuple[T | None, float, str]:
        """(answer, ms, problem): either an answer, or a problem."""
        started = self._clock()
        if started > self._until:
            return None, 0.0, f"not asked: what was asked before took longer than {self._seconds:g} s"
        try:
            answer = ask()
        except XcstoreError as error:
            return None, (self._clock() - started) * 1_000, str(error)
        return answer, (self._clock() - started) * 1_000, ""

    def median(self, name: str, ask: Callable[[], T]) -> tuple[T | None, QueryTime]:
        """The answer, and how long it takes; what takes a second is asked once."""
        times: list[float] = []
        answer: T | None = None
        while len(times) < RUNS and sum(times) < 1_000:
            found, ms, problem = self.timed(ask)
            if problem and not times:
                return None, QueryTime(name=name, problem=problem)
            if problem:
                break
            answer = found
            times.append(ms)
        return answer, QueryTime(name=name, median_ms=statistics.median(times), runs=len(times))


def questions(stores: Stores, watch: Watch) -> tuple[tuple[QueryTime, ...], tuple[PersistedEvent, ...], Flows]:
    """How long the questions of every page take, on what is stored; with the latest events, and all counts."""
    events = stores.events
    page, page_time = watch.median(
        "page of events", lambda: events.find(EventQuery(), limit=PAGE, newest_first=True).items
    )
    times = [page_time]
    if page:
        newest = page[0]
        one = EventQuery(instance_ids=(newest.instance_id,))
        times.append(watch.median("one history", lambda: events.find(one, limit=PAGE, newest_first=True))[1])
        times.append(watch.median("trace", lambda: events.trace(newest.id, "both", TRACE))[1])
    flows, flows_time = watch.median("counts", lambda: events.count(EventQuery(), by=FLOW))
    return (*times, flows_time), page or (), tuple(flows or ())


def stored_delay(events: Sequence[PersistedEvent]) -> StoredDelay | None:
    """None where no event says when it was made. What two clocks make negative counts as 0."""
    delays = sorted(
        float(max(0, event.persisted_at - event.timestamp)) for event in events if event.timestamp is not None
    )
    if not delays:
        return None
    return StoredDelay(
        events=len(delays),
        p50_ms=statistics.median(delays),
        p95_ms=delays[math.ceil(0.95 * len(delays)) - 1],
        slowest_ms=delays[-1],
    )


def growth(stores: Stores, until: EpochMs, since: EpochMs | None = None) -> Growth:
    """Counted by the backend, by UTC days. `since`: the oldest event, so that a young store has its own rate."""
    today = until // DAY
    first = today - GROWTH_DAYS
    query = EventQuery(start=EpochMs(first * DAY), end=until)
    counted = {count.bucket: count.count for count in stores.events.count(query, bucket_ms=DAY)}
    days = tuple((EpochMs(day * DAY), counted.get(EpochMs(day * DAY), 0)) for day in range(first, today + 1))
    week, month = (
        sum(row.count for row in stores.events.count(EventQuery(start=EpochMs(until - length * DAY), end=until)))
        for length in (WEEK_DAYS, GROWTH_DAYS)
    )
    age = None if since is None else (until - since) / DAY
    return Growth(until=until, days=days, week=week, month=month, age_days=age)
