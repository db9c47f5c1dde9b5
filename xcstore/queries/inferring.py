"""Links into and out of events, as a mode shows them: recorded, repaired, or both."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from xcstore.analysis.causality import SUCCESSION, Link, Mode, recorded_link
from xcstore.analysis.inference import infer, named_instance, timer_reason
from xcstore.analysis.routes import WINDOW, recorded_values, routes
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.queries.surroundings import LoadedSurroundings
from xcstore.store.base import EventQuery, EventStore, Trace

__all__ = ["LinkFinder"]

PORTION: Final = 200
"""Events that are judged between two looks at the clock."""


class LinkFinder:
    """Finds links of events in a store, loading around them what the rules have to see.

    Answers are kept: asking again costs nothing. `cut` says that a question had more to say than was read. `until`, by
    `time.monotonic`, is when steps stop to look further; what they found until then is right, but not all.
    """

    def __init__(self, store: EventStore, mode: Mode, catalog: Catalog | None, until: float = math.inf) -> None:
        self._until = until
        self._mode = mode
        self._catalog = catalog
        self._routes = routes(catalog if catalog is not None else Catalog())
        self._around = LoadedSurroundings(store)
        self._into: dict[str, tuple[Link, ...]] = {}
        self._replaced: dict[str, int] = {}

    @property
    def cut(self) -> bool:
        return self._around.cut

    def replaced(self, event_id: str) -> int:
        """How many doubtful recorded links into the event an inferred one stands for."""
        return self._replaced.get(event_id, 0)

    def find(self, event_id: str) -> PersistedEvent | None:
        """An event, where it is loaded."""
        return self._around.get(event_id)

    def note(self, trace: Trace, distances: Sequence[int]) -> None:
        """Take over what a trace of recorded effects has read: one question instead of one for each event.

        `distances` are the steps from the root to each of its events. The effects of an event are all there if the
        level after it is, so not those of the last two levels of a trace that was cut.
        """
        loaded = {event.id: event for event in trace.events}
        effects: defaultdict[str, dict[str, PersistedEvent]] = defaultdict(dict)
        for cause, effect in trace.links:
            effects[cause][effect] = loaded[effect]
        whole = max(distances) - 1 if trace.truncated else max(distances) + 1
        self._around.add(trace.events)
        for event, distance in zip(trace.events, distances, strict=True):
            self._around.note_effects(event.id, effects[event.id].values(), whole=distance < whole)

    # Causes

    def into(self, events: Iterable[PersistedEvent]) -> list[Link]:
        """The links that lead to these events."""
        asked = list(events)
        new = [event for event in asked if event.id not in self._into]
        self._around.add(new)
        self._around.load(cause for event in new for cause in event.caused_by)
        recorded = {event.id: self._recorded(event) for event in new}
        wanting = [event for event in new if self._wants_rules(event, recorded[event.id])]
        self._load_for_rules(wanting)
        wanted = {event.id for event in wanting}
        for event in new:
            self._into[event.id] = self._chosen(event, recorded[event.id], event.id in wanted)
        return [link for event in asked for link in self._into[event.id]]

    def causes(self, events: Sequence[PersistedEvent]) -> tuple[list[PersistedEvent], bool]:
        """Events that caused one of these, and whether these are all."""
        found: dict[str, PersistedEvent] = {}
        for portion in _portions(events):
            if self._is_late():
                return list(found.values()), False
            for link in self.into(portion):
                cause = self._around.get(link.cause_id)
                if cause is not None and link.rule != SUCCESSION:
                    found[cause.id] = cause
        return list(found.values()), True

    def _is_late(self) -> bool:
        return time.monotonic() >= self._until

    def _recorded(self, event: PersistedEvent) -> list[Link]:
        return [
            recorded_link(cause, event.id, self._around.get(cause), event, self._catalog)
            for cause in dict.fromkeys(event.caused_by)
        ]

    def _wants_rules(self, event: PersistedEvent, recorded: Sequence[Link]) -> bool:
        # Our runtime records the truth, also where the cause has been deleted since.
        if event.definition_hash and any(not link.doubts for link in recorded):
            return False
        return self._mode == "both" or (self._mode == "repaired" and not any(map(self._is_sound, recorded)))

    def _is_sound(self, link: Link) -> bool:
        return not link.doubts and self._around.get(link.cause_id) is not None

    def _chosen(self, event: PersistedEvent, recorded: list[Link], wanted: bool) -> tuple[Link, ...]:
        sound = any(map(self._is_sound, recorded))
        inferred = infer(event, self._around, self._catalog, succession=not sound) if wanted else None
        if inferred is None or any(link.cause_id == inferred.cause_id for link in recorded):
            return tuple(recorded)
        kept = recorded
        if self._mode == "repaired":
            # A cause that is not in the store may well be right: it stays beside what the rule finds.
            kept = [link for link in recorded if not link.doubts]
            self._replaced[event.id] = len(recorded) - len(kept)
        return (*kept, inferred)

    def _load_for_rules(self, events: Sequence[PersistedEvent]) -> None:
        around = self._around
        before: dict[str, int] = {}
        for event in events:
            if timer_reason(event) and not self._routes.restarts(event):
                around.load_entering(event)
            elif timer_reason(event) or not event.definition_hash:
                _up_to(before, event.instance_id, event.persisted_at)
            if name := named_instance(event):
                _up_to(before, name, event.persisted_at)
        around.load_before(before)

        sends = {event.id: self._routes.arriving(event) for event in events if _may_be_sent(event)}
        senders = sorted({send.sender for some in sends.values() for send in some})
        if not senders:
            return
        query = EventQuery(
            components=tuple(dict.fromkeys(component for component, _ in senders)),
            machines=tuple(dict.fromkeys(machine for _, machine in senders)),
        )
        around.load_window(
            query, [(event.persisted_at - WINDOW, event.persisted_at) for event in events if sends.get(event.id)]
        )
        histories: dict[str, int] = {}
        for event in events:
            for send in sends.get(event.id, ()):
                for one in around.place(send.sender, event.persisted_at - WINDOW, event.persisted_at):
                    if recorded_values(one) is None and send.is_sent_by(one):
                        _up_to(histories, one.instance_id, one.persisted_at)
        around.load_before(histories)

    # Effects

    def effects(
        self, events: Sequence[PersistedEvent], known: Container[str], room: int
    ) -> tuple[list[PersistedEvent], bool]:
        """Events that one of these caused, the earliest first, and whether these are all.

        As soon as it is clear that more than `room` of them, apart from `known` ones, there will be, no more are asked
        for, as the level does not fit then.
        """
        self._around.add(events)
        asked = {event.id for event in events}
        recorded, whole = self._recorded_effects(asked, known, room)
        candidates = {effect.id: effect for effect in recorded}
        if whole or len(events) == 1:
            for portion in _portions(events):
                if self._is_late():
                    whole = False
                    break
                candidates |= {effect.id: effect for effect in self._candidates(portion)}
        found: list[PersistedEvent] = []
        for portion in _portions(sorted(candidates.values(), key=_by_time)):
            if self._is_late() or sum(event.id not in known for event in found) > room:
                return found, False
            effects = {
                link.effect_id for link in self.into(portion) if link.cause_id in asked and link.rule != SUCCESSION
            }
            found += [event for event in portion if event.id in effects]
        return found, whole

    def _recorded_effects(
        self, causes: Iterable[str], known: Container[str], room: int
    ) -> tuple[list[PersistedEvent], bool]:
        noted = [event for cause in causes for event in self._around.noted_effects(cause)]
        found = {event.id: event for event in noted}
        whole = True
        for cause in causes:
            if sum(name not in known for name in found) > room:
                # Of the earliest, which alone could be shown, none is missing: a trace gives a level by time.
                kept = sorted((event for event in found.values() if event.id not in known), key=_by_time)
                return [event for event in found.values() if event.id in known] + kept[: room + 1], False
            if self._around.knows_effects(cause):
                continue
            if self._is_late():
                whole = False
                break
            some, all_there = self._around.load_effects(cause, room)
            found |= {event.id: event for event in some}
            whole = whole and all_there
        return list(found.values()), whole

    def _candidates(self, events: Sequence[PersistedEvent]) -> list[PersistedEvent]:
        """Events that a rule may find these to have caused."""
        around = self._around
        since: dict[str, int] = {}
        for event in events:
            since[event.instance_id] = min(since.get(event.instance_id, event.persisted_at), event.persisted_at)
        around.load_after(since)
        found = [effect for event in events for effect in self._own_effects(event)]

        asking = [event for event in events if self._may_reach_others(event)]
        if not asking:
            return found
        sent = {event.id: self._routes.leaving(event) for event in asking}
        types = {send.event for some in sent.values() for send in some} | {CREATION}
        for event in asking:
            types |= self._routes.news.get((event.component_name, event.machine_name), frozenset())
        around.load_window(
            EventQuery(event_types=tuple(sorted(types))),
            [(event.persisted_at, event.persisted_at + WINDOW) for event in asking],
        )
        unknown = [event for event in asking if sent[event.id] and recorded_values(event) is None]
        around.load_before({event.instance_id: event.persisted_at for event in unknown})
        for event in asking:
            held = around.values(event) if sent[event.id] else None
            for effect in around.window(event.persisted_at, event.persisted_at + WINDOW):
                named = named_instance(effect) == event.instance_id
                arriving = [send for send in sent[event.id] if send.arrives_as(effect)]
                if named or any(not send.compare(held, effect).contradicts for send in arriving):
                    found.append(effect)
        return found

    def _own_effects(self, event: PersistedEvent) -> list[PersistedEvent]:
        """The next event of the instance, which may be a timer's, and timers that run on until it leaves the state."""
        following = self._around.after(event)
        found = list(following[:1])
        if not self._routes.keeps_timer(event):
            return found
        for one in following:
            if timer_reason(one):
                found.append(one)
            if one.state_after != event.state_after:
                return found
        self._around.cut = self._around.cut or not self._around.knows_end(event.instance_id)
        return found

    def _may_reach_others(self, event: PersistedEvent) -> bool:
        place = (event.component_name, event.machine_name)
        if self._catalog is None or self._catalog.find_machine(*place) is None:
            return True
        return bool(self._routes.leaving(event) or place in self._routes.news)


def _may_be_sent(event: PersistedEvent) -> bool:
    """Whether the rules look for who sent it."""
    return not timer_reason(event) and not (event.definition_hash and not event.source_component_name)


def _by_time(event: PersistedEvent) -> tuple[int, str]:
    return event.persisted_at, event.id


def _portions(events: Iterable[PersistedEvent]) -> Iterator[list[PersistedEvent]]:
    stream = iter(events)
    while portion := list(islice(stream, PORTION)):
        yield portion


def _up_to(moments: dict[str, int], name: str, at: int) -> None:
    moments[name] = max(moments.get(name, at), at)
