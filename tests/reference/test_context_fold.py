"""The fold against what the TypeScript runtime recorded: 4,315 values of 927 instances."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from xcstore.analysis.context import ContextStep, agreement, diff, fold, same_json, value_at
from xcstore.analysis.snapshots import compare_snapshot
from xcstore.model.catalog import Catalog
from xcstore.model.loader import component_from_document
from xcstore.store.codec import event_from_document, snapshot_from_document
from xcstore.store.memory import open_memory_stores

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"

pytestmark = pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"no reference data at {REFERENCE}")


def read(name: str) -> object:
    return json.loads((REFERENCE / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog([component_from_document(document) for document in read("components.json").values()])


@pytest.fixture(scope="module")
def streams(catalog) -> dict[str, tuple[ContextStep, ...]]:
    stores = open_memory_stores()
    stores.events.append_many(event_from_document(document) for document in read("memory_events.json"))
    ids = dict.fromkeys(event.instance_id for event in stores.events.get_all_events())
    found = {}
    for instance_id in ids:
        events = stores.events.get_events_for_instance(instance_id)
        found[instance_id] = fold(events, catalog.find_machine(events[0].component_name, events[0].machine_name))
    return found


def disagreeing(streams: dict[str, tuple[ContextStep, ...]]) -> Iterator[tuple[ContextStep, tuple[ContextStep, ...]]]:
    for steps in streams.values():
        yield from ((step, steps) for step in steps if step.agrees is False)


def test_nearly_all_recorded_values_are_what_the_payloads_fold_to(streams):
    found = agreement(step for steps in streams.values() for step in steps)

    assert (found.recorded, found.agreeing) == (4_315, 4_171)


def test_where_they_differ_user_code_ran_or_the_chain_breaks_or_the_creation_was_written_over(streams):
    reasons: Counter[str] = Counter()
    for step, steps in disagreeing(streams):
        if any("user code" in note for note in step.notes):
            reasons["user code"] += 1
        elif any("chain breaks" in note for note in step.notes):
            reasons["chain"] += 1
        else:
            # The runtime kept the creation's initial context and the instance's as one object until the next merge:
            # what user code changed is in the payload too. The payload is what is off: it holds a later value.
            assert step.merge == "initial"
            for change in diff(step.folded, step.values):
                stored = value_at(step.folded, change.path)
                assert any(same_json(stored, value_at(later.values, change.path)) for later in steps[1:])
            reasons["creation"] += 1
    assert set(reasons) <= {"user code", "chain", "creation"}
    assert reasons["creation"] == 32
    assert sum(reasons.values()) == 144


def test_a_transition_with_matching_rules_and_no_user_code_never_takes_the_payload_in(streams):
    kept = [step for steps in streams.values() for step in steps if step.merge == "kept" and not step.notes]

    assert len(kept) > 100
    assert any(step.event.payload.keys() - step.values.keys() for step in kept)
    assert all(step.agrees for step in kept)


def test_snapshots_agree_with_the_fold_as_of_the_event_they_name_but_for_those_rolled_back_by_the_restart(streams):
    snapshots = [snapshot_from_document(document) for document in read("memory_snapshots.json")]
    facts = [compare_snapshot(snapshot, streams[snapshot.instance.id]) for snapshot in snapshots]

    assert all(fact.event_id for fact in facts)
    assert Counter((fact.state_agrees, fact.changes == ()) for fact in facts) == {
        (True, True): 805,
        (False, True): 6,
        (False, False): 2,
    }
    assert sum(bool(fact.events_behind) for fact in facts) == 50
