"""How fast histories become living instances again: events in memory folded, and whole runtimes restored.

    python -m benchmarks.bench_restore
    python -m benchmarks.bench_restore --parts fold --events 1000000

Folding is measured on events that are decoded already, without timers. Restoring reads them from a store: all events
of each instance, or its snapshot and the events after it. The garbage collector is left as it is.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench_runtime import COMPONENT, orders, runtime_of, send
from tests.servers.postgresql import running_server
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.runtime import FSMRuntime, RestoreReport
from xcstore.runtime.folding import fold
from xcstore.runtime.interpreter import MachineTable
from xcstore.store.base import Stores
from xcstore.store.memory import InMemoryEventStore
from xcstore.store.opening import open_stores

BATCH = 20_000


def history(instances: int, events: int) -> list[PersistedEvent]:
    """What a run of so many instances appends, in order."""
    store = InMemoryEventStore()
    runtime = runtime_of(store)
    ids = orders(runtime, instances)
    send(runtime, ids, 0, events - instances)
    return list(store.get_all_events())


def by_instance(events: list[PersistedEvent]) -> list[list[PersistedEvent]]:
    streams: dict[str, list[PersistedEvent]] = {}
    for event in events:
        streams.setdefault(event.instance_id, []).append(event)
    return list(streams.values())


def measure_fold(events: int, rounds: int) -> None:
    print(f"\nFolding {events:,} events in memory: {rounds} rounds\n")
    print("| instances | best, events/s | median |\n|---:|---:|---:|")
    table = MachineTable(COMPONENT.machines[0])
    for instances in (10_000, 1):
        streams = by_instance(history(instances, events))
        rates = []
        for _ in range(rounds):
            gc.collect()
            began = time.perf_counter()
            folded = [fold(table, stream) for stream in streams]
            rates.append(events / (time.perf_counter() - began))
            assert sum(one.events for one in folded if one) == events
        print(f"| {instances:,} | {max(rates):,.0f} | {statistics.median(rates):,.0f} |", flush=True)


def fill(stores: Stores, events: list[PersistedEvent]) -> None:
    for start in range(0, len(events), BATCH):
        stores.events.append_many(events[start : start + BATCH])


def save_snapshots(stores: Stores, every: int) -> None:
    """The snapshots that a runtime would have left behind: each instance as of its last `every`th transition."""
    table = MachineTable(COMPONENT.machines[0])
    made = []
    for stream in by_instance(list(stores.events.get_all_events())):
        folded = fold(table, stream[: 1 + (len(stream) - 1) // every * every])
        if folded is not None and folded.events > 1:
            at = folded.instance.updated_at or folded.instance.created_at
            assert at is not None
            made.append(InstanceSnapshot(instance=folded.instance, snapshot_at=at, last_event_id=folded.last_event_id))
    stores.snapshots.save_snapshots(made)


def restore(stores: Stores, *, snapshots: bool) -> tuple[float, RestoreReport]:
    runtime = FSMRuntime(
        COMPONENT,
        event_store=stores.events,
        snapshots=snapshots,
        snapshot_store=stores.snapshots if snapshots else None,
        environment={},
    )
    gc.collect()
    began = time.perf_counter()
    report = runtime.restore()
    return time.perf_counter() - began, report


@contextlib.contextmanager
def filled(urls: dict[str, str], events: list[PersistedEvent]) -> Iterator[dict[str, Stores]]:
    with contextlib.ExitStack() as stack:
        opened = {
            name: stack.enter_context(open_stores(url, read_only=False, statement_timeout_ms=600_000))
            for name, url in urls.items()
        }
        for stores in opened.values():
            fill(stores, events)
            save_snapshots(stores, every=5)
        yield opened


def measure_restore(names: list[str], events: int, instances: int, rounds: int) -> None:
    print(f"\nRestoring {instances:,} live instances of {events:,} events, a snapshot every 5: {rounds} rounds\n")
    print("| store | snapshots | best, s | median, s | stored events/s, best | of these folded |")
    print("|---|---|---:|---:|---:|---:|")
    with contextlib.ExitStack() as stack:
        urls = {"memory": "memory://"} if "memory" in names else {}
        if "sqlite" in names:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            urls["SQLite"] = f"sqlite:///{Path(folder) / 'restore.db'}"
        if "postgresql" in names:
            server = stack.enter_context(running_server())
            urls["PostgreSQL"] = stack.enter_context(server.database())
        opened = stack.enter_context(filled(urls, history(instances, events)))
        taken: dict[tuple[str, bool], list[float]] = {}
        folded: dict[tuple[str, bool], int] = {}
        for _ in range(rounds):
            for name, stores in opened.items():
                for snapshots in (False, True):
                    seconds, report = restore(stores, snapshots=snapshots)
                    assert report.instances == instances
                    assert not report.problem_count, report.problems
                    assert report.from_snapshot == (instances if snapshots else 0)
                    taken.setdefault((name, snapshots), []).append(seconds)
                    folded[name, snapshots] = report.events
        for (name, snapshots), found in taken.items():
            print(
                f"| {name} | {'yes' if snapshots else 'no'} | {min(found):.2f} | {statistics.median(found):.2f}"
                f" | {events / min(found):,.0f} | {folded[name, snapshots]:,} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="fold,memory,sqlite,postgresql")
    parser.add_argument("--events", type=int, default=1_000_000, help="that are folded")
    parser.add_argument("--stored", type=int, default=100_000, help="events of the stores")
    parser.add_argument("--instances", type=int, default=10_000, help="of the stores")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if "fold" in parts:
        measure_fold(arguments.events, arguments.rounds)
    if stores := [part for part in parts if part != "fold"]:
        measure_restore(stores, arguments.stored, arguments.instances, arguments.rounds)
    print(f"\nload average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
