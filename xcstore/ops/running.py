"""Components run from outside: a stage for them, and the steps of a file played on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from xcstore.errors import (
    ConcurrencyError,
    DefinitionError,
    DuplicateEventError,
    InstanceNotActiveError,
    LimitExceededError,
    NotFoundError,
    StoreError,
    XcstoreError,
)
from xcstore.model.definition import Component
from xcstore.ops.steps import Action, Advance, At, Broadcast, Create, Register, Send, Step, is_given_name, is_id
from xcstore.runtime.clock import SimulatedClock, SystemClock, Timer
from xcstore.runtime.engine import FSMRuntime, Notice
from xcstore.runtime.ids import TimeOrderedIds
from xcstore.runtime.persistence import PersistenceConfig
from xcstore.runtime.registry import ComponentRegistry
from xcstore.store.base import Stores
from xcstore.units import DurationMs, EpochMs

__all__ = ["Ignored", "Refusal", "RunReport", "Stage", "StateTotal", "play"]

MAX_TOLD: Final = 1_000
"""Refusals and failures that are kept in words; the rest are counted."""
_PATIENCE: Final = 1_000
"""Timers that may fall due at one moment, for each instance there is."""
_SHOW_EVERY: Final = 100


@dataclass(frozen=True, slots=True)
class StateTotal:
    """How many instances of a machine are in a state, finished ones included."""

    component: str
    machine: str
    state: str
    count: int


@dataclass(frozen=True, slots=True)
class Ignored:
    """How often an event met a state that does not know it."""

    component: str
    machine: str
    state: str
    event: str
    count: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A step that the runtime did not do, and why."""

    step: int
    line: int
    reason: str

    def __str__(self) -> str:
        return f"step {self.step}, line {self.line}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What a run came to."""

    steps: int = 0
    """Steps that were done or refused."""
    refused: int = 0
    refusals: tuple[Refusal, ...] = ()
    """The first of them."""
    written: int = 0
    """Events that were appended."""
    ignored: tuple[Ignored, ...] = ()
    ambiguous: int = 0
    """Transitions that were the first of several, as no rule told them apart."""
    failed: int = 0
    """Effects that reached nobody, such as a cascade to a machine that is not there."""
    failures: tuple[str, ...] = ()
    """The first of them."""
    states: tuple[StateTotal, ...] = ()
    pending_timers: int = 0
    next_timer: EpochMs | None = None
    now: EpochMs
    stopped: str | None = None
    """Why the run ended before its last step."""

    @property
    def all_ignored(self) -> int:
        return sum(row.count for row in self.ignored)


@dataclass(slots=True)
class Seen:
    """An instance of this run."""

    component: str
    machine: str
    state: str
    ended: bool = False


class Stage:
    """Components that run together, and a record of what they did.

    Parameters
    ----------
    components : sequence of Component
        Their names differ.
    stores : Stores
        Where events, snapshots and definitions are written.
    start : EpochMs, optional
        Begin of a simulated clock. None: the real one.
    seed : int, optional
        Equal seeds give equal ids.
    snapshot_interval : int, optional
        Transitions from one snapshot of an instance to the next; None takes no snapshots.

    restore : bool
        Bring back the instances that live in the stores, and go on with them.

    Notes
    -----
    The components do not know each other, and have no entry instances, until `register` is called.
    """

    def __init__(
        self,
        components: Sequence[Component],
        stores: Stores,
        *,
        start: EpochMs | None = None,
        seed: int | None = None,
        snapshot_interval: int | None = 10,
        restore: bool = False,
    ) -> None:
        known = stores.events.time_range() if restore else None
        if start is not None and known is not None:
            start = max(start, known[1])  # what goes on comes after what is stored
        self.clock: _PatientClock | SystemClock = (
            SystemClock() if start is None else _PatientClock(start, lambda: len(self.seen))
        )
        persistence = PersistenceConfig(
            event_sourcing=True,
            event_store=stores.events,
            snapshots=snapshot_interval is not None,
            snapshot_store=stores.snapshots,
            snapshot_interval=snapshot_interval or 1,
            definition_store=stores.definitions,
        )
        ids = TimeOrderedIds(seed)
        self._restore = restore
        self._is_seeded = seed is not None
        self.runtimes = {
            component.name: FSMRuntime(component, persistence=persistence, clock=self.clock, ids=ids)
            for component in components
        }
        self.seen: dict[str, Seen] = {}
        """Every instance by its id."""
        self.names: list[str] = []
        """Ids of those that were made here, in order of creation: i1 is the first."""
        self.moves: Counter[tuple[str, str, str, str, str]] = Counter()
        """How often: component, machine, state before, event, state after."""
        self.ignored: Counter[tuple[str, str, str, str]] = Counter()
        self.ambiguous = 0
        self.failed = 0
        self.failures: list[str] = []
        self._stuck: str | None = None
        self._followed: dict[str, list[tuple[str, str, str]]] = {}
        for runtime in self.runtimes.values():
            runtime.listen(self._on_notice)

    def register(self) -> None:
        """Make the components known to each other, start their entry machines, and restore where that is asked for."""
        registry = ComponentRegistry()
        for runtime in self.runtimes.values():
            registry.register(runtime)
        if not self._restore:
            return
        for report in registry.restore():
            self.failed += report.problem_count
            self.failures += [f"restore of {report.component_name}: {problem}" for problem in report.problems]
        for name, runtime in self.runtimes.items():
            for instance in runtime.instances():
                ended = instance.status != "active"
                self.seen.setdefault(instance.id, Seen(name, instance.machine_name, instance.current_state, ended))

    def create(self, component: str, machine: str, context: Mapping[str, object]) -> str:
        """Make an instance; returns its id."""
        instance_id = self.runtimes[component].create_instance(machine, context)
        self._check()
        return instance_id

    def send(self, instance_id: str, event: str, payload: Mapping[str, object]) -> None:
        """Send an event to an instance of any of the components.

        Raises
        ------
        NotFoundError
            No such instance was made in this run.
        InstanceNotActiveError
            It has ended.
        """
        seen = self.seen.get(instance_id)
        if seen is None:
            raise NotFoundError(f"there is no instance {instance_id!r} in this run")
        try:
            self.runtimes[seen.component].send(instance_id, event, payload)
        except InstanceNotActiveError:
            raise InstanceNotActiveError(
                f"{event!r} was sent to an instance of {seen.machine!r} that has ended in {seen.state!r}"
            ) from None
        self._check()

    def broadcast(
        self, component: str, machine: str, event: str, payload: Mapping[str, object], state: str | None
    ) -> None:
        self.runtimes[component].broadcast(machine, event, payload, state=state)
        self._check()

    def follow(self, instance_id: str) -> Sequence[tuple[str, str, str]]:
        """A list that grows as the instance moves on: state before, event, state after."""
        return self._followed.setdefault(instance_id, [])

    def advance(self, duration: DurationMs) -> None:
        """Let time pass: at once on a simulated clock, by waiting on the real one."""
        if isinstance(self.clock, SystemClock):
            self.clock.run_for(duration)
        else:
            self.clock.advance(duration)
        self._check()

    def advance_to(self, moment: EpochMs) -> None:
        """Let time pass until `moment`; on the real clock what lies in its past is now."""
        self.advance(DurationMs(max(0, moment - self.clock.now())))

    def run_due(self) -> None:
        """On the real clock: call timers that fell due by themselves."""
        if isinstance(self.clock, SystemClock):
            self.clock.run_due()
            self._check()

    def explain(self, error: XcstoreError) -> str:
        """The message of an error that ends a run, with what may be done about it."""
        if self._is_seeded and isinstance(error, DuplicateEventError | ConcurrencyError):
            return f"{error}. Is a run with this seed in the store already? Choose another seed, or another store"
        return str(error)

    def report(
        self,
        *,
        steps: int = 0,
        refused: int = 0,
        refusals: Iterable[Refusal] = (),
        stopped: str | None = None,
    ) -> RunReport:
        """What was done so far."""
        states = Counter((seen.component, seen.machine, seen.state) for seen in self.seen.values())
        now = self.clock.now()
        waits = [
            timeout.remaining_ms
            for runtime in self.runtimes.values()
            for instance in runtime.instances()
            for timeout in runtime.pending_timeouts(instance.id)
        ]
        return RunReport(
            steps=steps,
            refused=refused,
            refusals=tuple(refusals),
            written=len(self.names) + self.moves.total(),
            ignored=tuple(Ignored(*key, count) for key, count in self.ignored.most_common()),
            ambiguous=self.ambiguous,
            failed=self.failed,
            failures=tuple(self.failures),
            states=tuple(StateTotal(*key, count) for key, count in sorted(states.items())),
            pending_timers=len(waits),
            next_timer=EpochMs(now + min(waits)) if waits else None,
            now=now,
            stopped=stopped,
        )

    def _check(self) -> None:
        """What waits behind a failing store would wait for ever: the run is over."""
        if self._stuck is not None:
            left = sum(runtime.queued for runtime in self.runtimes.values())
            raise StoreError(f"{self._stuck}; what followed from this step is not done ({left} left)")

    def _on_notice(self, notice: Notice) -> None:
        data = notice.data
        if notice.name == "instance_created":
            self.seen[notice.instance_id] = Seen(notice.component_name, str(data["machine"]), str(data["state"]))
            self.names.append(notice.instance_id)
            return
        seen = self.seen.get(notice.instance_id)
        if notice.name == "state_change":
            before, event, after = str(data["before"]), str(data["event"]), str(data["after"])
            if seen is None:  # one that is being restored
                seen = self.seen[notice.instance_id] = Seen(notice.component_name, str(data["machine"]), before)
            self.moves[seen.component, seen.machine, before, event, after] += 1
            seen.state = after
            if notice.instance_id in self._followed:
                self._followed[notice.instance_id].append((before, event, after))
        elif notice.name == "instance_disposed" and seen is not None:
            seen.ended = True
        elif notice.name == "event_ignored" and seen is not None:
            self.ignored[seen.component, seen.machine, str(data["state"]), str(data["event"])] += 1
        elif notice.name == "ambiguous_transition":
            self.ambiguous += 1
        elif notice.name in ("delivery_failed", "instance_error", "cascade_error", "snapshot_failed"):
            if data.get("kept"):
                self._stuck = str(data.get("error"))
            if notice.name == "instance_error" and seen is not None:
                seen.ended = True
            self.failed += 1
            if len(self.failures) < MAX_TOLD:
                what = notice.name.replace("_", " ")
                who = f"{notice.component_name}/{seen.machine}" if seen is not None else notice.component_name
                self.failures.append(f"{what} in {who}: {data.get('error')}")


def play(
    stage: Stage,
    steps: Sequence[Step],
    *,
    until: Advance | At | None = None,
    stop_on_error: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> RunReport:
    """Do the steps in their order; one that the runtime refuses is reported, and the next is done.

    Components are registered first, unless a step does so. A store that fails ends the run, as do timers without
    end: `RunReport.stopped` says so.

    Parameters
    ----------
    until : Advance or At, optional
        Time that passes at the end.
    stop_on_error : bool
        Stop at the first step that is refused.
    on_progress : callable
        Called with how many steps are done, and how many there are.
    """
    names: dict[str, str] = {}
    refusals: list[Refusal] = []
    refused = done = 0
    stopped: str | None = None
    try:
        if not any(isinstance(step.action, Register) for step in steps):
            stage.register()
    except XcstoreError as error:
        return stage.report(stopped=stage.explain(error))
    try:
        for done, step in enumerate(steps, start=1):
            try:
                _do(stage, step.action, names)
            except (InstanceNotActiveError, NotFoundError, LimitExceededError) as error:
                refused += 1
                if len(refusals) < MAX_TOLD:
                    refusals.append(Refusal(step.number, step.line, str(error)))
                if stop_on_error:
                    stopped = f"stopped at step {step.number}, as it was refused"
                    break
            except XcstoreError as error:
                stopped = f"step {step.number}, line {step.line}: {stage.explain(error)}"
                break
            if done % _SHOW_EVERY == 0:
                on_progress(done, len(steps))
        if until is not None and stopped is None:
            _do(stage, until, names)
    except XcstoreError as error:
        stopped = f"while time passed at the end: {stage.explain(error)}"
    on_progress(done, len(steps))
    return stage.report(steps=done, refused=refused, refusals=refusals, stopped=stopped)


def _do(stage: Stage, action: Action, names: dict[str, str]) -> None:
    stage.run_due()
    if isinstance(action, Create):
        instance_id = stage.create(action.component, action.machine, action.context)
        if action.name is not None:
            names[action.name] = instance_id
    elif isinstance(action, Send):
        stage.send(_find(stage, action.to, names), action.event, action.payload)
    elif isinstance(action, Broadcast):
        stage.broadcast(action.component, action.machine, action.event, action.payload, action.state)
    elif isinstance(action, Advance):
        stage.advance(action.duration)
    elif isinstance(action, At):
        stage.advance_to(action.moment)
    else:
        stage.register()


def _find(stage: Stage, name: str, names: Mapping[str, str]) -> str:
    if name in names:
        return names[name]
    if is_given_name(name):
        number = int(name[1:])
        if number > len(stage.names):
            raise NotFoundError(f"there is no {name} yet; {len(stage.names)} instances were created so far")
        return stage.names[number - 1]
    if name not in stage.seen and not is_id(name):
        raise NotFoundError(f"{name!r} was not created, as its step was refused")
    return name


class _PatientClock(SimulatedClock):
    """A simulated clock that does not wait for ever for timers that start each other without delay."""

    def __init__(self, start: EpochMs, instances: Callable[[], int]) -> None:
        super().__init__(start)
        self._instances = instances
        self._moment = start
        self._called = 0

    def call_at(self, moment: EpochMs, callback: Callable[[], None]) -> Timer:
        def call() -> None:
            if self.now() > self._moment:
                self._moment, self._called = self.now(), 0
            self._called += 1
            if self._called > _PATIENCE * (1 + self._instances()):
                raise DefinitionError(
                    f"{self._called - 1:,} timers fell due while no time passed; "
                    "auto transitions without delay seem to lead in a circle, see `validate --strict`"
                )
            callback()

        return super().call_at(moment, call)
