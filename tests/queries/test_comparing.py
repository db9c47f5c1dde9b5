"""Whom a text means, and what an instance or event is compared with."""

from __future__ import annotations

import pytest

from tests.factories import START, event
from xcstore.errors import NotFoundError
from xcstore.model.history import CREATION
from xcstore.queries import comparing

WELL = (("PAY", "New", "Paid"), ("SHIP", "Paid", "Sent"))


def fill(stores, instance: str, *steps: tuple[str, str, str], start: int = 0, machine: str = "Order", **payload):
    """An instance that was created and took these steps, a second apart."""
    every = ((CREATION, "", "New"), *steps)
    stores.events.append_many(
        event(
            id=f"{instance}-{number}",
            instance_id=instance,
            machine_name=machine,
            event_type=kind,
            state_before=before,
            state_after=after,
            payload={"initialContext": payload} if kind == CREATION else {},
            persisted_at=START + (start + number) * 1_000,
        )
        for number, (kind, before, after) in enumerate(every)
    )


def test_the_beginning_of_a_stream_is_read_in_order_and_says_how_much_is_left(stores):
    fill(stores, "one", *WELL)

    found = comparing.beginning(stores, "one", max_events=2)
    assert [item.id for item in found.events] == ["one-0", "one-1"]
    assert found.later == 1
    with pytest.raises(NotFoundError, match="no instance 'none'"):
        comparing.beginning(stores, "none")


@pytest.mark.parametrize(
    ("text", "what", "expected"),
    [
        ("order-1", "instances", ("order-1", "id")),
        ("order-1", "traces", ("order-1-0", "its first event")),
        ("order-1-2", "traces", ("order-1-2", "id")),
        ("order-1-2", "instances", ("order-1", "its event")),
        ("order-", "instances", ("order-1", "start of its id")),
        ("ORD-7", "instances", ("order-1", "business key")),
        ("ORD-7", "traces", ("order-1-0", "its first event")),
        ("nobody", "instances", ("", "")),
    ],
)
def test_an_id_the_start_of_one_or_a_business_key_says_who_is_meant(stores, text, what, expected):
    fill(stores, "order-1", *WELL, orderId="ORD-7")

    found = comparing.resolve(stores, text, what=what)
    assert (found.id, found.by, found.candidates) == (*expected, ())


def test_of_several_instances_with_the_key_the_one_of_the_machine_is_meant_else_all_are_offered(stores):
    fill(stores, "p-1", start=5, machine="Parcel", orderId="ORD-7")
    fill(stores, "o-1", machine="Order", orderId="ORD-7")

    assert comparing.resolve(stores, "ORD-7", machine="Parcel").id == "p-1"
    found = comparing.resolve(stores, "ORD-7")
    assert (found.id, found.more) == ("", False)
    assert [item.instance_id for item in found.candidates] == ["o-1", "p-1"]


def test_typical_is_what_went_the_most_frequent_way_to_an_end_and_began_alike(stores):
    fill(stores, "stuck", ("NOTE", "New", "New"), start=9_000)
    fill(stores, "noted", ("NOTE", "New", "New"), *WELL, start=100)
    fill(stores, "plain", *WELL, start=200)
    fill(stores, "late", ("DROP", "New", "Dropped"), start=300)
    fill(stores, "other", *WELL, start=400, machine="Parcel")
    fill(stores, "open", ("PAY", "New", "Paid"), start=500)

    found = comparing.typical_instance(stores, "stuck", ends=("Sent", "Dropped"))
    assert found.instance_id == "noted"
    assert (found.alike, found.near, found.turns, found.among) == (2, 3, 1, 3)
    assert (found.shared, found.states, found.declared) == (2, 3, True)


def test_what_has_not_ended_is_set_beside_what_went_its_way_and_on_even_if_that_is_rare(stores):
    fill(stores, "stuck", ("PAY", "New", "Paid"), start=9_000)
    fill(stores, "good", *WELL, start=100)
    for number in range(3):
        fill(stores, f"dropped-{number}", ("DROP", "New", "Dropped"), start=200 + number)

    found = comparing.typical_instance(stores, "stuck", ends=("Sent", "Dropped"))
    assert (found.instance_id, found.alike, found.near, found.turns, found.among) == ("good", 1, 1, 2, 4)
    ended = comparing.typical_instance(stores, "good", ends=("Sent", "Dropped"))
    assert (ended.instance_id, ended.alike, ended.near, ended.turns) == ("dropped-2", 3, 3, 0)


def test_without_a_definition_an_end_is_a_state_that_none_was_seen_to_leave(stores):
    fill(stores, "stuck", start=9_000)
    fill(stores, "good", *WELL, start=100)
    fill(stores, "open", ("PAY", "New", "Paid"), start=200)

    found = comparing.typical_instance(stores, "stuck")
    assert (found.instance_id, found.among, found.declared) == ("good", 1, False)


def test_there_is_nothing_typical_where_no_other_has_ended(stores):
    fill(stores, "stuck")
    fill(stores, "open", ("PAY", "New", "Paid"))

    assert comparing.typical_instance(stores, "stuck", ends=("Sent",)) is None
    assert comparing.typical_instance(stores, "nobody") is None


def test_the_instance_itself_is_never_typical(stores):
    fill(stores, "done", *WELL)

    assert comparing.typical_instance(stores, "done", ends=("Sent",)) is None


def test_a_typical_event_is_the_same_step_of_another_instance_that_ended_if_there_is_one(stores):
    fill(stores, "stuck", ("PAY", "New", "Paid"), start=10)
    fill(stores, "good", *WELL, start=100)
    fill(stores, "open", ("PAY", "New", "Paid"), start=200)
    fill(stores, "elsewhere", ("PAY", "Old", "Paid"), ("SHIP", "Paid", "Sent"), start=300)

    found = comparing.typical_event(stores, "stuck-1", ends=("Sent",))
    assert (found.event_id, found.ended, found.among) == ("good-1", True, 2)
    found = comparing.typical_event(stores, "stuck-1", ends=("Nowhere",))
    assert (found.event_id, found.ended) == ("open-1", False)
    assert comparing.typical_event(stores, "elsewhere-1") is None


def test_recent_instances_may_be_of_one_machine(stores):
    fill(stores, "a", start=1)
    fill(stores, "b", start=2, machine="Parcel")

    assert [item.instance_id for item in comparing.recent(stores)] == ["b", "a"]
    assert [item.instance_id for item in comparing.recent(stores, machine="Order")] == ["a"]
    assert comparing.recent(stores, ("Nowhere",)) == ()
