"""One text, looked up everywhere."""

from __future__ import annotations

from tests.factories import START, event
from xcstore.queries import search


def test_an_event_id_finds_the_event_and_an_instance_id_the_instance(stores):
    stores.events.append_many([event(id="e-77", instance_id="order-1"), event(instance_id="order-2")])

    assert search.by_id(stores, "e-77").event.instance_id == "order-1"
    assert [item.instance_id for item in search.by_id(stores, "order-2").instances] == ["order-2"]


def test_the_beginning_of_an_instance_id_finds_those_that_start_with_it_and_says_when_there_are_more(stores):
    stores.events.append_many(event(instance_id=f"order-{number:02}") for number in range(12))

    found = search.by_id(stores, "order-", limit=10)
    assert len(found.instances) == 10
    assert found.more_instances
    assert [item.instance_id for item in search.by_id(stores, "order-03").instances] == ["order-03"]


def test_a_text_that_is_no_id_finds_nothing_by_id(stores):
    stores.events.append(event())

    found = search.by_id(stores, "%")
    assert (found.event, found.instances) == (None, ())


def test_a_business_key_finds_the_events_of_every_instance_that_mention_it_newest_first(stores):
    stores.events.append_many(
        [
            event(id="a", instance_id="order", payload={"id": "ORD-9"}, persisted_at=START),
            event(id="b", instance_id="parcel", payload={"order": {"key": "ord-9"}}, persisted_at=START + 2),
            event(id="c", instance_id="order", payload={"note": "about ORD-9."}, persisted_at=START + 1),
            event(id="d", instance_id="other", payload={"id": "ORD-8"}, persisted_at=START + 3),
        ]
    )

    found = search.mentions(stores, "ORD-9")
    assert [item.id for item in found.events] == ["b", "c", "a"]
    assert [(item.id, count) for item, count in found.instances] == [("b", 1), ("c", 2)]
    assert found.next is None


def test_searching_further_goes_on_where_the_search_stopped(stores):
    stores.events.append_many(
        event(id=f"k{number}", payload={"key": "ORD-9"}, persisted_at=START + number) for number in range(5)
    )

    first = search.mentions(stores, "ORD-9", limit=3)
    second = search.mentions(stores, "ORD-9", after=first.next, limit=3)
    assert [item.id for item in (*first.events, *second.events)] == ["k4", "k3", "k2", "k1", "k0"]
    assert second.next is None
