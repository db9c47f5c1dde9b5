from __future__ import annotations

import pytest

from tests.factories import START, event, snapshot
from xcstore.errors import NotFoundError
from xcstore.queries import instances as queries
from xcstore.store.base import InstanceQuery


def fill(stores, count: int = 5) -> None:
    """`count` instances i0 … of two events each, a second apart."""
    for number in range(count):
        at = START + number * 10_000
        common = {"instance_id": f"i{number}"}
        stores.events.append(
            event(
                **common,
                id=f"c{number}",
                event_type="INSTANCE_CREATED",
                state_before="",
                state_after="Created",
                payload={"initialContext": {}},
                persisted_at=at,
            )
        )
        stores.events.append(event(**common, id=f"p{number}", persisted_at=at + 1_000))


def test_a_page_of_instances_comes_latest_first_with_their_snapshots(stores):
    fill(stores)
    stores.snapshots.save_snapshot(snapshot(id="i4"))

    first = queries.instance_page(stores, InstanceQuery(), limit=3)
    second = queries.instance_page(stores, InstanceQuery(), after=first.next, limit=3)

    assert [item.instance_id for item in (*first.instances, *second.instances)] == ["i4", "i3", "i2", "i1", "i0"]
    assert list(first.snapshots) == ["i4"]
    assert second.next is None
    assert sum(count.count for count in queries.instance_counts(stores, InstanceQuery())) == 5


def test_a_page_can_be_held_to_states_of_one_machine_and_loses_none(stores):
    fill(stores, 7)
    for number in range(7):
        stores.events.append(
            event(
                instance_id=f"k{number}", machine_name="Cart", state_after="Paid", persisted_at=START + number * 10_000
            )
        )
    query = InstanceQuery(states=("Paid",))

    only = (("Shop", "Order", "Paid"),)
    found = []
    page = queries.instance_page(stores, query, only=only, limit=2)
    found += page.instances
    while page.next is not None:
        page = queries.instance_page(stores, query, only=only, after=page.next, limit=2)
        found += page.instances

    assert [item.instance_id for item in found] == [f"i{number}" for number in reversed(range(7))]
    assert queries.instance_page(stores, query, only=()).instances == ()


def test_what_an_event_set_in_motion_is_told_as_it_is_now(stores):
    fill(stores, 1)
    stores.events.append(event(id="s1", instance_id="ship", state_after="Packing", caused_by=("p0",)))
    stores.events.append(event(id="s2", instance_id="ship", state_before="Packing", state_after="Sent"))
    stores.events.append(event(id="q", instance_id="i0", caused_by=("s1",)))

    found = queries.set_in_motion(stores, "i0", "p0")

    assert [(item.instance_id, item.state) for item in found] == [("ship", "Sent")]
    assert queries.set_in_motion(stores, "i0", "q") == ()


def test_a_history_holds_the_newest_events_in_stream_order_and_counts_the_older_ones(stores):
    fill(stores, 1)
    for number in range(10):
        stores.events.append(
            event(instance_id="i0", id=f"n{number}", state_before="Paid", persisted_at=START + 60_000 + number)
        )

    whole = queries.instance_history(stores, "i0")
    cut = queries.instance_history(stores, "i0", max_events=4)

    assert [item.id for item in whole.events][:3] == ["c0", "p0", "n0"]
    assert (whole.summary.event_count, whole.older) == (12, 0)
    assert [item.id for item in cut.events] == ["n6", "n7", "n8", "n9"]
    assert cut.older == 8


def test_an_unknown_instance_is_said_to_be_unknown_and_what_to_do(stores):
    with pytest.raises(NotFoundError, match=r"no instance 'nobody' in this store; .*search"):
        queries.instance_history(stores, "nobody")


def test_what_left_a_state_is_counted_over_all_instances(stores):
    fill(stores, 3)

    assert queries.leaving(stores, "Shop", "Order", "Created") == ((("Created", "PAY", "Paid"), 3),)
    assert queries.leaving(stores, "Shop", "Order", "Paid") == ()


def test_the_newest_moment_of_a_store_is_known_and_none_where_it_is_empty(stores):
    assert queries.newest(stores) is None
    fill(stores, 1)
    assert queries.newest(stores) == START + 1_000


def test_children_are_creations_that_name_the_instance(stores):
    fill(stores, 2)
    creation = {"event_type": "INSTANCE_CREATED", "state_before": "", "state_after": "Open"}
    stores.events.append(
        event(id="k1", instance_id="kid", **creation, payload={"parentInstanceId": "i0"}, persisted_at=START + 99_000)
    )
    stores.events.append(
        event(id="k2", instance_id="other", **creation, payload={"parentInstanceId": "i1"}, persisted_at=START + 99_000)
    )

    found = queries.children(stores, "i0", START)

    assert ([item.instance_id for item in found.events], found.more) == (["kid"], False)
    assert queries.children(stores, "kid", START).events == ()
