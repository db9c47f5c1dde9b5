"""What one business key touched."""

from __future__ import annotations

from tests.factories import event
from xcstore.model.history import CREATION
from xcstore.queries import correlation as queries
from xcstore.store.base import Stores
from xcstore.store.memory import open_memory_stores


def order(number: int) -> dict[str, object]:
    return {"instance_id": f"order-{number}", "machine_name": "Order", "component_name": "Orders"}


def store_of_two_orders_and_an_article() -> Stores:
    """Two orders with keys of their own, and one article that serves both."""
    stores = open_memory_stores()
    article = {"instance_id": "article", "machine_name": "Article", "component_name": "Stock"}
    for number in (1, 2):
        key = {"orderId": f"ORD-{number}"}
        created = event(
            event_type=CREATION, state_before="", state_after="New", payload={"initialContext": key}, **order(number)
        )
        paid = event(event_type="PAY", state_before="New", state_after="Paid", payload={}, **order(number))
        reserved = event(event_type="RESERVE", payload=key, caused_by=(paid.id,), **article)
        stores.events.append_many([created, paid, reserved])
    stores.events.append(event(event_type="COUNTED", payload={"note": "ORD-1 and others"}, **article))
    return stores


def test_an_instance_created_with_the_key_is_there_with_its_whole_stream() -> None:
    found = queries.correlation(store_of_two_orders_and_an_article(), "ORD-1")

    first = found.participants[0]
    assert (first.instance_id, first.belongs) == ("order-1", True)
    assert [item.event_type for item in first.events] == [CREATION, "PAY"]
    assert first.mentions == {first.events[0].id}


def test_of_an_instance_that_serves_many_keys_only_what_mentions_this_one_is_there() -> None:
    found = queries.correlation(store_of_two_orders_and_an_article(), "ORD-1")

    article = found.participants[1]
    assert (article.instance_id, article.belongs) == ("article", False)
    assert [item.payload for item in article.events] == [{"orderId": "ORD-1"}]
    assert [item.instance_id for item in found.participants] == ["order-1", "article"]


def test_recorded_causes_between_the_instances_are_links() -> None:
    found = queries.correlation(store_of_two_orders_and_an_article(), "ORD-1")

    order_1, article = found.participants
    assert found.links == ((order_1.events[1].id, article.events[0].id),)


def test_a_part_of_a_value_is_not_the_key() -> None:
    stores = store_of_two_orders_and_an_article()

    assert queries.correlation(stores, "ORD-").participants == ()
    assert queries.correlation(stores, "orderId").participants == ()


def test_a_search_that_meets_its_number_of_mentions_says_how_far_it_looked() -> None:
    stores = open_memory_stores()
    stores.events.append_many([event(instance_id=f"i{number}", payload={"customer": "C1"}) for number in range(1_200)])

    found = queries.correlation(stores, "C1")

    assert found.searched_to is not None
    assert found.next is not None
    assert len(found.participants) == queries.MAX_INSTANCES
    assert found.hidden_instances == 1_000 - queries.MAX_INSTANCES
