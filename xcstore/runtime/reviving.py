"""Puts what was read from the stores back to work: instances, indexes, timers, and the work that was waiting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from xcstore.errors import ConfigError
from xcstore.runtime.executor import Executor
from xcstore.runtime.folding import Folded
from xcstore.runtime.interpreter import StartTimer
from xcstore.runtime.live import Live, RunningTimer
from xcstore.runtime.persistence import PersistenceConfig
from xcstore.runtime.restoring import RestoreReport, find_entry_point, read_live
from xcstore.runtime.work import Entered, Work, from_document
from xcstore.store.base import EventQuery
from xcstore.units import EpochMs

__all__ = ["Reviver", "resume", "start_timers"]

_SHOWN: Final = 100


class Reviver:
    """One restore of one component: `read`, and then `resume` of all that were read."""

    def __init__(self, executor: Executor, persistence: PersistenceConfig) -> None:
        self._persistence = persistence
        self.executor = executor
        self.works: list[tuple[int, Work]] = []
        """Work that was waiting, with its place in the queue."""
        self.expired: list[tuple[Live, RunningTimer]] = []
        """Timers that fell due meanwhile."""
        self._revived: list[tuple[Folded, Live]] = []
        self._problems: list[str] = []
        self._problem_count = self._ended = self._from_snapshot = self._timers = 0

    # What the reading finds out

    def ended(self) -> None:
        self._ended += 1

    def problem(self, text: str) -> None:
        self._problem_count += 1
        if len(self._problems) < _SHOWN:
            self._problems.append(text)

    # The steps

    def read(self) -> None:
        """Bring the instances back, and read what was waiting; nothing moves yet.

        Raises
        ------
        ConfigError
            There is no store to read from.
        """
        events, snapshots = self._readable("event_store", "instances"), self._readable("snapshot_store", "find")
        if events is None and snapshots is None:
            raise ConfigError(
                f"component {self.executor.name!r} has no store to be restored from; give it an event_store"
            )
        self._take_work(events)
        self._go_on_after(events)
        entered = {work.instance_id: work.event_id for _, work in self.works if isinstance(work, Entered)}
        population = self.executor.population
        found = [
            (folded, from_snapshot)
            for folded, from_snapshot in read_live(
                self.executor.component, population.tables, events, snapshots, entered, self
            )
            if folded.instance.id not in population.by_id
        ]
        found.sort(key=lambda item: _creation_key(item[0]))
        for folded, from_snapshot in found:
            self._from_snapshot += from_snapshot
            self.add(folded, keep=folded.instance.id in entered)

    def add(self, folded: Folded, *, keep: bool = False) -> None:
        """Let an instance that does not live here live again; `keep` it though it has ended."""
        population = self.executor.population
        table = population.get_table(folded.instance.machine_name)
        live = Live.of(folded.instance, table, folded.last_event_id)
        payload = None if folded.created is None else folded.created.payload
        initial = payload.get("initialContext") if isinstance(payload, Mapping) else None
        population.add(live, initial if isinstance(initial, Mapping) else None)
        live.transitions = folded.events
        self._revived.append((folded, live))
        self.executor.notify(
            "instance_restored", live.id, machine=live.machine_name, state=live.state, status=live.status
        )
        if live.status != "active" and not live.is_entry_point and not keep:
            self.executor.forget(live)

    def timers(self) -> Iterator[tuple[tuple[int, str, int], Live, StartTimer]]:
        """Timers of those that were added: in which order they fire, whose they are, and which."""
        for folded, live in self._revived:
            for place, start in enumerate(live.table.timers_of(live.state) if live.status == "active" else ()):
                if start.event_type in folded.due:
                    due, cause = folded.due[start.event_type]
                    yield (due, cause, place), live, start

    def start(self, live: Live, start: StartTimer, due: EpochMs, cause: str) -> None:
        """Let a timer run on."""
        self.executor.start_timer(live, start, due, cause)
        if due <= self.executor.clock.now():
            self.expired.append((live, live.timers[start.event_type]))
        else:
            self._timers += 1

    def _take_work(self, events: Any) -> None:
        executor = self.executor
        if events is None or executor.outbox is None:
            return
        works: list[tuple[int, Work]] = []
        for stored in events.get_outbox(executor.name):
            try:
                work = from_document(stored.document, executor)
            except (KeyError, TypeError, ValueError) as error:
                self.problem(f"waiting work {stored.id!r} cannot be read: {error!r}")
                continue
            if executor.outbox.adopt(work, stored):
                works.append((stored.position, work))
        self.works = works

    def _go_on_after(self, events: Any) -> None:
        """Ids and times go on after what is stored, also where this process has another clock."""
        continue_after = getattr(self.executor.ids, "continue_after", None)
        for event in () if events is None else events.find(EventQuery(), limit=1, newest_first=True).items:
            if continue_after is not None:
                continue_after(event.id)
            self.executor.latest.at = max(self.executor.latest.at, event.persisted_at)

    def report(self) -> RestoreReport:
        return RestoreReport(
            component_name=self.executor.name,
            instances=sum(live.id in self.executor.population.by_id for _, live in self._revived),
            from_snapshot=self._from_snapshot,
            events=sum(folded.events for folded, _ in self._revived),
            ended=self._ended,
            timers=self._timers,
            expired=len(self.expired),
            work=len(self.works),
            problem_count=self._problem_count,
            problems=tuple(self._problems),
        )

    def has_entry_point(self) -> bool:
        """Whether the store holds an instance of the entry machine."""
        events = self._readable("event_store", "instances")
        return events is not None and find_entry_point(self.executor.component, events) is not None

    def _readable(self, name: str, method: str) -> Any:
        """A store that can be read; custom ones may only write."""
        written = self._persistence.event_sourcing if name == "event_store" else self._persistence.snapshots
        store = getattr(self._persistence, name)
        return store if written and hasattr(store, method) else None


def start_timers(revivers: Sequence[Reviver]) -> None:
    """Let the timers of all that were brought back run on.

    Those that fall due together fire in the order in which they were started: our ids of the events that did tell.
    """
    timers = [(*timer, reviver) for reviver in revivers for timer in reviver.timers()]
    for (due, cause, _), live, start, reviver in sorted(timers, key=lambda item: item[0]):
        reviver.start(live, start, EpochMs(due), cause)


def resume(revivers: Sequence[Reviver]) -> None:
    """Do the work that was waiting, then let the timers fire that fell due meanwhile, each once.

    For components that share a queue, in one order for all of them.
    """
    works = [work for reviver in revivers for work in reviver.works]
    if works:
        # A method on entry runs at once with its transition, before whatever else waits.
        works.sort(key=lambda item: (not isinstance(item[1], Entered), item[0]))
        revivers[0].executor.agenda.resume(works)
    for reviver in revivers:
        reviver.executor.agenda.drain()
    expired = [(timer, live, reviver) for reviver in revivers for live, timer in reviver.expired]
    for timer, live, reviver in sorted(expired, key=lambda item: (item[0].due, item[0].causes)):
        reviver.executor.fire(live, timer)


def _creation_key(folded: Folded) -> tuple[int, int, str]:
    created = folded.created
    if created is None:
        return folded.instance.created_at or EpochMs(0), 0, folded.instance.id
    return created.persisted_at, created.seq or 0, created.id
