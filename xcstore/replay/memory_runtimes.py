"""Real runtimes that keep everything in memory, and the instances in them."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from xcstore.model.definition import Component
from xcstore.model.history import Instance
from xcstore.replay.recording import Input
from xcstore.runtime import Clock, ComponentRegistry, FSMRuntime, Method, Notice
from xcstore.runtime.agenda import Agenda
from xcstore.runtime.executor import Executor
from xcstore.runtime.folding import Folded
from xcstore.runtime.live import Live, RunningTimer
from xcstore.runtime.persistence import EventSink
from xcstore.runtime.reviving import Reviver, start_timers
from xcstore.runtime.work import Create, Send, Work
from xcstore.units import EpochMs

__all__ = ["MemoryRuntimes", "creation"]


class _Ids:
    """Ids of events are numbered; no two runs differ in them."""

    def __init__(self) -> None:
        self._count = 0

    def event_id(self, now: EpochMs) -> str:
        self._count += 1
        return f"run-{self._count:08d}"

    def instance_id(self) -> str:
        self._count += 1
        return f"new-{self._count:08d}"


class _ParentId(str):
    """In place of the id of an instance that is yet to be made: that of the instance whose transition makes it."""

    __slots__ = ()


class _Agenda(Agenda):
    """A queue of which one can tell what is being done. It names what transitions make when its turn comes."""

    def __init__(self, name_child: Callable[[Create], str]) -> None:
        super().__init__()
        self._name_child = name_child
        self.work: Work | None = None

    def run(self, work: Work) -> None:
        if isinstance(work, Create) and isinstance(work.instance_id, _ParentId):
            work.instance_id = self._name_child(work)
        self.work = work
        try:
            super().run(work)
        finally:
            self.work = None


class MemoryRuntimes:
    """One runtime for each component, all with one clock and one registry.

    Parameters
    ----------
    components : iterable of Component
    clock : Clock
    events : EventSink
        Takes each event before anything follows from it.
    method : callable
        Called in place of every user method.
    listener : callable
        Told of what happens, after this object has taken note of it.
    children : mapping of (str, str, str) to tuple of str
        (recorded event, component, machine) -> ids for the instances that it makes, in order.
    origins : mapping of str to str
        Event of the run -> the recorded event; looked up when an instance is made.
    set_timer : callable
        (instance, event type, due, cause) -> when that timer is to fire.
    """

    def __init__(
        self,
        components: Iterable[Component],
        *,
        clock: Clock,
        events: EventSink,
        method: Method,
        listener: Callable[[Notice], None],
        children: Mapping[tuple[str, str, str], tuple[str, ...]],
        origins: Mapping[str, str],
        set_timer: Callable[[str, str, EpochMs, str], EpochMs],
    ) -> None:
        self.executors: dict[str, Executor] = {}
        self.runtimes: dict[str, FSMRuntime] = {}
        self._lives: dict[str, tuple[Live, str]] = {}
        self._ended: dict[str, Instance] = {}
        """Those that had ended when the run began."""
        self._children, self._origins = children, origins
        self._made: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self._singletons: dict[str, str] = {}
        self._agenda = _Agenda(self._name_child)
        registry = ComponentRegistry()
        registry.listen(self._on_notice)
        registry.listen(listener)
        ids = _Ids()
        for component in components:
            if component.entry_machine and component.source.get("entryMachineMode") == "singleton":
                self._singletons[component.name] = component.entry_machine
            # Entry points are inputs like any other creation, so registering must not make them.
            runtime = FSMRuntime(
                replace(component, entry_machine=None),
                event_store=events,
                snapshots=False,
                clock=clock,
                ids=ids,
                methods=dict.fromkeys(_methods(component), method),
                environment={},
            )
            executor = runtime.executor
            executor.name_child = lambda parent_id, component_name, machine_name: _ParentId(parent_id)
            executor.set_timer = set_timer
            self.executors[component.name] = executor
            self.runtimes[component.name] = runtime
            registry.register(runtime)
            executor.join(self._agenda)

    def revive(self, start: Mapping[str, Folded]) -> list[str]:
        """Let instances go on, with their timers; what could not, in words."""
        problems: list[str] = []
        revivers: dict[str, Reviver] = {}
        for name, folded in start.items():
            instance = folded.instance
            executor = self.find(instance.component_name, instance.machine_name)
            if executor is None:
                problems.append(f"{instance.machine_name} has no definition; its instances take no part")
                continue
            if instance.status != "active" and not instance.is_entry_point:
                self._ended[name] = instance
                continue
            runtime = self.runtimes[executor.name]
            reviver = revivers.setdefault(executor.name, Reviver(executor, runtime.persistence))
            reviver.add(folded)
            self._lives[name] = executor.population.by_id[name], executor.name
        start_timers(list(revivers.values()))
        return problems

    def find(self, component_name: str, machine_name: str) -> Executor | None:
        """Who runs a machine; of component '' (not recorded) the only one that has it."""
        if component_name:
            found = self.executors.get(component_name)
            return found if found is not None and found.population.has_machine(machine_name) else None
        named = [one for one in self.executors.values() if one.population.has_machine(machine_name)]
        return named[0] if len(named) == 1 else None

    def find_live(self, instance_id: str) -> Live | None:
        """One that was active in this run, and may have ended since."""
        found = self._lives.get(instance_id)
        return None if found is None else found[0]

    def exists(self, instance_id: str) -> bool:
        """Whether it is there, active or ended."""
        return instance_id in self._lives or instance_id in self._ended

    def why_not_active(self, instance_id: str) -> str:
        """Why an instance takes nothing, in words."""
        ended = self._ended.get(instance_id)
        if ended is None and instance_id in self._lives:
            ended = self._lives[instance_id][0].to_instance("")
        if ended is None:
            return "the instance does not exist here"
        return f"the instance has ended in {ended.current_state}"

    def instances(self) -> dict[str, Instance]:
        """All of them, as they are now."""
        lives = {name: live.to_instance(component) for name, (live, component) in self._lives.items()}
        return {**self._ended, **lives}

    @property
    def causes(self) -> tuple[str, ...]:
        """Of what is taken from the queue and done now: the events that asked for it."""
        work = self._agenda.work
        return work.causes if isinstance(work, Send) else ()

    def is_taken(self, component_name: str, machine_name: str) -> bool:
        """Whether the machine is a singleton of which one is active."""
        return machine_name == self._singletons.get(component_name) and any(
            live.status == "active" and live.machine_name == machine_name and name == component_name
            for live, name in self._lives.values()
        )

    def with_timers(self) -> frozenset[str]:
        """Instances whose timers run."""
        return frozenset(name for name, (live, _) in self._lives.items() if live.timers)

    def timers_due(self, at: EpochMs) -> list[tuple[Live, RunningTimer]]:
        """Timers that run out by then."""
        return [
            (live, timer)
            for live, _ in list(self._lives.values())
            for timer in list(live.timers.values())
            if timer.due <= at
        ]

    def fire(self, live: Live, timer: RunningTimer) -> None:
        """Let a timer run out now."""
        self.executors[self._lives[live.id][1]].fire(live, timer)

    def _on_notice(self, notice: Notice) -> None:
        if notice.name == "instance_created":
            executor = self.executors[notice.component_name]
            self._lives[notice.instance_id] = executor.population.by_id[notice.instance_id], executor.name

    def _name_child(self, work: Create) -> str:
        """The recorded one that the same event made; of any other event a new one."""
        parent_id = str(work.instance_id)
        origin = self._origins.get(work.causes[0], "") if work.causes else ""
        place = work.executor.name, work.machine_name
        for name in self._children.get((origin, *place), ()):
            if not self.exists(name):
                return name
        key = (parent_id, *place)
        number = self._made[key]
        self._made[key] += 1
        text = "/".join((*key, str(number)))
        return f"new-{work.machine_name[:30]}-{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}"


def creation(executor: Executor, one: Input, causes: tuple[str, ...]) -> Create:
    """The work of making the instance of an input."""
    work = Create(executor, one.instance_id, one.machine_name, one.payload, "replay", causes, one.source)
    work.is_entry_point = one.entry_point
    if one.parent is not None:
        work.parent_id, work.parent_machine = one.parent
    return work


def _methods(component: Component) -> Iterable[str]:
    for machine in component.machines:
        for state in machine.states:
            yield from (name for name in (state.entry_method, state.exit_method) if name)
        yield from (one.triggered_method for one in machine.transitions if one.triggered_method)
