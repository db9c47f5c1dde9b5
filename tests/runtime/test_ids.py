"""Ids: short enough to store, in order, repeatable."""

from __future__ import annotations

import uuid

from xcstore.runtime.ids import TimeOrderedIds
from xcstore.units import EpochMs


def test_ids_are_uuids_of_36_characters():
    ids = TimeOrderedIds(seed=3)
    event, instance = uuid.UUID(ids.event_id(EpochMs(1_767_225_600_000))), uuid.UUID(ids.instance_id())

    assert (event.version, event.variant) == (7, uuid.RFC_4122)
    assert (instance.version, instance.variant) == (4, uuid.RFC_4122)
    assert len(str(event)) == 36


def test_event_ids_sort_as_they_were_made_also_within_a_millisecond_and_when_the_clock_is_set_back():
    ids = TimeOrderedIds(seed=3)
    made = [ids.event_id(EpochMs(5_000)) for _ in range(10_000)]
    made += [ids.event_id(EpochMs(4_000)), ids.event_id(EpochMs(6_000))]

    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_equal_seeds_give_equal_ids_and_no_seed_gives_new_ones():
    def some(ids: TimeOrderedIds) -> list[str]:
        return [ids.event_id(EpochMs(1)), ids.instance_id(), ids.event_id(EpochMs(2))]

    assert some(TimeOrderedIds(7)) == some(TimeOrderedIds(7))
    assert some(TimeOrderedIds(7)) != some(TimeOrderedIds(8))
    assert some(TimeOrderedIds()) != some(TimeOrderedIds())


def test_another_process_goes_on_after_the_ids_that_are_stored():
    first, second = TimeOrderedIds(seed=1), TimeOrderedIds(seed=2)
    made = [first.event_id(EpochMs(5)) for _ in range(3)]
    second.continue_after(made[-1])

    assert second.event_id(EpochMs(5)) > made[-1]
    assert second.event_id(EpochMs(4)) > made[-1]
    second.continue_after("an id of somebody else")
    second.continue_after("zzzzzzzz-zzzz-7zzz-8000-000000000000")
