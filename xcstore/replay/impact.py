"""What a changed definition would have made of the history that is stored.

Every instance goes its way twice, see `pure_runs`: under the definition in force and under the candidate. Only what
differs between these two is the effect of the change; how far the first is from what was recorded is told beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from xcstore.errors import NotFoundError, QueryError
from xcstore.model.catalog import Catalog
from xcstore.model.definition import Component
from xcstore.model.history import PersistedEvent
from xcstore.replay.impact_changes import changes_of
from xcstore.replay.impact_results import Example, Ignored, Impact, MachineImpact, Part, Reached
from xcstore.replay.impact_tally import Tally
from xcstore.replay.pure_runs import Way, run_stream
from xcstore.replay.rules import Rules
from xcstore.replay.tables import Tables
from xcstore.runtime.interpreter import MachineTable
from xcstore.store.base import InstanceQuery, InstanceSummary, Stores
from xcstore.units import EpochMs

__all__ = ["Example", "Ignored", "Impact", "MachineImpact", "Part", "Reached", "definition_impact"]

STREAMS: Final = 500
"""Instances whose streams are read together, at most,"""
EVENTS: Final = 20_000
"""and events that they have together, unless one instance has more."""

Progress = Callable[[int, int], None]

_ASSUMED: Final = (
    "what others send is assumed to come as recorded, also where an instance that went another way would have "
    "sent something else",
    "events that the definition in force ignored left no row: a candidate that would take them is not seen to",
)


def definition_impact(
    stores: Stores,
    candidate: Component,
    *,
    catalog: Catalog,
    max_instances: int | None = None,
    examples: int = 5,
    on_progress: Progress = lambda done, total: None,
) -> Impact:
    """Run every stored instance of a component under a candidate definition. Nothing is written, and no method called.

    Parameters
    ----------
    stores : Stores
    candidate : Component
        The changed definition; its name says of which component.
    catalog : Catalog
        The definitions in force; of other names, those that the store keeps.
    max_instances : int, optional
        How many to look at, those that changed last first; all by default.
    examples : int
        Told of each pair of ends.
    on_progress : callable
        Called with (instances done, all of them). What it raises ends the work.

    Raises
    ------
    NotFoundError
        No definition of that component is in force, so there is nothing to compare with.
    QueryError
        A number below 0.
    StoreError
        The store failed.
    """
    if examples < 0 or (max_instances is not None and max_instances < 0):
        raise QueryError(f"max_instances is {max_instances} and examples is {examples}; numbers from 0 can be given")
    began = time.perf_counter()
    asked_at = EpochMs(time.time_ns() // 1_000_000)
    tables = Tables(catalog, stores.definitions.get_all_definitions())
    current = tables.catalog.find_component(candidate.name)
    if current is None:
        raise NotFoundError(
            f"no definition of component {candidate.name!r} is known to compare with; give the one in force first"
        )
    # Of events that do not say of which component they are, those whose machine only this one has.
    query = InstanceQuery(components=(candidate.name, ""))

    def belongs(component: str, machine: str) -> bool:
        if component:
            return component == candidate.name
        found = tables.catalog.find_machine("", machine)
        return found is not None and found is current.find_machine(machine)

    rows = stores.events.count_instances(query)
    total = sum(row.count for row in rows if belongs(row.component_name, row.machine_name))
    wanted = total if max_instances is None else min(max_instances, total)
    times = stores.events.time_range()
    corpus = _Corpus(tables, current, candidate, times[1] if times else EpochMs(0), examples)
    done = 0
    on_progress(0, wanted)
    for batch in _batches(stores, query, belongs, wanted):
        streams = stores.events.get_streams(summary.instance_id for summary in batch)
        for summary in batch:
            if stream := streams.get(summary.instance_id):
                corpus.add(summary.machine_name, stream)
        done += len(batch)
        on_progress(done, wanted)
    return Impact(
        component_name=candidate.name,
        current_hash=current.hash,
        candidate_hash=candidate.hash,
        machines=corpus.machines(),
        instances=corpus.instances,
        total=total,
        events=corpus.events,
        until=times[1] if times else None,
        notes=corpus.notes(),
        seconds=time.perf_counter() - began,
        store=stores.events.identity,
        asked_at=asked_at,
    )


def _batches(
    stores: Stores, query: InstanceQuery, belongs: Callable[[str, str], bool], wanted: int
) -> Iterator[list[InstanceSummary]]:
    """Instances in portions whose events fit into memory together."""
    batch: list[InstanceSummary] = []
    events, taken, after = 0, 0, None
    while taken < wanted:
        page = stores.events.instances(query, after=after, limit=min(STREAMS, wanted - taken))
        for summary in page.items:
            if not belongs(summary.component_name, summary.machine_name):
                continue
            taken += 1
            if batch and (len(batch) == STREAMS or events + summary.event_count > EVENTS):
                yield batch
                batch, events = [], 0
            batch.append(summary)
            events += summary.event_count
        after = page.next
        if after is None:
            break
    if batch:
        yield batch


class _Corpus:
    """All instances of the component, counted by machine."""

    def __init__(self, tables: Tables, current: Component, candidate: Component, until: EpochMs, examples: int) -> None:
        self._tables = tables
        self._until = until
        self._examples = examples
        self._now, self._then = (
            {machine.name: MachineTable(machine) for machine in component.machines}
            for component in (current, candidate)
        )
        self._tallies: dict[str, Tally] = {}
        self._rules: dict[tuple[int, int], Rules] = {}
        self.instances = self.events = self._replaced = self._unreadable = 0

    def add(self, machine_name: str, stream: Sequence[PersistedEvent]) -> None:
        self.instances += 1
        self.events += len(stream)
        tally = self._tallies.get(machine_name)
        if tally is None:
            now, then = self._now.get(machine_name), self._then.get(machine_name)
            changed = changes_of(now, then) if now is not None and then is not None else ()
            tally = self._tallies[machine_name] = Tally(machine_name, now, then, changed, self._examples)
        tally.instances += 1
        if tally.now is None or tally.then is None:
            which = "the candidate" if tally.then is None else "the definition in force"
            tally.unknown[f"{which} has no machine {machine_name!r}"] += 1
            return
        self._replaced += sum(self._tables.found(event) == "today" for event in stream[:1])
        one, two = (self._run(table, stream) for table in (tally.now, tally.then))
        tally.add(stream, one, two)

    def _run(self, table: MachineTable, stream: Sequence[PersistedEvent]) -> Way:
        def rules_of(event: PersistedEvent) -> Rules:
            recorder = self._tables.of(event)
            key = id(table), id(recorder)
            rules = self._rules.get(key)
            if rules is None:
                rules = self._rules[key] = Rules(table, recorder)
            return rules

        return run_stream(rules_of, stream, self._until)

    def machines(self) -> tuple[MachineImpact, ...]:
        """By name; those without instances too, where the definition has changed."""
        for name in self._now.keys() & self._then.keys() - self._tallies.keys():
            if changed := changes_of(self._now[name], self._then[name]):
                self._tallies[name] = Tally(name, self._now[name], self._then[name], changed, 0)
        return tuple(self._tallies[name].told() for name in sorted(self._tallies))

    def notes(self) -> tuple[str, ...]:
        found = [*self._tables.problems, *_ASSUMED] if self.instances else list(self._tables.problems)
        if self._replaced:
            found.append(
                f"{self._replaced:,} instances name a version of their definition that is not kept: they are taken as "
                "recorded under the one in force"
            )
        return tuple(found)
