"""How long traces take, and how that grows with what is stored.

    python -m benchmarks.bench_trace --events 100000,1000000 --folder bench
    python -m benchmarks.bench_trace --events 10000000 --stores sqlite,postgresql,documented --folder bench

Makes (or finds again, in the folder) stores of exactly so many events: chains of 29 across three instances, as
`benchmarks.generate` makes them, and planted among them chains and trees of exactly 10, 1,000 and 10,000 events, and
one chain of 100,000. A trace is asked for from the middle of its chain, or the root of its tree, both ways, from up to
20 different ones: once, and then again, which is what counts as warm. Beside it the limit: a recursive question over
the table of causes by the driver alone, one way, from the start of the same chains, that returns only ids.

Stores are filled by raw SQL into our own tables, whose indexes are made afterwards. What traces do not ask (instances,
counts per hour, the original text of events that are not planted) is left out. PostgreSQL is the server of
`DATABASE_URL` where it is set, else one that is started in the folder.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import re
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import psycopg

from benchmarks.generate import START
from xcstore.demo.servers.postgresql import running_postgresql
from xcstore.jsontext import json_text
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.store.base import EventStore
from xcstore.store.codec import event_extra_text, event_to_documented_row
from xcstore.store.opening import open_stores
from xcstore.store.postgresql_bulk import array_text
from xcstore.store.sql_events import SqlEventStore
from xcstore.store.sql_tables import EVENT_COLUMNS
from xcstore.units import EpochMs

ROOTS: Final = 20
SIZES: Final = (10, 1_000, 10_000)
LONG: Final = 100_000
CASE: Final = 29
_ALIVE: Final = 500
"""Cases whose events lie among each other."""
_ROUNDS: Final = 100
"""A planted trace lies among so many rounds of them, however long it is."""
_BATCH: Final = 20_000
_MACHINES: Final = (
    ("OrderComponent", "Order"),
    ("InventoryComponent", "Reservation"),
    ("ShippingComponent", "Shipment"),
)
_STATES: Final = ("Created", "Checked", "Priced", "Confirmed", "Pending", "Paid", "Allocating", "Ready", "Sent")

Row = tuple[PersistedEvent, bool]
"""An event, and whether it is planted."""


def traces_of(size: int, count: int) -> int:
    """How many of each shape are planted: not more than the store has room for."""
    if size == LONG:
        return int(count >= 10 * LONG)
    return min(ROOTS, max(2, count // (10 * size)))


def event_id(kind: str, size: int, number: int, step: int) -> str:
    digits = hashlib.md5(f"{kind}/{size}/{number}/{step}".encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def events(count: int) -> Iterator[Row]:
    """Exactly `count` events, one every 100 ms. Equal counts give equal events."""
    planted = [
        (kind, size, number)
        for size in (*SIZES, LONG)
        for kind in ("chain", "tree")
        for number in range(traces_of(size, count) if (kind, size) != ("tree", LONG) else 0)
    ]
    room = count - sum(size for _, size, _ in planted)
    cases = [*planted, *(("case", CASE, number) for number in range(room // CASE))]
    if room % CASE:
        cases.append(("case", room % CASE, room // CASE))
    random.Random(count).shuffle(cases)
    waiting = (_steps(*case) for case in cases)
    alive = list(islice(waiting, _ALIVE))
    made = 0
    while alive:
        ended = []
        for place, (steps, burst) in enumerate(alive):
            before = made
            for step in islice(steps, burst):
                yield _event(*step, EpochMs(START + made * 100)), step[0] != "case"
                made += 1
            if made - before < burst:
                ended.append(place)
        for place in reversed(ended):
            following = next(waiting, None)
            if following is None:
                del alive[place]
            else:
                alive[place] = following


_Step = tuple[str, int, int, int, int | None]


def _steps(kind: str, size: int, number: int) -> tuple[Iterator[_Step], int]:
    """Each step with that which caused it, and how many of them come in a row."""
    rng = random.Random(f"{kind}/{size}/{number}")
    steps = (
        (kind, size, number, step, None if step == 0 else rng.randrange(step) if kind == "tree" else step - 1)
        for step in range(size)
    )
    return steps, 1 if kind == "case" else max(1, size // _ROUNDS)


def _event(kind: str, size: int, number: int, step: int, cause: int | None, at: EpochMs) -> PersistedEvent:
    component, machine = _MACHINES[step // 10 % 3]
    first = step % 10 == 0
    return PersistedEvent(
        id=event_id(kind, size, number, step),
        instance_id=event_id(f"{kind}-{machine}", size, number, step // 30),
        machine_name=machine,
        component_name=component,
        event_type=CREATION if first else f"TO_{_STATES[step % 9]}".upper(),
        payload={
            "orderId": f"ORD-{kind}-{size}-{number}",
            "customerId": f"CUST-{number % 5000:05}",
            "amount": step + 0.5,
            "items": [{"sku": f"SKU-{number % 900:04}", "quantity": 1 + step % 3}],
            "note": "second attempt, the first carrier had no capacity left",
        },
        timestamp=at,
        state_before="" if first else _STATES[(step - 1) % 9],
        state_after=_STATES[step % 9],
        persisted_at=at,
        caused_by=() if cause is None else (event_id(kind, size, number, cause),),
    )


def sqlite_store(folder: Path, count: int) -> str:
    """URL of the store, filled."""
    path = (folder / f"traces-{count}.db").resolve()
    url = f"sqlite:///{path}"
    if path.exists():
        return url
    making = path.with_suffix(".making")
    making.unlink(missing_ok=True)
    open_stores(f"sqlite:///{making}", read_only=False).close()
    began = time.perf_counter()
    with closing(sqlite3.connect(making, isolation_level=None)) as connection:
        for setting in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-2000000", "locking_mode=EXCLUSIVE"):
            connection.execute(f"PRAGMA {setting}")
        later = connection.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
        ).fetchall()
        for kind, name, _ in later:
            connection.execute(f"DROP {kind} {name}")
        connection.execute("BEGIN")
        seq = 0
        rows = events(count)
        while batch := list(islice(rows, _BATCH)):
            columns = [tuple(event_to_documented_row(event).values()) for event, _ in batch]
            connection.executemany(
                f"INSERT INTO fsm_events ({', '.join(EVENT_COLUMNS)}) VALUES ({', '.join('?' * len(EVENT_COLUMNS))})",
                [(*row[:9], json_text(row[9]), json_text(row[10]), *row[11:]) for row in columns],
            )
            connection.executemany(
                "INSERT INTO fsm_event_extra (seq, event_id, original) VALUES (?, ?, ?)",
                [
                    (number, event.id, event_extra_text(event) if planted else None)
                    for number, (event, planted) in enumerate(batch, seq + 1)
                ],
            )
            seq += len(batch)
        connection.execute(
            "INSERT INTO fsm_event_causes"
            " SELECT c.value, e.id FROM fsm_events e, json_each(e.caused_by) c ORDER BY 1, 2"
        )
        for _, _, statement in later:
            connection.execute(statement)
        connection.execute("COMMIT")
    making.rename(path)
    print(f"{count:,} events into {path.name} in {time.perf_counter() - began:,.0f} s", file=sys.stderr)
    return url


def postgresql_stores(server: str, count: int) -> tuple[str, str]:
    """URLs of the store of ours and of the foreign one, filled: the second is a copy without what is ours."""
    ours, documented = f"traces_{count}_ours", f"traces_{count}_documented"
    urls = _url_of(server, ours), _url_of(server, documented)
    with psycopg.connect(server, autocommit=True) as connection:
        known = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
        if ours not in known:
            making = f"{ours}_making"
            connection.execute(f"DROP DATABASE IF EXISTS {making}")
            connection.execute(f"CREATE DATABASE {making}")
            _fill_postgresql(_url_of(server, making), count)
            connection.execute(f"ALTER DATABASE {making} RENAME TO {ours}")
        if documented not in known:
            making = f"{documented}_making"
            connection.execute(f"DROP DATABASE IF EXISTS {making}")
            connection.execute(f"CREATE DATABASE {making} TEMPLATE {ours} STRATEGY FILE_COPY")
            with psycopg.connect(_url_of(server, making)) as copy:
                tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN (%s, %s)"
                for (table,) in copy.execute(tables, ("fsm_events", "fsm_snapshots")).fetchall():
                    copy.execute(f"DROP TABLE {table}")
                copy.execute("DROP FUNCTION fsm_events_added, fsm_events_deleted, fsm_append CASCADE")
                copy.execute("DROP INDEX idx_events_transition")
            connection.execute(f"ALTER DATABASE {making} RENAME TO {documented}")
    return urls


def _fill_postgresql(url: str, count: int) -> None:
    open_stores(url, read_only=False).close()
    began = time.perf_counter()
    with psycopg.connect(url) as connection, psycopg.connect(url) as other:
        for setting in ("synchronous_commit = off", "maintenance_work_mem = '1GB'", "xcstore.writer = 'ours'"):
            connection.execute(f"SET {setting}")
            other.execute(f"SET {setting}")
        tables = ("fsm_events", "fsm_event_extra", "fsm_event_causes")
        later = connection.execute(
            "SELECT c.conname, i.tablename, i.indexname, i.indexdef, pg_get_constraintdef(c.oid) FROM pg_indexes i"
            " LEFT JOIN pg_constraint c ON c.conindid = i.indexname::regclass WHERE i.tablename = ANY(%s)",
            (list(tables),),
        ).fetchall()
        for constraint, table, index, _, _ in later:
            connection.execute(
                f"ALTER TABLE {table} DROP CONSTRAINT {constraint}" if constraint else f"DROP INDEX {index}"
            )
        for table in tables:
            connection.execute(f"ALTER TABLE {table} SET UNLOGGED")  # what is measured is only reading
        connection.commit()
        rows = events(count)
        with (
            connection.cursor() as cursor,
            other.cursor() as other_cursor,
            cursor.copy(f"COPY fsm_events ({', '.join(EVENT_COLUMNS)}) FROM STDIN") as copy,
            other_cursor.copy("COPY fsm_event_extra (event_id, original) FROM STDIN") as extra,
        ):
            while batch := list(islice(rows, _BATCH)):
                for event, planted in batch:
                    row = event_to_documented_row(event)
                    copy.write("\t".join(map(_copied, row.values())) + "\n")
                    original = event_extra_text(event).replace("\\", "\\\\") if planted else "\\N"
                    extra.write(f"{event.id}\t{original}\n")
        connection.commit()
        other.commit()
        print(f"  {count:,} rows in {time.perf_counter() - began:,.0f} s", file=sys.stderr, flush=True)
        connection.execute("INSERT INTO fsm_event_causes SELECT unnest(caused_by), id FROM fsm_events")
        for constraint, table, _, index, definition in later:
            connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {constraint} {definition}" if constraint else index)
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")
    print(f"{count:,} events into PostgreSQL in {time.perf_counter() - began:,.0f} s", file=sys.stderr, flush=True)


def _copied(value: object) -> str:
    if isinstance(value, list):
        return array_text(value)
    return "\\N" if value is None else str(value)  # nothing in these rows needs to be escaped


def _url_of(server: str, database: str) -> str:
    return re.sub(r"(://[^/]*/)[^?]*", rf"\g<1>{database}", server)


Figures = dict[str, tuple[float, float]]
"""Median and longest in ms, by what was asked."""


def measure(url: str, count: int) -> Figures:
    """Ask one store for all its traces."""
    figures: Figures = {}
    with ExitStack() as stack:
        stores = stack.enter_context(open_stores(url, statement_timeout_ms=120_000))
        events = stores.events
        alone = stack.enter_context(_alone(url)) if events.layout == "ours" else None
        for _ in range(5):
            events.trace(event_id("case", CASE, 0, 5))
        reference = [partial(events.trace, event_id("case", CASE, number, 5)) for number in range(ROOTS)]
        figures[f"trace, an event's {CASE}"] = _warm(reference)[1]
        for size in (*SIZES, LONG):
            for kind in ("chain", "tree") if size != LONG else ("chain",):
                numbers = range(traces_of(size, count))
                middle = size // 2 if kind == "chain" else 0
                roots = [event_id(kind, size, number, middle) for number in numbers]
                if not roots:
                    continue
                name = f"{kind} of {size:,}"
                first, figures[f"ids only, {name}"] = _warm([partial(_walk, events, root, size) for root in roots])
                figures[f"ids only, {name}, first"] = first
                if size < LONG:
                    some = roots if size <= 1_000 else roots[:5]
                    whole = [partial(events.trace, root, "both", 2 * size) for root in some]
                    figures[f"trace, {name}"] = _warm(whole)[1]
                if alone is not None:
                    starts = [event_id(kind, size, number, 0) for number in numbers]
                    figures[f"the limit, {name}"] = _warm([partial(alone, start, size) for start in starts])[1]
                print(f"  {name}: {figures[f'ids only, {name}']}", file=sys.stderr, flush=True)
    return figures


def _walk(events: EventStore, root: str, size: int) -> None:
    assert isinstance(events, SqlEventStore)
    # What a trace does before it reads events; no store offers it alone.
    walk = events._database.read(lambda connection: events._causes.walk(connection, root, "both", 2 * size))
    assert len(walk.ids) == size


@contextmanager
def _alone(url: str) -> Iterator[Callable[[str, int], None]]:
    """What the engine itself can do, by its driver alone."""
    question = (
        "WITH RECURSIVE reached(id) AS (SELECT {root} UNION SELECT c.event_id{text} FROM reached r"
        " JOIN fsm_event_causes c ON c.cause_id = r.id) SELECT id FROM reached"
    )
    if url.startswith("sqlite"):
        connection: Any = sqlite3.connect(url.removeprefix("sqlite:///"))
        statement = question.format(root="?", text="")
    else:
        connection = psycopg.connect(url, autocommit=True)
        for setting in ("jit = off", "enable_hashjoin = off", "enable_mergejoin = off", "enable_seqscan = off"):
            connection.execute(f"SET {setting}")
        statement = question.format(root="%s::text", text="::text")

    def ask(root: str, size: int) -> None:
        assert len(connection.execute(statement, (root,)).fetchall()) == size

    with closing(connection):
        yield ask


def _warm(questions: Sequence[Callable[[], object]]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Median and longest of the first time, and of the second, which follows at once."""
    taken: tuple[list[float], list[float]] = [], []
    for ask in questions:
        for times in taken:
            began = time.perf_counter()
            ask()
            times.append((time.perf_counter() - began) * 1000)
    first, second = ((statistics.median(times), max(times)) for times in taken)
    return first, second


def table(figures: dict[int, Figures]) -> str:
    """Rows are questions, columns numbers of events, and how many times the first the last takes."""
    counts = list(figures)
    lines = [
        "| | " + " | ".join(f"{count:,}" for count in counts) + " | growth |",
        "|---|" + "---:|" * (len(counts) + 1),
    ]
    for name in figures[counts[-1]]:
        found = [figures[count].get(name) for count in counts]
        cells = ["" if one is None else f"{one[0]:,.2f} ({one[1]:,.1f})" for one in found]
        growth = f"{found[-1][0] / found[0][0]:.1f}" if found[0] and found[-1] and len(counts) > 1 else ""
        lines.append(f"| {name} | " + " | ".join([*cells, growth]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", default="100000,1000000", help="sizes of the stores, separated by commas")
    parser.add_argument("--folder", type=Path, default=Path("bench"), help="where the stores are kept")
    parser.add_argument("--stores", default="sqlite,postgresql,documented")
    arguments = parser.parse_args()
    wanted = arguments.stores.split(",")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    urls: dict[str, dict[int, str]] = {name: {} for name in wanted}
    with ExitStack() as stack:
        server = ""
        if {"postgresql", "documented"} & set(wanted):
            server = os.environ.get("DATABASE_URL", "")
            server = server or stack.enter_context(running_postgresql(arguments.folder / "postgresql")).url
        for count in map(int, arguments.events.split(",")):
            if "sqlite" in wanted:
                urls["sqlite"][count] = sqlite_store(arguments.folder, count)
            if server:
                ours, documented = postgresql_stores(server, count)
                for name, url in (("postgresql", ours), ("documented", documented)):
                    if name in wanted:
                        urls[name][count] = url
        for name, by_count in urls.items():
            print(f"\n{name}; median (longest) in ms; load {os.getloadavg()[0]:.1f} before", flush=True)
            figures = {count: measure(url, count) for count, url in by_count.items()}
            print(table(figures))
            took = next(iter(figures.values()))[f"trace, an event's {CASE}"][0]
            print(f"\nOf the 1.0 s that the reference takes for one trace at 88,000 events: {took / 1000:.4f}")
        print(f"\nload {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
