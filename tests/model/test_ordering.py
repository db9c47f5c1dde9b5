"""The order of a stream."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories import event
from xcstore.model.history import PersistedEvent
from xcstore.model.ordering import order_stream


def step(name: str, before: str, after: str, *, at: int = 0, seq: int | None = None) -> PersistedEvent:
    return event(id=name, state_before=before, state_after=after, persisted_at=at, seq=seq)


def names(events: list[PersistedEvent]) -> str:
    return "".join(entry.id for entry in events)


def test_events_are_ordered_by_time() -> None:
    assert names(order_stream([step("b", "B", "C", at=2), step("a", "A", "B", at=1)])) == "ab"


def test_events_of_one_moment_are_laid_end_to_end_whatever_their_ids() -> None:
    assert names(order_stream([step("a", "C", "D"), step("b", "A", "B"), step("c", "B", "C")])) == "bca"


def test_a_chain_goes_on_from_the_state_that_the_moment_before_ended_in() -> None:
    tied = [step("b", "A", "B", at=2), step("c", "B", "A", at=2)]

    assert names(order_stream([step("a", "", "B", at=1), *tied])) == "acb"
    assert names(order_stream([step("a", "", "A", at=1), *tied])) == "abc"


def test_creation_comes_first() -> None:
    assert names(order_stream([step("a", "Created", "Created"), step("b", "", "Created")])) == "ba"


def test_self_loops_and_returns_are_all_kept() -> None:
    tied = [step("a", "B", "A"), step("b", "A", "A"), step("c", "A", "B"), step("d", "B", "B")]

    ordered = order_stream([step("s", "", "A", at=-1), *tied])

    assert sorted(names(ordered)) == list("abcds")
    assert all(first.state_after == second.state_before for first, second in pairwise(ordered))


def test_the_order_of_insertion_counts_before_the_id_where_both_chain() -> None:
    loops = [step("a", "A", "A", seq=2), step("b", "A", "A", seq=1)]

    assert names(order_stream(loops)) == "ba"
    assert names(order_stream([step("a", "A", "A"), step("b", "A", "A", seq=9)])) == "ba"


def test_ids_are_compared_as_bytes() -> None:
    assert names(order_stream([step("é", "A", "A"), step("z", "A", "A"), step("Z", "A", "A")])) == "Zzé"


def test_what_does_not_chain_is_not_lost() -> None:
    tied = [step("a", "X", "Y"), step("b", "A", "B"), step("c", "P", "Q")]

    ordered = order_stream([step("s", "", "A", at=-1), *tied])

    assert names(ordered) == "sbac"


def test_an_empty_stream_is_empty() -> None:
    assert order_stream([]) == []


walks = st.lists(st.sampled_from("ABC"), min_size=1, max_size=30)


@settings(deadline=None)
@given(walks, st.randoms(use_true_random=False))
def test_a_walk_within_one_moment_is_chained_again_after_a_shuffle(states: list[str], shuffler: random.Random) -> None:
    walk = [step(f"{number:02}", before, after) for number, (before, after) in enumerate(pairwise(["", *states]))]
    shuffled = shuffler.sample(walk, len(walk))

    ordered = order_stream(shuffled)

    assert sorted(entry.id for entry in ordered) == [entry.id for entry in walk]
    assert ordered[0].state_before == ""
    assert all(first.state_after == second.state_before for first, second in pairwise(ordered))


pairs = st.tuples(st.sampled_from("ABC"), st.sampled_from("ABC"), st.integers(0, 2))


@settings(deadline=None)
@given(st.lists(pairs, max_size=12), st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_the_order_of_reading(
    steps: list[tuple[str, str, int]], shuffler: random.Random
) -> None:
    events = [step(f"{number:02}", before, after, at=at) for number, (before, after, at) in enumerate(steps)]

    ordered = order_stream(events)

    assert sorted(names([entry]) for entry in ordered) == sorted(names([entry]) for entry in events)
    assert [entry.persisted_at for entry in ordered] == sorted(entry.persisted_at for entry in events)
    assert order_stream(shuffler.sample(events, len(events))) == ordered


def test_events_of_one_moment_that_cannot_follow_each_other_come_by_key() -> None:
    rivals = [event(id=name, state_before="Created", state_after="Paid", persisted_at=0) for name in "abc"]

    assert [each.id for each in order_stream(reversed(rivals))] == ["a", "b", "c"]


def test_of_two_ways_out_of_a_circle_the_first_by_key_is_the_one_taken() -> None:
    steps = {"1": "SA", "2": "AS", "3": "SA", "4": "AS", "5": "SB", "6": "SB"}
    events = [event(id=n, state_before=way[0], state_after=way[1], persisted_at=0) for n, way in steps.items()]

    assert [each.id for each in order_stream(events)] == ["1", "2", "3", "4", "5", "6"]
