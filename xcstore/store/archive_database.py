"""DuckDB over the Parquet files of an archive.

DuckDB holds nothing itself: each question reads the parts that the manifest lists at that moment. It may read the
archive's folder and nothing else, loads no extension, and spills to a temporary folder of the system.
"""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import uuid4

import duckdb

from xcstore.errors import StoreError, StoreTimeoutError, StoreUnavailableError
from xcstore.store.archive_folder import ArchiveFolder
from xcstore.store.archive_layout import TABLES, Manifest, Part
from xcstore.store.cancelling import RunningQueries

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ArchiveDatabase", "Question", "Row", "quoted"]

T = TypeVar("T")
Row = tuple[Any, ...]

_ATTEMPTS: Final = 5
_REPEAT: Final = 0.02
_MEMORY: Final = 1024**3
_INT64: Final = 2**63


_CTRL_C: Final = "Query interrupted"
"""What DuckDB makes of an interrupt from the keyboard."""


class Question:
    """Statements about one moment of the archive, on a connection of their own.

    Parameters of statements are collected here: `among`, `value` and `source` return SQL that names them.
    """

    def __init__(self, manifest: Manifest, root: Path, cursor: duckdb.DuckDBPyConnection) -> None:
        self.manifest: Final = manifest
        self.cursor: Final = cursor
        self._root: Final = root
        self._withdrawn = threading.Event()
        self._stirred = threading.Event()
        self._ended = threading.Event()
        self._used: dict[str, Part] = {}
        self._parameters: dict[str, object] = {}

    def source(self, table: str, parts: Sequence[Part] | None = None) -> str:
        """The rows of these parts (None: of all) as something to select from."""
        if parts is None:
            parts = self.manifest.parts(table)
        if not parts:
            columns = ", ".join(f"NULL::{kind} AS {name}" for name, kind in TABLES[table].columns.items())
            return f"(SELECT {columns} WHERE false)"
        self._used.update((part.path, part) for part in parts)
        files = self.value([str(self._root / part.path) for part in parts])
        return f"read_parquet({files}, hive_partitioning = false)"

    def value(self, value: object) -> str:
        """A parameter. Whole numbers are brought to the nearest that a column can hold."""
        if type(value) is int:
            value = max(-_INT64, min(_INT64 - 1, value))
        name = f"p{len(self._parameters)}"
        self._parameters[name] = value
        return f"${name}"

    def among(self, column: str, values: Iterable[object]) -> str:
        """A condition: the column is one of the values. Text that no column holds is left out."""
        wanted = [value for value in values if not isinstance(value, str) or _is_storable(value)]
        return f"{column} IN {self.value(wanted)}" if wanted else "false"

    def rows(self, sql: str) -> list[Row]:
        """All rows of one statement; the parameters collected so far are its own."""
        self._check_withdrawn()
        found = self.cursor.execute(sql, self.parameters()).fetchall()
        self._check_withdrawn()
        return found

    def arrow(self, sql: str) -> pa.Table:
        """All rows of one statement as Arrow."""
        self._check_withdrawn()
        found = self.cursor.sql(sql, params=self.parameters()).to_arrow_table()
        self._check_withdrawn()
        return found

    def parameters(self) -> dict[str, object]:
        """What was collected for the next statement; then it is forgotten."""
        taken, self._parameters = self._parameters, {}
        return taken

    def withdraw(self) -> None:
        """End it, from another thread."""
        self._withdrawn.set()
        self._stirred.set()

    def watch(self, seconds: float) -> None:
        """Interrupt it when it is withdrawn, or after so many seconds; to be run in a thread, until `end`.

        An interrupt that comes between two steps of a statement is lost, so it is repeated.
        """
        self._stirred.wait(seconds)
        while not self._ended.is_set():
            self._withdrawn.set()
            with suppress(duckdb.Error):
                self.cursor.interrupt()
            self._ended.wait(_REPEAT)

    def end(self) -> None:
        """Nobody asks any more."""
        self._ended.set()
        self._stirred.set()

    @property
    def used(self) -> list[Part]:
        """Parts that were read."""
        return list(self._used.values())

    def _check_withdrawn(self) -> None:
        if self._withdrawn.is_set():
            raise duckdb.InterruptException("withdrawn")


class ArchiveDatabase:
    """DuckDB, and the folder it reads. Safe to share between threads."""

    def __init__(self, folder: ArchiveFolder, *, statement_timeout_ms: int) -> None:
        self.folder: Final = folder
        self.statement_timeout_ms: Final = statement_timeout_ms
        self._running: Final = RunningQueries()
        self._closed = False
        spill = Path(tempfile.gettempdir()) / f"xcstore-archive-{uuid4().hex}"  # made when it is needed, by DuckDB
        memory = min(_MEMORY, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
        self._duckdb: Final = duckdb.connect(
            ":memory:", config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
        )
        # At the end of the process too: DuckDB complains of connections that nobody closed.
        self._close: Final = weakref.finalize(self, self._duckdb.close)
        for setting in (
            f"allowed_directories = [{quoted(str(folder.root))}]",
            f"temp_directory = {quoted(str(spill))}",
            f"memory_limit = '{memory}B'",
            # By itself it is the setting of this one connection, and each question has one of its own.
            "GLOBAL parquet_metadata_cache = true",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            self._duckdb.execute(f"SET {setting}")

    @property
    def identity(self) -> str:
        return self.folder.identity

    def ask(self, work: Callable[[Question], T]) -> T:
        """`work` on the archive as it is now. May run again, where a writer removed files meanwhile; it must only read.

        Raises
        ------
        StoreTimeoutError
            It took longer than a question may, or was withdrawn.
        StoreError
            A part is missing or damaged; its name is in the message.
        """
        for attempt in range(_ATTEMPTS):
            manifest = self.folder.latest()
            with self._translated(), self._cursor() as cursor:
                question = Question(manifest, self.folder.root, cursor)
                seconds = self.statement_timeout_ms / 1000
                threading.Thread(target=question.watch, args=(seconds,), daemon=True).start()
                try:
                    with self._running.cancellable(question.withdraw):
                        return work(question)
                except duckdb.InterruptException:
                    raise
                except (duckdb.Error, OSError) as error:
                    if self.folder.latest() is not manifest and attempt + 1 < _ATTEMPTS:
                        continue
                    self._blame(question, error)
                finally:
                    question.end()
        raise StoreUnavailableError(f"{self.identity} is written by others all the time; try again")

    @contextmanager
    def writing(self) -> Iterator[Question]:
        """A question without a time limit, while nobody else writes."""
        with self.folder.writing() as manifest, self._translated(), self._cursor() as cursor:
            question = Question(manifest, self.folder.root, cursor)
            try:
                yield question
            except duckdb.InterruptException:
                raise
            except duckdb.Error as error:
                self._blame(question, error)

    @contextmanager
    def staging(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to collect rows in that are not written yet; what is in temporary tables is gone with it."""
        with self._translated(), self._cursor() as cursor:
            yield cursor

    def cancel_running(self, owner: Hashable) -> int:
        """Cancel what runs under `running_for(owner)`, from any thread; returns how many questions that were."""
        return self._running.cancel(owner)

    def close(self) -> None:
        self._closed = True
        self._close()

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        cursor = self._duckdb.cursor()
        try:
            yield cursor
        finally:
            cursor.close()

    def _blame(self, question: Question, error: Exception) -> None:
        damage = self.folder.damage(question.used)
        if damage:
            raise StoreError(f"{self.identity} is damaged: {'; '.join(damage[:3])}") from error
        raise error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        if self._closed:
            raise StoreUnavailableError(f"{self.identity} was closed")
        try:
            yield
        except duckdb.InterruptException as error:
            raise StoreTimeoutError(
                f"{self.identity} took longer than {self.statement_timeout_ms / 1000:g} s, or was withdrawn"
            ) from error
        except duckdb.Error as error:
            raise StoreError(f"{self.identity} failed: {error}") from error
        except RuntimeError as error:
            if str(error) == _CTRL_C:
                raise KeyboardInterrupt from error
            raise


def quoted(text: str) -> str:
    """A text as SQL writes it, where no parameter can stand."""
    return "'" + text.replace("'", "''") + "'"


def _is_storable(text: str) -> bool:
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
