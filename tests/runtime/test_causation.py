"""Each event names what caused it: the event being processed when it was sent."""

from __future__ import annotations

from tests.runtime.helpers import world

SHOP = """
name: Shop
stateMachines:
  - name: Order
    initialState: Draft
    states:
      - {name: Draft, type: entry}
      - {name: Asking}
      - {name: Ready, type: regular, onEntry: ship}
      - {name: Done, type: final}
    transitions:
      - from: Draft
        to: Asking
        event: SUBMIT
        type: cross_component
        targetComponent: Stock
        targetMachine: Hold
        contextMapping: {orderId: orderId}
      - {from: Asking, to: Ready, event: HELD, matchingRules: [{eventProperty: orderId, instanceProperty: orderId}]}
      - {from: Ready, to: Done, event: SHIP}
"""

STOCK = """
name: Stock
stateMachines:
  - name: Hold
    initialState: New
    states:
      - {name: New, type: entry}
      - name: Set
        cascadingRules:
          - targetComponent: Shop
            targetMachine: Order
            targetState: Asking
            event: HELD
            matchingRules: [{eventProperty: orderId, instanceProperty: orderId}]
            payload: {orderId: "{{orderId}}"}
      - {name: Broken, type: error}
    transitions:
      - {from: New, to: Set, event: CHECK, type: auto, timeoutMs: 500}
      - from: New
        to: Broken
        event: BREAK
        type: cross_component
        targetComponent: Shop
        targetMachine: Order
        targetEvent: HELD
        matchingRules: [{eventProperty: orderId, instanceProperty: orderId}]
"""


def shop():
    w = world(SHOP, STOCK, methods={"ship": lambda event, instance, sender: sender.send_to_self("SHIP")})
    return w, w.runtimes["Shop"]


def test_a_chain_through_two_components_is_linked_from_end_to_start():
    w, runtime = shop()
    order = runtime.create_instance("Order", {"orderId": 7})
    runtime.send(order, "SUBMIT")
    w.clock.advance(500)

    events = {event.id: event for event in w.events()}
    chain = [w.last(order)]
    while chain[-1].caused_by:
        (cause,) = chain[-1].caused_by
        chain.append(events[cause])
    assert [(e.component_name, e.event_type) for e in chain] == [
        ("Shop", "SHIP"),
        ("Shop", "HELD"),
        ("Stock", "CHECK"),
        ("Stock", "INSTANCE_CREATED"),
        ("Shop", "SUBMIT"),
    ]


def test_an_event_from_another_component_names_both():
    w, runtime = shop()
    order = runtime.create_instance("Order", {"orderId": 7})
    runtime.send(order, "SUBMIT")
    w.clock.advance(500)

    crossed = {e.event_type: (e.source_component_name, e.target_component_name) for e in w.events()}
    assert crossed["HELD"] == ("Stock", "Shop")
    assert crossed["SUBMIT"] == crossed["CHECK"] == crossed["SHIP"] == (None, None)
    created = [e for e in w.events() if e.event_type == "INSTANCE_CREATED" and e.component_name == "Stock"]
    assert [(e.source_component_name, e.target_component_name) for e in created] == [("Shop", "Stock")]


def test_only_the_instance_that_the_rules_choose_hears_from_the_other_component():
    w, runtime = shop()
    orders = [runtime.create_instance("Order", {"orderId": n}) for n in (1, 2)]
    for order in orders:
        runtime.send(order, "SUBMIT")
    first_hold = next(w.runtimes["Stock"].instances())
    w.runtimes["Stock"].send(first_hold.id, "BREAK")

    assert w.history(orders[0])[-1][0] == "SHIP"
    assert w.history(orders[1])[-1][0] == "SUBMIT"


def test_a_timer_is_caused_by_the_event_that_entered_the_state():
    w = world("""
name: C
stateMachines:
  - name: M
    initialState: A
    states: [{name: A, type: entry}, {name: B}]
    transitions:
      - {from: A, to: A, event: LOOP}
      - {from: A, to: B, event: LATE, type: timeout, timeoutMs: 1000}
      - {from: A, to: A, event: DEADLINE, type: timeout, timeoutMs: 1500, resetOnTransition: false}
""")
    it = w.runtime.create_instance("M")
    w.clock.advance(800)
    w.runtime.send(it, "LOOP")
    w.clock.advance(5_000)

    created, loop, deadline, late = w.stores.events.get_events_for_instance(it)
    assert (deadline.event_type, deadline.caused_by) == ("DEADLINE", (created.id,))
    assert (late.event_type, late.caused_by) == ("LATE", (deadline.id,))
    assert loop.caused_by == ()


def test_what_comes_from_outside_has_no_cause_unless_it_names_what_it_answers():
    w, runtime = shop()
    order = runtime.create_instance("Order", {"orderId": 7})
    created = w.last(order)
    runtime.send(order, "SUBMIT", caused_by=(created.id,))

    assert created.caused_by == ()
    assert w.last(order).caused_by == (created.id,)


def test_the_cause_is_forgotten_when_the_event_is_done():
    w, runtime = shop()
    for number in (1, 2):
        order = runtime.create_instance("Order", {"orderId": number})
        runtime.send(order, "SUBMIT")

    assert [e.caused_by for e in w.events() if e.component_name == "Shop"] == [(), (), (), ()]


def test_what_a_listener_sends_is_caused_by_what_it_heard():
    w, runtime = shop()
    order = runtime.create_instance("Order", {"orderId": 7})
    other = runtime.create_instance("Order", {"orderId": 8})

    def react(notice):
        if notice.name == "state_change" and notice.instance_id == order:
            runtime.send(other, "SUBMIT")

    runtime.listen(react)
    runtime.send(order, "SUBMIT")

    assert w.last(other).caused_by == (w.last(order).id,)


def test_a_method_can_reach_and_make_instances_in_another_component():
    made = []

    def ship(event, instance, sender):
        made.append(sender.create_instance_in_component("Stock", "Hold", {"orderId": 99}))
        sender.send_to_component("Stock", made[0], "BREAK")

    w = world(SHOP, STOCK, methods={"ship": ship})
    order = w.runtimes["Shop"].create_instance("Order", {"orderId": 7})
    w.runtimes["Shop"].send(order, "SUBMIT")
    w.clock.advance(500)

    held = next(e for e in w.events() if e.event_type == "HELD")
    assert w.history(made[0]) == [("INSTANCE_CREATED", "", "New"), ("BREAK", "New", "Broken")]
    assert [e.caused_by for e in w.stores.events.get_events_for_instance(made[0])] == [(held.id,), (held.id,)]


def test_a_component_that_is_not_registered_is_told_and_breaks_nothing():
    w = world(STOCK)
    hold = w.runtime.create_instance("Hold", {"orderId": 1})
    w.clock.advance(500)

    assert w.history(hold)[-1] == ("CHECK", "New", "Set")
    assert "Target: Shop.Order" in str(w.told("cascade_error")[0]["error"])
