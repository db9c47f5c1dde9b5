"""Instances as they were before the first event that is replayed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from xcstore.model.history import CREATION, InstanceSnapshot, PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.replay.tables import Tables
from xcstore.runtime.folding import Folded
from xcstore.store.base import EventQuery, Stores
from xcstore.units import EpochMs

__all__ = ["MAX_EARLIER", "Earlier", "batches", "earlier", "tells_all"]

MAX_EARLIER: Final = 100_000
"""Most events before a range that are folded to know how it begins."""
_IDS: Final = 200
_PAGE: Final = 10_000
_TRIES: Final = 1_000
"""Instances asked about one by one, where all of a batch are too many to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What was there before a track."""

    found: Mapping[str, Folded]
    """Instances as they were before their first event of the track."""
    unknown: Mapping[str, str]
    """Instances of which that is not known, and why, in words."""
    notes: Sequence[str]


def earlier(
    stores: Stores,
    streams: Mapping[str, Sequence[PersistedEvent]],
    tables: Tables,
    start: EpochMs | None,
    on_batch: Callable[[], None] = lambda: None,
) -> Earlier:
    """What each instance was before its stream of the track.

    Parameters
    ----------
    streams : mapping of str to sequence of PersistedEvent
        The events of the track by instance, in stream order.
    start : EpochMs, optional
        Events stored before it are not in the track; they are folded here. None: there are none.
    on_batch : callable
        Called after every some hundred instances. What it raises ends the work.

    Notes
    -----
    An instance whose creation is not kept begins with the latest snapshot from before the first event that is.
    """
    reading = _Earlier(stores, tables, start)
    late = [name for name, stream in streams.items() if not stream or stream[0].event_type != CREATION]
    for names in batches(late, _IDS):
        reading.read({name: streams[name] for name in names})
        on_batch()
    return Earlier(found=reading.found, unknown=reading.unknown, notes=reading.notes())


class _Earlier:
    def __init__(self, stores: Stores, tables: Tables, start: EpochMs | None) -> None:
        self.found: dict[str, Folded] = {}
        self._stores, self._tables, self._start = stores, tables, start
        self.unknown: dict[str, str] = {}
        self._left, self._tries = MAX_EARLIER, _TRIES
        self._by_snapshot = self._lost = self._unread = 0

    def notes(self) -> list[str]:
        found = []
        if self._by_snapshot:
            found.append(f"{self._by_snapshot:,} instances begin with a snapshot, not with their creation")
        if self._lost:
            found.append(
                f"{self._lost:,} instances begin without creation or snapshot: what they held before is not known"
            )
        if self._unread:
            found.append(
                f"{self._unread:,} instances were not read further back, as at most {MAX_EARLIER:,} earlier events are"
                " read: what they held before is not known here, though the store may have it"
            )
        return found

    def read(self, streams: Mapping[str, Sequence[PersistedEvent]]) -> None:
        before = self._before(tuple(streams))
        latest = None
        for name, later in streams.items():
            stream = before.get(name)
            if stream is None and self._tries:  # too many for all of this batch; alone it may do
                self._tries -= 1
                stream = self._before((name,)).get(name)
            if stream and stream[0].event_type == CREATION:
                self._keep(name, stream, None)
                continue
            latest = self._stores.snapshots.get_snapshots(streams) if latest is None else latest
            base = self._base(name, stream, later, latest.get(name))
            between = stream if stream is not None else self._between(name, base)
            if between is None:
                self._unread += 1
                self.unknown[name] = f"more than {MAX_EARLIER:,} earlier events would have had to be read"
                continue
            if base is not None:
                self._by_snapshot += 1
            elif between or later:
                self._lost += 1
                if not any(map(tells_all, between)):
                    self.unknown[name] = "neither its creation nor a snapshot from before is in the store"
            if base is not None or between:
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


def tells_all(event: PersistedEvent) -> bool:
    """Whether all that the instance holds is known after this event: it began anew, or the values are recorded."""
    return event.event_type == CREATION or event.public_member_snapshot is not None or event.context is not None


def _shown(snapshot: InstanceSnapshot) -> EpochMs:
    """The moment of what it shows: its last event is not later."""
    updated = snapshot.instance.updated_at
    return snapshot.snapshot_at if updated is None else EpochMs(min(updated, snapshot.snapshot_at))


def batches(ids: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """The ids, `size` at a time."""
    for at in range(0, len(ids), size):
        yield tuple(ids[at : at + size])
