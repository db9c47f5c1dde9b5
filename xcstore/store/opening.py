"""From a URL to stores."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

import sqlalchemy as sa

from xcstore.errors import ConfigError
from xcstore.store.base import Stores
from xcstore.store.codec import NO_REDACTION, Redaction
from xcstore.store.latency import DEFAULT_ALERT_MS
from xcstore.store.measuring import measured
from xcstore.store.memory import open_memory_stores
from xcstore.store.sql_database import SqlDatabase
from xcstore.store.sql_events import SqlEventStore
from xcstore.store.sql_layout import SqlLayout, detect_layout
from xcstore.store.sql_snapshots import SqlDefinitionStore, SqlSnapshotStore
from xcstore.store.sql_tables import add_what_is_missing, create_schema
from xcstore.store.sqlite import SqliteDatabase

__all__ = ["open_stores", "sqlite_file"]

_KNOWN: Final = (
    "memory://, sqlite:///file.db, postgresql://user@host/database, mongodb://host/database, archive:///folder, "
    "influxdb://host/database, redis://host/0"
)


def open_stores(
    url: str,
    *,
    read_only: bool = True,
    redact: Redaction = NO_REDACTION,
    statement_timeout_ms: int = 10_000,
    snapshot_retention: int = 10,
    search_seconds: float = 3.0,
    latency_alert_ms: float | None = DEFAULT_ALERT_MS,
) -> Stores:
    """The stores behind a URL.

    Parameters
    ----------
    url : str
        ``memory://`` (always empty, always writable), ``sqlite:///relative.db``, ``sqlite:////absolute.db``,
        ``postgresql://user:password@host/database``, ``mongodb://host/database``, ``archive:///folder``,
        ``influxdb://host/database``, ``redis://host/0``.
    read_only : bool
        Also enforced by the database. Writing makes an empty database a store of ours; a store of another writer is
        never written.
    redact : Redaction
        What is masked in all that is read.
    statement_timeout_ms : int
        After which a question is given up, with `StoreTimeoutError`.
    snapshot_retention : int
        How many snapshots of an instance are kept.
    search_seconds : float
        After which a search through text says how far it came.
    latency_alert_ms : float, optional
        Appends that take longer are warned of. Stores are measured, see `store.latency`, but for those in memory, and
        where this is None.

    Raises
    ------
    ConfigError
        The URL is none that we know.
    StoreUnavailableError
        Nobody answers, or not to this password.
    NotAStoreError
        The database holds other things.
    """
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise ConfigError(f"{_shown(url)} is not the URL of a store; known are {_KNOWN}")
    if scheme == "memory":
        return open_memory_stores(
            url.removeprefix("memory://") or None,
            redact=redact,
            retention=snapshot_retention,
            search_seconds=search_seconds,
        )
    options = _Options(read_only, redact, statement_timeout_ms, snapshot_retention, search_seconds)
    opened = _open(scheme, url, options)
    return opened if latency_alert_ms is None else measured(opened, alert_ms=latency_alert_ms)


class _Options(NamedTuple):
    """As `open_stores` takes them; what each backend's own opener takes, by name."""

    read_only: bool
    redact: Redaction
    statement_timeout_ms: int
    snapshot_retention: int
    search_seconds: float


def _open(scheme: str, url: str, options: _Options) -> Stores:
    if scheme in _SQL:
        return _open_sql(_SQL[scheme](url, options.read_only, options.statement_timeout_ms), options)
    if scheme in _OTHERS:
        # Their drivers take a while to import.
        module, name = _OTHERS[scheme]
        opener: Callable[..., Stores] = getattr(import_module(module), name)
        return opener(url, **options._asdict())
    what = f"by the scheme {scheme + '://'!r}" if _SCHEME.fullmatch(scheme) else "by what stands before ://"
    raise ConfigError(f"no store is known {what}; known are {_KNOWN}")


def _open_sql(database: SqlDatabase, options: _Options) -> Stores:
    try:
        layout = _layout(database)
    except BaseException:
        database.close()
        raise
    return Stores(
        events=SqlEventStore(database, layout, redact=options.redact, search_seconds=options.search_seconds),
        snapshots=SqlSnapshotStore(database, layout, redact=options.redact, retention=options.snapshot_retention),
        definitions=SqlDefinitionStore(database, layout),
    )


def _layout(database: SqlDatabase) -> SqlLayout:
    """The layout that is there; in an empty database that may be written, ours."""

    def detect(connection: sa.Connection) -> SqlLayout:
        return detect_layout(connection, database.identity)

    def is_empty(connection: sa.Connection) -> bool:
        inspector = sa.inspect(connection)
        return not (inspector.get_table_names() or inspector.get_view_names())

    def create(connection: sa.Connection) -> None:
        # Asked again where nobody else can answer: two programs may open the same empty database.
        if is_empty(connection):
            create_schema(connection)

    def complete(connection: sa.Connection) -> None:
        database.lock(connection, "schema")
        add_what_is_missing(connection)

    if not database.read_only and database.read(is_empty):
        database.write(create)
    layout = database.read(detect)
    if not database.read_only and layout.is_ours and not layout.has_outbox:
        database.write(complete)
        layout = database.read(detect)
    return layout


def sqlite_file(url: str) -> Path | None:
    """The file that the URL of a SQLite store names; None for another store, or where it names none."""
    if not url.startswith("sqlite://"):
        return None
    path = url.removeprefix("sqlite://").partition("?")[0]
    return Path(path[1:]) if path.startswith("/") and path != "/" else None


def _open_sqlite(url: str, read_only: bool, statement_timeout_ms: int) -> SqlDatabase:
    path = sqlite_file(url)
    if path is None:
        raise ConfigError(
            "the SQLite URL names no file; write sqlite:///relative/file.db or sqlite:////absolute/file.db"
        )
    return SqliteDatabase(path, read_only=read_only, statement_timeout_ms=statement_timeout_ms)


def _open_postgresql(url: str, read_only: bool, statement_timeout_ms: int) -> SqlDatabase:
    from xcstore.store.postgresql import PostgresDatabase  # the driver takes a while to import

    return PostgresDatabase(url, read_only=read_only, statement_timeout_ms=statement_timeout_ms)


def _shown(url: str) -> str:
    """A text that is no URL may be anything, a password too: shown is what looks like the name of a file."""
    return repr(url) if len(url) <= 40 and not re.search("[:@=]", url) else "that"


_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{0,19}")
_SQL: Final[dict[str, Callable[[str, bool, int], SqlDatabase]]] = {
    "sqlite": _open_sqlite,
    "postgres": _open_postgresql,
    "postgresql": _open_postgresql,
}
_OTHERS: Final = {
    "mongodb": ("xcstore.store.mongodb", "open_mongodb_stores"),
    "mongodb+srv": ("xcstore.store.mongodb", "open_mongodb_stores"),
    "archive": ("xcstore.store.archive", "open_archive_stores"),
    "influxdb": ("xcstore.store.influxdb", "open_influxdb_stores"),
    "redis": ("xcstore.store.redis", "open_redis_stores"),
    "rediss": ("xcstore.store.redis", "open_redis_stores"),
}
"""Module and function by scheme."""
