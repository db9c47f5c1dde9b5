"""What a bounded search through events gives: a page that says how far it came, or everything within a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from xcstore.errors import StoreTimeoutError
from xcstore.model.history import PersistedEvent
from xcstore.store.base import Cursor, EventQuery, Page
from xcstore.units import EpochMs

__all__ = ["Searched", "needs_search", "searched_all", "searched_page"]

Key = TypeVar("Key", bound=tuple[Any, ...])
"""A place in page order; the time first."""


@dataclass(frozen=True, slots=True)
class Searched(Generic[Key]):
    """One step of a search: an event that was found, or how far it has looked."""

    key: Key
    event: PersistedEvent | None


def needs_search(query: EventQuery) -> bool:
    return bool(query.text or query.payload_path)


def searched_page(
    steps: Iterable[Searched[Key]], limit: int, seconds: float, cursor_at: Callable[[Key], Cursor]
) -> Page[PersistedEvent]:
    """The first `limit` events found, or those of `seconds`; see `Page.searched_to`."""
    deadline = time.monotonic() + seconds
    found: list[PersistedEvent] = []
    place: Key | None = None
    for step in steps:
        if step.event is not None:
            if len(found) == limit and place is not None:
                return Page(items=tuple(found), next=cursor_at(place))
            found.append(step.event)
            place = step.key
        elif time.monotonic() >= deadline:
            if len(found) == limit and place is not None:
                return Page(items=tuple(found), next=cursor_at(place))
            return Page(items=tuple(found), next=cursor_at(step.key), searched_to=EpochMs(step.key[0]))
    return Page(items=tuple(found))


def searched_all(steps: Iterable[Searched[Key]], seconds: float, identity: str) -> Iterator[PersistedEvent]:
    """All that is found, for answers that must be whole; they take as long as one question may.

    Raises
    ------
    StoreTimeoutError
        `seconds` were not enough.
    """
    deadline = time.monotonic() + seconds
    for step in steps:
        if step.event is not None:
            yield step.event
        elif time.monotonic() >= deadline:
            raise StoreTimeoutError(
                f"{identity} could not search through all events within {seconds:g} s; narrow the time range"
            )
