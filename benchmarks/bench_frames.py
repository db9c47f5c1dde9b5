"""Events into pandas: our road beside plain pandas and ADBC alone, on a store that bench_pages made.

    python -m benchmarks.bench_frames sqlite:///bench/events-1000000.db

Each way runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

import pandas as pd
import sqlalchemy as sa

from xcstore.frames import events_frame
from xcstore.store.base import EventQuery
from xcstore.store.opening import open_stores

COLUMNS = [
    "id",
    "instance_id",
    "component_name",
    "machine_name",
    "event_type",
    "state_before",
    "state_after",
    "persisted_at",
    "payload",
]


def statement(url: str) -> str:
    payload = "event_payload::text" if url.startswith("postgresql") else "event_payload"
    return f"SELECT {', '.join(COLUMNS[:-1])}, {payload} AS payload FROM fsm_events"


def ours(url: str) -> pd.DataFrame:
    with open_stores(url, statement_timeout_ms=600_000) as stores:
        return events_frame(stores.events, EventQuery(), columns=COLUMNS, limit=None)


def plain_pandas(url: str) -> pd.DataFrame:
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        return pd.read_sql(sa.text(statement(url)), connection)


def adbc(url: str) -> Any:
    """To Arrow and no further."""
    if url.startswith("postgresql"):
        import adbc_driver_postgresql.dbapi as driver

        place = url
    else:
        import adbc_driver_sqlite.dbapi as driver  # type: ignore[no-redef]

        place = url.removeprefix("sqlite:///")
    with driver.connect(place) as connection, connection.cursor() as cursor:
        cursor.execute(statement(url))
        return cursor.fetch_arrow_table()


WAYS = {"xcstore.frames": ours, "pandas.read_sql": plain_pandas, "ADBC to Arrow alone": adbc}


def measure(way: str, url: str) -> dict[str, float]:
    import adbc_driver_manager  # noqa: F401  # imports are not what is measured

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began = time.perf_counter()
    result = WAYS[way](url)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    size = result.memory_usage(deep=True).sum() if isinstance(result, pd.DataFrame) else result.nbytes
    return {"rows": len(result), "seconds": seconds, "peak": peak, "size": float(size) / 2**20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--way", choices=WAYS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(measure(arguments.way, arguments.url)))
        return
    figures: dict[str, dict[str, float]] = {}
    for way in WAYS:
        command = [sys.executable, "-m", "benchmarks.bench_frames", arguments.url, "--way", way]
        figures[way] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    mine = figures["xcstore.frames"]
    print("| way | rows | seconds | of it, in speed | peak MB | result MB | peak / result |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for way, one in figures.items():
        print(
            f"| {way} | {one['rows']:,.0f} | {one['seconds']:.1f} | {one['seconds'] / mine['seconds']:.2f}"
            f" | {one['peak']:,.0f} | {one['size']:,.0f} | {one['peak'] / one['size']:.2f} |"
        )
    print("\nWanted: at least 5 times as fast as pandas.read_sql, 0.9 of ADBC alone, peak at most 1.2 of the frame.")


if __name__ == "__main__":
    main()
