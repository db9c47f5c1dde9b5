"""Instances as of any step of a track, by folding on from checkpoints. Reads no store."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from xcstore.model.history import Instance
from xcstore.replay.earlier import tells_all
from xcstore.replay.track import Track
from xcstore.runtime.folding import Folded

__all__ = ["AsOf"]

_SPACING: Final = 64
"""Events from one checkpoint to the next: what a step back folds at most."""
_MAX_VALUES: Final = 4_000_000
"""Most fields that the checkpoints of one instance hold together; beyond, every second one is given up."""


class AsOf:
    """The states of a track. `until` counts events of the track: 0 is before the first, `len(track.events)` the end.

    Made for many questions: a stream is folded once, then each question folds on from the nearest checkpoint before, or
    from the last answer. Short streams need none, so a track of many small instances costs nothing to open. Safe to
    share between threads, as nothing that was answered is changed.
    """

    def __init__(self, track: Track) -> None:
        self.track = track
        streams: defaultdict[str, list[int]] = defaultdict(list)
        for index, event in enumerate(track.events):
            streams[event.instance_id].append(index)
        self._streams = dict(streams)
        begins = {name: 0 if name in track.before else self._streams[name][0] + 1 for name in track.instance_ids}
        self._ids = sorted(track.instance_ids, key=begins.__getitem__)
        self._begins = [begins[name] for name in self._ids]
        self._checkpoints = {
            name: _checkpoints(track, name, stream) for name, stream in streams.items() if len(stream) > _SPACING
        }
        self._last: dict[str, tuple[int, Folded | None]] = {}
        self._known = {
            name: next((i for i in self._streams.get(name, ()) if tells_all(track.events[i])), len(track.events))
            for name in track.unknown
        }
        """Of instances whose beginning is not known, the first event that recorded all that they hold."""

    def instance_ids(self, until: int) -> Sequence[str]:
        """The instances that exist after `until` events, in the order in which they appear."""
        return self._ids[: self.count(until)]

    def count(self, until: int) -> int:
        """How many they are."""
        return bisect_right(self._begins, until)

    def folded(self, instance_id: str, until: int) -> Folded | None:
        """One instance after `until` events of the track, with its timers; None where it does not exist yet."""
        stream = self._streams.get(instance_id, [])
        wanted = bisect_left(stream, until)
        at, folded = 0, self.track.before.get(instance_id)
        checkpoints = self._checkpoints.get(instance_id)
        if checkpoints is not None and wanted >= checkpoints.spacing:
            number = wanted // checkpoints.spacing
            at, folded = number * checkpoints.spacing, checkpoints.states[number - 1]
        known = self._last.get(instance_id)
        if known is not None and at <= known[0] <= wanted:
            at, folded = known
        if at < wanted:
            folded = _fold(self.track, stream[at:wanted], folded)
        self._last[instance_id] = (wanted, folded)
        return folded

    def states(self, until: int) -> Mapping[str, Folded]:
        """All instances that exist after `until` events; each is folded when it is looked at."""
        return _States(self, until)

    def instances(self, until: int) -> Mapping[str, Instance]:
        """The same without timers."""
        return _Instances(self, until)

    def is_known(self, index: int) -> bool:
        """Whether all that the instance of event `index`, counted from 0, holds after it is known."""
        return index >= self._known.get(self.track.events[index].instance_id, 0)

    def step(self, index: int) -> tuple[Folded | None, Folded]:
        """The instance of event `index`, counted from 0, before and after; notes of the latter are of this event.

        They also say where what it held before the track is not known, so that values are missing.
        """
        event = self.track.events[index]
        before = self.folded(event.instance_id, index)
        after = self.track.tables.fold([event], before)
        assert after is not None  # there is an event
        if not self.is_known(index):
            why = self.track.unknown[event.instance_id]
            after.notes.append(f"not all that it holds is known: {why}; shown is what came since")
        return before, after


class _States(Mapping[str, Folded]):
    """A view: it costs what is looked at."""

    def __init__(self, as_of: AsOf, until: int) -> None:
        self._as_of, self._until = as_of, until

    def __getitem__(self, key: str) -> Folded:
        folded = self._as_of.folded(key, self._until)
        if folded is None:
            raise KeyError(key)
        return folded

    def __iter__(self) -> Iterator[str]:
        return iter(self._as_of.instance_ids(self._until))

    def __len__(self) -> int:
        return self._as_of.count(self._until)


class _Instances(Mapping[str, Instance]):
    def __init__(self, as_of: AsOf, until: int) -> None:
        self._states = _States(as_of, until)

    def __getitem__(self, key: str) -> Instance:
        return self._states[key].instance

    def __iter__(self) -> Iterator[str]:
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)

    def __repr__(self) -> str:
        return f"<{len(self)} instances>"


@dataclass(frozen=True, slots=True)
class _Checkpoints:
    spacing: int
    states: Sequence[Folded]
    """Number k, counted from 0, is after (k + 1) * spacing events of the stream."""


def _checkpoints(track: Track, instance_id: str, stream: Sequence[int]) -> _Checkpoints:
    spacing, held = _SPACING, 0
    states: list[Folded] = []
    folded = track.before.get(instance_id)
    at = 0
    while at + spacing <= len(stream):
        folded = _fold(track, stream[at : at + spacing], folded)
        assert folded is not None
        at += spacing
        states.append(folded)
        held += _size(folded)
        # Only at an even number, so that the last one kept is where we are.
        if held > _MAX_VALUES and len(states) % 2 == 0:
            states = states[1::2]
            spacing *= 2
            held = sum(map(_size, states))
    return _Checkpoints(spacing, states)


def _size(folded: Folded) -> int:
    return len(folded.instance.context) + len(folded.instance.public_member or ())


def _fold(track: Track, indexes: Sequence[int], base: Folded | None) -> Folded | None:
    folded = track.tables.fold([track.events[index] for index in indexes], base)
    if folded is not None and folded is not base:
        folded.notes.clear()  # what was odd belongs to the step where it was
    return folded
