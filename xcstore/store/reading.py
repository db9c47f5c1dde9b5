"""What reading means alike in every store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from xcstore.errors import NotFoundError, UnknownEventError
from xcstore.model.history import PersistedEvent
from xcstore.store.base import Cursor, Page

__all__ = ["all_pages", "only_event", "stream_after"]

T = TypeVar("T")


def stream_after(stream: Sequence[PersistedEvent], instance_id: str, last_event_id: str) -> Sequence[PersistedEvent]:
    """What comes after that event; `UnknownEventError` where it is not in the stream."""
    for position, event in enumerate(stream):
        if event.id == last_event_id:
            return stream[position + 1 :]
    raise UnknownEventError(
        f"event {last_event_id!r} is not among the {len(stream)} events of instance {instance_id!r}"
    )


def only_event(found: Mapping[str, PersistedEvent], event_id: str, identity: str) -> PersistedEvent:
    """The event of that id; `NotFoundError` where it was not found in the store of that identity."""
    event = found.get(event_id)
    if event is None:
        raise NotFoundError(f"no event {event_id!r} in {identity}")
    return event


def all_pages(page_after: Callable[[Cursor | None], Page[T]]) -> Iterator[T]:
    """The items of page after page."""
    after: Cursor | None = None
    while True:
        page = page_after(after)
        yield from page.items
        after = page.next
        if after is None:
            return
