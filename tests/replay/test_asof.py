from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.replay.conftest import START, stores_of, stream
from xcstore.model.catalog import Catalog
from xcstore.replay import asof
from xcstore.replay.asof import AsOf
from xcstore.replay.track import InstanceScope, RangeScope, Track, open_track
from xcstore.runtime.folding import fold
from xcstore.units import EpochMs


@pytest.fixture
def long(catalog: Catalog) -> Track:
    """An instance with several checkpoints, beside a short one."""
    stores = stores_of(stream("long", *["CHANGE"] * 300, "PAY", "SEND"), stream("short", "PAY", at=150_500))
    return open_track(stores, RangeScope(start=START, end=EpochMs(START + 9_999_999)), catalog=catalog)


def test_any_question_in_any_order_is_answered_as_a_fold_from_the_start_is(long: Track) -> None:
    as_of = AsOf(long)
    questions = [(name, until) for name in long.instance_ids for until in range(len(long.events) + 1)]
    random.Random(0).shuffle(questions)

    for name, until in questions:
        events = [event for event in long.events[:until] if event.instance_id == name]
        expected = fold(long.tables.of(long.events[0]), events)
        found = as_of.folded(name, until)
        assert (found is None) == (expected is None)
        if found is not None and expected is not None:
            assert found.instance == expected.instance
            assert (found.last_event_id, found.due, found.created) == (
                expected.last_event_id, expected.due, expected.created,
            )  # fmt: skip


def test_an_instance_exists_from_its_first_event_on(long: Track) -> None:
    as_of = AsOf(long)
    first = next(index for index, event in enumerate(long.events) if event.instance_id == "short")

    assert list(as_of.states(0)) == []
    assert list(as_of.states(first)) == ["long"]
    assert list(as_of.states(first + 1)) == ["long", "short"]
    assert as_of.states(first)["long"].instance.current_state == "New"
    with pytest.raises(KeyError):
        as_of.states(first)["short"]


def test_what_was_there_before_exists_at_once(catalog: Catalog) -> None:
    stores = stores_of(stream("old", "CHANGE", "PAY"), stream("new", at=1_500))
    track = open_track(stores, RangeScope(start=EpochMs(START + 1_200), end=EpochMs(START + 9_000)), catalog=catalog)

    instances = AsOf(track).instances(0)

    assert {name: instance.current_state for name, instance in instances.items()} == {"old": "New"}


def test_the_checkpoints_of_a_context_that_grows_without_end_stay_few(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = stream("a", *["CHANGE"] * 1_000)
    events = [replace(event, payload={f"field{number}": number}) for number, event in enumerate(events)]
    track = open_track(stores_of(events), InstanceScope(instance_id="a"), catalog=catalog)
    monkeypatch.setattr(asof, "_MAX_VALUES", 2_000)

    as_of = AsOf(track)

    held = sum(len(state.instance.context) for state in as_of._checkpoints["a"].states)
    assert held < 4_000
    for until in (0, 1, 63, 64, 65, 500, 999, 1_000, 1_001):
        found = as_of.folded("a", until)
        assert len(found.instance.context if found else {}) == max(until - 1, 0)
