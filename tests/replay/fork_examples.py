"""Histories to fork: a small shop over two components, and random ones."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from typing import Any

from hypothesis import Phase
from hypothesis import strategies as st

from tests.runtime.helpers import START, World, component, world
from tests.runtime.strategies import EVENTS, Asked, methods_for, payloads
from tests.runtime.strategies import data as instance_data
from xcstore.errors import InstanceNotActiveError
from xcstore.model.catalog import Catalog
from xcstore.model.definition import Component
from xcstore.model.history import PersistedEvent
from xcstore.model.loader import component_from_document
from xcstore.replay.track import RangeScope, Track, open_track
from xcstore.units import DurationMs, EpochMs

ORDERS = """
name: Orders
stateMachines:
  - name: Order
    initialState: Basket
    states:
      - {name: Basket, type: entry}
      - name: Ordered
      - {name: Paid, onEntry: book}
      - {name: Sent}
      - {name: Done, type: final}
      - {name: Lost, type: error}
    transitions:
      - {from: Basket, to: Basket, event: PUT}
      - from: Basket
        to: Ordered
        event: ORDER
        type: cross_component
        targetComponent: Money
        targetMachine: Payment
        contextMapping: {order: order, amount: amount}
      - {from: Ordered, to: Ordered, event: NOTE}
      - from: Ordered
        to: Paid
        event: PAID
        matchingRules: [{eventProperty: order, instanceProperty: order}]
      - {from: Paid, to: Sent, event: SEND, triggeredMethod: label}
      - {from: Sent, to: Done, event: ARRIVE}
      - {from: Sent, to: Lost, event: GIVE_UP, type: timeout, timeoutMs: 60000}
"""
MONEY = """
name: Money
stateMachines:
  - name: Payment
    initialState: Asked
    states:
      - {name: Asked, type: entry}
      - name: Settled
        type: final
        cascadingRules:
          - targetComponent: Orders
            targetMachine: Order
            targetState: Ordered
            event: PAID
            matchingRules: [{eventProperty: order, instanceProperty: order}]
            payload: {order: "{{order}}"}
      - {name: Refused, type: error}
    transitions:
      - {from: Asked, to: Settled, event: APPROVE}
      - {from: Asked, to: Refused, event: DECLINE}
      - {from: Asked, to: Refused, event: TIMEOUT, type: timeout, timeoutMs: 5000}
"""


def _book(event: Any, instance: Any, sender: Any) -> None:
    sender.send_to_self("SEND", {"by": "van"})


def _label(event: Any, instance: Any, sender: Any) -> None:
    instance.context["label"] = f"L-{instance.context['order']}"


def shop() -> World:
    return world(ORDERS, MONEY, methods={"book": _book, "label": _label})


def at(ms: int) -> EpochMs:
    return EpochMs(START + ms)


def lost_order() -> World:
    """An order that is paid and sent, and never arrives."""
    made = shop()
    orders, money = made.runtimes["Orders"], made.runtimes["Money"]
    name = orders.create_instance("Order", {"order": "O1", "amount": 5})
    made.clock.advance(DurationMs(1_000))
    orders.send(name, "PUT", {"amount": 7})
    made.clock.advance(DurationMs(1_000))
    orders.send(name, "ORDER")
    made.clock.advance(DurationMs(2_000))
    (payment,) = money.instances("Payment")
    asked = made.last(payment.id)
    money.send(payment.id, "APPROVE", {"by": "bank"}, caused_by=(asked.id,))
    made.clock.advance(DurationMs(100_000))
    return made


def whole(made: World) -> Track:
    events = made.events()
    end = max((event.persisted_at for event in events), default=START)
    return open_track(made.stores, RangeScope(start=START, end=end), catalog=catalog(made))


def catalog(made: World) -> Catalog:
    return Catalog(runtime.component for runtime in made.runtimes.values())


def the(track: Track, event_type: str, state_after: str = "") -> PersistedEvent:
    """The one event of that type."""
    (found,) = (
        event for event in track.events if event.event_type == event_type and state_after in ("", event.state_after)
    )
    return found


# Random ones

UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
"""What Hypothesis does with them. Making a whole history smaller takes minutes, in which a test looks hung."""

programs = st.lists(
    st.one_of(
        st.tuples(st.just("create"), st.integers(0, 8), instance_data),
        st.tuples(st.just("send"), st.integers(0, 30), st.sampled_from([*EVENTS, "LATE"]), payloads),
        st.tuples(st.just("broadcast"), st.integers(0, 8), st.sampled_from(EVENTS), payloads),
        st.tuples(st.just("advance"), st.sampled_from([1, 40, 50, 100, 260, 700])),
    ),
    min_size=3,
    max_size=25,
)


def recorded_whole(components: tuple[Component, ...]) -> tuple[Component, ...]:
    """Without methods on entry whose values leave the instance with its transition.

    What such a method leaves shows with the next event of the instance; where there is none, nothing records it, and
    the run cannot hand it on.
    """
    found = []
    for one in components:
        document = deepcopy(dict(one.source))
        for machine in document["stateMachines"]:
            telling = {
                way["to"]
                for way in machine["transitions"]
                if "targetMachine" in way or way.get("notifyParent", {}).get("includeContext")
            }
            for state in machine["states"]:
                if state["name"] in telling:
                    state.pop("entryMethod", None)
        found.append(component_from_document(document))
    return tuple(found)


def without_methods(components: tuple[Component, ...]) -> tuple[Component, ...]:
    """The same without user code, whose values and events nothing but the recording knows."""
    found = []
    for one in components:
        document = deepcopy(dict(one.source))
        for machine in document["stateMachines"]:
            for part in (*machine["states"], *machine["transitions"]):
                for name in ("entryMethod", "exitMethod", "triggeredMethod"):
                    part.pop(name, None)
        found.append(component_from_document(document))
    return tuple(found)


def lived(components: tuple[Component, ...], program: list[Any]) -> World:
    """What becomes of random components under random steps."""
    made = world(*components, methods=methods_for(components, Asked()))
    places = [(c.name, machine.name) for c in components for machine in c.machines]
    for step in program:
        match step:
            case ("create", number, values):
                component_name, machine = places[number % len(places)]
                made.runtimes[component_name].create_instance(machine, values)
            case ("send", number, event, payload):
                living = list(made.registry.instances())
                if living:
                    found = living[number % len(living)]
                    with suppress(InstanceNotActiveError):
                        made.registry.send(found.component_name, found.instance.id, event, payload)
            case ("broadcast", number, event, payload):
                component_name, machine = places[number % len(places)]
                made.runtimes[component_name].broadcast(machine, event, payload)
            case ("advance", duration):
                made.clock.advance(DurationMs(duration))
    return made


__all__ = [
    "MONEY",
    "ORDERS",
    "at",
    "catalog",
    "component",
    "START",
    "UNSHRUNK",
    "lived",
    "lost_order",
    "programs",
    "recorded_whole",
    "shop",
    "the",
    "whole",
]
