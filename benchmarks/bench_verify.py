"""How long `verify` takes for a whole store, and the most memory that its process takes.

    python -m benchmarks.bench_verify --events 1000000 --folder bench

A store that is in the folder is used as it is; one in ten instances has a snapshot. Each run is a process of its own,
so that its memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from benchmarks.generate import fill
from tests.servers.postgresql import running_server
from xcstore.analysis.context import fold
from xcstore.model.history import Instance, InstanceSnapshot
from xcstore.ops.verifying import PIECE, verify
from xcstore.store.base import InstanceQuery, Stores
from xcstore.store.opening import open_stores

EVERY = 10


def take_snapshots(stores: Stores) -> int:
    """Of every tenth instance, after its last event."""
    after, taken = None, 0
    while True:
        page = stores.events.instances(InstanceQuery(), after=after, limit=5_000)
        chosen = [one.instance_id for one in islice(page.items, 0, None, EVERY)]
        snapshots = []
        for stream in stores.events.get_streams(chosen).values():
            last = fold(stream)[-1]
            event = last.event
            instance = Instance(
                id=event.instance_id,
                machine_name=event.machine_name,
                component_name=event.component_name,
                current_state=event.state_after,
                context=last.values,
            )
            snapshots.append(
                InstanceSnapshot(instance=instance, snapshot_at=event.persisted_at, last_event_id=event.id)
            )
        taken += stores.snapshots.save_snapshots(snapshots)
        if page.next is None:
            return taken
        after = page.next


def prepare(url: str, events: int) -> None:
    with open_stores(url, read_only=False, statement_timeout_ms=600_000) as stores:
        if stores.events.time_range() is None:
            fill(stores.events, events)
        if not stores.snapshots.count():
            take_snapshots(stores)


def measure(url: str) -> dict[str, float]:
    shown: list[float] = []
    with open_stores(url, statement_timeout_ms=600_000) as stores:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        began = time.perf_counter()
        report = verify(stores, on_progress=lambda done, total: shown.append(time.perf_counter()))
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pauses = [two - one for one, two in zip([began, *shown], shown, strict=False)]
    return {
        "events": report.checked["events"],
        "snapshots": report.checked["snapshots"],
        "findings": report.total,
        "seconds": seconds,
        "peak MB": peak,
        "more than before MB": peak - before,
        "longest silence s": max(pauses),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("bench"))
    parser.add_argument("--stores", default="sqlite,postgresql")
    parser.add_argument("--measure", metavar="URL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
        return
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        urls = {}
        if "sqlite" in arguments.stores:
            urls["SQLite"] = f"sqlite:///{arguments.folder.absolute() / f'verify-{arguments.events}.db'}"
        if "postgresql" in arguments.stores:
            server = stack.enter_context(running_server())
            urls["PostgreSQL"] = stack.enter_context(server.database())
        for name, url in urls.items():
            prepare(url, arguments.events)
            run = [sys.executable, "-m", "benchmarks.bench_verify", "--measure", url]
            printed = subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True).stdout
            found = json.loads(printed.splitlines()[-1])
            print(
                f"{name}, in pieces of {PIECE:,}: " + ", ".join(f"{key} {value:,.1f}" for key, value in found.items())
            )


if __name__ == "__main__":
    main()
