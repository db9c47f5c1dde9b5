"""A realistic history of any length, streaming: what the benchmarks measure on.

    python -m benchmarks.generate --events 1000000 --into sqlite:///bench.db

An order makes a reservation, the reservation a shipment: three components, about ten events per instance, payloads
of about 200 bytes, every event but the first caused by the one before it, across components too. One case in twenty
stops on its way. Equal arguments give equal events.
"""

from __future__ import annotations

import argparse
import random
import time
from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice
from math import log
from operator import attrgetter

from xcstore.model.history import CREATION, PersistedEvent
from xcstore.store.base import EventStore
from xcstore.store.opening import open_stores
from xcstore.units import EpochMs

START = EpochMs(1_767_225_600_000)
BATCH = 20_000

_COMPONENTS = (
    ("OrderComponent", "Order", ("Created", "Checked", "Priced", "Confirmed", "PaymentPending", "Paid", "Allocating")),
    ("InventoryComponent", "Reservation", ("Requested", "Searching", "Picking", "Retrying", "Packed", "Ready")),
    ("ShippingComponent", "Shipment", ("Planned", "Labelled", "Handed", "InTransit", "Customs", "OutForDelivery")),
)
_ENDS = (("Completed", "Cancelled"), ("Released", "Failed"), ("Delivered", "Lost"))


def _steps(machine: str, states: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Each state with the type of the event that leads to it."""
    return tuple((state, f"{machine}_{state}".upper()) for state in states)


_MACHINES = tuple(
    # two states are visited a second time
    (component, machine, _steps(machine, (*states, states[2], states[3])), _steps(machine, ends))
    for (component, machine, states), ends in zip(_COMPONENTS, _ENDS, strict=True)
)
_CHANNELS = ("web", "shop", "phone", "partner")
_NOTES = (
    "customer asked for delivery after six in the evening",
    "second attempt, the first carrier had no capacity left",
    "checked by the night shift, nothing to add to the order",
    "price agreed by phone, see the attached offer of March",
)


def events(count: int, *, seed: int = 0, start: EpochMs = START, spacing_ms: int = 1_000) -> Iterator[PersistedEvent]:
    """`count` events, in order of time; about one every `spacing_ms`."""
    yield from islice(_endless(random.Random(seed), start, spacing_ms), count)


def _endless(rng: random.Random, start: int, spacing_ms: int) -> Iterator[PersistedEvent]:
    pending: list[PersistedEvent] = []
    case = 0
    while True:
        for _ in range(500):
            _case(pending, rng, case, start + case * 29 * spacing_ms)
            case += 1
        pending.sort(key=attrgetter("persisted_at"))
        begun = start + case * 29 * spacing_ms  # no case made later has an earlier event
        ready = bisect_left(pending, begun, key=attrgetter("persisted_at"))
        yield from pending[:ready]
        del pending[:ready]


def _case(made: list[PersistedEvent], rng: random.Random, case: int, at: int) -> None:
    """One order with its reservation and shipment, 29 events or fewer."""
    left = 29 if rng.random() >= 0.05 else rng.randrange(1, 29)
    common = {
        "orderId": f"ORD-{case:07}",
        "customerId": f"CUST-{case % 5000:05}",
        "amount": rng.randrange(500, 90_000) / 100,
        "currency": "EUR",
        "channel": _CHANNELS[case & 3],
        "note": _NOTES[(case >> 2) & 3],
    }
    sku = f"SKU-{case % 900:04}"
    cause: tuple[str, ...] = ()
    parent = sender = None
    for component, machine, path, ends in _MACHINES:
        instance_id = _id(rng)
        before = ""
        for step, (after, event_type) in enumerate((*path, ends[rng.random() < 0.1])):
            if left == 0:
                return
            left -= 1
            at += int(-20_000 * log(1 - rng.random()))
            event_id = _id(rng)
            payload: dict[str, object] = {**common, "items": [{"sku": sku, "quantity": 1 + step % 3}]}
            if step == 0:
                event_type = CREATION
                payload = {"initialContext": payload, "triggerEvent": "create"}
                if parent is not None:
                    payload["parentInstanceId"] = parent
            made.append(
                PersistedEvent(
                    id=event_id,
                    instance_id=instance_id,
                    machine_name=machine,
                    component_name=component,
                    event_type=event_type,
                    payload=payload,
                    timestamp=EpochMs(at),
                    state_before=before,
                    state_after=after,
                    persisted_at=EpochMs(at),
                    caused_by=cause,
                    source_component_name=sender if step == 0 else None,
                )
            )
            cause = (event_id,)
            before = after
        parent, sender = instance_id, component


def _id(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def fill(store: EventStore, count: int, *, seed: int = 0) -> float:
    """Append `count` events; returns the seconds it took, making the events included."""
    began = time.perf_counter()
    stream = events(count, seed=seed)
    while batch := list(islice(stream, BATCH)):
        store.append_many(batch)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--into", required=True, metavar="URL", help="a store of ours, or where one shall be")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with open_stores(arguments.into, read_only=False, statement_timeout_ms=600_000) as stores:
        seconds = fill(stores.events, arguments.events, seed=arguments.seed)
    print(f"{arguments.events:,} events in {seconds:.1f} s, {arguments.events / seconds:,.0f} per second")


if __name__ == "__main__":
    main()
