"""How long a verified replay of a whole store takes, and the most memory that its process takes.

    python -m benchmarks.bench_divergence --events 200000 --folder bench

The history is what one machine with timers, matching rules and a public member makes: ten events for each instance,
values recorded with each. One instance in a thousand is rolled back. A store that is in the folder is used as it is.
Each run is a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from xcstore.model.history import CREATION, PersistedEvent, new_event
from xcstore.model.loader import parse_component
from xcstore.replay.divergence import divergence_map
from xcstore.store.base import StoredDefinition
from xcstore.store.opening import open_stores
from xcstore.units import EpochMs

START = 1_767_225_600_000
SHOP = parse_component("""
name: Shop
stateMachines:
  - name: Order
    initialState: Created
    publicMemberType: Order
    states: [{name: Created, type: entry}, {name: Paid}, {name: Packed}, {name: Sent, type: final}]
    transitions:
      - {from: Created, to: Paid, event: PAY}
      - {from: Created, to: Sent, event: EXPIRE, type: timeout, timeoutMs: 86400000}
      - {from: Paid, to: Paid, event: NOTE}
      - from: Paid
        to: Packed
        event: PACK
        matchingRules: [{eventProperty: orderId, instanceProperty: orderId}]
      - {from: Paid, to: Sent, event: PACK}
      - {from: Packed, to: Sent, event: SEND}
""")


def history(number: int) -> Iterator[PersistedEvent]:
    """One instance."""
    instance_id = f"order-{number:08}"
    values: dict[str, object] = {"orderId": instance_id, "amount": number % 900, "customer": f"C{number % 5_000}"}
    steps: list[tuple[str, str, str, dict[str, object]]] = [("", "Created", CREATION, {"initialContext": values})]
    steps.append(("Created", "Paid", "PAY", {"paid": True, "by": "card"}))
    steps += [("Paid", "Paid", "NOTE", {"note": f"note {place}", "place": place}) for place in range(6)]
    steps.append(("Paid", "Packed", "PACK", {"orderId": instance_id}))
    last: tuple[str, str, str, dict[str, object]] = (
        "Paid" if number % 1_000 == 7 else "Packed",
        "Sent",
        "SEND",
        {"van": "V1"},
    )
    steps.append(last)
    held = values
    for place, (before, after, kind, payload) in enumerate(steps):
        at = EpochMs(START + number * 1_000 + place * 600_000)
        if kind not in (CREATION, "PACK"):
            held = {**held, **payload}
        event_id = f"{instance_id}-{place:02}"
        yield new_event(
            event_id, instance_id, "Order", "Shop", kind, payload, at, before, after, at,
            (), None, None, held, SHOP.hash,
        )  # fmt: skip


def prepare(url: str, events: int) -> None:
    with open_stores(url, read_only=False, statement_timeout_ms=600_000) as stores:
        if stores.events.time_range() is not None:
            return
        stores.definitions.save_definition(
            StoredDefinition(hash=SHOP.hash, component_name=SHOP.name, document=SHOP.source)
        )
        number = events // 10
        made = (event for one in range(number) for event in history(one))
        while batch := list(islice(made, 20_000)):
            stores.events.append_many(batch)


def measure(url: str) -> dict[str, float]:
    with open_stores(url, statement_timeout_ms=600_000, latency_alert_ms=None) as stores:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found = divergence_map(stores, limit=20)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "events": found.events,
        "instances": found.instances,
        "diverging": found.diverging,
        "seconds": found.seconds,
        "events/s": found.events / found.seconds,
        "peak MB": peak,
        "more than before MB": peak - before,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("bench"))
    parser.add_argument("--measure", metavar="URL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
        return
    arguments.folder.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{arguments.folder.absolute() / f'divergence-{arguments.events}.db'}"
    prepare(url, arguments.events)
    run = [sys.executable, "-m", "benchmarks.bench_divergence", "--measure", url]
    printed = subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = json.loads(printed.splitlines()[-1])
    print("SQLite: " + ", ".join(f"{key} {value:,.1f}" for key, value in found.items()))


if __name__ == "__main__":
    main()
