"""The log of a recovery: JSON lines, each on disk before what it tells of is written, so that all can be taken back.

The first line says which store it is of; then one line for each instance that events are added to (their ids, and a
fingerprint of those that were there), and one for each snapshot (all that were kept before, and the one that is
written); `undo` and `undone` where it was taken back.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

from xcstore.errors import QueryError
from xcstore.jsontext import NestingError, json_text, parse_json
from xcstore.ops.contents import DamagedFileError, Document

__all__ = ["AddedEvents", "RecoveryLog", "SavedSnapshot", "WrittenLog", "ids_fingerprint", "read_log"]

MAGIC: Final = "xcstore_recovery"
VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedEvents:
    """Events that were, or were to be, added to one instance."""

    instance_id: str
    event_ids: tuple[str, ...]
    before: str
    """`ids_fingerprint` of those that it had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSnapshot:
    """A snapshot that was, or was to be, saved."""

    instance_id: str
    before: tuple[Document, ...]
    """All that were kept, oldest first."""
    after: Document


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenLog:
    """What a log says."""

    store: str
    source: str | None
    at: int
    events: tuple[AddedEvents, ...]
    snapshots: tuple[SavedSnapshot, ...]
    undo_began: bool
    undone: bool


class RecoveryLog:
    """A log that is being written; a context manager."""

    def __init__(self, path: Path, *, new: bool) -> None:
        self._path = path
        try:
            self._file = path.open("xb" if new else "ab")
            if not new:
                _end_line(path)
        except FileExistsError:
            raise QueryError(f"there is a file {str(path)!r} already; name a new one for the log") from None
        except OSError as error:
            raise QueryError(f"the log {str(path)!r} cannot be written: {error.strerror}") from None

    def begin(self, store: str, source: str | None, at: int) -> None:
        self._write([{MAGIC: VERSION, "store": store, "source": source, "at": at}])
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the name of the file too
        finally:
            os.close(folder)

    def events(self, added: AddedEvents) -> None:
        self._write(
            [{"kind": "events", "instance": added.instance_id, "before": added.before, "add": list(added.event_ids)}]
        )

    def snapshots(self, saved: Iterable[SavedSnapshot]) -> None:
        self._write(
            {"kind": "snapshot", "instance": one.instance_id, "before": list(one.before), "after": one.after}
            for one in saved
        )

    def mark(self, kind: str) -> None:
        """`done`, `undo` or `undone`."""
        self._write([{"kind": kind}])

    def _write(self, documents: Iterable[Document]) -> None:
        text = "".join(f"{json_text(document)}\n" for document in documents)
        try:
            self._file.write(text.encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise QueryError(
                f"the log {str(self._path)!r} cannot be written: {error.strerror}; nothing more is written to the store"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def read_log(path: Path) -> WrittenLog:
    """What a log says. A last line that was not written whole is left out: what it tells of was not written either.

    Raises
    ------
    QueryError
        It is no log of a recovery.
    DamagedFileError
        A line before the last cannot be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise QueryError(f"the log {str(path)!r} cannot be read: {error.strerror}") from None
    lines.pop()  # '' after a whole last line, else the part of one
    documents: list[Mapping[str, object]] = []
    for number, line in enumerate(lines, 1):
        try:
            document = parse_json(line) if line else {}
        except (NestingError, ValueError):
            if number == 1:
                break
            if line.endswith(_TORN):
                continue
            raise DamagedFileError(f"{path} is damaged in line {number}") from None
        documents.append(cast(Mapping[str, object], document) if isinstance(document, Mapping) else {})
    if not documents or documents[0].get(MAGIC) != VERSION:
        raise QueryError(f"{str(path)!r} is no log of a recovery of this version of xcstore")
    for number, document in enumerate(documents, 1):
        wanted = _FIELDS.get(str(document.get("kind")), {}) if number > 1 else _FIRST
        if any(not isinstance(document.get(name), kind) for name, kind in wanted.items()):
            raise DamagedFileError(f"{path} is damaged in line {number}")
    return _written(documents)


def _written(documents: Sequence[Any]) -> WrittenLog:
    first, rest = documents[0], documents[1:]
    return WrittenLog(
        store=first["store"],
        source=first.get("source"),
        at=first["at"],
        events=tuple(
            AddedEvents(instance_id=one["instance"], event_ids=tuple(map(str, one["add"])), before=one["before"])
            for one in rest
            if one.get("kind") == "events"
        ),
        snapshots=tuple(
            SavedSnapshot(instance_id=one["instance"], before=tuple(one["before"]), after=one["after"])
            for one in rest
            if one.get("kind") == "snapshot"
        ),
        undo_began=any(one.get("kind") == "undo" for one in rest),
        undone=any(one.get("kind") == "undone" for one in rest),
    )


_FIRST: Final[dict[str, type]] = {"store": str, "at": int}
_FIELDS: Final[dict[str, dict[str, type]]] = {
    "events": {"instance": str, "before": str, "add": list},
    "snapshot": {"instance": str, "before": list, "after": dict},
}
"""What a line of that kind has to hold."""


def ids_fingerprint(ids: Iterable[str]) -> str:
    """The same for the same ids, in whatever order."""
    return sha256("\n".join(sorted(ids)).encode()).hexdigest()


_TORN: Final = b"\x18"
"""CAN: ends the part of a line that was cut off, where a log goes on behind it. JSON text holds it escaped only."""


def _end_line(path: Path) -> None:
    with path.open("rb+") as file:
        if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
            file.write(_TORN + b"\n")
