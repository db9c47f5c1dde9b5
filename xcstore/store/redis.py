"""Stores that the TypeScript runtime keeps in Redis: opened for reading, never written."""

from __future__ import annotations

from xcstore.errors import NotAStoreError
from xcstore.store.base import Stores
from xcstore.store.codec import NO_REDACTION, Redaction
from xcstore.store.redis_events import RedisEventStore
from xcstore.store.redis_server import RedisServer
from xcstore.store.redis_snapshots import RedisSnapshotStore
from xcstore.store.undefined import NoDefinitionStore

__all__ = ["open_redis_stores"]


def open_redis_stores(
    url: str,
    *,
    read_only: bool = True,
    redact: Redaction = NO_REDACTION,
    statement_timeout_ms: int = 10_000,
    snapshot_retention: int = 10,
    search_seconds: float = 3.0,
) -> Stores:
    """The stores behind ``redis://[user:password@]host[:port][/number][?prefix=fsm]``, or ``rediss://`` for TLS.

    Parameters
    ----------
    url : str
    read_only, snapshot_retention
        As `open_stores` gives them to every backend. This one is only read, and keeps the latest snapshot.
    redact : Redaction
        What is masked in all that is read.
    statement_timeout_ms : int
        After which a question is given up, with `StoreTimeoutError`.
    search_seconds : float
        After which a search through text says how far it came.

    Raises
    ------
    ConfigError
        The URL cannot be read.
    StoreUnavailableError
        Nobody answers, or not to this password.
    NotAStoreError
        The database holds other things, and nothing under this prefix.
    """
    server = RedisServer(url, statement_timeout_ms=statement_timeout_ms)
    try:
        _check(server)
    except BaseException:
        server.close()
        raise
    return Stores(
        events=RedisEventStore(server, redact=redact, search_seconds=search_seconds),
        snapshots=RedisSnapshotStore(server, redact=redact),
        definitions=NoDefinitionStore(server.identity),
    )


def _check(server: RedisServer) -> None:
    events, snapshots = server.key("events", "all"), server.key("snapshots", "all")
    kinds = [server.ask("TYPE", key) for key in (events, snapshots)]
    for key, kind, right in zip((events, snapshots), kinds, (b"zset", b"set"), strict=True):
        if kind not in (b"none", right):
            raise NotAStoreError(
                f"{server.identity} has a {kind.decode()} at {key.decode()!r}, not a {right.decode()}; "
                "no store of events has that"
            )
    if kinds == [b"none", b"none"] and (number := server.ask("DBSIZE")):
        raise NotAStoreError(
            f"{server.identity} holds {number:,} keys, but no events under {events.decode()!r}; "
            "give the prefix of the writer by ?prefix=name"
        )
