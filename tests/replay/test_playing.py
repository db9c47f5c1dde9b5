from __future__ import annotations

import pytest

from xcstore.errors import QueryError
from xcstore.replay.playing import ORIGINAL, Speed
from xcstore.units import DurationMs


@pytest.mark.parametrize(
    ("speed", "recorded", "wait"),
    [
        (ORIGINAL, 1_234, 1_234),
        (ORIGINAL, 0, 0),
        (Speed(factor=4), 1_000, 250),
        (Speed(factor=0.5), 1_000, 2_000),
        (Speed(per_second=10), 86_400_000, 100),
        (Speed(per_second=10), 0, 100),
        (Speed(idle_ms=DurationMs(500)), 86_400_000, 500),
        (Speed(idle_ms=DurationMs(500)), 400, 400),
        (Speed(factor=10, idle_ms=DurationMs(500)), 4_000, 400),
        (Speed(factor=None, per_second=1), 5, 1_000),
    ],
)
def test_a_wait_is_the_recorded_one_at_that_speed_and_no_longer_than_idle(speed, recorded, wait) -> None:
    assert speed.wait(DurationMs(recorded)) == wait


@pytest.mark.parametrize(
    "odd",
    [{"factor": 0}, {"factor": -1}, {"per_second": 0}, {"idle_ms": 0}, {"factor": None}, {"factor": float("nan")},
     {"per_second": float("inf")}],
)  # fmt: skip
def test_a_speed_that_nothing_can_be_played_with_is_refused(odd) -> None:
    with pytest.raises(QueryError, match="nothing can be played"):
        Speed(**odd)
