"""What a fork tells as fact is fact, and the rest is told as unknown."""

from __future__ import annotations

import json

import pytest

from tests.factories import event
from tests.replay.fork_examples import START, at, catalog, whole
from tests.runtime.helpers import World, world
from xcstore.errors import QueryError
from xcstore.model.loader import parse_component
from xcstore.replay.exporting import fork_json, fork_test, unmet
from xcstore.replay.forks import ChangeDefinition, DropEvent, Edit, EditEvent, Fork, ForkResult, InsertEvent, run_fork
from xcstore.replay.slicing import minimal_slice
from xcstore.replay.tables import Tables
from xcstore.replay.track import InstanceScope, Track
from xcstore.units import DurationMs

RETRIES = """
name: Retries
stateMachines:
  - name: Order
    initialState: Open
    states: [{name: Open, type: entry}]
    transitions:
      - {from: Open, to: Open, event: TRY, type: inter_machine, targetMachine: Payment}
  - name: Payment
    initialState: Asked
    states: [{name: Asked, type: entry}, {name: Good, type: final}, {name: Bad, type: error}]
    transitions:
      - {from: Asked, to: Good, event: APPROVE}
      - {from: Asked, to: Bad, event: DECLINE}
"""
STOCK = """
name: Storage
stateMachines:
  - name: Source
    initialState: A
    states:
      - {name: A, type: entry}
      - {name: B, cascadingRules: [{targetMachine: Stock, targetState: S, event: TAKE, payload: {from: "{{n}}"}}]}
    transitions:
      - {from: A, to: B, event: GO}
  - name: Stock
    initialState: S
    states: [{name: S, type: entry}, {name: X}]
    transitions:
      - {from: S, to: S, event: TAKE}
"""
TIMED = """
name: Timed
stateMachines:
  - name: Poll
    initialState: A
    states: [{name: A, type: entry}, {name: B}]
    transitions:
      - {from: A, to: B, event: TICK, type: timeout, timeoutMs: 1000}
      - {from: B, to: A, event: TOCK, type: timeout, timeoutMs: 1000}
  - name: Order
    initialState: Open
    states: [{name: Open, type: entry}, {name: Paid}, {name: Done, type: final}, {name: Expired, type: error}]
    transitions:
      - {from: Open, to: Paid, event: PAY}
      - {from: Paid, to: Done, event: END}
      - {from: Open, to: Expired, event: EXPIRE, type: timeout, timeoutMs: 3600000}
  - name: Ship
    initialState: New
    states: [{name: New, type: entry}, {name: Sent, type: final}]
    transitions:
      - {from: New, to: Sent, event: SEND}
"""


def fork(made: World, track: Track, *edits: Edit, step: int = 0) -> ForkResult:
    return run_fork(track, Fork(scope=track.scope, at=step, edits=edits), catalog=catalog(made))


def wait(made: World, ms: int = 1_000) -> None:
    made.clock.advance(DurationMs(ms))


def verdicts(result: ForkResult) -> dict[str, str]:
    """Of instances."""
    return {one.recorded_id or one.forked_id or "": one.verdict for one in result.instances}


@pytest.fixture
def retried() -> tuple[World, Track, str, list[str]]:
    """An order that asks for payment twice; the first is declined, the second approved."""
    made = world(RETRIES)
    order = made.runtime.create_instance("Order", {"n": "a"})
    for _ in range(2):
        wait(made)
        made.runtime.send(order, "TRY")
    wait(made)
    payments = [one.id for one in made.runtime.instances("Payment")]
    made.runtime.send(payments[0], "DECLINE")
    wait(made)
    made.runtime.send(payments[1], "APPROVE")
    return made, whole(made), order, payments


def test_an_instance_stays_the_one_that_its_event_made_where_an_earlier_one_is_gone(retried):
    made, track, order, (first, second) = retried
    tried = next(one for one in track.events if one.event_type == "TRY")
    result = fork(made, track, DropEvent(event_id=tried.id))
    assert verdicts(result) == {order: "same", first: "gone", second: "same"}
    told = {one.recorded.event_type: one.verdict for one in result.steps if one.recorded is not None}
    assert (told["DECLINE"], told["APPROVE"]) == ("rejected", "same")


def test_an_instance_stays_the_one_that_its_event_made_where_another_comes_before(retried):
    made, track, order, (first, second) = retried
    result = fork(made, track, InsertEvent(instance_id=order, event_type="TRY", after=track.events[0].id, at=at(500)))
    new = next(one for one in result.instances if one.recorded_id is None)
    assert verdicts(result) == {order: "same", first: "same", second: "same", new.forked_id: "new"}
    assert result.counts["new"] == 2


def test_a_slice_needs_no_earlier_sibling(retried):
    made, track, _, _ = retried
    found = minimal_slice(track, track.events[-1].id, catalog=catalog(made))
    assert found.minimal
    assert [one.event_type for one in found.inputs] == ["", "TRY", "APPROVE"]


def test_what_the_runtime_makes_is_recognised_by_its_cause():
    made = world(STOCK)
    made.runtime.create_instance("Stock")
    a, b, c = (made.runtime.create_instance("Source", {"n": name}) for name in "abc")
    for name in (a, b):
        wait(made)
        made.runtime.send(name, "GO")
    track = whole(made)
    more = InsertEvent(instance_id=c, event_type="GO", after=track.events[3].id, at=at(500))
    result = fork(made, track, more)
    assert {key: count for key, count in result.counts.items() if count} == {"same": 8, "new": 2}
    taken = next(one for one in track.events if one.event_type == "TAKE")
    result = fork(made, track, more, DropEvent(event_id=taken.id))
    assert [one.payload for one in result.run.events if one.event_type == "TAKE"] == [{"from": "c"}, {"from": "b"}]


def timed(polling: bool = False, *, late: bool = False) -> tuple[World, str]:
    """An order that is paid: after a second, or at the very moment in which it would expire."""
    made = world(TIMED)
    if polling:
        made.runtime.create_instance("Poll")
    order = made.runtime.create_instance("Order", {"n": "a"})
    made.clock.advance_to(at(3_600_000 if late else 1_000), inclusive=False)
    made.runtime.send(order, "PAY")
    wait(made)
    return made, order


def test_where_timers_of_others_end_the_run_early_ends_are_unknown_and_it_is_told():
    made, order = timed(polling=True)
    track = whole(made)
    pay = next(one for one in track.events if one.event_type == "PAY")
    result = fork(made, track, DropEvent(event_id=pay.id))
    assert verdicts(result)[order] == "unknown"
    assert any("timers alone made 1,000 events" in text for text in result.assumptions)

    made, order = timed()
    track = whole(made)
    pay = next(one for one in track.events if one.event_type == "PAY")
    result = fork(made, track, DropEvent(event_id=pay.id))
    assert [(one.forked_state, one.verdict) for one in result.instances] == [("Expired", "changed")]


def test_an_input_at_the_moment_of_a_timer_comes_first_where_it_was_recorded_so():
    made, _ = timed(late=True)
    track = whole(made)
    assert fork(made, track).counts["same"] == track.length
    assert minimal_slice(track, track.events[-1].id, catalog=catalog(made)).reproduces
    edit = EditEvent(event_id=track.events[0].id, payload={"initialContext": {"n": "b"}})
    (order,) = fork(made, track, edit).instances
    assert order.forked_state == "Paid"


@pytest.mark.parametrize(("key", "verdict"), [("order-7", "unknown"), ("other", "same")])
def test_what_outsiders_send_without_a_known_cause_is_no_fact_after_the_first_difference(key, verdict):
    made = world(TIMED)
    order = made.runtime.create_instance("Order", {"n": "order-7"})
    wait(made)
    made.runtime.send(order, "PAY")
    wait(made)
    shipment = made.runtime.create_instance("Ship", {"of": key})
    track = whole(made)
    pay = next(one for one in track.events if one.event_type == "PAY")
    result = fork(made, track, DropEvent(event_id=pay.id))
    assert verdicts(result)[shipment] == verdict
    said = "which it is tied" if verdict == "unknown" else "no recorded cause"
    assert any(said in text for text in (*result.assumptions, *(one.reason for one in result.steps)))


def test_an_instance_whose_state_the_changed_definition_lacks_is_told():
    made, order = timed()
    track = whole(made)
    less = TIMED.replace("{name: Paid}, ", "").replace("to: Paid", "to: Done").replace("from: Paid", "from: Open")
    result = fork(made, track, ChangeDefinition(component=parse_component(less)), step=track.length)
    assert [(one.recorded_id, one.verdict) for one in result.instances] == [(order, "unknown")]
    assert any("does not have" in text for text in result.assumptions)


def test_a_second_singleton_cannot_be_inserted():
    made = world("""
name: One
entryMachine: Only
entryMachineMode: singleton
stateMachines:
  - name: Only
    initialState: A
    states: [{name: A, type: entry}, {name: B}]
    transitions: [{from: A, to: B, event: GO}]
""")
    (only,) = made.runtime.instances("Only") or [None]
    if only is None:
        made.runtime.create_instance("Only")
    track = whole(made)
    second = InsertEvent(
        instance_id="second",
        event_type="INSTANCE_CREATED",
        component_name="One",
        machine_name="Only",
        after=track.events[-1].id,
    )
    (step,) = (one for one in fork(made, track, second).steps if one.edited)
    assert (step.verdict, "singleton" in step.reason) == ("rejected", True)


def test_values_nested_too_deeply_are_refused_in_words():
    definition = parse_component(TIMED)
    deep: list[object] = []
    for _ in range(10_000):
        deep = [deep]
    fields = {"instance_id": "i", "component_name": "Timed", "machine_name": "Order"}
    created = event(
        **fields, id="c", event_type="INSTANCE_CREATED", payload={"initialContext": {"k": deep}}, state_before="",
        state_after="Open", persisted_at=START, public_member_snapshot={"k": deep},
    )  # fmt: skip
    paid = event(
        **fields, id="p", event_type="PAY", payload={}, state_before="Open", state_after="Paid", persisted_at=at(5),
        public_member_snapshot={"k": deep},
    )  # fmt: skip
    known = type(catalog(world(TIMED)))([definition])
    track = Track(
        scope=InstanceScope(instance_id="i"), events=(created, paid), steps=range(2), before={}, tables=Tables(known)
    )
    plain = Fork(scope=track.scope)
    with pytest.raises(QueryError, match="nested too deeply"):
        run_fork(track, plain, catalog=known)
    with pytest.raises(QueryError, match="nested too deeply"):
        minimal_slice(track, "p", catalog=known)
    edited = Fork(scope=track.scope, edits=(EditEvent(event_id="p", payload={"k": deep}),))
    with pytest.raises(QueryError, match="nested too deeply"):
        fork_json(track, edited)


def test_a_fork_with_half_a_character_can_be_stored():
    made, _ = timed()
    track = whole(made)
    text = fork_json(
        track, Fork(scope=track.scope, edits=(EditEvent(event_id=track.events[1].id, payload={"k": "\ud800"}),))
    )
    assert json.loads(text.encode())["edits"][0]["payload"] == {"k": "\ud800"}


def test_an_exported_test_tells_numbers_from_truth_values():
    made, order = timed()
    track = whole(made)
    result = fork(made, track)
    assert fork_test(track, Fork(scope=track.scope), result, catalog(made))
    wanted = {"instance": order, "endsIn": "Paid", "values": {"n": 1}}
    held = result.run.instances[order]
    (held.context)["n"] = True  # type: ignore[index]
    assert unmet({"asserts": [wanted]}, result.run) != []
