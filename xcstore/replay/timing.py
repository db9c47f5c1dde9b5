"""Which timers run by the definition, and what becomes of them in the record.

Clocks differ a little, runtimes are busy, and a process that was down fires what fell due when it is back. So a timer
is missed only where its component was seen at work for a while after it fell due.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from xcstore.model.history import PersistedEvent
from xcstore.replay.reasons import length_words, moment_words
from xcstore.runtime.interpreter import MachineTable, Plan, StartTimer, status_in
from xcstore.store.base import EventQuery, EventStore
from xcstore.units import DurationMs, EpochMs

__all__ = ["EARLY_MS", "GRACE_MS", "Activity", "Alive", "Running", "Timers", "early_words", "missed_words"]

EARLY_MS: Final = 1_000
"""A timer may come this much before its time: clocks are set, and runtimes round."""
GRACE_MS: Final = 60_000
"""And this much after it, and after a restart, before anybody misses it."""
_BUCKETS: Final = 10_000

Alive = Callable[[str, EpochMs, EpochMs], bool]
"""(component, start, end) -> whether it was seen at work in between."""


class Activity:
    """When components were seen at work, in buckets of some minutes.

    Parameters
    ----------
    seen : iterable of (str, EpochMs)
        A component, and a moment of the bucket.
    bucket_ms : int
    """

    def __init__(self, seen: Iterable[tuple[str, EpochMs]], bucket_ms: DurationMs) -> None:
        self._bucket_ms = bucket_ms
        found: dict[str, set[int]] = {}
        for component, at in seen:
            found.setdefault(component, set()).add(at // bucket_ms)
        self._buckets = {component: sorted(buckets) for component, buckets in found.items()}

    @classmethod
    def of_events(cls, events: Iterable[PersistedEvent]) -> Activity:
        """From events in hand."""
        return cls(((event.component_name, event.persisted_at) for event in events), DurationMs(1_000))

    @classmethod
    def of_store(cls, events: EventStore, components: tuple[str, ...] = ()) -> Activity:
        """From a whole store, as counted there: at most 10,000 buckets for a component."""
        span = events.time_range()
        if span is None:
            return cls((), DurationMs(1))
        minutes = (span[1] - span[0]) // (60_000 * _BUCKETS) + 1
        bucket_ms = DurationMs(60_000 * minutes)
        counts = events.count(EventQuery(components=components), by=("component_name",), bucket_ms=bucket_ms)
        return cls(((row.key[0], row.bucket) for row in counts if row.bucket is not None), bucket_ms)

    def seen(self, component: str, start: EpochMs, end: EpochMs) -> bool:
        """Whether it recorded something surely between the two moments."""
        buckets = self._buckets.get(component, [])
        place = bisect_left(buckets, -(-start // self._bucket_ms))
        return place < len(buckets) and (buckets[place] + 1) * self._bucket_ms <= end


@dataclass(frozen=True, slots=True)
class Running:
    """A timer that runs."""

    event_type: str
    state: str
    due: EpochMs
    earliest: EpochMs
    """When it would be due had no self-loop restarted it."""


class Timers:
    """The timers of one instance."""

    def __init__(self, running: Iterable[Running] = ()) -> None:
        self._running: dict[str, Running] = {timer.event_type: timer for timer in running}

    def __bool__(self) -> bool:
        return bool(self._running)

    def clear(self) -> None:
        self._running.clear()

    def start(self, table: MachineTable, event: PersistedEvent) -> None:
        """Those of the state that the event entered, and no others."""
        self._running.clear()
        if status_in(table.find_state(event.state_after)) == "active":
            self._begin(table.timers_of(event.state_after), event, {})

    def follow(self, plan: Plan, event: PersistedEvent) -> None:
        """A transition that the definition makes too."""
        if not (self._running or plan.starts):
            return
        before: Mapping[str, Running] = self._running
        if event.state_before != event.state_after:
            self._running, before = {}, {}
        elif plan.stops:
            before = dict(self._running)
            for stop in plan.stops:
                self._running.pop(stop.event_type, None)
        if _by_timer(event) and event.event_type in before:
            # It has fired; a timer of that name counts anew.
            before = {key: timer for key, timer in before.items() if key != event.event_type}
            self._running.pop(event.event_type, None)
        self._begin(plan.starts, event, before)

    def take_overdue(self, until: EpochMs, but: str = "") -> list[Running]:
        """Timers that should have fired long before `until`, except that of event `but`; they are forgotten."""
        late = [t for t in self._running.values() if t.due + GRACE_MS <= until and t.event_type != but]
        for timer in late:
            del self._running[timer.event_type]
        return late

    def find_early(self, event: PersistedEvent) -> Running | None:
        """The timer that made this event, where it is not due yet."""
        timer = self._running.get(event.event_type)
        if timer is None or not _by_timer(event) or event.persisted_at >= timer.due - EARLY_MS:
            return None
        return timer

    def _begin(self, starts: Iterable[StartTimer], event: PersistedEvent, before: Mapping[str, Running]) -> None:
        if event.persisted_at <= 0:
            return  # its time cannot be read
        for start in starts:
            due = EpochMs(event.persisted_at + start.delay_ms)
            old = before.get(start.event_type)
            earliest = due if old is None else min(old.earliest, due)
            self._running[start.event_type] = Running(start.event_type, event.state_after, due, earliest)


def early_words(event: PersistedEvent, timer: Running) -> str:
    """That a timer's event came before its time."""
    kept = ", and counted from an earlier entry into that state" if event.persisted_at >= timer.earliest else ""
    early = length_words(timer.due - event.persisted_at)
    due = moment_words(timer.due)
    return f"{event.event_type} came {early} before its time: in {timer.state} it is due at {due}{kept}"


def missed_words(timer: Running, until: str) -> str:
    """That a timer never came."""
    return (
        f"{timer.event_type} fell due in {timer.state} at {moment_words(timer.due)} and is not recorded; the instance "
        f"stayed {until}, while its component was at work. A restart may have lost the timer"
    )


def _by_timer(event: PersistedEvent) -> bool:
    """Whether a timer made it, as far as it says; the same event may also be sent by hand."""
    reason = event.payload.get("reason") if isinstance(event.payload, Mapping) else None
    return reason in ("timeout", "auto-transition")
