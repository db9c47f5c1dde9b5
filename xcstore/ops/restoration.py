"""Could a store be brought back, and what of it could not: a dry run of the runtime's own restore.

Every instance that is stored is told of once: those that live would go on, with their timers; those that ended stay
ended. Nothing is written, no timer fires and no work is done: what is brought back lives in memory, and is thrown away
with each batch. All streams are read, about 50,000 events at a time, unless one stream has more.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from xcstore.model.catalog import Catalog
from xcstore.model.history import InstanceSnapshot
from xcstore.ops.restoration_batch import Restorer
from xcstore.ops.restoration_results import (
    PROBLEMS,
    Base,
    ComponentRestoration,
    InstanceRestoration,
    Outcome,
    Problem,
    RestorationReport,
    RestoredTimer,
    SnapshotAudit,
    SnapshotState,
)
from xcstore.store.base import Cursor, InstanceQuery, InstanceSummary, Page, Stores
from xcstore.units import EpochMs

__all__ = [
    "PROBLEMS",
    "Base",
    "ComponentRestoration",
    "InstanceRestoration",
    "Outcome",
    "Problem",
    "RestorationReport",
    "RestoredTimer",
    "SnapshotAudit",
    "SnapshotState",
    "restoration",
    "restoration_page",
    "restorations",
    "summaries_in_batches",
]

EVENTS: Final = 50_000
INSTANCES: Final = 500
"""Instances that are brought back together, unless they have more than `EVENTS` events."""
_PAGE: Final = 20_000
"""Summaries at a time: many, as some stores go through all their instances for each page."""

Progress = Callable[[int, int], None]


def restorations(
    stores: Stores,
    catalog: Catalog,
    *,
    instance_ids: Iterable[str] = (),
    components: Sequence[str] = (),
    as_of: EpochMs | None = None,
) -> Iterator[InstanceRestoration]:
    """Every instance, and what could be brought back of it; streaming.

    Parameters
    ----------
    stores : Stores
        Only read. What is masked is told as it is masked.
    catalog : Catalog
        By what instances are brought back, as a runtime that starts now would.
    instance_ids : iterable of str
        These alone; all where there are none. One that is not stored is told so.
    components : sequence of str
        Instances of these alone.
    as_of : EpochMs, optional
        What the clock of the runtime says, in ms; now where not given. Timers that are due by then are overdue. It
        cuts off no events.

    Raises
    ------
    StoreError
        The store failed.

    Examples
    --------
    >>> from xcstore.store.memory import open_memory_stores
    >>> list(restorations(open_memory_stores(), Catalog()))
    []
    """
    yield from _restored(Restorer(stores, catalog, _time(as_of)), tuple(instance_ids), tuple(components))


def restoration_page(
    stores: Stores,
    catalog: Catalog,
    query: InstanceQuery = InstanceQuery(),  # noqa: B008  # frozen
    *,
    after: Cursor | None = None,
    limit: int = 50,
    as_of: EpochMs | None = None,
    newest_first: bool = True,
) -> Page[InstanceRestoration]:
    """A page of the instances that have events, by keyset as `EventStore.instances`; see `restorations`."""
    page = stores.events.instances(query, after=after, limit=limit, newest_first=newest_first)
    restorer = Restorer(stores, catalog, _time(as_of))
    return Page(items=tuple(restorer.restore(page.items)), next=page.next)


def restoration(
    stores: Stores,
    catalog: Catalog,
    *,
    instance_ids: Iterable[str] = (),
    components: Sequence[str] = (),
    as_of: EpochMs | None = None,
    limit: int = 1_000,
    on_progress: Progress = lambda done, total: None,
    on_instance: Callable[[InstanceRestoration], None] = lambda one: None,
) -> RestorationReport:
    """All instances, counted by component; see `restorations`.

    Parameters
    ----------
    limit : int
        Instances that are told of, of those that were not brought back or have problems; all are counted.
    on_progress : callable
        Called with (instances done, all of them as far as known). What it raises ends the work.
    on_instance : callable
        Called with each instance, told of or not.
    """
    began, asked_at = time.perf_counter(), _time(None)
    now = asked_at if as_of is None else as_of
    ids = tuple(instance_ids)
    asked = InstanceQuery(components=tuple(components))
    total = len(ids) or sum(row.count for row in stores.events.count_instances(asked))
    restorer = Restorer(stores, catalog, now)
    work = {} if ids else {name: n for name, n in restorer.work.items() if not components or name in components}
    counts = {name: _Counts() for name in work}
    told: list[InstanceRestoration] = []
    told_of = 0
    for done, one in enumerate(_restored(restorer, ids, tuple(components)), 1):
        counts.setdefault(one.component_name, _Counts()).add(one)
        if one.outcome == "not_restored" or one.problems:
            told_of += 1
            if len(told) < limit:
                told.append(one)
        on_instance(one)
        on_progress(done, max(done, total))
    return RestorationReport(
        store=stores.identity,
        as_of=now,
        asked_at=asked_at,
        seconds=time.perf_counter() - began,
        components=tuple(counts[name].result(name, work.get(name, 0)) for name in sorted(counts)),
        told=tuple(told),
        told_of=told_of,
        notes=tuple(restorer.definitions.unusable),
    )


def summaries_in_batches(
    stores: Stores,
    query: InstanceQuery = InstanceQuery(),  # noqa: B008  # frozen
) -> Iterator[Sequence[InstanceSummary]]:
    """All instances that have events, each once, in batches that can be read together."""
    seen: set[str] = set()
    cursor: Cursor | None = None
    while True:
        page = stores.events.instances(query, after=cursor, limit=_PAGE, newest_first=False)
        # One that moves on while this goes through them comes again, later.
        fresh = [one for one in page.items if one.instance_id not in seen]
        seen.update(one.instance_id for one in fresh)
        yield from _batches(fresh)
        cursor = page.next
        if cursor is None:
            return


def _restored(
    restorer: Restorer, instance_ids: tuple[str, ...], components: tuple[str, ...]
) -> Iterator[InstanceRestoration]:
    stores = restorer.stores
    if instance_ids:
        remaining = iter(dict.fromkeys(instance_ids))
        while chunk := tuple(islice(remaining, INSTANCES)):
            query = InstanceQuery(instance_ids=chunk, components=components)
            found: set[str] = set()
            for batch in summaries_in_batches(stores, query):
                found.update(one.instance_id for one in batch)
                yield from restorer.restore(batch)
            left = [one for one in chunk if one not in found]
            # With events, but of another component: not asked for.
            others = _having_events(stores, left) if components else set()
            snapshots = stores.snapshots.get_snapshots(one for one in left if one not in others)
            yield from _orphans(restorer, list(snapshots.values()), components)
            yield from (_not_stored(one) for one in left if one not in others and one not in snapshots)
        return
    for batch in summaries_in_batches(stores, InstanceQuery(components=components)):
        yield from restorer.restore(batch)
    after: Cursor | None = None
    while True:
        page = stores.snapshots.find(after=after, limit=INSTANCES)
        there = _having_events(stores, [snapshot.instance.id for snapshot in page.items])
        yield from _orphans(restorer, [one for one in page.items if one.instance.id not in there], components)
        after = page.next
        if after is None:
            return


def _orphans(
    restorer: Restorer, snapshots: Sequence[InstanceSnapshot], components: Collection[str]
) -> list[InstanceRestoration]:
    return restorer.restore_orphans(
        [one for one in snapshots if not components or one.instance.component_name in components]
    )


def _having_events(stores: Stores, instance_ids: Sequence[str]) -> set[str]:
    if not instance_ids:
        return set()
    page = stores.events.instances(InstanceQuery(instance_ids=tuple(instance_ids)), limit=len(instance_ids))
    return {one.instance_id for one in page.items}


def _batches(summaries: Sequence[InstanceSummary]) -> Iterator[Sequence[InstanceSummary]]:
    batch: list[InstanceSummary] = []
    events = 0
    for one in summaries:
        if batch and (len(batch) == INSTANCES or events + one.event_count > EVENTS):
            yield batch
            batch, events = [], 0
        batch.append(one)
        events += one.event_count
    if batch:
        yield batch


def _not_stored(instance_id: str) -> InstanceRestoration:
    return InstanceRestoration(
        instance_id=instance_id,
        component_name="",
        machine_name="",
        outcome="not_restored",
        base="none",
        events=0,
        folded=0,
        state="",
        snapshot=SnapshotAudit(state="none"),
        problems=(Problem(kind="not_stored", text=PROBLEMS["not_stored"]),),
    )


def _time(given: EpochMs | None) -> EpochMs:
    return EpochMs(time.time_ns() // 1_000_000) if given is None else given


class _Counts:
    """One component, while it is counted."""

    def __init__(self) -> None:
        self._outcomes: Counter[Outcome] = Counter()
        self._problems: Counter[str] = Counter()
        self._snapshots: Counter[SnapshotState] = Counter()
        self._from_snapshot = self._timers = self._overdue = self._work = 0

    def add(self, one: InstanceRestoration) -> None:
        self._outcomes[one.outcome] += 1
        self._problems.update({problem.kind for problem in one.problems})
        self._snapshots[one.snapshot.state] += 1
        self._from_snapshot += one.base in ("snapshot", "snapshot_and_events")
        self._timers += sum(not timer.overdue for timer in one.timers)
        self._overdue += sum(timer.overdue for timer in one.timers)
        self._work += one.work

    def result(self, name: str, work: int) -> ComponentRestoration:
        """`work`: pieces of work of the whole component, where all of it was looked at."""
        return ComponentRestoration(
            component_name=name,
            instances=self._outcomes.total(),
            restored=self._outcomes["restored"],
            from_snapshot=self._from_snapshot,
            ended=self._outcomes["ended"],
            not_restored=self._outcomes["not_restored"],
            timers=self._timers,
            overdue=self._overdue,
            work=max(self._work, work),
            problems=dict(sorted(self._problems.items())),
            snapshots=dict(sorted(self._snapshots.items())),
        )
