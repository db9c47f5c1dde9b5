"""A rich history of thirty days, made in seconds by the real runtime: what the demo shows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from xcstore.demo.anomalies import History, plant
from xcstore.demo.report import DemoReport, Story
from xcstore.demo.simulation import COMPONENT_FILES, GUIDED_ORDER, LOST_ORDER, OUTAGE_DAY, Simulation
from xcstore.demo.world import CARRIERS
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.model.loader import load_component
from xcstore.runtime.persistence import PersistenceConfig
from xcstore.store.base import Stores
from xcstore.units import DAY, EpochMs, from_utc

__all__ = ["DEMO_END", "generate_demo"]

DEMO_END: Final = from_utc(datetime(2026, 11, 16, tzinfo=UTC))
"""When the demo history ends: fixed, so that equal seeds give equal histories on any day."""

MIN_DAYS: Final = 7
SNAPSHOT_INTERVAL: Final = 5
KEPT_SNAPSHOTS: Final = 5
"""Of an instance that is live at the end."""
_BATCH: Final = 5_000


def generate_demo(
    stores: Stores,
    *,
    seed: int = 7,
    days: int = 30,
    end: EpochMs | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> DemoReport:
    """Fill empty `stores` with the demo history.

    Three components run on a simulated clock, and a simulated world of customers, banks and carriers sends them
    events. After the run one fault of each kind that real stores have is planted (`demo.anomalies`).

    Parameters
    ----------
    stores : Stores
        Writable. Events and snapshots are added, the definitions saved.
    seed : int
        Equal seeds, days and ends give equal histories, byte for byte.
    days : int
        Virtual days; 30 give about 2,000 instances and 20,000 events.
    end : EpochMs, optional
        Midnight UTC after the last day; `DEMO_END` by default.
    on_progress : callable, optional
        Told the part that is done, from 0 to 1.

    Raises
    ------
    ValueError
        Fewer than 7 days: too short for every kind of fault to find a place.
    """
    if days < MIN_DAYS:
        raise ValueError(f"days is {days}; the demo needs at least {MIN_DAYS} for its stories to unfold")
    report = on_progress or (lambda part: None)
    ends_at = DEMO_END if end is None else end
    start = EpochMs(ends_at - days * DAY)
    recorder = _Recorder()
    config = PersistenceConfig(
        event_sourcing=True,
        snapshots=True,
        snapshot_interval=SNAPSHOT_INTERVAL,
        event_store=recorder,
        snapshot_store=recorder,
        definition_store=stores.definitions,
    )
    components = [load_component(path) for path in COMPONENT_FILES]
    simulation = Simulation(components, config, seed=seed, start=start, days=days)
    simulation.run(lambda day: report(0.5 * day / days))

    stories = _stories(simulation, recorder.events)
    history = History(recorder.events, recorder.snapshots)
    spare = {story.instance_id for story in stories} | _whole_orders(recorder.events)
    anomalies = plant(history, seed=seed, spare=spare)
    snapshots = _store(stores, history, lambda part: report(0.5 + 0.5 * part))
    machines = Counter(
        (event.component_name, event.machine_name) for event in history.events if event.state_before == ""
    )
    return DemoReport(
        seed=seed,
        start=start,
        end=ends_at,
        events=len(history.events),
        snapshots=snapshots,
        instances=sum(machines.values()),
        machines=tuple((component, machine, count) for (component, machine), count in sorted(machines.items())),
        stories=tuple(stories),
        anomalies=tuple(anomalies),
    )


class _Recorder:
    """Keeps what the runtimes write, so that it reaches the store in few large batches."""

    def __init__(self) -> None:
        self.events: list[PersistedEvent] = []
        self.snapshots: dict[str, list[InstanceSnapshot]] = defaultdict(list)

    def append(self, event: PersistedEvent, *, expected_last_id: str | None = None) -> None:
        self.events.append(event)

    def save_snapshot(self, snapshot: InstanceSnapshot) -> None:
        self.snapshots[snapshot.instance.id].append(snapshot)


def _store(stores: Stores, history: History, report: Callable[[float], None]) -> int:
    """Write all of it; returns how many instances have a snapshot."""
    events = iter(history.events)
    done = 0
    while batch := list(islice(events, _BATCH)):
        done += stores.events.append_many(batch)
        report(0.6 * done / len(history.events))
    # Each save is a transaction of its own, so of an instance that has ended only the last one is kept.
    kept = [
        snapshot
        for taken in history.snapshots.values()
        for snapshot in taken[-KEPT_SNAPSHOTS if taken[-1].instance.status == "active" else -1 :]
    ]
    done = 0
    while done < len(kept):
        done += stores.snapshots.save_snapshots(kept[done : done + _BATCH])
        report(0.6 + 0.4 * done / len(kept))
    return len(history.snapshots)


def _stories(simulation: Simulation, events: list[PersistedEvent]) -> list[Story]:
    return list(_told(simulation, events))


def _told(simulation: Simulation, events: list[PersistedEvent]) -> Iterator[Story]:
    keys = simulation.business_keys
    first = next(e for e in events if e.event_type == "SUBMIT" and e.instance_id == keys[GUIDED_ORDER])
    yield Story(
        name="first order",
        words="what its SUBMIT caused crosses orders, inventory and shipping",
        instance_id=first.instance_id,
        business_key=GUIDED_ORDER,
        event_id=first.id,
    )
    lost = f"ORD-{LOST_ORDER:05d}"
    if lost in keys:
        yield Story(
            name="the lost order",
            words="stuck in Reserving: the shelf set the units aside, but its answer STOCK_HELD never reached the "
            "reservation, so STOCK_RESERVED was never sent",
            instance_id=keys[lost],
            business_key=lost,
        )
    waiting = [s for s in simulation.shipping.instances("Shipment") if s.current_state == "AwaitingPickup"]
    stuck = [s for s in waiting if s.context["carrier"] == CARRIERS[0] and "reminders" in s.context]
    if stuck:
        board = next(iter(simulation.shipping.instances("CarrierBoard")))
        yield Story(
            name="the carrier outage",
            words=f"{CARRIERS[0]} stopped collecting on day {OUTAGE_DAY + 1}; {len(stuck)} shipments wait in "
            "AwaitingPickup and remind it every day",
            instance_id=board.id,
        )
        yield Story(
            name="a shipment in the outage",
            words="packed, overdue, reminded, still here",
            instance_id=stuck[0].id,
            business_key=str(stuck[0].context["orderId"]),
        )
    retried = next((e for e in events if e.event_type == "GATEWAY_DECLINED" and e.state_after == "Refused"), None)
    if retried is not None:
        yield Story(
            name="a refused payment",
            words="three attempts without money: the order failed, and the stock went back to the shelf",
            instance_id=retried.instance_id,
            event_id=retried.id,
        )
    sold_out = simulation.sold_out()
    if sold_out is not None:
        yield Story(
            name="the supplier that went silent",
            words=f"{sold_out.context['article']} is never delivered again: orders for it are given up after five days",
            instance_id=sold_out.id,
            business_key=str(sold_out.context["orderId"]),
        )
    hostile = next((k for k, i in keys.items() if k.endswith("0037")), None)
    if hostile is not None:
        yield Story(
            name="hostile text",
            words="a company name that a careless page would run as a script",
            instance_id=keys[hostile],
            business_key=hostile,
        )
    sizes = Counter(event.instance_id for event in events)
    longest, count = sizes.most_common(1)[0]
    yield Story(name="the longest instance", words=f"{count} events", instance_id=longest)


def _whole_orders(events: list[PersistedEvent]) -> set[str]:
    """Instances of the first order and the lost one, in every component: the guided walks go through them."""
    keys = {GUIDED_ORDER, f"ORD-{LOST_ORDER:05d}"}
    found = set()
    for event in events:
        data = event.public_member_snapshot
        if data is not None and data.get("orderId") in keys:
            found.add(event.instance_id)
    return found
