"""Snapshots in InfluxDB 1: one point for each, at the time when it was saved. Where things stand: `influx_lines`."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Final

from xcstore.errors import CorruptEventError, QueryError
from xcstore.model.history import Instance, InstanceSnapshot
from xcstore.redaction import Redaction
from xcstore.store import filtering
from xcstore.store.base import Cursor, Feature, Page
from xcstore.store.codec import check_writable_snapshot, snapshot_from_document
from xcstore.store.cursors import decode_cursor, encode_cursor
from xcstore.store.influx_events import InfluxEventStore
from xcstore.store.influx_lines import SNAPSHOTS, instance_stripe, snapshot_point
from xcstore.store.influx_server import InfluxServer, Statement
from xcstore.store.scanned_rows import parse_stored
from xcstore.store.values import is_encodable
from xcstore.units import EpochMs

__all__ = ["InfluxSnapshotStore"]

_BATCH: Final = 500
_LISTED: Final = 50_000
_REQUEST_BYTES: Final = 8 * 1024 * 1024


class InfluxSnapshotStore:
    """Snapshots, and the last few of each instance; see `store.base.SnapshotStore`.

    Parameters
    ----------
    server : InfluxServer
    redact : Redaction
        Masks paths in all that is read.
    retention : int
        How many of an instance are kept.
    """

    declares: ClassVar[frozenset[Feature]] = InfluxEventStore.declares

    def __init__(self, server: InfluxServer, *, redact: Redaction, retention: int) -> None:
        if retention < 1:
            raise QueryError(f"retention={retention} would keep no snapshot; give 1 or more")
        self._server: Final = server
        self._redact: Final = redact
        self._retention: Final = retention
        self._writing: Final = threading.Lock()
        self._last_ns = 0

    def connect(self) -> None:
        """Look whether the server answers; stores are connected from the start."""
        self._server.version()

    def close(self) -> None:
        self._server.close()

    # Writing

    def save_snapshot(self, snapshot: InstanceSnapshot) -> None:
        self.save_snapshots([snapshot])

    def save_snapshots(self, snapshots: Iterable[InstanceSnapshot]) -> int:
        """Save all, in their order; returns how many. One request for some thousand."""
        given = list(snapshots)
        for snapshot in given:
            check_writable_snapshot(snapshot)
        self._server.check_writable()
        with self._writing:
            points: list[bytes] = []
            size = 0
            for snapshot in given:
                line = snapshot_point(snapshot, self._next_ns()).encode()
                if points and size + len(line) > _REQUEST_BYTES:
                    self._server.write(points)
                    points, size = [], 0
                points.append(line)
                size += len(line)
            if points:
                self._server.write(points)
            self._remove(self._beyond(self._retention, dict.fromkeys(snapshot.instance.id for snapshot in given)))
        return len(given)

    def delete_snapshot(self, instance_id: str) -> None:
        self._server.check_writable()
        with self._writing:
            self._remove({instance_id: self._times([instance_id]).get(instance_id, [])})

    def count_beyond(self, keep: int) -> int:
        filtering.check_limit(keep)
        return sum(map(len, self._beyond(keep).values()))

    def trim(self, keep: int) -> int:
        filtering.check_limit(keep)
        self._server.check_writable()
        with self._writing:
            beyond = self._beyond(keep)
            self._remove(beyond)
        return sum(map(len, beyond.values()))

    def _next_ns(self) -> int:
        """The time of the next one: that of the clock, and later than the one before."""
        self._last_ns = max(self._last_ns + 1, time.time_ns())
        return self._last_ns

    def _beyond(self, keep: int, instance_ids: Iterable[str] | None = None) -> dict[str, list[int]]:
        """Times of snapshots that are older than the last `keep` of their instance."""
        times = self._all_times() if instance_ids is None else self._times(instance_ids)
        return {instance_id: found[:-keep] for instance_id, found in times.items() if len(found) > keep}

    def _remove(self, times: Mapping[str, Sequence[int]]) -> None:
        for instance_id, found in times.items():
            for time_ns in found:
                # Fields cannot be asked for here; no two snapshots have the same time and stripe.
                self._server.execute(
                    f"DELETE FROM {SNAPSHOTS} WHERE stripe = $stripe AND time = $time",
                    stripe=instance_stripe(instance_id),
                    time=time_ns,
                )

    # Reading

    def get_snapshot(self, instance_id: str) -> InstanceSnapshot | None:
        return self.get_snapshots([instance_id]).get(instance_id)

    def get_snapshots(self, instance_ids: Iterable[str]) -> Mapping[str, InstanceSnapshot]:
        ids = [instance_id for instance_id in dict.fromkeys(instance_ids) if is_encodable(instance_id)]
        answers = self._server.ask_all(_statement("last(document)", instance_id) for instance_id in ids)
        return {
            instance_id: self._decoded(instance_id, row[1])
            for instance_id, answer in zip(ids, answers, strict=True)
            for series in answer
            for row in series.rows
        }

    def get_all_snapshots(self) -> Iterator[InstanceSnapshot]:
        ids = self._ids()
        for start in range(0, len(ids), _BATCH):
            yield from self.get_snapshots(ids[start : start + _BATCH]).values()

    def list_snapshots(self, instance_id: str) -> Sequence[InstanceSnapshot]:
        if not is_encodable(instance_id):
            return []
        (answer,) = self._server.ask_all([_statement("document", instance_id)])
        return [self._decoded(instance_id, row[1]) for series in answer for row in series.rows]

    def find(self, *, after: Cursor | None = None, limit: int = 100) -> Page[InstanceSnapshot]:
        filtering.check_limit(limit)
        ids = self._ids()
        if after is not None:
            (last,) = decode_cursor(after, "snapshots", (str,))
            ids = ids[bisect_right(ids, str(last)) :]
        items = self.get_snapshots(ids[:limit])
        more = len(ids) > limit
        return Page(items=tuple(items.values()), next=encode_cursor("snapshots", ids[limit - 1]) if more else None)

    def count(self) -> int:
        return len(self._ids())

    def _ids(self) -> list[str]:
        return sorted(self._all_times())

    def _times(self, instance_ids: Iterable[str]) -> dict[str, list[int]]:
        """When the snapshots of these instances were saved, oldest first."""
        ids = [instance_id for instance_id in instance_ids if is_encodable(instance_id)]
        answers = self._server.ask_all(_statement("instance_id", instance_id) for instance_id in ids)
        return {
            instance_id: [row[0] for series in answer for row in series.rows]
            for instance_id, answer in zip(ids, answers, strict=True)
        }

    def _all_times(self) -> dict[str, list[int]]:
        times: defaultdict[str, list[int]] = defaultdict(list)
        start = 0
        while True:
            answer = self._server.ask(
                f"SELECT instance_id FROM {SNAPSHOTS} ORDER BY time LIMIT {_LISTED} OFFSET {start}"
            )
            rows = [row for series in answer for row in series.rows]
            for row in rows:
                times[row[1]].append(row[0])
            if len(rows) < _LISTED:
                return dict(times)
            start += _LISTED

    def _decoded(self, instance_id: str, text: object) -> InstanceSnapshot:
        document, fault = parse_stored(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else b"")
        if document is not None:
            try:
                return snapshot_from_document(document, redact=self._redact)
            except CorruptEventError as error:
                fault = str(error)
        return InstanceSnapshot(
            instance=Instance(id=instance_id, machine_name="", current_state=""),
            snapshot_at=EpochMs(0),
            status_recorded=False,
            timeouts_recorded=False,
            faults=(fault,),
        )


def _statement(columns: str, instance_id: str) -> Statement:
    return Statement(
        f"SELECT {columns} FROM {SNAPSHOTS} WHERE stripe = $stripe AND instance_id = $instance",
        {"stripe": instance_stripe(instance_id), "instance": instance_id},
    )
