"""Instances as their events tell them, in an archive.

Each commit keeps one row per instance. Rows of several commits are merged when they are asked for. Where events share
the last moment of an instance and the rows do not tell which of them is the last, its stream does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from xcstore.model.history import PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.redaction import NO_REDACTION
from xcstore.store.archive_database import Question, Row
from xcstore.store.archive_queries import FIRST, LAST, Key, read_events
from xcstore.store.archive_writing import merged_instances
from xcstore.store.base import InstanceQuery, InstanceSummary, StateCount
from xcstore.units import EpochMs

__all__ = ["count_states", "find_instances", "last_event_id"]

_SPARE: Final = 16
_CHUNK: Final = 5_000
_SETTLED: Final = "(size = 1 OR (linked AND first_before = ''))"
_COLUMNS: Final = (
    "instance_id, component_name, machine_name, state, created_at, updated_at, event_count, last_event_id, "
    f"last_event_type, last_seq, {_SETTLED} AS settled"
)

StandingSummary = tuple[Key, InstanceSummary]
"""A summary and its place in the list: (`updated_at`, `seq` of the last event)."""


def find_instances(
    question: Question,
    query: InstanceQuery,
    holds: Callable[[InstanceSummary], bool],
    after: Key | None,
    limit: int,
    *,
    newest_first: bool,
) -> list[StandingSummary]:
    """The next `limit` instances (fewer: there are no more).

    The time of the last event is known of all, and its place within that moment of nearly all: whole moments are
    read, and put in order here.
    """
    found: list[StandingSummary] = []
    low = FIRST if query.updated_from is None else query.updated_from
    high = LAST if query.updated_to is None else query.updated_to
    if after is not None:
        low, high = (low, min(high, after[0])) if newest_first else (max(low, after[0]), high)
    asked = limit + _SPARE
    while len(found) < limit and low <= high:
        rows = _rows(question, query, low, high, asked, newest_first=newest_first)
        is_all = len(rows) < asked
        if not is_all:
            last = rows[-1][5]
            whole = [row for row in rows if row[5] != last]
            if not whole:
                asked *= 4
                continue
            rows = whole
            low, high = (low, last) if newest_first else (last, high)
        step = [item for item in _summaries(question, rows) if holds(item[1])]
        if after is not None:
            step = [item for item in step if (item[0] < after if newest_first else item[0] > after)]
        found += sorted(step, key=lambda item: item[0], reverse=newest_first)
        if is_all:
            break
    return found[:limit]


def count_states(
    question: Question, query: InstanceQuery, holds: Callable[[InstanceSummary], bool]
) -> list[StateCount]:
    """Instances per component, machine and current state."""
    tally: dict[tuple[str, str, str], tuple[int, int, int]] = {}

    def add(key: tuple[str, str, str], count: int, oldest: int, newest: int) -> None:
        known = tally.get(key, (0, LAST, FIRST))
        tally[key] = known[0] + count, min(known[1], oldest), max(known[2], newest)

    rows = question.rows(
        "SELECT component_name, machine_name, state, count(*), min(updated_at), max(updated_at) "
        f"FROM ({_merged(question, query)}) WHERE {_SETTLED} AND {' AND '.join(_settled_conditions(question, query))} "
        "GROUP BY ALL"
    )
    for component, machine, state, count, oldest, newest in rows:
        add((component, machine, state), count, oldest, newest)
    tied = question.rows(
        f"SELECT {_COLUMNS} FROM ({_merged(question, query)}) WHERE NOT {_SETTLED} "
        f"AND {' AND '.join(_time_conditions(question, query))}"
    )
    for start in range(0, len(tied), _CHUNK):
        for _, summary in _summaries(question, tied[start : start + _CHUNK]):
            if holds(summary):
                key = summary.component_name, summary.machine_name, summary.state
                add(key, 1, summary.updated_at, summary.updated_at)
    return [
        StateCount(
            component_name=component,
            machine_name=machine,
            state=state,
            count=count,
            oldest_updated_at=EpochMs(oldest),
            newest_updated_at=EpochMs(newest),
        )
        for (component, machine, state), (count, oldest, newest) in sorted(tally.items())
    ]


def last_event_id(question: Question, instance_id: str) -> str:
    """Id of the last event of the stream; '' where there is none."""
    rows = question.rows(f"SELECT {_COLUMNS} FROM ({_merged(question, InstanceQuery(instance_ids=(instance_id,)))})")
    return _summaries(question, rows)[0][1].last_event_id if rows else ""


def _rows(
    question: Question, query: InstanceQuery, low: int, high: int, limit: int, *, newest_first: bool
) -> list[Row]:
    """Instances whose last event is within these times, in their order."""
    direction = "DESC" if newest_first else "ASC"
    settled = " AND ".join(_settled_conditions(question, query))
    return question.rows(
        f"SELECT {_COLUMNS} FROM ({_merged(question, query)}) WHERE (NOT {_SETTLED} OR ({settled})) "
        f"AND updated_at BETWEEN {question.value(low)} AND {question.value(high)} "
        f"ORDER BY updated_at {direction}, last_seq {direction} LIMIT {limit}"
    )


def _merged(question: Question, query: InstanceQuery) -> str:
    """One row per instance; conditions on ids are looked at before rows are merged."""
    parts = question.manifest.parts("instances")
    tests = ["true"]
    if query.instance_ids:
        tests.append(question.among("instance_id", query.instance_ids))
    if query.id_prefix:
        tests.append(f"starts_with(instance_id, {question.value(query.id_prefix)})" if _is_text(query) else "false")
    rows = f"SELECT * FROM {question.source('instances', parts)} WHERE {' AND '.join(tests)}"
    if len(parts) < 2:
        return rows  # each instance once
    # Most instances begin and end within one commit: only those that do not are worth merging.
    return (
        f"WITH every AS MATERIALIZED ({rows}), "
        "shared AS MATERIALIZED (SELECT instance_id FROM every GROUP BY instance_id HAVING count(*) > 1) "
        "SELECT * FROM every ANTI JOIN shared USING (instance_id) UNION ALL BY NAME "
        f"({merged_instances('SELECT * FROM every SEMI JOIN shared USING (instance_id)')})"
    )


def _is_text(query: InstanceQuery) -> bool:
    try:
        query.id_prefix.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in query.id_prefix


def _settled_conditions(question: Question, query: InstanceQuery) -> Iterator[str]:
    for column, values in (
        ("component_name", query.components),
        ("machine_name", query.machines),
        ("state", query.states),
    ):
        if values:
            yield question.among(column, values)
    yield from _time_conditions(question, query)


def _time_conditions(question: Question, query: InstanceQuery) -> Iterator[str]:
    yield "true"
    if query.updated_from is not None:
        yield f"updated_at >= {question.value(query.updated_from)}" if query.updated_from <= LAST else "false"
    if query.updated_to is not None:
        yield f"updated_at <= {question.value(query.updated_to)}" if query.updated_to >= FIRST else "false"


def _summaries(question: Question, rows: Sequence[Row]) -> list[StandingSummary]:
    tied = [row[0] for row in rows if not row[10]]
    ends = _stream_ends(question, tied) if tied else {}
    found = []
    for row in rows:
        end = ends.get(row[0])
        last_seq = row[9] if end is None or end.seq is None else end.seq
        summary = InstanceSummary(
            instance_id=row[0],
            component_name=row[1] if end is None else end.component_name,
            machine_name=row[2] if end is None else end.machine_name,
            state=row[3] if end is None else end.state_after,
            created_at=EpochMs(row[4]),
            updated_at=EpochMs(row[5]),
            event_count=row[6],
            last_event_id=row[7] if end is None else end.id,
            last_event_type=row[8] if end is None else end.event_type,
        )
        found.append(((row[5], last_seq), summary))
    return found


def _stream_ends(question: Question, instance_ids: Iterable[str]) -> dict[str, PersistedEvent]:
    """The last event of each of these streams."""
    wanted = question.value(list(instance_ids))
    streams: defaultdict[str, list[PersistedEvent]] = defaultdict(list)
    for instance_id, component, at, seq, before, after in question.rows(
        "SELECT instance_id, component_name, persisted_at, seq, state_before, state_after "
        f"FROM {question.source('streams')} WHERE instance_id IN (SELECT unnest({wanted}::VARCHAR[]))"
    ):
        streams[instance_id].append(
            PersistedEvent(
                id=str(seq),
                instance_id=instance_id,
                component_name=component,
                machine_name="",
                event_type="",
                persisted_at=at,
                seq=seq,
                state_before=before,
                state_after=after,
            )
        )
    ends = (order_stream(stream)[-1] for stream in streams.values())
    places = [(int(end.persisted_at), end.seq, end.component_name) for end in ends if end.seq is not None]
    return {event.instance_id: event for event in read_events(question, places, NO_REDACTION)}
