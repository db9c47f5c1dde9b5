"""The snapshots that the TypeScript runtime keeps in Redis, read only.

STRING  fsm:snapshot:<instance>  JSON of the snapshot (a HASH of its fields is read too)
SET     fsm:snapshots:all        ids of instances that have one
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Final

from xcstore.errors import CorruptEventError, ReadOnlyStoreError
from xcstore.model.history import Instance, InstanceSnapshot
from xcstore.redaction import Redaction
from xcstore.store import filtering
from xcstore.store.base import Cursor, Feature, Page
from xcstore.store.codec import snapshot_from_document
from xcstore.store.cursors import decode_cursor, encode_cursor
from xcstore.store.redis_server import RedisServer, fields_of
from xcstore.store.scanned_rows import parse_stored
from xcstore.units import EpochMs

__all__ = ["RedisSnapshotStore"]

_BATCH: Final = 1_000


class RedisSnapshotStore:
    """The latest snapshot of each instance; see `store.base.SnapshotStore`. Writes are refused."""

    declares: ClassVar[frozenset[Feature]] = frozenset({"any_time", "large_values"})

    def __init__(self, server: RedisServer, *, redact: Redaction) -> None:
        self._server: Final = server
        self._redact: Final = redact
        self._all: Final = server.key("snapshots", "all")

    def connect(self) -> None:
        """Look whether the server answers; stores are connected from the start."""
        self._server.ask("PING")

    def close(self) -> None:
        self._server.close()

    def _refuse(self) -> ReadOnlyStoreError:
        return ReadOnlyStoreError(f"{self._server.identity} is only read; nothing was written")

    def save_snapshot(self, snapshot: InstanceSnapshot) -> None:
        raise self._refuse()

    def save_snapshots(self, snapshots: Iterable[InstanceSnapshot]) -> int:
        raise self._refuse()

    def delete_snapshot(self, instance_id: str) -> None:
        raise self._refuse()

    def count_beyond(self, keep: int) -> int:
        filtering.check_limit(keep)
        return 0  # one is kept

    def trim(self, keep: int) -> int:
        raise self._refuse()

    def get_snapshot(self, instance_id: str) -> InstanceSnapshot | None:
        return self.get_snapshots([instance_id]).get(instance_id)

    def get_snapshots(self, instance_ids: Iterable[str]) -> Mapping[str, InstanceSnapshot]:
        ids = list(dict.fromkeys(instance_ids))
        found: dict[str, InstanceSnapshot] = {}
        for start in range(0, len(ids), _BATCH):
            some = ids[start : start + _BATCH]
            found.update(self._read(some))
        return {instance_id: found[instance_id] for instance_id in ids if instance_id in found}

    def get_all_snapshots(self) -> Iterator[InstanceSnapshot]:
        ids = self._ids()
        for start in range(0, len(ids), _BATCH):
            yield from self.get_snapshots(ids[start : start + _BATCH]).values()

    def list_snapshots(self, instance_id: str) -> Sequence[InstanceSnapshot]:
        snapshot = self.get_snapshot(instance_id)
        return [] if snapshot is None else [snapshot]

    def find(self, *, after: Cursor | None = None, limit: int = 100) -> Page[InstanceSnapshot]:
        filtering.check_limit(limit)
        ids = self._ids()
        if after is not None:
            (last,) = decode_cursor(after, "snapshots", (str,))
            ids = ids[bisect_right(ids, str(last)) :]
        items: dict[str, InstanceSnapshot] = {}
        while ids and len(items) <= limit:
            # An id may be listed whose snapshot is gone.
            items |= self.get_snapshots(ids[: limit + 1])
            ids = ids[limit + 1 :]
        page = list(items)[:limit]
        return Page(
            items=tuple(items[instance_id] for instance_id in page),
            next=encode_cursor("snapshots", page[-1]) if len(items) > limit else None,
        )

    def count(self) -> int:
        """Those that are there: an id may be listed whose snapshot is gone."""
        ids = self._ids()
        keys = [self._server.key("snapshot", instance_id) for instance_id in ids]
        return sum(self._server.ask("EXISTS", *keys[start : start + _BATCH]) for start in range(0, len(keys), _BATCH))

    def _ids(self) -> list[str]:
        """Ids of instances, sorted. All at once, as a set has no order; read in steps, as others use the server."""
        ids: set[str] = set()
        cursor = 0
        while True:
            cursor, found = self._server.ask("SSCAN", self._all, cursor, "COUNT", _BATCH)
            ids.update(name.decode("utf-8", "replace") for name in found)
            if int(cursor) == 0:
                return sorted(ids)

    def _read(self, instance_ids: Sequence[str]) -> Iterator[tuple[str, InstanceSnapshot]]:
        keys = [self._server.key("snapshot", instance_id) for instance_id in instance_ids]
        texts = dict(zip(instance_ids, self._server.texts(keys), strict=True))
        absent = [instance_id for instance_id, text in texts.items() if text is None]
        hashes = self._server.ask_all(
            [("HGETALL", self._server.key("snapshot", instance_id)) for instance_id in absent], wrong_types=True
        )
        for instance_id, text in texts.items():
            if text is not None:
                document, fault = parse_stored(text)
                yield instance_id, self._decoded(instance_id, document, fault)
        for instance_id, fields in zip(absent, hashes, strict=True):
            if fields:
                yield instance_id, self._decoded(instance_id, fields_of(fields), "")

    def _decoded(self, instance_id: str, document: Mapping[str, object] | None, fault: str) -> InstanceSnapshot:
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
