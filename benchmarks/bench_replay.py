"""How fast a long history is replayed: opened, sought in, stepped through, prefetched.

    python -m benchmarks.bench_replay
    python -m benchmarks.bench_replay --events 10000 --store sqlite:///bench.db

One instance of many events, in a SQLite file unless another empty store is named. Each seek goes to another random
step; what is measured is the whole moment: the instance before and after the event, and what changed.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from xcstore.model.catalog import Catalog
from xcstore.model.definition import Component, State, StateMachine, Transition
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.replay.controller import ReplayController
from xcstore.replay.track import InstanceScope, open_track
from xcstore.store.opening import open_stores
from xcstore.units import EpochMs

START = EpochMs(1_767_225_600_000)
STATES = ("Idle", "Heating", "Holding", "Cooling")
MACHINE = StateMachine(
    name="Furnace",
    initial_state=STATES[0],
    states=tuple(State(name=name) for name in STATES),
    transitions=tuple(
        Transition(source=one, target=two, event=f"TO_{two.upper()}")
        for one, two in zip(STATES, (*STATES[1:], STATES[0]), strict=True)
    ),
)
CATALOG = Catalog([Component(name="Plant", machines=(MACHINE,))])
BATCH = 20_000


def history(count: int) -> Iterator[PersistedEvent]:
    """The stream of one instance, one event a second; two dozen fields, some of which change with each event."""
    values = {f"field{number}": number for number in range(20)}
    for number in range(count):
        before, after = STATES[(number - 1) % len(STATES)], STATES[number % len(STATES)]
        yield PersistedEvent(
            id=f"event-{number:08}",
            instance_id="furnace-1",
            machine_name=MACHINE.name,
            component_name="Plant",
            event_type=f"TO_{after.upper()}" if number else CREATION,
            payload={"temperature": number % 900, "batch": number // 100, "note": "a line of some thirty letters"}
            if number
            else {"initialContext": values},
            state_before=before if number else "",
            state_after=after,
            persisted_at=EpochMs(START + number * 1_000),
            caused_by=(f"event-{number - 1:08}",) if number else (),
        )


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1_000


def measure(url: str, events: int, seeks: int) -> None:
    with open_stores(url, read_only=False) as stores:
        for start in range(0, events, BATCH):
            stores.events.append_many(islice(history(events), start, start + BATCH))
    with open_stores(url) as stores:
        scope = InstanceScope(instance_id="furnace-1")
        began = time.perf_counter()
        track = open_track(stores, scope, catalog=CATALOG, max_events=events)
        read = time.perf_counter()
        controller = ReplayController(track)
        ready = time.perf_counter()
    positions = random.Random(0).sample(range(events + 1), seeks)
    sought = [timed(lambda position=position: controller.seek(position)) for position in positions]  # type: ignore[misc]
    controller.seek(events // 2)
    forward = [timed(controller.step) for _ in range(seeks)]
    back = [timed(controller.back) for _ in range(seeks)]
    many = [timed(lambda position=position: controller.moments(position, position + 400)) for position in positions]  # type: ignore[misc]
    print(f"\n{events:,} events of one instance\n\n| what | median | worst |\n|---|---:|---:|")
    print(f"| open: read | {(read - began) * 1_000:,.0f} ms | |")
    print(f"| open: checkpoints | {(ready - read) * 1_000:,.0f} ms | |")
    for name, figures in (("seek", sought), ("step", forward), ("back", back), ("400 moments", many)):
        print(f"| {name} | {statistics.median(figures):.2f} ms | {max(figures):.2f} ms |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seeks", type=int, default=20)
    parser.add_argument("--store", help="URL of an empty store; it is filled")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(options.store or f"sqlite:///{Path(folder) / 'replay.db'}", options.events, options.seeks)


if __name__ == "__main__":
    main()
