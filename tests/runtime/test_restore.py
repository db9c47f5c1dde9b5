"""What `restore` promises, sentence by sentence: issue 3, "Restore"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.reference.conftest import reference, reference_json  # noqa: F401  # fixtures
from tests.runtime.disturbing import START, Life, Unreliable, describe
from tests.runtime.helpers import component, world
from xcstore.errors import ConfigError, InstanceNotActiveError, UnknownEventError
from xcstore.model.loader import component_from_document
from xcstore.runtime import ComponentRegistry, FSMRuntime, PersistenceConfig, SimulatedClock
from xcstore.runtime.folding import fold
from xcstore.runtime.interpreter import MachineTable
from xcstore.store.base import InstanceQuery, OutboxChange, StoredWork, Stores
from xcstore.store.codec import event_from_document, snapshot_from_document
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores
from xcstore.units import EpochMs

SHOP = component("""
name: Shop
entryMachine: Desk
stateMachines:
  - name: Desk
    initialState: Open
    states: [{name: Open, type: entry}, {name: Shut, type: final}]
    transitions: [{from: Open, to: Shut, event: SHUT}, {from: Open, to: Open, event: RING}]
  - name: Order
    initialState: New
    states: [{name: New, type: entry}, {name: Paid}, {name: Late}, {name: Done, type: final}]
    transitions:
      - {from: New, to: Paid, event: PAY, matchingRules: [{eventProperty: id, instanceProperty: id}]}
      - {from: New, to: New, event: NOTE}
      - {from: New, to: Late, event: DUE, type: timeout, timeoutMs: 1000, resetOnTransition: false}
      - {from: Paid, to: Paid, event: NOTE}
      - {from: Paid, to: Done, event: END}
      - {from: Late, to: Late, event: REMIND, type: timeout, timeoutMs: 500}
""")

POST = component("""
name: Post
stateMachines:
  - name: Order
    initialState: New
    states: [{name: New, type: entry}, {name: Sent}]
    transitions: [{from: New, to: Sent, event: SEND}, {from: Sent, to: Sent, event: NOTE}]
""")


@pytest.fixture
def life() -> Life:
    return Life([SHOP, POST], open_memory_stores(), snapshot_interval=2)


def orders(life: Life, component_name: str = "Shop") -> list[str]:
    return [instance.id for instance in life.runtimes[component_name].instances("Order")]


def types(life: Life, instance_id: str) -> list[str]:
    return [event.event_type for event in life.events.get_events_for_instance(instance_id)]


# What comes back


def test_restored_is_the_fold_of_all_events_though_it_starts_at_a_snapshot(life: Life) -> None:
    life.create("Shop", "Order", {"id": 7})
    for n in range(5):
        life.send("Shop", 1, "NOTE", {"n": n})
    (order,) = orders(life)
    before = describe(life.runtimes)

    life.restart()

    assert describe(life.runtimes) == before
    folded = fold(life.runtimes["Shop"].executor.population.tables["Order"], life.events.get_events_for_instance(order))
    assert folded is not None
    assert folded.instance == life.runtimes["Shop"].get_instance(order)
    report = life.reports[0]
    assert (report.component_name, report.instances, report.from_snapshot) == ("Shop", 2, 1)
    assert (report.problem_count, report.expired, report.work) == (0, 0, 0)


def test_each_instance_comes_back_in_its_own_component_though_both_know_the_machine(life: Life) -> None:
    life.create("Shop", "Order", {"id": 1})
    life.create("Post", "Order", {"id": 2})
    shop, post = orders(life), orders(life, "Post")

    life.restart()

    assert (orders(life), orders(life, "Post")) == (shop, post)
    assert life.registry.find_instance(post[0]) == ("Post", life.runtimes["Post"].get_instance(post[0]))


def test_what_has_ended_stays_ended_and_is_counted(life: Life) -> None:
    life.create("Shop", "Order", {"id": 1})
    life.send("Shop", 1, "PAY", {"id": 1})
    life.send("Shop", 1, "END", {})

    life.restart()

    assert orders(life) == []
    assert life.reports[0].ended == 1


def test_a_broadcast_with_rules_finds_restored_instances_by_what_they_were_made_with(life: Life) -> None:
    for number in (1, 2, 1):
        life.create("Shop", "Order", {"id": number})
    life.send("Shop", 3, "NOTE", {"id": 2})
    life.send("Shop", 3, "NOTE", {})

    life.restart()

    # As it was before: the index keeps the value of the creation, see test_engine.
    assert life.runtimes["Shop"].broadcast("Order", "PAY", {"id": 1}) == 2
    states = [instance.current_state for instance in life.runtimes["Shop"].instances("Order")]
    assert states == ["Paid", "New", "Paid"]


# Timers


def test_a_timer_goes_on_with_the_time_that_was_left(life: Life) -> None:
    life.create("Shop", "Order", {})
    life.advance(300)

    life.restart()

    (order,) = orders(life)
    assert [timeout.remaining_ms for timeout in life.runtimes["Shop"].pending_timeouts(order)] == [700]
    assert life.reports[0].timers == 1
    life.advance(699)
    assert types(life, order) == ["INSTANCE_CREATED"]
    life.advance(1)
    assert types(life, order) == ["INSTANCE_CREATED", "DUE"]


@pytest.mark.parametrize("notes", [0, 1, 2, 3])
def test_a_timer_that_a_self_loop_leaves_alone_goes_on_and_names_what_started_it(life: Life, notes: int) -> None:
    life.create("Shop", "Order", {})
    for _ in range(notes):
        life.advance(100)
        life.send("Shop", 1, "NOTE", {})

    life.restart()
    life.advance(1_000 - notes * 100)

    (order,) = orders(life)
    stream = life.events.get_events_for_instance(order)
    assert [event.event_type for event in stream] == ["INSTANCE_CREATED", *["NOTE"] * notes, "DUE"]
    assert stream[-1].caused_by == (stream[0].id,)


def test_a_timer_that_fell_due_meanwhile_fires_once_whatever_is_restored_how_often(life: Life) -> None:
    life.create("Shop", "Order", {})
    (order,) = orders(life)
    life.clock = SimulatedClock(EpochMs(life.clock.now() + 1_200))  # the process was away that long

    life.restart()
    assert life.reports[0].expired == 1
    life.registry.restore()
    assert types(life, order) == ["INSTANCE_CREATED", "DUE"]

    life.restart()
    assert life.reports[0].expired == 0
    assert types(life, order) == ["INSTANCE_CREATED", "DUE"]
    assert [timeout.remaining_ms for timeout in life.runtimes["Shop"].pending_timeouts(order)] == [500]


@pytest.mark.parametrize("interval", [1, 10])
def test_a_timer_that_has_fired_does_not_come_back(interval: int) -> None:
    document = component("""
name: C
stateMachines:
  - name: M
    initialState: A
    states: [{name: A, type: entry}]
    transitions:
      - {from: A, to: A, event: X}
      - {from: A, to: A, event: LATE, type: timeout, timeoutMs: 100, resetOnTransition: false}
""")
    life = Life([document], open_memory_stores(), snapshot_interval=interval)
    life.create("C", "M", {})
    life.advance(120)
    life.send("C", 0, "X", {})

    life.restart()
    life.advance(1_000)

    assert [event.event_type for event in life.all_events()] == ["INSTANCE_CREATED", "LATE", "X"]
    snapshot = life.stores.snapshots.get_snapshot(life.all_events()[0].instance_id)
    if snapshot is not None:
        runtime = life.make_runtime(document, SimulatedClock(life.clock.now()))
        runtime.restore_from_snapshot(snapshot)
        assert runtime.pending_timeouts(snapshot.instance.id) == ()


# Entry points


def test_entry_points_are_not_doubled_by_restarts(life: Life) -> None:
    desks = [instance.id for instance in life.runtimes["Shop"].instances("Desk")]
    for _ in range(3):
        life.restart()
        assert [i.id for i in life.runtimes["Shop"].instances("Desk")] == desks
        assert all(instance.is_entry_point for instance in life.runtimes["Shop"].instances("Desk"))
    assert life.count_events() == 1


def test_an_entry_point_that_has_ended_stays_and_refuses_events(life: Life) -> None:
    life.send("Shop", 0, "SHUT", {})
    for _ in range(2):
        life.restart()
        (desk,) = life.runtimes["Shop"].instances("Desk")
        assert desk.status == "completed"
        with pytest.raises(InstanceNotActiveError, match="is not active"):
            life.runtimes["Shop"].send(desk.id, "RING")
    assert life.count_events() == 2


def test_a_runtime_alone_is_restored_without_a_second_entry_point(life: Life) -> None:
    runtime = life.make_runtime(SHOP, SimulatedClock(life.clock.now()))

    runtime.restore()
    runtime.restore()

    assert len(list(runtime.instances("Desk"))) == 1
    assert life.count_events() == 1


# Snapshots that do not fit


@pytest.mark.parametrize("last_event_id", ["", "gone"])
def test_a_snapshot_that_does_not_fit_the_history_is_reported_and_all_is_folded(life: Life, last_event_id: str) -> None:
    life.create("Shop", "Order", {"id": 1})
    for n in range(2):
        life.send("Shop", 1, "NOTE", {"n": n})
    (order,) = orders(life)
    before = describe(life.runtimes)
    snapshot = life.stores.snapshots.get_snapshot(order)
    assert snapshot is not None
    wrong = replace(snapshot.instance, current_state="Paid", context={"wrong": True})
    life.stores.snapshots.save_snapshot(replace(snapshot, instance=wrong, last_event_id=last_event_id))

    life.restart()

    assert describe(life.runtimes) == before
    report = life.reports[0]
    assert (report.problem_count, report.from_snapshot) == (1, 0)
    assert order in report.problems[0]


def test_an_instance_of_an_unknown_machine_is_reported_and_left_out(life: Life) -> None:
    life.create("Shop", "Order", {})
    (order,) = orders(life)
    source: Any = SHOP.source
    smaller = component_from_document({**source, "stateMachines": source["stateMachines"][:1]})
    life.components = (smaller, POST)

    life.restart()

    assert life.runtimes["Shop"].find_instance(order) is None
    (problem,) = life.reports[0].problems
    assert order in problem
    assert "'Order'" in problem


def test_a_snapshot_whose_events_are_gone_is_brought_back_or_reported() -> None:
    life = Life([POST], open_memory_stores(), snapshot_interval=1)
    life.create("Post", "Order", {"id": 1})
    life.send("Post", 0, "SEND", {})
    (order,) = orders(life, "Post")
    life.events = Unreliable(open_memory_stores().events)  # as retention left it

    life.restart()

    assert life.runtimes["Post"].find_instance(order) is not None or order in str(life.reports[0].problems)


@pytest.mark.parametrize("wrong", [{"machine_name": "Nope"}, {"status": "completed"}])
def test_one_odd_snapshot_does_not_keep_the_others_from_coming_back(life: Life, wrong: dict[str, Any]) -> None:
    for number in (1, 2):
        life.create("Shop", "Order", {"id": number})
    for number in (1, 1, 2, 2):
        life.send("Shop", number, "NOTE", {"n": 1})
    order, _ = orders(life)
    before = describe(life.runtimes)
    snapshot = life.stores.snapshots.get_snapshot(order)
    assert snapshot is not None
    life.stores.snapshots.save_snapshot(replace(snapshot, instance=replace(snapshot.instance, **wrong)))

    life.restart()

    assert describe(life.runtimes) == before
    (problem,) = life.reports[0].problems
    assert problem.startswith(f"{order}: its snapshot")
    assert life.reports[0].from_snapshot == 1


# Snapshots alone


def alone(life: Life, document: Any) -> FSMRuntime:
    config = PersistenceConfig(event_sourcing=False, snapshots=True, snapshot_store=life.stores.snapshots)
    return FSMRuntime(document, config, clock=SimulatedClock(life.clock.now()), environment={})


def test_without_events_the_snapshots_are_what_comes_back(life: Life) -> None:
    for number in (1, 2):
        life.create("Shop", "Order", {"id": number})
    for number in (1, 2):
        life.send("Shop", number, "NOTE", {"n": 1})
    life.send("Shop", 1, "NOTE", {"n": 2})
    life.advance(400)
    life.send("Shop", 1, "NOTE", {"n": 3})
    runtime = alone(life, SHOP)

    report = runtime.restore()

    (order,) = runtime.instances("Order")
    assert order.context == {"id": 1, "n": 2}
    assert (report.instances, report.from_snapshot, report.events) == (1, 1, 0)
    assert [timeout.remaining_ms for timeout in runtime.pending_timeouts(order.id)] == [600]


def test_a_snapshot_without_a_status_does_not_bring_the_dead_back(life: Life) -> None:
    life.create("Shop", "Order", {"id": 1})
    (order,) = orders(life)
    life.send("Shop", 1, "PAY", {"id": 1})
    life.send("Shop", 1, "END", {})
    snapshot = life.stores.snapshots.get_snapshot(order)
    assert snapshot is not None
    shipped = replace(snapshot, instance=replace(snapshot.instance, status="active"), status_recorded=False)
    life.stores.snapshots.save_snapshot(shipped)
    runtime = alone(life, SHOP)

    report = runtime.restore()

    assert runtime.find_instance(order) is None
    assert report.ended == 1


def test_without_any_store_there_is_nothing_to_restore_from() -> None:
    with pytest.raises(ConfigError, match="no store"):
        FSMRuntime(SHOP, environment={}).restore()


# By hand


def test_a_snapshot_and_the_events_after_it_are_replayed_and_nothing_is_appended(life: Life) -> None:
    life.create("Shop", "Order", {"id": 1})
    for n in range(5):
        life.advance(10)
        life.send("Shop", 1, "NOTE", {"n": n})
    (order,) = orders(life)
    stored = life.count_events()

    for snapshot in life.stores.snapshots.list_snapshots(order):
        runtime = life.make_runtime(SHOP, SimulatedClock(life.clock.now()))
        assert runtime.restore_from_snapshot(snapshot) == snapshot.instance
        later = life.events.get_events_after_snapshot(order, snapshot.last_event_id)
        assert runtime.replay(later) == len(later)
        assert runtime.get_instance(order) == life.runtimes["Shop"].get_instance(order)
        assert runtime.last_event_id(order) == life.runtimes["Shop"].last_event_id(order)
        assert runtime.pending_timeouts(order) == life.runtimes["Shop"].pending_timeouts(order)

    assert life.count_events() == stored
    with pytest.raises(UnknownEventError):
        life.events.get_events_after_snapshot(order, "gone")


def test_an_instance_that_lives_here_is_not_restored_over(life: Life) -> None:
    life.create("Shop", "Order", {"id": 1})
    for _ in range(2):
        life.send("Shop", 1, "NOTE", {})
    snapshot = life.stores.snapshots.get_snapshot(orders(life)[0])
    assert snapshot is not None
    with pytest.raises(ConfigError, match="lives here already"):
        life.runtimes["Shop"].restore_from_snapshot(snapshot)


# Waiting work


@pytest.mark.parametrize("again", ["restore", "resume", "bring back"])
def test_waiting_work_is_done_once_however_often_it_is_restored(life: Life, again: str) -> None:
    (desk,) = life.runtimes["Shop"].instances("Desk")
    life.events.change_outbox(OutboxChange(add=(ring(desk.id),)))
    runtime = life.make_runtime(SHOP, SimulatedClock(life.clock.now()))

    runtime.restore(resume=False)
    match again:
        case "restore":
            runtime.restore()
        case "resume":
            runtime.resume()
        case _:
            runtime.restore(resume=False)
    runtime.resume()

    assert types(life, desk.id) == ["INSTANCE_CREATED", "RING"]
    assert list(life.events.get_outbox()) == []


def test_waiting_work_is_done_by_runtimes_that_are_registered_after_they_were_brought_back(life: Life) -> None:
    (desk,) = life.runtimes["Shop"].instances("Desk")
    life.events.change_outbox(OutboxChange(add=(ring(desk.id),)))
    runtime, registry = life.make_runtime(SHOP, SimulatedClock(life.clock.now())), ComponentRegistry()

    runtime.restore(resume=False)
    registry.register(runtime)
    runtime.resume()

    assert types(life, desk.id) == ["INSTANCE_CREATED", "RING"]
    assert list(life.events.get_outbox()) == []


def ring(instance_id: str) -> StoredWork:
    event: dict[str, object] = {"type": "RING", "payload": {}, "timestamp": None}
    document: dict[str, object] = {
        "kind": "send",
        "instance": instance_id,
        "event": event,
        "causes": [],
        "source": None,
    }
    return StoredWork(id="w", position=1, component_name="Shop", document=document)


def test_waiting_work_that_cannot_be_read_is_reported_and_left_where_it_is(life: Life) -> None:
    odd = StoredWork(id="odd", position=1, component_name="Shop", document={"kind": "dance"})
    life.events.change_outbox(OutboxChange(add=(odd,)))

    life.restart()

    assert "'odd'" in life.reports[0].problems[0]
    assert list(life.events.get_outbox()) == [odd]


# What methods changed


def test_what_a_method_on_a_transition_changed_beside_the_public_member_comes_back() -> None:
    document = component("""
name: C
stateMachines:
  - name: M
    initialState: A
    publicMemberType: Anything
    states: [{name: A, type: entry}]
    transitions: [{from: A, to: A, event: X, triggeredMethod: note}, {from: A, to: A, event: Y}]
""")

    def note(event: Any, instance: Any, sender: Any) -> None:
        instance.context["noted"] = event.type

    life = Life([document], open_memory_stores(), {"note": note}, snapshot_interval=100)
    life.create("C", "M", {"p": 1})
    life.send("C", 0, "X", {})
    life.send("C", 0, "Y", {"y": 1})
    before = describe(life.runtimes)

    life.restart()

    assert describe(life.runtimes) == before


# The reference stores


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def dump(
    request: pytest.FixtureRequest,
    reference_json: Any,  # noqa: F811
    tmp_path_factory: Any,
) -> Iterator[Stores]:
    """The memory dump of the TypeScript runtime, after which no runtime of ours has written."""
    file = tmp_path_factory.mktemp("dump") / "events.db"
    url = "memory://" if request.param == "memory" else f"sqlite:///{file}"
    with open_stores(url, read_only=False) as opened:
        opened.events.append_many(event_from_document(document) for document in reference_json("memory_events.json"))
        opened.snapshots.save_snapshots(
            snapshot_from_document(document) for document in reference_json("memory_snapshots.json")
        )
        yield opened


def test_every_live_instance_of_the_reference_comes_back_in_the_state_of_its_last_event(
    dump: Stores,
    reference_json: Any,  # noqa: F811
) -> None:
    stored = len(list(dump.events.get_all_events()))
    total = 0
    for document in reference_json("components.json").values():
        one = component_from_document(document)
        config = PersistenceConfig.of(dump, event_sourcing=True, snapshots=True)
        runtime = FSMRuntime(one, config, clock=SimulatedClock(START), environment={})
        report = runtime.restore(resume=False)
        tables = {machine.name: MachineTable(machine) for machine in one.machines}
        expected, ended = {}, 0
        for summary in dump.events.instances(InstanceQuery(components=(one.name,)), limit=5_000).items:
            table = tables.get(summary.machine_name)
            state = None if table is None else table.find_state(summary.state)
            if state is not None and state.is_terminal:
                ended += 1
            elif table is not None:
                expected[summary.instance_id] = (summary.machine_name, summary.state, summary.last_event_id)
        kept = {i.id for i in runtime.instances() if i.status != "active"}
        found = {
            i.id: (i.machine_name, i.current_state, runtime.last_event_id(i.id))
            for i in runtime.instances()
            if i.status == "active"
        }
        assert found == expected
        assert report.instances == len(found) + len(kept)
        assert report.ended == ended - len(kept)
        assert report.problem_count >= len(report.problems)
        total += len(found)
    assert total > 100
    assert len(list(dump.events.get_all_events())) == stored


TOLD_APART = """
name: Apart
stateMachines:
  - name: M
    initialState: S
    publicMemberType: object
    states: [{name: S, type: entry}, {name: T}, {name: U}]
    transitions:
      - {from: S, to: T, event: GO, matchingRules: [{eventProperty: k, instanceProperty: k}]}
      - {from: S, to: T, event: GO}
      - {from: S, to: U, event: GO}
"""


def test_the_fold_takes_the_transition_that_was_taken_where_nothing_tells_several_apart():
    w = world(TOLD_APART)
    it = w.runtime.create_instance("M", {"k": 1})
    w.runtime.send(it, "GO", {"k": 2})  # the first, which has rules, so that nothing is merged

    folded = fold(MachineTable(w.runtime.component.machines[0]), w.stores.events.get_events_for_instance(it))
    assert folded is not None
    assert folded.instance == w.runtime.get_instance(it)
