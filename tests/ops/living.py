"""A shop that our own runtime ran: what restoration, drill and recovery are tried on."""

from __future__ import annotations

from pathlib import Path

from tests.factories import START
from xcstore.model.catalog import Catalog
from xcstore.model.loader import parse_components
from xcstore.ops.backup import write_backup
from xcstore.runtime.clock import SimulatedClock
from xcstore.runtime.engine import FSMRuntime
from xcstore.runtime.persistence import PersistenceConfig
from xcstore.store.base import Stores
from xcstore.store.opening import open_stores
from xcstore.units import SECOND, DurationMs, EpochMs

__all__ = ["CATALOG", "SHOP", "backed_up", "last_moment", "run_shop"]

SHOP = """
name: Shop
stateMachines:
  - name: Order
    initialState: New
    states:
      - {name: New, type: entry}
      - {name: Paid}
      - {name: Packed}
      - {name: Shipped}
      - {name: Done, type: final}
      - {name: Late, type: error}
    transitions:
      - {from: New, to: Paid, event: PAY}
      - {from: New, to: Late, event: WAITED, type: timeout, timeoutMs: 60000}
      - {from: Paid, to: Packed, event: PACK}
      - {from: Packed, to: Shipped, event: SHIP}
      - {from: Shipped, to: Done, event: ARRIVE}
"""
CATALOG = Catalog(parse_components(SHOP))
_WAY = ("PAY", "PACK", "SHIP", "ARRIVE")


def run_shop(stores: Stores, orders: int = 5, *, interval: int = 2) -> list[str]:
    """Order k goes k steps on its way, the fifth to its end; a second between all that happens. Returns the ids."""
    clock = SimulatedClock(START)
    persistence = PersistenceConfig.of(stores, event_sourcing=True, snapshots=True, snapshot_interval=interval)
    runtime = FSMRuntime(CATALOG.components[0], persistence, clock=clock)
    ids = []
    for number in range(orders):
        clock.advance(DurationMs(SECOND))
        order = runtime.create_instance("Order", {"orderId": f"ORD-{number}"})
        ids.append(order)
        for step in range(number % 5):
            clock.advance(DurationMs(SECOND))
            runtime.send(order, _WAY[step], {_WAY[step].lower(): number})
    return ids


def backed_up(folder: Path, orders: int = 5) -> tuple[Path, str, list[str]]:
    """A backup of such a shop, the store that it is of, and the ids."""
    url = f"sqlite:///{folder / 'shop.db'}"
    with open_stores(url, read_only=False) as stores:
        ids = run_shop(stores, orders)
    path = folder / "shop.backup"
    with open_stores(url) as stores:
        write_backup(stores, path)
    return path, url, ids


def last_moment(stores: Stores) -> EpochMs:
    span = stores.events.time_range()
    assert span is not None
    return span[1]
