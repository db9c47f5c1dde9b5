"""What one business key touched."""

from __future__ import annotations

import pytest

from tests.factories import START, event
from xcstore.analysis.causality import MODES
from xcstore.errors import QueryError
from xcstore.model.history import CREATION
from xcstore.queries import correlation as queries
from xcstore.redaction import MASK, Redaction
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


def test_a_key_that_is_part_of_other_values_does_not_keep_the_search_going_to_the_beginning() -> None:
    stores = open_memory_stores()
    stores.events.append_many(
        [event(instance_id=f"i{n}", payload={"id": f"ORD-1{n}"}, persisted_at=START + n) for n in range(1_200)]
    )
    stores.events.append(event(instance_id="it", payload={"id": "ORD-1"}, persisted_at=START + 2_000))

    found = queries.correlation(stores, "ORD-1", max_seconds=0)

    assert [participant.instance_id for participant in found.participants] == ["it"]
    assert found.searched_to == START + 701
    assert found.next is not None
    assert queries.correlation(stores, "ORD-1", max_seconds=60).searched_to is None


def test_at_a_path_only_the_value_there_counts_and_creations_hold_it_in_their_context(stores: Stores) -> None:
    stores.events.append_many(
        [
            event(id="created", instance_id="a", event_type=CREATION, payload={"initialContext": {"n": {"id": 42}}}),
            event(id="deep", instance_id="b", payload={"n": {"id": "42"}}),
            event(id="elsewhere", instance_id="c", payload={"m": 42}),
            event(id="no-creation", instance_id="d", payload={"initialContext": {"n": {"id": 42}}}),
            event(id="list", instance_id="e", payload={"items": [{"sku": "x"}, {"sku": 42}]}),
        ]
    )

    by_path = queries.correlation(stores, "42", ("n", "id"))
    in_list = queries.correlation(stores, "42", ("items", "1", "sku"))
    anywhere = queries.correlation(stores, "42")

    assert {p.instance_id: p.belongs for p in by_path.participants} == {"a": True, "b": False}
    assert [p.instance_id for p in in_list.participants] == ["e"]
    assert {p.instance_id for p in anywhere.participants} == {"a", "b", "c", "d", "e"}


def test_the_places_where_the_key_stands_are_told_the_most_frequent_first() -> None:
    stores = open_memory_stores()
    stores.events.append_many(
        [
            event(event_type=CREATION, payload={"initialContext": {"id": "K"}}),
            event(payload={"id": "K", "also": ["x", "K"]}),
        ]
    )

    found = queries.correlation(stores, "K")

    assert found.paths == ((("id",), 2), (("also", "1"), 1))
    assert queries.correlation(stores, "K", ("also", "1")).paths == ((("id",), 1), (("also", "1"), 1))


def test_a_payload_nested_deeper_than_python_calls_is_searched() -> None:
    payload: object = "K"
    for _ in range(20_000):
        payload = {"k": payload}
    stores = open_memory_stores()
    stores.events.append(event(payload={"id": "K"}))
    (stored,) = stores.events.get_all_events()

    assert queries._places(payload, "K", ()) == [("k",) * 20_000]
    assert queries.correlation(stores, "K").participants[0].events == (stored,)


def test_a_search_by_path_that_meets_its_number_of_mentions_says_how_far_it_looked() -> None:
    stores = open_memory_stores()
    stores.events.append_many(
        [event(instance_id=f"i{number}", payload={"c": "C1"}, persisted_at=START + number) for number in range(1_200)]
    )

    found = queries.correlation(stores, "C1", ("c",))

    assert found.searched_to == START + 200
    assert found.next is None


def test_what_is_masked_is_neither_found_by_its_value_nor_by_its_mask() -> None:
    stores = open_memory_stores(redact=Redaction.parse("card.number"))
    stores.events.append(event(payload={"card": {"number": "4111"}, "id": "K"}))

    assert queries.correlation(stores, "4111").participants == ()
    assert queries.correlation(stores, MASK).participants == ()
    assert queries.correlation(stores, "K").paths == ((("id",), 1),)
    with pytest.raises(QueryError, match="masked"):
        queries.correlation(stores, "4111", ("card", "number"))


def test_causes_that_are_not_shown_are_told() -> None:
    stores = open_memory_stores()
    stores.events.append_many(
        [
            event(id="outside", instance_id="x", payload={}),
            event(id="a", instance_id="a", payload={"id": "K"}, caused_by=("outside", "gone")),
            event(id="b", instance_id="b", payload={"id": "K"}, caused_by=("a", "outside")),
        ]
    )

    found = queries.correlation(stores, "K")

    assert found.unshown_causes == ("outside", "gone")
    assert found.links == (("a", "b"),)


def test_the_events_of_a_key_are_a_neighbourhood_of_the_first_with_the_links_between_them() -> None:
    found = queries.correlation(store_of_two_orders_and_an_article(), "ORD-1")
    near = queries.as_neighbourhood(open_memory_stores(), found)

    assert near is not None
    created, paid, reserved = found.events
    assert (near.root, near.direction, near.mode) == (created, "both", "recorded")
    assert list(near.graph.events) == [created.id, paid.id, reserved.id]
    assert [(link.cause_id, link.effect_id) for link in near.graph.links] == [(paid.id, reserved.id)]
    assert near.depths == {created.id: 0}
    assert (near.truncated, near.unread) == (False, 0)


def test_a_neighbourhood_of_a_key_says_that_causes_are_left_out() -> None:
    stores = open_memory_stores()
    stores.events.append(event(payload={"id": "K"}, caused_by=("elsewhere",)))

    near = queries.as_neighbourhood(stores, queries.correlation(stores, "K"))

    assert near is not None
    assert (near.truncated, near.unread, near.graph.missing) == (True, 1, ())
    assert queries.as_neighbourhood(stores, queries.correlation(stores, "nobody")) is None


def test_doubtful_causes_in_a_neighbourhood_of_a_key_are_replaced_where_asked_for() -> None:
    stores = open_memory_stores()
    key = {"id": "K"}
    timer = {"reason": "timeout", **key}
    stores.events.append_many(
        [
            event(id="a", instance_id="a", payload=key, persisted_at=START, state_before="", state_after="Open"),
            event(id="s", instance_id="s", payload=key, persisted_at=START + 5),
            event(
                id="t",
                instance_id="a",
                payload=timer,
                persisted_at=START + 9,
                state_before="Open",
                caused_by=("s",),
            ),
        ]
    )
    found = queries.correlation(stores, "K")

    links = {}
    for mode in MODES:
        near = queries.as_neighbourhood(stores, found, mode=mode)
        assert near is not None
        assert near.mode == mode
        links[mode] = {(link.cause_id, link.provenance) for link in near.graph.links if link.effect_id == "t"}
        assert near.replaced == (1 if mode == "repaired" else 0)

    assert links == {
        "recorded": {("s", "recorded")},
        "repaired": {("a", "inferred")},
        "both": {("s", "recorded"), ("a", "inferred")},
    }
