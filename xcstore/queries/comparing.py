"""What is compared: the beginning of a stream, whom an id or a business key means, and something typical beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from xcstore.analysis.comparing import MAX_STEPS, StepKey, step_key
from xcstore.errors import NotFoundError
from xcstore.model.history import PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.queries import search
from xcstore.queries.keys import business_keys
from xcstore.store.base import EventQuery, InstanceQuery, InstanceSummary, Stores
from xcstore.units import EpochMs

__all__ = [
    "Beginning",
    "Resolved",
    "TypicalEvent",
    "TypicalInstance",
    "What",
    "beginning",
    "event",
    "recent",
    "resolve",
    "typical_event",
    "typical_instance",
]

What = Literal["instances", "traces"]
SAMPLE_INSTANCES = 100
"""Most instances that a typical one is chosen from: the latest ones."""
SAMPLE_EVENTS = 10_000
"""Most events of theirs that are read."""
SAMPLE_STEPS = 500
"""Steps of the instance itself that others are compared with."""
MAX_CANDIDATES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """The first events of one instance, in stream order."""

    summary: InstanceSummary
    events: tuple[PersistedEvent, ...]

    @property
    def later(self) -> int:
        """How many more are stored."""
        return max(0, self.summary.event_count - len(self.events))


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Whom a text means."""

    id: str = ""
    """Instance id, or event id for traces; '' where nobody or several are meant."""
    by: Literal["", "id", "its event", "its first event", "start of its id", "business key"] = ""
    """How the text names it."""
    candidates: tuple[InstanceSummary, ...] = ()
    """Several instances, one of which may be meant."""
    more: bool = False
    """There are more than these candidates."""
    searched_to: EpochMs | None = None
    """Set when the search through payloads stopped at its time limit: older events were not looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypicalInstance:
    """An instance that went the way most of its machine went lately."""

    instance_id: str
    states: int
    """How many states that way leads through."""
    alike: int
    """How many went it, however often they did something on the way that left them in their state …"""
    near: int
    """… of so many that took the same first `turns` changes of state as the one to compare with …"""
    turns: int
    among: int
    """… of so many that ended and were looked at."""
    shared: int
    """Steps from its beginning that are those of the one to compare with; no other that went this way shares more."""
    declared: bool
    """Whether a definition says that they ended; else they are in states that none of them left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypicalEvent:
    """The latest event of another instance that took the same step."""

    event_id: str
    ended: bool
    """Its instance is now in one of the states that were asked for."""
    among: int
    """How many of the latest were looked at."""


def beginning(stores: Stores, instance_id: str, *, max_events: int = MAX_STEPS) -> Beginning:
    """The first `max_events` of a stream; `NotFoundError` for an instance without events."""
    found = stores.events.instances(InstanceQuery(instance_ids=(instance_id,)), limit=1).items
    if not found:
        raise NotFoundError(f"no instance {instance_id!r} in this store; it holds no event of it")
    page = stores.events.find(EventQuery(instance_ids=(instance_id,)), limit=max_events)
    return Beginning(summary=found[0], events=tuple(order_stream(page.items)))


def event(stores: Stores, event_id: str) -> PersistedEvent:
    """One event; `NotFoundError` where there is none."""
    return stores.events.get_event(event_id)


def recent(
    stores: Stores, components: tuple[str, ...] = (), *, machine: str = "", limit: int = 50
) -> tuple[InstanceSummary, ...]:
    """The instances that something happened to last, to pick one from; of one machine, where it is named."""
    query = InstanceQuery(components=components, machines=(machine,) if machine else ())
    return stores.events.instances(query, limit=limit).items


def resolve(stores: Stores, text: str, *, what: What = "instances", machine: str = "") -> Resolved:
    """Whom `text` means: an id of an instance or event, the start of an instance id, or a business key.

    Parameters
    ----------
    what : {'instances', 'traces'}
        Whether `Resolved.id` is to be an instance or an event: the first one, where an instance is meant.
    machine : str
        Where several instances have the key, the one of this machine is meant.
    """
    found = search.by_id(stores, text)
    if found.event is not None and what == "traces":
        return Resolved(id=found.event.id, by="id")
    exact = next((item for item in found.instances if item.instance_id == text), None)
    if exact is not None:
        return _meant(stores, exact.instance_id, "id", what)
    if found.event is not None:
        return _meant(stores, found.event.instance_id, "its event", what)
    if len(found.instances) == 1:
        return _meant(stores, found.instances[0].instance_id, "start of its id", what)
    if found.instances:
        return Resolved(candidates=found.instances, more=found.more_instances)
    mentioned = search.mentions(stores, text)
    every = [event.instance_id for event, _ in mentioned.instances]
    ids = tuple(every[:MAX_CANDIDATES])
    if not ids:
        return Resolved(searched_to=mentioned.searched_to)
    items = stores.events.instances(InstanceQuery(instance_ids=ids), limit=len(ids)).items
    keys = business_keys(stores, ids)
    own = [item for item in items if keys.get(item.instance_id) == text]
    for meant in (own, [item for item in own if item.machine_name == machine]):
        if len(meant) == 1:
            return _meant(stores, meant[0].instance_id, "business key", what)
    return Resolved(
        # What began first is most likely what the key is about, and created the others.
        candidates=tuple(sorted(own or items, key=lambda item: item.created_at)),
        more=mentioned.next is not None or len(every) > len(ids),
        searched_to=mentioned.searched_to,
    )


def typical_instance(stores: Stores, instance_id: str, *, ends: tuple[str, ...] = ()) -> TypicalInstance | None:
    """Something to compare an instance with; None where nothing fits.

    Looks at the latest instances of the same machine that have ended. The way of an instance is its changes of state.
    If the given one has not ended, only those count that went its way as far as any did: what moved them on is what
    it lacks. Of those that went the most frequent way, the one whose beginning is most like the given instance's, the
    latest of several: what then differs first is where that one left the way, not how often something was done on it.

    Parameters
    ----------
    ends : tuple of str
        States in which instances of the machine end, as its definition says. Without any, they are those states
        that none of the latest instances was seen to leave.
    """
    own = stores.events.instances(InstanceQuery(instance_ids=(instance_id,)), limit=1).items
    if not own:
        return None
    query = InstanceQuery(components=(own[0].component_name,), machines=(own[0].machine_name,), states=ends)
    names: list[str] = []
    events = 0
    latest = stores.events.instances(query, limit=SAMPLE_INSTANCES + 1).items
    for item in [item for item in latest if item.instance_id != instance_id][:SAMPLE_INSTANCES]:
        # A long history is left out rather than read in part: a part of it is no way that anybody went.
        if events + item.event_count <= SAMPLE_EVENTS:
            events += item.event_count
            names.append(item.instance_id)
    streams = {name: [step_key(event) for event in stream] for name, stream in stores.events.get_streams(names).items()}
    ways = {name: _way(keys) for name, keys in streams.items()}
    if not ends:
        left = {key[3] for way in ways.values() for key in way}
        ways = {name: way for name, way in ways.items() if way and way[-1][4] not in left}
    if not ways:
        return None
    query_own = EventQuery(instance_ids=(instance_id,))
    first = [step_key(event) for event in order_stream(stores.events.find(query_own, limit=SAMPLE_STEPS).items)]
    has_ended = own[0].state in (ends or {way[-1][4] for way in ways.values()})
    common = {name: 0 if has_ended else _shared(_way(first), way) for name, way in ways.items()}
    turns = max(common.values())
    # Names are latest first: of equally frequent ways the one that was taken last, of equally alike ones the latest.
    near = [name for name in names if common.get(name) == turns]
    way, alike = Counter(ways[name] for name in near).most_common(1)[0]
    shared = {name: _shared(first, streams[name]) for name in near if ways[name] == way}
    chosen = max(shared, key=lambda name: shared[name])
    return TypicalInstance(
        instance_id=chosen,
        states=len({key[4] for key in way}),
        alike=alike,
        near=len(near),
        turns=turns,
        among=len(ways),
        shared=shared[chosen],
        declared=bool(ends),
    )


def typical_event(stores: Stores, event_id: str, *, ends: tuple[str, ...] = ()) -> TypicalEvent | None:
    """Something to compare the effects of an event with: the latest event of another instance that took the same step.

    One whose instance is now in one of the states `ends` is preferred; None where no other took the step.
    """
    event = stores.events.get_event(event_id)
    query = EventQuery(
        components=(event.component_name,),
        machines=(event.machine_name,),
        event_types=(event.event_type,),
        states_before=(event.state_before,),
        states=(event.state_after,),
    )
    page = stores.events.find(query, limit=SAMPLE_INSTANCES, newest_first=True)
    others = [item for item in page.items if item.instance_id != event.instance_id]
    if not others:
        return None
    ids = tuple(dict.fromkeys(item.instance_id for item in others))
    now = {item.instance_id: item.state for item in stores.events.instances(InstanceQuery(instance_ids=ids)).items}
    well = next((item for item in others if now.get(item.instance_id) in ends), None)
    return TypicalEvent(event_id=(well or others[0]).id, ended=well is not None, among=len(others))


def _meant(
    stores: Stores, instance_id: str, by: Literal["id", "its event", "start of its id", "business key"], what: What
) -> Resolved:
    if what == "instances":
        return Resolved(id=instance_id, by=by)
    first = stores.events.find(EventQuery(instance_ids=(instance_id,)), limit=1).items
    return Resolved(id=first[0].id, by="its first event") if first else Resolved()


def _way(keys: Sequence[StepKey]) -> tuple[StepKey, ...]:
    """The changes of state."""
    return tuple(key for key in keys if key[3] != key[4])


def _shared(one: Sequence[StepKey], two: Sequence[StepKey]) -> int:
    """How long their common beginning is."""
    return next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
