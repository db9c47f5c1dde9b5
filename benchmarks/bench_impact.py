"""How long `definition_impact` takes for a whole component, and the most memory that its process takes.

    python -m benchmarks.bench_impact --events 1000000 --folder bench

A store that is in the folder is used as it is. The definition in force is what the history shows; the candidate drops
one way out of a state and lets each state time out after a day.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.generate import fill
from xcstore.model.catalog import Catalog
from xcstore.model.definition import Component
from xcstore.model.history import CREATION
from xcstore.model.loader import component_from_document
from xcstore.replay.impact import definition_impact
from xcstore.store.base import EventQuery, Stores
from xcstore.store.opening import open_stores
from xcstore.units import DAY

COMPONENT = "OrderComponent"


def observed(stores: Stores) -> dict[str, Any]:
    """A document of the component with every transition that happened."""
    rows = stores.events.count(
        EventQuery(components=(COMPONENT,)), by=("machine_name", "state_before", "event_type", "state_after")
    )
    machines: dict[str, dict[str, Any]] = {}
    for machine, before, event_type, after in (row.key for row in rows):
        found = machines.setdefault(machine, {"name": machine, "initialState": "", "states": {}, "transitions": []})
        found["states"] |= {state: {"name": state} for state in (before, after) if state}
        if event_type == CREATION:
            found["initialState"] = after
        else:
            found["transitions"].append({"from": before, "to": after, "event": event_type})
    for found in machines.values():
        found["states"] = list(found["states"].values())
    return {"name": COMPONENT, "stateMachines": list(machines.values())}


def changed(document: dict[str, Any]) -> Component:
    copy = json.loads(json.dumps(document))
    for machine in copy["stateMachines"]:
        machine["transitions"].pop()
        machine["transitions"] += [
            {"from": state["name"], "to": state["name"], "event": "TOO_LATE", "type": "timeout", "timeoutMs": DAY}
            for state in machine["states"]
        ]
    return component_from_document(copy)


def measure(url: str, *, same: bool) -> dict[str, float]:
    shown: list[float] = []
    with open_stores(url, statement_timeout_ms=600_000) as stores:
        document = observed(stores)
        current = component_from_document(document)
        candidate = current if same else changed(document)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        began = time.perf_counter()
        found = definition_impact(
            stores,
            candidate,
            catalog=Catalog([current]),
            on_progress=lambda done, total: shown.append(time.perf_counter()),
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pauses = [two - one for one, two in zip([began, *shown], shown, strict=False)]
    return {
        "instances": found.instances,
        "events": found.events,
        "same": found.same,
        "same end": found.same_end,
        "other end": found.other_end,
        "unknown": found.unknown,
        "seconds": found.seconds,
        "events/s": found.events / found.seconds,
        "more than before MB": peak - before,
        "longest silence s": max(pauses),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("bench"))
    parser.add_argument("--measure", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--same", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, same=arguments.same)))
        return
    arguments.folder.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{arguments.folder.absolute() / f'impact-{arguments.events}.db'}"
    with open_stores(url, read_only=False) as stores:
        if stores.events.time_range() is None:
            fill(stores.events, arguments.events)
    for name, more in (("equal", ["--same"]), ("changed", [])):
        run = [sys.executable, "-m", "benchmarks.bench_impact", "--measure", url, *more]
        printed = subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True).stdout
        found = json.loads(printed.splitlines()[-1])
        print(f"{name}: " + ", ".join(f"{key} {value:,.1f}" for key, value in found.items()))


if __name__ == "__main__":
    main()
