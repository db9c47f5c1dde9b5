"""A snapshot against a stream that is gone through once."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tests.factories import START, event, snapshot
from xcstore.analysis.context import ContextStep
from xcstore.analysis.integrity_snapshots import judge_snapshot
from xcstore.model.history import PersistedEvent

LENGTH = 2_000


def stream(alive: list[int]) -> Iterator[PersistedEvent]:
    """Counts, while it is read, the steps that are kept of it."""
    for number in range(LENGTH):
        if number % 500 == 0:
            alive.append(sum(isinstance(one, ContextStep) for one in gc.get_objects()))
        yield event(
            id=f"e{number}",
            instance_id="i",
            state_before="A",
            state_after="A",
            payload={"n": number},
            persisted_at=START + 10_000 * number,
        )


@pytest.mark.parametrize("named", [True, False])
def test_a_long_stream_is_gone_through_without_being_kept(named: bool) -> None:
    taken = snapshot(
        id="i",
        current_state="A",
        context={"n": 100},
        snapshot_at=START + 1_000_500,
        last_event_id="e100" if named else "",
    )
    alive: list[int] = []

    verdict = judge_snapshot(taken, stream(alive))

    assert verdict.findings == ()
    assert verdict.behind == LENGTH - 101
    assert max(alive) - alive[0] < 10


def test_without_a_name_the_event_of_about_that_time_that_agrees_counts() -> None:
    """Another clock: it was stored 400 ms after the snapshot of it."""
    events = [
        event(id="a", instance_id="i", state_before="A", state_after="A", payload={"n": 1}, persisted_at=START),
        event(id="b", instance_id="i", state_before="A", state_after="B", payload={"n": 2}, persisted_at=START + 5_000),
        event(id="c", instance_id="i", state_before="B", state_after="B", payload={"n": 3}, persisted_at=START + 9_000),
    ]

    def judged(at: int, n: int) -> tuple[int, int]:
        taken = snapshot(id="i", current_state="B", context={"n": n}, snapshot_at=START + at, last_event_id="")
        verdict = judge_snapshot(taken, iter(events))
        return verdict.behind, len(verdict.findings)

    assert judged(4_600, 2) == (1, 0)
    assert judged(4_600, 3) == (2, 1)
    assert judged(9_001, 3) == (0, 0)


def test_there_is_nothing_to_judge_by_without_events() -> None:
    with pytest.raises(ValueError, match="there are none"):
        judge_snapshot(snapshot(id="i"), ())
