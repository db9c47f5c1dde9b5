"""How fast events are appended, beside the fastest that the engine itself can do, turn by turn in the same run.

    python -m benchmarks.bench_append --events 100000

The peers write the same rows into the documented table with its indexes and nothing else, from values made beforehand,
as safe against a crash as ours. Ours checks the events, makes the values, and writes what a store of ours holds: also
the order of insertion, the whole documents, the causes, the instances and, in SQLite, the counts.

Ours and the peer take turns with each batch, so that both meet the same machine; a figure is the median of the turns.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

import psycopg

from benchmarks.generate import events
from tests.contract.foreign import DOCUMENTED
from tests.servers.postgresql import PostgresServer, running_server
from xcstore.jsontext import json_text
from xcstore.model.history import PersistedEvent
from xcstore.store.base import EventStore, OutboxChange, StoredWork
from xcstore.store.codec import event_to_documented_row
from xcstore.store.opening import open_stores
from xcstore.store.sql_tables import EVENT_COLUMNS

Batch = Sequence[PersistedEvent]
Row = tuple[object, ...]
Write = Callable[[Batch], None]
COLUMNS = ", ".join(EVENT_COLUMNS)


def rows(batch: Batch, ids: Callable[[Sequence[str]], str]) -> list[Row]:
    """The values of `COLUMNS`, lists of ids as the engine takes them."""
    return [
        tuple(ids(value) if isinstance(value, list) else value for value in event_to_documented_row(event).values())
        for event in batch
    ]


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


class Writer:
    """Seconds for each event, a turn at a time."""

    def __init__(
        self, name: str, write: Callable[[list[Row]], object] | None = None, ids: Callable[[Sequence[str]], str] = str
    ) -> None:
        self.name, self.write, self.ids, self.turns = name, write, ids, list[float]()

    def turn(self, batch: Batch) -> None:
        assert self.write is not None
        prepared = rows(batch, self.ids)
        self.turns.append(timed(lambda: self.write(prepared)) / len(batch))  # type: ignore[misc]


class Ours(Writer):
    def __init__(self, name: str, append: Write) -> None:
        super().__init__(name)
        self.append = append

    def turn(self, batch: Batch) -> None:
        self.turns.append(timed(lambda: self.append(batch)) / len(batch))


def take_turns(batches: Iterable[Batch], peer: Writer, *ours: Writer, limit: str = "") -> None:
    """Print the rate of each, and that of ours as a part of the peer's: the median of what it was in each turn."""
    for batch in batches:
        for writer in (peer, *ours):
            writer.turn(batch)
    report(peer)
    for writer in ours:
        ratio = statistics.median(a / b for a, b in zip(peer.turns, writer.turns, strict=True))
        report(writer, f"{ratio:.2f}", limit)


def report(writer: Writer, ratio: str = "", limit: str = "") -> None:
    print(f"| {writer.name} | {1 / statistics.median(writer.turns):,.0f} | {ratio} | {limit} |", flush=True)


def batches_of(stream: Iterator[PersistedEvent], size: int, number: int) -> Iterator[Batch]:
    for _ in range(number):
        yield list(islice(stream, size))


def one_by_one(store: EventStore) -> Write:
    def append(batch: Batch) -> None:
        for event in batch:
            store.append(event)

    return append


def as_a_runtime(store: EventStore) -> Write:
    """Behind the last event of its instance, with what is to be done next."""
    last: dict[str, str] = {}

    def append(batch: Batch) -> None:
        for event in batch:
            work = StoredWork(id=event.id, position=0, component_name=event.component_name, document={"type": "GO"})
            store.append(
                event,
                expected_last_id=last.get(event.instance_id, ""),
                outbox=OutboxChange(add=(work,), remove=event.caused_by),
            )
            last[event.instance_id] = event.id

    return append


def measure_memory(stream: Iterator[PersistedEvent], count: int) -> None:
    for name, way in (
        ("memory, append_many", None),
        ("memory, append", one_by_one),
        ("memory, append as a runtime", as_a_runtime),
    ):
        with open_stores("memory://", read_only=False) as stores:
            writer = Ours(name, stores.events.append_many if way is None else way(stores.events))  # type: ignore[arg-type]
            for batch in batches_of(stream, 5_000, count // 5_000):
                writer.turn(batch)
            report(writer, limit="500,000/s")


def sqlite_peer(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA cache_size=-64000")
    connection.execute(
        f"CREATE TABLE fsm_events ({COLUMNS.replace('id,', 'id PRIMARY KEY,', 1)},"
        " created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)"
    )
    for column in ("instance_id", "machine_name", "component_name", "persisted_at"):
        connection.execute(f"CREATE INDEX by_{column} ON fsm_events ({column})")
    return connection


def measure_sqlite(folder: Path, stream: Iterator[PersistedEvent], arguments: argparse.Namespace) -> None:
    statement = f"INSERT INTO fsm_events ({COLUMNS}) VALUES ({', '.join('?' * len(EVENT_COLUMNS))})"
    with (
        closing(sqlite_peer(folder / "raw.db")) as connection,
        open_stores(f"sqlite:///{folder / 'ours.db'}", read_only=False) as stores,
        open_stores(f"sqlite:///{folder / 'runtime.db'}", read_only=False) as runtime,
    ):

        def many(prepared: list[Row]) -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(statement, prepared)
            connection.execute("COMMIT")

        def single(prepared: list[Row]) -> None:
            for row in prepared:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(statement, row)
                connection.execute("COMMIT")

        take_turns(
            batches_of(stream, arguments.batch, arguments.events // arguments.batch),
            Writer("SQLite, raw executemany", many, json_text),
            Ours("SQLite, append_many", stores.events.append_many),  # type: ignore[arg-type]
            limit=">= 0.7",
        )
        take_turns(
            batches_of(stream, 50, arguments.singles // 50),
            Writer("SQLite, raw, one transaction each", single, json_text),
            Ours("SQLite, append, one transaction each", one_by_one(stores.events)),
            Ours("SQLite, append as a runtime", as_a_runtime(runtime.events)),
            limit=">= 0.8",
        )


def array_text(ids: Sequence[str]) -> str:
    return "{" + ",".join(ids) + "}"


def measure_postgresql(server: PostgresServer, stream: Iterator[PersistedEvent], arguments: argparse.Namespace) -> None:
    statement = f"INSERT INTO fsm_events ({COLUMNS}) VALUES ({', '.join(['%s'] * len(EVENT_COLUMNS))})".encode()
    with (
        server.database() as raw,
        server.database() as ours,
        server.database() as third,
        psycopg.connect(raw, autocommit=True) as connection,
        open_stores(ours, read_only=False, statement_timeout_ms=600_000) as stores,
        open_stores(third, read_only=False) as runtime,
    ):
        connection.execute(DOCUMENTED.encode())

        def many(prepared: list[str]) -> None:
            with connection.cursor() as cursor, cursor.copy(f"COPY fsm_events ({COLUMNS}) FROM STDIN".encode()) as copy:
                for text in prepared:
                    copy.write(text)

        def single(prepared: list[Row]) -> None:
            for row in prepared:
                connection.execute(statement, row)

        class Copied(Writer):
            def turn(self, batch: Batch) -> None:
                lines = ["\t".join(map(_copied, row)) + "\n" for row in rows(batch, array_text)]
                prepared = ["".join(lines)]
                self.turns.append(timed(lambda: many(prepared)) / len(batch))

        take_turns(
            batches_of(stream, arguments.batch, arguments.events // arguments.batch),
            Copied("PostgreSQL, COPY of prepared text"),
            Ours("PostgreSQL, append_many", stores.events.append_many),  # type: ignore[arg-type]
            limit=">= 0.6",
        )
        take_turns(
            batches_of(stream, 50, arguments.singles // 50),
            Writer("PostgreSQL, psycopg, one transaction each", single, array_text),
            Ours("PostgreSQL, append, one transaction each", one_by_one(stores.events)),
            Ours("PostgreSQL, append as a runtime", as_a_runtime(runtime.events)),
            limit=">= 0.8",
        )


def _copied(value: object) -> str:
    return "\\N" if value is None else str(value).replace("\\", "\\\\")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--singles", type=int, default=1_000)
    parser.add_argument("--stores", default="memory,sqlite,postgresql")
    arguments = parser.parse_args()
    wanted = arguments.stores.split(",")
    print("| what | events per second | of the peer | limit |\n|---|---:|---:|---:|")
    if "memory" in wanted:
        measure_memory(events(3 * arguments.events), arguments.events)
    if "sqlite" in wanted:
        with tempfile.TemporaryDirectory() as folder:
            measure_sqlite(Path(folder), events(arguments.events + arguments.singles), arguments)
    if "postgresql" in wanted:
        with running_server() as server:
            measure_postgresql(server, events(arguments.events + arguments.singles), arguments)


if __name__ == "__main__":
    main()
