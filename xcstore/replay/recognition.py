"""Which event of a run is which of the recording."""

from __future__ import annotations

from collections import defaultdict, deque

from xcstore.model.history import CREATION, PersistedEvent
from xcstore.replay.recording import Input, Recording
from xcstore.units import EpochMs

__all__ = ["Recognition"]


class Recognition:
    """Tells the events of a run as they come: the input that made each, and the recorded event that it is again."""

    def __init__(self, recording: Recording | None) -> None:
        self._recording = recording
        self.current: Input | None = None
        """The input that is being sent, until its event comes."""
        self.origins: dict[str, str] = {}
        """Event of the run -> the recorded event."""
        self.again: dict[str, str] = {}
        """The other way round."""
        self._queued: defaultdict[tuple[str, str], deque[tuple[Input, str]]] = defaultdict(deque)
        self._made: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        """What the runtime has yet to make again itself, by instance and event type."""
        for name, key in (recording.made if recording else {}).items():
            self._made[key].append(name)
        self._timer_places: dict[tuple[str, str], int] = {}

    # Inputs

    def queue(self, one: Input, cause: str) -> None:
        """An input waits in the runtime, where event `cause` has put it."""
        self._queued[one.instance_id, one.event_type].appendleft((one, cause))

    def input_of(self, event: PersistedEvent) -> Input | None:
        """The input that made an event; it waits no more."""
        one = self.current
        kind = "" if event.event_type == CREATION else event.event_type
        if one is not None and (one.instance_id, one.event_type) == (event.instance_id, kind):
            self.current = None
            return one
        waiting = self._queued.get((event.instance_id, kind))
        number = _waiting_for(waiting, event.caused_by)
        if waiting is None or number is None:
            return None
        queued, _ = waiting[number]
        del waiting[number]
        return queued

    def take_ignored(self, instance_id: str, event_type: str) -> Input | None:
        """The input that an instance has just ignored; it waits no more."""
        one = self.current
        if one is not None and (one.instance_id, one.event_type) == (instance_id, event_type):
            self.current = None
            return one
        waiting = self._queued.get((instance_id, event_type))
        return waiting.popleft()[0] if waiting else None

    def take_undelivered(self, instance_id: str) -> Input | None:
        """The earliest that was queued for an instance which cannot take it any more."""
        for (name, _), waiting in self._queued.items():
            if name == instance_id and waiting:
                return waiting.popleft()[0]
        return None

    # Recorded events

    def origin_of(self, event: PersistedEvent, made_by: Input | None) -> str | None:
        """The recorded event that this is again: the one of the same input, or of the same cause."""
        if made_by is not None:
            return made_by.origin
        key = event.instance_id, event.event_type
        found = self._made_by(key, event.caused_by)
        if found is not None:
            self._made[key].remove(found)
        return found

    def expected(self, instance_id: str, event_type: str, causes: tuple[str, ...]) -> str | None:
        """The recorded event that the one under way is again; it is not stored yet."""
        one = self.current
        if one is not None and (one.instance_id, one.event_type) == (instance_id, event_type):
            return one.origin
        waiting = self._queued.get((instance_id, event_type))
        number = _waiting_for(waiting, causes)
        if waiting is not None and number is not None:
            return waiting[number][0].origin
        return self._made_by((instance_id, event_type), causes)

    def _made_by(self, key: tuple[str, str], causes: tuple[str, ...]) -> str | None:
        waiting = self._made.get(key)
        if not waiting or self._recording is None:
            return None
        recorded = self._recording.causes
        known = {self.origins.get(cause, cause) for cause in causes}
        found = next((name for name in waiting if recorded.get(name) in known), None)
        if found is not None:
            return found
        # Where a cause is known and is another one, this is something else. The order tells only where none is.
        return next((name for name in waiting if not known or name not in recorded), None)

    def happened(self, event_id: str, origin: str) -> None:
        """An event of the run was stored, and is a recorded one again."""
        self.origins[event_id] = origin
        self.again[origin] = event_id

    # Timers

    def set_timer(self, instance_id: str, event_type: str, due: EpochMs, cause: str) -> EpochMs:
        """When a timer is to fire: as late as the recording has it."""
        self._timer_places.pop((instance_id, event_type), None)
        if self._recording is None:
            return due
        found = self._recording.timers.get((instance_id, event_type, self.origins.get(cause, cause)))
        if found is None:
            return due
        late, place = found
        self._timer_places[instance_id, event_type] = place
        return EpochMs(due + late)

    def timer_place(self, instance_id: str, event_type: str) -> int:
        """Where in the track a running timer fires; -1: it is not recorded."""
        return self._timer_places.get((instance_id, event_type), -1)


def _waiting_for(waiting: deque[tuple[Input, str]] | None, causes: tuple[str, ...]) -> int | None:
    """Which of those that wait is asked for by one of these events."""
    return next((number for number, (_, cause) in enumerate(waiting or ()) if cause in ("", *causes)), None)
