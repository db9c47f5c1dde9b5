"""A store into one file, which can be interrupted, and says itself whether it is whole.

What a backup holds: everything that the store held when it began, as events are only ever added; the count of then
tells whether (`BackupReport.missing`). Snapshots are read before events, so that the last event of each is in it. Of
what is appended while it is made, what comes later in page order is in it too, and what does not is counted
(`BackupReport.appended_meanwhile`). What runtimes have still to do is of the end: it agrees with the events where
nobody wrote meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from xcstore.errors import QueryError
from xcstore.ops.backup_file import BackupFile, Member, member_bytes, read_members
from xcstore.ops.contents import (
    PAGE,
    DamagedFileError,
    Document,
    definition_document,
    event_document,
    has_other_kinds,
    kept_snapshots,
    not_taken,
    refuse_redacted,
    snapshot_document,
    work_document,
)
from xcstore.ops.digests import Digester, StoreDigest
from xcstore.store.base import Cursor, EventQuery, Stores

__all__ = ["BackupReport", "part_of", "write_backup"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupReport:
    """What became of a backup."""

    path: Path
    digest: StoreDigest
    resumed_after: int
    """So many events were in the file before; 0 for one from the start."""
    appended_meanwhile: int
    """Events that came while it was made, and are not in it; at least so many, where others were removed meanwhile."""
    missing: int
    """Events that the store counted when it began, and that are not in it: removed meanwhile, or not given."""
    other_kinds: int
    """Events with values that JSON has no form for, in the part that was written now."""
    size_bytes: int


def part_of(path: Path) -> Path:
    """Where the backup is while it is made."""
    return path.with_name(path.name + ".part")


def write_backup(
    stores: Stores, path: Path, *, resume: bool = False, on_progress: Progress = lambda done, total: None
) -> BackupReport:
    """Write everything that a store holds to `path`, which must not be there yet.

    Parameters
    ----------
    stores : Stores
        Opened without redaction; for reading is enough.
    path : Path
        Written beside as `PATH.part`, read back and compared, then renamed.
    resume : bool
        Go on behind the last whole member of `PATH.part`. Without it, one that is there is refused.
    on_progress : callable
        Called with (events, events in all).

    Raises
    ------
    QueryError
        The file is there already; or what is to be gone on with is of another store; or parts of the data are masked.
    DamagedFileError
        What was written is not what was read: the disk, or somebody else writing to the same file.
    StoreError
        The store failed; what was written whole stays, and can be gone on with.
    """
    refuse_redacted(stores)
    part = part_of(path)
    if path.exists():
        raise QueryError(f"{path} is there already; name another file, or move it away")
    if part.exists() and not resume:
        raise QueryError(f"{part} is there, of a backup that was interrupted; go on with --resume, or remove it")
    try:
        with part.open("r+b" if part.exists() else "xb") as file:
            writer = _Writer(stores, file, part)
            writer.go_on()
            writer.write(on_progress)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise QueryError(f"{part} cannot be written: {error.strerror}") from error
    digest = BackupFile(part).check()
    part.rename(path)
    _sync_folder(path.parent)
    return BackupReport(
        path=path,
        digest=digest,
        resumed_after=writer.resumed_after,
        appended_meanwhile=writer.appended_meanwhile,
        missing=writer.missing,
        other_kinds=writer.other_kinds,
        size_bytes=path.stat().st_size,
    )


class _Writer:
    def __init__(self, stores: Stores, file: BinaryIO, part: Path) -> None:
        self._stores: Final = stores
        self._file: Final = file
        self._part: Final = part
        self._digester: Final = Digester()
        self._last: Member | None = None
        self.resumed_after = 0
        self.appended_meanwhile = 0
        self.missing = 0
        self._counted = 0
        """Events that the store had when the backup began."""
        self.other_kinds = 0

    def go_on(self) -> None:
        """Read what is there, and cut off what is not whole."""
        end = 0
        for member in _whole_members(self._part):
            if self._last is None:
                self._check_header(member)
            for document in member.documents():
                self._digester.add(member.kind, document)
            self._last, end = member, member.end
        self._file.truncate(end)
        self._file.seek(end)
        self.resumed_after = self._digester.event_count

    def write(self, on_progress: Progress) -> None:
        events = self._stores.events
        total = events.count(EventQuery())[0].count
        last, after = (self._last.kind, self._last.next) if self._last else ("", None)
        if last == "":
            self._counted = total
            source = {"source": events.identity, "layout": events.layout, "events": total, "began_at": _now()}
            self._put("header", [], **source)
        if last in ("", "header"):
            self._put("definitions", [definition_document(d) for d in self._stores.definitions.get_all_definitions()])
        if last in ("", "header", "definitions") or (last == "snapshots" and after is not None):
            start = Cursor(after) if last == "snapshots" and after is not None else None
            for page, following in kept_snapshots(self._stores, start):
                self._put("snapshots", [snapshot_document(snapshot) for snapshot in page], next=following)
        if last not in ("work", "trailer") and not (last == "events" and after is None):
            self._put_events(Cursor(after) if last == "events" and after is not None else None, total, on_progress)
        if last not in ("work", "trailer"):
            self._put("work", [work_document(work) for work in events.get_outbox()])
        if last == "trailer":
            assert self._last is not None
            self.appended_meanwhile = cast(int, self._last.control["appended_meanwhile"])
            self.missing = cast(int, self._last.control.get("missing", 0))
        else:
            now, taken = events.count(EventQuery())[0].count, self._digester.event_count
            self.appended_meanwhile, self.missing = not_taken(self._counted, taken, now)
            digest = self._digester.digest().to_document()
            told = {"appended_meanwhile": self.appended_meanwhile, "missing": self.missing}
            self._put("trailer", [], digest=digest, ended_at=_now(), **told)

    def _put_events(self, after: Cursor | None, total: int, on_progress: Progress) -> None:
        while True:
            page = self._stores.events.find(EventQuery(), after=after, limit=PAGE)
            self.other_kinds += sum(map(has_other_kinds, page.items))
            self._put("events", [event_document(event) for event in page.items], next=page.next)
            on_progress(self._digester.event_count, max(total, self._digester.event_count))
            after = page.next
            if after is None:
                return

    def _put(self, kind: str, documents: list[Document], **control: object) -> None:
        for document in documents:
            self._digester.add(kind, document)
        self._file.write(member_bytes(kind, documents, **control))
        self._file.flush()

    def _check_header(self, header: Member) -> None:
        source = header.control.get("source")
        self._counted = cast(int, header.control.get("events", 0))
        if header.kind != "header" or source != self._stores.identity:
            raise QueryError(f"{self._part} is of {source}, not of {self._stores.identity}; remove it, or name another")


def _whole_members(part: Path) -> Iterator[Member]:
    with contextlib.suppress(DamagedFileError):  # it ends here
        yield from read_members(part)


def _now() -> int:
    return time.time_ns() // 1_000_000


def _sync_folder(folder: Path) -> None:
    """So that the new name is there after a power cut; not all systems can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
