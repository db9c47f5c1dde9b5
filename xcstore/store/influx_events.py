"""Events in InfluxDB 1: what is asked in InfluxQL, and what is looked at here. Where things stand: `influx_lines`."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple

from xcstore.errors import ConcurrencyError, DuplicateEventError, ReadOnlyStoreError
from xcstore.model.history import PersistedEvent
from xcstore.redaction import Redaction
from xcstore.store import filtering
from xcstore.store.base import Count, CountBy, EventQuery, Feature, OutboxChange, StoreStatus
from xcstore.store.codec import check_writable
from xcstore.store.influx_lines import (
    EVENTS,
    FIRST_MS,
    KEYS,
    LAST_MS,
    NS,
    PARTS,
    check_time,
    event_points,
    instance_stripe,
    key_stripe,
    offset_of,
    tag_text,
    tag_value,
)
from xcstore.store.influx_server import InfluxServer, Statement
from xcstore.store.reading import sorted_counts
from xcstore.store.scanned_instances import Lifetime
from xcstore.store.scanned_rows import Row, row_of
from xcstore.store.scanned_traces import Effects
from xcstore.store.scanning import Question, ScanningEventStore, Scope
from xcstore.store.values import is_encodable
from xcstore.units import DurationMs

__all__ = ["InfluxEventStore"]

_BATCH: Final = 1_000
_REQUEST_BYTES: Final = 8 * 1024 * 1024
_REQUEST_POINTS: Final = 5_000
_MOST_BUCKETS: Final = 50_000
_LISTED: Final = 50_000
_CHEAPER: Final = 200
"""Asking for one id takes about as long as reading this many."""
_COUNTED_SECONDS: Final = 60.0
_TAGS: Final = (
    ("components", "component_name"),
    ("machines", "machine_name"),
    ("event_types", "event_type"),
    ("states", "state_after"),
    ("states_before", "state_before"),
)


class _Place(NamedTuple):
    """Where an event is."""

    time_ns: int
    event_id: str
    instance_id: str


class InfluxEventStore(ScanningEventStore):
    """Events as points; see `store.base.EventStore` for what it promises, and `declares` for what it does not.

    Before an append it is looked whether the id is there; nothing keeps two writers from looking at once.
    """

    declares: ClassVar[frozenset[Feature]] = frozenset({"append", "snapshots", "large_values"})

    def __init__(self, server: InfluxServer, *, redact: Redaction, search_seconds: float) -> None:
        super().__init__(
            server.identity,
            read_only=server.read_only,
            redact=redact,
            statement_timeout_ms=server.statement_timeout_ms,
            search_seconds=search_seconds,
        )
        self._server: Final = server
        self._writing: Final = threading.Lock()
        self._counted: tuple[float, int] | None = None

    def connect(self) -> None:
        """Look whether the server answers; stores are connected from the start."""
        self._server.version()

    def close(self) -> None:
        self._server.close()

    def cancel_running(self, owner: Hashable) -> int:
        return max(super().cancel_running(owner), self._server.cancel_running(owner))

    def status(self) -> StoreStatus:
        """The number of events is counted once a minute, as that reads them all."""
        known, now = self._counted, time.monotonic()
        fresh = known is None or now - known[0] > _COUNTED_SECONDS
        if known is None or fresh:
            known = self._counted = now, self.count(EventQuery())[0].count
        return StoreStatus(
            server=f"InfluxDB {self._server.version()}".strip(),
            size_bytes=self._server.size(),
            event_count=known[1],
            event_count_is_exact=fresh,
            pool=self._server.pool_use(),
        )

    # Writing

    def append(
        self, event: PersistedEvent, *, expected_last_id: str | None = None, outbox: OutboxChange | None = None
    ) -> None:
        check_writable(event)
        check_time(event)
        self._server.check_writable()
        if outbox is not None:
            raise self._no_outbox()
        with self._writing:
            if expected_last_id is not None and (last := self._last_id(event.instance_id)) != expected_last_id:
                raise ConcurrencyError(
                    f"instance {event.instance_id!r} ends with event {last!r}, "
                    f"not {expected_last_id!r}; read it again, then append"
                )
            self._write([event])

    def append_many(self, events: Iterable[PersistedEvent]) -> int:
        """Add all; returns how many. One request for some thousand: where the server fails between two, some are in."""
        batch = list(events)
        seen: set[str] = set()
        for event in batch:
            check_writable(event)
            check_time(event)
            if event.id in seen:
                raise DuplicateEventError(event.id)
            seen.add(event.id)
        self._server.check_writable()
        if batch:
            with self._writing:
                self._write(batch)
        return len(batch)

    def change_outbox(self, change: OutboxChange) -> None:
        raise self._no_outbox()

    def _no_outbox(self) -> ReadOnlyStoreError:
        return ReadOnlyStoreError(f"{self.identity} keeps no outbox; nothing was written")

    def _refuse(self) -> ReadOnlyStoreError:
        return ReadOnlyStoreError(f"{self.identity} removes no events; use a retention policy of InfluxDB for that")

    def _write(self, events: Sequence[PersistedEvent]) -> None:
        taken = self._taken(events)
        points: list[bytes] = []
        size = 0
        for event in events:
            moment = event.persisted_at * NS
            offset = offset_of(event.id)
            while moment + offset in taken:
                offset = (offset + 1) % NS
            taken.add(moment + offset)
            for line in event_points(event, moment + offset):
                encoded = line.encode()
                if points and (size + len(encoded) > _REQUEST_BYTES or len(points) == _REQUEST_POINTS):
                    self._server.write(points)
                    points, size = [], 0
                points.append(encoded)
                size += len(encoded)
        self._counted = None
        self._server.write(points)

    def _taken(self, events: Sequence[PersistedEvent]) -> set[int]:
        """Times within the moments of these events that others have; refuses ids that are there."""
        if len(events) > _CHEAPER // 4 and self._number_of_ids() < len(events) * _CHEAPER:
            ids = {event.id for event in events}
            moments = {event.persisted_at for event in events}
            taken: set[int] = set()
            for time_ns, event_id in self._all_ids():
                if event_id in ids:
                    raise DuplicateEventError(event_id)
                if time_ns // NS in moments:
                    taken.add(time_ns)
            return taken
        known = self._server.ask_all(_id_statement(event.id) for event in events)
        for event, answer in zip(events, known, strict=True):
            if answer:
                raise DuplicateEventError(event.id)
        others = self._server.ask_all(
            Statement(
                f"SELECT value FROM {KEYS} WHERE role = 'id' AND time >= $low AND time < $high",
                {"low": moment * NS, "high": (moment + 1) * NS},
            )
            for moment in {event.persisted_at for event in events}
        )
        return {row[0] for answer in others for series in answer for row in series.rows}

    def _number_of_ids(self) -> int:
        answer = self._server.ask(f"SELECT count(value) FROM {KEYS} WHERE role = 'id'")
        return int(answer[0].rows[0][1]) if answer else 0

    def _all_ids(self) -> Iterator[tuple[int, str]]:
        last = FIRST_MS * NS - 1
        while True:
            # No two have the same time.
            answer = self._server.ask(
                f"SELECT value FROM {KEYS} WHERE role = 'id' AND time > $last ORDER BY time LIMIT {_LISTED}", last=last
            )
            rows = [row for series in answer for row in series.rows]
            yield from ((row[0], row[1]) for row in rows)
            if len(rows) < _LISTED:
                return
            last = rows[-1][0]

    def _last_id(self, instance_id: str) -> str:
        """Id of the last event of the stream; '' where there is none."""
        rows = self._read_rows(Scope(EventQuery(), instance_id), None, None, newest_first=True, limit=2)
        if len(rows) == 2 and rows[0].at == rows[1].at:
            return self.get_events_for_instance(instance_id)[-1].id
        return rows[0].event.id if rows else ""

    # Rows

    def _read_rows(
        self, scope: Scope, low: int | None, high: int | None, *, newest_first: bool, limit: int
    ) -> list[Row]:
        where = _where(scope, low, high)
        if where is None:
            return []
        order = "DESC" if newest_first else "ASC"
        return self._rows(where, f"ORDER BY time {order} LIMIT {limit}")

    def _read_moment(self, scope: Scope, moment: int) -> Iterator[list[Row]]:
        where = _where(scope, moment, moment)
        start = 0
        while where is not None:
            rows = self._rows(where, f"ORDER BY time LIMIT {_BATCH} OFFSET {start}")
            yield rows
            if len(rows) < _BATCH:
                return
            start += _BATCH

    def _rows(self, where: Statement, rest: str) -> list[Row]:
        answer = self._server.ask(f"SELECT document FROM {EVENTS} WHERE {where.text} {rest}", **where.values)
        return [self._row(row) for series in answer for row in series.rows]

    def _row(self, row: Sequence[Any]) -> Row:
        time_ns, text = row[0], row[1]
        if isinstance(text, str) and text.startswith("@"):
            answer = self._server.ask(
                f"SELECT text, n FROM {PARTS} WHERE stripe = $stripe AND time = $time", stripe=text[1:], time=time_ns
            )
            parts = sorted((row for series in answer for row in series.rows), key=lambda row: int(row[2]))
            text = "".join(row[1] for row in parts)
        raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else b""
        moment = time_ns // NS
        return row_of(raw, moment, f"{time_ns % NS:06}", lambda at: at == moment)

    # By id

    def get_events(self, event_ids: Iterable[str]) -> Mapping[str, PersistedEvent]:
        ids = [event_id for event_id in dict.fromkeys(event_ids) if is_encodable(event_id)]
        answers = self._server.ask_all(_id_statement(event_id) for event_id in ids)
        places = [_Place(*row[:3]) for answer in answers for series in answer for row in series.rows]
        found = self._at(places)
        return {event_id: found[event_id] for event_id in ids if event_id in found}

    def _at(self, places: Iterable[_Place]) -> dict[str, PersistedEvent]:
        answers = self._server.ask_all(
            Statement(
                f"SELECT document FROM {EVENTS} WHERE stripe = $stripe AND time = $time AND id = $id",
                {"stripe": instance_stripe(place.instance_id), "time": place.time_ns, "id": place.event_id},
            )
            for place in dict.fromkeys(places)
        )
        rows = (self._row(row) for answer in answers for series in answer for row in series.rows)
        return {row.event.id: self._decoded(row) for row in rows}

    def _effects(self, question: Question) -> Effects:
        def effects(causes: Sequence[str]) -> Mapping[str, Sequence[PersistedEvent]]:
            asked = [cause for cause in dict.fromkeys(causes) if is_encodable(cause)]
            answers = self._server.ask_all(
                Statement(
                    f"SELECT event_id, instance_id FROM {KEYS} WHERE role = 'cause' AND stripe = $stripe "
                    "AND value = $value",
                    {"stripe": key_stripe(cause), "value": cause},
                )
                for cause in asked
            )
            places = {
                cause: [_Place(*row[:3]) for series in answer for row in series.rows]
                for cause, answer in zip(asked, answers, strict=True)
            }
            question.check()
            events = self._at(place for found in places.values() for place in found)
            return {
                cause: [events[place.event_id] for place in found if place.event_id in events]
                for cause, found in places.items()
            }

        return effects

    # Counts

    def count(
        self, query: EventQuery, *, by: Sequence[CountBy] = (), bucket_ms: DurationMs | None = None
    ) -> Sequence[Count]:
        filtering.check_count(by, bucket_ms)
        if query.text or query.payload_path or query.payload_value:
            return super().count(query, by=by, bucket_ms=bucket_ms)
        start, end = query.start, query.end
        if bucket_ms is not None:
            # Without an end, InfluxDB takes buckets to end now.
            ends = self.time_range()
            if ends is None:
                return []
            start = ends[0] if start is None else max(start, ends[0])
            end = ends[1] if end is None else min(end, ends[1])
            if end - start > bucket_ms * _MOST_BUCKETS:
                return super().count(query, by=by, bucket_ms=bucket_ms)
        groups = list(dict.fromkeys(by)) + ([] if bucket_ms is None else [f"time({bucket_ms}ms)"])
        rest = f"GROUP BY {', '.join(groups)} fill(none)" if groups else ""
        counts: dict[tuple[tuple[str, ...], int | None], int] = {}
        ids: Iterable[str | None] = dict.fromkeys(query.instance_ids) or (None,)
        wheres = [_where(Scope(query, instance_id), start, end) for instance_id in ids]
        answers = self._server.ask_all(
            Statement(f"SELECT count(id) FROM {EVENTS} WHERE {where.text} {rest}", where.values)
            for where in wheres
            if where is not None
        )
        for answer in answers:
            for series in answer:
                key = tuple(tag_value(series.tags[name]) for name in by)
                for row in series.rows:
                    bucket = None if bucket_ms is None else row[0] // NS
                    counts[key, bucket] = counts.get((key, bucket), 0) + row[1]
        return sorted_counts(counts, by, bucket_ms)

    def _lifetimes(self, instance_ids: Sequence[str]) -> Mapping[str, Lifetime]:
        statements = []
        for instance_id in instance_ids:
            values = {"stripe": instance_stripe(instance_id), "instance": instance_id}
            condition = f"FROM {EVENTS} WHERE stripe = $stripe AND instance_id = $instance"
            statements.append(Statement(f"SELECT count(id) {condition}", values))
            statements.append(Statement(f"SELECT first(id) {condition}", values))
        answers = self._server.ask_all(statements)
        return {
            instance_id: Lifetime(first[0].rows[0][0] // NS, number[0].rows[0][1])
            for instance_id, number, first in zip(instance_ids, answers[::2], answers[1::2], strict=True)
            if number and first
        }


def _id_statement(event_id: str) -> Statement:
    return Statement(
        f"SELECT event_id, instance_id FROM {KEYS} WHERE role = 'id' AND stripe = $stripe AND value = $value",
        {"stripe": key_stripe(event_id), "value": event_id},
    )


def _where(scope: Scope, low: int | None, high: int | None) -> Statement | None:
    """The condition of a scope and its moments, both included; None where nothing can meet it."""
    low = FIRST_MS if low is None else max(low, FIRST_MS)
    high = LAST_MS if high is None else min(high, LAST_MS)
    if low > high:
        return None
    texts = ["time >= $low AND time < $high"]
    values: dict[str, str | int] = {"low": low * NS, "high": (high + 1) * NS}
    if scope.instance_id is not None:
        if not is_encodable(scope.instance_id):
            return None
        texts.append("stripe = $stripe AND instance_id = $instance")
        values |= {"stripe": instance_stripe(scope.instance_id), "instance": scope.instance_id}
    for field, tag in _TAGS:
        wanted: tuple[str, ...] = getattr(scope.query, field)
        if not wanted:
            continue
        writable = [value for value in dict.fromkeys(wanted) if is_encodable(value)]
        if not writable:
            return None
        names = [f"{tag}{number}" for number in range(len(writable))]
        texts.append("(" + " OR ".join(f"{tag} = ${name}" for name in names) + ")")
        values |= dict(zip(names, map(tag_text, writable), strict=True))
    return Statement(" AND ".join(texts), values)
