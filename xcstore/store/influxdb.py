"""Stores in InfluxDB 1, for histories that are large, only appended to, and kept for a time."""

from __future__ import annotations

from xcstore.errors import NotAStoreError
from xcstore.store.base import Stores
from xcstore.store.codec import NO_REDACTION, Redaction
from xcstore.store.influx_events import InfluxEventStore
from xcstore.store.influx_lines import EVENTS, KEYS, SNAPSHOTS
from xcstore.store.influx_server import InfluxServer
from xcstore.store.influx_snapshots import InfluxSnapshotStore
from xcstore.store.undefined import NoDefinitionStore

__all__ = ["open_influxdb_stores"]


def open_influxdb_stores(
    url: str,
    *,
    read_only: bool = True,
    redact: Redaction = NO_REDACTION,
    statement_timeout_ms: int = 10_000,
    snapshot_retention: int = 10,
    search_seconds: float = 3.0,
) -> Stores:
    """The stores behind ``influxdb://[user:password@]host[:8086]/database[?tls=1]``.

    Parameters
    ----------
    url : str
    read_only : bool
        Kept by us, as version 1 of the server lets any question change things, but for users who have READ alone.
        Opened for writing, a database that is not there is made.
    redact : Redaction
        What is masked in all that is read.
    statement_timeout_ms : int
        After which a question is given up, with `StoreTimeoutError`.
    snapshot_retention : int
        How many snapshots of an instance are kept.
    search_seconds : float
        After which a search through text says how far it came.

    Raises
    ------
    ConfigError
        The URL cannot be read.
    StoreUnavailableError
        Nobody answers, or not to this user and password.
    NotAStoreError
        There is no such database, or it holds other things.
    """
    server = InfluxServer(url, read_only=read_only, statement_timeout_ms=statement_timeout_ms)
    try:
        _check(server)
        return Stores(
            events=InfluxEventStore(server, redact=redact, search_seconds=search_seconds),
            snapshots=InfluxSnapshotStore(server, redact=redact, retention=snapshot_retention),
            definitions=NoDefinitionStore(server.identity),
        )
    except BaseException:
        server.close()
        raise


def _check(server: InfluxServer) -> None:
    try:
        measurements = _measurements(server)
    except NotAStoreError:
        if server.read_only:
            raise
        server.create_database()
        measurements = _measurements(server)
    if measurements and not measurements & {EVENTS, KEYS, SNAPSHOTS}:
        raise NotAStoreError(f"{server.identity} holds other measurements, and no {EVENTS}")


def _measurements(server: InfluxServer) -> set[str]:
    """Names of ours that are there; else some of the others."""
    server.ask("SHOW RETENTION POLICIES")  # the next would tell nothing of a database that is not there
    for condition in ("WITH MEASUREMENT =~ /^fsm_/", "LIMIT 1"):
        answer = server.ask(f"SHOW MEASUREMENTS {condition}")
        if names := {str(row[0]) for series in answer for row in series.rows}:
            return names
    return set()
