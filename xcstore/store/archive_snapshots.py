"""Snapshots and definitions in an archive.

Parts are never changed: a snapshot that no longer counts has its number in a table of the forgotten, and is left out
when snapshots are rewritten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, cast

import duckdb
import pyarrow as pa

from xcstore.errors import QueryError, StoreError
from xcstore.model.history import InstanceSnapshot
from xcstore.store import filtering
from xcstore.store.archive_database import ArchiveDatabase, Question, Row
from xcstore.store.archive_writing import Commit
from xcstore.store.base import Cursor, Page, StoredDefinition
from xcstore.store.codec import (
    NO_REDACTION,
    Redaction,
    check_writable_snapshot,
    json_text,
    parse_json,
    snapshot_extra_text,
    snapshot_from_documented_row,
    snapshot_to_documented_row,
)
from xcstore.store.cursors import decode_cursor, encode_cursor
from xcstore.store.reading import all_pages

__all__ = ["ArchiveDefinitionStore", "ArchiveSnapshotStore"]

_BATCH: Final = 1_000
_FEW: Final = 100
_MANY: Final = 1_000
"""Forgotten snapshots, before it is worth rewriting the others."""
_COLUMNS: Final = (
    "instance_id",
    "machine_name",
    "current_state",
    "status",
    "context",
    "public_member",
    "snapshot_at",
    "last_event_id",
    "pending_timeouts",
    "document",
)
_SCHEMA: Final = pa.schema(
    [(name, pa.int64() if name in ("snapshot_at", "ordinal") else pa.string()) for name in (*_COLUMNS, "ordinal")]
)


class ArchiveSnapshotStore:
    """Snapshots in an archive: whole documents of the last few of each instance.

    Parameters
    ----------
    retention : int
        How many of an instance are kept.
    """

    def __init__(self, database: ArchiveDatabase, *, redact: Redaction = NO_REDACTION, retention: int = 10) -> None:
        if retention < 1:
            raise QueryError(f"retention={retention} would keep no snapshot; give 1 or more")
        self._database: Final = database
        self._redact: Final = redact
        self._retention: Final = retention

    def connect(self) -> None:
        """Look whether the archive is there; stores are connected from the start."""
        self._database.folder.latest()

    def close(self) -> None:
        self._database.close()

    # Writing

    def save_snapshot(self, snapshot: InstanceSnapshot) -> None:
        self.save_snapshots([snapshot])

    def save_snapshots(self, snapshots: Iterable[InstanceSnapshot]) -> int:
        self._database.folder.check_writable()
        with self._database.staging() as cursor:
            count = _stage(cursor, snapshots)
            if count:
                with self._database.writing() as question, Commit(self._database, question) as commit:
                    self._write_staged(commit, cursor, count)
        return count

    def delete_snapshot(self, instance_id: str) -> None:
        self._database.folder.check_writable()
        with self._database.writing() as question, Commit(self._database, question) as commit:
            kept, of = _kept(question), question.among("instance_id", [instance_id])
            _forget(commit, f"SELECT seq FROM {kept} WHERE {of}")

    def count_beyond(self, keep: int) -> int:
        filtering.check_keep(keep)
        return int(self._database.ask(lambda q: q.rows(f"SELECT count(*) FROM ({_beyond(_kept(q), keep)})"))[0][0])

    def trim(self, keep: int) -> int:
        filtering.check_keep(keep)
        self._database.folder.check_writable()
        with self._database.writing() as question, Commit(self._database, question) as commit:
            return _forget(commit, _beyond(_kept(question), keep))

    def _write_staged(self, commit: Commit, cursor: duckdb.DuckDBPyConnection, count: int) -> None:
        question, base = commit.question, commit.base.next_snapshot
        instances = [row[0] for row in cursor.execute("SELECT DISTINCT instance_id FROM staged").fetchall()]
        kept = question.rows(
            f"SELECT instance_id, seq FROM {_kept(question)} "
            f"WHERE instance_id IN (SELECT unnest({question.value(instances)}::VARCHAR[]))"
        )
        cursor.execute("CREATE TEMP TABLE before (instance_id VARCHAR, seq BIGINT)")
        if kept:
            cursor.executemany("INSERT INTO before VALUES (?, ?)", kept)
        every = f"SELECT instance_id, seq FROM before UNION ALL SELECT instance_id, ordinal + {base} FROM staged"
        old = f"SELECT seq FROM ({every}) QUALIFY row_number() OVER (PARTITION BY instance_id ORDER BY seq DESC) > "
        old += str(self._retention)
        commit.add(
            "snapshots",
            f"SELECT *, ordinal + {base} AS seq FROM staged WHERE ordinal + {base} NOT IN ({old})",
            cursor,
            few=count <= _FEW,
        )
        commit.add("forgotten", f"SELECT seq FROM ({old}) WHERE seq < {base}", cursor, few=count <= _FEW)
        _rewrite(commit)
        commit.finish(next_snapshot=base + count)

    # Reading

    def get_snapshot(self, instance_id: str) -> InstanceSnapshot | None:
        return self.get_snapshots([instance_id]).get(instance_id)

    def get_snapshots(self, instance_ids: Iterable[str]) -> Mapping[str, InstanceSnapshot]:
        wanted = list(dict.fromkeys(instance_ids))

        def work(question: Question) -> dict[str, InstanceSnapshot]:
            found: dict[str, InstanceSnapshot] = {}
            for start in range(0, len(wanted), _BATCH):
                kept, of = _kept(question), question.among("instance_id", wanted[start : start + _BATCH])
                latest = f"SELECT instance_id, max(seq) AS seq FROM {kept} WHERE {of} GROUP BY instance_id"
                rows = question.rows(latest)
                found.update((one.instance.id, one) for one in self._documents(question, rows))
            return found

        found = self._database.ask(work)
        return {instance_id: found[instance_id] for instance_id in wanted if instance_id in found}

    def get_all_snapshots(self) -> Iterator[InstanceSnapshot]:
        yield from all_pages(lambda after: self.find(after=after, limit=_BATCH))

    def list_snapshots(self, instance_id: str) -> Sequence[InstanceSnapshot]:
        def work(question: Question) -> list[InstanceSnapshot]:
            kept, of = _kept(question), question.among("instance_id", [instance_id])
            rows = question.rows(f"SELECT instance_id, seq FROM {kept} WHERE {of}")
            return self._documents(question, rows)

        return self._database.ask(work)

    def find(self, *, after: Cursor | None = None, limit: int = 100) -> Page[InstanceSnapshot]:
        filtering.check_limit(limit)
        last = None if after is None else decode_cursor(after, "snapshots", (str,))[0]

        def work(question: Question) -> tuple[list[InstanceSnapshot], bool]:
            beyond = "true" if last is None else f"instance_id > {question.value(last)}"
            rows = question.rows(
                f"SELECT instance_id, max(seq) AS seq FROM {_kept(question)} WHERE {beyond} "
                f"GROUP BY instance_id ORDER BY instance_id LIMIT {limit + 1}"
            )
            return self._documents(question, rows[:limit]), len(rows) > limit

        found, more = self._database.ask(work)
        return Page(
            items=tuple(found), next=encode_cursor("snapshots", found[-1].instance.id) if more and found else None
        )

    def count(self) -> int:
        return int(self._database.ask(lambda q: q.rows(f"SELECT count(DISTINCT instance_id) FROM {_kept(q)}"))[0][0])

    def _documents(self, question: Question, rows: Sequence[Row]) -> list[InstanceSnapshot]:
        """Snapshots of these (instance id, seq), by both."""
        if not rows:
            return []
        instances = question.among("instance_id", dict.fromkeys(row[0] for row in rows))
        seqs = question.value([row[1] for row in rows])
        found = question.rows(
            f"SELECT {', '.join(_COLUMNS)} FROM {question.source('snapshots')} WHERE {instances} "
            f"AND seq IN (SELECT unnest({seqs}::BIGINT[])) ORDER BY instance_id, seq"
        )
        return [
            snapshot_from_documented_row(
                dict(zip(_COLUMNS, row, strict=True)), extra=row[_COLUMNS.index("document")], redact=self._redact
            )
            for row in found
        ]


def _stage(cursor: duckdb.DuckDBPyConnection, snapshots: Iterable[InstanceSnapshot]) -> int:
    columns = ", ".join(f"{name} {'BIGINT' if name == 'snapshot_at' else 'VARCHAR'}" for name in _COLUMNS)
    cursor.execute(f"CREATE TEMP TABLE staged ({columns}, ordinal BIGINT)")
    count = 0
    remaining = iter(snapshots)
    while batch := list(islice(remaining, _BATCH)):
        rows = []
        for snapshot in batch:
            check_writable_snapshot(snapshot)
            row = {**snapshot_to_documented_row(snapshot), "document": snapshot_extra_text(snapshot)}
            rows.append({**{name: row[name] for name in _COLUMNS}, "ordinal": count})
            count += 1
        cursor.register("incoming", pa.Table.from_pylist(rows, schema=_SCHEMA))
        cursor.execute("INSERT INTO staged SELECT * FROM incoming")
        cursor.unregister("incoming")
    return count


def _kept(question: Question) -> str:
    """Snapshots that count, as something to select (instance_id, seq) from."""
    snapshots, forgotten = question.source("snapshots"), question.source("forgotten")
    if not question.manifest.parts("forgotten"):
        return snapshots
    return f"(SELECT instance_id, seq FROM {snapshots} WHERE seq NOT IN (SELECT seq FROM {forgotten}))"


def _beyond(kept: str, keep: int) -> str:
    return (
        f"SELECT seq FROM {kept} QUALIFY row_number() OVER (PARTITION BY instance_id ORDER BY seq DESC) > {int(keep)}"
    )


def _forget(commit: Commit, select: str) -> int:
    """Let the snapshots that this selects no longer count; returns how many."""
    question = commit.question
    seqs = [row[0] for row in question.rows(select)]
    if seqs:
        commit.add("forgotten", "SELECT unnest($seqs::BIGINT[]) AS seq", question.cursor, {"seqs": seqs}, few=True)
        _rewrite(commit)
        commit.finish()
    return len(seqs)


def _rewrite(commit: Commit) -> None:
    """Write snapshots anew without the forgotten, where these are many and most."""
    snapshots, forgotten = commit.parts("snapshots"), commit.parts("forgotten")
    gone = sum(part.rows for part in forgotten)
    if gone < _MANY or 2 * gone < sum(part.rows for part in snapshots):
        return
    question = commit.question
    select = (
        f"SELECT * FROM {question.source('snapshots', snapshots)} "
        f"WHERE seq NOT IN (SELECT seq FROM {question.source('forgotten', forgotten)})"
    )
    parameters = question.parameters()
    commit.replace("snapshots", snapshots)
    commit.replace("forgotten", forgotten)
    commit.add("snapshots", select, question.cursor, parameters)


class ArchiveDefinitionStore:
    """Component documents by hash, in an archive."""

    def __init__(self, database: ArchiveDatabase) -> None:
        self._database: Final = database

    def save_definition(self, definition: StoredDefinition) -> None:
        self._database.folder.check_writable()
        with self._database.writing() as question, Commit(self._database, question) as commit:
            stored = question.rows(f"SELECT hash, seq FROM {question.source('definitions')}")
            if any(row[0] == definition.hash for row in stored):
                return
            commit.add(
                "definitions",
                "SELECT $hash AS hash, $component AS component_name, $document AS document, $seq::BIGINT AS seq",
                question.cursor,
                {
                    "hash": definition.hash,
                    "component": definition.component_name,
                    "document": json_text(definition.document),
                    "seq": 1 + max((row[1] for row in stored), default=0),
                },
            )
            commit.finish()

    def get_all_definitions(self) -> Sequence[StoredDefinition]:
        rows = self._database.ask(
            lambda q: q.rows(f"SELECT hash, component_name, document FROM {q.source('definitions')} ORDER BY seq")
        )
        return [
            StoredDefinition(hash=key, component_name=component, document=self._document(key, text))
            for key, component, text in rows
        ]

    def _document(self, key: str, text: str) -> Mapping[str, object]:
        try:
            return cast(Mapping[str, object], parse_json(text))
        except ValueError as error:
            raise StoreError(f"the definition {key!r} of {self._database.identity} is no JSON: {error}") from error
