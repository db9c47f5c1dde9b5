"""Instances as they were before the first event that is replayed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from xcstore.model.history import CREATION, InstanceSnapshot, PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.replay.tables import Tables
from xcstore.runtime.folding import Folded
from xcstore.store.base import EventQuery, Stores
from xcstore.units import EpochMs

__all__ = ["MAX_EARLIER", "batches", "earlier"]

MAX_EARLIER: Final = 100_000
"""Most events before a range that are folded to know how it begins."""
_IDS: Final = 200
_PAGE: Final = 10_000


def earlier(
    stores: Stores, streams: Mapping[str, Sequence[PersistedEvent]], tables: Tables, start: EpochMs | None
) -> tuple[dict[str, Folded], list[str]]:
    """What each instance was before its stream of the track, and what there is to say about that.

    Parameters
    ----------
    streams : mapping of str to sequence of PersistedEvent
        The events of the track by instance, in stream order.
    start : EpochMs, optional
        Events stored before it are not in the track; they are folded here. None: there are none.

    Notes
    -----
    An instance whose creation is not kept begins with the latest snapshot from before the first event that is.
    """
    reading = _Earlier(stores, tables, start)
    late = [name for name, stream in streams.items() if not stream or stream[0].event_type != CREATION]
    for names in batches(late, _IDS):
        reading.read({name: streams[name] for name in names})
    return reading.found, reading.notes()


class _Earlier:
    def __init__(self, stores: Stores, tables: Tables, start: EpochMs | None) -> None:
        self.found: dict[str, Folded] = {}
        self._stores, self._tables, self._start = stores, tables, start
        self._left = MAX_EARLIER
        self._by_snapshot = self._unknown = 0

    def notes(self) -> list[str]:
        found = []
        if self._by_snapshot:
            found.append(f"{self._by_snapshot:,} instances begin with a snapshot, not with their creation")
        if self._unknown:
            found.append(
                f"{self._unknown:,} instances begin without creation or snapshot: what they held before is not known"
            )
        return found

    def read(self, streams: Mapping[str, Sequence[PersistedEvent]]) -> None:
        before = self._before(tuple(streams))
        latest = None
        for name, later in streams.items():
            stream = before.get(name)
            if stream is None and self._start is not None:  # too many for all of this batch; alone it may do
                stream = self._before((name,)).get(name)
            if stream and stream[0].event_type == CREATION:
                self._keep(name, stream, None)
                continue
            latest = self._stores.snapshots.get_snapshots(streams) if latest is None else latest
            base = self._base(name, stream, later, latest.get(name))
            if base is None and not stream:
                self._unknown += bool(later)
                continue
            between = stream if stream is not None else self._between(name, base)
            if between is None:
                self._unknown += 1
                continue
            self._by_snapshot += base is not None
            self._unknown += base is None
            self._keep(name, between, base)

    def _keep(self, name: str, stream: Sequence[PersistedEvent], base: InstanceSnapshot | None) -> None:
        folded = self._tables.fold(stream, None if base is None else self._tables.begin(base))
        if folded is not None:
            folded.notes.clear()
            self.found[name] = folded

    def _before(self, ids: tuple[str, ...], since: EpochMs | None = None) -> dict[str, list[PersistedEvent] | None]:
        """Streams up to the start of the track; None where they are too many to be read."""
        if self._start is None:
            return {name: [] for name in ids}
        query = EventQuery(instance_ids=ids, start=since, end=EpochMs(self._start - 1))
        count = self._stores.events.count(query)[0].count
        if count > self._left:
            return dict.fromkeys(ids)
        self._left -= count
        streams: defaultdict[str, list[PersistedEvent]] = defaultdict(list)
        cursor = None
        while count:
            page = self._stores.events.find(query, after=cursor, limit=_PAGE)
            for event in page.items:
                streams[event.instance_id].append(event)
            cursor = page.next
            if cursor is None:
                break
        return {name: order_stream(streams[name]) for name in ids}

    def _base(
        self,
        name: str,
        stream: Sequence[PersistedEvent] | None,
        later: Sequence[PersistedEvent],
        latest: InstanceSnapshot | None,
    ) -> InstanceSnapshot | None:
        """The latest snapshot from before what is known of the instance."""
        if latest is None:
            return None
        if stream is None:  # some events are not read; those after the snapshot will be
            assert self._start is not None
            known: list[PersistedEvent] = []
            first: int | None = self._start - 1
        else:
            known = [*stream, *later]
            first = known[0].persisted_at if known else None
        ids = {event.id for event in known}
        for snapshot in (latest, *reversed(self._stores.snapshots.list_snapshots(name))):
            moment = _shown(snapshot)
            if snapshot.last_event_id not in ids and (first is None or moment <= first):
                if stream is None and not snapshot.last_event_id:
                    continue  # it does not say after which event to go on
                return snapshot
        return None

    def _between(self, name: str, base: InstanceSnapshot | None) -> list[PersistedEvent] | None:
        """The events after the snapshot, up to the start."""
        if base is None:
            return None
        stream = self._before((name,), since=_shown(base))[name]
        ids = [event.id for event in stream or ()]
        if stream is None or base.last_event_id not in ids:
            return None
        return stream[ids.index(base.last_event_id) + 1 :]


def _shown(snapshot: InstanceSnapshot) -> EpochMs:
    """The moment of what it shows: its last event is not later."""
    updated = snapshot.instance.updated_at
    return snapshot.snapshot_at if updated is None else EpochMs(min(updated, snapshot.snapshot_at))


def batches(ids: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """The ids, `size` at a time."""
    for at in range(0, len(ids), size):
        yield tuple(ids[at : at + size])
