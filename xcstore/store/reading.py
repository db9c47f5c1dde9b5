"""What reading means alike in every store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from xcstore.errors import NotFoundError, UnknownEventError
from xcstore.model.history import PersistedEvent
from xcstore.store.base import Count, CountBy, Cursor, Page
from xcstore.units import DurationMs, EpochMs

__all__ = ["all_pages", "only_event", "sorted_counts", "stream_after"]

T = TypeVar("T")
Bucket = TypeVar("Bucket", bound=int | None)


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


def sorted_counts(
    counts: Mapping[tuple[tuple[str, ...], Bucket], int], by: Sequence[CountBy], bucket_ms: DurationMs | None
) -> list[Count]:
    """Counts by (values, bucket) as `EventStore.count` gives them."""
    if not by and bucket_ms is None:
        return [Count(key=(), bucket=None, count=sum(counts.values()))]
    return [
        Count(key=key, bucket=None if bucket is None else EpochMs(bucket), count=number)
        for (key, bucket), number in sorted(counts.items(), key=lambda item: (item[0][0], item[0][1] or 0))
    ]
