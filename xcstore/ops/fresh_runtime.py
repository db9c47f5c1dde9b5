"""A store brought back into runtimes in memory, to be looked at, let go on, and thrown away.

Nothing that happens there is stored anywhere, and methods of users do not run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from xcstore.model.catalog import Catalog
from xcstore.ops.restoration import summaries_in_batches
from xcstore.ops.restoration_batch import Restorer
from xcstore.runtime.clock import SimulatedClock
from xcstore.runtime.engine import FSMRuntime
from xcstore.runtime.registry import ComponentRegistry
from xcstore.runtime.reviving import Reviver, resume, start_timers
from xcstore.runtime.work import Work, from_document
from xcstore.store.base import InstanceQuery, Stores
from xcstore.units import EpochMs

__all__ = ["FreshRuntime", "fresh_runtime"]


class FreshRuntime:
    """What `fresh_runtime` brought back; made by it."""

    def __init__(self, revivers: Mapping[str, tuple[FSMRuntime, Reviver]], clock: SimulatedClock) -> None:
        self._revivers: Final = {name: reviver for name, (_, reviver) in revivers.items()}
        self._went_on = False
        self.clock: Final = clock
        self.runtimes: Final[Mapping[str, FSMRuntime]] = {name: runtime for name, (runtime, _) in revivers.items()}
        """By the name of the component; `instances()` and `pending_timeouts(id)` show what lives there."""
        reports = [reviver.report() for reviver in self._revivers.values()]
        self.instances: Final = sum(report.instances for report in reports)
        self.overdue: Final = sum(report.expired for report in reports)
        """Timers that fire once on going on."""
        self.work: Final = sum(report.work for report in reports)
        """Pieces of work that wait to be done on going on."""
        self.problem_count: Final = sum(report.problem_count for report in reports)
        self.problems: Final = tuple(problem for report in reports for problem in report.problems)
        """The first of them of each component."""
        self.truncated = False
        """Whether there are more instances than were asked for at most."""

    @property
    def went_on(self) -> bool:
        return self._went_on

    def go_on(self) -> None:
        """Do the work that waits, and let overdue timers fire once; in memory alone. A second time does nothing.

        Components reach each other here, and one that has an entry point and brought none back makes one.
        """
        if self._went_on:
            return
        self._went_on = True
        registry = ComponentRegistry()
        for runtime in self.runtimes.values():
            registry.register(runtime)
        resume(list(self._revivers.values()))


def fresh_runtime(
    stores: Stores,
    catalog: Catalog,
    *,
    instance_ids: Iterable[str] = (),
    as_of: EpochMs | None = None,
    max_instances: int = 10_000,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> FreshRuntime:
    """Bring instances back into runtimes in memory; nothing goes on before `FreshRuntime.go_on`.

    Parameters
    ----------
    stores : Stores
        Only read.
    catalog : Catalog
    instance_ids : iterable of str
        These alone; all that live where there are none. Work that waits is brought back with all alone.
    as_of : EpochMs, optional
        What the clock says; now where not given.
    max_instances : int
        Stored instances, of each component, that are looked at; the oldest first.
    on_progress : callable
        Called with (instances looked at, all of them as far as known). What it raises ends the work.

    Raises
    ------
    StoreError
        The store failed.
    """
    ids = tuple(dict.fromkeys(instance_ids))
    clock = SimulatedClock(EpochMs(time.time_ns() // 1_000_000) if as_of is None else as_of)
    restorer = Restorer(stores, catalog, clock.now())
    revivers: dict[str, tuple[FSMRuntime, Reviver]] = {}
    truncated = False
    done, total = 0, len(ids) or sum(row.count for row in stores.events.count_instances(InstanceQuery()))
    for component in catalog:
        runtime = FSMRuntime(component, event_sourcing=False, snapshots=False, clock=clock, environment={})
        reviver = Reviver(runtime.executor, runtime.persistence)
        looked_at = 0
        query = InstanceQuery(components=(component.name,), instance_ids=ids)
        for batch in summaries_in_batches(stores, query):
            truncated = truncated or looked_at + len(batch) > max_instances
            restorer.bring_back(component.name, batch[: max(0, max_instances - looked_at)], reviver)
            looked_at += len(batch)
            done += len(batch)
            on_progress(done, max(done, total))
            if truncated:
                break
        if not ids:
            reviver.works = _work(restorer, runtime, reviver)
        revivers[component.name] = (runtime, reviver)
    start_timers([reviver for _, reviver in revivers.values()])
    fresh = FreshRuntime(revivers, clock)
    fresh.truncated = truncated
    return fresh


def _work(restorer: Restorer, runtime: FSMRuntime, reviver: Reviver) -> list[tuple[int, Work]]:
    works = []
    for stored in restorer.work_of(runtime.component.name):
        try:
            works.append((stored.position, from_document(stored.document, runtime.executor)))
        except (KeyError, TypeError, ValueError) as error:
            reviver.problem(f"waiting work {stored.id!r} cannot be read: {error!r}")
    return works
