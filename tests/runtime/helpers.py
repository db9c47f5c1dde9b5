"""Small machines, written as documents, and a runtime with everything at hand to look at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xcstore.model.definition import Component
from xcstore.model.history import PersistedEvent
from xcstore.model.loader import parse_component
from xcstore.runtime import ComponentRegistry, FSMRuntime, Method, Notice, PersistenceConfig, SimulatedClock
from xcstore.runtime.ids import TimeOrderedIds
from xcstore.store.base import Stores
from xcstore.store.memory import open_memory_stores
from xcstore.units import EpochMs

START = EpochMs(1_767_225_600_000)


@dataclass
class World:
    """Runtimes that share a clock, ids and stores; notices are kept in the order in which they came."""

    runtimes: dict[str, FSMRuntime]
    clock: SimulatedClock
    stores: Stores
    registry: ComponentRegistry
    notices: list[Notice] = field(default_factory=list)

    @property
    def runtime(self) -> FSMRuntime:
        return next(iter(self.runtimes.values()))

    def history(self, instance_id: str) -> list[tuple[str, str, str]]:
        events = self.stores.events.get_events_for_instance(instance_id)
        return [(event.event_type, event.state_before, event.state_after) for event in events]

    def events(self) -> list[PersistedEvent]:
        return list(self.stores.events.get_all_events())

    def last(self, instance_id: str) -> PersistedEvent:
        return self.stores.events.get_events_for_instance(instance_id)[-1]

    def told(self, name: str) -> list[Mapping[str, object]]:
        return [notice.data for notice in self.notices if notice.name == name]


def component(text: str) -> Component:
    return parse_component(text)


def world(
    *documents: str | Component,
    methods: Mapping[str, Method] | None = None,
    snapshot_interval: int = 10,
    event_store: Any = None,
    snapshot_store: Any = None,
    seed: int = 1,
) -> World:
    stores, clock, ids, registry = (
        open_memory_stores(),
        SimulatedClock(START),
        TimeOrderedIds(seed),
        ComponentRegistry(),
    )
    made = World({}, clock, stores, registry)
    for document in documents:
        parsed = component(document) if isinstance(document, str) else document
        runtime = FSMRuntime(
            parsed,
            clock=clock,
            ids=ids,
            methods=methods,
            persistence=PersistenceConfig(
                event_sourcing=True,
                snapshots=True,
                snapshot_interval=snapshot_interval,
                event_store=event_store or stores.events,
                snapshot_store=snapshot_store or stores.snapshots,
                definition_store=stores.definitions,
            ),
        )
        runtime.listen(made.notices.append)
        registry.register(runtime)
        made.runtimes[parsed.name] = runtime
    return made
