"""What the TypeScript runtime really wrote, executed again: only what a restart broke does not go as defined."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.servers.postgresql import PostgresServer
from xcstore.model.catalog import Catalog
from xcstore.model.history import PersistedEvent
from xcstore.model.loader import component_from_document
from xcstore.model.ordering import order_stream
from xcstore.replay.divergence import divergence_map
from xcstore.replay.divergence_results import DivergenceMap
from xcstore.store.base import Stores
from xcstore.store.codec import event_from_document, snapshot_from_document
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores

DUMPS = {
    "documented": ("documented_layout.sql", "state_before", "state_after"),
    "shipped": ("shipped_layout.sql", "from_state", "to_state"),
}


@dataclass(frozen=True)
class Replayed:
    stores: Stores
    found: DivergenceMap
    chains: Mapping[str, list[tuple[str, str]]]
    """(state before, state after) of every event, by instance, in order of time; read without the code under test."""
    machines: Mapping[tuple[str, str], Mapping[str, Any]]
    """The documents, by component and machine."""

    @property
    def broken(self) -> dict[str, int]:
        """Where an event does not start in the state in which the one before it ended: its place, counted from 1."""
        return {
            instance_id: next(place for place, (one, two) in enumerate(pairwise(chain), 2) if one[1] != two[0])
            for instance_id, chain in self.chains.items()
            if any(one[1] != two[0] for one, two in pairwise(chain))
        }


@pytest.fixture(scope="module", params=["memory", *DUMPS])
def replayed(request: pytest.FixtureRequest, reference: Path, reference_json: Any) -> Iterator[Replayed]:
    documents = reference_json("components.json")
    documents = documents if isinstance(documents, list) else list(documents.values())
    catalog = Catalog(component_from_document(document) for document in documents)
    machines = {
        (document["name"], machine["name"]): machine for document in documents for machine in document["stateMachines"]
    }
    if request.param == "memory":
        stored = reference_json("memory_events.json")
        rows = [
            (e["instanceId"], e["persistedAt"], e.get("stateBefore", ""), e["stateAfter"], place)
            for place, e in enumerate(stored)
        ]
        with open_memory_stores() as stores:
            stores.events.append_many(map(event_from_document, stored))
            stores.snapshots.save_snapshots(map(snapshot_from_document, reference_json("memory_snapshots.json")))
            yield Replayed(stores, divergence_map(stores, catalog, limit=10_000), chains(rows), machines)
        return
    file, before, after = DUMPS[request.param]
    server: PostgresServer = request.getfixturevalue("postgresql_server")
    with server.database() as url:
        server.load(url, reference / file)
        with psycopg.connect(url) as connection:
            found = connection.execute(
                f"SELECT instance_id, persisted_at, coalesce({before}, ''), {after}, ctid FROM fsm_events ORDER BY ctid"
            ).fetchall()
        rows = [(*row[:4], place) for place, row in enumerate(found)]
        with open_stores(url) as stores:
            yield Replayed(stores, divergence_map(stores, catalog, limit=10_000), chains(rows), machines)


def chains(rows: list[tuple[Any, ...]]) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for instance_id, _, before, after, _ in sorted(rows, key=lambda row: (str(row[0]), row[1], row[4])):
        found[str(instance_id)].append((before, after))
    return found


def test_it_finds_exactly_the_instances_that_a_restart_rolled_back(replayed: Replayed) -> None:
    back = {one.instance_id: one.position for one in replayed.found.examples if one.kind == "rolled_back"}

    assert back == replayed.broken
    assert replayed.found.kinds.get("rolled_back", 0) == len(back)


def test_each_goes_on_from_the_event_that_is_named(replayed: Replayed) -> None:
    for one in replayed.found.examples:
        if one.kind != "rolled_back":
            continue
        stream = replayed.stores.events.get_events_for_instance(one.instance_id)
        assert list(stream) == order_stream(stream)
        origin = next(event for event in stream if event.id in one.reason and event.id != one.event_id)
        event = stream[one.position - 1]
        assert (event.id, event.state_before) == (one.event_id, origin.state_after)
        undone = stream.index(event) - stream.index(origin) - 1
        assert undone > 0
        assert f"the {undone} events since" in one.reason or (undone == 1 and "the event since" in one.reason)


def test_nothing_else_diverges_but_what_the_restart_lost(replayed: Replayed) -> None:
    found = replayed.found

    assert set(found.kinds) <= {"rolled_back", "public_lost", "values_rolled_back", "timer", "user_code", "state_only"}
    assert found.events == sum(len(chain) for chain in replayed.chains.values())
    assert found.instances == len(replayed.chains)
    assert sum(found.verdicts.values()) == found.events + found.kinds.get("timer", 0)


def test_a_public_member_is_lost_only_where_the_record_says_so(replayed: Replayed) -> None:
    """By the stored values alone: what the instance was created with is gone, and what came by payload is kept."""
    for one in replayed.found.examples:
        if one.kind not in ("public_lost", "values_rolled_back"):
            continue
        assert replayed.machines[one.component_name, one.machine_name].get("publicMemberType")
        stream = replayed.stores.events.get_events_for_instance(one.instance_id)
        before, after = (stream[one.position - 2 + place].public_member_snapshot or {} for place in (0, 1))
        assert before.keys() - after.keys()
        assert not after.keys() - before.keys() - payload_keys(stream[one.position - 1])


def payload_keys(event: PersistedEvent) -> set[str]:
    return set(event.payload) if isinstance(event.payload, Mapping) else set()


def test_each_timer_that_is_missed_had_a_time_that_passed_and_no_event(replayed: Replayed) -> None:
    """Checked by the document alone: the instance entered a state with a timeout, which passed long before the end."""
    end = replayed.found.as_of
    assert end is not None
    for one in replayed.found.examples:
        if one.kind != "timer":
            continue
        stream = replayed.stores.events.get_events_for_instance(one.instance_id)
        machine = replayed.machines[one.component_name, one.machine_name]
        last = stream[one.position - 1] if one.position == len(stream) else stream[one.position - 2]
        timeouts = {
            t["event"]: t["timeoutMs"]
            for t in machine["transitions"]
            if t["from"] == last.state_after and t.get("type") in ("timeout", "auto") and t.get("timeoutMs")
        }
        due = {name: last.persisted_at + ms for name, ms in timeouts.items() if name in one.reason}
        assert due
        assert all(at < end for at in due.values())
        assert not any(event.event_type in due for event in stream[stream.index(last) + 1 :])


def test_user_code_is_named_only_where_the_document_names_some(replayed: Replayed) -> None:
    for row in replayed.found.rows:
        if row.kinds.get("user_code"):
            text = json.dumps(replayed.machines[row.component_name, row.machine_name])
            assert any(word in text for word in ("onEntry", "onExit", "entryMethod", "exitMethod", "triggeredMethod"))
