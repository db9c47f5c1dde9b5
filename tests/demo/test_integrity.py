"""The demo verified: what was planted is found, and without planting there is nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

import pytest

from xcstore.analysis.integrity import KINDS
from xcstore.demo import DemoReport, generate_demo, generator
from xcstore.demo.anomalies import History
from xcstore.demo.report import PlantedAnomaly
from xcstore.ops.verifying import verify
from xcstore.queries.definitions import stored_definitions
from xcstore.store.memory import open_memory_stores

FOUND_AS = {
    "dangling_cause": "dangling_cause",
    "missing_cause": "missing_cause",
    "state_chain_break": "chain_break",
    "two_runtimes": "chain_break",
    "lagging_snapshot": "snapshot_stale",
    "no_snapshot": "snapshot_missing",
    "snapshot_without_status": "odd_document",
}
"""The other plants are no findings: our runtime, which stamps its events, is taken at its word about a cause that is
merely of another order (`unrelated_cause`), and documents that the codec reads without a doubt are not odd."""


def nothing_planted(history: History, *, seed: int, spare: Collection[str] = ()) -> list[PlantedAnomaly]:
    return []


@pytest.fixture(scope="module")
def days() -> int:
    return 7


def test_what_is_planted_is_found_where_it_was_planted(days: int) -> None:
    with open_memory_stores() as stores:
        planted: DemoReport = generate_demo(stores, days=days)
        report = verify(stores)
        catalog = stored_definitions(stores.definitions).catalog
        lagging = [one.instance_id for one in planted.anomalies if one.kind == "lagging_snapshot"]
        last = {key: stream[-1] for key, stream in stores.events.get_streams(lagging).items()}
    # To lag is normal while an instance is live: that is counted, and no finding.
    live = {
        key
        for key, event in last.items()
        if not catalog.is_terminal(event.component_name, event.machine_name, event.state_after)
    }
    expected = [one for one in planted.anomalies if one.kind in FOUND_AS and one.instance_id not in live]

    found = {(one.kind, one.instance_id) for one in report.findings}
    assert {(FOUND_AS[one.kind], one.instance_id) for one in expected} <= found
    wanted = Counter(FOUND_AS[one.kind] for one in expected if one.kind != "snapshot_without_status")
    assert {kind: report.counts[kind] for kind in wanted} == wanted
    assert report.checked["snapshots_behind"] >= len(lagging)
    # Nothing else, and nowhere else.
    assert found <= {(kind, one.instance_id) for one in planted.anomalies for kind in KINDS}
    assert {kind for kind, _ in found} == set(FOUND_AS.values())


def test_without_planting_there_is_nothing(days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "plant", nothing_planted)
    with open_memory_stores() as stores:
        generate_demo(stores, days=days)
        report = verify(stores)

    assert report.total == 0, report.findings[:5]
    assert report.checked["snapshots_behind"] > 0
