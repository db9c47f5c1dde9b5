"""What `restore` takes: a backup, a dump, or the URL of a store; told apart by looking at them."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, Final, cast

from xcstore.errors import QueryError
from xcstore.ops.backup_file import MAGIC, BackupFile
from xcstore.ops.contents import Contents, DamagedFileError, StoreContents
from xcstore.ops.mongodump import ARCHIVE_MAGIC, MongoDumpContents, has_bson_files, looks_like_bson
from xcstore.ops.pg_tables import PgDumpContents, open_custom_dump
from xcstore.store.opening import open_stores

__all__ = ["open_source"]

_PEEK: Final = 4_096
_GZIP: Final = b"\x1f\x8b"
_KNOWN: Final = (
    "known are backups of xcstore, what pg_dump writes (plain, custom, directory or tar), "
    "what mongodump writes (a folder, a .bson file or an archive), and the URL of a store"
)

OnBytes = Callable[[int], None]


def open_source(
    source: str,
    *,
    salvage: bool = False,
    statement_timeout_ms: int = 10_000,
    on_bytes: OnBytes = lambda _: None,
) -> Contents:
    """The contents behind a path or a URL; close them after use.

    Parameters
    ----------
    source : str
    salvage : bool
        Take what can be read of a damaged file; the contents' `damages` say what could not.
    statement_timeout_ms : int
        Of stores.
    on_bytes : callable
        Called with the number of bytes of each block of a dump that is read before this returns.

    Raises
    ------
    QueryError
        It is nothing that we know.
    DamagedFileError
        It is, but damaged.
    StoreError
        The store cannot be opened.
    """
    if "://" in source:
        # Not redacted: what is masked would be masked for ever.
        return StoreContents(open_stores(source, read_only=True, statement_timeout_ms=statement_timeout_ms))
    path = Path(source)
    try:
        if path.is_dir():
            return _open_folder(path, salvage, on_bytes)
        if not path.is_file():
            raise QueryError(f"there is no file {source!r}")
        return _open_file(path, salvage, on_bytes)
    except OSError as error:
        raise QueryError(f"{source!r} cannot be read: {error.strerror}") from error


def _open_folder(path: Path, salvage: bool, on_bytes: OnBytes) -> Contents:
    if (path / "toc.dat").is_file():
        return PgDumpContents(str(path), partial(open_custom_dump, path), salvage=salvage, on_bytes=on_bytes)
    if has_bson_files(path):
        return MongoDumpContents(path, salvage=salvage, on_bytes=on_bytes)
    raise QueryError(f"{str(path)!r} is a folder without a dump; {_KNOWN}; an archive is named archive:///{path}")


def _open_file(path: Path, salvage: bool, on_bytes: OnBytes) -> Contents:
    start = _start(path)
    if start.startswith(b'{"' + MAGIC.encode()):
        return BackupFile(path, salvage=salvage)
    if start.startswith(b"PGDMP") and _is_packed(path):
        raise QueryError(f"{str(path)!r} is packed around pg_dump's own format; unpack it first: gunzip {path}")
    if start.startswith(b"PGDMP") or (start[257:262] == b"ustar" and tarfile.is_tarfile(path)):
        return PgDumpContents(str(path), partial(open_custom_dump, path), salvage=salvage, on_bytes=on_bytes)
    if start.startswith(ARCHIVE_MAGIC) or looks_like_bson(start):
        return MongoDumpContents(path, salvage=salvage, on_bytes=on_bytes)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith((b"--", b"SET ", b"\\restrict", b"CREATE ", b"INSERT ", b"COPY ")):
        return PgDumpContents(str(path), partial(_open_text, path), salvage=salvage, on_bytes=on_bytes)
    if text.startswith((b"{", b"[")):
        raise QueryError(f"{str(path)!r} is JSON; put it into a store with: import {path} --into URL")
    what = f"it starts with {bytes(start[:20])!r}" if start else "it is empty"
    raise QueryError(f"{str(path)!r} is no backup and no dump: {what}; {_KNOWN}")


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == _GZIP


def _start(path: Path) -> bytes:
    """The first bytes, unpacked."""
    with path.open("rb") as file:
        start = file.read(_PEEK)
    if not start.startswith(_GZIP):
        return start
    try:
        return zlib.decompressobj(wbits=31).decompress(start, _PEEK)
    except zlib.error as error:
        raise DamagedFileError(f"{path} is damaged at its beginning: {error}") from None


@contextmanager
def _open_text(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as raw:
        if raw.read(2) != _GZIP:
            raw.seek(0)
            yield raw
            return
        raw.seek(0)
        with gzip.GzipFile(fileobj=raw) as packed:
            try:
                yield cast(Any, BufferedReader(cast(Any, packed), 1 << 20))
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise DamagedFileError(f"not readable as gzip: {error}") from None
