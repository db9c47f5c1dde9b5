"""How fast the runtime moves instances, beside other state machines and beside what a database can take, in one run.

    python -m benchmarks.bench_runtime
    python -m benchmarks.bench_runtime --parts peers,variants,growth --largest 1000000

The same machine of five states everywhere. `transitions` and `python-statemachine` change a state and nothing else;
ours also merges a payload, and appends a full event: the context after it, its cause, and the hash of the definition.
Ways take turns, so that a busy machine slows all of them; the garbage collector is left as it is. In memory, seconds
are those of the processor, as others may keep it busy too; with databases, those of the clock.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import os
import sqlite3
import statistics
import tempfile
import time
import types
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

import psycopg
from statemachine import State, StateMachine
from statemachine.transition_list import TransitionList
from transitions import Machine

from tests.contract.foreign import DOCUMENTED
from tests.servers.postgresql import running_server
from xcstore.jsontext import json_text
from xcstore.model.definition import Component
from xcstore.model.history import PersistedEvent
from xcstore.model.loader import component_from_document
from xcstore.runtime import FSMRuntime
from xcstore.store.base import EventStore
from xcstore.store.memory import InMemoryEventStore, InMemorySnapshotStore
from xcstore.store.opening import open_stores

STATES = ("Created", "Paid", "Packed", "Shipped", "Delivered")
WAYS = (
    ("Created", "PAY", "Paid"),
    ("Paid", "NOTE", "Paid"),
    ("Paid", "PACK", "Packed"),
    ("Packed", "NOTE", "Packed"),
    ("Packed", "SHIP", "Shipped"),
    ("Shipped", "NOTE", "Shipped"),
    ("Shipped", "DELIVER", "Delivered"),
    ("Delivered", "REORDER", "Created"),
)
"""A ring, so that no instance ends; in this order each event is taken."""
SIZES = (1_000, 10_000, 100_000, 1_000_000)
Run = Callable[[int], float]
"""Sends so many events, and returns the seconds that it took; what is made beforehand is not counted."""


def order_component() -> Component:
    return component_from_document(
        {
            "name": "Orders",
            "stateMachines": [
                {
                    "name": "Order",
                    "initialState": STATES[0],
                    "states": [{"name": name, "type": "regular" if n else "entry"} for n, name in enumerate(STATES)],
                    "transitions": [{"from": a, "to": b, "event": event} for a, event, b in WAYS],
                }
            ],
        }
    )


COMPONENT = order_component()


# Ours


def runtime_of(store: EventStore | None, **settings: object) -> FSMRuntime:
    return FSMRuntime(
        COMPONENT,
        event_sourcing=store is not None,
        event_store=store,
        environment={},
        **settings,  # type: ignore[arg-type]
    )


def orders(runtime: FSMRuntime, count: int) -> list[str]:
    return [runtime.create_instance("Order", {"order": number, "customer": "C-7"}) for number in range(count)]


def send(
    runtime: FSMRuntime,
    ids: Sequence[str],
    start: int,
    count: int,
    timer: Callable[[], float] = time.process_time,
) -> float:
    """Send `count` events, one instance after the other, each caused by the creation; `start` were sent already.

    What the caller hands in is made before.
    """
    causes = {order: (str(runtime.last_event_id(order)),) for order in ids}
    steps = islice(cycle([(order, event) for _, event, _ in WAYS for order in ids]), start % (8 * len(ids)), None)
    calls = [
        (order, event, {"step": number, "by": "Grace"}, causes[order])
        for number, (order, event) in zip(range(count), steps, strict=False)
    ]
    deliver = runtime.send
    began = timer()
    for order, event, payload, caused_by in calls:
        deliver(order, event, payload, caused_by=caused_by)
    return timer() - began


def ours(instances: int = 100, *, listeners: int = 0, snapshots: bool = False, events: bool = True) -> Run:
    def run(count: int) -> float:
        runtime = runtime_of(
            InMemoryEventStore() if events else None,
            snapshots=snapshots,
            snapshot_store=InMemorySnapshotStore() if snapshots else None,
            snapshot_interval=10,
        )
        for _ in range(listeners):
            runtime.listen(lambda notice: None)
        return send(runtime, orders(runtime, instances), 0, count)

    return run


# Others


class Model:
    """What `transitions` moves. Without slots, as it adds methods."""


def transitions_models(instances: int, **settings: object) -> tuple[Machine, list[Model]]:
    machine = Machine(
        model=None,
        states=list(STATES),
        transitions=[[event, a, b] for a, event, b in WAYS],
        initial=STATES[0],
        **settings,  # type: ignore[arg-type]
    )
    models = [Model() for _ in range(instances)]
    machine.add_model(models)
    return machine, models


def transitions_plain(count: int) -> float:
    """As its readme has it."""
    _, models = transitions_models(100)
    steps = cycle([(model, event) for _, event, _ in WAYS for model in models])
    began = time.process_time()
    for model, event in islice(steps, count):
        model.trigger(event)  # type: ignore[attr-defined]
    return time.process_time() - began


def transitions_fastest(count: int) -> float:
    """Without looking the event up, and without the transitions that it adds for each state."""
    machine, models = transitions_models(100, auto_transitions=False)
    steps = cycle([(model, machine.events[event].trigger) for _, event, _ in WAYS for model in models])
    began = time.process_time()
    for model, trigger in islice(steps, count):
        trigger(model)
    return time.process_time() - began


def order_class() -> type[StateMachine]:
    states = {name: State(name, initial=name == STATES[0]) for name in STATES}
    events: dict[str, TransitionList] = {}
    for a, event, b in WAYS:
        way = states[a].to(states[b])
        events[event] = events[event] | way if event in events else way
    made: type[StateMachine] = types.new_class(
        "OrderMachine", (StateMachine,), {}, lambda body: body.update({**states, **events})
    )
    return made


ORDER_CLASS = order_class()


def statemachine_plain(count: int) -> float:
    machines = [ORDER_CLASS() for _ in range(100)]
    steps = cycle([(machine, event) for _, event, _ in WAYS for machine in machines])
    began = time.process_time()
    for machine, event in islice(steps, count):
        machine.send(event)
    return time.process_time() - began


# Taking turns


def take_turns(ways: dict[str, Run], count: int, rounds: int) -> dict[str, list[float]]:
    """Events per second of each way in each round."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            gc.collect()  # what the way before left behind is not this one's
            rates[name].append(count / run(count))
    return rates


def show(title: str, rates: dict[str, list[float]]) -> None:
    """A table; the first way is what the others are compared with."""
    first = next(iter(rates.values()))
    print(f"\n{title}\n")
    print("| way | best, events/s | median | first by it, best | median of rounds |\n|---|---:|---:|---:|---:|")
    for name, found in rates.items():
        ratio = statistics.median(a / b for a, b in zip(first, found, strict=True))
        print(
            f"| {name} | {max(found):,.0f} | {statistics.median(found):,.0f} | {max(first) / max(found):.2f}"
            f" | {ratio:.2f} |",
            flush=True,
        )


def compare_peers(count: int, rounds: int) -> None:
    ways: dict[str, Run] = {
        "ours, full event into memory": ours(),
        "transitions, as in its readme": transitions_plain,
        "transitions, fastest use": transitions_fastest,
        "python-statemachine": statemachine_plain,
    }
    show(f"Peers: {count:,} events, 100 instances, {rounds} rounds", take_turns(ways, count, rounds))


def compare_variants(count: int, rounds: int) -> None:
    ways = {
        "events": ours(),
        "nothing kept": ours(events=False),
        "events, and snapshots every 10": ours(snapshots=True),
        "events, one listener": ours(listeners=1),
        "events, 20 instances": ours(20),
        "events, 10,000 instances": ours(10_000),
    }
    show(f"Variants: {count:,} events, 100 instances, {rounds} rounds", take_turns(ways, count, rounds))


# A store that grows


def grow(size: int) -> tuple[float, float]:
    """Seconds for all of `size` events, and for the last tenth of them."""
    runtime = runtime_of(InMemoryEventStore())
    ids = orders(runtime, 100)
    early, late = size * 9 // 10 - len(ids), size // 10
    head = send(runtime, ids, 0, early)
    tail = send(runtime, ids, early, late)
    return head + tail, tail


def measure_growth(largest: int, rounds: int) -> None:
    """Each round measures about as many events of each size."""
    sizes = [size for size in SIZES if size <= largest]
    tails: dict[int, list[float]] = {size: [] for size in sizes}
    wholes: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(rounds):
        for size in sizes:
            gc.collect()
            taken = [grow(size) for _ in range(max(1, 200_000 // size))]
            # The mean of many small stores: each collector's pause falls into some of them.
            tails[size].append(len(taken) * (size // 10) / sum(tail for _, tail in taken))
            wholes[size].append(len(taken) * (size - 100) / sum(whole for whole, _ in taken))
    print(f"\nA store that grows: {rounds} rounds, 100 instances\n")
    print("| stored | last tenth, best | median | of the smallest, median | whole run, best | median |")
    print("|---:|---:|---:|---:|---:|---:|")
    for size in sizes:
        found, whole = tails[size], wholes[size]
        ratio = statistics.median(a / b for a, b in zip(found, tails[sizes[0]], strict=True))
        print(
            f"| {size:,} | {max(found):,.0f} | {statistics.median(found):,.0f} | {ratio:.2f}"
            f" | {max(whole):,.0f} | {statistics.median(whole):,.0f} |",
            flush=True,
        )


# Databases


COLUMNS = (
    "id, instance_id, machine_name, component_name, event_type, event_payload, state_before, state_after,"
    " persisted_at, caused_by"
)
Insert = Callable[[tuple[object, ...]], object]


def recorded(count: int) -> list[PersistedEvent]:
    """The events that a run makes, for the peers to insert."""
    store = InMemoryEventStore()
    runtime = runtime_of(store)
    send(runtime, orders(runtime, 20), 0, count)
    return list(store.get_all_events())[-count:]


def row(event: PersistedEvent, prefix: str, causes: Callable[[Sequence[str]], str]) -> tuple[object, ...]:
    return (
        prefix + event.id[8:],
        event.instance_id,
        event.machine_name,
        event.component_name,
        event.event_type,
        json_text(event.payload),
        event.state_before,
        event.state_after,
        event.persisted_at,
        causes(event.caused_by),
    )


@contextlib.contextmanager
def raw_sqlite(path: Path) -> Iterator[Insert]:
    """The documented table and its indexes; as safe against a crash as ours."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"CREATE TABLE fsm_events ({COLUMNS.replace('id,', 'id PRIMARY KEY,', 1)})")
    for column in ("instance_id", "machine_name", "component_name", "persisted_at"):
        connection.execute(f"CREATE INDEX by_{column} ON fsm_events ({column})")
    statement = f"INSERT INTO fsm_events VALUES ({', '.join('?' * 10)})"
    try:
        yield lambda values: connection.execute(statement, values)
    finally:
        connection.close()


@contextlib.contextmanager
def raw_postgresql(url: str) -> Iterator[Insert]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(DOCUMENTED)
        statement = f"INSERT INTO fsm_events ({COLUMNS}) VALUES ({', '.join(['%s'] * 10)})"
        yield lambda values: connection.execute(statement, values)


def measure_database(
    name: str,
    peer: contextlib.AbstractContextManager[Insert],
    url: str,
    causes: Callable[[Sequence[str]], str],
    count: int,
    rounds: int,
) -> None:
    events = recorded(count)
    prefixes = (f"{number:08x}" for number in itertools.count())
    with peer as insert, open_stores(url, read_only=False) as stores:
        runtime = runtime_of(stores.events)
        ids = orders(runtime, 20)
        sent = 0

        def raw(count: int) -> float:
            prefix = next(prefixes)
            rows = [row(event, prefix, causes) for event in events]
            began = time.perf_counter()
            for values in rows:
                insert(values)
            return time.perf_counter() - began

        def runs(count: int) -> float:
            nonlocal sent
            sent += count
            return send(runtime, ids, sent - count, count, time.perf_counter)

        ways: dict[str, Run] = {"driver alone, one row and transaction each": raw, "runtime": runs}
        show(f"{name}: {count:,} events a round, {rounds} rounds", take_turns(ways, count, rounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="peers,variants,growth,sqlite,postgresql")
    parser.add_argument("--events", type=int, default=16_000, help="a round of peers and variants")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--largest", type=int, default=1_000_000, help="store that is grown to")
    parser.add_argument("--singles", type=int, default=500, help="a round of databases")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if "peers" in parts:
        compare_peers(arguments.events, arguments.rounds)
    if "variants" in parts:
        compare_variants(arguments.events, arguments.rounds)
    if "growth" in parts:
        measure_growth(arguments.largest, min(3, arguments.rounds))
    if "sqlite" in parts:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            measure_database(
                "SQLite",
                raw_sqlite(place / "raw.db"),
                f"sqlite:///{place / 'ours.db'}",
                lambda causes: json_text(list(causes)),
                arguments.singles,
                arguments.rounds,
            )
    if "postgresql" in parts:
        with running_server() as server, server.database() as raw, server.database() as mine:
            measure_database(
                "PostgreSQL",
                raw_postgresql(raw),
                mine,
                lambda causes: "{" + ",".join(causes) + "}",
                arguments.singles,
                arguments.rounds,
            )
    print(f"\nload average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
