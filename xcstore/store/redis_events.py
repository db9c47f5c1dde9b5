"""The events that the TypeScript runtime keeps in Redis, read only.

    ZSET    fsm:events:all         score persistedAt, member JSON of the event
    ZSET    fsm:events:<instance>  the same, of one instance
    STRING  fsm:event:<id>         JSON of the event (a HASH of its fields is read too)

The sorted sets are what is listed: they are read by score, which is the time. A moment's members are in the order of
their JSON text; a moment is therefore read whole, and ordered by id.
"""

from __future__ import annotations

import json
import math
import re
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from xcstore.errors import CorruptEventError
from xcstore.jsontext import json_text
from xcstore.model.history import PersistedEvent
from xcstore.redaction import Redaction
from xcstore.store import filtering
from xcstore.store.base import Count, CountBy, EventQuery, Feature, StoreStatus
from xcstore.store.codec import event_from_document
from xcstore.store.redis_server import RedisServer, fields_of
from xcstore.store.scanned_instances import Lifetime
from xcstore.store.scanned_rows import Row, digest_of, parse_stored, row_of
from xcstore.store.scanned_traces import Effects
from xcstore.store.scanning import Question, ScanningEventStore, Scope
from xcstore.store.values import INT64, is_encodable
from xcstore.units import DurationMs, EpochMs

__all__ = ["RedisEventStore"]

_BATCH: Final = 1_000
_EXACT: Final = 2**53
"""From here on, scores hold no single milliseconds."""
_MOST_BUCKETS: Final = 2_000


class RedisEventStore(ScanningEventStore):
    """Events of the keys under one prefix; see `store.base.EventStore` for what it promises. Writes are refused."""

    declares: ClassVar[frozenset[Feature]] = frozenset({"any_time", "large_values"})

    def __init__(self, server: RedisServer, *, redact: Redaction, search_seconds: float) -> None:
        super().__init__(
            server.identity,
            read_only=True,
            redact=redact,
            statement_timeout_ms=server.statement_timeout_ms,
            search_seconds=search_seconds,
        )
        self._server: Final = server
        self._all: Final = server.key("events", "all")

    def connect(self) -> None:
        """Look whether the server answers; stores are connected from the start."""
        self._server.ask("PING")

    def close(self) -> None:
        self._server.close()

    def status(self) -> StoreStatus:
        # One question each: the driver understands the answer to INFO outside of a pipeline alone.
        info = self._server.ask("INFO")
        return StoreStatus(
            server=f"Redis {info.get('redis_version', '')}".strip(),
            size_bytes=info.get("used_memory"),
            event_count=self._server.ask("ZCARD", self._all),
            pool=self._server.pool_use(),
        )

    # Rows

    def _key(self, scope: Scope) -> bytes:
        return self._all if scope.instance_id is None else self._server.key("events", scope.instance_id)

    def _read_rows(
        self, scope: Scope, low: int | None, high: int | None, *, newest_first: bool, limit: int
    ) -> list[Row]:
        lowest, highest = _bounds(low)[0], _bounds(high)[1]
        if newest_first:
            command: tuple[str | bytes, ...] = ("ZREVRANGEBYSCORE", self._key(scope), highest, lowest)
        else:
            command = ("ZRANGEBYSCORE", self._key(scope), lowest, highest)
        members = self._server.members(*command, "LIMIT", 0, limit)
        return [_row(member, score) for member, score in members]

    def _batches(self, scope: Scope, **options: Any) -> Iterator[list[Row]]:
        if scope.instance_id is None:
            yield from super()._batches(scope, **options)
            return
        # The stream of an instance named 'all' has the key of all events; and any may hold what is none of its own.
        for batch in super()._batches(scope, **options):
            if own := [row for row in batch if row.event.instance_id == scope.instance_id]:
                yield own

    def _read_moment(self, scope: Scope, moment: int) -> Iterator[list[Row]]:
        lowest, highest = _bounds(moment)
        key = self._key(scope)
        first = self._server.ask("ZCOUNT", key, "-inf", f"({lowest}")
        behind = first + self._server.ask("ZCOUNT", key, lowest, highest)
        # By rank: among equal scores, an offset would be walked from the first one each time.
        for start in range(first, behind, _BATCH):
            members = self._server.members("ZRANGE", key, start, min(start + _BATCH, behind) - 1)
            yield [_row(member, score) for member, score in members]

    def _moment_of(self, at: int) -> int:
        return at if -_EXACT < at < _EXACT else _moment(float(at))

    def _moment_beside(self, moment: int, *, before: bool) -> int | None:
        if -_EXACT < moment < _EXACT:
            return super()._moment_beside(moment, before=before)
        # Scores are doubles: from here on not every whole number has one of its own.
        beside = _moment(math.nextafter(float(moment), -math.inf if before else math.inf))
        return beside if beside != moment else None

    # By id

    def get_events(self, event_ids: Iterable[str]) -> Mapping[str, PersistedEvent]:
        ids = [event_id for event_id in dict.fromkeys(event_ids) if event_id]
        found: dict[str, PersistedEvent] = {}
        for start in range(0, len(ids), _BATCH):
            some = ids[start : start + _BATCH]
            texts = self._server.texts(self._server.key("event", event_id) for event_id in some)
            found.update(self._from_texts(dict(zip(some, texts, strict=True))))
        missing = [event_id for event_id in ids if event_id not in found]
        if missing:
            found |= self._listed(missing)
        return {event_id: found[event_id] for event_id in ids if event_id in found}

    def _from_texts(self, texts: Mapping[str, bytes | None]) -> Iterator[tuple[str, PersistedEvent]]:
        known = {event_id: text for event_id, text in texts.items() if text is not None}
        # As it is listed, under the time that is its score there.
        scores = self._server.ask_all([("ZSCORE", self._all, text) for text in known.values()])
        for (event_id, text), score in zip(known.items(), scores, strict=True):
            if score is not None:
                row = _row(text, float(score))
                event: PersistedEvent | None = None if row.document is None else self._decoded(row)
            else:
                document, _ = parse_stored(text)
                event = None if document is None else self._from_document(document)
            if event is not None and event.id == event_id:
                yield event_id, event
        absent = [event_id for event_id, text in texts.items() if text is None]
        fields = self._server.ask_all(
            [("HGETALL", self._server.key("event", event_id)) for event_id in absent], wrong_types=True
        )
        for event_id, hashed in zip(absent, fields, strict=True):
            if hashed and (event := self._from_document(fields_of(hashed))) is not None and event.id == event_id:
                yield event_id, event

    def _from_document(self, document: Mapping[str, object]) -> PersistedEvent | None:
        try:
            return event_from_document(document, redact=self._redact)
        except CorruptEventError:
            return None  # where it is listed, it is shown with its fault

    def _listed(self, event_ids: Sequence[str]) -> dict[str, PersistedEvent]:
        """Those among all events that have no key of their own: looked for as long as a search may take.

        A writer that is killed between its commands leaves some, or a server that throws keys away. What is not found
        by then is taken for not stored, as nearly always it is not.
        """
        wanted = set(event_ids)
        # A look at the bytes first: to read what is there takes many times as long.
        spellings = {json_text(event_id).encode() for event_id in wanted if is_encodable(event_id)}
        spellings |= {json.dumps(event_id).encode() for event_id in wanted}
        mentioned = re.compile(b"|".join(map(re.escape, spellings)))
        found: dict[str, PersistedEvent] = {}
        until = time.monotonic() + self._search_seconds
        behind = self._server.ask("ZCARD", self._all)
        while behind > 0 and len(found) < len(wanted) and time.monotonic() < until:
            start = max(0, behind - _BATCH)
            for member, score in self._server.members("ZRANGE", self._all, start, behind - 1):
                if mentioned.search(member) and (row := _row(member, score)).event.id in wanted:
                    found.setdefault(row.event.id, self._decoded(row))
            behind = start
        return found

    def _effects(self, question: Question) -> Effects:
        edges: _Edges | None = None

        def effects(causes: Sequence[str]) -> Mapping[str, Sequence[PersistedEvent]]:
            nonlocal edges
            if edges is None:
                edges = self._read_edges(question)
            candidates = {cause: edges.of(cause) for cause in causes}
            events = self.get_events(dict.fromkeys(effect for found in candidates.values() for effect in found))
            return {
                cause: [events[effect] for effect in found if effect in events and cause in events[effect].caused_by]
                for cause, found in candidates.items()
            }

        return effects

    def _read_edges(self, question: Question) -> _Edges:
        """What every event names as its causes: nothing in Redis leads from a cause to its effects."""
        edges = _Edges()
        for batch in self._batches(Scope(EventQuery())):
            question.check()
            for row in batch:
                for cause in row.event.caused_by:
                    edges.add(cause, row.event.id)
        edges.sort()
        return edges

    # Counts

    def count(
        self, query: EventQuery, *, by: Sequence[CountBy] = (), bucket_ms: DurationMs | None = None
    ) -> Sequence[Count]:
        filtering.check_count(by, bucket_ms)
        exact = all(bound is None or abs(bound) < _EXACT for bound in (query.start, query.end))
        if by or not exact or query != EventQuery(start=query.start, end=query.end):
            return super().count(query, by=by, bucket_ms=bucket_ms)
        if bucket_ms is None:
            return [Count(key=(), bucket=None, count=self._counted([(query.start, query.end)])[0])]
        ends = self.time_range()
        if ends is None:
            return []
        start = max(ends[0], query.start if query.start is not None else ends[0])
        end = min(ends[1], query.end if query.end is not None else ends[1])
        if start > end:
            return []
        firsts = range(start // bucket_ms * bucket_ms, end + 1, bucket_ms)
        if len(firsts) > _MOST_BUCKETS or abs(start) >= _EXACT or abs(end) >= _EXACT:
            return super().count(query, by=by, bucket_ms=bucket_ms)
        counts = self._counted([(max(start, first), min(end, first + bucket_ms - 1)) for first in firsts])
        return [
            Count(key=(), bucket=EpochMs(first), count=number)
            for first, number in zip(firsts, counts, strict=True)
            if number
        ]

    def _counted(self, ranges: Sequence[tuple[int | None, int | None]]) -> list[int]:
        return self._server.ask_all([("ZCOUNT", self._all, _bounds(low)[0], _bounds(high)[1]) for low, high in ranges])

    def _lifetimes(self, instance_ids: Sequence[str]) -> Mapping[str, Lifetime]:
        if "all" in instance_ids:  # its key is that of all events
            stream = self.get_events_for_instance("all")
            rest = self._lifetimes([instance_id for instance_id in instance_ids if instance_id != "all"])
            return {**rest, "all": Lifetime(stream[0].persisted_at, len(stream))} if stream else rest
        keys = [self._server.key("events", instance_id) for instance_id in instance_ids]
        commands: list[tuple[str | int | bytes, ...]] = []
        for key in keys:
            commands += [("ZCARD", key), ("ZRANGE", key, 0, 0, "WITHSCORES")]
        answers = self._server.ask_all(commands, wrong_types=True)
        lifetimes: dict[str, Lifetime] = {}
        for position, instance_id in enumerate(instance_ids):
            number, first = answers[2 * position], answers[2 * position + 1]
            if number and first:
                score = first[0][1] if isinstance(first[0], (tuple, list)) else first[1]
                lifetimes[instance_id] = Lifetime(_moment(float(score)), number)
        return lifetimes


class _Edges:
    """From causes to effects, for a whole store: ids of causes as 64-bit hashes, so that a million fit in 100 MB.

    Different ids may share a hash: who looks here looks into the events as well.
    """

    def __init__(self) -> None:
        self._hashes: Final = array("q")
        self._effects: Final[list[str]] = []
        self._order: npt.NDArray[np.intp] = np.empty(0, np.intp)
        self._sorted: npt.NDArray[np.int64] = np.empty(0, np.int64)

    def add(self, cause: str, effect: str) -> None:
        self._hashes.append(hash(cause))
        self._effects.append(effect)

    def sort(self) -> None:
        """Once all are added."""
        hashes = np.frombuffer(self._hashes, np.int64) if self._hashes else self._sorted
        self._order = np.argsort(hashes, kind="stable")
        self._sorted = hashes[self._order]

    def of(self, cause: str) -> list[str]:
        low, high = (
            np.searchsorted(self._sorted, hash(cause), "left"),
            np.searchsorted(self._sorted, hash(cause), "right"),
        )
        return list(dict.fromkeys(self._effects[place] for place in self._order[low:high]))


def _row(member: bytes, score: float) -> Row:
    return row_of(member, _moment(score), digest_of(member), lambda at: float(at) == score)


def _moment(score: float) -> int:
    """The whole ms of a score, within 64 bits."""
    if not -INT64 <= score < INT64:
        return -INT64 if score < 0 else INT64 - 1
    return int(score // 1)


def _bounds(moment: int | None) -> tuple[str, str]:
    """First and last score of a moment, as commands want them; without one, of all there are."""
    if moment is None:
        return "-inf", "+inf"
    if moment >= INT64 - 1:
        return repr(float(INT64)), "+inf"
    if moment <= -INT64:
        return "-inf", repr(float(-INT64))
    if -_EXACT < moment < _EXACT:
        return str(moment), f"({moment + 1}"
    return repr(float(moment)), repr(float(moment))
