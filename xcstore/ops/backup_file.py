"""The file of a backup: gzip members, each whole in itself, with JSON lines in them.

`gzip -dc FILE` shows it all. The first line of each member says what it is (`kind`), how many documents follow
(`rows`), and from where the reading of the store goes on (`next`); the documents follow, one on each line, with their
keys in the order in which the store has them:

header        of which store, when, how many events it held then
definitions   one member
snapshots     members of a page each, all that are kept, by instance id
events        members of a page each, in page order
work          one member: what runtimes have still to do
trailer       counts and digests of all that came before (`ops.digests`)

A file that ends within a member is the beginning of a backup: what was written before is whole, and a backup goes on
behind it.
"""

from __future__ import annotations

import gzip
import mmap
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from xcstore.errors import QueryError
from xcstore.jsontext import NestingError, json_text, parse_json
from xcstore.ops.contents import (
    DamagedFileError,
    Document,
    Row,
    definition_from_document,
    work_from_document,
)
from xcstore.ops.digests import Digester, StoreDigest, differences
from xcstore.store.base import StoredDefinition, StoredWork

__all__ = ["MAGIC", "VERSION", "BackupFile", "Member", "member_bytes", "read_members"]

VERSION: Final = 1
MAGIC: Final = "xcstore_backup"
_KINDS: Final = ("header", "definitions", "snapshots", "events", "work", "trailer")
_BLOCK: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b\x08\x00"
_LEVEL: Final = 6

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Member:
    """One member of the file."""

    number: int
    """From 1."""
    kind: str
    next: str | None
    control: Mapping[str, object]
    lines: Sequence[bytes]
    end: int
    """The byte after it."""

    def documents(self) -> Iterator[Document]:
        for number, line in enumerate(self.lines, 1):
            try:
                document = parse_json(line)
            except (NestingError, ValueError) as error:
                raise DamagedFileError(f"member {self.number}, row {number}: {error}") from None
            if not isinstance(document, Mapping):
                raise DamagedFileError(f"member {self.number}, row {number} is no document")
            yield cast(Document, document)


def member_bytes(kind: str, documents: Iterable[Document], **control: object) -> bytes:
    """A member, ready to be written; `control` is said of it beside its kind and its rows."""
    lines = [json_text(document) for document in documents]
    first = json_text({MAGIC: VERSION, "kind": kind, "rows": len(lines), **control})
    return gzip.compress(("\n".join([first, *lines]) + "\n").encode(), _LEVEL, mtime=0)


def read_members(path: Path, *, on_damage: Callable[[str], None] | None = None) -> Iterator[Member]:
    """The members of a file in their order.

    Parameters
    ----------
    path : Path
    on_damage : callable, optional
        Told of a member that cannot be read, which is then passed over; without it that is an error.

    Raises
    ------
    DamagedFileError
        A member is damaged, or the file ends within it.
    QueryError
        The file is no backup, or one of a later version.
    """
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise DamagedFileError(f"{path} is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
            start = number = 0
            while start < len(raw):
                number += 1
                try:
                    text, end = _decompressed(raw, start)
                    member = _parsed(path, number, text, end)
                except DamagedFileError as error:
                    message = f"{path} is damaged in member {number}, at byte {start:,}: {error}"
                    if on_damage is None:
                        raise DamagedFileError(message) from None
                    on_damage(message)
                    start = raw.find(_GZIP, start + 1)
                    if start < 0:
                        return
                    continue
                yield member
                start = end


def _decompressed(raw: mmap.mmap, start: int) -> tuple[bytes, int]:
    inflater = zlib.decompressobj(wbits=31)
    parts, at = [], start
    try:
        while not inflater.eof and at < len(raw):
            parts.append(inflater.decompress(raw[at : at + _BLOCK]))
            at = min(at + _BLOCK, len(raw))
    except zlib.error as error:
        raise DamagedFileError(f"not readable as gzip ({error})") from None
    if not inflater.eof:
        raise DamagedFileError("the file ends within it")
    return b"".join(parts), at - len(inflater.unused_data)


def _parsed(path: Path, number: int, text: bytes, end: int) -> Member:
    first, *lines = text.split(b"\n")
    try:
        control = parse_json(first)
    except (NestingError, ValueError):
        control = None
    if not isinstance(control, Mapping) or MAGIC not in control or control.get("kind") not in _KINDS:
        raise DamagedFileError("its first line is not that of a backup")
    if control[MAGIC] != VERSION:
        raise QueryError(
            f"{path} is a backup of version {control[MAGIC]!r}; this version of xcstore reads version {VERSION}"
        )
    if lines.pop() != b"" or len(lines) != control.get("rows"):
        raise DamagedFileError(f"it holds {len(lines):,} rows, not {control.get('rows')!r}")
    following = control.get("next")
    return Member(
        number, cast(str, control["kind"]), following if isinstance(following, str) else None, control, lines, end
    )


class BackupFile:
    """The contents of a backup.

    Parameters
    ----------
    path : Path
    salvage : bool
        Read what can be read of a damaged file; `damages` says what could not.

    Raises
    ------
    DamagedFileError
        Nothing of the file can be read.
    """

    def __init__(self, path: Path, *, salvage: bool = False) -> None:
        self._path = path
        self._salvage = salvage
        self._damages: dict[str, None] = {}
        self.notes: Sequence[str] = ()
        header = next(self._members(), None)
        if header is None:
            raise DamagedFileError(f"nothing of {path} can be read")
        counts = header.control.get("events") if header.kind == "header" else None
        self._event_count = counts if type(counts) is int else None

    @property
    def name(self) -> str:
        return str(self._path)

    @property
    def event_count(self) -> int | None:
        return self._event_count

    @property
    def damages(self) -> Sequence[str]:
        return tuple(self._damages)

    def check(self, on_progress: Progress = lambda done, total: None) -> StoreDigest:
        """Read all of it, and hold it against what it says of itself.

        Raises
        ------
        DamagedFileError
            It is damaged; not with `salvage`, which notes it.
        """
        digester = Digester()
        trailer: Mapping[str, object] | None = None
        for member in self._members():
            if member.kind == "trailer":
                trailer = member.control
                continue
            for document in member.documents():
                digester.add(member.kind, document)
            on_progress(digester.event_count, max(self._event_count or 0, digester.event_count))
        digest = digester.digest()
        if trailer is None:
            self._damage(f"{self._path} is a backup that was not finished: its trailer is missing")
        elif found := differences(cast(Document, trailer["digest"]), digest.to_document()):
            self._damage(f"{self._path} does not hold what its trailer says ({'; '.join(found)})")
        return digest

    def definitions(self) -> Iterator[StoredDefinition]:
        for row in self._rows("definitions"):
            yield definition_from_document(row.document)

    def events(self) -> Iterator[Row]:
        yield from self._rows("events")

    def snapshots(self) -> Iterator[Row]:
        yield from self._rows("snapshots")

    def work(self) -> Iterator[StoredWork]:
        for row in self._rows("work"):
            yield work_from_document(row.document)

    def close(self) -> None:
        """Nothing is open between two readings."""

    def _rows(self, kind: str) -> Iterator[Row]:
        number = 0
        for member in self._members():
            if member.kind == kind:
                for document in member.documents():
                    number += 1
                    yield Row(f"{kind.removesuffix('s')} {number:,}", document)

    def _members(self) -> Iterator[Member]:
        return read_members(self._path, on_damage=self._damage if self._salvage else None)

    def _damage(self, message: str) -> None:
        if not self._salvage:
            raise DamagedFileError(message)
        self._damages[message] = None
