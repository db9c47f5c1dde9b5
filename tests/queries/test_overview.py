"""What is in the store, in which state, and what waits for too long."""

from __future__ import annotations

import pytest

from tests.factories import START, event
from xcstore.analysis.stuck import WaitingState
from xcstore.model.history import CREATION
from xcstore.queries import overview
from xcstore.units import DAY, HOUR, MINUTE, SECOND

STAY = 10 * MINUTE


def history(stores, instance_id, start, *, packed_after=None, machine="Order"):
    common = {"instance_id": instance_id, "machine_name": machine}
    events = [event(event_type=CREATION, state_before="", state_after="Paid", persisted_at=start, **common)]
    if packed_after is not None:
        at = start + packed_after
        events.append(event(event_type="PACK", state_before="Paid", state_after="Packed", persisted_at=at, **common))
    stores.events.append_many(events)


def paid(**overrides):
    fields = {
        "component_name": "Shop",
        "machine_name": "Order",
        "state": "Paid",
        "count": 1,
        "oldest_updated_at": START,
        "machine_instances": 21,
    }
    return WaitingState(**{**fields, **overrides})


def test_facts_count_events_by_component_and_tell_the_time_range(stores):
    stores.events.append_many(
        [
            event(component_name="A", persisted_at=START),
            event(component_name="B", persisted_at=START + 5),
            event(component_name="B", persisted_at=START + 9),
        ]
    )

    facts = overview.facts(stores)
    assert facts.components == (("B", 2), ("A", 1))
    assert facts.events == 3
    assert facts.time_range == (START, START + 9)


def test_facts_of_an_empty_store_have_no_time_range(stores):
    facts = overview.facts(stores)

    assert (facts.events, facts.components, facts.time_range) == (0, (), None)


@pytest.mark.parametrize(
    ("span", "bucket"),
    [(0, SECOND), (90 * SECOND, SECOND), (HOUR, MINUTE), (30 * DAY, 12 * HOUR), (365 * DAY, 7 * DAY)],
)
def test_buckets_are_round_and_at_most_about_ninety(span, bucket):
    assert overview.bucket_for(START, START + span) == bucket


def test_many_events_are_counted_by_whole_hours():
    assert overview.bucket_for(START, START + 90 * SECOND, events=1_000_000) == HOUR
    assert overview.bucket_for(START, START + 30 * DAY, events=1_000_000) == 12 * HOUR


def test_activity_counts_every_event_once_whatever_the_buckets(stores):
    stores.events.append_many(
        event(component_name="AB"[number % 2], persisted_at=START + number * HOUR) for number in range(500)
    )

    found = overview.activity(stores, bucket_ms=6 * HOUR)
    assert sum(count.count for count in found.counts) == 500
    assert all(count.bucket % found.bucket_ms == 0 for count in found.counts)
    only_a = overview.activity(stores, ("A",), bucket_ms=6 * HOUR)
    assert {count.key for count in only_a.counts} == {("A",)}
    assert sum(count.count for count in only_a.counts) == 250


def test_an_instance_that_waits_longer_than_three_times_the_usual_is_stuck(stores):
    for number in range(20):
        history(stores, f"o{number}", START + number * HOUR, packed_after=STAY)
    history(stores, "late", START + 15 * HOUR)
    history(stores, "recent", START + 20 * HOUR - STAY)

    found = overview.waiting(stores, (paid(oldest_updated_at=START + 15 * HOUR, count=2),), as_of=START + 20 * HOUR)

    assert [item.instance.instance_id for item in found.stuck] == ["late"]
    stuck = found.stuck[0]
    assert stuck.waited_ms == 5 * HOUR
    assert (stuck.limit.rule, stuck.limit.limit_ms, stuck.limit.stays) == ("state", 3 * STAY, 20)
    assert stuck.excess == pytest.approx(5 * HOUR / (3 * STAY))


def test_the_sample_behind_the_limits_is_told(stores):
    for number in range(6):
        history(stores, f"o{number}", START, packed_after=STAY)
    history(stores, "late", START)

    found = overview.waiting(stores, (paid(machine_instances=7),), as_of=START + HOUR)
    assert found.sampled == (("Shop", "Order", 7, 7),)


def test_the_most_abnormal_wait_comes_first_not_the_longest(stores):
    for number in range(6):
        history(stores, f"quick{number}", START, packed_after=MINUTE, machine="Quick")
        history(stores, f"slow{number}", START, packed_after=DAY, machine="Slow")
    history(stores, "quick-late", START + DAY, machine="Quick")
    history(stores, "slow-late", START - 9 * DAY, machine="Slow")
    states = (
        paid(machine_name="Quick", oldest_updated_at=START + DAY),
        paid(machine_name="Slow", oldest_updated_at=START - 9 * DAY),
    )

    found = overview.waiting(stores, states, as_of=START + 2 * DAY)
    assert [item.instance.instance_id for item in found.stuck] == ["quick-late", "slow-late"]


def test_when_more_wait_than_are_looked_at_the_oldest_count_and_it_is_said(stores, monkeypatch):
    monkeypatch.setattr(overview, "MAX_WAITERS", 4)
    monkeypatch.setattr(overview, "_WAITERS_PAGE", 2)
    for number in range(9):
        history(stores, f"late{number}", START + number)

    found = overview.waiting(stores, (paid(),), as_of=START + 9 * DAY)
    assert [item.instance.instance_id for item in found.stuck] == ["late0", "late1", "late2", "late3"]
    assert not found.complete


def test_all_that_wait_are_found_over_several_pages(stores, monkeypatch):
    monkeypatch.setattr(overview, "_WAITERS_PAGE", 2)
    for number in range(5):
        history(stores, f"late{number}", START + number)

    found = overview.waiting(stores, (paid(),), as_of=START + 9 * DAY)
    assert len(found.stuck) == 5
    assert found.complete


def test_a_state_of_the_same_name_in_another_machine_is_not_mixed_up(stores):
    history(stores, "order", START)
    history(stores, "parcel", START, machine="Parcel")

    found = overview.waiting(stores, (paid(),), as_of=START + 9 * DAY)
    assert [item.instance.instance_id for item in found.stuck] == ["order"]


def test_reminders_that_lead_back_do_not_make_a_wait_shorter(stores):
    for number in range(20):
        history(stores, f"done{number}", START + number, packed_after=STAY)
    history(stores, "reminded", START)
    remind = {"instance_id": "reminded", "event_type": "REMIND", "state_before": "Paid", "state_after": "Paid"}
    stores.events.append_many([event(persisted_at=START + hours * HOUR, **remind) for hours in range(1, 25)])

    told = overview.waiting(stores, (paid(entered_from=("",)),), as_of=START + DAY)

    (stuck,) = told.stuck
    assert (stuck.instance.instance_id, stuck.since, stuck.waited_ms) == ("reminded", START, DAY)
    assert overview.waiting(stores, (paid(),), as_of=START + DAY).stuck == (), "by its last event it is fresh"


def test_when_more_instances_loop_than_are_looked_at_it_is_said(stores, monkeypatch):
    monkeypatch.setattr(overview, "MAX_LOOPING", 2)
    for number in range(3):
        history(stores, f"o{number}", START + number)

    told = overview.waiting(stores, (paid(entered_from=("",)),), as_of=START + 10 * DAY)

    assert (len(told.stuck), told.complete) == (2, False)


def test_nothing_waits_in_no_state(stores):
    assert overview.waiting(stores, (), as_of=START).stuck == ()


def test_flows_count_every_transition_that_was_observed(stores):
    history(stores, "a", START, packed_after=STAY)
    history(stores, "b", START)

    assert [(count.key, count.count) for count in overview.flows(stores)] == [
        (("Shop", "Order", "", CREATION, "Paid"), 2),
        (("Shop", "Order", "Paid", "PACK", "Packed"), 1),
    ]
    assert overview.flows(stores, ("Elsewhere",)) == ()


def test_a_store_of_sound_events_has_no_odd_ones(stores):
    stores.events.append_many([event(), event()])

    sample = overview.odd_sample(stores)
    assert (sample.read, sample.odd, sample.kinds) == (2, 0, ())
