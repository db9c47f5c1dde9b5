"""How fast events are appended, beside the fastest that the engine itself can do, in the same run.

    python -m benchmarks.bench_append --events 100000

The peers write the documented table with its indexes and nothing else; ours writes what a store of ours holds:
also the order of insertion, the whole documents, the causes and the counts.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg

from benchmarks.generate import BATCH, events
from tests.contract.foreign import DOCUMENTED
from tests.servers.postgresql import PostgresServer, running_server
from xcstore.jsontext import json_text
from xcstore.model.history import PersistedEvent
from xcstore.store.base import Stores
from xcstore.store.opening import open_stores

COLUMNS = (
    "id, instance_id, machine_name, component_name, event_type, event_payload, state_before, state_after,"
    " persisted_at, caused_by"
)
Batches = Sequence[Sequence[PersistedEvent]]


def rows(batch: Sequence[PersistedEvent], causes: Callable[[PersistedEvent], str]) -> list[tuple[object, ...]]:
    return [
        (
            event.id,
            event.instance_id,
            event.machine_name,
            event.component_name,
            event.event_type,
            json_text(event.payload),
            event.state_before,
            event.state_after,
            event.persisted_at,
            causes(event),
        )
        for event in batch
    ]


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def append_batches(stores: Stores, batches: Batches) -> None:
    for batch in batches:
        stores.events.append_many(batch)


def sqlite_raw(path: Path, batches: Batches) -> float:
    """executemany of tuples made beforehand, a transaction per batch, as safe against a crash as ours."""
    prepared = [rows(batch, lambda event: json_text(list(event.caused_by))) for batch in batches]
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"CREATE TABLE fsm_events ({COLUMNS.replace('id,', 'id PRIMARY KEY,', 1)})")
    for column in ("instance_id", "machine_name", "component_name", "persisted_at"):
        connection.execute(f"CREATE INDEX by_{column} ON fsm_events ({column})")

    def work() -> None:
        for batch in prepared:
            with connection:
                connection.executemany(f"INSERT INTO fsm_events VALUES ({', '.join('?' * 10)})", batch)

    seconds = timed(work)
    connection.close()
    return seconds


def postgresql_raw(url: str, batches: Batches) -> float:
    """COPY of text made beforehand, a transaction per batch."""

    def line(row: tuple[object, ...]) -> str:
        return "\t".join(str(value).replace("\\", "\\\\") for value in row) + "\n"

    prepared = [
        "".join(map(line, rows(batch, lambda event: "{" + ",".join(event.caused_by) + "}"))) for batch in batches
    ]
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(DOCUMENTED)
        connection.commit()

        def work() -> None:
            for text in prepared:
                with cursor.copy(f"COPY fsm_events ({COLUMNS}) FROM STDIN") as copy:
                    copy.write(text)
                connection.commit()

        return timed(work)


def one_by_one(stores: Stores, batch: Sequence[PersistedEvent]) -> float:
    return timed(lambda: [stores.events.append(event) for event in batch])


def postgresql_one_by_one(url: str, batch: Sequence[PersistedEvent]) -> float:
    statement = f"INSERT INTO fsm_events ({COLUMNS}) VALUES ({', '.join(['%s'] * 10)})"
    prepared = rows(batch, lambda event: "{" + ",".join(event.caused_by) + "}")
    with psycopg.connect(url, autocommit=True) as connection:
        return timed(lambda: [connection.execute(statement, row) for row in prepared])  # type: ignore[arg-type]


def line(name: str, number: int, seconds: float, peer: float | None = None, limit: str = "") -> None:
    ratio = "" if peer is None else f"{peer / seconds:.2f}"
    print(f"| {name} | {number / seconds:,.0f} | {ratio} | {limit} |", flush=True)


def measure_memory(batches: Batches) -> None:
    count = sum(map(len, batches))
    for name, work in (
        ("memory, append_many", lambda stores: append_batches(stores, batches)),
        ("memory, append", lambda stores: [stores.events.append(event) for batch in batches for event in batch]),
    ):
        with open_stores("memory://", read_only=False) as stores:
            line(name, count, timed(lambda work=work, stores=stores: work(stores)), limit="500,000/s")  # type: ignore[misc]


def measure_sqlite(folder: Path, batches: Batches, singles: Sequence[PersistedEvent]) -> None:
    count = sum(map(len, batches))
    peer = sqlite_raw(folder / "raw.db", batches)
    line("SQLite, raw executemany", count, peer)
    with open_stores(f"sqlite:///{folder / 'ours.db'}", read_only=False) as stores:
        line("SQLite, append_many", count, timed(lambda: append_batches(stores, batches)), peer, ">= 0.7")
        line("SQLite, append, one transaction each", len(singles), one_by_one(stores, singles))


def measure_postgresql(server: PostgresServer, batches: Batches, singles: Sequence[PersistedEvent]) -> None:
    count = sum(map(len, batches))
    with server.database() as raw, server.database() as ours:
        peer = postgresql_raw(raw, batches)
        line("PostgreSQL, COPY of prepared text", count, peer)
        peer_single = postgresql_one_by_one(raw, singles)
        with open_stores(ours, read_only=False, statement_timeout_ms=600_000) as stores:
            line("PostgreSQL, append_many", count, timed(lambda: append_batches(stores, batches)), peer, ">= 0.6")
            line("PostgreSQL, psycopg, one transaction each", len(singles), peer_single)
            seconds = one_by_one(stores, singles)
            line("PostgreSQL, append, one transaction each", len(singles), seconds, peer_single, ">= 0.8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--singles", type=int, default=500)
    parser.add_argument("--stores", default="memory,sqlite,postgresql")
    arguments = parser.parse_args()
    made = list(events(arguments.events + arguments.singles))
    many, singles = made[: arguments.events], made[arguments.events :]
    batches = [many[start : start + BATCH] for start in range(0, len(many), BATCH)]
    wanted = arguments.stores.split(",")
    print("| what | events per second | of the peer | limit |\n|---|---:|---:|---:|")
    if "memory" in wanted:
        measure_memory(batches)
    if "sqlite" in wanted:
        with tempfile.TemporaryDirectory() as folder:
            measure_sqlite(Path(folder), batches, singles)
    if "postgresql" in wanted:
        with running_server() as server:
            measure_postgresql(server, batches, singles)


if __name__ == "__main__":
    main()
