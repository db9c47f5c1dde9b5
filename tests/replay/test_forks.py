"""What if: the edits lead to what the runtime makes of them, and what nobody can know is not told as fact."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.replay.fork_examples import (
    MONEY,
    ORDERS,
    UNSHRUNK,
    at,
    catalog,
    lived,
    lost_order,
    programs,
    the,
    whole,
    without_methods,
)
from tests.runtime.strategies import components
from xcstore.demo import generate_demo
from xcstore.errors import QueryError
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION
from xcstore.model.loader import parse_component
from xcstore.replay.forks import (
    ChangeDefinition,
    DropEvent,
    EditEvent,
    Fork,
    ForkResult,
    InsertEvent,
    MoveEvent,
    run_fork,
)
from xcstore.replay.track import EventsScope, RangeScope, Track, open_track
from xcstore.store.base import Stores
from xcstore.store.opening import open_stores
from xcstore.units import MINUTE, EpochMs


@pytest.fixture(scope="module")
def shop():
    return lost_order()


@pytest.fixture(scope="module")
def track(shop) -> Track:
    return whole(shop)


def forked(shop, track: Track, *edits, step: int = 0, **options) -> ForkResult:
    return run_fork(track, Fork(scope=track.scope, at=step, edits=edits), catalog=catalog(shop), **options)


def rows(result: ForkResult) -> list[tuple[str, str]]:
    return [((step.forked or step.recorded or step.input).event_type, step.verdict) for step in result.steps]


def ends(result: ForkResult) -> dict[str, tuple[str | None, str | None, str]]:
    return {one.machine_name: (one.recorded_state, one.forked_state, one.verdict) for one in result.instances}


# Without edits


def test_a_fork_without_edits_is_the_recording_wherever_it_begins(shop, track):
    for step in range(track.length + 1):
        result = forked(shop, track, step=step)
        assert {verdict for _, verdict in rows(result)} <= {"same"}
        assert len(result.steps) == track.length - step
        assert all(one.verdict == "same" for one in result.instances)
        assert not result.cut


@settings(max_examples=15, deadline=None, phases=UNSHRUNK, suppress_health_check=list(HealthCheck))
@given(components(), programs, st.data())
def test_random_histories_without_user_code_forked_without_edits_are_the_same(documents, program, drawn):
    result = forked_anywhere(without_methods(documents), program, drawn)
    assert {step.verdict for step in result.steps} <= {"same"}


@settings(max_examples=15, deadline=None, phases=UNSHRUNK, suppress_health_check=list(HealthCheck))
@given(components(), programs, st.data())
def test_random_histories_with_user_code_are_the_same_or_said_not_to_be_repeatable(documents, program, drawn):
    result = forked_anywhere(documents, program, drawn)
    assert {step.verdict for step in result.steps} <= {"same", "unknown"}
    assert all(step.reason for step in result.steps if step.verdict == "unknown")


def forked_anywhere(documents, program, drawn):
    made = lived(documents, program)
    track = whole(made)
    step = drawn.draw(st.integers(0, track.length))
    return run_fork(track, Fork(scope=track.scope, at=step), catalog=catalog(made), max_events=4_000)


@pytest.fixture(scope="module")
def demo() -> Stores:
    stores = open_stores("memory://", read_only=False)
    generate_demo(stores, days=14)
    return stores


def test_the_demo_forked_without_edits_is_nowhere_changed(demo):
    events = list(demo.events.get_all_events())
    track = open_track(demo, RangeScope(start=events[0].persisted_at, end=events[-1].persisted_at))
    result = run_fork(track, Fork(scope=track.scope), catalog=Catalog(), max_seconds=60)
    told = {verdict for verdict, count in result.counts.items() if count}
    assert told <= {"same", "unknown"}  # unknown: what planted faults keep from being repeated
    assert result.counts["unknown"] * 20 < result.counts["same"]
    assert all(step.reason for step in result.steps if step.verdict == "unknown")


# One edit


def test_dropping_an_event_takes_away_what_it_led_to(shop, track):
    result = forked(shop, track, DropEvent(event_id=the(track, "APPROVE").id))
    assert rows(result) == [
        (CREATION, "same"),
        ("PUT", "same"),
        ("ORDER", "same"),
        (CREATION, "same"),
        ("APPROVE", "gone"),
        ("PAID", "gone"),
        ("SEND", "gone"),
        ("TIMEOUT", "new"),
        ("GIVE_UP", "gone"),
    ]
    assert ends(result) == {"Order": ("Lost", "Ordered", "changed"), "Payment": ("Settled", "Refused", "changed")}
    assert [step.edited for step in result.steps if step.verdict == "gone"] == [True, False, False, False]


def test_an_inserted_delivery_lets_the_lost_order_arrive(shop, track):
    sent = the(track, "SEND")
    arrive = InsertEvent(after=sent.id, instance_id=sent.instance_id, event_type="ARRIVE", payload={"to": "door"})
    result = forked(shop, track, arrive, step=track.position_of(sent.id))
    assert rows(result) == [("ARRIVE", "new"), ("GIVE_UP", "gone")]
    (order,) = (one for one in result.instances if one.machine_name == "Order")
    assert (order.recorded_state, order.forked_state, order.verdict) == ("Lost", "Done", "changed")
    assert order.recorded_ms - order.forked_ms == MINUTE
    assert {change.path for change in order.changes} == {("to",), ("reason",)}


def test_dropping_a_timer_keeps_it_from_running_out(shop, track):
    result = forked(shop, track, DropEvent(event_id=the(track, "GIVE_UP").id))
    assert rows(result)[-1] == ("GIVE_UP", "gone")
    assert ends(result)["Order"] == ("Lost", "Sent", "changed")


def test_an_edited_payload_goes_where_the_runtime_hands_it(shop, track):
    result = forked(shop, track, EditEvent(event_id=the(track, "PUT").id, payload={"amount": 9}))
    put, order, payment = result.steps[1:4]
    assert (put.verdict, put.edited) == ("changed", True)
    assert [(change.path, change.old, change.new) for change in put.changes] == [(("amount",), 7, 9)]
    # Whether the order would have come is not known; what it would make of the payment hangs on that.
    assert (order.verdict, payment.verdict) == ("unknown", "unknown")
    assert "not known" in order.reason
    assert payment.forked.public_member_snapshot == {"order": "O1", "amount": 9}


def test_what_runs_by_itself_after_an_edit_is_a_fact(shop, track):
    result = forked(shop, track, EditEvent(event_id=the(track, "PAID").id, payload={"order": "O1"}))
    assert {verdict for _, verdict in rows(result)} == {"same"}
    bound = EditEvent(event_id=the(track, "APPROVE").id, event_type="DECLINE", payload={})
    result = forked(shop, track, bound)
    assert rows(result)[4:] == [("DECLINE", "changed"), ("PAID", "gone"), ("SEND", "gone"), ("GIVE_UP", "gone")]
    assert ends(result)["Order"] == ("Lost", "Ordered", "changed")


def test_an_input_that_the_fork_does_not_take_is_rejected_with_the_reason(shop, track):
    approve = the(track, "APPROVE")
    decline = InsertEvent(after=the(track, "ORDER").id, instance_id=approve.instance_id, event_type="DECLINE")
    result = forked(shop, track, decline)
    (step,) = (step for step in result.steps if step.verdict == "rejected")
    assert step.recorded.id == approve.id
    assert step.forked is None
    assert "ended in Refused" in step.reason


def test_an_inserted_event_that_nobody_takes_is_told(shop, track):
    order = the(track, "ORDER")
    result = forked(shop, track, InsertEvent(after=order.id, instance_id=order.instance_id, event_type="NONSENSE"))
    (step,) = (step for step in result.steps if step.verdict == "rejected")
    assert (step.recorded, step.forked, step.edited) == (None, None, True)
    assert step.input.event_type == "NONSENSE"


def test_a_moved_event_happens_where_it_was_moved_to(shop, track):
    result = forked(shop, track, MoveEvent(event_id=the(track, "PUT").id, after=the(track, "ORDER").id))
    (put,) = (step for step in result.steps if step.recorded and step.recorded.event_type == "PUT")
    assert (put.verdict, put.edited) == ("rejected", True)  # an order that is placed takes nothing more
    payment = next(step for step in result.steps if step.forked and step.forked.machine_name == "Payment")
    assert payment.forked.public_member_snapshot["amount"] == 5


def test_a_timer_that_now_comes_first_wins(shop, track):
    short = parse_component(MONEY.replace("timeoutMs: 5000", "timeoutMs: 1500"))
    result = forked(shop, track, ChangeDefinition(component=short))
    told = {(step.forked or step.recorded).event_type: step.verdict for step in result.steps[4:]}
    assert told == {"TIMEOUT": "new", "APPROVE": "rejected", "PAID": "gone", "SEND": "gone", "GIVE_UP": "gone"}


def test_a_changed_definition_changes_where_events_lead(shop, track):
    other = parse_component(ORDERS.replace("from: Sent, to: Lost", "from: Sent, to: Done"))
    result = forked(shop, track, ChangeDefinition(component=other))
    (step,) = (step for step in result.steps if step.verdict != "same")
    assert (step.verdict, step.recorded.event_type) == ("changed", "GIVE_UP")
    assert "leads to Done, led to Lost" in step.reason


def test_the_same_definition_again_changes_nothing(shop, track):
    result = forked(shop, track, ChangeDefinition(component=parse_component(ORDERS)))
    assert {verdict for _, verdict in rows(result)} == {"same"}


def test_a_new_instance_can_be_named_by_a_further_edit(shop, track):
    make = InsertEvent(
        instance_id="second", event_type=CREATION, payload={"order": "O2", "amount": 1},
        component_name="Orders", machine_name="Order", after=the(track, "PUT").id,
    )  # fmt: skip
    order = InsertEvent(instance_id="second", event_type="ORDER", after=the(track, "PUT").id)
    (payment,) = (one for one in forked(shop, track, make, order).instances if (one.forked_id or "").startswith("new-"))
    pay = InsertEvent(instance_id=payment.forked_id, event_type="APPROVE", after=the(track, "ORDER").id)
    result = forked(shop, track, make, order, pay)
    found = {one.forked_id: one for one in result.instances}
    assert (found["second"].forked_state, found["second"].verdict) == ("Paid", "new")
    assert found[payment.forked_id].forked_state == "Settled"
    # What the method would have sent then is not known, and that is said.
    assert any("book would be called once" in text for text in result.assumptions)


def test_nothing_is_said_of_what_does_not_come_from_the_edit(shop, track):
    """An event that the definition does not explain differs in both runs: it is unknown, not changed."""
    odd = tuple(replace(event, state_after="Nowhere") if event.event_type == "PUT" else event for event in track.events)
    planted = replace(track, events=odd)
    note = InsertEvent(after=the(track, "SEND").id, instance_id=the(track, "SEND").instance_id, event_type="ARRIVE")
    result = forked(shop, planted, note)
    told = {(step.forked or step.recorded).event_type: step for step in result.steps if step.recorded}
    assert told["PUT"].verdict == "unknown"
    assert "without an edit" in told["PUT"].reason
    assert not any(step.verdict == "changed" for step in result.steps)


def test_a_loop_ends_and_says_so(shop, track):
    loop = parse_component(
        ORDERS.replace("{name: Sent}", "{name: Sent}\n      - {name: Round}")
        + "      - {from: Sent, to: Round, event: ON, type: auto, timeoutMs: 1}\n"
        + "      - {from: Round, to: Sent, event: BACK, type: auto, timeoutMs: 1}\n"
    )
    result = forked(shop, track, ChangeDefinition(component=loop), max_events=300)
    assert result.cut
    assert "may be a loop" in result.cut_reason


def test_a_fork_tells_its_progress_and_ends_when_nobody_waits(shop, track):
    told: list[tuple[int, int]] = []
    forked(shop, track, on_progress=lambda done, most: told.append((done, most)), max_events=700)
    assert told[0] == (0, 1_400)
    assert told == sorted(told)
    assert told[-1][0] <= 2 * track.length

    def stop(done: int, most: int) -> None:
        if done >= track.length:  # the second run is under way
            raise ValueError("nobody waits")

    with pytest.raises(ValueError, match="nobody waits"):
        forked(shop, track, on_progress=stop)


def test_edits_that_do_not_fit_are_refused(shop, track):
    put, order = the(track, "PUT"), the(track, "ORDER")
    wrong = [
        (DropEvent(event_id="ghost"), "not part"),
        (DropEvent(event_id=put.id), "before the fork begins"),
        (MoveEvent(event_id=order.id, after=order.id), "after itself"),
        (InsertEvent(instance_id="ghost", event_type="X"), "not part"),
        (InsertEvent(instance_id=put.instance_id, event_type=""), "needs a type"),
        (InsertEvent(instance_id=put.instance_id, event_type="X", at=at(0)), "the fork begins at"),
        (EditEvent(event_id=order.id, event_type=CREATION), "cannot become"),
        (ChangeDefinition(component=parse_component(MONEY.replace("name: Money", "name: Other"))), "takes no part"),
    ]
    for edit, message in wrong:
        with pytest.raises(QueryError, match=message):
            forked(shop, track, edit, step=track.position_of(put.id))


def test_the_lost_parcel_of_the_demo_arrives_when_it_is_delivered(demo):
    lost = next(event for event in demo.events.get_all_events() if event.event_type == "TRACKING_LOST")
    key = lost.public_member_snapshot["orderId"]
    touched = [
        event.id for event in demo.events.get_all_events() if (event.public_member_snapshot or {}).get("orderId") == key
    ]
    track = open_track(demo, EventsScope(event_ids=tuple(touched)))
    step = track.position_of(lost.id) - 1
    edits = (
        InsertEvent(instance_id=lost.instance_id, event_type="OUT_FOR_DELIVERY", payload={"van": "V1"}),
        InsertEvent(instance_id=lost.instance_id, event_type="HANDED_TO_CUSTOMER", payload={"signedBy": "customer"}),
    )
    result = run_fork(track, Fork(scope=track.scope, at=step, edits=edits), catalog=Catalog())
    found = {one.machine_name: one.forked_state for one in result.instances}
    assert found["Parcel"] == "Delivered"
    assert found["Shipment"] == "Arrived"
    assert found["Order"] == "Completed"
    told = {(step.recorded or step.forked).event_type: step.verdict for step in result.steps}
    assert told["TRACKING_LOST"] == told["PARCEL_LOST"] == "gone"
    assert told["RETURN_WINDOW_CLOSED"] == "new"


def test_the_lost_order_of_the_demo_is_paid_once_its_answer_arrives(demo):
    touched = [
        event
        for event in demo.events.get_all_events()
        if (event.public_member_snapshot or {}).get("orderId") == "ORD-00123"
    ]
    track = open_track(demo, EventsScope(event_ids=tuple(event.id for event in touched)))
    asked = touched[-1]
    answer = InsertEvent(
        after=asked.id, instance_id=asked.instance_id, event_type="STOCK_HELD", payload={"orderId": "ORD-00123"}
    )
    until = EpochMs(asked.persisted_at + MINUTE)
    first = run_fork(track, Fork(scope=track.scope, edits=(answer,), until=until), catalog=Catalog())
    (payment,) = (one for one in first.instances if one.recorded_id is None)
    made = [step.verdict for step in first.steps if step.forked and step.forked.instance_id == payment.forked_id]
    # The gateway would have been asked, and what comes after that is no fact.
    asked_at = made.index("unknown")
    assert (set(made[:asked_at]), set(made[asked_at:]), payment.verdict) == ({"new"}, {"unknown"}, "unknown")
    approved = InsertEvent(
        instance_id=payment.forked_id, event_type="GATEWAY_APPROVED", at=EpochMs(asked.persisted_at + 5_000)
    )
    result = run_fork(track, Fork(scope=track.scope, edits=(answer, approved), until=until), catalog=Catalog())
    (order,) = (one for one in result.instances if one.machine_name == "Order")
    assert (order.recorded_state, order.forked_state, order.verdict) == ("Reserving", "Paid", "changed")
    # What comes next is for the method to send, which has never run for this order: that is said, not made up.
    assert any("bookShipment would be called once" in text for text in result.assumptions)
