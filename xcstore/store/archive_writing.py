"""Writing an archive: rows are staged in DuckDB, checked, sorted into parts, and committed.

What is staged spills to disk where it is more than memory holds, so a batch of any length is one commit.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from xcstore.errors import DuplicateEventError
from xcstore.model.history import PersistedEvent
from xcstore.store.archive_database import ArchiveDatabase, Question, Row, quoted
from xcstore.store.archive_layout import TABLES, Group, Manifest, Part, event_folder, month_of
from xcstore.store.codec import check_writable, event_extra_text, json_text

__all__ = ["Commit", "is_duplicate", "merged_instances", "stage_events", "write_staged_events"]

_BATCH: Final = 10_000
_FAN: Final = 8
"""So many parts of about the same size are merged into one."""
_LARGE: Final = 100_000
_LARGE_INDEX: Final = 4_000_000
"""Rows of a part that is never merged: of events, of which the manifest tells what to leave unread, and of what is
looked up by a key, where each part costs a look."""
_GROUP_ROWS: Final = 4_096
_INDEX_ROWS: Final = 8_192
"""Rows of a group: of events, and of what is looked up by a key. DuckDB reads groups whole, and looks at the bounds of
each: of a million ids one is found in half the time that groups of 2,048 take, or of 32,768."""
_GROUP_BYTES: Final = 16 * 1024 * 1024
_INFLATED: Final = 6
"""So many times larger are rows about, before they are compressed."""
_FEW: Final = 500

_ARROW: Final = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "VARCHAR[]": pa.list_(pa.string()),
}
_STAGED: Final = {name: kind for name, kind in TABLES["events"].columns.items() if name != "seq"}
_STAGED_SCHEMA: Final = pa.schema(
    [("ordinal", pa.int64()), ("month", pa.string()), *((name, _ARROW[kind]) for name, kind in _STAGED.items())]
)


class Commit:
    """Parts on their way into the archive. Leaving the block by an error removes those that do not count.

    Within the block of `ArchiveDatabase.writing`.
    """

    def __init__(self, database: ArchiveDatabase, question: Question) -> None:
        self.database: Final = database
        self.question: Final = question
        self.base: Final = question.manifest
        self._tables: Final = {name: list(self.base.parts(name)) for name in TABLES}
        self._written: Final[set[str]] = set()
        self._changed = False

    def __enter__(self) -> Commit:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.database.folder.discard_unlisted(self._written)

    def add(
        self,
        table: str,
        select: str,
        cursor: duckdb.DuckDBPyConnection,
        parameters: dict[str, object] | None = None,
        *,
        group_rows: int = _INDEX_ROWS,
        partition: tuple[str, str] | None = None,
        few: bool = False,
    ) -> None:
        """Write the rows of `select` as a new part; no rows, no part.

        `partition`: month and component of events. `few`: not more than some hundred rows.
        """
        folder = TABLES[table].folder if partition is None else event_folder(*partition)
        path = f"{folder}/part-{self.base.number + 1:08}-{len(self._written):04}.parquet"
        columns = ", ".join(TABLES[table].columns)

        rows = f"SELECT {columns} FROM ({select}) ORDER BY {TABLES[table].order}"
        if few:
            found = cursor.execute(rows, parameters or {}).fetchall()
            if not found:
                return

        def write(target: Path) -> None:
            if few:  # in half the time
                pq.write_table(_table_of(found, table), target, compression="zstd")
                return
            cursor.execute(
                f"COPY ({rows}) TO {quoted(str(target))} "
                f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {group_rows})",
                parameters or {},
            )

        self._written.add(path)
        size, digest = self.database.folder.add_file(path, write)
        part = _described(self.database.folder.root / path, table, path, size, digest)
        if part.rows == 0:
            self.database.folder.discard({path})
            return
        if partition is not None:
            part = replace(part, month=partition[0], component=partition[1])
        self._tables[table].append(part)
        self._changed = True

    def parts(self, table: str) -> list[Part]:
        """As they will count."""
        return list(self._tables[table])

    def replace(self, table: str, parts: Sequence[Part]) -> None:
        """Take these parts out."""
        gone = {part.path for part in parts}
        self._tables[table] = [part for part in self._tables[table] if part.path not in gone]
        self._changed = True

    def finish(self, *, next_seq: int | None = None, next_snapshot: int | None = None) -> None:
        """Make it count. Where nothing was added or taken out, nothing is written."""
        if not self._changed:
            return
        self._merge_small_parts()
        manifest = Manifest(
            number=self.base.number + 1,
            next_seq=self.base.next_seq if next_seq is None else next_seq,
            next_snapshot=self.base.next_snapshot if next_snapshot is None else next_snapshot,
            tables={name: tuple(parts) for name, parts in self._tables.items() if parts},
        )
        self.database.folder.publish(manifest, self.base)
        unlisted = self._written - {part.path for part in manifest.every_part()}
        self.database.folder.discard(unlisted)

    def _merge_small_parts(self) -> None:
        for table in TABLES:
            while merged := next(self._alike(table), None):
                source = self.question.source(table, merged)
                select = f"SELECT * FROM {source}"
                if table == "instances":
                    select = merged_instances(select)
                parameters = self.question.parameters()
                first = merged[0]
                partition = None if first.month is None else (first.month, first.component or "")
                length = _INFLATED * sum(part.bytes for part in merged) / sum(part.rows for part in merged)
                self.replace(table, merged)
                self.add(
                    table,
                    select,
                    self.question.cursor,
                    parameters,
                    partition=partition,
                    group_rows=_group_rows(length) if table == "events" else _INDEX_ROWS,
                    few=sum(part.rows for part in merged) <= _FEW,
                )

    def _alike(self, table: str) -> Iterator[list[Part]]:
        """Parts of one partition and of about the same size, where there are many."""
        alike: defaultdict[tuple[str | None, str | None, int], list[Part]] = defaultdict(list)
        for part in self._tables[table]:
            if part.rows < (_LARGE if table == "events" else _LARGE_INDEX):
                alike[part.month, part.component, int(math.log(part.rows, _FAN))].append(part)
        return (parts for parts in alike.values() if len(parts) >= _FAN)


def _table_of(rows: Sequence[Row], table: str) -> pa.Table:
    schema = pa.schema([(name, _ARROW[kind]) for name, kind in TABLES[table].columns.items()])
    arrays = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), schema.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _described(path: Path, table: str, relative: str, size: int, digest: str) -> Part:
    """The part in a file, from its footer."""
    footer = pq.read_metadata(path)
    columns = TABLES[table].columns
    at = _ranges(footer, "persisted_at") if "persisted_at" in columns else []
    seqs = _ranges(footer, "seq") if "seq" in columns else []
    return Part(
        path=relative,
        rows=footer.num_rows,
        bytes=size,
        sha256=digest,
        times=_hull(at),
        seqs=_hull(seqs),
        groups=tuple(at) if table == "events" else (),
    )


def _ranges(footer: pq.FileMetaData, name: str) -> list[Group]:
    """Rows, least and greatest value of a column, by row group."""
    # Positions are those of leaves: a list is one called 'caused, list, element'.
    column = next(place for place in range(footer.num_columns) if footer.schema.column(place).path == name)
    groups = []
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        statistics = group.column(column).statistics
        groups.append((group.num_rows, int(statistics.min), int(statistics.max)))
    return groups


def _hull(groups: Sequence[Group]) -> tuple[int, int] | None:
    if not groups:
        return None
    return min(first for _, first, _ in groups), max(last for _, _, last in groups)


# --- Events


def stage_events(cursor: duckdb.DuckDBPyConnection, events: Iterable[PersistedEvent]) -> int:
    """Collect the events in the temporary table `staged`; returns how many. A batch at a time is in Python's memory."""
    columns = ", ".join(f"{name} {kind}" for name, kind in _STAGED.items())
    cursor.execute(f"CREATE TEMP TABLE staged (ordinal BIGINT, month VARCHAR, {columns})")
    count = 0
    remaining = iter(events)
    while batch := list(islice(remaining, _BATCH)):
        rows = [_staged_row(count + place, event) for place, event in enumerate(batch)]
        arrays = [
            pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), _STAGED_SCHEMA.types, strict=True)
        ]
        cursor.register("incoming", pa.Table.from_arrays(arrays, schema=_STAGED_SCHEMA))
        cursor.execute("INSERT INTO staged SELECT * FROM incoming")
        cursor.unregister("incoming")
        count += len(batch)
    return count


def _staged_row(ordinal: int, event: PersistedEvent) -> tuple[Any, ...]:
    check_writable(event)
    member, context = event.public_member_snapshot, event.context
    return (
        ordinal,
        month_of(event.persisted_at),
        event.id,
        event.instance_id,
        event.machine_name,
        event.component_name,
        event.event_type,
        json_text(event.payload),
        event.state_before,
        event.state_after,
        event.persisted_at,
        event.caused_by,
        event.caused,
        event.source_component_name,
        event.target_component_name,
        event.timestamp,
        None if member is None else json_text(member),
        None if context is None else json_text(context),
        event.definition_hash,
        event_extra_text(event),
    )


def is_duplicate(question: Question, cursor: duckdb.DuckDBPyConnection, count: int) -> str | None:
    """The first of the staged ids that is stored, or that is twice among them."""
    twice = cursor.execute(
        "SELECT arg_min(id, ordinal) FROM "
        "(SELECT id, min(ordinal) AS ordinal FROM staged GROUP BY id HAVING count(*) > 1)"
    ).fetchone()
    if twice is not None and twice[0] is not None:
        return str(twice[0])
    if count <= _FEW:
        ids = [row[0] for row in cursor.execute("SELECT id FROM staged ORDER BY ordinal").fetchall()]
        known = {
            row[0]
            for row in question.rows(f"SELECT id FROM {question.source('ids')} WHERE {question.among('id', ids)}")
        }
        return next((event_id for event_id in ids if event_id in known), None)
    source = question.source("ids")
    stored = cursor.execute(
        f"SELECT arg_min(id, ordinal) FROM staged WHERE id IN (SELECT id FROM {source})", question.parameters()
    ).fetchone()
    return None if stored is None or stored[0] is None else str(stored[0])


def write_staged_events(commit: Commit, cursor: duckdb.DuckDBPyConnection, count: int) -> None:
    """Write what is staged as parts of all tables, and make it count.

    Raises
    ------
    DuplicateEventError
        An id is stored, or twice among them.
    """
    duplicate = is_duplicate(commit.question, cursor, count)
    if duplicate is not None:
        raise DuplicateEventError(duplicate)
    base, few = commit.base.next_seq, count <= _FEW
    with_seq = f"(SELECT *, ordinal + {base} AS seq FROM staged)"
    partitions = cursor.execute(
        "SELECT month, component_name, avg(length(document)) FROM staged GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    for month, component, length in partitions:
        commit.add(
            "events",
            f"SELECT * FROM {with_seq} WHERE month = $month AND component_name = $component",
            cursor,
            {"month": month, "component": component},
            group_rows=_group_rows(length),
            partition=(month, component),
            few=few,
        )
    commit.add("ids", f"SELECT * FROM {with_seq}", cursor, few=few)
    commit.add(
        "causes",
        "SELECT DISTINCT unnest(caused_by) AS cause_id, id AS event_id, component_name, persisted_at, seq "
        f"FROM {with_seq} WHERE len(caused_by) > 0",
        cursor,
        few=few,
    )
    commit.add("streams", f"SELECT * FROM {with_seq}", cursor, few=few)
    commit.add(
        "instances",
        merged_instances(
            "SELECT instance_id, component_name, machine_name, state_after AS state, persisted_at AS created_at, "
            "persisted_at AS updated_at, 1 AS event_count, id AS last_event_id, event_type AS last_event_type, "
            "seq AS first_seq, seq AS last_seq, state_before AS first_before, 1 AS size, true AS linked "
            f"FROM {with_seq}"
        ),
        cursor,
        few=few,
    )
    commit.finish(next_seq=base + count)


def _group_rows(length: float) -> int:
    """Rows of a group, where documents have about this many characters: it is written from memory."""
    return max(2_048, min(_GROUP_ROWS, int(_GROUP_BYTES / max(length, 1))))


def merged_instances(rows: str) -> str:
    """SQL: one row per instance, of rows that each tell of some of its events.

    `size` is how many events share the last moment. `linked`: laid out by (time, seq) each event goes on in the state
    where the one before it ended; with a `first_before` of '' that is the order of the stream
    (`model.ordering.order_stream`), and the last of them its last.
    """
    return f"""
        SELECT instance_id,
            arg_max(component_name, (updated_at, last_seq)) AS component_name,
            arg_max(machine_name, (updated_at, last_seq)) AS machine_name,
            arg_max(state, (updated_at, last_seq)) AS state,
            min(created_at) AS created_at,
            max(updated_at) AS updated_at,
            sum(event_count)::BIGINT AS event_count,
            arg_max(last_event_id, (updated_at, last_seq)) AS last_event_id,
            arg_max(last_event_type, (updated_at, last_seq)) AS last_event_type,
            arg_min(first_seq, (created_at, first_seq)) AS first_seq,
            arg_max(last_seq, (updated_at, last_seq)) AS last_seq,
            arg_min(first_before, (created_at, first_seq)) AS first_before,
            (sum(size) FILTER (updated_at = last_at))::BIGINT AS size,
            bool_and(linked AND (previous_seq IS NULL OR (
                first_before = previous_state AND (created_at, first_seq) > (previous_at, previous_seq)
            ))) AS linked
        FROM (
            SELECT *,
                max(updated_at) OVER (PARTITION BY instance_id) AS last_at,
                lag(state) OVER stream AS previous_state,
                lag(updated_at) OVER stream AS previous_at,
                lag(last_seq) OVER stream AS previous_seq
            FROM ({rows})
            WINDOW stream AS (PARTITION BY instance_id ORDER BY created_at, first_seq)
        )
        GROUP BY instance_id
    """
