"""Where an instance has been, and from which of these places a later event can have come.

Long histories may break at every event, so places are looked up by a digest of what was held there; each lookup then
compares a few candidates in full.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, Literal

from xcstore.model.history import PersistedEvent
from xcstore.replay.reasons import methods_before, recorded_values, same_values
from xcstore.runtime.interpreter import MachineTable, Plan
from xcstore.units import EpochMs

__all__ = ["MAX_FITTING", "Past", "Place", "find_lost", "find_older", "find_origin", "merged"]

Values = Mapping[str, object]
Held = Literal["values", "context"]

_CANDIDATES: Final = 200
"""Places with the same digest that are compared in full, the latest first."""
_INDEXES: Final = 8
"""Sets of payload keys for which the places of one state are indexed; beyond, the latest places are gone through."""
MAX_FITTING: Final = 10
"""So many places that fit are counted at most."""
_DEPTH: Final = 3
_ITEMS: Final = 50


@dataclass(frozen=True, slots=True)
class Place:
    """An instance as it was after one of its events."""

    position: int
    event_id: str
    event_type: str
    at: EpochMs
    values: Values
    context: Values
    """Of a machine with a public member, the context beside it."""
    fitting: int = 1
    """How many places fit as well as this one, which is the latest, with it; `MAX_FITTING` for that many or more."""


class Past:
    """What one instance has been, by state."""

    def __init__(self) -> None:
        self._by_state: defaultdict[str, _Places] = defaultdict(_Places)

    def add(self, position: int, event: PersistedEvent, values: Values, context: Values) -> None:
        self._by_state[event.state_after].places.append(
            Place(position, event.id, event.event_type, event.persisted_at, values, context)
        )

    def was_in(self, state: str) -> bool:
        return state in self._by_state

    def find_latest(self, state: str, before: int) -> Place | None:
        """The latest place in that state, before position `before`."""
        if state not in self._by_state:
            return None
        there = (place for place in reversed(self._by_state[state].places) if place.position < before)
        return _latest(list(islice(there, MAX_FITTING)))

    def find(
        self,
        event: PersistedEvent,
        way: Plan | None,
        recorded: Values,
        *,
        held: Held = "values",
        before: int,
        fits: Callable[[Place], bool] = lambda place: True,
    ) -> Place | None:
        """The latest place before position `before` from which `event`, going this way, leads to `recorded`."""
        return _latest(self.find_all(event, way, recorded, held=held, before=before, fits=fits))

    def find_all(
        self,
        event: PersistedEvent,
        way: Plan | None,
        recorded: Values,
        *,
        held: Held = "values",
        before: int,
        fits: Callable[[Place], bool] = lambda place: True,
    ) -> list[Place]:
        """Places before position `before` from which `event`, going this way, leads to `recorded`, the latest first.

        At most `MAX_FITTING` of them.

        Parameters
        ----------
        way : Plan or None
            None where it is not known: the payload is merged.
        held : {"values", "context"}
            Which of what was held there goes on.
        fits : callable
            What must hold besides.

        Notes
        -----
        Of places of one digest the latest 200 are compared; so are the latest 200 of the state where its events have
        more different sets of payload keys than are indexed.
        """
        state = event.state_before
        if state not in self._by_state:
            return []
        taken = merged(way, event, {})
        if not all(key in recorded for key in taken) or not same_values(taken, {key: recorded[key] for key in taken}):
            return []
        found: list[Place] = []
        for place in self._by_state[state].alike(held, frozenset(taken), recorded):
            there = place.values if held == "values" else place.context
            if place.position < before and same_values(merged(way, event, there), recorded) and fits(place):
                found.append(place)
                if len(found) == MAX_FITTING:
                    break
        return found


def _latest(places: Iterable[Place]) -> Place | None:
    """The latest of the places that fit, with how many there are."""
    by_position = {place.position: place for place in places}
    if not by_position:
        return None
    return replace(by_position[max(by_position)], fitting=min(len(by_position), MAX_FITTING))


def merged(plan: Plan | None, event: PersistedEvent, values: Values) -> Values:
    """Values after an event; without a plan its payload is merged, as nobody knows better."""
    if plan is not None:
        return plan.merge(values, event.payload)
    return {**values, **event.payload} if isinstance(event.payload, Mapping) else values


def find_origin(past: Past, event: PersistedEvent, table: MachineTable | None, before: int) -> Place | None:
    """The latest place before position `before` from which this event can have come."""
    has_public = table is not None and table.machine.public_member_type is not None
    recorded = recorded_values(event, has_public)
    ways: Sequence[Plan | None] = (None,)
    if table is not None:
        ways = table.find_plans(event.state_before, event.event_type, event.state_after) or ways
    if recorded is None or (table is not None and any(way is not None and methods_before(table, way) for way in ways)):
        return past.find_latest(event.state_before, before)
    # A runtime that restarts from a snapshot of its context alone has lost the public member.
    kinds: tuple[Held, ...] = ("values", "context") if has_public else ("values",)
    return _latest(
        place
        for way in ways
        for held in kinds
        for place in past.find_all(event, way, recorded, held=held, before=before)
    )


def find_lost(past: Past, event: PersistedEvent, plan: Plan, recorded: Values, before: int) -> Place | None:
    """The latest place whose context alone explains the values: its public member is gone."""
    return past.find(
        event,
        plan,
        recorded,
        held="context",
        before=before,
        fits=lambda place: not same_values(place.context, place.values),
    )


def find_older(past: Past, event: PersistedEvent, plan: Plan, recorded: Values, before: int) -> Place | None:
    """The latest place whose values explain these, where those of the event before do not."""
    return past.find(event, plan, recorded, before=before - 1)


@dataclass(slots=True)
class _Index:
    """Places by digest; kept up when it is asked, so a history without breaks pays nothing."""

    done: int = 0
    by_digest: dict[int, list[int]] = field(default_factory=dict)


class _Places:
    """The places of one state."""

    def __init__(self) -> None:
        self.places: list[Place] = []
        self._indexes: dict[tuple[Held, frozenset[str]], _Index] = {}

    def alike(self, held: Held, without: frozenset[str], values: Values) -> Iterator[Place]:
        """Places that may hold `values`, apart from the keys `without`; the latest first."""
        index = self._indexes.get((held, without))
        if index is None:
            if len(self._indexes) == _INDEXES:
                yield from islice(reversed(self.places), _CANDIDATES)
                return
            index = self._indexes[held, without] = _Index()
        for number in range(index.done, len(self.places)):
            place = self.places[number]
            digest = _digest(place.values if held == "values" else place.context, without)
            index.by_digest.setdefault(digest, []).append(number)
        index.done = len(self.places)
        for number in islice(reversed(index.by_digest.get(_digest(values, without), ())), _CANDIDATES):
            yield self.places[number]


def _digest(values: Values, without: frozenset[str]) -> int:
    """The same for all that `same_json` calls the same, whatever the order of keys."""
    return sum(hash((key, _hash(value, _DEPTH))) for key, value in values.items() if key not in without)


def _hash(value: object, depth: int) -> int:
    """Below some depth, and beyond some items, values are not told apart: candidates are compared in full anyway."""
    if isinstance(value, str):
        return hash(value)
    if isinstance(value, Mapping):
        if not depth:
            return len(value)
        return hash((len(value), sum(hash((key, _hash(inner, depth - 1))) for key, inner in value.items())))
    if isinstance(value, list | tuple):
        inner = tuple(_hash(one, depth - 1) for one in value[:_ITEMS]) if depth else ()
        return hash((len(value), inner))
    try:
        return hash(value) if value == value else 0  # of numbers that are none Python makes many
    except TypeError:  # a driver's own kind of value
        return 0
