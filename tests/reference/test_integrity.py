"""What the TypeScript runtime really wrote, verified: each kind is counted as the rule says, by another road."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.servers.postgresql import PostgresServer
from xcstore.analysis.causality import causal_graph, doubts_of
from xcstore.analysis.integrity import KINDS, Report
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.model.loader import component_from_document
from xcstore.ops.verifying import verify
from xcstore.store.base import Stores
from xcstore.store.codec import event_from_document, snapshot_from_document
from xcstore.store.opening import open_stores

DUMPS = {"documented": "documented_layout.sql", "shipped": "shipped_layout.sql"}


@dataclass(frozen=True)
class Verified:
    stores: Stores
    catalog: Catalog
    report: Report
    events: Sequence[PersistedEvent]
    streams: Sequence[Sequence[PersistedEvent]]

    @property
    def by_id(self) -> dict[str, PersistedEvent]:
        return {event.id: event for event in self.events}

    @property
    def links(self) -> list[tuple[str, str]]:
        return [(cause, event.id) for event in self.events for cause in dict.fromkeys(event.caused_by)]


@pytest.fixture(scope="module")
def catalog(reference_json: Any) -> Catalog:
    found = reference_json("components.json")
    documents = found if isinstance(found, list) else list(found.values())
    return Catalog(component_from_document(document) for document in documents)


@pytest.fixture(scope="module", params=["memory", *DUMPS])
def verified(
    request: pytest.FixtureRequest, reference: Path, reference_json: Any, catalog: Catalog
) -> Iterator[Verified]:
    if request.param == "memory":
        with open_stores("memory://", read_only=False) as stores:
            stores.events.append_many(map(event_from_document, reference_json("memory_events.json")))
            stores.snapshots.save_snapshots(map(snapshot_from_document, reference_json("memory_snapshots.json")))
            yield looked_at(stores, catalog)
        return
    server: PostgresServer = request.getfixturevalue("postgresql_server")
    with server.database() as url:
        server.load(url, reference / DUMPS[request.param])
        with open_stores(url) as stores:
            yield looked_at(stores, catalog)


def looked_at(stores: Stores, catalog: Catalog) -> Verified:
    events = list(stores.events.get_all_events())
    streams = stores.events.get_streams(dict.fromkeys(event.instance_id for event in events)).values()
    return Verified(stores, catalog, verify(stores, catalog, limit=10_000), events, list(streams))


def test_every_kind_is_counted_and_every_finding_told(verified: Verified) -> None:
    report = verified.report

    # Of a server's files, and of memory, nothing can be said.
    assert list(report.counts) == [kind for kind in KINDS if kind != "damaged_file"]
    assert {kind: report.shown(kind) for kind in report.counts} == report.counts
    assert report.total == sum(report.severities.values())
    assert report.checked["events"] == len(verified.events)
    assert report.checked["instances"] == len(verified.streams)


def test_breaks_are_those_of_a_fold_of_each_stream(verified: Verified) -> None:
    broken = {
        two.id
        for stream in verified.streams
        for one, two in pairwise(stream)
        if one.state_after != two.state_before and not (two.event_type == CREATION and two.state_before == "")
    }

    assert {one.event_id for one in verified.report.findings if one.kind == "chain_break"} == broken


def test_causes_that_are_not_there_are_found(verified: Verified) -> None:
    there = verified.by_id

    dangling = [effect for cause, effect in verified.links if cause not in there]

    found = [one.event_id for one in verified.report.findings if one.kind == "dangling_cause"]
    assert sorted(found) == sorted(dangling)


def test_doubts_are_those_of_the_causal_graph(verified: Verified) -> None:
    """Most causes of this runtime are its previous transition, whatever it was."""
    there = verified.by_id
    doubtful = set()
    for cause, effect in verified.links:
        if cause in there:
            kinds = doubts_of(there[cause], there[effect], verified.catalog)
            if kinds and not kinds.keys() & {"before", "self"}:
                doubtful.add(effect)
    rings = causal_graph(verified.events, verified.links).cycles

    found = {one.event_id for one in verified.report.findings if one.kind == "doubtful_cause"}
    assert verified.report.counts["causal_cycle"] == len(rings)
    assert found == doubtful - {event for ring in rings for event in ring}
    assert all(one.severity == "warning" for one in verified.report.findings if one.kind == "doubtful_cause")


def test_effects_before_their_causes_are_skew_or_violations(verified: Verified) -> None:
    there = verified.by_id
    early = [
        (cause, effect)
        for cause, effect in verified.links
        if cause in there and there[effect].persisted_at < there[cause].persisted_at
    ]
    within = [link for link in early if there[link[0]].component_name == there[link[1]].component_name]

    counts = verified.report.counts
    assert len(within) <= counts["effect_before_cause"] <= len(early)
    assert counts["clock_skew"] <= len(early)


def test_snapshots_are_compared_and_those_that_lag_are_no_findings(verified: Verified) -> None:
    instances = {stream[0].instance_id for stream in verified.streams}
    snapshots = list(verified.stores.snapshots.get_all_snapshots())
    unknown = [one for one in snapshots if one.instance.id not in instances]
    behind = verified.report.checked["snapshots_behind"]

    counts = verified.report.counts
    assert verified.report.checked["snapshots"] == len(snapshots)
    assert counts["snapshot_orphan"] == len(unknown)
    assert counts["snapshot_disagrees"] < len(snapshots) / 2
    assert counts["snapshot_stale"] <= behind


def test_states_are_looked_up_in_the_definitions(verified: Verified) -> None:
    undeclared = set()
    for event in verified.events:
        machine = verified.catalog.find_machine(event.component_name, event.machine_name)
        for state in (event.state_after, event.state_before):
            if machine is not None and state and machine.find_state(state) is None:
                undeclared.add((event.component_name, event.machine_name, state))

    assert verified.report.counts["unknown_state"] == len(undeclared)
