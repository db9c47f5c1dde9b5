"""What mongodump writes: folders of BSON files, single ones, and archives; packed or not.

A BSON file is documents, one after the other. They are sorted in temporary files into the order in which a store over
them would give them, so that memory does not grow with the dump.
"""

from __future__ import annotations

import gzip
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from io import SEEK_END
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import bson
from bson.errors import BSONError

from xcstore.errors import CorruptEventError, NotAStoreError, QueryError
from xcstore.jsontext import parse_json
from xcstore.ops.contents import DamagedFileError, Document, Row, event_document, snapshot_document
from xcstore.ops.crc64 import Crc64
from xcstore.ops.sorting import Sorter
from xcstore.redaction import NO_REDACTION
from xcstore.store.base import StoredDefinition, StoredWork
from xcstore.store.mongo_documents import OURS, READING, plain_document, unpack_event, unpack_snapshot
from xcstore.store.mongo_layout import BATCHES, DEFINITIONS, EXTRA, HISTORY, INTENTS, META, OUTBOX

__all__ = ["ARCHIVE_MAGIC", "MongoDumpContents", "has_bson_files", "looks_like_bson"]

ARCHIVE_MAGIC: Final = bytes.fromhex("6de29981")
_END: Final = b"\xff\xff\xff\xff"
_LARGEST: Final = 64 << 20
"""Bytes of a document; MongoDB's own limit is 16 MB, and dumps have a little more."""
_COLLECTIONS: Final = ("events", "snapshots")
_BESIDE: Final = (EXTRA, BATCHES, HISTORY, DEFINITIONS, OUTBOX)
_LAST: Final = 2**63
_GZIP: Final = b"\x1f\x8b"

OnBytes = Callable[[int], None]


def looks_like_bson(start: bytes) -> bool:
    """Whether a file that starts so may be documents of BSON."""
    if len(start) < 5:
        return False
    (size,) = struct.unpack_from("<i", start)
    return 5 <= size <= _LARGEST and start[4] in (*range(0x01, 0x14), 0x7F, 0xFF, 0x00)


def has_bson_files(folder: Path) -> bool:
    return any(_files(folder, name) for name in _COLLECTIONS)


class MongoDumpContents:
    """The contents of a dump, read and sorted when it is made.

    Parameters
    ----------
    path : Path
        A folder with ``events.bson`` and ``snapshots.bson`` in it or below it, one such file, or an archive.
    salvage : bool
        Keep what came before a damage; `damages` says where it is.
    on_bytes : callable
        Called with the number of bytes of each document that was read.

    Raises
    ------
    DamagedFileError
        The dump ends too early, or a document cannot be read.
    NotAStoreError
        It holds no events, or those of several databases.
    """

    def __init__(self, path: Path, *, salvage: bool = False, on_bytes: OnBytes = lambda _: None) -> None:
        self.name = str(path)
        self._rows = {name: Sorter() for name in (*_COLLECTIONS, DEFINITIONS)}
        self._works = 0
        self._counts = dict.fromkeys(_COLLECTIONS, 0)
        self._notes: list[str] = []
        self._damages: list[str] = []
        self._others: set[str] = set()
        self._unfinished: set[object] = set()
        """Numbers of batches whose events do not count."""
        self._extra: dict[str, tuple[int, int]] = {}
        """Where texts are in `_extra_file`."""
        self._extra_file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `close`
        self._salvage = salvage
        self._on_bytes = on_bytes
        try:
            if path.is_dir():
                self._read_folder(path)
            elif _start(path) == ARCHIVE_MAGIC:
                self._read(path, None)
            else:
                self._read(path, "snapshots" if "snapshot" in path.name else "events")
        except OSError as error:
            self.close()
            raise QueryError(f"{path} cannot be read, or there is no room to sort it: {error.strerror}") from error
        except BaseException:
            self.close()
            raise
        if self._works:
            self._notes.append("what runtimes have still to do is not read from a dump; use backup to have it")
        if has_other := self._others - {META, INTENTS}:
            self._notes.append(f"other collections are left out: {', '.join(sorted(has_other)[:10])}")

    @property
    def event_count(self) -> int:
        return self._counts["events"]

    @property
    def notes(self) -> Sequence[str]:
        return tuple(self._notes)

    @property
    def damages(self) -> Sequence[str]:
        return tuple(self._damages)

    def definitions(self) -> Iterator[StoredDefinition]:
        for _, (_, raw) in self._rows[DEFINITIONS]:
            document = bson.decode(raw, READING)
            kept = cast(Document, parse_json(document["document"]))
            yield StoredDefinition(hash=document["_id"], component_name=document["componentName"], document=kept)

    def events(self) -> Iterator[Row]:
        for _, (place, raw) in self._rows["events"]:
            document = bson.decode(raw, READING)
            beside = document.get(OURS)
            if isinstance(beside, dict) and beside.get("batch") in self._unfinished:
                continue
            try:
                event = unpack_event(document, NO_REDACTION, ours=isinstance(beside, dict), read_chunks=self._text)
                yield Row(place, event_document(event))
            except CorruptEventError:
                yield Row(place, _unusable(raw))

    def snapshots(self) -> Iterator[Row]:
        for place, raw in self._snapshot_rows():
            document = bson.decode(raw, READING)
            is_ours = isinstance(document.get(OURS), dict)
            try:
                snapshot = unpack_snapshot(document, NO_REDACTION, ours=is_ours, read_chunks=self._text)
                yield Row(place, snapshot_document(snapshot))
            except CorruptEventError:
                yield Row(place, _unusable(raw))

    def work(self) -> Iterator[StoredWork]:
        yield from ()

    def close(self) -> None:
        for sorter in self._rows.values():
            sorter.close()
        self._extra_file.close()

    # Reading

    def _read_folder(self, folder: Path) -> None:
        for name in (*_COLLECTIONS, *_BESIDE):
            files = _files(folder, name)
            if len(files) > 1:
                raise NotAStoreError(
                    f"{self.name} holds the collection {name} of several databases; name the folder of one of them: "
                    f"{', '.join(sorted(str(file.parent) for file in files)[:5])}"
                )
            if files:
                self._read(files[0], name)
            elif name == "events":
                raise NotAStoreError(f"{self.name} has no events.bson")
            elif name == "snapshots":
                self._notes.append("the dump holds no snapshots.bson")

    def _read(self, path: Path, collection: str | None) -> None:
        """One file; without a collection, an archive."""
        with path.open("rb") as raw:
            file = cast(BinaryIO, gzip.GzipFile(fileobj=raw) if _is_packed(path) else raw)
            try:
                found = _archived(file) if collection is None else ((collection, part) for part in _documents(file))
                for name, document in found:
                    self._add(name, document)
            except DamagedFileError as error:
                self._damage(f"{path} is damaged: {error}")
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                self._damage(f"{path} is damaged: not readable as gzip ({error})")

    def _add(self, collection: str, raw: bytes) -> None:
        self._on_bytes(len(raw))
        if collection not in _COLLECTIONS:
            if collection in _BESIDE:
                self._add_beside(collection, bson.decode(raw, READING), raw)
            else:
                self._others.add(collection)
            return
        number = self._counts[collection] + 1
        try:
            document = bson.decode(raw, READING)
        except BSONError as error:
            raise DamagedFileError(f"document {number:,} of {collection} cannot be read ({error})") from None
        self._counts[collection] = number
        self._rows[collection].add(_place(collection, document), (f"{collection}.bson, document {number:,}", raw))

    def _add_beside(self, collection: str, document: dict[str, Any], raw: bytes) -> None:
        """What a store of ours keeps beside its events."""
        if collection == BATCHES:
            self._unfinished.add(document["_id"])
        elif collection == EXTRA:
            start = self._extra_file.seek(0, SEEK_END)
            self._extra[document["_id"]] = (start, self._extra_file.write(document["data"]))
        elif collection == HISTORY:
            place = f"{HISTORY}.bson, snapshot {document['seq']}"
            key = (0, document["instanceId"], document["seq"], 0)
            self._rows["snapshots"].add(key, (place, bson.encode(document["document"])))
        elif collection == DEFINITIONS:
            self._rows[DEFINITIONS].add((document["seq"],), ("", raw))
        else:
            self._works += 1

    def _damage(self, message: str) -> None:
        if not self._salvage:
            raise DamagedFileError(message)
        self._damages.append(f"{message}; what comes after is not read")

    def _snapshot_rows(self) -> Iterator[tuple[str, bytes]]:
        """As the store lists them: those of the history up to the latest, which is the last of them."""
        for key, group in groupby(self._rows["snapshots"], key=lambda pair: pair[0][:2]):
            rows = list(group)
            if key[0] == 1:  # none that can be used
                yield from (row for _, row in rows)
                continue
            latest = next((number for number, (place, _) in enumerate(rows) if place[3] == 1), None)
            if latest is None:
                continue
            is_twice = latest > 0 and rows[latest - 1][0][2] == rows[latest][0][2]
            yield from (row for _, row in (rows[:latest] if is_twice else rows[: latest + 1]))

    def _text(self, seq: int, count: int) -> bytes:
        """The exact text of a document, kept beside it."""
        parts = []
        for number in range(count):
            start, size = self._extra.get(f"{seq}.{number}", (0, -1))
            if size < 0:
                raise DamagedFileError(
                    f"{self.name} has events whose exact text is in the collection fsm_event_extra, without that; "
                    "dump the whole database"
                )
            self._extra_file.seek(start)
            parts.append(self._extra_file.read(size))
        return b"".join(parts)


def _files(folder: Path, collection: str) -> list[Path]:
    """The BSON files of a collection: in the folder, else in one below it."""
    names = (f"{collection}.bson", f"{collection}.bson.gz")
    here = [folder / name for name in names if (folder / name).is_file()]
    return here or [file for name in names for file in folder.glob(f"*/{name}")]


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == _GZIP


def _start(path: Path) -> bytes:
    with path.open("rb") as raw:
        return (gzip.GzipFile(fileobj=raw) if _is_packed(path) else raw).read(4)


def _documents(file: BinaryIO) -> Iterator[bytes]:
    """The documents of a file, as they are; those of an archive up to the end of a part."""
    number = 0
    while head := _whole(file, 4, number, at_start=True):
        if head == _END:
            return
        number += 1
        (size,) = struct.unpack("<i", head)
        if not 5 <= size <= _LARGEST:
            raise DamagedFileError(f"document {number:,} says that it has {size:,} bytes")
        yield head + _whole(file, size - 4, number)


def _whole(file: BinaryIO, size: int, number: int, *, at_start: bool = False) -> bytes:
    raw = file.read(size)
    if len(raw) < size and not (at_start and not raw):
        raise DamagedFileError(f"the file ends within document {max(number, 1):,}")
    return raw


def _archived(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """The documents of an archive with their collections. Parts of several collections take turns in it."""
    file.read(len(ARCHIVE_MAGIC))
    for _ in _documents(file):  # what the archive is of, and the indexes of each collection
        pass
    databases: set[str] = set()
    ended: set[tuple[str, str]] = set()
    sums: dict[tuple[str, str], Crc64] = {}
    changed: list[str] = []
    while True:
        part = _documents(file)
        raw = next(part, None)
        if raw is None:
            break
        try:
            header = bson.decode(raw, READING)
        except BSONError as error:
            raise DamagedFileError(f"the header of a part cannot be read ({error})") from None
        name = str(header.get("collection"))
        whole_name = str(header.get("db")), name
        summed = sums.setdefault(whole_name, Crc64())
        if header.get("EOF"):
            ended.add(whole_name)
            if header.get("CRC", summed.value()) != summed.value():
                changed.append(name)
        if name in _COLLECTIONS:
            databases.add(str(header.get("db")))
            if len(databases) > 1:
                raise NotAStoreError(
                    f"the archive holds collections of several databases ({', '.join(sorted(databases))}); "
                    "dump one of them with mongodump --db"
                )
        for document in part:
            summed.add(document)
            yield name, document
    if missing := sorted(sums.keys() - ended):
        raise DamagedFileError(f"the archive ends before the end of the collection {missing[0][1]}")
    if changed:
        raise DamagedFileError(f"the collection {changed[0]} is not what mongodump wrote: its CRC is another")


def _place(collection: str, document: dict[str, Any]) -> tuple[Any, ...]:
    """Where a document comes in the order of the store; at the end where it cannot be used."""
    is_ours = isinstance(document.get(OURS), dict)
    try:
        if collection == "snapshots":
            seq = document[OURS].get("seq", _LAST) if is_ours else _LAST
            instance_id = document["instance"].get("id") if isinstance(document.get("instance"), dict) else None
            return (0, instance_id, seq, 1) if isinstance(instance_id, str) and instance_id else (1, "")
        if is_ours:
            document[OURS] = {"seq": document[OURS].get("seq")}  # ids and times are right without the exact text
        event = unpack_event(document, NO_REDACTION, ours=is_ours, read_chunks=_nothing)
    except CorruptEventError:
        return (1, "")
    return (0, event.persisted_at, event.seq or 0, event.id)


def _unusable(raw: bytes) -> Document:
    """The document as it is: whoever takes the row says why it cannot be used."""
    return plain_document(bson.decode(raw, READING))[0]


def _nothing(seq: int, count: int) -> bytes:
    return b"{}"
