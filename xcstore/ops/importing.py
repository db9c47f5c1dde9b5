"""Dumps of events and snapshots into a store of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, Literal

from xcstore.errors import CorruptEventError, DuplicateEventError, LimitExceededError, ReadOnlyStoreError
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.ops.json_rows import Row, RowFault, TruncatedFileError, read_rows
from xcstore.store.base import Stores
from xcstore.store.codec import (
    canonical_json,
    check_writable,
    check_writable_snapshot,
    event_from_document,
    event_to_document,
    snapshot_from_document,
    snapshot_to_document,
)
from xcstore.store.limits import NOTHING_WRITTEN

__all__ = ["FileReport", "ImportReport", "Problem", "import_files"]

BATCH: Final = 1_000
MAX_PROBLEMS: Final = 1_000
"""Problems that are kept in words; the rest are counted."""

Progress = Callable[[int, int], None]
Kind = Literal["bad", "conflict", "broken"]


@dataclass(frozen=True, slots=True)
class Problem:
    """What was not imported, and why.

    `bad`: the row cannot be understood or stored. `conflict`: the store holds something else under its id.
    `broken`: the file cannot be read from here on.
    """

    kind: Kind
    file: str
    row: int | None
    line: int | None
    reason: str

    def __str__(self) -> str:
        where = [self.file]
        if self.row:
            where.append(f"row {self.row}")
        if self.line:
            where.append(f"line {self.line}")
        return f"{', '.join(where)}: {self.reason}"


@dataclass(slots=True)
class FileReport:
    """What became of one file's rows."""

    file: str
    events: int = 0
    """Events that were appended."""
    snapshots: int = 0
    """Snapshots that were saved."""
    already_there: int = 0
    """Rows that the store held before, with the same content."""
    odd: int = 0
    """Of the rows that went in: those with something odd in them, kept as it is (`faults`)."""
    bad: int = 0
    conflicts: int = 0
    broken: bool = False
    problems: list[Problem] = field(default_factory=list)

    def add_problem(self, kind: Kind, row: int | None, line: int | None, reason: str) -> None:
        if kind == "bad":
            self.bad += 1
        elif kind == "conflict":
            self.conflicts += 1
        else:
            self.broken = True
        if kind == "broken" or len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(kind, self.file, row, line, reason))


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of all files."""

    files: tuple[FileReport, ...]

    @property
    def events(self) -> int:
        return sum(file.events for file in self.files)

    @property
    def snapshots(self) -> int:
        return sum(file.snapshots for file in self.files)

    @property
    def already_there(self) -> int:
        return sum(file.already_there for file in self.files)

    @property
    def odd(self) -> int:
        return sum(file.odd for file in self.files)

    @property
    def bad(self) -> int:
        return sum(file.bad for file in self.files)

    @property
    def conflicts(self) -> int:
        return sum(file.conflicts for file in self.files)

    @property
    def broken(self) -> bool:
        """Whether a file could not be read to its end."""
        return any(file.broken for file in self.files)

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(problem for file in self.files for problem in file.problems)


def import_files(
    paths: Sequence[Path | str], stores: Stores, *, on_progress: Progress = lambda done, total: None
) -> ImportReport:
    """Append the events and save the snapshots in JSON and NDJSON files.

    Parameters
    ----------
    paths : sequence of paths
        Files with an array of documents, or one document after the other; events and snapshots are told apart by
        their shape. Files are streamed: memory does not grow with them.
    stores : Stores
        Of ours, and open for writing.
    on_progress : callable
        Called with (bytes read, bytes in all).

    Returns
    -------
    ImportReport
        A row that is bad is reported, and the others go in. Rows that are there already are counted, so an import
        that was interrupted can be run again. Where a file ends too early, what was read whole before goes in.
        Snapshots replace older ones only.

    Raises
    ------
    ReadOnlyStoreError
        The store is written by others, or open for reading only.
    StoreError
        The store failed; whole batches were written before.
    """
    if stores.events.layout in ("documented", "shipped"):
        raise ReadOnlyStoreError(
            f"{stores.identity} is written by somebody else (layout: {stores.events.layout}); "
            "import into a store of your own, such as sqlite:///history.db"
        )
    files = [Path(path) for path in paths]
    total = sum(file.stat().st_size for file in files if file.is_file())
    done = 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        on_progress(done, total)

    return ImportReport(tuple(_import_file(file, stores, count) for file in files))


def _import_file(path: Path, stores: Stores, count: Callable[[int], None]) -> FileReport:
    report = FileReport(str(path))
    batch: list[Row] = []
    if path.exists() and not path.is_file():
        kind = "a folder; name the files in it" if path.is_dir() else "not a file"  # a pipe could be waited for
        report.add_problem("broken", None, None, f"it is {kind}")
        return report
    try:
        for row in read_rows(path, count):
            batch.append(row)
            if len(batch) == BATCH:
                _import_rows(batch, stores, report)
                batch = []
    except OSError as error:  # a folder too
        report.add_problem("broken", None, None, f"cannot be read: {error.strerror}")
    except TruncatedFileError as error:
        _import_rows(batch, stores, report)
        batch = []
        went_in = report.events + report.snapshots + report.already_there
        if not went_in:
            kept = "nothing of it is in the store"
        else:
            kept = "the row before it is" if went_in == 1 else f"the {went_in:,} rows before it are"
            kept += " in the store"
        report.add_problem("broken", error.number or None, error.line or None, f"{error}; {kept}")
    _import_rows(batch, stores, report)
    return report


def _import_rows(rows: list[Row], stores: Stores, report: FileReport) -> None:
    events: list[tuple[Row, PersistedEvent]] = []
    snapshots: list[tuple[Row, InstanceSnapshot]] = []
    for row in rows:
        try:
            if isinstance(row.value, RowFault):
                report.add_problem("bad", row.number, row.line, row.value.reason)
            elif _is_snapshot(row.value):
                snapshot = snapshot_from_document(row.value)
                check_writable_snapshot(snapshot)
                snapshots.append((row, snapshot))
            else:
                event = event_from_document(row.value)
                check_writable(event)
                events.append((row, event))
        except LimitExceededError as error:
            # That nothing was written is true of the row only: the others go in.
            report.add_problem("bad", row.number, row.line, str(error).removesuffix(NOTHING_WRITTEN))
        except CorruptEventError as error:
            report.add_problem("bad", row.number, row.line, _other_thing(row.value) or str(error))
    if events:
        _append(events, stores, report)
    if snapshots:
        _save(snapshots, stores, report)


def _is_snapshot(document: object) -> bool:
    return isinstance(document, Mapping) and "instance" in document and "event" not in document


def _other_thing(document: object) -> str | None:
    """What a row is that has nothing of an event or of a snapshot."""
    if not isinstance(document, Mapping) or not _OF_OURS.isdisjoint(document):
        return None
    several = [document, *document.values()]
    if any(isinstance(value, Mapping) and "stateMachines" in value for value in several):
        what = "a component definition"
    else:
        what = f"an object with {', '.join(repr(str(key)[:30]) for key in islice(document, 3))}" if document else "{}"
        what += ", …" if len(document) > 3 else ""
    return f"neither an event (id, instanceId, event, …) nor a snapshot (instance, …): {what}"


_OF_OURS: Final = frozenset({"id", "_id", "instanceId", "instance_id", "event", "instance"})


def _append(rows: Iterable[tuple[Row, PersistedEvent]], stores: Stores, report: FileReport) -> None:
    rows = list(rows)
    known = dict(stores.events.get_events([event.id for _, event in rows]))
    fresh: list[tuple[Row, PersistedEvent]] = []
    for row, event in rows:
        if event.id in known:
            _compare_events(known[event.id], event, row, report)
        else:
            known[event.id] = event
            fresh.append((row, event))
    try:
        stores.events.append_many([event for _, event in fresh])
    except DuplicateEventError:
        # Somebody else appended one of them since we looked.
        _append_singly(fresh, stores, report)
        return
    report.events += len(fresh)
    report.odd += sum(bool(event.faults) for _, event in fresh)


def _append_singly(rows: Iterable[tuple[Row, PersistedEvent]], stores: Stores, report: FileReport) -> None:
    for row, event in rows:
        try:
            stores.events.append(event)
        except DuplicateEventError:
            _compare_events(stores.events.get_event(event.id), event, row, report)
        else:
            report.events += 1
            report.odd += bool(event.faults)


def _compare_events(stored: PersistedEvent, event: PersistedEvent, row: Row, report: FileReport) -> None:
    if canonical_json(event_to_document(stored)) == canonical_json(event_to_document(event)):
        report.already_there += 1
    else:
        report.add_problem(
            "conflict",
            row.number,
            row.line,
            f"event {event.id!r} is already in the store with other content; the stored one was kept",
        )


def _save(rows: Sequence[tuple[Row, InstanceSnapshot]], stores: Stores, report: FileReport) -> None:
    latest = dict(stores.snapshots.get_snapshots({snapshot.instance.id for _, snapshot in rows}))
    fresh: list[InstanceSnapshot] = []
    for row, snapshot in rows:
        instance_id = snapshot.instance.id
        stored = latest.get(instance_id)
        if stored is None or snapshot.snapshot_at > stored.snapshot_at:
            fresh.append(snapshot)
            latest[instance_id] = snapshot
            report.snapshots += 1
            report.odd += bool(snapshot.faults)
            continue
        stores.snapshots.save_snapshots(fresh)  # the row may repeat one of them
        fresh.clear()
        if _is_kept(snapshot, stored, stores):
            report.already_there += 1
        else:
            report.add_problem(
                "conflict",
                row.number,
                row.line,
                f"the store holds another snapshot of instance {instance_id!r}, which is "
                + ("newer" if stored.snapshot_at > snapshot.snapshot_at else "of the same time")
                + "; the stored one was kept",
            )
    stores.snapshots.save_snapshots(fresh)


def _is_kept(snapshot: InstanceSnapshot, latest: InstanceSnapshot, stores: Stores) -> bool:
    wanted = canonical_json(snapshot_to_document(snapshot))
    return wanted == canonical_json(snapshot_to_document(latest)) or any(
        wanted == canonical_json(snapshot_to_document(kept))
        for kept in stores.snapshots.list_snapshots(snapshot.instance.id)
    )
