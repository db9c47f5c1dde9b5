"""How long the questions of the pages take on a big store.

    python -m benchmarks.bench_pages --events 1000000 --folder bench
    python -m benchmarks.bench_pages --events 100000 --stores mongodb,archive,influxdb,redis

Makes (or finds again, in the folder) the same history in three stores: SQLite and PostgreSQL as ours, and PostgreSQL
in the documented layout without any object of ours. Each question is asked with 20 different parameters, in a process
of its own that has warmed up with others; nothing is cached above the database. Prints a table in Markdown: median
and longest in milliseconds, and the memory of the process.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

import psycopg
from psycopg.types.json import Jsonb, set_json_dumps

from benchmarks.generate import events, fill
from tests.contract.foreign import DOCUMENTED
from tests.servers.postgresql import running_server
from xcstore.analysis.stuck import WaitingState
from xcstore.demo.redis_writer import RedisWriter
from xcstore.demo.servers.influxdb import running_influxdb
from xcstore.demo.servers.mongodb import running_mongodb
from xcstore.demo.servers.redis import running_redis
from xcstore.jsontext import json_text
from xcstore.model.catalog import Catalog
from xcstore.queries import overview
from xcstore.store.base import Count, EventQuery, InstanceQuery, StateCount, Stores
from xcstore.store.opening import open_stores
from xcstore.units import HOUR, EpochMs
from xcstore.views import overview as views

PARAMETERS = 20
Question = Callable[[Stores, int], object]


def questions(stores: Stores, seed: int = 1) -> dict[str, Question]:
    """What is asked, by name; the number picks the parameter."""
    rng = random.Random(seed)
    first, last = stores.events.time_range() or (EpochMs(0), EpochMs(0))
    times = [EpochMs(rng.randrange(first, last)) for _ in range(PARAMETERS + 1)]
    picked = [stores.events.find(EventQuery(start=at), limit=1).items[0] for at in times]
    cases = stores.events.count(EventQuery())[0].count // 29  # about so many orders were made
    orders = [f"ORD-{rng.randrange(cases):07}" for _ in times]
    transitions = ("component_name", "machine_name", "state_before", "event_type", "state_after")

    def page(**conditions: object) -> Callable[[Stores, int], object]:
        def ask(stores: Stores, number: int) -> object:
            values = {
                name: (getattr(picked[number], str(field)),) if name.endswith("s") else field
                for name, field in conditions.items()
            }
            return stores.events.find(EventQuery(end=times[number], **values), newest_first=True)  # type: ignore[arg-type]

        return ask

    return {
        "history of an instance": lambda s, n: s.events.get_events_for_instance(picked[n].instance_id),
        "event": lambda s, n: s.events.get_event(picked[n].id),
        "caused events": lambda s, n: s.events.get_caused_events(picked[n].id),
        "trace, both ways (29 events)": lambda s, n: s.events.trace(picked[n].id),
        "page, no filter": page(),
        "page of a component": page(components="component_name"),
        "page of a machine": page(machines="machine_name"),
        "page of a type": page(event_types="event_type"),
        "page of a state": page(states="state_after"),
        "page of a machine and state": page(machines="machine_name", states="state_after"),
        "page of an hour": lambda s, n: s.events.find(EventQuery(start=times[n], end=EpochMs(times[n] + HOUR))),
        "page by payload, frequent value": lambda s, n: s.events.find(
            EventQuery(payload_path=("channel",), payload_value=("web", "shop", "phone")[n % 3], end=times[n]),
            newest_first=True,
        ),
        "page by payload, one order": lambda s, n: s.events.find(
            EventQuery(payload_path=("orderId",), payload_value=orders[n]), newest_first=True
        ),
        "page by text, frequent": lambda s, n: s.events.find(
            EventQuery(text=("carrier", "night shift", "evening")[n % 3], end=times[n]), newest_first=True
        ),
        "page by text, one order": lambda s, n: s.events.find(EventQuery(text=orders[n]), newest_first=True),
        "page by text, an id": lambda s, n: s.events.find(EventQuery(text=picked[n].id), newest_first=True),
        "instances, no filter": lambda s, n: s.events.instances(InstanceQuery(updated_to=times[n])),
        "instances in a state": lambda s, n: s.events.instances(InstanceQuery(states=(picked[n].state_after,))),
        "instances of a machine in a state": lambda s, n: s.events.instances(
            InstanceQuery(machines=(picked[n].machine_name,), states=(picked[n].state_after,))
        ),
        "counts: all events": lambda s, n: s.events.count(EventQuery()),
        "counts: by transition": lambda s, n: s.events.count(EventQuery(), by=transitions),
        "counts: by transition, since": lambda s, n: s.events.count(EventQuery(start=times[n]), by=transitions),
        "counts: by hour": lambda s, n: s.events.count(EventQuery(), bucket_ms=HOUR),
        "counts: instances by state": lambda s, n: s.events.count_instances(InstanceQuery()),
        "time range": lambda s, n: s.events.time_range(),
        "Overview: all counts together": lambda s, n: overview_counts(s),
        "Overview: what is stuck": lambda s, n: overview.waiting(s, waiting_states(s), as_of=last),
    }


def overview_counts(stores: Stores) -> tuple[overview.Facts, tuple[StateCount, ...], tuple[Count, ...]]:
    """All that the page counts over the whole store."""
    facts = overview.facts(stores)
    if facts.time_range is not None:
        overview.activity(stores, bucket_ms=overview.bucket_for(*facts.time_range, events=facts.events))
    return facts, overview.state_counts(stores), overview.flows(stores)


@lru_cache(maxsize=1)
def waiting_states(stores: Stores) -> tuple[WaitingState, ...]:
    return views.build(*overview_counts(stores), Catalog(), EpochMs(0)).waiting


def measure(url: str, repeats: int) -> dict[str, object]:
    """Ask everything of one store, in this process."""
    figures: dict[str, object] = {}
    with open_stores(url, statement_timeout_ms=120_000) as stores:
        for name, ask in questions(stores).items():
            ask(stores, PARAMETERS)  # warm: code, plans, connections; the parameters are others
            taken: list[float] = []
            for number in range(min(repeats, PARAMETERS)):
                began = time.perf_counter()
                ask(stores, number)
                taken.append((time.perf_counter() - began) * 1000)
                if sum(taken) > 60_000:  # hopeless; what was measured says so
                    break
            figures[name] = (statistics.median(taken), max(taken))
            print(f"  {name}: {figures[name]}", file=sys.stderr, flush=True)
        figures["memory (MB)"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return figures


def copy_documented(url: str, count: int) -> None:
    """The documented tables and the same events, by COPY: as another program would have written them."""
    set_json_dumps(json_text)
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(DOCUMENTED)
        with cursor.copy(
            "COPY fsm_events (id, instance_id, machine_name, component_name, event_type, event_payload, state_before,"
            " state_after, persisted_at, caused_by, source_component_name) FROM STDIN"
        ) as copy:
            for event in events(count):
                copy.write_row(
                    (
                        event.id,
                        event.instance_id,
                        event.machine_name,
                        event.component_name,
                        event.event_type,
                        Jsonb(event.payload),
                        event.state_before,
                        event.state_after,
                        event.persisted_at,
                        list(event.caused_by),
                        event.source_component_name,
                    )
                )
        connection.commit()
        connection.autocommit = True
        cursor.execute("VACUUM ANALYZE fsm_events")


def prepared(folder: Path, count: int, wanted: list[str], stack: ExitStack) -> Iterator[tuple[str, str]]:
    """Name and URL of each store, filled."""
    folder.mkdir(parents=True, exist_ok=True)
    if "sqlite" in wanted:
        yield "SQLite, ours", _filled(f"sqlite:///{(folder / f'events-{count}.db').resolve()}", count)
    if "postgresql" in wanted or "documented" in wanted:
        postgres = stack.enter_context(running_server())
        for name, kind in (("PostgreSQL, ours", "postgresql"), ("PostgreSQL, documented, foreign", "documented")):
            if kind not in wanted:
                continue
            database = f"xcstore_bench_{kind}_{count}"
            with psycopg.connect(postgres.url, autocommit=True) as connection:
                known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone()
                if not known:
                    connection.execute(f"CREATE DATABASE {database}")
            url = postgres.url_of(database)
            if kind == "postgresql":
                _filled(url, count)
            elif not known:
                copy_documented(url, count)
            yield name, url
    if "mongodb" in wanted:
        with running_mongodb(folder / "mongodb") as server:
            yield "MongoDB, ours", _filled(f"{server.url}bench_{count}", count)
    if "archive" in wanted:
        yield "archive", _filled(f"archive:///{(folder / f'archive-{count}').resolve()}", count)
    if "influxdb" in wanted:
        with running_influxdb(folder / "influxdb") as server:
            yield "InfluxDB", _filled(f"{server.url}bench_{count}", count)
    if "redis" in wanted:
        with running_redis(folder / f"redis-{count}") as server:
            with RedisWriter(f"{server.url}0") as writer, open_stores(f"{server.url}0") as stores:
                if not stores.events.count(EventQuery())[0].count:
                    for event in events(count):
                        writer.append(event)
            yield "Redis", f"{server.url}0"


def _filled(url: str, count: int) -> str:
    with open_stores(url, read_only=False, statement_timeout_ms=600_000) as stores:
        if stores.events.count(EventQuery())[0].count < count:
            seconds = fill(stores.events, count)
            print(f"{count:,} events into {stores.identity} in {seconds:.0f} s", file=sys.stderr)
    if url.startswith("postgresql"):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
    return url


def table(figures: dict[str, dict[str, object]]) -> str:
    lines = [
        "| question | " + " | ".join(figures) + " |",
        "|---|" + "---:|" * len(figures),
    ]
    for name in next(iter(figures.values())):
        cells = []
        for store in figures.values():
            value = store[name]
            cells.append(f"{value[0]:,.1f} ({value[1]:,.0f})" if isinstance(value, (list, tuple)) else f"{value:,.0f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("bench"), help="where the SQLite file is kept")
    parser.add_argument("--stores", default="sqlite,postgresql,documented")
    parser.add_argument("--repeats", type=int, default=PARAMETERS)
    parser.add_argument("--one", metavar="URL", help="measure this store here, and print JSON")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.repeats)))
        return
    figures: dict[str, dict[str, object]] = {}
    with ExitStack() as stack:
        for name, url in prepared(arguments.folder, arguments.events, arguments.stores.split(","), stack):
            print(name, file=sys.stderr)
            command = [sys.executable, "-m", "benchmarks.bench_pages", "--one", url]
            command += ["--repeats", str(arguments.repeats)]
            figures[name] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    print(f"\n{arguments.events:,} events; median (longest) in ms of {arguments.repeats} different parameters\n")
    print(table(figures))


if __name__ == "__main__":
    main()
