"""How long questions to an archive take, beside DuckDB on the same files without any code of ours.

    python -m benchmarks.bench_archive --events 1000000 --folder bench/archive

Makes the archive (or finds it again, in the folder). Prints a table in Markdown: medians in milliseconds of 20
different parameters; aggregates side by side with the same SQL over the same files, in turn.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from benchmarks.generate import events
from xcstore.store.archive import open_archive_stores
from xcstore.store.base import EventQuery, InstanceQuery, Stores
from xcstore.units import HOUR, EpochMs

REPEATS = 20


def median_ms(ask: Callable[[int], object], repeats: int) -> float:
    ask(repeats)  # warm; the parameter is another
    taken = []
    for number in range(repeats):
        began = time.perf_counter()
        ask(number)
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def pages(stores: Stores, repeats: int) -> dict[str, float]:
    rng = random.Random(1)
    first, last = stores.events.time_range() or (EpochMs(0), EpochMs(0))
    times = [EpochMs(rng.randrange(first, last)) for _ in range(repeats + 1)]
    picked = [stores.events.find(EventQuery(start=at), limit=1).items[0] for at in times]
    store = stores.events
    asked: dict[str, Callable[[int], object]] = {
        "event": lambda n: store.get_event(picked[n].id),
        "history of an instance": lambda n: store.get_events_for_instance(picked[n].instance_id),
        "caused events": lambda n: store.get_caused_events(picked[n].id),
        "trace, both ways (29 events)": lambda n: store.trace(picked[n].id),
        "page, newest first": lambda n: store.find(EventQuery(end=times[n]), newest_first=True),
        "page of a machine and state": lambda n: store.find(
            EventQuery(machines=(picked[n].machine_name,), states=(picked[n].state_after,), end=times[n]),
            newest_first=True,
        ),
        "instances, no filter": lambda n: store.instances(InstanceQuery(updated_to=times[n])),
        "instances by state, counted": lambda n: store.count_instances(InstanceQuery()),
        "time range": lambda n: store.time_range(),
        "status": lambda n: store.status(),
    }
    return {name: median_ms(ask, repeats) for name, ask in asked.items()}


def aggregates(stores: Stores, folder: Path, repeats: int) -> dict[str, tuple[float, float]]:
    """Ours, and DuckDB alone."""
    files = sorted(str(path) for path in (folder / "events").rglob("*.parquet"))
    plain = duckdb.connect()
    plain.execute("SET parquet_metadata_cache = true")
    source = "read_parquet(?, hive_partitioning = false)"
    transition = "component_name, machine_name, state_before, event_type, state_after"
    names = ("component_name", "machine_name", "state_before", "event_type", "state_after")
    asked: dict[str, tuple[Callable[[int], object], str]] = {
        "counts by transition": (
            lambda n: stores.events.count(EventQuery(), by=names),  # type: ignore[arg-type]
            f"SELECT {transition}, count(*) FROM {source} GROUP BY ALL",
        ),
        "counts by hour": (
            lambda n: stores.events.count(EventQuery(), bucket_ms=HOUR),
            f"SELECT persisted_at // {HOUR}, count(*) FROM {source} GROUP BY ALL",
        ),
        "counts by component, machine, state": (
            lambda n: stores.events.count(EventQuery(), by=("component_name", "machine_name", "state_after")),
            f"SELECT component_name, machine_name, state_after, count(*) FROM {source} GROUP BY ALL",
        ),
    }
    figures = {}
    for name, (ask, sql) in asked.items():

        def alone(number: int, sql: str = sql) -> object:
            return plain.execute(sql, [files]).fetchall()

        ours, theirs = [], []
        for _ in range(3):  # in turn, as whatever else runs here slows down both
            ours.append(median_ms(ask, repeats))
            theirs.append(median_ms(alone, repeats))
        figures[name] = min(ours), min(theirs)
    plain.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("bench/archive"))
    parser.add_argument("--repeats", type=int, default=REPEATS)
    arguments = parser.parse_args()
    folder: Path = arguments.folder.resolve()
    url = f"archive:///{folder}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with open_archive_stores(url, read_only=False) as stores:
            began = time.perf_counter()
            stores.events.append_many(events(arguments.events))
            seconds = time.perf_counter() - began
        print(f"{arguments.events:,} events in {seconds:.0f} s, making them included", file=sys.stderr)
    with open_archive_stores(url, statement_timeout_ms=120_000) as stores:
        status = stores.events.status()
        print(f"{status.event_count:,} events, {(status.size_bytes or 0) / 1e6:,.0f} MB, {status.server}\n")
        print("| question | ms |\n|---|---:|")
        for name, taken in pages(stores, arguments.repeats).items():
            print(f"| {name} | {taken:,.1f} |")
        print("\n| aggregate | ours, ms | DuckDB alone, ms | ratio |\n|---|---:|---:|---:|")
        for name, (ours, theirs) in aggregates(stores, folder, arguments.repeats).items():
            print(f"| {name} | {ours:,.1f} | {theirs:,.1f} | {ours / theirs:.2f} |")


if __name__ == "__main__":
    main()
