"""Histories of the TypeScript runtime, forked: what is not the doing of an edit is never told as one."""

from __future__ import annotations

import pytest

from xcstore.model.catalog import Catalog
from xcstore.model.loader import component_from_document
from xcstore.replay.forks import DropEvent, Fork, run_fork
from xcstore.replay.track import RangeScope, Track, open_track
from xcstore.store.codec import event_from_document
from xcstore.store.memory import open_memory_stores


@pytest.fixture(scope="module")
def catalog(reference_json) -> Catalog:
    return Catalog(component_from_document(document) for document in reference_json("components.json").values())


@pytest.fixture(scope="module")
def track(reference_json, catalog) -> Track:
    stores = open_memory_stores()
    stores.events.append_many(event_from_document(document) for document in reference_json("memory_events.json"))
    times = [event.persisted_at for event in stores.events.get_all_events()]
    return open_track(stores, RangeScope(start=min(times), end=max(times)), catalog=catalog)


def test_a_fork_without_edits_changes_nothing_and_names_what_cannot_be_repeated(track, catalog):
    result = run_fork(track, Fork(scope=track.scope), catalog=catalog, max_seconds=60)
    assert not result.cut
    assert len(result.steps) == len(track.events)
    assert {verdict for verdict, count in result.counts.items() if count} <= {"same", "unknown"}
    assert all("without an edit" in step.reason for step in result.steps if step.verdict == "unknown")
    # A restart and its lost timers spoil some instances, not many.
    assert result.counts["unknown"] * 20 < len(result.steps)


def test_an_event_that_is_dropped_concerns_only_what_hangs_on_it(track, catalog):
    sent = next(event for event in track.events if not event.payload.get("reason") and event.state_before)
    result = run_fork(track, Fork(scope=track.scope, edits=(DropEvent(event_id=sent.id),)), catalog=catalog)
    told = [step for step in result.steps if step.verdict == "gone" and step.edited]
    assert [step.recorded.id for step in told] == [sent.id]
    touched = {
        (step.recorded or step.forked).instance_id
        for step in result.steps
        if step.verdict != "same" and "without an edit" not in step.reason
    }
    assert sent.instance_id in touched
    assert len(touched) * 20 < len(track.instance_ids)
