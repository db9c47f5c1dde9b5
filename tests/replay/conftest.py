"""A machine to replay, streams of it, and a store that counts what is asked of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from xcstore.model.catalog import Catalog
from xcstore.model.definition import Component, State, StateMachine, Transition
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.store.base import Stores
from xcstore.store.memory import open_memory_stores
from xcstore.units import DurationMs, EpochMs

START = EpochMs(1_767_225_600_000)

ORDER = StateMachine(
    name="Order",
    initial_state="New",
    states=(
        State(name="New", type="entry"),
        State(name="Paid", entry_method="print_receipt"),
        State(name="Sent", type="final"),
    ),
    transitions=(
        Transition(source="New", target="New", event="CHANGE"),
        Transition(source="New", target="Paid", event="PAY", triggered_method="book"),
        Transition(source="Paid", target="Sent", event="SEND"),
        Transition(source="New", target="Sent", event="EXPIRE", type="timeout", timeout_ms=DurationMs(60_000)),
    ),
)
SHOP = Component(name="Shop", machines=(ORDER,))


def stream(instance_id: str, *types: str, at: int = 0, every: int = 1_000, **fields: Any) -> list[PersistedEvent]:
    """A stream of `ORDER`: its creation, then events of these types; `at` and `every` in milliseconds after START."""
    state, found = "", []
    for number, event_type in enumerate([CREATION, *types]):
        ways = {way.event: way.target for way in ORDER.transitions if way.source == state}
        after = "New" if event_type == CREATION else ways[event_type]
        payload = {"initialContext": {"total": 0}} if event_type == CREATION else {"total": number, event_type: True}
        found.append(
            PersistedEvent(
                **{
                    "id": f"{instance_id}-{number:06}",
                    "instance_id": instance_id,
                    "machine_name": "Order",
                    "component_name": "Shop",
                    "event_type": event_type,
                    "payload": payload,
                    "state_before": state,
                    "state_after": after,
                    "persisted_at": EpochMs(START + at + number * every),
                    **fields,
                }
            )
        )
        state = after
    return found


def stores_of(*streams: Sequence[PersistedEvent]) -> Stores:
    """In memory, with these events."""
    stores = open_memory_stores()
    stores.events.append_many(event for stream in streams for event in stream)
    return stores


class Counting:
    """What it is given, counting the methods that are called."""

    def __init__(self, inner: object, calls: Counter[str]) -> None:
        self._inner, self._calls = inner, calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._calls[name] += 1
            return found(*args, **kwargs)

        return call


def counting(stores: Stores) -> tuple[Stores, Counter[str]]:
    """The same stores, and a count of what is called on them by name."""
    calls: Counter[str] = Counter()
    parts: dict[str, Any] = {
        name: Counting(getattr(stores, name), calls) for name in ("events", "snapshots", "definitions")
    }
    return Stores(**parts), calls


@pytest.fixture
def catalog() -> Catalog:
    return Catalog([SHOP])
