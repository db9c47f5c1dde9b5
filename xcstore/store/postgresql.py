"""PostgreSQL, by psycopg 3 and its pool behind SQLAlchemy.

Each connection is named xcstore, has a time limit for every statement, and for readers transactions that the server
itself holds to reading. One that rested is checked before it is used, so that a restart of the server goes unnoticed;
what a reader asks in the very second of a restart is asked again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.parse import quote

import psycopg
import psycopg_pool
import sqlalchemy as sa
from psycopg import errors as pg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.postgresql.asyncpg import dialect as dollar_dialect
from sqlalchemy.dialects.postgresql.psycopg import dialect as psycopg_dialect

from xcstore.errors import (
    ConfigError,
    NotAStoreError,
    ReadOnlyStoreError,
    StoreError,
    StoreTimeoutError,
    StoreUnavailableError,
)
from xcstore.store import sql_tables
from xcstore.store.base import PoolUse
from xcstore.store.postgresql_bulk import add_many, array_text
from xcstore.store.sql_database import EventRow, ExtraRow, MovedOnError, SqlDatabase, WorkRows
from xcstore.store.sql_layout import AnySelect
from xcstore.store.sql_tables import upsert_snapshots

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PostgresDatabase"]

T = TypeVar("T")

_CONNECT_SECONDS: Final = 2
_IDLE_SECONDS: Final = 30
_CONNECTIONS: Final = 20
_CHECK_SECONDS: Final = 1
_LOCK_MS: Final = 5_000
_IMPORT: Final = 5_000
"""Events in a batch of `append_many` that more may follow."""


class PostgresDatabase(SqlDatabase):
    """A database on a server: ``postgresql://user:password@host:port/database``, or any other URI that libpq takes."""

    dialect = "postgresql"

    def __init__(self, url: str, *, read_only: bool, statement_timeout_ms: int = 10_000) -> None:
        parameters = _parameters(url)
        super().__init__(_identity(parameters), read_only=read_only, statement_timeout_ms=statement_timeout_ms)
        self._secrets: Final = tuple(
            str(value)
            for name, value in parameters.items()
            # One that stands in the name as well would be given away by hiding it.
            if ("password" in name or "secret" in name) and str(value) not in self.identity
        )
        self._conninfo: Final = make_conninfo(
            "",
            **{
                "application_name": "xcstore",
                "connect_timeout": _CONNECT_SECONDS,
                **parameters,
                "client_encoding": "UTF8",
            },
        )
        # The pool says only that nothing came in time; a first connection of our own says why.
        with self._translated(), psycopg.connect(self._conninfo):
            pass
        self._pool: Final = psycopg_pool.ConnectionPool(
            self._conninfo,
            min_size=0,
            max_size=_CONNECTIONS,
            max_idle=_IDLE_SECONDS,
            timeout=_CONNECT_SECONDS,
            # Else its pauses between attempts grow to minutes, and a server that is back is not noticed.
            reconnect_timeout=_CONNECT_SECONDS,
            configure=self._configure,
            connection_class=_Connection,
            check=_Connection.check,
            close_returns=True,
            open=True,
        )
        self._engine: Final = sa.create_engine(
            "postgresql+psycopg://",
            creator=self._pool.getconn,
            poolclass=sa.NullPool,
            hide_parameters=True,
            use_native_hstore=False,
        )

    # Transactions

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        with self._translated():
            try:
                return self._run(work)
            except sa.exc.DBAPIError as error:
                if not error.connection_invalidated:
                    raise
            self._pool.check()  # the server went away between the last check and the question
            return self._run(work)

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        self._check_writable()
        with self._translated():
            return self._run(work)

    def _check_writable(self) -> None:
        if self.read_only:
            raise ReadOnlyStoreError(f"{self.identity} was opened for reading; open it with read_only=False to write")

    def _run(self, work: Callable[[sa.Connection], T]) -> T:
        with self._engine.connect() as connection:
            driver = _driver(connection)
            with self._running.cancellable(lambda: driver.cancel_safe(timeout=_CONNECT_SECONDS)), connection.begin():
                return work(connection)

    def _configure(self, connection: psycopg.Connection[Any]) -> None:
        settings = {
            "default_transaction_read_only": "on" if self.read_only else "off",
            # All questions of one transaction see one state of the data.
            "default_transaction_isolation": "repeatable read" if self.read_only else "read committed",
            "statement_timeout": str(self.statement_timeout_ms),
            "lock_timeout": str(_LOCK_MS),
            "idle_in_transaction_session_timeout": "60000",
            # Compiling a question takes longer than nearly all of ours run; and a plan for any parameter is not the
            # plan for the page that is asked for.
            "jit": "off",
            "plan_cache_mode": "force_custom_plan" if self.read_only else "auto",
        }
        names = ", ".join("set_config(%s, %s, false)" for _ in settings)
        connection.execute("SELECT " + names, [part for item in settings.items() for part in item])
        connection.commit()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.IntegrityError:
            raise
        except (sa.exc.DBAPIError, psycopg.Error) as error:
            cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
            raise self._translation(cause) from error
        except psycopg_pool.PoolClosed as error:
            raise StoreUnavailableError(f"{self.identity} was closed") from error

    def _why_no_connection(self) -> StoreError:
        """The pool says only that nothing came in time; a connection of our own says why."""
        try:
            psycopg.connect(self._conninfo, connect_timeout=_CONNECT_SECONDS).close()
        except psycopg.Error as error:
            return self._translation(error)
        return StoreUnavailableError(
            f"{self.identity} gave no connection within {_CONNECT_SECONDS} s, but does now; ask again"
        )

    def _translation(self, error: BaseException | None) -> StoreError:
        lines = str(error).strip().splitlines()
        text = lines[0] if lines else type(error).__name__
        refusal = _REFUSAL.search(str(error)) if isinstance(error, psycopg.OperationalError) else None
        if refusal:
            text = refusal[1]
        for secret in self._secrets:
            text = text.replace(secret, "•••")
        name = self.identity
        if isinstance(error, psycopg_pool.PoolClosed):
            return StoreUnavailableError(f"{name} was closed")
        if isinstance(error, psycopg_pool.PoolTimeout):
            return self._why_no_connection()
        if isinstance(error, pg.QueryCanceled):
            return StoreTimeoutError(
                f"{name} took longer than {self.statement_timeout_ms / 1000:g} s, or the question was withdrawn"
            )
        if isinstance(error, pg.LockNotAvailable):
            return StoreTimeoutError(f"{name} is locked by another program for over {_LOCK_MS // 1000} s")
        if isinstance(error, pg.ReadOnlySqlTransaction):
            return ReadOnlyStoreError(f"{name} refused to write: {text}")
        if isinstance(error, (pg.InsufficientPrivilege, pg.UndefinedTable, pg.UndefinedColumn)):
            kind = StoreError if isinstance(error, pg.InsufficientPrivilege) else NotAStoreError
            return kind(f"{name} does not let us read it: {text}")
        if isinstance(error, pg.InvalidPassword) or _NO_PASSWORD.search(text):
            return StoreUnavailableError(f"{name} refused the user or the password")
        if refusal or isinstance(error, pg.InvalidAuthorizationSpecification):
            return StoreUnavailableError(f"{name} refused the connection: {text}")
        if isinstance(error, psycopg.OperationalError):
            return StoreUnavailableError(f"{name} cannot be reached: {text}")
        return StoreError(f"{name} failed: {text}")

    # Writing

    def lock(self, connection: sa.Connection, name: str) -> None:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))))

    def await_writers(self, connection: sa.Connection) -> None:
        # Whoever inserts holds ROW EXCLUSIVE until the end of its transaction; readers pass.
        connection.execute(sa.text("LOCK TABLE fsm_events IN SHARE ROW EXCLUSIVE MODE"))

    def add_event(self, connection: sa.Connection, row: EventRow, extra: ExtraRow, works: WorkRows) -> None:
        parameters = _append_parameters(row, extra, works, None)
        statement = b"SELECT fsm_append(" + b", ".join([b"%s"] * len(parameters)) + b")"
        try:
            _driver(connection).execute(statement, parameters)
        except pg.IntegrityError as error:  # by the driver alone: nobody has wrapped it
            raise _wrapped(error, _APPEND.decode()) from error

    def add_event_alone(self, row: EventRow, extra: ExtraRow, works: WorkRows, expected_last_id: str | None) -> None:
        """One way to the server and back: a statement outside of a transaction is one.

        Straight by libpq, as a cursor takes longer than the server: it would send, wait and read in turns.
        """
        self._check_writable()
        parameters = _append_parameters(row, extra, works, expected_last_id)
        given: Any = [None if value is None else value.encode() for value in parameters]  # its types know no NULL
        with self._translated():
            driver = self._pool.getconn()
            try:
                with self._running.cancellable(lambda: driver.cancel_safe(timeout=_CONNECT_SECONDS)):
                    _check_result(driver, driver.append(given))
            finally:
                self._pool.putconn(driver)

    def add_many(self, connection: sa.Connection, rows: Sequence[EventRow], extras: Sequence[ExtraRow]) -> None:
        if len(rows) >= _IMPORT:
            self._lock_imports(connection)
        try:
            add_many(_driver(connection), rows, extras)
        except psycopg.Error as error:  # not wrapped on this road
            raise _wrapped(error, "COPY") from error

    def _lock_imports(self, connection: sa.Connection) -> None:
        """Let one import in at a time, for as long as it takes.

        Within a batch, the trigger locks instances in one order for all writers; two transactions of several batches
        could still wait for each other.
        """
        connection.execute(
            sa.select(*(sa.func.set_config(f"{name}_timeout", "0", True) for name in ("lock", "statement")))
        )
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended("xcstore import", 1))))

    def save_snapshots(self, connection: sa.Connection, rows: Sequence[Mapping[str, object]]) -> None:
        connection.execute(upsert_snapshots(postgresql_insert(sql_tables.snapshots)), rows)

    # Reading

    def fetch_arrow(self, select: AnySelect, schema: pa.Schema) -> pa.Table:
        """By ADBC, which makes Arrow of the server's binary form without a Python object for each value."""
        import adbc_driver_manager
        import adbc_driver_postgresql.dbapi as adbc

        compiled = select.compile(dialect=cast(Any, dollar_dialect)(), compile_kwargs={"render_postcompile": True})
        values = compiled.construct_params()
        parameters = [values[name] for name in cast(Any, compiled).positiontup or ()]
        with self._translated():
            psycopg.connect(self._conninfo).close()
        try:
            with (
                adbc.connect(self._adbc_uri()) as connection,
                connection.cursor() as cursor,
                self._running.cancellable(cursor.adbc_cancel),
            ):
                cursor.execute(str(compiled), parameters or None)
                table = cursor.fetch_arrow_table()
        except adbc_driver_manager.Error as error:
            raise self._adbc_translation(str(error)) from error
        return _as_schema(table, schema)

    def _adbc_uri(self) -> str:
        settings = f"-c default_transaction_read_only=on -c statement_timeout={self.statement_timeout_ms} -c jit=off"
        parameters = conninfo_to_dict(self._conninfo)
        parameters["options"] = f"{parameters.get('options') or ''} {settings}".strip()
        return "postgresql://?" + "&".join(f"{name}={quote(str(value), safe='')}" for name, value in parameters.items())

    def _adbc_translation(self, text: str) -> StoreError:
        if "canceling statement" in text or "57014" in text:
            return self._translation(pg.QueryCanceled())
        return StoreError(f"{self.identity} failed: {text.splitlines()[0]}")

    def pool_use(self) -> PoolUse:
        stats = self._pool.get_stats()
        size = stats.get("pool_size", 0)
        return PoolUse(
            maximum=_CONNECTIONS,
            open=size,
            in_use=max(0, size - stats.get("pool_available", 0)),
            waiting=stats.get("requests_waiting", 0),
        )

    def close(self) -> None:
        self._pool.close()


class _Connection(psycopg.Connection[Any]):
    """Knows when it was last seen alive, and whether it has the statement of `append` ready."""

    seen_at = 0.0
    knows_append = False

    def append(self, parameters: Any) -> pq.abc.PGresult:
        """Run the statement, made ready once, and again where it was forgotten, as when a transaction is undone."""
        if self.knows_append:
            result = self.pgconn.exec_prepared(_PREPARED, parameters)
            if result.error_field(pq.DiagnosticField.SQLSTATE) != _NOT_PREPARED:
                return result
        made = self.pgconn.prepare(_PREPARED, _APPEND)
        if made.status != pq.ExecStatus.COMMAND_OK:
            return made
        self.knows_append = True
        return self.pgconn.exec_prepared(_PREPARED, parameters)

    def check(self) -> None:
        """Ask the server for nothing, unless it answered within the last second."""
        now = time.monotonic()
        if now - self.seen_at > _CHECK_SECONDS:
            psycopg_pool.ConnectionPool.check_connection(self)
            self.seen_at = now


_DIALECT: Final = cast(Any, psycopg_dialect)()
_APPEND: Final = b"SELECT fsm_append(" + b", ".join(b"$%d" % number for number in range(1, 21)) + b")"

_PREPARED: Final = b"xcstore_append"
_NOT_PREPARED: Final = b"26000"


def _append_parameters(
    row: EventRow, extra: ExtraRow, works: WorkRows, expected_last_id: str | None
) -> list[str | None]:
    """What the function `fsm_append` takes, as text."""
    lists: list[str | None] = [array_text(column) for column in zip(*works, strict=True)]
    return [
        *row[:8],
        str(row[8]),
        array_text(row[9]),
        array_text(row[10]),
        *row[11:],
        *extra[1:],
        expected_last_id,
        *(lists or (None,) * 4),
    ]


def _check_result(driver: psycopg.Connection[Any], result: pq.abc.PGresult) -> None:
    if result.status == pq.ExecStatus.TUPLES_OK:
        return
    error = pg.error_from_result(result)
    if error.sqlstate == "XC001":
        raise MovedOnError(error.diag.message_detail or "")
    if error.sqlstate == "XC002":
        raise MovedOnError(None)
    if driver.pgconn.status != pq.ConnStatus.OK:
        raise psycopg.OperationalError(str(error))
    raise _wrapped(error, _APPEND.decode()) from error


def _wrapped(error: psycopg.Error, statement: str) -> BaseException:
    """As SQLAlchemy gives the errors of the driver on its own road."""
    return sa.exc.DBAPIError.instance(statement, None, error, psycopg.Error, dialect=_DIALECT)


def _driver(connection: sa.Connection) -> psycopg.Connection[Any]:
    return cast("psycopg.Connection[Any]", connection.connection.dbapi_connection)


_HOW: Final = (
    "write postgresql://user:password@host:port/database; special characters of the password are written as %XX, "
    "such as %40 for @, %2F for /, %23 for # and %3F for ?"
)
_REFUSAL: Final = re.compile(r"FATAL:\s+(.+)")
"""The server answered, and these are its words."""
_NO_PASSWORD: Final = re.compile(r"password authentication failed|no password supplied")


def _parameters(url: str) -> dict[str, Any]:
    """What the URL says. No error of it has a part of the URL: that may be the password, in the wrong place."""
    _check_authority(url)
    try:
        parameters = {name: value for name, value in conninfo_to_dict(url).items() if value not in (None, "")}
    except (psycopg.Error, ValueError):
        # The driver's words would repeat the URL, the password too: not even as the cause of ours.
        raise ConfigError(f"the PostgreSQL URL cannot be read; {_HOW}") from None
    for port in str(parameters.get("port", "")).split(","):
        if port and not (re.fullmatch("[0-9]{1,5}", port, re.ASCII) and 0 < int(port) < 1 << 16):
            # What follows a colon may be a password whose host was forgotten.
            raise ConfigError(f"the port in the PostgreSQL URL is no number from 1 to 65535; {_HOW}")
    return parameters


def _check_authority(url: str) -> None:
    """Refuse a password that libpq would cut in two, and take the rest of it for the host or the database."""
    _, _, rest = url.partition("://")
    authority, at, _ = rest.rpartition("@")
    if "#" in rest or (at and re.search("[/?@]", authority)):
        raise ConfigError(f"the PostgreSQL URL holds one of / # ? @ where it cannot stand; {_HOW}")


def _identity(parameters: Mapping[str, Any]) -> str:
    user = f"{quote(str(parameters['user']), safe='')}@" if "user" in parameters else ""
    host = str(parameters.get("host", ""))
    port = f":{parameters['port']}" if "port" in parameters else ""
    database = quote(str(parameters.get("dbname", "")), safe="")
    if "/" in host:  # a Unix socket
        return f"postgresql://{user}{port}/{database}?host={host}"
    return f"postgresql://{user}{f'[{host}]' if ':' in host else host}{port}/{database}"


def _as_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    columns = []
    for name, field in zip(table.column_names, schema, strict=True):
        column = table.column(name)
        if pa.types.is_dictionary(field.type):
            column = column.dictionary_encode().cast(field.type)
        columns.append(column if column.type == field.type else column.cast(field.type))
    return pa.Table.from_arrays(columns, schema=schema).unify_dictionaries()
