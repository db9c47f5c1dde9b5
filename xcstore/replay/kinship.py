"""Which instances are tied to each other, so that what happens to one may decide what is sent to another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from xcstore.analysis.lineage import is_common, is_masked
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.replay.recording import merged_payload
from xcstore.replay.track import Track
from xcstore.runtime.interpreter import properties_of

__all__ = ["Kinship"]

_FEW: Final = 20
"""A value that more instances were created with is no business key."""

_Key = str | int


class Kinship:
    """Ties by parent, by recorded or inferred cause, and by values that both were created with.

    Parameters
    ----------
    track : Track
    causes : mapping of str to str
        Event -> its cause.
    """

    def __init__(self, track: Track, causes: Mapping[str, str]) -> None:
        self._near: defaultdict[str, set[str]] = defaultdict(set)
        self._keys: defaultdict[str, set[_Key]] = defaultdict(set)
        self._holders: defaultdict[_Key, set[str]] = defaultdict(set)
        self._parted: set[str] = set()
        of = {event.id: event.instance_id for event in track.events}
        for event in track.events:
            self._tie(event.instance_id, of.get(causes.get(event.id, "")))
            if event.event_type == CREATION:
                payload = event.payload if isinstance(event.payload, Mapping) else {}
                self._tie(event.instance_id, payload.get("parentInstanceId"))
                self._add(event.instance_id, merged_payload(event))
        for name, folded in track.before.items():
            self._tie(name, folded.instance.parent_instance_id)
            self._add(name, properties_of(folded.instance))

    def part(self, instance_id: str) -> None:
        """This instance holds another state or other values than were recorded at the time."""
        self._parted.add(instance_id)

    def join(self, instance_id: str) -> None:
        """It holds again what was recorded."""
        self._parted.discard(instance_id)

    @property
    def has_parted(self) -> bool:
        """Whether any instance has."""
        return bool(self._parted)

    def tie_of(self, instance_id: str, event: PersistedEvent) -> str:
        """A parted instance that this one, or the event sent to it, is tied to; '' for none."""
        if not self._parted:
            return ""
        near = list(self._near.get(instance_id, ()))
        for key in (*self._keys.get(instance_id, ()), *_telling(merged_payload(event).values())):
            if len(holders := self._holders.get(key, ())) <= _FEW:
                near += holders
        return min((name for name in near if name in self._parted and name != instance_id), default="")

    def _tie(self, one: str, other: object) -> None:
        """The other one has made it, or has sent something to it."""
        if isinstance(other, str) and other and other != one:
            self._near[one].add(other)

    def _add(self, name: str, values: Mapping[str, object]) -> None:
        for key in _telling(values.values()):
            self._keys[name].add(key)
            self._holders[key].add(name)


def _telling(values: Iterable[object]) -> Iterator[_Key]:
    for value in values:
        if isinstance(value, str | int) and not is_common(value) and not is_masked(value):
            yield value
