"""Components over stores that fail and processes that are killed, and what a program has come to in them."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from xcstore.errors import InstanceNotActiveError, StoreUnavailableError
from xcstore.model.definition import Component
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.runtime import (
    ComponentRegistry,
    FSMRuntime,
    Method,
    Notice,
    PersistenceConfig,
    SimulatedClock,
)
from xcstore.runtime.ids import IdSource
from xcstore.runtime.restoring import RestoreReport
from xcstore.store.base import EventQuery, Stores
from xcstore.units import DurationMs, EpochMs

__all__ = ["START", "CountedIds", "Killed", "Life", "Outcome", "Unreliable", "describe"]

START = EpochMs(1_767_225_600_000)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PATIENCE = 200

Outcome = Literal["fine", "refused", "unsure", "killed before", "killed after"]
"""What becomes of a write. `unsure`: it is written, and then an error is raised all the same."""


class Killed(BaseException):
    """The process ends here."""


class Unreliable:
    """An event store whose next writes come out as `outcomes` says; when these are used up, all is fine."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.outcomes: deque[Outcome] = deque()
        self.writes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def append(self, event: PersistedEvent, **keywords: Any) -> None:
        self._write(lambda: self.store.append(event, **keywords))

    def change_outbox(self, change: Any) -> None:
        self._write(lambda: self.store.change_outbox(change))

    def _write(self, write: Callable[[], None]) -> None:
        self.writes += 1
        outcome = self.outcomes.popleft() if self.outcomes else "fine"
        if outcome == "killed before":
            raise Killed
        if outcome == "refused":
            raise StoreUnavailableError("refused")
        write()
        if outcome == "killed after":
            raise Killed
        if outcome == "unsure":
            raise StoreUnavailableError("written, but who knows")


class CountedIds:
    """Ids that go on counting in the next life, as those of a clock that does not stand still would."""

    def __init__(self) -> None:
        self._events = self._instances = 0

    def event_id(self, now: EpochMs) -> str:
        self._events += 1
        return f"{self._events:08x}-0000-7000-8000-000000000000"

    def instance_id(self) -> str:
        self._instances += 1
        return f"{self._instances:08x}-0000-4000-8000-000000000000"


class Life:
    """Components that share stores, through failures and restarts.

    A step (`create`, `send`, `broadcast`, `advance`) goes to its end whatever happens on the way: after an error of
    the store it is done again, and so it is after a kill, unless something of it was stored.
    """

    def __init__(
        self,
        components: Iterable[Component],
        stores: Stores,
        methods: Mapping[str, Method] | None = None,
        *,
        snapshot_interval: int = 3,
        ids: IdSource | None = None,
        outcomes: Iterable[Outcome] = (),
    ) -> None:
        self.components = tuple(components)
        self.stores = stores
        self.events = Unreliable(stores.events)
        self.methods = dict(methods or {})
        self.interval = snapshot_interval
        self.ids = ids or CountedIds()
        self.clock = SimulatedClock(START)
        self.lives = 0
        self.held_up = False
        """Whether a failing store has kept work waiting while something else went on: another component, or time."""
        self._time_goes_on = False
        self.notices: list[Notice] = []
        self.reports: tuple[RestoreReport, ...] = ()
        self.events.outcomes.extend(outcomes)
        try:
            self._begin()
        except (Killed, StoreUnavailableError):
            self.restart()

    # Beginning and ending

    def _begin(self) -> None:
        self.lives += 1
        self.clock = SimulatedClock(self.clock.now())
        self.registry = ComponentRegistry()
        self.registry.listen(self._listen)
        self.runtimes = {one.name: self.make_runtime(one, self.clock) for one in self.components}
        for runtime in self.runtimes.values():
            self.registry.register(runtime)

    def make_runtime(self, component: Component, clock: SimulatedClock, *, snapshots: bool = True) -> FSMRuntime:
        config = PersistenceConfig(
            event_sourcing=True,
            event_store=self.events,
            snapshots=snapshots,
            snapshot_store=self.stores.snapshots,
            snapshot_interval=self.interval,
        )
        return FSMRuntime(component, config, clock=clock, ids=self.ids, methods=self.methods, environment={})

    def _listen(self, notice: Notice) -> None:
        self.notices.append(notice)
        if notice.name == "delivery_failed" and notice.data["kept"]:
            self.held_up |= self._time_goes_on or len(self.components) > 1

    def restart(self) -> None:
        """The process is gone; another one begins, over the same stores and at the same time."""
        for _ in range(_PATIENCE):
            try:
                self._begin()
                self.reports = self.registry.restore()
            except (Killed, StoreUnavailableError):
                continue
            return
        raise AssertionError("it cannot be restored")

    def sleeper(self, *, snapshots: bool = True) -> dict[str, FSMRuntime]:
        """Other runtimes over the same stores, brought back but not going on."""
        registry, clock = ComponentRegistry(), SimulatedClock(self.clock.now())
        found = {one.name: self.make_runtime(one, clock, snapshots=snapshots) for one in self.components}
        for runtime in found.values():
            registry.register(runtime)
        for runtime in found.values():
            runtime.restore(resume=False)
        return found

    # Steps

    def create(self, component: str, machine: str, data: Mapping[str, object]) -> None:
        self._do(lambda: self.runtimes[component].create_instance(machine, data))

    def send(self, component: str, number: int, event_type: str, payload: Mapping[str, object]) -> None:
        """To the instance with this number, in order of creation, dead or alive."""
        ids = [i for i, event in self._creations().items() if event.component_name == component]
        if number < len(ids):
            self._do(lambda: self.runtimes[component].send(ids[number], event_type, payload))

    def broadcast(self, component: str, machine: str, event_type: str, payload: Mapping[str, object]) -> None:
        self._do(lambda: self.runtimes[component].broadcast(machine, event_type, payload))

    def advance(self, duration: int) -> None:
        end = EpochMs(self.clock.now() + DurationMs(duration))
        self._time_goes_on = True
        self._do(lambda: self.clock.advance_to(end), again=True)
        self._time_goes_on = False

    def _do(self, step: Callable[[], object], *, again: bool = False) -> None:
        stored = self.count_events()
        for _ in range(_PATIENCE):
            try:
                step()
            except Killed:
                self.restart()
                if again or self.count_events() == stored:
                    continue
            except StoreUnavailableError:
                continue
            except InstanceNotActiveError:
                pass
            self.settle()
            return
        raise AssertionError("the step comes to no end")

    def settle(self) -> None:
        """Until nothing waits for the store."""
        for _ in range(_PATIENCE):
            try:
                for runtime in self.runtimes.values():
                    runtime.retry()
                    runtime.executor.agenda.drain()  # a flush that failed waits for the next write
                self.clock.advance_to(self.clock.now())  # timers that a late answer of the store has made overdue
            except Killed:
                self.restart()
                continue
            if not any(r.queued or (r.executor.outbox and r.executor.outbox.dirty) for r in self.runtimes.values()):
                return
        raise AssertionError("work is left in the queue")

    # What it has come to

    def count_events(self) -> int:
        return int(self.events.count(EventQuery())[0].count)

    def all_events(self) -> list[PersistedEvent]:
        return list(self.events.get_all_events())

    def _creations(self) -> dict[str, PersistedEvent]:
        return {event.instance_id: event for event in self.all_events() if event.event_type == CREATION}

    def tale(self) -> dict[str, object]:
        """Everything that can be told of it without ids: instances are numbered, events known by their position."""
        names = {instance_id: f"i{number}" for number, instance_id in enumerate(self._creations())}
        told = _Teller(names)
        streams = {i: self.events.get_events_for_instance(i) for i in names}
        places = {event.id: (names[i], at) for i, stream in streams.items() for at, event in enumerate(stream)}
        return {
            "order": [places[event.id] for event in self.all_events()],
            "histories": {
                names[i]: [_event_row(event, told, places) for event in stream] for i, stream in streams.items()
            },
            "live": told(
                {
                    name: [[*row, places[row_last], _placed(timers, places)] for *row, row_last, timers in rows]
                    for name, rows in describe(self.runtimes).items()
                }
            ),
        }


def describe(runtimes: Mapping[str, FSMRuntime]) -> dict[str, list[list[Any]]]:
    """Live instances in order, by component: all there is to know of each, last event and timers at the end."""
    found: dict[str, list[list[Any]]] = {}
    for name, runtime in runtimes.items():
        rows = found[name] = []
        for instance in runtime.instances():
            live = runtime.executor.population.by_id[instance.id]
            rows.append(
                [
                    instance.id,
                    instance.machine_name,
                    instance.current_state,
                    instance.status,
                    dict(instance.context),
                    None if instance.public_member is None else dict(instance.public_member),
                    instance.parent_instance_id,
                    instance.parent_machine_name,
                    instance.is_entry_point,
                    instance.created_at,
                    instance.updated_at,
                    live.last_event_id,
                    {timer.event_type: (timer.due, timer.causes) for timer in live.timers.values()},
                ]
            )
    return found


def _placed(timers: Mapping[str, tuple[int, tuple[str, ...]]], places: Mapping[str, object]) -> list[list[object]]:
    return sorted([event, due, [places[cause] for cause in causes]] for event, (due, causes) in timers.items())


def _event_row(event: PersistedEvent, told: _Teller, places: Mapping[str, object]) -> list[object]:
    return [
        event.component_name,
        event.machine_name,
        event.event_type,
        event.state_before,
        event.state_after,
        event.persisted_at,
        event.timestamp,
        told(event.payload),
        told(event.public_member_snapshot),
        [places[cause] for cause in event.caused_by],
        event.source_component_name,
        event.target_component_name,
    ]


class _Teller:
    """Writes a value as JSON, with the names of instances for their ids."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def __call__(self, value: object) -> str:
        return _UUID.sub(lambda found: self._names.get(found[0], found[0]), json.dumps(value, sort_keys=True))
