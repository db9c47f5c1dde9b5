"""Where playing stops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from xcstore.analysis.context import Path, parse_path, path_text, value_at
from xcstore.model.history import PersistedEvent
from xcstore.store.filtering import scalar_text

__all__ = ["Breakpoint", "DivergenceBreak", "EventTypeBreak", "PathBreak", "StateBreak"]

_ABSENT = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class StateBreak:
    """An instance enters a state; a self-loop enters it again."""

    state: str
    machine_name: str = ""
    """'' stands for any machine."""

    def __str__(self) -> str:
        return f"{self.machine_name or 'any machine'} enters {self.state}"

    def holds(self, position: int, event: PersistedEvent) -> bool:
        """Whether step `position`, which is `event`, is one to stop at."""
        return event.state_after == self.state and self.machine_name in ("", event.machine_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTypeBreak:
    """An event of a type."""

    event_type: str

    def __str__(self) -> str:
        return f"event {self.event_type}"

    def holds(self, position: int, event: PersistedEvent) -> bool:
        """Whether step `position`, which is `event`, is one to stop at."""
        return event.event_type == self.event_type


@dataclass(frozen=True, slots=True, kw_only=True)
class PathBreak:
    """An event whose payload has a field, or a value there.

    Raises
    ------
    QueryError
        The path cannot be read; see `analysis.context.parse_path`.
    """

    path: str
    """`customer.lines[0].sku`"""
    value: str | None = None
    """The scalar there as text: '42' finds 42 and '42'. None: whatever is there."""
    _keys: Path = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_keys", parse_path(self.path))

    def __str__(self) -> str:
        return path_text(self._keys) + ("" if self.value is None else f" = {self.value}")

    def holds(self, position: int, event: PersistedEvent) -> bool:
        """Whether step `position`, which is `event`, is one to stop at."""
        found = value_at(event.payload, self._keys, _ABSENT)
        return found is not _ABSENT and (self.value is None or scalar_text(found) == self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class DivergenceBreak:
    """A step that went otherwise than the definition says."""

    diverges: Callable[[int], bool]
    """From a position, counted from 1, to whether it does; the verdicts of `replay.verified`, say."""

    def __str__(self) -> str:
        return "a step that diverges from the definition"

    def holds(self, position: int, event: PersistedEvent) -> bool:
        """Whether step `position`, which is `event`, is one to stop at."""
        return self.diverges(position)


Breakpoint = StateBreak | EventTypeBreak | PathBreak | DivergenceBreak
