"""Clocks that differ, told apart from effects that cannot have been."""

from __future__ import annotations

import numpy as np

from xcstore.analysis.integrity_skew import JITTER_MS, MANY, Skew, tell_apart

HERE, THERE = 0, 1


def told(gaps: list[int], *, within: bool = False) -> tuple[list[Skew], list[int]]:
    """Of links from one component to another, or within one."""
    causes = np.full(len(gaps), HERE, np.int32)
    effects = np.full(len(gaps), HERE if within else THERE, np.int32)
    skews, violations = tell_apart(np.array(gaps, np.int64), causes, effects)
    return skews, violations.tolist()


def test_effects_after_their_causes_are_neither() -> None:
    assert told([0, 5, 90_000]) == ([], [])


def test_within_a_component_every_early_effect_is_a_violation() -> None:
    assert told([5, -1, -400], within=True) == ([], [1, 2])


def test_a_little_too_early_in_another_component_is_skew() -> None:
    skews, violations = told([5, -int(JITTER_MS), 7])

    assert violations == []
    assert [(one.early, one.links, one.worst) for one in skews] == [(1, 3, 1)]


def test_a_single_effect_far_too_early_is_a_violation() -> None:
    assert told([40] * 200 + [-90_000]) == ([], [200])


def test_a_stable_offset_over_many_links_is_skew_however_large() -> None:
    """An hour, as where somebody forgot summer time."""
    skews, violations = told([-3_600_000 + number for number in range(200)])

    assert violations == []
    (one,) = skews
    assert (one.early, one.links, one.most_ms) == (200, 200, 3_600_000)


def test_one_far_beyond_the_habit_is_a_violation_beside_the_skew() -> None:
    skews, violations = told([-4_000] * MANY + [-60_000])

    assert [one.early for one in skews] == [MANY]
    assert violations == [MANY]


def test_as_many_but_a_small_share_are_no_habit() -> None:
    skews, violations = told([-4_000] * MANY + [50] * MANY * 100)

    assert skews == []
    assert len(violations) == MANY


def test_each_pair_of_components_has_its_own_clock() -> None:
    gaps = np.array([-200] * 30 + [-90_000] + [40] * 30, np.int64)
    causes = np.array([0] * 30 + [1] + [1] * 30, np.int32)
    effects = np.array([1] * 30 + [0] + [0] * 30, np.int32)

    skews, violations = tell_apart(gaps, causes, effects)

    assert [(one.early, one.links) for one in skews] == [(30, 30)]
    assert violations.tolist() == [30]
