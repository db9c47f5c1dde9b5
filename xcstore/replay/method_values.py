"""What user methods left in the instances of a recorded history: found there, and put in place of calling them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from xcstore.analysis.context import same_json
from xcstore.analysis.routes import recorded_values
from xcstore.model.history import CREATION, Instance, PersistedEvent
from xcstore.replay.recognition import Recognition
from xcstore.replay.recording import Left, Recording, merged_payload
from xcstore.replay.track import Track
from xcstore.runtime import Sender
from xcstore.runtime.interpreter import Event, Plan

__all__ = ["StandIn", "left_by_methods"]


def left_by_methods(
    track: Track, plans_of: Callable[[PersistedEvent], Sequence[Plan]], *, first: int
) -> tuple[dict[str, Left], dict[str, Left]]:
    """What differs between the recorded values and those that the definition alone gives."""
    before: dict[str, Left] = {}
    after: dict[str, Left] = {}
    held: dict[str, tuple[PersistedEvent | None, Mapping[str, object]]] = {}
    for name, folded in track.before.items():
        instance = folded.instance
        held[name] = None, instance.context if instance.public_member is None else instance.public_member
    for place, event in enumerate(track.events):
        recorded = recorded_values(event)
        last, values = held.get(event.instance_id, (None, {}))
        plans = plans_of(event)
        plain = values if event.event_type != CREATION else merged_payload(event)
        if event.event_type != CREATION and (not plans or plans[0].merges) and isinstance(event.payload, Mapping):
            plain = {**values, **event.payload}
        if recorded is not None and event.event_type != CREATION and not same_json(plain, recorded):
            left = Left(
                values={
                    key: value
                    for key, value in recorded.items()
                    if key not in plain or not same_json(plain[key], value)
                },
                removed=tuple(key for key in plain if key not in recorded),
            )
            entered = bool(last is not None and any(plan.entry for plan in plans_of(last)))
            if any(plan.before for plan in plans):
                if place >= first:
                    before[event.id] = left
            elif entered and last is not None:
                after[last.id] = left
        held[event.instance_id] = event, plain if recorded is None else recorded
    return before, after


class StandIn:
    """Stands in for every user method of a run: leaves what the recording has, and does nothing else.

    Parameters
    ----------
    recording : Recording, optional
        Without it methods leave nothing.
    recognition : Recognition
    """

    def __init__(self, recording: Recording | None, recognition: Recognition) -> None:
        self._recording, self._recognition = recording, recognition
        self.unknown: defaultdict[str, int] = defaultdict(int)
        """Methods whose effect is not known -> how often they would have been called."""
        self.unanswered: dict[str, str] = {}
        """Instances that go on as though such a method had done nothing -> the first of them."""
        self._called: dict[str, str] = {}
        """The same, of the transition under way."""
        self.causes: Callable[[], tuple[str, ...]] = tuple
        """Of what the runtime takes from its queue: the events that asked for it."""
        self._moment = self._name = ""
        self._last_event_id: str | None = None
        self._handled: Event | None = None

    def announce(self, moment: str, name: str, last_event_id: str | None) -> None:
        """Which method is called next, and what the last event of its instance is."""
        self._moment, self._name, self._last_event_id = moment, name, last_event_id

    def stored(self) -> None:
        """The event of the transition under way is stored: methods of another one may follow."""
        self._handled = None
        for name, method in self._called.items():
            self.unanswered.setdefault(name, method)
        self._called.clear()

    def __call__(self, event: Event, instance: Instance, sender: Sender) -> None:
        if self._moment == "entry_method":
            self._leave("after", self._recognition.origins.get(self._last_event_id or ""), instance)
            return
        if self._handled is event:
            return  # the second method of the transition: what both left is one
        self._handled = event
        self._leave("before", self._recognition.expected(instance.id, event.type, self.causes()), instance)

    def _leave(self, when: str, origin: str | None, instance: Instance) -> None:
        if origin is None or self._recording is None:
            self.unknown[self._name] += 1
            # Of a transition itself it is known that it is taken; what follows is not.
            (self.unanswered if when == "after" else self._called).setdefault(instance.id, self._name)
            return
        found = self._recording.left_before if when == "before" else self._recording.left_after
        left = found.get(origin, Left())
        held = instance.context if instance.public_member is None else instance.public_member
        assert isinstance(held, dict)  # the engine's copy
        held.update(left.values)
        for key in left.removed:
            held.pop(key, None)
