"""Which recorded events are inputs, and which the runtime made itself of these.

A run repeats a history from its inputs: what people, other systems and user code sent. Timers, cascades, children and
news for parents are no inputs, as the definitions make them again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from xcstore.analysis.causality import doubts_of
from xcstore.analysis.context import same_json
from xcstore.analysis.inference import infer, named_instance, timer_reason
from xcstore.analysis.routes import Routes, recorded_values, routes
from xcstore.analysis.surroundings import Surroundings
from xcstore.errors import QueryError
from xcstore.model.catalog import Catalog
from xcstore.model.definition import Component
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.replay.method_values import left_by_methods
from xcstore.replay.recording import Input, InputKind, Recording, merged_payload
from xcstore.replay.tables import Tables
from xcstore.replay.track import Track
from xcstore.runtime.folding import Folded, fold
from xcstore.runtime.interpreter import MachineTable, Plan
from xcstore.runtime.matching import fill_template
from xcstore.units import DurationMs, EpochMs

__all__ = ["inputs_of", "recording_of", "start_states"]

_AT_ONCE: Final = DurationMs(50)
"""What a method sends is processed as soon as its own event is stored. What comes later answers from outside."""
_REASONS: Final = ("timeout", "auto-transition")
"""Of timers that our runtime makes again. What fired at a restart of the TypeScript runtime is sent as it was."""


def inputs_of(track: Track, catalog: Catalog, *, at: int = 0) -> tuple[Input, ...]:
    """The inputs among the events after step `at`, in the order of replay; see `recording_of`."""
    return recording_of(track, catalog, at=at).inputs


def recording_of(track: Track, catalog: Catalog, *, at: int = 0) -> Recording:
    """Tell inputs from what the runtime makes itself.

    Parameters
    ----------
    at : int
        The step after which the run begins; 0: at the beginning of the track.

    Raises
    ------
    QueryError
        The track has no such step.

    Notes
    -----
    A cause counts as recorded where nothing speaks against it, else as the rules of `analysis.inference` find it among
    the events of the track. An event is made by the runtime itself where its timer, or a send that the definition
    declares, leads from the cause to it. Where a method ran at the cause and the event came at once, code sent it.
    """
    if not 0 <= at <= track.length:
        raise QueryError(f"step {at} is not in the track, which has the steps 0 to {track.length}")
    first = 0 if at == 0 else track.steps[at - 1] + 1
    return _Sorting(track, catalog, first).recording()


class _Sorting:
    def __init__(self, track: Track, catalog: Catalog, first: int) -> None:
        self._track, self._first = track, first
        self._events = track.events
        self._components, self._notes = _components(track, catalog, first)
        self._catalog = Catalog(self._components.values())
        self._routes: Routes = routes(self._catalog)
        self._tables = Tables(self._catalog)
        self._around = Surroundings(self._events)
        self._place = {event.id: place for place, event in enumerate(self._events)}
        self._causes: dict[str, str] = {}
        self._unknown: set[str] = set()
        self._sent: set[tuple[str, str, int]] = set()
        """Cause, instance, and the declared send that has reached it."""

    def recording(self) -> Recording:
        events, first = self._events, self._first
        inputs: list[Input] = []
        made: dict[str, tuple[str, str]] = {}
        children: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
        timers: dict[tuple[str, str, str], tuple[int, int]] = {}
        for place in range(first, len(events)):
            event = events[place]
            if self._table(event) is None:
                self._unknown.add(event.id)
                continue
            cause = self._cause(event)
            if cause is not None:
                self._causes[event.id] = cause.id
            how = self._how(event, cause)
            if how == "timer":
                if cause is not None:
                    late = event.persisted_at - cause.persisted_at - self._delay(event)
                    timers[event.instance_id, event.event_type, cause.id] = late, place
                made[event.id] = event.instance_id, event.event_type
            elif how == "made":
                made[event.id] = event.instance_id, event.event_type
                if event.event_type == CREATION and cause is not None:
                    children[cause.id, event.component_name, event.machine_name].append(event.instance_id)
            else:
                inputs.append(self._input(event, place, how, cause))
        before, after = left_by_methods(self._track, self._plans, first=first)
        start = start_states(track=self._track, first=first, components=self._components.values())
        known = {event.id: event.persisted_at for event in events}
        notes = [*self._notes]
        if self._unknown:
            words = "event has" if len(self._unknown) == 1 else "events have"
            notes.append(f"{len(self._unknown):,} {words} no definition, and cannot be run again")
        return Recording(
            components=tuple(self._components.values()),
            inputs=tuple(inputs),
            start=start,
            start_at=self._start_at(start),
            end=max((event.persisted_at for event in events), default=EpochMs(0)),
            index={event.id: place for place, event in enumerate(events) if place >= first},
            made=made,
            causes=self._causes,
            moments=known,
            children={key: tuple(ids) for key, ids in children.items()},
            timers=timers,
            left_before=before,
            left_after=after,
            unknown=frozenset(self._unknown),
            notes=tuple(notes),
        )

    # Causes

    def _cause(self, event: PersistedEvent) -> PersistedEvent | None:
        for name in event.caused_by:
            cause = self._around.get(name)
            if cause is None or doubts_of(cause, event, self._catalog):
                continue
            if event.definition_hash or self._declared(cause, event):
                return cause
        if event.definition_hash and event.caused_by:
            return None  # it was recorded truly, and lies outside of the track
        link = infer(event, self._around, self._catalog, succession=False)
        return None if link is None else self._around.get(link.cause_id)

    def _how(self, event: PersistedEvent, cause: PersistedEvent | None) -> Literal["timer", "made"] | InputKind:
        if self._is_timer(event) and (cause is None or cause.instance_id == event.instance_id):
            return "timer"
        if cause is None:
            return "outside"
        declared, coded = self._declared(cause, event), self._is_coded(cause, event)
        if declared and coded and event.definition_hash is not None:
            declared = self._is_as_declared(cause, event)
        if not (declared or coded):
            return "outside"
        if self._place[cause.id] < self._first:
            return "pending"
        return "made" if declared else "code"

    def _is_timer(self, event: PersistedEvent) -> bool:
        return timer_reason(event) in _REASONS and self._delay(event) >= 0

    def _delay(self, timer: PersistedEvent) -> int:
        """How long the definition lets the timer run, in ms; -1: it has none there."""
        table = self._table(timer)
        found = -1
        for start in () if table is None else table.timers_of(timer.state_before):
            if start.event_type == timer.event_type:  # of two of one name, the runtime keeps the last
                found = start.delay_ms if start.reason == timer_reason(timer) else -1
        return found

    def _declared(self, cause: PersistedEvent, event: PersistedEvent) -> bool:
        if cause.id == event.id:
            return False
        sends = self._routes.between(cause, event)
        if event.definition_hash is None:
            held = recorded_values(cause)
            sends = [send for send in sends if not send.compare(held, event).contradicts]
        if sends:
            return True
        news = self._routes.news.get((cause.component_name, cause.machine_name), frozenset())
        return event.event_type in news and named_instance(event) == cause.instance_id

    def _is_as_declared(self, cause: PersistedEvent, event: PersistedEvent) -> bool:
        """Whether the definition sent this, where a method may have sent the like at the same event."""
        payload = event.payload if isinstance(event.payload, Mapping) else {}
        sends = self._routes.between(cause, event)
        if event.event_type == CREATION:
            return payload.get("triggerEvent") != "manual create"
        if not sends:
            return True  # news of a child, which names it
        held = recorded_values(cause)
        for send in sends:
            key = cause.id, event.instance_id, id(send)
            if key in self._sent:
                continue  # it reaches an instance once
            filled = None if held is None or not send.entered else fill_template(send.template, held)
            if filled is None or same_json(filled, payload):
                self._sent.add(key)
                return True
        return False

    def _is_coded(self, cause: PersistedEvent, event: PersistedEvent) -> bool:
        if not 0 <= event.persisted_at - cause.persisted_at <= _AT_ONCE:
            return False
        plans = self._plans(cause)
        return any(plan.before or plan.entry for plan in plans)

    def _plans(self, event: PersistedEvent) -> tuple[Plan, ...]:
        table = self._table(event)
        return () if table is None else table.find_plans(event.state_before, event.event_type, event.state_after)

    def _table(self, event: PersistedEvent) -> MachineTable | None:
        return self._tables.table(event.component_name, event.machine_name)

    def _input(self, event: PersistedEvent, place: int, kind: InputKind, cause: PersistedEvent | None) -> Input:
        payload = event.payload if isinstance(event.payload, Mapping) else {}
        creation = event.event_type == CREATION
        component = self._component_name(event)
        entry = self._catalog.find_component(component)
        parent = payload.get("parentInstanceId") if creation else None
        machine = payload.get("parentMachineName")
        return Input(
            at=event.persisted_at,
            component_name=component,
            machine_name=event.machine_name,
            instance_id=event.instance_id,
            event_type="" if creation else event.event_type,
            payload=merged_payload(event),
            origin=event.id,
            kind=kind,
            cause=None if cause is None else cause.id,
            order=float(place),
            entry_point=bool(
                creation and cause is None and parent is None and entry and entry.entry_machine == event.machine_name
            ),
            parent=(parent, machine if isinstance(machine, str) else "") if isinstance(parent, str) else None,
            source=event.source_component_name,
        )

    def _component_name(self, event: PersistedEvent) -> str:
        if event.component_name:
            return event.component_name
        return next((one.name for one in self._catalog if one.find_machine(event.machine_name)), "")

    # The beginning

    def _start_at(self, start: Mapping[str, Folded]) -> EpochMs:
        events = self._events
        if self._first:
            return max(event.persisted_at for event in events[: self._first])
        times = [events[0].persisted_at] if events else []
        held = [folded.instance.updated_at for folded in start.values() if folded.instance.updated_at is not None]
        return min(times) if times else max(held, default=EpochMs(0))


def start_states(track: Track, first: int, components: Iterable[Component]) -> dict[str, Folded]:
    """Instances as the first events of a track leave them, with the timers that these definitions let run."""
    tables = Tables(Catalog(components))
    streams: defaultdict[str, list[PersistedEvent]] = defaultdict(list)
    for event in track.events[:first]:
        streams[event.instance_id].append(event)
    found: dict[str, Folded] = {}
    for name in dict.fromkeys([*track.before, *streams]):
        base, stream = track.before.get(name), streams.get(name, [])
        if base is not None and not stream:
            found[name] = base
            continue
        table = tables.table(stream[-1].component_name, stream[-1].machine_name)
        if table is not None and (folded := fold(table, stream, base)) is not None:
            found[name] = folded
    return found


def _components(track: Track, catalog: Catalog, first: int) -> tuple[dict[str, Component], list[str]]:
    """The definition of each component that is involved: the version that most of its events name."""
    known = track.tables.catalog.merged(catalog)
    later: defaultdict[str, Counter[str]] = defaultdict(Counter)
    samples: dict[tuple[str, str], PersistedEvent] = {}
    names: dict[str, None] = {}
    for event in (*track.events[first:], *track.events[:first]):
        names[event.component_name] = None
        if event.definition_hash:
            if event.definition_hash not in later[event.component_name] and len(later[event.component_name]) > 8:
                continue
            later[event.component_name][event.definition_hash] += 1
            samples.setdefault((event.component_name, event.definition_hash), event)
    for folded in track.before.values():
        names[folded.instance.component_name] = None
    found: dict[str, Component] = {}
    notes: list[str] = []
    for name in names:
        component = known.find_component(name) if name else None
        versions = later[name].most_common()
        if versions:
            component = track.tables.component_of(samples[name, versions[0][0]]) or component
        if len(versions) > 1:
            notes.append(f"{name} changes its definition on the way; the run uses the version that most events name")
        if component is not None and name:
            found[name] = component
    if "" in names:  # not recorded: every component may be meant
        for component in known:
            found.setdefault(component.name, component)
    return found, notes
