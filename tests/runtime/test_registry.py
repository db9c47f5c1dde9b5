"""Components by name, and the history of all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.factories import START as THEN
from tests.factories import event
from tests.runtime.helpers import START, World, component, world
from xcstore.errors import (
    ConfigError,
    InstanceNotActiveError,
    InvalidEventError,
    NotFoundError,
    QueryError,
    StoreUnavailableError,
)
from xcstore.model.history import PersistedEvent
from xcstore.runtime import ComponentRegistry, FSMRuntime, Notice, PersistenceConfig, SimulatedClock
from xcstore.runtime.registry import LocatedInstance
from xcstore.store.codec import event_to_document
from xcstore.store.memory import InMemoryEventStore

ONE = """
name: {name}
stateMachines:
  - name: M
    initialState: A
    states: [{{name: A, type: entry}}]
    transitions: []
"""

# An order is paid, which makes a parcel in another component; the parcel's end is told to the order's.
SHOP = """
name: Shop
version: 1.2.0
stateMachines:
  - name: Order
    initialState: Open
    states: [{name: Open, type: entry}, {name: Paid}, {name: Done}]
    transitions:
      - {from: Open, to: Paid, event: PAY, type: cross_component, targetComponent: Depot, targetMachine: Parcel}
      - {from: Paid, to: Done, event: ARRIVED}
      - {from: Open, to: Open, event: REMIND, type: timeout, timeoutMs: 60000}
  - name: Bell
    initialState: Quiet
    states: [{name: Quiet, type: entry}, {name: Ringing}]
    transitions: [{from: Quiet, to: Ringing, event: RING}]
"""
DEPOT = """
name: Depot
stateMachines:
  - name: Parcel
    initialState: Packed
    states:
      - {name: Packed, type: entry}
      - name: Delivered
        cascadingRules: [{targetComponent: Shop, targetMachine: Order, targetState: Paid, event: ARRIVED}]
    transitions: [{from: Packed, to: Delivered, event: DELIVER}]
  - name: Bell
    initialState: Quiet
    states: [{name: Quiet, type: entry}, {name: Ringing}]
    transitions: [{from: Quiet, to: Ringing, event: RING}]
"""


class FailingStore(InMemoryEventStore):
    down = False

    def append(self, event, **options):
        if self.down:
            raise StoreUnavailableError("the disk is full")
        super().append(event, **options)


def registry_over(*stores: object) -> ComponentRegistry:
    """A component for each of the stores: P0, P1 …"""
    registry = ComponentRegistry()
    for number, store in enumerate(stores):
        config = PersistenceConfig(event_store=store)
        registry.register(FSMRuntime(component(ONE.format(name=f"P{number}")), persistence=config))
    return registry


def filled(*events: PersistedEvent) -> InMemoryEventStore:
    store = InMemoryEventStore()
    store.append_many(events)
    return store


def shop_and_depot(*, shared: bool) -> World:
    """The two components, writing to one store or to one each."""
    if shared:
        return world(SHOP, DEPOT)
    w, clock = world(), SimulatedClock(START)
    for text in (SHOP, DEPOT):
        runtime = FSMRuntime(component(text), clock=clock, persistence=PersistenceConfig(event_sourcing=True))
        w.registry.register(runtime)
        w.runtimes[runtime.component.name] = runtime
    w.clock = clock
    return w


@pytest.fixture(params=[True, False], ids=["one store", "a store each"])
def trade(request: pytest.FixtureRequest) -> Iterator[World]:
    return shop_and_depot(shared=request.param)


def delivered(trade: World) -> tuple[str, str]:
    """An order that was paid and arrived; the ids of order and parcel."""
    order = trade.registry.create_instance("Shop", "Order", {"total": 5})
    trade.registry.send("Shop", order, "PAY")
    (parcel,) = trade.runtimes["Depot"].instances("Parcel")
    trade.clock.advance(1_000)
    trade.registry.send("Depot", parcel.id, "DELIVER")
    return order, parcel.id


def kinds(events) -> list[tuple[str, str]]:
    return [(one.component_name, one.event_type) for one in events]


# Who is there


def test_an_instance_is_found_wherever_it_lives():
    w = world(ONE.format(name="P"), ONE.format(name="Q"))
    it = w.runtimes["Q"].create_instance("M")

    found = w.registry.find_instance(it)
    name, instance = found
    assert (name, instance.id) == (found.component_name, found.instance.id) == ("Q", it)
    assert w.registry.find_instance("nobody") is None


def test_a_name_is_registered_once():
    registry = ComponentRegistry()
    registry.register(FSMRuntime(component(ONE.format(name="P"))))

    with pytest.raises(ConfigError, match="component 'P' is registered already"):
        registry.register(FSMRuntime(component(ONE.format(name="P"))))


def test_an_unregistered_component_is_no_longer_reached():
    w = world(ONE.format(name="P"), ONE.format(name="Q"))
    w.registry.unregister("Q")

    with pytest.raises(NotFoundError, match="no component 'Q' is registered; registered: P"):
        w.registry.get_runtime("Q")
    assert w.runtimes["Q"].registry is None


def test_a_component_is_registered_with_its_own_runtime_only():
    registry, runtime = ComponentRegistry(), FSMRuntime(component(ONE.format(name="P")))

    with pytest.raises(ConfigError, match="the runtime runs 'P', not this 'Q'"):
        registry.register_component(component(ONE.format(name="Q")), runtime)
    assert list(registry) == []

    registry.register_component(component(ONE.format(name="P")), runtime)
    assert list(registry) == [runtime]


def test_instances_are_those_of_all_components_in_order_of_creation():
    w = world(ONE.format(name="P"), ONE.format(name="Q"))
    made = [(name, w.runtimes[name].create_instance("M")) for name in ("Q", "P", "Q")]

    found = list(w.registry.instances())
    assert all(isinstance(one, LocatedInstance) for one in found)
    assert [(one.component_name, one.instance.id) for one in found] == [made[1], made[0], made[2]]


def test_a_listener_hears_every_component_those_registered_later_too():
    heard: list[Notice] = []
    w = world(ONE.format(name="P"))
    w.registry.listen(heard.append)
    late = FSMRuntime(component(ONE.format(name="Late") + "entryMachine: M\n"))
    w.registry.register(late)
    w.runtime.create_instance("M")

    assert [(notice.component_name, notice.name) for notice in heard] == [
        ("Late", "instance_created"),
        ("P", "instance_created"),
    ]


# Events on their way


def test_an_event_is_sent_to_an_instance_of_a_component(trade):
    order = trade.registry.create_instance("Shop", "Order", {"total": 5})
    trade.registry.send("Shop", order, "PAY", {"by": "card"})

    instance = trade.registry.find_instance(order).instance
    assert (instance.current_state, instance.context) == ("Paid", {"total": 5, "by": "card"})
    with pytest.raises(InstanceNotActiveError):
        trade.registry.send("Depot", order, "PAY")
    with pytest.raises(NotFoundError, match="no component 'Moon' is registered; registered: Depot, Shop"):
        trade.registry.send("Moon", order, "PAY")
    with pytest.raises(NotFoundError, match="'Depot' has no machine 'Order'"):
        trade.registry.create_instance("Depot", "Order")


def test_a_broadcast_reaches_every_component_that_has_the_machine(trade):
    bells = [trade.registry.create_instance(name, "Bell") for name in ("Shop", "Depot", "Depot")]

    assert trade.registry.broadcast("Bell", "RING") == 3
    assert {trade.registry.find_instance(bell).instance.current_state for bell in bells} == {"Ringing"}


def test_a_broadcast_reaches_one_component_where_one_is_named(trade):
    here, there = (trade.registry.create_instance(name, "Bell") for name in ("Shop", "Depot"))

    assert trade.registry.broadcast("Bell", "RING", component_name="Depot") == 1
    assert trade.registry.find_instance(here).instance.current_state == "Quiet"
    assert trade.registry.find_instance(there).instance.current_state == "Ringing"
    assert trade.registry.broadcast("Bell", "RING", state="Quiet") == 1
    assert trade.registry.broadcast("Bell", "RING", state="Quiet") == 0


def test_a_broadcast_that_nobody_can_get_is_refused(trade):
    with pytest.raises(NotFoundError, match="a machine 'Bel'; there are: Bell, Order, Parcel"):
        trade.registry.broadcast("Bel", "RING")
    with pytest.raises(NotFoundError, match="'Shop' has no machine 'Parcel'"):
        trade.registry.broadcast("Parcel", "DELIVER", component_name="Shop")


def test_a_broadcast_goes_on_where_the_store_of_one_component_refuses():
    store, registry = FailingStore(), ComponentRegistry()
    failing = FSMRuntime(component(SHOP), persistence=PersistenceConfig(event_store=store))
    sound = FSMRuntime(component(DEPOT), persistence=PersistenceConfig(event_sourcing=True))
    for runtime in (failing, sound):
        registry.register(runtime)
        runtime.create_instance("Bell")
    store.down = True
    assert registry.broadcast("Bell", "RING", component_name="Shop") == 0  # waits for the store
    assert registry.statistics().queued == failing.queued > 0

    with pytest.raises(StoreUnavailableError) as caught:
        registry.broadcast("Bell", "RING")
    assert caught.value.__notes__ == ["the broadcast to 'Bell' was sent to: Depot"]

    store.down = False
    failing.retry()
    for runtime in (failing, sound):
        (bell,) = runtime.instances("Bell")
        assert [one.event_type for one in registry.get_instance_history(bell.id)] == ["INSTANCE_CREATED", "RING"]
    assert registry.statistics().queued == 0


def test_a_broadcast_from_within_a_method_waits_its_turn_and_is_caused_by_the_event():
    def ring(event, instance, sender):
        w.registry.broadcast("Bell", "RING")
        reached.append([bell.current_state for bell in w.runtimes["Depot"].instances("Bell")])

    reached: list[list[str]] = []
    shop = SHOP.replace("event: ARRIVED}", "event: ARRIVED, triggeredMethod: ring}")
    w = world(shop, DEPOT, methods={"ring": ring})
    bell = w.registry.create_instance("Depot", "Bell")
    order = w.registry.create_instance("Shop", "Order")
    w.registry.send("Shop", order, "PAY")
    w.registry.send("Shop", order, "ARRIVED")

    assert reached == [["Quiet"]]
    rung = w.last(bell)
    assert (rung.event_type, rung.caused_by) == ("RING", (w.last(order).id,))


# What is stored


def test_a_trace_follows_effects_through_components_and_stores(trade):
    order, parcel = delivered(trade)
    created = trade.registry.get_instance_history(order)[0]

    trace = trade.registry.trace_event_across_components(created.id)
    assert kinds(trace.events) == [("Shop", "INSTANCE_CREATED")]

    pay = trade.registry.get_instance_history(order)[1]
    trace = trade.registry.trace_event_across_components(pay.id)
    assert kinds(trace.events) == [("Shop", "PAY"), ("Depot", "INSTANCE_CREATED")]

    deliver = trade.registry.get_instance_history(parcel)[1]
    trace = trade.registry.trace_event_across_components(deliver.id)
    assert kinds(trace.events) == [("Depot", "DELIVER"), ("Shop", "ARRIVED")]
    assert not trace.truncated
    assert trace.missing == ()


def test_a_trace_goes_back_to_the_causes_and_both_ways(trade):
    order, parcel = delivered(trade)
    arrived = trade.registry.get_instance_history(order)[2]
    packed = trade.registry.get_instance_history(parcel)[0]

    causes = trade.registry.trace_event_across_components(arrived.id, "causes")
    assert kinds(causes.events) == [("Shop", "ARRIVED"), ("Depot", "DELIVER")]
    both = trade.registry.trace_event_across_components(packed.id, "both")
    assert kinds(both.events) == [("Depot", "INSTANCE_CREATED"), ("Shop", "PAY")]


def test_each_event_of_a_trace_names_its_effects_and_nothing_stored_is_changed(trade):
    order, _ = delivered(trade)
    pay = trade.registry.get_instance_history(order)[1]

    first, second = trade.registry.trace_event_across_components(pay.id).events
    assert (first.caused, second.caused) == ((second.id,), ())
    assert second.caused_by == (first.id,)
    assert event_to_document(first)["caused"] == [second.id]
    assert trade.registry.get_persisted_event(pay.id).caused == ()


def test_a_trace_over_two_stores_is_that_over_one_store_with_all_of_it():
    # A chain that changes the store at each step, a fan, a cycle, causes that nobody has.
    events = [
        event(id="a", persisted_at=THEN),
        event(id="b", persisted_at=THEN + 1, caused_by=("a", "gone")),
        event(id="c", persisted_at=THEN + 2, caused_by=("b", "b")),
        event(id="d", persisted_at=THEN, caused_by=("a",)),
        event(id="e", persisted_at=THEN + 1, caused_by=("c", "f")),
        event(id="f", persisted_at=THEN + 9, caused_by=("e", "lost")),
        event(id="g", persisted_at=THEN + 9),
    ]
    one = registry_over(filled(*events))
    two = registry_over(filled(*events[::2]), filled(*events[1::2]))

    for root in "abcdefg":
        for direction in ("effects", "causes", "both"):
            for most in (1, 2, 3, 4, 500):
                asked = (root, direction, most)
                assert two.trace_event_across_components(*asked) == one.trace_event_across_components(*asked), asked


@pytest.mark.parametrize("stores", [1, 2])
def test_a_trace_that_cannot_be_made_is_refused(stores):
    registry = registry_over(*(filled(event(id=f"e{number}")) for number in range(stores)))

    with pytest.raises(NotFoundError, match="no event 'nobody'"):
        registry.trace_event_across_components("nobody")
    with pytest.raises(QueryError, match="a trace cannot go 'up'"):
        registry.trace_event_across_components("e0", "up")
    with pytest.raises(QueryError, match="a trace of 0 events"):
        registry.trace_event_across_components("e0", max_events=0)


def test_all_events_come_in_order_of_time_from_all_stores(trade):
    delivered(trade)

    events = list(trade.registry.get_all_persisted_events())
    assert sorted(kinds(events)) == [
        ("Depot", "DELIVER"),
        ("Depot", "INSTANCE_CREATED"),
        ("Shop", "ARRIVED"),
        ("Shop", "INSTANCE_CREATED"),
        ("Shop", "PAY"),
    ]
    assert [one.persisted_at - START for one in events] == [0, 0, 0, 1_000, 1_000]


def test_events_stream_through_and_one_that_two_stores_hold_comes_once():
    taken: list[str] = []

    class Watched(InMemoryEventStore):
        def get_all_events(self):
            for one in super().get_all_events():
                taken.append(one.id)
                yield one

    here, there = Watched(), Watched()
    here.append_many(event(id=f"h{number:03}", persisted_at=THEN + 10 * number) for number in range(200))
    there.append_many(event(id=f"t{number:03}", persisted_at=THEN + 10 * number) for number in range(200))
    for store in (here, there):
        store.append_many(event(id=f"both{number}", persisted_at=THEN + 10 * number) for number in range(3))
    events = registry_over(here, there).get_all_persisted_events()

    assert [next(events).id for _ in range(6)] == ["h000", "both0", "t000", "h001", "both1", "t001"]
    assert len(taken) < 20
    rest = [one.id for one in events]
    assert len(rest) == len(set(rest)) == 200 + 200 + 3 - 6


def test_a_store_that_components_share_is_read_once_and_whole():
    store = filled(event(id="e1", component_name="P0"), event(id="e2", component_name="Retired"))
    registry = registry_over(store, store, store)

    assert [one.id for one in registry.get_all_persisted_events()] == ["e1", "e2"]
    registry.unregister("P0")
    assert [one.id for one in registry.get_all_persisted_events()] == ["e1", "e2"]


def test_components_that_keep_nothing_or_cannot_be_read_are_passed_over():
    class Sink:
        def append(self, event, **options):
            pass

    registry = registry_over(None, Sink())
    it = registry.create_instance("P0", "M")

    assert list(registry.get_all_persisted_events()) == []
    assert list(registry.get_instance_history(it)) == []
    assert list(registry.get_caused_events("e1")) == []
    assert [one.events for one in registry.statistics().components] == [0, 0]
    with pytest.raises(NotFoundError, match="no event 'e1'; looked in: no component keeps events that can be read"):
        registry.trace_event_across_components("e1")


def test_effects_are_found_in_all_stores_by_time():
    here = filled(event(id="cause"), event(id="late", persisted_at=THEN + 9_999_999, caused_by=("cause",)))
    there = filled(event(id="early", persisted_at=THEN + 1, caused_by=("cause",)), event(id="other"))
    registry = registry_over(here, there)

    assert [one.id for one in registry.get_caused_events("cause")] == ["early", "late"]
    assert registry.get_persisted_event("early").id == "early"
    with pytest.raises(NotFoundError, match=r"no event 'nobody'; looked in: memory://\w+, memory://\w+"):
        registry.get_persisted_event("nobody")


def test_a_history_is_there_after_the_end_and_is_put_together_from_several_stores():
    parts = [
        event(
            id="e1",
            instance_id="i",
            event_type="INSTANCE_CREATED",
            state_before="",
            state_after="A",
            persisted_at=THEN,
        ),
        event(id="e2", instance_id="i", state_before="A", state_after="B", persisted_at=THEN + 9_999_999),
        event(id="e3", instance_id="i", state_before="B", state_after="C", persisted_at=THEN + 9_999_999),
    ]
    registry = registry_over(filled(parts[2], parts[0]), filled(parts[1], parts[0]))

    assert [one.id for one in registry.get_instance_history("i")] == ["e1", "e2", "e3"]
    assert list(registry.get_instance_history("nobody")) == []


# Statistics


def test_statistics_count_what_lives_waits_and_is_stored(trade):
    delivered(trade)
    trade.registry.create_instance("Shop", "Order")

    statistics = trade.registry.statistics()
    shop, depot = statistics.components
    assert (shop.component_name, shop.version, shop.machines) == ("Shop", "1.2.0", 2)
    assert shop.instances == {("Order", "Done"): 1, ("Order", "Open"): 1}
    assert (shop.pending_timers, shop.queued, shop.events) == (1, 0, 4)
    assert depot.instances == {("Parcel", "Delivered"): 1}
    assert (depot.pending_timers, depot.events) == (0, 2)
    assert (statistics.instance_count, statistics.pending_timers, statistics.queued) == (3, 1, 0)


def test_statistics_leave_stored_events_out_where_told_to(trade):
    assert {one.events for one in trade.registry.statistics(count_events=False).components} == {None}


def test_who_leaves_takes_what_waits_for_it_and_no_more():
    shop = FSMRuntime(component(SHOP), persistence=PersistenceConfig())
    depot = FSMRuntime(component(SHOP.replace("name: Shop", "name: Depot", 1)), persistence=PersistenceConfig())
    registry = ComponentRegistry()
    registry.register(shop)
    registry.register(depot)
    bells = [shop.create_instance("Bell"), depot.create_instance("Bell"), shop.create_instance("Bell")]
    rung: list[str] = []
    shop.listen(lambda notice: rung.append("Shop") if notice.name == "state_change" else None)
    depot.listen(lambda notice: rung.append("Depot") if notice.name == "state_change" else None)

    def leave(notice):
        if notice.name == "state_change" and registry.find_runtime("Depot") is not None:
            depot.send(bells[1], "RING")
            shop.send(bells[2], "RING")
            registry.unregister("Depot")

    shop.listen(leave)
    shop.send(bells[0], "RING")
    depot.retry()

    assert rung.count("Depot") == 1
    assert rung.count("Shop") == 2


@pytest.mark.parametrize(("mode", "refused"), [("singleton", True), ("multiple", False), (None, False)])
def test_a_second_entry_instance_of_a_singleton_is_refused_to_others(mode, refused):
    word = f"entryMachineMode: {mode}\n" if mode else ""
    desk = FSMRuntime(component(f"name: Front\nentryMachine: Bell\n{word}" + SHOP.split("version: 1.2.0\n")[1]))
    registry = ComponentRegistry()
    registry.register(desk)

    if refused:
        with pytest.raises(InvalidEventError, match="singleton"):
            registry.create_instance("Front", "Bell")
        desk.create_instance("Bell")  # who has the runtime itself is not asked, as in the reference
    else:
        registry.create_instance("Front", "Bell")
    assert len(list(desk.instances("Bell"))) == 2
