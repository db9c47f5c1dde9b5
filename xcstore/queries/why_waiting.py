"""Why an instance waits: what it waits for, who should send that, and what the sender waits for in turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from xcstore.analysis.lifecycle import Move, lifecycle, moves, observed_machine
from xcstore.errors import NotFoundError
from xcstore.model.catalog import Catalog
from xcstore.model.history import PersistedEvent
from xcstore.queries.causality import links_between
from xcstore.queries.instances import leaving
from xcstore.queries.linked import Trust, linked_events, tells
from xcstore.queries.stay import Stay, due, read_stay
from xcstore.queries.wait_levels import Awaited, End, Linked, SeenSender, WaitLevel, WhyWaiting
from xcstore.store.base import Direction, EventQuery, InstanceQuery, InstanceSummary, Stores

__all__ = ["MAX_LEVELS", "Awaited", "End", "Linked", "SeenSender", "WaitLevel", "WhyWaiting", "why_waiting"]

MAX_LEVELS: Final = 5
MAX_AWAITED: Final = 6
"""Kinds of events that one instance is said to wait for."""
MAX_EXAMPLES: Final = 5
"""Events of a kind that are looked at to see who sends them, or to whom they went."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sends:
    """Events that are waited for."""

    events: tuple[str, ...]
    by_definition: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """An instance that should send what is waited for."""

    sends: _Sends
    when: Mapping[str, _Sends] = field(hash=False)
    """What its machine does when it sends -> what it sends then."""
    linked: Linked
    first: PersistedEvent
    """Its event nearest to the stay."""
    trust: Trust
    events: frozenset[str]
    """Ids of its events that are linked to the stay."""
    others: int
    linked_read: int | None
    """As in `WaitLevel`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """What a candidate did that sends what is waited for, and to whom else that went."""

    did: PersistedEvent
    elsewhere: PersistedEvent | None = None
    trust: Trust = "true"


def why_waiting(
    stores: Stores, instance_id: str, *, catalog: Catalog | None = None, max_levels: int = MAX_LEVELS
) -> WhyWaiting:
    """Follow what an instance waits for to where it is held up.

    At each instance: what would take it out of its state; who sends that, by the definitions, and where they name
    nobody, as other instances' events of that kind show; and which instance of such a machine is linked to the
    present stay, as its effect or as its cause. That one is looked at next.

    Parameters
    ----------
    catalog : Catalog, optional
        Definitions; without them only what was seen counts.
    max_levels : int
        Most instances in the row.

    Raises
    ------
    NotFoundError
        No event of that instance is stored.
    """
    stay = read_stay(stores, instance_id)
    if stay is None:
        raise NotFoundError(f"no instance {instance_id!r} in this store; it holds no event of it.")
    level = _level(stores, catalog, stay)
    levels = [level]
    if not level.awaited:
        return WhyWaiting(levels=(level,), end="not waiting")
    seen = {instance_id}
    while True:
        candidate, linked_read = _candidate(stores, catalog, stay, level.awaited)
        if candidate is None:
            return WhyWaiting(levels=tuple(levels), end=_why_nobody(stay, level.awaited), linked_read=linked_read)
        if candidate.first.instance_id in seen:
            return WhyWaiting(levels=tuple(levels), end="repeated")
        if len(levels) >= max_levels:
            return WhyWaiting(levels=tuple(levels), end="limit")
        seen.add(candidate.first.instance_id)
        before = stay
        found = read_stay(stores, candidate.first.instance_id)
        assert found is not None  # it has the linked event
        stay = found
        sent = _sent(stores, catalog, stay.events, candidate, before)
        did = sent.did if sent else None
        level = _level(stores, catalog, stay, ways=did is None)
        sends = candidate.when[_way(did, candidate)] if did else candidate.sends
        level = replace(
            level,
            sends=sends.events,
            by_definition=sends.by_definition,
            linked=candidate.linked,
            linked_by=candidate.first,
            trust=candidate.trust,
            did=did,
            others=candidate.others,
            linked_read=candidate.linked_read,
            newest=len(stay.events) if stay.cut and stay.events[0].persisted_at >= before.since else 0,
            answered=_answer(before, sends.events, did) if did else None,
            elsewhere=sent.elsewhere if sent else None,
            elsewhere_trust=sent.trust if sent else "true",
        )
        levels.append(level)
        if did is not None or not level.awaited:
            return WhyWaiting(levels=tuple(levels), end="ended" if did is None else "no answer")


def _level(stores: Stores, catalog: Catalog | None, stay: Stay, *, ways: bool = True) -> WaitLevel:
    """The instance and, where asked for, what would move it on."""
    item = stay.instance
    known = catalog or Catalog()
    machine = known.find_machine(item.component_name, item.machine_name)
    declared = machine is not None and machine.find_state(item.state) is not None
    seen = () if declared else leaving(stores, item.component_name, item.machine_name, item.state)
    observed = observed_machine(seen) if seen else None
    status = lifecycle(item.state, machine=machine, never_left=() if observed else (item.state,))
    awaited: tuple[Awaited, ...] = ()
    if ways and status.status not in ("completed", "error"):
        found = moves(item.state, machine, observed, component=item.component_name, components=known.components)
        awaited = tuple(_awaited(stores, catalog, stay, move) for move in _by_event(found)[:MAX_AWAITED])
    return WaitLevel(instance=item, status=status, since=stay.since, entry_read=stay.entry_read, awaited=awaited)


def _by_event(found: Iterable[Move]) -> list[Move]:
    """One for each event: where it leads does not matter to who waits."""
    first: dict[str, Move] = {}
    for move in found:
        first.setdefault(move.event, move)
    return list(first.values())


def _awaited(stores: Stores, catalog: Catalog | None, stay: Stay, move: Move) -> Awaited:
    if move.timeout_ms is not None:
        due_at, earlier = due(stay, move, catalog)
        return Awaited(move=move, due_at=due_at, due_earlier=earlier)
    if move.senders:
        return Awaited(move=move)
    seen, examples = _seen_senders(stores, catalog, stay.instance, move.event)
    return Awaited(move=move, seen=seen, examples=examples)


def _seen_senders(
    stores: Stores, catalog: Catalog | None, waiting: InstanceSummary, event_type: str
) -> tuple[tuple[SeenSender, ...], int]:
    """Which events of other instances caused the latest such events in that state, and how many were looked at."""
    query = EventQuery(
        components=(waiting.component_name,),
        machines=(waiting.machine_name,),
        event_types=(event_type,),
        states_before=(waiting.state,),
    )
    page = stores.events.find(query, limit=MAX_EXAMPLES + 1, newest_first=True)
    examples = [event for event in page.items if event.instance_id != waiting.instance_id][:MAX_EXAMPLES]
    links = [
        link for link in links_between(stores, examples, mode="repaired", catalog=catalog) if not link.same_instance
    ]
    causes = stores.events.get_events({link.cause_id for link in links}) if links else {}
    sent = [(link, causes.get(link.cause_id)) for link in links]
    counts: dict[tuple[str, str], int] = {}
    ways: dict[tuple[str, str], dict[str, None]] = {}
    for example in examples:
        senders = [
            cause
            for link, cause in sent
            if cause is not None and link.effect_id == example.id and tells(link, cause, example, catalog)
        ]
        for machine in {_machine(cause) for cause in senders}:
            counts[machine] = counts.get(machine, 0) + 1
        for cause in senders:
            ways.setdefault(_machine(cause), {}).setdefault(_taken(cause))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    found = (
        SeenSender(component=machine[0], machine=machine[1], when=tuple(ways[machine]), count=count)
        for machine, count in ranked
    )
    return tuple(found), len(examples)


def _candidate(
    stores: Stores, catalog: Catalog | None, stay: Stay, awaited: Sequence[Awaited]
) -> tuple[_Candidate | None, int | None]:
    """The instance that should send one of the events: one that has not ended first, then in the order of the events,
    then the nearest. And how many linked events were read, where there may be more."""
    senders: dict[tuple[str, str], dict[str, dict[str, bool]]] = {}
    for item in awaited:
        ways = [(sender.component, sender.machine, sender.when, True) for sender in item.move.senders]
        ways += [(seen.component, seen.machine, when, False) for seen in item.seen for when in seen.when]
        for component, machine, when, by_definition in ways:
            senders.setdefault((component, machine), {}).setdefault(when, {})[item.move.event] = by_definition
    if not senders or not stay.entry_read:
        return None, None
    cut_at: int | None = None
    directions: tuple[tuple[Direction, Linked], ...] = (("effects", "set in motion"), ("causes", "cause"))
    for direction, linked in directions:
        found: dict[str, list[PersistedEvent]] = {}
        trusts: dict[str, Trust] = {}
        around = linked_events(stores, stay.entered_by, direction, catalog=catalog)
        cut_at = (cut_at or 0) + around.read if around.cut else cut_at
        for event, trust in around.events:
            if event.instance_id != stay.instance.instance_id and _machine(event) in senders:
                trusts[event.id] = trust
                found.setdefault(event.instance_id, []).append(event)
        if not found:
            continue
        now = stores.events.instances(InstanceQuery(instance_ids=tuple(found)), limit=len(found)).items
        known = catalog or Catalog()
        ended = {item.instance_id for item in now if known.is_terminal(*_machine(item), item.state)}
        order = list(senders)
        first, *_ = sorted(found, key=lambda name: (name in ended, order.index(_machine(found[name][0]))))
        events = found[first]
        sending = senders[_machine(events[0])]
        candidate = _Candidate(
            sends=_sends({name: sure for events in sending.values() for name, sure in events.items()}),
            when={way: _sends(events) for way, events in sending.items()},
            linked=linked,
            first=events[0],
            trust=trusts[events[0].id],
            events=frozenset(event.id for event in events),
            others=sum(_machine(some[0]) == _machine(events[0]) for some in found.values()) - 1,
            linked_read=around.read if around.cut else None,
        )
        return candidate, candidate.linked_read
    return None, cut_at


def _sends(events: Mapping[str, bool]) -> _Sends:
    """Those that are known in the same way as the first one."""
    first = next(iter(events.values()))
    return _Sends(events=tuple(name for name, sure in events.items() if sure == first), by_definition=first)


def _sent(
    stores: Stores,
    catalog: Catalog | None,
    events: Sequence[PersistedEvent],
    candidate: _Candidate,
    waiting: Stay,
) -> _Sent | None:
    """The first event since the stay began that should have sent what is waited for, one that sent it to nobody else
    before others.

    What was only seen elsewhere counts where it is linked to the stay: one instance may serve many others.
    """
    first: _Sent | None = None
    looked_at = 0
    for event in events:
        way = _way(event, candidate)
        if not way or event.persisted_at < waiting.since:
            continue
        if not (event.id in candidate.events or candidate.when[way].by_definition):
            continue
        sent = _to_others(stores, catalog, event, candidate.when[way].events, waiting.instance)
        if sent.elsewhere is None:
            return sent
        first = first or sent
        looked_at += 1
        if looked_at >= MAX_EXAMPLES:
            break
    return first


def _to_others(
    stores: Stores,
    catalog: Catalog | None,
    did: PersistedEvent,
    event_types: tuple[str, ...],
    waiting: InstanceSummary,
) -> _Sent:
    """Whether what the event sent is seen in another instance, and not in the one that waits."""
    around = linked_events(stores, did.id, "effects", catalog=catalog, max_depth=1)
    came = [
        (e, trust) for e, trust in around.events if e.event_type in event_types and _machine(e) == _machine(waiting)
    ]
    others = [(e, trust) for e, trust in came if e.instance_id != waiting.instance_id]
    if not others or len(others) < len(came):
        return _Sent(did=did)
    elsewhere, trust = others[0]
    return _Sent(did=did, elsewhere=elsewhere, trust=trust)


def _answer(waiting: Stay, event_types: tuple[str, ...], did: PersistedEvent) -> PersistedEvent | None:
    """The event that did reach the one that waits, though it is still where it was."""
    came = (e for e in waiting.events if e.event_type in event_types and e.id != waiting.entered_by)
    return next((e for e in came if e.persisted_at >= did.persisted_at), None)


def _way(event: PersistedEvent, candidate: _Candidate) -> str:
    """What of `candidate.when` the event is; '' for none."""
    return next((way for way in (_entering(event), _taken(event)) if way in candidate.when), "")


def _machine(item: PersistedEvent | InstanceSummary) -> tuple[str, str]:
    return item.component_name, item.machine_name


def _taken(event: PersistedEvent) -> str:
    return f"{event.state_before} → {event.state_after} on {event.event_type}"


def _entering(event: PersistedEvent) -> str:
    return f"entering {event.state_after}" if event.state_before != event.state_after else ""


def _why_nobody(stay: Stay, awaited: Sequence[Awaited]) -> End:
    if any(item.move.senders or item.seen for item in awaited):
        return "not found" if stay.entry_read else "entry not read"
    if any(item.examples or item.due_at is not None for item in awaited):
        return "outside"
    return "unknown"
