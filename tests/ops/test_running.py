"""Steps played on a stage of components."""

from __future__ import annotations

import pytest

from tests.ops.examples import components
from xcstore.errors import StoreUnavailableError
from xcstore.ops.running import Stage, play
from xcstore.ops.steps import Advance, At, Broadcast, Create, Register, Send, Step
from xcstore.store.base import EventQuery
from xcstore.store.memory import InMemoryEventStore, open_memory_stores
from xcstore.store.opening import open_stores
from xcstore.units import DurationMs, EpochMs

START = EpochMs(1_767_225_600_000)


def steps(*actions):
    return [Step(number, number, action) for number, action in enumerate(actions, start=1)]


def run(*actions, stores=None, text=None, seed=1, **options):
    stage = Stage(components(text) if text else components(), stores or open_memory_stores(), start=START, seed=seed)
    return play(stage, steps(*actions), **options)


def states(report):
    return {(row.component, row.machine, row.state): row.count for row in report.states}


ORDER = Create("Shop", "Order", {"orderId": "o1"}, "one")


def test_components_reach_each_other_and_the_report_says_what_came_of_it():
    stores = open_memory_stores()

    report = run(
        ORDER,
        Create("Shop", "Order", {"orderId": "o2"}),
        Send("one", "PAY", {}),
        Send("one", "SHIP", {}),
        Send("one", "STAMP", {}),
        Advance(DurationMs(10_000)),
        stores=stores,
    )

    assert states(report) == {
        ("Post", "Desk", "Open"): 1,
        ("Post", "Parcel", "Here"): 1,
        ("Shop", "Order", "Done"): 1,
        ("Shop", "Order", "New"): 1,
    }
    assert report.written == stores.events.count(EventQuery())[0].count == 8
    assert [(row.machine, row.state, row.event, row.count) for row in report.ignored] == [("Order", "Paid", "STAMP", 1)]
    assert (report.pending_timers, report.next_timer) == (1, START + 60_000)
    assert (report.steps, report.refused, report.failed, report.stopped) == (6, 0, 0, None)
    assert report.now == START + 10_000


def test_what_the_runtime_refuses_is_counted_and_the_run_goes_on():
    report = run(ORDER, Advance(DurationMs(60_000)), Send("one", "PAY", {}), Send("i9", "PAY", {}), ORDER)

    assert [(refusal.step, refusal.reason) for refusal in report.refusals] == [
        (3, "'PAY' was sent to an instance of 'Order' that has ended in 'Late'"),
        (4, "there is no i9 yet; 2 instances were created so far"),
    ]
    assert (report.steps, report.refused, report.stopped) == (5, 2, None)
    assert states(report)["Shop", "Order", "New"] == 1


def test_a_run_stops_at_the_first_refusal_where_asked_to():
    report = run(Send("i9", "PAY", {}), ORDER, stop_on_error=True)

    assert (report.steps, report.refused) == (1, 1)
    assert report.stopped == "stopped at step 1, as it was refused"
    assert ("Shop", "Order", "New") not in states(report)


def test_instances_are_named_by_as_in_order_of_creation_and_by_id():
    stores = open_memory_stores()
    run(ORDER, stores=stores)
    order = next(event.instance_id for event in stores.events.get_all_events() if event.machine_name == "Order")

    # i1 is the desk; an equal seed gives the order the same id again.
    report = run(ORDER, Send("i2", "PAY", {}), Send(order, "SHIP", {}), Send("one", "SHIP", {}))

    assert states(report)["Post", "Parcel", "Packed"] == 2
    assert report.refused == 0


def test_a_payload_that_no_store_can_hold_is_refused_as_one_step():
    report = run(ORDER, Send("one", "PAY", {"x": "\x00"}), Send("one", "PAY", {}))

    assert [refusal.step for refusal in report.refusals] == [2]
    assert states(report)["Shop", "Order", "Paid"] == 1


def test_an_instance_whose_creation_was_refused_is_told_apart():
    report = run(Create("Shop", "Order", {"x": "\x00"}, "one"), Send("one", "PAY", {}))

    assert report.refused == 2
    assert report.refusals[1].reason == "'one' was not created, as its step was refused"


def test_a_broadcast_reaches_those_in_its_state():
    report = run(
        ORDER, Create("Shop", "Order", {}), Send("one", "PAY", {}), Broadcast("Shop", "Order", "PAY", {}, "New")
    )

    assert states(report)["Shop", "Order", "Paid"] == 2
    assert report.ignored == ()


def test_time_passes_at_the_end():
    assert states(run(ORDER, until=At(EpochMs(START + 60_000))))["Shop", "Order", "Late"] == 1
    assert states(run(ORDER, until=Advance(DurationMs(59_999))))["Shop", "Order", "New"] == 1


def test_entry_machines_start_where_a_step_registers_the_components():
    stage = Stage(components(), open_memory_stores(), start=START, seed=1)
    play(stage, steps(ORDER, Register()))

    assert [stage.seen[instance_id].machine for instance_id in stage.names] == ["Order", "Desk"]


def test_equal_seeds_write_equal_histories():
    actions = (ORDER, Send("one", "PAY", {"n": 1}), Send("one", "SHIP", {}), Advance(DurationMs(9_000)))
    first, second, third = open_memory_stores(), open_memory_stores(), open_memory_stores()
    run(*actions, stores=first)
    run(*actions, stores=second)
    run(*actions, stores=third, seed=2)

    assert list(first.events.get_all_events()) == list(second.events.get_all_events())
    assert {event.id for event in first.events.get_all_events()}.isdisjoint(
        event.id for event in third.events.get_all_events()
    )


def test_the_same_seed_again_in_one_store_stops_the_run_and_says_why(tmp_path):
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    with open_stores(url, read_only=False) as stores:
        run(ORDER, stores=stores)
        before = stores.events.count(EventQuery())[0].count

        report = run(ORDER, stores=stores)

        assert report.stopped is not None
        assert "Is a run with this seed in the store already?" in report.stopped
        assert report.written == 0
        assert stores.events.count(EventQuery())[0].count == before


class FailingStore(InMemoryEventStore):
    """Takes some events, then fails as a store does that cannot be reached."""

    def __init__(self, takes):
        super().__init__()
        self.takes = takes

    def append(self, event, **options):
        if not self.takes:
            raise StoreUnavailableError("the store has gone")
        self.takes -= 1
        super().append(event, **options)


@pytest.mark.parametrize("takes", range(9))
def test_a_store_that_fails_ends_the_run_wherever_it_does(takes):
    stores = open_memory_stores()
    object.__setattr__(stores, "events", FailingStore(takes))

    report = run(
        ORDER,
        Send("one", "PAY", {}),
        Send("one", "SHIP", {}),
        Advance(DurationMs(10_000)),
        Create("Shop", "Order", {}),
        stores=stores,
    )

    if takes < 8:
        assert "the store has gone" in report.stopped
    else:
        assert report.stopped is None
    assert report.written == takes == stores.events.count(EventQuery())[0].count


def test_what_a_failing_store_left_undone_at_the_last_step_is_told():
    stores = open_memory_stores()
    object.__setattr__(stores, "events", FailingStore(4))  # desk, order, PAY and SHIP, but not the parcel

    report = run(ORDER, Send("one", "PAY", {}), Send("one", "SHIP", {}), stores=stores)

    assert "the store has gone" in report.stopped
    assert (report.steps, report.written) == (3, 4)


def test_timers_without_end_stop_the_run():
    text = """
name: Spin
stateMachines:
  - name: Top
    initialState: A
    states: [{name: A}, {name: B}]
    transitions:
      - {from: A, to: B, event: E, type: auto}
      - {from: B, to: A, event: F, type: auto}
"""

    report = run(Create("Spin", "Top", {}), Advance(DurationMs(1)), Create("Spin", "Top", {}), text=text)

    assert report.stopped is not None
    assert "timers fell due while no time passed" in report.stopped
    assert report.steps == 2


def test_many_timers_at_one_moment_are_no_loop():
    report = run(*[Create("Shop", "Order", {})] * 3_000, Advance(DurationMs(60_000)))

    assert states(report)["Shop", "Order", "Late"] == 3_000
    assert report.stopped is None


def test_an_effect_that_reaches_nobody_is_counted_as_failed():
    text = """
name: A
stateMachines:
  - name: M
    initialState: S
    states: [{name: S}, {name: T, cascadingRules: [{targetMachine: Gone, targetState: X, event: E}]}]
    transitions: [{from: S, to: T, event: GO}]
"""

    report = run(Create("A", "M", {}), Send("i1", "GO", {}), text=text)

    assert report.failed == 1
    assert "Gone" in report.failures[0]
    assert report.stopped is None


def test_on_the_real_clock_steps_wait():
    text = """
name: A
stateMachines:
  - name: M
    initialState: S
    states: [{name: S}, {name: T}]
    transitions: [{from: S, to: T, event: GO, type: timeout, timeoutMs: 20}]
"""
    stage = Stage(components(text), open_memory_stores())

    report = play(stage, steps(Create("A", "M", {}), Advance(DurationMs(40)), At(EpochMs(0))))

    assert states(report) == {("A", "M", "T"): 1}
    assert report.now > START


def test_snapshots_are_taken_as_often_as_asked():
    stores = open_memory_stores()
    stage = Stage(components(), stores, start=START, snapshot_interval=2)
    play(stage, steps(ORDER, Send("one", "PAY", {}), Send("one", "SHIP", {})))

    assert stores.snapshots.get_snapshot(stage.names[1]) is not None
    assert len(stores.definitions.get_all_definitions()) == 2
    without = open_memory_stores()
    stage = Stage(components(), without, start=START, snapshot_interval=None)
    play(stage, steps(ORDER, Advance(DurationMs(60_000))))
    assert without.snapshots.count() == 0


def test_a_run_goes_on_with_what_lives_in_the_store_where_asked_to():
    stores = open_memory_stores()
    run(ORDER, Create("Shop", "Order", {"orderId": "o2"}), Send("one", "PAY", {}), stores=stores)
    ids = list(dict.fromkeys(e.instance_id for e in stores.events.get_all_events() if e.machine_name == "Order"))
    later = Stage(components(), stores, start=EpochMs(START + 70_000), seed=2, restore=True)

    report = play(later, steps(Send(ids[0], "SHIP", {}), Send(ids[1], "PAY", {}), Advance(DurationMs(5_000))))

    # The second one's timer fell due while nothing ran.
    assert states(report) == {
        ("Post", "Desk", "Open"): 1,
        ("Post", "Parcel", "Here"): 1,
        ("Shop", "Order", "Done"): 1,
        ("Shop", "Order", "Late"): 1,
    }
    assert [refusal.step for refusal in report.refusals] == [2]
    assert report.written == 5
    assert stores.events.count(EventQuery())[0].count == 4 + 5


def test_without_restoring_what_lives_in_the_store_is_left_alone():
    stores = open_memory_stores()
    run(ORDER, stores=stores)
    order = next(event.instance_id for event in stores.events.get_all_events() if event.machine_name == "Order")

    report = run(Send(order, "PAY", {}), stores=stores, seed=2)

    assert [refusal.reason for refusal in report.refusals] == [f"there is no instance {order!r} in this run"]
