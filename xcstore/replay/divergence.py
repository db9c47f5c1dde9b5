"""A whole store through its definitions: where does it not go as they say?

Streams are read for some hundred instances at a time, and only counts and a few examples of each kind are kept, beside
the ids of the instances that were read.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from xcstore.errors import QueryError
from xcstore.model.catalog import Catalog
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.replay.divergence_results import DivergenceMap, InstanceDivergence, MachineDivergence
from xcstore.replay.reasons import moment_words
from xcstore.replay.tables import Tables
from xcstore.replay.timing import Activity
from xcstore.replay.verdicts import KINDS, Verdict, VerifiedStep
from xcstore.replay.verified import governing, verify_stream
from xcstore.store.base import EventQuery, EventStore, InstanceQuery, InstanceSummary, Stores
from xcstore.units import EpochMs

__all__ = ["DivergenceMap", "InstanceDivergence", "MachineDivergence", "divergence_map"]

_PAGE: Final = 20_000
"""Summaries at a time: many, as some stores go through all their instances for each page."""
_BATCH: Final = 500
_EVENTS: Final = 20_000
"""Events that are in memory together; a longer stream is read in pages."""
_TELL: Final = 1_000
"""Events after which progress is told."""
_CHANGES: Final = 20
"""Values that are told of one example."""

Progress = Callable[[int, int], None]
_Key = tuple[str, str, str]


def divergence_map(
    stores: Stores,
    catalog: Catalog | None = None,
    *,
    limit: int = 1_000,
    on_progress: Progress = lambda done, total: None,
    components: Sequence[str] = (),
) -> DivergenceMap:
    """Execute all that is stored once more, and say where it does not go as the definitions say; writes nothing.

    Parameters
    ----------
    stores : Stores
    catalog : Catalog, optional
        Definitions by name, for events that name no version; those kept in the store are known besides.
    limit : int
        Instances that are told of each kind of first divergence; all are counted.
    on_progress : callable
        Called with (events replayed, all of them). What it raises ends the work.
    components : sequence of str
        Look at these alone.

    Raises
    ------
    QueryError
        A limit below 0.
    StoreError
        The store failed.

    Examples
    --------
    >>> from xcstore.store.memory import open_memory_stores
    >>> divergence_map(open_memory_stores()).diverging
    0
    """
    if limit < 0:
        raise QueryError(f"limit is {limit}; at least 0 examples of each kind can be told")
    return _Replay(stores, catalog or Catalog(), limit, on_progress, tuple(components)).run()


class _Row:
    """The counts of one machine and version."""

    def __init__(self, *, known: bool) -> None:
        self.known = known
        self.instances = self.diverging = self.events = 0
        self.verdicts: Counter[Verdict] = Counter()
        self.kinds: Counter[str] = Counter()


class _Replay:
    def __init__(
        self, stores: Stores, catalog: Catalog, limit: int, on_progress: Progress, components: tuple[str, ...]
    ) -> None:
        self._stores, self._limit, self._progress, self._components = stores, limit, on_progress, components
        self._began = time.perf_counter()
        self._asked_at = EpochMs(time.time_ns() // 1_000_000)
        self._tables = Tables(catalog, stores.definitions.get_all_definitions())
        self._table_of, self._has_machine = governing(self._tables)
        self._total = sum(row.count for row in stores.events.count(EventQuery(components=components)))
        span = stores.events.time_range()
        self._as_of = span[1] if span is not None else None
        self._alive = Activity.of_store(stores.events, components).seen
        self._rows: dict[_Key, _Row] = {}
        self._first: Counter[str] = Counter()
        self._examples: list[InstanceDivergence] = []
        self._events = self._instances = self._diverging = 0

    def run(self) -> DivergenceMap:
        for instance_id, events in self._streams():
            self._take(instance_id, events)
        self._progress(self._total, self._total)
        rows = sorted(self._rows.items(), key=lambda item: (-item[1].diverging, item[0]))
        order = list(KINDS)
        return DivergenceMap(
            store=self._stores.identity,
            asked_at=self._asked_at,
            as_of=self._as_of,
            seconds=time.perf_counter() - self._began,
            components=self._components,
            events=self._events,
            instances=self._instances,
            diverging=self._diverging,
            rows=tuple(
                MachineDivergence(
                    component_name=component,
                    machine_name=machine,
                    definition_hash=version,
                    known=row.known,
                    instances=row.instances,
                    diverging=row.diverging,
                    events=row.events,
                    verdicts=dict(row.verdicts),
                    kinds={kind: row.kinds[kind] for kind in order if row.kinds[kind]},
                )
                for (component, machine, version), row in rows
            ),
            first_kinds={kind: self._first[kind] for kind in order if self._first[kind]},
            examples=tuple(sorted(self._examples, key=lambda example: order.index(example.kind))),
            notes=tuple(self._notes()),
        )

    # Reading

    def _streams(self) -> Iterator[tuple[str, Iterable[PersistedEvent]]]:
        """Every instance with its stream, once."""
        batch: list[str] = []
        together = 0
        for summary in self._summaries():
            if summary.event_count > _EVENTS:
                yield summary.instance_id, _long_stream(self._stores.events, summary.instance_id)
                continue
            if batch and (together + summary.event_count > _EVENTS or len(batch) == _BATCH):
                yield from self._stores.events.get_streams(batch).items()
                batch, together = [], 0
            batch.append(summary.instance_id)
            together += summary.event_count
        if batch:
            yield from self._stores.events.get_streams(batch).items()

    def _summaries(self) -> Iterator[InstanceSummary]:
        query, cursor = InstanceQuery(components=self._components), None
        seen: set[str] = set()  # an instance that goes on meanwhile comes again
        while True:
            page = self._stores.events.instances(query, after=cursor, limit=_PAGE, newest_first=False)
            for summary in page.items:
                if summary.instance_id not in seen:
                    seen.add(summary.instance_id)
                    yield summary
            cursor = page.next
            if cursor is None:
                return

    # Counting

    def _take(self, instance_id: str, events: Iterable[PersistedEvent]) -> None:
        last: list[PersistedEvent] = []
        steps = verify_stream(
            self._counted(events, last),
            self._table_of,
            as_of=self._as_of,
            alive=self._alive,
            has_machine=self._has_machine,
            snapshots_of=self._snapshots_of,
        )
        first: VerifiedStep | None = None
        first_event: PersistedEvent | None = None
        counts: Counter[Verdict] = Counter()
        keys: set[_Key] = set()
        diverging: set[_Key] = set()
        key: _Key | None = None
        number = 0
        for step in steps:
            event = step.event
            number += event is not None
            about = event or last[0]
            if key is None or event is not None:
                key = (about.component_name, about.machine_name, about.definition_hash or "")
            row = self._row(key, about)
            if key not in keys:
                keys.add(key)
                row.instances += 1
            row.events += event is not None
            row.verdicts[step.verdict] += 1
            counts[step.verdict] += 1
            if step.kind:
                row.kinds[step.kind] += 1
                if step.diverges and key not in diverging:
                    diverging.add(key)
                    row.diverging += 1
                if step.diverges and first is None:
                    first, first_event = step, about
        if number:
            self._instances += 1
        if first is not None and first_event is not None:
            self._diverging += 1
            self._first[first.kind] += 1
            if sum(example.kind == first.kind for example in self._examples) < self._limit:
                self._examples.append(_example(instance_id, first, first_event, number, counts))

    def _counted(self, events: Iterable[PersistedEvent], last: list[PersistedEvent]) -> Iterator[PersistedEvent]:
        """The same events; the one that was looked at last is kept in `last`."""
        for event in events:
            last[:] = [event]
            self._events += 1
            if self._events % _TELL == 0:
                self._progress(min(self._events, self._total), self._total)
            yield event

    def _row(self, key: _Key, event: PersistedEvent) -> _Row:
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = _Row(known=self._table_of(event) is not None)
        return row

    def _snapshots_of(self, instance_id: str) -> Sequence[InstanceSnapshot]:
        return tuple(self._stores.snapshots.list_snapshots(instance_id))

    def _notes(self) -> Iterator[str]:
        nameless = [row for key, row in self._rows.items() if not key[0]]
        if nameless:
            some = sum(row.events for row in nameless)
            yield (
                f"{some:,} {'event names' if some == 1 else 'events name'} no component, and are counted in rows of "
                "their own"
            )
        counted = sum(row.instances for row in self._rows.values())
        if counted > self._instances:
            yield (
                f"the rows by machine count {counted:,} instances, and there are {self._instances:,}: one with events "
                "of several components, machines or versions is counted in each of their rows"
            )
        if alone := sum(row.kinds["state_only"] for row in self._rows.values()):
            yield f"{alone:,} of {self._events:,} events record no values: their states were compared alone"
        if self._as_of is not None:
            yield (
                f"timers were awaited up to {moment_words(self._as_of)}, the last event of the store, where their "
                "component was seen at work after they fell due"
            )
        yield "what an event asks of other instances was not compared: see Causality and Integrity"
        yield from self._tables.problems


def _example(
    instance_id: str, first: VerifiedStep, event: PersistedEvent, events: int, counts: Mapping[Verdict, int]
) -> InstanceDivergence:
    return InstanceDivergence(
        instance_id=instance_id,
        component_name=event.component_name,
        machine_name=event.machine_name,
        definition_hash=event.definition_hash or "",
        kind=first.kind,
        verdict=first.verdict,
        reason=first.reason,
        position=first.position,
        event_id="" if first.event is None else event.id,
        event_type="" if first.event is None else event.event_type,
        at=event.persisted_at,
        changes=first.changes[:_CHANGES],
        change_count=len(first.changes),
        events=events,
        counts=dict(counts),
    )


def _long_stream(events: EventStore, instance_id: str) -> Iterator[PersistedEvent]:
    """A stream that is too long to be in memory, in stream order: that orders events of one moment alone."""
    before: list[PersistedEvent] = []
    for _, moment in groupby(_pages(events, instance_id), key=lambda event: event.persisted_at):
        tied = list(moment)
        if len(tied) > 1:
            tied = order_stream([*before, *tied])[len(before) :]
        yield from tied
        before = tied[-1:]


def _pages(events: EventStore, instance_id: str) -> Iterator[PersistedEvent]:
    query, cursor = EventQuery(instance_ids=(instance_id,)), None
    while True:
        page = events.find(query, after=cursor, limit=5_000)
        yield from page.items
        cursor = page.next
        if cursor is None:
            return
