"""Asking for events in an archive: by pages, by instance, by id, counted.

A page is looked for in stretches of time. The manifest knows the times of each row group, so a stretch is as long as
it takes to hold a few thousand events, and grows where few of them are wanted; row groups outside it are not read.
Keys (`persisted_at`, `seq`) are found first, and documents read for these alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Final

from xcstore.errors import CorruptEventError
from xcstore.model.history import PersistedEvent
from xcstore.store.archive_database import Question, Row
from xcstore.store.archive_layout import Part
from xcstore.store.base import CountBy, EventQuery
from xcstore.store.codec import Redaction, event_from_documented_row
from xcstore.units import DurationMs, EpochMs

__all__ = [
    "FIRST",
    "LAST",
    "Key",
    "Place",
    "Stretch",
    "conditions",
    "count_rows",
    "event_parts",
    "events_of",
    "find_places",
    "ids_of_causes",
    "places_of_ids",
    "places_of_instances",
    "read_events",
    "read_stretch",
    "stretches",
]

Key = tuple[int, int]
"""(`persisted_at`, `seq`): the order of pages."""
Place = tuple[int, int, str]
"""A key, and the component, which is in whose parts the event lies."""

FIRST: Final = -(2**63)
LAST: Final = 2**63 - 1

_STRETCH: Final = 8_192
_CHUNK: Final = 500

_READ: Final = (
    "id",
    "instance_id",
    "machine_name",
    "component_name",
    "event_type",
    "state_before",
    "state_after",
    "persisted_at",
    "caused_by",
    "caused",
    "source_component_name",
    "target_component_name",
    "definition_hash",
    "seq",
    "document",
)
"""Columns that events are made of; the payload is in the document."""
_LISTS: Final = [_READ.index("caused_by"), _READ.index("caused")]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of time, both ends included, and the parts that have events in it."""

    first: int
    last: int
    parts: tuple[Part, ...]


def event_parts(question: Question, query: EventQuery) -> list[Part]:
    """Parts that may hold what is asked for."""
    start, end = _bounds(query)
    return [
        part
        for part in question.manifest.parts("events")
        if part.times is not None
        and part.times[0] <= end
        and part.times[1] >= start
        and (not query.components or part.component in query.components)
    ]


def stretches(
    question: Question,
    query: EventQuery,
    after: Key | None,
    *,
    newest_first: bool,
    rows: int = _STRETCH,
    growing: bool = True,
) -> Iterator[Stretch]:
    """The way from `after` on, in pieces of about `rows` events; `growing`, each twice as long as the one before."""
    low, high = _bounds(query)
    if after is not None and newest_first:
        high = min(high, after[0] - (after[1] == FIRST))
    elif after is not None:
        low = max(low, after[0] + (after[1] == LAST))
    parts = event_parts(question, query)
    groups = [group for part in parts for group in part.groups if group[1] <= high and group[2] >= low]
    groups.sort(key=itemgetter(1) if newest_first else itemgetter(2), reverse=newest_first)
    place = 0
    while place < len(groups):
        held = 0
        while place < len(groups) and held < rows:
            held += groups[place][0]
            end = groups[place][1] if newest_first else groups[place][2]
            place += 1
        while place < len(groups) and (groups[place][1] if newest_first else groups[place][2]) == end:
            place += 1
        if place == len(groups):
            end = low if newest_first else high
        first, last = (max(end, low), high) if newest_first else (low, min(end, high))
        within = [part for part in parts if part.times and part.times[0] <= last and part.times[1] >= first]
        yield Stretch(first, last, tuple(within))
        low, high = (low, first - 1) if newest_first else (last + 1, high)
        rows *= 2 if growing else 1
        if low > high:
            return


def conditions(question: Question, query: EventQuery) -> Iterator[str]:
    """What the columns alone can tell; text and payload are looked at elsewhere."""
    for column, values in (
        ("component_name", query.components),
        ("machine_name", query.machines),
        ("event_type", query.event_types),
        ("instance_id", query.instance_ids),
        ("state_after", query.states),
        ("state_before", query.states_before),
    ):
        if values:
            yield question.among(column, values)
    if query.start is not None:
        yield f"persisted_at >= {question.value(query.start)}" if query.start <= LAST else "false"
    if query.end is not None:
        yield f"persisted_at <= {question.value(query.end)}" if query.end >= FIRST else "false"


def find_places(
    question: Question, query: EventQuery, after: Key | None, limit: int, *, newest_first: bool
) -> list[Place]:
    """Where the next events are, at most `limit`."""
    found: list[Place] = []
    for stretch in stretches(question, query, after, newest_first=newest_first):
        found += question.rows(
            f"SELECT persisted_at, seq, component_name FROM {question.source('events', stretch.parts)} "
            f"WHERE {_within(question, query, stretch, after, newest_first=newest_first)} "
            f"{ordered(newest_first=newest_first)} LIMIT {limit - len(found)}"
        )
        if len(found) >= limit:
            break
    return found


def read_stretch(
    question: Question,
    query: EventQuery,
    stretch: Stretch,
    after: Key | None,
    limit: int,
    redact: Redaction,
    *,
    newest_first: bool,
    wide: str = "true",
) -> list[PersistedEvent]:
    """The next events of a stretch, at most `limit`; `wide` is one more condition."""
    rows = question.rows(
        f"SELECT {', '.join(_READ)} FROM {question.source('events', stretch.parts)} "
        f"WHERE {_within(question, query, stretch, after, newest_first=newest_first)} AND ({wide}) "
        f"{ordered(newest_first=newest_first)} LIMIT {limit}"
    )
    return events_of(question, rows, redact)


def ordered(*, newest_first: bool) -> str:
    return "ORDER BY persisted_at DESC, seq DESC" if newest_first else "ORDER BY persisted_at, seq"


def _within(question: Question, query: EventQuery, stretch: Stretch, after: Key | None, *, newest_first: bool) -> str:
    first, last = question.value(stretch.first), question.value(stretch.last)
    tests = [f"persisted_at BETWEEN {first} AND {last}", *conditions(question, query)]
    if after is not None:
        at, seq = question.value(after[0]), question.value(after[1])
        than = "<" if newest_first else ">"
        tests.append(f"(persisted_at {than} {at} OR (persisted_at = {at} AND seq {than} {seq}))")
    return " AND ".join(tests)


def read_events(
    question: Question, places: Iterable[Place], redact: Redaction, query: EventQuery | None = None
) -> list[PersistedEvent]:
    """The events in these places, by key; of them those that fit the columns `query` asks for."""
    wanted = sorted(places)
    found: list[PersistedEvent] = []
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        parts = [part for part in question.manifest.parts("events") if _may_hold(part, chunk)]
        tests = [question.among("persisted_at", dict.fromkeys(at for at, _, _ in chunk))]
        tests += conditions(question, query) if query is not None else ()
        # The list of times is what row groups are left out by, the join what rows are.
        rows = question.rows(
            f"SELECT {', '.join(_READ)} FROM {question.source('events', parts)} WHERE {' AND '.join(tests)} "
            f"AND seq IN (SELECT unnest({question.value([seq for _, seq, _ in chunk])}::BIGINT[]))"
        )
        found += events_of(question, rows, redact)
    found.sort(key=lambda event: (event.persisted_at, event.seq))
    return found


def _may_hold(part: Part, places: Sequence[Place]) -> bool:
    if part.times is None or part.seqs is None:
        return False
    (first, last), (least, greatest) = part.times, part.seqs
    return any(
        first <= at <= last and least <= seq <= greatest and part.component == component
        for at, seq, component in places
    )


def events_of(question: Question, rows: Iterable[Row], redact: Redaction) -> list[PersistedEvent]:
    events = []
    for row in rows:
        columns = dict(zip(_READ, row, strict=True))
        document = columns.pop("document")
        try:
            event = event_from_documented_row(columns, extra=document, redact=redact)
        except CorruptEventError:
            event = None
        if event is None or event.original is None:
            event = _without_document(question, columns, redact)
        events.append(event)
    return events


def _without_document(question: Question, columns: dict[str, object], redact: Redaction) -> PersistedEvent:
    """The event as its columns alone tell it: somebody else wrote the part, or changed it."""
    at, seq, component = columns["persisted_at"], columns["seq"], columns["component_name"]
    parts = [part for part in question.manifest.parts("events") if part.component == component]
    rows = question.rows(
        f"SELECT event_payload FROM {question.source('events', parts)} "
        f"WHERE persisted_at = {question.value(at)} AND seq = {question.value(seq)}"
    )
    columns["event_payload"] = rows[0][0] if rows else None
    event = event_from_documented_row(columns, redact=redact)
    fault = "the document kept beside the columns cannot be read as an event; the columns are shown"
    return replace(event, faults=(*event.faults, fault))


# --- Indexes


def places_of_ids(question: Question, ids: Iterable[str]) -> dict[str, tuple[Place, tuple[str, ...]]]:
    """Place and causes of those of the ids that are stored."""
    found: dict[str, tuple[Place, tuple[str, ...]]] = {}
    for chunk in _chunks(ids):
        found.update(
            (event_id, ((at, seq, component), tuple(causes)))
            for event_id, at, seq, component, causes in question.rows(
                f"SELECT id, persisted_at, seq, component_name, caused_by FROM {question.source('ids')} "
                f"WHERE {question.among('id', chunk)}"
            )
        )
    return found


def ids_of_causes(question: Question, ids: Iterable[str]) -> dict[str, list[tuple[str, Place]]]:
    """Ids and places of the events that name these as a cause, by cause."""
    found: dict[str, list[tuple[str, Place]]] = {}
    for chunk in _chunks(ids):
        for cause, event_id, *place in question.rows(
            f"SELECT cause_id, event_id, persisted_at, seq, component_name FROM {question.source('causes')} "
            f"WHERE {question.among('cause_id', chunk)}"
        ):
            at, seq, component = place
            found.setdefault(cause, []).append((event_id, (at, seq, component)))
    return found


def places_of_instances(question: Question, ids: Iterable[str], query: EventQuery | None = None) -> list[Place]:
    """Where all events of these instances are, in page order; with `query`, within its times."""
    start, end = _bounds(query) if query is not None else (FIRST, LAST)
    found: list[Place] = []
    for chunk in _chunks(ids):
        found += question.rows(
            f"SELECT persisted_at, seq, component_name FROM {question.source('streams')} "
            f"WHERE {question.among('instance_id', chunk)} "
            f"AND persisted_at BETWEEN {question.value(start)} AND {question.value(end)}"
        )
    return sorted(found) if start <= end else []


def _chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    wanted = list(dict.fromkeys(ids))
    return (wanted[start : start + _CHUNK] for start in range(0, len(wanted), _CHUNK))


def _bounds(query: EventQuery) -> tuple[int, int]:
    """First and last moment, as they can be compared; the first is after the last where there can be none."""
    start = FIRST if query.start is None else query.start
    end = LAST if query.end is None else query.end
    if start > LAST or end < FIRST or start > end:
        return 0, -1
    return max(start, FIRST), min(end, LAST)


# --- Counts


def count_rows(
    question: Question, query: EventQuery, by: Sequence[CountBy], bucket_ms: DurationMs | None
) -> dict[tuple[tuple[str, ...], EpochMs | None], int]:
    """Counts by (values, bucket)."""
    parts = event_parts(question, query)
    filtered = any((query.machines, query.event_types, query.instance_ids, query.states, query.states_before))
    whole = query.start is None and query.end is None and not filtered
    if whole and not by and bucket_ms is None:
        return {((), None): sum(part.rows for part in parts)}
    names: list[str] = list(by)
    factor = 1
    if bucket_ms is not None:
        bucket, factor = _bucket(question, parts, bucket_ms)
        names.append(bucket)
    keys = ", ".join(f"{name} AS k{place}" for place, name in enumerate(names))
    grouped = f"GROUP BY {', '.join(str(place + 1) for place in range(len(names)))}" if names else ""
    tests = " AND ".join(["true", *conditions(question, query)])
    rows = question.rows(
        f"SELECT {keys + ', ' if keys else ''}count(*) FROM {question.source('events', parts)} WHERE {tests} {grouped}"
    )
    return {
        (tuple(row[: len(by)]), None if bucket_ms is None else EpochMs(int(row[len(by)]) * factor)): int(row[-1])
        for row in rows
    }


def _bucket(question: Question, parts: Sequence[Part], bucket_ms: DurationMs) -> tuple[str, int]:
    """Which bucket, and what that is to be multiplied by for its start; rounded down also before 1970."""
    length = question.value(int(bucket_ms))
    earliest = min((part.times[0] for part in parts if part.times), default=0)
    if earliest >= 0:
        return f"persisted_at // {length}", bucket_ms  # DuckDB knows how few these are: twice as fast
    at = "persisted_at" if earliest >= FIRST + bucket_ms and bucket_ms <= LAST // 2 else "persisted_at::HUGEINT"
    return f"{at} - (({at} % {length}) + {length}) % {length}", 1
