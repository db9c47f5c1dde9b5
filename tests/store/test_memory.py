"""What only the store in memory does; what every store does is in tests/contract."""

from __future__ import annotations

import threading
from random import Random
from typing import Any

import pytest

from tests.contract.helpers import ids, walk
from tests.factories import START, event, snapshot
from xcstore.errors import QueryError
from xcstore.model.ordering import order_stream
from xcstore.store.base import EventQuery, InstanceQuery
from xcstore.store.memory import InMemoryEventStore, InMemorySnapshotStore, open_memory_stores


def test_no_two_unnamed_stores_have_the_same_identity() -> None:
    first, second = open_memory_stores(), open_memory_stores()

    assert first.identity != second.identity
    assert open_memory_stores("demo").identity == "memory://demo"


def test_appending_leaves_the_callers_event_alone() -> None:
    mine = event(id="e1")
    first, second = InMemoryEventStore(), InMemoryEventStore()
    first.append(event())
    first.append(mine)
    second.append(mine)

    assert mine.seq is None
    assert first.get_event("e1").seq == 2
    assert second.get_event("e1").seq == 1


def test_an_event_that_was_read_keeps_its_place_in_a_copy_of_the_store() -> None:
    first, copy = InMemoryEventStore(), InMemoryEventStore()
    first.append_many([event(id="late", persisted_at=START + 1), event(id="early", persisted_at=START)])

    copy.append_many(first.get_all_events())

    assert ids(copy.get_all_events()) == ["early", "late"]
    assert [one.seq for one in copy.get_all_events()] == [1, 2]


def test_late_events_take_their_place_among_thousands() -> None:
    store = InMemoryEventStore()
    times = [START + n * 7919 % 5000 for n in range(5000)]
    store.append_many(event(id=f"e{n}", persisted_at=at) for n, at in enumerate(times))

    found = list(store.get_all_events())

    assert [one.persisted_at for one in found] == sorted(times)
    assert walk(store.find, EventQuery(), limit=999) == found


def test_reading_everything_goes_on_while_others_append() -> None:
    store = InMemoryEventStore()
    store.append_many(event(id=f"e{n}", persisted_at=START + n) for n in range(2500))

    stream = store.get_all_events()
    seen = [next(stream).id]
    store.append(event(id="early", persisted_at=START - 1))
    store.append(event(id="late", persisted_at=START + 9999))
    seen += ids(stream)

    assert seen == [*(f"e{n}" for n in range(2500)), "late"]


def test_readers_see_each_batch_whole() -> None:
    stores = open_memory_stores()
    store = stores.events
    done = threading.Event()
    partial: list[int] = []

    def read() -> None:
        while not done.is_set():
            count = store.count(EventQuery())[0].count
            events = sum(summary.event_count for summary in store.instances(InstanceQuery()).items)
            partial.extend(number for number in (count, events) if number % 100)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(50):
        store.append_many([event() for _ in range(100)])
    done.set()
    reader.join()

    assert partial == []
    assert store.count(EventQuery())[0].count == 5000


def test_a_stored_payload_stays_as_it_was_appended() -> None:
    payload: dict[str, Any] = {"lines": [1]}
    store = InMemoryEventStore()
    store.append(event(id="e1", payload=payload))

    payload["lines"].append(2)
    payload["late"] = True
    read: Any = store.get_event("e1").payload
    read["mine"] = True

    assert store.get_event("e1").payload == {"lines": [1]}


def test_events_come_to_the_same_whether_appended_one_by_one_or_together() -> None:
    random = Random(7)
    last: dict[str, str] = {}
    single, together = InMemoryEventStore("s"), InMemoryEventStore("s")
    events = []
    for n in range(300):
        number = random.randrange(5)
        # Each instance has a clock that lags by its number. Mostly the next of a chain, many in one moment; sometimes
        # from another state, some of these late.
        instance_id, at = f"i{number}", START + n // 30 - number
        before = last.get(instance_id, "")
        if random.random() < 0.2:
            before, at = "Lost", at - random.choice((0, 0, 9))
        last[instance_id] = after = random.choice("ABC")
        one = event(id=f"e{n}", instance_id=instance_id, state_before=before, state_after=after, persisted_at=at)
        stream = single.get_events_for_instance(instance_id)
        single.append(one, expected_last_id=stream[-1].id if stream else "")
        events.append(one)

    together.append_many(events)

    assert list(single.get_all_events()) == list(together.get_all_events())
    assert walk(single.instances, InstanceQuery(), limit=7) == walk(together.instances, InstanceQuery(), limit=7)
    for instance_id in last:
        stream = list(single.get_events_for_instance(instance_id))
        assert stream == list(together.get_events_for_instance(instance_id)) == order_stream(stream)


def test_effects_that_come_after_a_question_are_in_the_answer_to_the_next() -> None:
    store = InMemoryEventStore()
    store.append_many([event(id="cause"), event(id="b", caused_by=("cause", "cause"))])
    assert ids(store.get_caused_events("cause")) == ["b"]
    assert ids(store.get_caused_events("nobody")) == []

    store.append(event(id="c", caused_by=("cause", "b")))
    store.append(event(id="a", caused_by=("cause",)))

    assert ids(store.get_caused_events("cause")) == ["b", "c", "a"]
    assert ids(store.get_caused_events("cause")) == ["b", "c", "a"]
    assert set(ids(store.trace("b", "effects").events)) == {"b", "c"}


def test_only_as_many_snapshots_are_kept_as_wanted() -> None:
    store = InMemorySnapshotStore(retention=2)
    saved = [snapshot(id="i1") for _ in range(5)]
    for one in saved:
        store.save_snapshot(one)

    assert store.list_snapshots("i1") == saved[-2:]
    with pytest.raises(QueryError, match="retention"):
        InMemorySnapshotStore(retention=0)


def test_a_trace_of_a_hundred_thousand_links_does_not_overflow() -> None:
    store = InMemoryEventStore()
    store.append_many(event(id=f"e{n}", caused_by=(f"e{n - 1}",) if n else ()) for n in range(100_000))

    assert len(store.trace("e0", "effects", max_events=200_000).events) == 100_000
