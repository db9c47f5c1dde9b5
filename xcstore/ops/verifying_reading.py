"""The columns of a store that verifying it needs, a piece at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xcstore.analysis.integrity_columns import COLUMNS, light_events
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.store.base import EventQuery, EventStore, Stores
from xcstore.units import EpochMs

__all__ = ["ahead", "event_pieces", "snapshots_with_streams"]

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, the next one being made in another thread while one is looked at."""

    def following() -> T | None:
        return next(items, None)

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="xcstore-ahead") as pool:
        # With the context goes who asks: a query that nobody waits for any more is cancelled here too.
        coming = pool.submit(copy_context().run, following)
        while (item := coming.result()) is not None:
            coming = pool.submit(copy_context().run, following)
            yield item


def event_pieces(
    events: EventStore, columns: Sequence[str], size: int, instance_ids: Sequence[str] = ()
) -> Iterator[pa.Table]:
    """All events that are there now, in page order, in tables of about `size` rows; never a part of a moment.

    `columns` must hold `persisted_at`. What is stored meanwhile, later than everything else, is left out.
    """
    span = events.time_range()
    if span is None:
        return
    start, end = span
    asked = EventQuery(instance_ids=tuple(instance_ids))
    while True:
        table = events.to_arrow(replace(asked, start=start, end=end), columns=columns, limit=size)
        if table.num_rows < size:
            yield table
            return
        # Of the last moment there may be more: it begins the next piece.
        last = EpochMs(table["persisted_at"][-1].as_py())
        begin = pc.index(table["persisted_at"], last).as_py()
        if begin:
            yield table.slice(0, begin)
            start = last
            continue
        yield events.to_arrow(replace(asked, start=last, end=last), columns=columns)
        if last >= end:
            return
        start = EpochMs(last + 1)


def snapshots_with_streams(
    stores: Stores, length_of: Callable[[str], int], *, size: int, most: int, light: bool
) -> Iterator[tuple[InstanceSnapshot, Iterable[PersistedEvent]]]:
    """Every snapshot with the stream of its instance, which has no events where there are none.

    Parameters
    ----------
    stores : Stores
    length_of : callable
        About how many events an instance has.
    size : int
        Events that are read together: streams up to it whole, up to `most` of them; a longer one in pieces, as it is
        gone through.
    most : int
    light : bool
        Read what a fold looks at alone, several times as fast as whole events.
    """

    def read() -> Iterator[tuple[InstanceSnapshot, Iterable[PersistedEvent]]]:
        ids = [one.instance.id for one in batch]
        streams = _light_streams(stores.events, ids) if light else stores.events.get_streams(ids)
        for one in batch:
            yield one, streams.get(one.instance.id, ())

    batch: list[InstanceSnapshot] = []
    together = 0
    for snapshot in stores.snapshots.get_all_snapshots():
        length = length_of(snapshot.instance.id)
        if length > size:
            yield snapshot, _long_stream(stores.events, snapshot.instance.id, size)
            continue
        if batch and (together + length > size or len(batch) == most):
            yield from read()
            batch, together = [], 0
        batch.append(snapshot)
        together += length
    if batch:
        yield from read()


def _long_stream(events: EventStore, instance_id: str, size: int) -> Iterator[PersistedEvent]:
    before: list[PersistedEvent] = []
    for table in ahead(event_pieces(events, COLUMNS, size, (instance_id,))):
        piece = [*before, *light_events(table, np.arange(table.num_rows))]
        # A piece never begins inside a moment, so what is ordered in it is ordered in the whole.
        yield from _in_order(piece)[len(before) :]
        before = piece[-1:]


def _light_streams(events: EventStore, instance_ids: Sequence[str]) -> Mapping[str, Sequence[PersistedEvent]]:
    table = events.to_arrow(EventQuery(instance_ids=tuple(instance_ids)), columns=COLUMNS)
    streams: dict[str, list[PersistedEvent]] = {}
    for event in light_events(table, np.arange(table.num_rows)):
        streams.setdefault(event.instance_id, []).append(event)
    return {instance_id: _in_order(stream) for instance_id, stream in streams.items()}


def _in_order(events: list[PersistedEvent]) -> list[PersistedEvent]:
    """A stream in page order, in stream order."""
    # Page order chains, nearly always; and then it is the order of insertion, which these events do not hold.
    if all(one.state_after == two.state_before for one, two in pairwise(events)):
        return events
    return order_stream(events)
