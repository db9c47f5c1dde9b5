"""Promises of `EventStore` about appending and reading, on every backend."""

from __future__ import annotations

import random
import threading

import pytest

from tests.contract.helpers import ids, in_page_order
from tests.factories import START, event
from xcstore.errors import ConcurrencyError, DuplicateEventError, NotFoundError, UnknownEventError
from xcstore.model.history import CREATION
from xcstore.store.base import EventQuery, Stores
from xcstore.units import EpochMs


def test_what_is_appended_is_read_back_equal(stores: Stores) -> None:
    original = event(
        caused_by=("cause-1", "cause-2"),
        caused=("effect-1",),
        timestamp=START - 5,
        source_component_name="Warehouse",
        target_component_name="Shipping",
        public_member_snapshot={"total": 12.5, "items": [1, "two", None]},
        context={"customer": {"name": "Zoë"}},
        payload={"order": {"id": "ORD-1", "lines": [{"sku": "A", "n": 2}]}, "ok": True, "nothing": None},
    )
    stores.events.append(original)

    assert stores.events.get_event(original.id) == original
    assert stores.events.get_events_for_instance(original.instance_id) == [original]


def test_an_event_with_nothing_optional_is_read_back_equal(stores: Stores) -> None:
    original = event(component_name="", payload={}, state_before="", event_type=CREATION)
    stores.events.append(original)

    assert stores.events.get_event(original.id) == original


@pytest.mark.needs("append")
def test_appending_the_same_id_twice_is_refused_and_changes_nothing(stores: Stores) -> None:
    original = event(id="e1", state_after="Paid")
    stores.events.append(original)

    with pytest.raises(DuplicateEventError) as raised:
        stores.events.append(event(id="e1", state_after="Refunded"))

    assert raised.value.event_id == "e1"
    assert stores.events.get_events_for_instance(original.instance_id) == [original]


@pytest.mark.needs("append")
def test_an_id_that_is_stored_under_another_instance_is_refused(stores: Stores) -> None:
    stores.events.append(event(id="e1", instance_id="i1"))

    with pytest.raises(DuplicateEventError):
        stores.events.append(event(id="e1", instance_id="i2"))

    assert stores.events.get_events_for_instance("i2") == []


def test_ids_differ_by_case_and_by_trailing_space(stores: Stores) -> None:
    stores.events.append_many([event(id="e"), event(id="E"), event(id="e ")])

    assert stores.events.count(EventQuery())[0].count == 3
    assert stores.events.get_event("e ").id == "e "


def test_a_batch_goes_in_whole_and_says_how_many(stores: Stores) -> None:
    batch = [event() for _ in range(250)]

    assert stores.events.append_many(iter(batch)) == 250
    assert stores.events.get_events_for_instance("i1") == batch


def test_an_empty_batch_is_no_error(stores: Stores) -> None:
    assert stores.events.append_many([]) == 0


@pytest.mark.needs("append_many_whole")
def test_a_batch_with_a_stored_id_changes_nothing(stores: Stores) -> None:
    stores.events.append(event(id="stored"))

    with pytest.raises(DuplicateEventError) as raised:
        stores.events.append_many([event(id="new"), event(id="stored"), event(id="newer")])

    assert raised.value.event_id == "stored"
    assert ids(stores.events.get_events_for_instance("i1")) == ["stored"]
    assert stores.events.get_caused_events("new") == []


@pytest.mark.needs("append_many_whole")
def test_a_batch_with_an_id_twice_changes_nothing(stores: Stores) -> None:
    with pytest.raises(DuplicateEventError) as raised:
        stores.events.append_many([event(id="a"), event(id="b", caused_by=("a",)), event(id="a")])

    assert raised.value.event_id == "a"
    assert stores.events.count(EventQuery())[0].count == 0
    assert stores.events.get_caused_events("a") == []


@pytest.mark.needs("append_many_whole")
def test_after_a_refused_batch_the_store_goes_on(stores: Stores) -> None:
    stores.events.append(event(id="a"))
    with pytest.raises(DuplicateEventError):
        stores.events.append_many([event(id="b"), event(id="a")])

    stores.events.append_many([event(id="b"), event(id="c")])

    assert ids(stores.events.get_events_for_instance("i1")) == ["a", "b", "c"]


@pytest.mark.needs("append_many_whole")
def test_a_batch_that_breaks_off_while_it_is_read_changes_nothing(stores: Stores) -> None:
    def broken() -> object:
        yield event(id="a")
        raise RuntimeError("the source broke off")

    with pytest.raises(RuntimeError, match="broke off"):
        stores.events.append_many(broken())  # type: ignore[arg-type]

    assert stores.events.count(EventQuery())[0].count == 0


# Order


def test_a_stream_is_in_order_of_time_whatever_the_order_of_appending(stores: Stores) -> None:
    stores.events.append(event(id="late", persisted_at=START + 20))
    stores.events.append(event(id="early", persisted_at=START))
    stores.events.append_many([event(id="last", persisted_at=START + 30), event(id="middle", persisted_at=START + 10)])

    assert ids(stores.events.get_events_for_instance("i1")) == ["early", "middle", "late", "last"]


def test_events_of_one_moment_are_chained_by_their_states(stores: Stores) -> None:
    stores.events.append_many(
        [
            event(id="a", state_before="Paid", state_after="Sent", persisted_at=START),
            event(id="b", state_before="", state_after="New", persisted_at=START),
            event(id="c", state_before="New", state_after="Paid", persisted_at=START),
        ]
    )

    assert ids(stores.events.get_events_for_instance("i1")) == ["b", "c", "a"]


def test_events_of_one_moment_that_no_chain_orders_are_in_page_order(stores: Stores) -> None:
    appended = [
        event(id=f"e{number * 7919 % 400:03}", state_before="A", state_after="A", persisted_at=START)
        for number in range(400)
    ]
    stores.events.append_many(appended)

    assert stores.events.get_events_for_instance("i1") == in_page_order(stores, appended)


def test_everything_comes_in_page_order(stores: Stores) -> None:
    appended = [event(id=f"e{n * 7 % 50:02}", instance_id=f"i{n % 3}", persisted_at=START + n // 10) for n in range(50)]
    stores.events.append_many(appended)

    assert list(stores.events.get_all_events()) == in_page_order(stores, appended)


@pytest.mark.needs("seq")
def test_seq_is_the_order_of_appending(stores: Stores) -> None:
    stores.events.append(event(id="a", persisted_at=START + 9))
    stores.events.append_many([event(id="b", persisted_at=START), event(id="c", persisted_at=START + 5)])

    found = stores.events.get_events(["a", "b", "c"])
    seqs = [found[id_].seq for id_ in "abc"]
    assert all(seq is not None for seq in seqs)
    assert seqs == sorted(seqs)  # type: ignore[type-var]
    assert len(set(seqs)) == 3


# Reading


def test_an_unknown_instance_has_an_empty_stream(stores: Stores) -> None:
    stores.events.append(event())

    assert stores.events.get_events_for_instance("nobody") == []


def test_an_unknown_event_is_not_found(stores: Stores) -> None:
    with pytest.raises(NotFoundError, match="nobody"):
        stores.events.get_event("nobody")


def test_any_text_can_be_asked_for_as_an_id(stores: Stores, subtests: pytest.Subtests) -> None:
    stores.events.append(event(id="e1"))

    for strange in ["", "x" * 500, "a'b", 'a"b', "%", "_", "a\\b", "💥", "a\0b", "\ud800"]:
        with subtests.test(repr(strange)):
            with pytest.raises(NotFoundError):
                stores.events.get_event(strange)
            assert stores.events.get_events([strange, "e1"]).keys() == {"e1"}
            assert stores.events.get_events_for_instance(strange) == []
            assert stores.events.get_caused_events(strange) == []
            assert stores.snapshots.get_snapshot(strange) is None
            assert stores.snapshots.get_snapshots([strange]) == {}
            with pytest.raises(NotFoundError):
                stores.events.trace(strange)


def test_several_events_at_once_leave_out_what_is_not_stored(stores: Stores) -> None:
    events = [event(id=f"e{number}") for number in range(1200)]
    stores.events.append_many(events)

    found = stores.events.get_events(["nobody", *ids(events), "e1", "e1"])

    assert found == {stored.id: stored for stored in events}
    assert stores.events.get_events([]) == {}


def test_a_time_range_includes_both_ends(stores: Stores) -> None:
    stores.events.append_many(event(id=f"e{n}", persisted_at=START + n) for n in range(5))

    found = stores.events.get_events_by_time_range(START + 1, START + 3)

    assert ids(found) == ["e1", "e2", "e3"]
    assert ids(stores.events.get_events_by_time_range(START + 2, START + 2)) == ["e2"]
    assert stores.events.get_events_by_time_range(START + 3, START + 1) == []


def test_the_first_and_last_time_are_told(stores: Stores) -> None:
    assert stores.events.time_range() is None
    stores.events.append_many([event(persisted_at=START + 7), event(persisted_at=-3), event(persisted_at=START)])

    assert stores.events.time_range() == (-3, START + 7)


def test_caused_events_are_those_that_name_the_cause_in_page_order(stores: Stores) -> None:
    stores.events.append_many(
        [
            event(id="cause"),
            event(id="z", caused_by=("cause",), instance_id="i2"),
            event(id="y", caused_by=("other", "cause"), persisted_at=START),
            event(id="twice", caused_by=("cause", "cause")),
            event(id="unrelated", caused_by=("cause2",)),
        ]
    )

    assert ids(stores.events.get_caused_events("cause")) == ["y", "z", "twice"]
    assert stores.events.get_caused_events("z") == []


def test_effects_of_a_cause_that_is_not_stored_are_found(stores: Stores) -> None:
    stores.events.append(event(id="effect", caused_by=("lost",)))

    assert ids(stores.events.get_caused_events("lost")) == ["effect"]


def test_the_stream_goes_on_after_the_last_event_of_a_snapshot(stores: Stores) -> None:
    stores.events.append_many([event(id=id_) for id_ in "abcd"])

    assert ids(stores.events.get_events_after_snapshot("i1", "b")) == ["c", "d"]
    assert stores.events.get_events_after_snapshot("i1", "d") == []


def test_the_stream_goes_on_in_its_own_order_within_one_moment(stores: Stores) -> None:
    stores.events.append_many(
        [
            event(id="a", state_before="Paid", state_after="Sent", persisted_at=START),
            event(id="b", state_before="", state_after="New", persisted_at=START),
            event(id="c", state_before="New", state_after="Paid", persisted_at=START),
        ]
    )

    assert ids(stores.events.get_events_after_snapshot("i1", "c")) == ["a"]


@pytest.mark.parametrize("last", ["", "unknown", "of-another"])
def test_going_on_from_an_event_outside_the_stream_is_refused(stores: Stores, last: str) -> None:
    stores.events.append_many([event(id="a"), event(id="of-another", instance_id="i2")])

    with pytest.raises(UnknownEventError):
        stores.events.get_events_after_snapshot("i1", last)


# Several writers


@pytest.mark.needs("append", "expected_last_id")
def test_an_id_that_is_present_is_refused_also_where_the_last_moment_has_to_be_put_in_order(stores):
    first = event(id="e1", instance_id="i1", state_before="", state_after="New", persisted_at=START)
    rival = event(id="e2", instance_id="i1", state_before="Sent", state_after="Paid", persisted_at=START)
    for one in (first, rival):
        stores.events.append(one)
    last = stores.events.get_events_for_instance("i1")[-1].id

    with pytest.raises(DuplicateEventError):
        stores.events.append(event(id="e1", instance_id="i1", persisted_at=START + 1), expected_last_id=last)

    assert {one.id for one in stores.events.get_events_for_instance("i1")} == {"e1", "e2"}


@pytest.mark.needs("expected_last_id")
def test_an_expected_last_event_lets_the_append_through(stores: Stores) -> None:
    stores.events.append(event(id="a"), expected_last_id="")
    stores.events.append(event(id="b"), expected_last_id="a")
    stores.events.append(event(id="c"), expected_last_id=None)

    assert ids(stores.events.get_events_for_instance("i1")) == ["a", "b", "c"]


@pytest.mark.needs("expected_last_id")
def test_a_stream_that_moved_on_refuses_the_append_and_nothing_changes(
    stores: Stores, subtests: pytest.Subtests
) -> None:
    stores.events.append_many([event(id="a"), event(id="b")])

    for expected in ["", "a", "unknown", "b\0", "b\0x", "\ud800", "x" * 500]:
        with subtests.test(repr(expected)), pytest.raises(ConcurrencyError):
            stores.events.append(event(id="c", caused_by=("b",)), expected_last_id=expected)

    assert ids(stores.events.get_events_for_instance("i1")) == ["a", "b"]
    assert stores.events.get_caused_events("b") == []


@pytest.mark.needs("expected_last_id")
def test_an_expected_event_in_an_empty_stream_is_refused(stores: Stores) -> None:
    stores.events.append(event(instance_id="i2", id="a"))

    with pytest.raises(ConcurrencyError):
        stores.events.append(event(id="b"), expected_last_id="a")


@pytest.mark.needs("expected_last_id")
def test_the_last_event_is_that_of_the_stream_not_the_last_appended(stores: Stores) -> None:
    stores.events.append(event(id="paid", state_before="New", state_after="Paid", persisted_at=START))
    stores.events.append(event(id="new", state_before="", state_after="New", persisted_at=START))

    stores.events.append(event(id="next", persisted_at=START + 1), expected_last_id="paid")

    assert ids(stores.events.get_events_for_instance("i1")) == ["new", "paid", "next"]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.needs("expected_last_id")
def test_the_expected_event_is_the_end_of_the_stream_whatever_the_order_and_the_ties(stores: Stores, seed: int) -> None:
    chance = random.Random(seed)
    states = ["", "A", "B"]
    for number in range(40):
        stream = stores.events.get_events_for_instance("i1")
        before = stream[-1].state_after if stream and chance.random() < 0.7 else chance.choice(states)
        at = chance.choice((number // 6, number // 6, number // 6, number // 9))
        new = event(
            id=f"e{number}", state_before=before, state_after=chance.choice(states), persisted_at=EpochMs(START + at)
        )
        wrong = stream[0].id if len(stream) > 1 and stream[0].id != stream[-1].id else "wrong"
        with pytest.raises(ConcurrencyError):
            stores.events.append(new, expected_last_id=wrong)

        stores.events.append(new, expected_last_id=stream[-1].id if stream else "")

    assert len(stores.events.get_events_for_instance("i1")) == 40


@pytest.mark.needs("expected_last_id")
def test_of_many_who_append_behind_the_same_event_one_wins(stores: Stores) -> None:
    stores.events.append(event(id="first"))
    outcomes: list[str] = []

    def append(number: int) -> None:
        try:
            stores.events.append(event(id=f"t{number}"), expected_last_id="first")
            outcomes.append("in")
        except ConcurrencyError:
            outcomes.append("refused")

    _run_threads(append, 8)

    assert sorted(outcomes) == ["in"] + ["refused"] * 7
    assert len(stores.events.get_events_for_instance("i1")) == 2


def test_threads_may_share_the_store_and_nothing_is_lost(stores: Stores) -> None:
    def work(number: int) -> None:
        for step in range(10):
            stores.events.append(event(id=f"{number}-{step}", instance_id=f"i{number}"))
            assert len(stores.events.get_events_for_instance(f"i{number}")) == step + 1

    _run_threads(work, 6)

    assert stores.events.count(EventQuery())[0].count == 60
    assert len(stores.events.find(EventQuery()).items) == 60


def _run_threads(work: object, number: int) -> None:
    failures: list[BaseException] = []

    def guarded(index: int) -> None:
        try:
            work(index)  # type: ignore[operator]
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
