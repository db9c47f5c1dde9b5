"""The folder of an archive: what counts in it, and how a commit comes to count, whole or not at all.

A commit writes its parts under other names, flushes them to the disk and renames them; nobody reads them yet. Then it
writes a manifest that lists them, and links it to the next number: from that moment on they count. What a commit
replaced is removed afterwards. A writer that is killed leaves files that no manifest lists; the next one removes them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from xcstore.errors import NotAStoreError, ReadOnlyStoreError, StoreError, StoreUnavailableError
from xcstore.store.archive_layout import TABLES, Manifest, Part, parse_manifest

__all__ = ["ArchiveFolder", "sha256_of"]

_LOCK_SECONDS: Final = 30.0
_LOCK_POLL: Final = 0.01
_KEPT: Final = 2
"""Manifests that stay: the one that counts, and the one before, which a reader may be about to open."""
_FOLDERS: Final = tuple(dict.fromkeys(table.folder.split("/")[0] for table in TABLES.values()))


class ArchiveFolder:
    """One archive on disk. Safe to share between threads and processes.

    Opened for reading nothing is created, locked or touched. Opened for writing, a folder that is missing or empty
    becomes an archive.
    """

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.root: Final = path.resolve()
        self.identity: Final = f"archive:///{path}"
        self.read_only: Final = read_only
        self._manifests: Final = self.root / "manifest"
        self._known: tuple[tuple[int, int, int], Manifest] | None = None
        self._is_clean = False
        self._check()

    def latest(self) -> Manifest:
        """The manifest that counts now.

        Raises
        ------
        StoreError
            It is damaged. The one before is not taken in its place, as that would hide events.
        """
        for _ in range(5):
            numbers = self._numbers()
            if not numbers:
                raise NotAStoreError(f"{self.identity} is no archive: it holds no manifest")
            path = self._manifests / _name(numbers[-1])
            try:
                status = path.stat()
                key = (numbers[-1], status.st_ino, status.st_mtime_ns)
                known = self._known
                if known is not None and known[0] == key:
                    return known[1]
                manifest = parse_manifest(path.read_bytes(), self._shown(path))
            except FileNotFoundError:
                continue  # a writer that is faster than we are
            except OSError as error:
                raise StoreUnavailableError(f"{self._shown(path)} cannot be read: {error.strerror}") from error
            self._known = (key, manifest)
            return manifest
        raise StoreUnavailableError(f"{self.identity} is written by others all the time; try again")

    @contextmanager
    def writing(self) -> Iterator[Manifest]:
        """Within the block nobody else writes; gives the manifest to go on from."""
        self.check_writable()
        with self._locked():
            manifest = self.latest()
            if not self._is_clean:
                self._remove_leftovers(manifest)
                self._is_clean = True
            yield manifest

    def check_writable(self) -> None:
        if self.read_only:
            raise ReadOnlyStoreError(f"{self.identity} was opened for reading; open it with read_only=False to write")

    def add_file(self, relative: str, write: Callable[[Path], None]) -> tuple[int, str]:
        """A new file, on disk whatever happens next. `write` gets the path to write to; returns bytes and SHA-256."""
        path = self.root / relative
        with self._disk():
            self._make_folder(path.parent)
            unfinished = path.with_name(path.name + ".tmp")
            write(unfinished)
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            size, digest = unfinished.stat().st_size, sha256_of(unfinished)
            os.rename(unfinished, path)
        return size, digest

    def publish(self, manifest: Manifest, before: Manifest) -> None:
        """Make `manifest` the one that counts, then remove what it no longer lists. To be called within `writing`."""
        listed = {part.path for part in manifest.every_part()}
        old = {part.path for part in before.every_part()}
        with self._disk():
            for folder in {(self.root / path).parent for path in listed - old}:
                _flush_folder(folder)
            path = self._manifests / _name(manifest.number)
            unfinished = path.with_name(path.name + ".tmp")
            unfinished.write_bytes(manifest.to_json())
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            os.link(unfinished, path)  # fails where the number is taken, as a rename would not
            _flush_folder(self._manifests)
        # It counts: what fails from here on is left to the next writer.
        with suppress(OSError):
            os.unlink(unfinished)
        for number in self._numbers()[:-_KEPT]:
            with suppress(OSError):
                os.unlink(self._manifests / _name(number))
        self.discard(old - listed)

    def discard(self, paths: set[str]) -> None:
        """Remove files that do not count."""
        for path in paths:
            with suppress(OSError):
                os.unlink(self.root / path)

    def discard_unlisted(self, paths: set[str]) -> None:
        """Remove those of the files that do not count, by what is on disk now.

        An interrupt may come just after a manifest was published: then they count, and others are gone for them. Where
        that cannot be told they are left to the next writer.
        """
        with suppress(StoreError):
            self.discard(paths - {part.path for part in self.latest().every_part()})

    def damage(self, parts: list[Part]) -> list[str]:
        """What is wrong with these files, a sentence each: missing, of another size, or of other contents."""
        found = []
        for part in parts:
            path = self.root / part.path
            try:
                size = path.stat().st_size
                if size != part.bytes:
                    found.append(f"{part.path} has {size:,} bytes, not {part.bytes:,}")
                elif sha256_of(path) != part.sha256:
                    found.append(f"{part.path} is not what was written: its SHA-256 differs")
            except FileNotFoundError:
                found.append(f"{part.path} is missing")
            except OSError as error:
                found.append(f"{part.path} cannot be read: {error.strerror}")
        return found

    def _check(self) -> None:
        if not self.root.exists():
            if self.read_only:
                raise StoreUnavailableError(f"{self.identity} does not exist; check the path, or write one first")
            if not self.root.parent.is_dir():
                raise StoreUnavailableError(f"the folder that shall hold {self.identity} does not exist; make it first")
            with self._disk(), suppress(FileExistsError):
                self.root.mkdir()
        if not self.root.is_dir():
            raise StoreUnavailableError(f"{self.identity} is a file; give the path of a folder")
        if not self.read_only and not self._numbers():
            with self._disk():
                if any(entry.name not in ("write.lock", "manifest") for entry in os.scandir(self.root)):
                    raise NotAStoreError(f"{self.identity} holds other files; give the path of an empty folder")
                self._manifests.mkdir(exist_ok=True)
            with self._locked():
                if not self._numbers():
                    self.publish(Manifest(number=1), Manifest())
        self.latest()

    def _numbers(self) -> list[int]:
        try:
            names = os.listdir(self._manifests)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StoreUnavailableError(f"{self.identity} cannot be read: {error.strerror}") from error
        return sorted(int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdecimal())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._disk():
            lock = os.open(self.root / "write.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            deadline = time.monotonic() + _LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise StoreUnavailableError(
                            f"{self.identity} is locked by another writer for over {_LOCK_SECONDS:g} s"
                        ) from None
                    _pause.wait(_LOCK_POLL)
            yield
        finally:
            os.close(lock)

    def _remove_leftovers(self, manifest: Manifest) -> None:
        listed = {part.path for part in manifest.every_part()}
        for top in _FOLDERS:
            for folder, _, names in os.walk(self.root / top):
                for name in names:
                    path = Path(folder, name)
                    if name.endswith((".parquet", ".parquet.tmp")) and (
                        path.relative_to(self.root).as_posix() not in listed
                    ):
                        path.unlink(missing_ok=True)
        for path in self._manifests.glob("*.tmp"):
            path.unlink(missing_ok=True)

    def _make_folder(self, folder: Path) -> None:
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for made in reversed(missing):
            made.mkdir(exist_ok=True)
            _flush_folder(made.parent)

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"{self.identity} could not be written: {error.strerror or error}") from error

    def _shown(self, path: Path) -> str:
        return f"{path.relative_to(self.root).as_posix()} of {self.identity}"


_pause: Final = threading.Event()
"""Never set: waiting for it is a pause."""


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _name(number: int) -> str:
    return f"{number:08}.json"


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
