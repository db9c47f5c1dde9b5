"""SQLite: one file, no server.

Reading leaves no trace. A database in WAL mode is the difficulty: even a connection with `mode=ro` puts `-wal` and
`-shm` files beside it, and leaves them. So:

- Where there is a `-wal` or `-journal` file, somebody writes: we connect with `mode=ro`. The files are there already.
- Where there is none, nobody writes: we connect with `immutable=1`, which takes no locks and makes no files. Should a
  writer come meanwhile, such a file appears or the database itself changes; we look at both after each transaction, and
  where they changed, throw the answer away and ask again.

We look with `stat` only. Opening the file ourselves and closing it again would take from the other connections of this
process all locks that they hold on it (a trap of POSIX locks; sqlite.org/howtocorrupt.html).

Writers use WAL from their first write on, `BEGIN IMMEDIATE` (a transaction that reads first and then wants to write
loses against others), a busy timeout, and `synchronous=FULL`, as an event must be durable when `append` returns.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from xcstore.errors import ReadOnlyStoreError, StoreError, StoreTimeoutError, StoreUnavailableError
from xcstore.store import sql_tables
from xcstore.store.base import PoolUse
from xcstore.store.sql_arrow import arrow_column
from xcstore.store.sql_database import EventRow, ExtraRow, SqlDatabase, WorkRows
from xcstore.store.sql_layout import AnySelect
from xcstore.store.sql_tables import upsert_snapshots
from xcstore.store.sqlite_adbc import fetch_table, writers
from xcstore.store.sqlite_bulk import add_event, add_many, check_last

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SqliteDatabase"]

T = TypeVar("T")

_BUSY_MS: Final = 5_000
_KEPT: Final = 8
_CONNECTIONS: Final = 20
_TICK: Final = 20_000
"""Steps of SQLite's machine between two looks at the clock: about a millisecond."""
_ATTEMPTS: Final = 5
_ARROW_BATCH: Final = 10_000
_SMALLEST: Final = 512
"""Bytes of the smallest database there is."""
_CLOCK_TICK: Final = 0.02

_Files = tuple[bool, int, int, int] | None
"""(somebody writes, size, mtime, inode) of a database that is read; None of one that we write."""


class SqliteDatabase(SqlDatabase):
    """A file. Opened for writing it is created where it is missing; opened for reading it must be there."""

    dialect = "sqlite"

    def __init__(self, path: Path, *, read_only: bool, statement_timeout_ms: int = 10_000) -> None:
        super().__init__(f"sqlite:///{path}", read_only=read_only, statement_timeout_ms=statement_timeout_ms)
        self._path: Final = path
        self._closed = False
        self._is_wal = False
        self._check_file()
        if not read_only:
            writers.add(path)
        self._engine: Final = sa.create_engine(
            "sqlite://",
            creator=self._connect,
            poolclass=sa.QueuePool,
            pool_size=_KEPT,
            max_overflow=_CONNECTIONS - _KEPT,
            # An error of the driver must reach us as it is: we compare what the files looked like.
            hide_parameters=True,
        )
        sa.event.listen(self._engine, "checkout", self._check_connection)

    # Transactions

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        question = _Question()
        with self._translated(), self._running.cancellable(question.withdraw):
            for _ in range(_ATTEMPTS):
                with self._engine.connect() as connection:
                    raw = _raw(connection)
                    unlocked = raw.files is not None and not raw.files[0]
                    raw.start_clock(self.statement_timeout_ms)
                    try:
                        with question.asked_of(raw):
                            answer = self._run(connection, "BEGIN", work)
                    except Exception:  # of whatever kind: it may come from a file read half before, half after a change
                        if unlocked and not question.is_withdrawn and self._files() != raw.files:
                            continue
                        raise
                    finally:
                        raw.stop_clock()
                    if raw.files is not None and raw.files[0]:
                        # While a connection to a WAL is open, its writer cannot remove the files when it leaves.
                        connection.detach()
                    if not unlocked or self._files() == raw.files:
                        return answer
            raise StoreUnavailableError(f"{self.identity} is written by others all the time; try again")

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        self._check_writable()
        with self._translated(), self._engine.connect() as connection:
            self._use_wal(_raw(connection))
            # No clock: a long import is long, and each of its statements is short.
            return self._run(connection, "BEGIN IMMEDIATE", work)

    def _check_writable(self) -> None:
        if self.read_only:
            raise ReadOnlyStoreError(f"{self.identity} was opened for reading; open it with read_only=False to write")

    def _use_wal(self, connection: _Connection) -> None:
        """Not when it is opened: what is opened for writing may turn out to be somebody else's."""
        if not self._is_wal:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables or "fsm_meta" in tables:
                connection.execute("PRAGMA journal_mode=WAL")
            self._is_wal = True

    def _run(self, connection: sa.Connection, begin: str, work: Callable[[sa.Connection], T]) -> T:
        with connection.begin():
            connection.exec_driver_sql(begin)
            return work(connection)

    # Connections

    def _check_connection(self, raw: _Connection, record: object, proxy: object) -> None:
        """What a connection of the pool was opened for must still be so, else the pool makes another.

        That one is taken as it is: the pool makes no third, but fails with an error of its own. Where the file changed
        once more, `read` sees it.
        """
        if raw.is_new:
            raw.is_new = False
        elif raw.files != self._files():
            raise sa.exc.DisconnectionError

    def _connect(self) -> _Connection:
        files = self._files()
        if not self.read_only:
            options = "mode=rwc"
        elif files is not None and files[0]:
            options = "mode=ro"
        else:
            options = "mode=ro&immutable=1"
        raw = sqlite3.connect(
            f"file:{quote(str(self._path.absolute()))}?{options}",
            uri=True,
            timeout=_BUSY_MS / 1000,
            isolation_level=None,  # transactions begin where we say so
            check_same_thread=False,
            cached_statements=256,
            factory=_Connection,
        )
        try:
            raw.files = files
            if self.read_only:
                raw.execute("PRAGMA cache_size=-16000")
                raw.execute("PRAGMA trusted_schema=OFF")  # our triggers would not run with it; views of others need not
                raw.execute("PRAGMA query_only=ON")
            else:
                raw.execute("PRAGMA cache_size=-64000")
                raw.execute("PRAGMA synchronous=FULL")
                # An event touches a dozen pages, mostly the same as the one before it: copied back less often, each
                # is copied for many. 16 MB.
                raw.execute("PRAGMA wal_autocheckpoint=4000")
        except BaseException:
            raw.close()
            raise
        return raw

    def _check_file(self) -> None:
        """A sentence of our own for what SQLite reports as 'unable to open database file'."""
        path = self._path
        if path.is_dir():
            raise StoreUnavailableError(f"{self.identity} is a folder; give the path of a SQLite file")
        if path.exists():
            # SQLite itself takes a short text for an empty database, and writes over it.
            if 0 < path.stat().st_size < _SMALLEST:
                raise StoreUnavailableError(f"{self.identity} is not a SQLite database")
        else:
            if self.read_only:
                raise StoreUnavailableError(f"{self.identity} does not exist; check the path, or import into it first")
            if not path.absolute().parent.is_dir():
                raise StoreUnavailableError(f"the folder of {self.identity} does not exist; make it first")

    def _files(self) -> _Files:
        if not self.read_only:
            return None
        status = self._status()
        age = time.time() - status.st_mtime_ns / 1e9
        if 0 <= age < _CLOCK_TICK:
            # Two changes within one tick of the file system's clock look like one.
            time.sleep(_CLOCK_TICK - age)
            status = self._status()
        written = any(os.path.exists(f"{self._path}{suffix}") for suffix in ("-wal", "-journal"))
        return written, status.st_size, status.st_mtime_ns, status.st_ino

    def _status(self) -> os.stat_result:
        try:
            return os.stat(self._path)
        except OSError as error:
            raise StoreUnavailableError(f"{self.identity} cannot be read: {error.strerror}") from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        if self._closed:
            raise StoreUnavailableError(f"{self.identity} was closed")
        try:
            yield
        except sa.exc.IntegrityError:
            raise
        except (sa.exc.DBAPIError, sqlite3.Error) as error:
            cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
            raise self._translation(str(cause)) from error
        except sa.exc.SQLAlchemyError as error:  # not the driver's, such as of a pool that is exhausted
            raise StoreError(f"{self.identity} failed: {error}") from error

    def _translation(self, text: str) -> StoreError:
        if text == "interrupted":
            return StoreTimeoutError(
                f"{self.identity} took longer than {self.statement_timeout_ms / 1000:g} s, or was withdrawn"
            )
        if "readonly" in text:
            return ReadOnlyStoreError(f"{self.identity} refused to write: {text}")
        if "not a database" in text:
            return StoreUnavailableError(f"{self.identity} is not a SQLite database")
        if "malformed" in text:
            return StoreUnavailableError(f"{self.identity} is damaged: {text}")
        if "locked" in text or "busy" in text:
            return StoreUnavailableError(f"{self.identity} is locked by another writer for over {_BUSY_MS // 1000} s")
        if "unable to open" in text:
            return StoreUnavailableError(f"{self.identity} cannot be opened: {text}")
        return StoreError(f"{self.identity} failed: {text}")

    # Writing

    def lock(self, connection: sa.Connection, name: str) -> None:
        """Nothing to do: `BEGIN IMMEDIATE` let us in alone."""

    def await_writers(self, connection: sa.Connection) -> None:
        """Nobody: what a killed process had begun to write to the file is undone with its lock."""

    def add_event(self, connection: sa.Connection, row: EventRow, extra: ExtraRow, works: WorkRows) -> None:
        try:
            add_event(_raw(connection), row, extra, works)
        except sqlite3.Error as error:  # not wrapped on this road
            raise sa.exc.DBAPIError.instance("", None, error, sqlite3.Error) from error

    def add_event_alone(self, row: EventRow, extra: ExtraRow, works: WorkRows, expected_last_id: str | None) -> None:
        """Without SQLAlchemy's transaction, which takes as long as the statements."""
        self._check_writable()
        with self._translated():
            pooled = self._engine.raw_connection()
            try:
                connection = cast(_Connection, pooled.dbapi_connection)
                self._use_wal(connection)
                connection.execute("BEGIN IMMEDIATE")
                try:
                    if expected_last_id is not None:
                        check_last(connection, row[1], expected_last_id)
                    add_event(connection, row, extra, works)
                    connection.execute("COMMIT")
                except BaseException:
                    connection.rollback()
                    raise
            except sqlite3.IntegrityError as error:
                raise sa.exc.DBAPIError.instance("", None, error, sqlite3.Error) from error
            finally:
                pooled.close()

    def add_many(self, connection: sa.Connection, rows: Sequence[EventRow], extras: Sequence[ExtraRow]) -> None:
        try:
            add_many(_raw(connection), rows, extras)
        except sqlite3.Error as error:  # not wrapped on this road
            raise sa.exc.DBAPIError.instance("", None, error, sqlite3.Error) from error

    # Reading

    def fetch_arrow(self, select: AnySelect, schema: pa.Schema) -> pa.Table:
        import pyarrow as pa

        compiled = select.compile(self._engine, compile_kwargs={"render_postcompile": True})
        values = compiled.construct_params()
        statement, parameters = str(compiled), [values[name] for name in compiled.positiontup or ()]
        if select.get_execution_options().get("steady"):
            table = self._fetch_by_adbc(statement, parameters, schema)
            if table is not None:
                return table
        batches = self.read(lambda connection: _fetch_by_cursor(connection, statement, parameters, schema))
        return pa.Table.from_batches(batches, schema).unify_dictionaries()

    def _fetch_by_adbc(self, statement: str, parameters: Sequence[Any], schema: pa.Schema) -> pa.Table | None:
        """None where this road is closed, or leads nowhere: the other one tells why, in our words."""
        import adbc_driver_manager as adbc

        withdrawn = threading.Event()
        deadline = time.monotonic() + self.statement_timeout_ms / 1000

        def check() -> None:
            if withdrawn.is_set() or time.monotonic() > deadline:
                raise self._translation("interrupted")

        with self._translated(), writers.kept_out(self._path) as alone:
            files = self._files()
            if not alone or files is None or files[0]:
                return None
            try:
                with self._running.cancellable(withdrawn.set):
                    table = fetch_table(self._path, statement, parameters, schema, check)
            except (adbc.Error, ValueError):  # a value of another type than its column (also Arrow's errors)
                return None
            return table if self._files() == files else None

    def save_snapshots(self, connection: sa.Connection, rows: Sequence[Mapping[str, object]]) -> None:
        connection.execute(upsert_snapshots(sqlite_insert(sql_tables.snapshots)), rows)

    def is_like(self, haystack: sa.ColumnElement[Any], needle: str) -> sa.ColumnElement[bool]:
        # LIKE ignores the case of ASCII letters in SQLite; lower() on both sides would only take longer.
        return haystack.like(f"%{_escaped(needle)}%", escape="\\")

    def pool_use(self) -> PoolUse:
        pool = cast(sa.QueuePool, self._engine.pool)
        in_use = pool.checkedout()
        return PoolUse(maximum=_CONNECTIONS, open=pool.checkedin() + in_use, in_use=in_use)

    def close(self) -> None:
        was_open, self._closed = not self._closed, True
        self._engine.dispose()
        if was_open and not self.read_only:
            writers.remove(self._path)


class _Connection(sqlite3.Connection):
    """A connection that knows which files it was opened for, and whose statements stop when time is up."""

    files: _Files = None
    is_new = True
    _deadline = 0.0

    def start_clock(self, timeout_ms: int) -> None:
        self._deadline = time.monotonic() + timeout_ms / 1000
        self.set_progress_handler(self._is_late, _TICK)

    def stop_clock(self) -> None:
        self.set_progress_handler(None, 0)

    def withdraw(self) -> None:
        """Stop what runs, and what is about to: `interrupt` alone does nothing between two statements."""
        self._deadline = 0.0
        self.interrupt()

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline


class _Question:
    """One question in all its attempts: once withdrawn, it is asked of no other connection."""

    def __init__(self) -> None:
        self.is_withdrawn = False
        self._lock: Final = threading.Lock()
        self._raw: _Connection | None = None

    @contextmanager
    def asked_of(self, raw: _Connection) -> Iterator[None]:
        with self._lock:
            if self.is_withdrawn:
                raise sqlite3.OperationalError("interrupted")
            self._raw = raw
        try:
            yield
        finally:
            with self._lock:
                self._raw = None

    def withdraw(self) -> None:
        with self._lock:
            self.is_withdrawn = True
            if self._raw is not None:
                self._raw.withdraw()


def _fetch_by_cursor(
    connection: sa.Connection, statement: str, parameters: Sequence[Any], schema: pa.Schema
) -> list[pa.RecordBatch]:
    import pyarrow as pa

    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement, parameters)
        batches = []
        while rows := cursor.fetchmany(_ARROW_BATCH):
            columns = zip(*rows, strict=True)
            arrays = [arrow_column(values, field.type) for values, field in zip(columns, schema, strict=True)]
            batches.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
        return batches
    finally:
        cursor.close()


def _raw(connection: sa.Connection) -> _Connection:
    return cast(_Connection, connection.connection.dbapi_connection)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
