"""Counts, buckets, instances and their states, on every backend."""

from __future__ import annotations

import pytest

from tests.contract.helpers import walk
from tests.factories import START, event
from xcstore.errors import QueryError
from xcstore.store.base import Count, CountBy, EventQuery, InstanceQuery, InstanceSummary, StateCount, Stores
from xcstore.units import HOUR, DurationMs, EpochMs

KEYS: tuple[CountBy, ...] = ("component_name", "machine_name", "event_type", "state_before", "state_after")


def test_without_keys_there_is_one_row_also_when_it_is_zero(stores: Stores) -> None:
    assert stores.events.count(EventQuery()) == [Count(key=(), bucket=None, count=0)]
    stores.events.append_many([event(), event()])
    assert stores.events.count(EventQuery()) == [Count(key=(), bucket=None, count=2)]
    assert stores.events.count(EventQuery(machines=("nobody",))) == [Count(key=(), bucket=None, count=0)]


@pytest.mark.parametrize("key", KEYS)
def test_events_are_counted_by_each_key_in_order_of_the_key(stores: Stores, key: CountBy) -> None:
    stores.events.append_many(event(**{key: value}) for value in ["b", "a", "", "b", "B", "é", "z", "日本", "💥", "ﬀ"])

    counts = stores.events.count(EventQuery(), by=(key,))

    expected = [("", 1), ("B", 1), ("a", 1), ("b", 2), ("z", 1), ("é", 1), ("日本", 1), ("ﬀ", 1), ("💥", 1)]
    assert [(count.key[0], count.count) for count in counts] == expected
    assert all(count.bucket is None for count in counts)


def test_several_keys_count_in_the_order_they_are_named(stores: Stores) -> None:
    stores.events.append_many(
        event(machine_name=machine, state_after=state)
        for machine, state in [("M", "b"), ("M", "a"), ("L", "b"), ("M", "b")]
    )

    counts = stores.events.count(EventQuery(), by=("state_after", "machine_name"))

    assert [(count.key, count.count) for count in counts] == [(("a", "M"), 1), (("b", "L"), 1), (("b", "M"), 2)]


def test_buckets_are_multiples_of_their_length_before_and_after_the_epoch(stores: Stores) -> None:
    times = [-HOUR - 1, -HOUR, -1, 0, 1, HOUR - 1, HOUR, START, START + HOUR - 1]
    stores.events.append_many(event(persisted_at=time) for time in times)

    counts = stores.events.count(EventQuery(), bucket_ms=HOUR)

    assert [(count.bucket, count.count) for count in counts] == [
        (-2 * HOUR, 1),
        (-HOUR, 2),
        (0, 3),
        (HOUR, 1),
        (START, 2),
    ]
    assert all(count.key == () for count in counts)


def test_buckets_and_keys_are_counted_together(stores: Stores) -> None:
    stores.events.append_many(
        event(component_name=component, persisted_at=EpochMs(at))
        for component, at in [("B", 5), ("A", 15), ("A", -5), ("A", 16), ("B", 6)]
    )

    counts = stores.events.count(EventQuery(), by=("component_name",), bucket_ms=DurationMs(10))

    assert [(count.key[0], count.bucket, count.count) for count in counts] == [
        ("A", -10, 1),
        ("A", 10, 2),
        ("B", 0, 2),
    ]


def test_counts_obey_the_query(stores: Stores) -> None:
    stores.events.append_many(event(event_type=f"T{n % 3}", payload={"n": n}) for n in range(10))

    by_type = stores.events.count(EventQuery(event_types=("T1",)), by=("event_type",))
    by_text = stores.events.count(EventQuery(text="t2"), by=("event_type",))
    by_value = stores.events.count(EventQuery(payload_path=("n",), payload_value="4"), by=("event_type",))

    assert [(count.key, count.count) for count in by_type] == [(("T1",), 3)]
    assert [(count.key, count.count) for count in by_text] == [(("T2",), 3)]
    assert [(count.key, count.count) for count in by_value] == [(("T1",), 1)]


def test_with_keys_or_buckets_nothing_found_gives_no_rows(stores: Stores) -> None:
    assert stores.events.count(EventQuery(), by=("machine_name",)) == []
    assert stores.events.count(EventQuery(), bucket_ms=HOUR) == []


@pytest.mark.parametrize("bucket", [0, -5])
def test_a_bucket_without_length_is_refused(stores: Stores, bucket: int) -> None:
    with pytest.raises(QueryError):
        stores.events.count(EventQuery(), bucket_ms=DurationMs(bucket))


def test_an_unknown_key_is_refused(stores: Stores) -> None:
    with pytest.raises(QueryError, match="payload"):
        stores.events.count(EventQuery(), by=("payload",))  # type: ignore[arg-type]


# Instances


def test_an_instance_is_summed_up_by_its_first_and_last_event(stores: Stores) -> None:
    stores.events.append_many(
        [
            event(id="b", state_before="New", state_after="Paid", persisted_at=START + 5, event_type="PAY"),
            event(id="a", state_before="", state_after="New", persisted_at=START),
            event(id="other", instance_id="i2", state_after="Lost", persisted_at=START + 3, component_name=""),
        ]
    )

    page = stores.events.instances(InstanceQuery())

    assert page.next is None
    assert page.items == (
        InstanceSummary(
            instance_id="i1",
            component_name="Shop",
            machine_name="Order",
            state="Paid",
            created_at=START,
            updated_at=EpochMs(START + 5),
            event_count=2,
            last_event_id="b",
            last_event_type="PAY",
        ),
        InstanceSummary(
            instance_id="i2",
            component_name="",
            machine_name="Order",
            state="Lost",
            created_at=EpochMs(START + 3),
            updated_at=EpochMs(START + 3),
            event_count=1,
            last_event_id="other",
            last_event_type="PAY",
        ),
    )


def test_the_last_event_of_one_moment_is_the_end_of_the_chain(stores: Stores) -> None:
    stores.events.append_many(
        [
            event(id="z", state_before="Paid", state_after="Sent", persisted_at=START),
            event(id="y", state_before="", state_after="New", persisted_at=START),
            event(id="x", state_before="New", state_after="Paid", persisted_at=START),
        ]
    )

    (summary,) = stores.events.instances(InstanceQuery()).items

    assert (summary.state, summary.last_event_id) == ("Sent", "z")
    assert [state.state for state in stores.events.count_instances(InstanceQuery())] == ["Sent"]


def test_an_event_that_arrives_late_does_not_become_the_last(stores: Stores) -> None:
    stores.events.append(event(id="new", state_after="New", persisted_at=START + 10))
    stores.events.append(event(id="old", state_after="Old", persisted_at=START))

    (summary,) = stores.events.instances(InstanceQuery()).items

    assert (summary.state, summary.created_at, summary.updated_at) == ("New", START, START + 10)


@pytest.fixture
def five(stores: Stores) -> Stores:
    """i0..i4, updated one after the other; i0 left state 'S0' for 'S9'."""
    stores.events.append(event(instance_id="i0", state_after="S0", persisted_at=START - 5))
    stores.events.append_many(
        event(
            instance_id=f"i{n}",
            component_name=["Shop", "Depot", ""][n % 3],
            machine_name=f"M{n % 2}",
            state_after=f"S{n or 9}",
            persisted_at=START + n,
        )
        for n in range(5)
    )
    return stores


INSTANCES = [
    (InstanceQuery(), "i4 i3 i2 i1 i0"),
    (InstanceQuery(components=("Shop",)), "i3 i0"),
    (InstanceQuery(components=("",)), "i2"),
    (InstanceQuery(machines=("M1",)), "i3 i1"),
    (InstanceQuery(states=("S9", "S4")), "i4 i0"),
    (InstanceQuery(states=("S0",)), ""),
    (InstanceQuery(instance_ids=("i1", "i0", "nobody", "i1")), "i1 i0"),
    (InstanceQuery(id_prefix="i"), "i4 i3 i2 i1 i0"),
    (InstanceQuery(id_prefix="i2"), "i2"),
    (InstanceQuery(id_prefix="I"), ""),
    (InstanceQuery(id_prefix="_"), ""),
    (InstanceQuery(id_prefix="%"), ""),
    (InstanceQuery(updated_from=EpochMs(START + 3)), "i4 i3"),
    (InstanceQuery(updated_to=EpochMs(START + 1)), "i1 i0"),
    (InstanceQuery(updated_from=EpochMs(START), updated_to=EpochMs(START)), "i0"),
    (InstanceQuery(updated_to=EpochMs(START - 1)), ""),
    (InstanceQuery(machines=("M0",), states=("S4",)), "i4"),
]


def test_instances_are_found_by_what_their_last_event_says(five: Stores, subtests: pytest.Subtests) -> None:
    for query, expected in INSTANCES:
        with subtests.test(repr(query)):
            found = [summary.instance_id for summary in five.events.instances(query).items]

            assert " ".join(found) == expected
            assert sum(state.count for state in five.events.count_instances(query)) == len(found)
            paged = walk(five.events.instances, query, limit=2, newest_first=False)
            assert [summary.instance_id for summary in paged] == found[::-1]


def test_instances_are_counted_by_component_machine_and_state_in_order_of_these(stores: Stores) -> None:
    for number, (component, machine, state) in enumerate(
        [("B", "M", "New"), ("A", "M", "Paid"), ("A", "M", "New"), ("A", "L", "New"), ("A", "M", "New"), ("", "M", "é")]
    ):
        stores.events.append(
            event(
                instance_id=f"i{number}",
                component_name=component,
                machine_name=machine,
                state_after=state,
                persisted_at=START + number,
            )
        )

    def row(component: str, machine: str, state: str, count: int, oldest: int, newest: int) -> StateCount:
        return StateCount(
            component_name=component,
            machine_name=machine,
            state=state,
            count=count,
            oldest_updated_at=EpochMs(START + oldest),
            newest_updated_at=EpochMs(START + newest),
        )

    assert stores.events.count_instances(InstanceQuery()) == [
        row("", "M", "é", 1, 5, 5),
        row("A", "L", "New", 1, 3, 3),
        row("A", "M", "New", 2, 2, 4),
        row("A", "M", "Paid", 1, 1, 1),
        row("B", "M", "New", 1, 0, 0),
    ]
