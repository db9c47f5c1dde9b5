"""Definitions against what the TypeScript runtime really wrote: equal ones change nothing, changed ones as counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.postgresql import PostgresServer
from xcstore.model.catalog import Catalog
from xcstore.model.loader import component_from_document
from xcstore.replay.impact import definition_impact
from xcstore.store.base import EventQuery, Stores
from xcstore.store.codec import event_from_document
from xcstore.store.opening import open_stores

DUMPS = {"documented": "documented_layout.sql", "shipped": "shipped_layout.sql"}


@pytest.fixture(scope="module")
def documents(reference_json: Any) -> list[dict[str, Any]]:
    found = reference_json("components.json")
    return list(found if isinstance(found, list) else found.values())


@pytest.fixture(scope="module", params=["memory", *DUMPS])
def stores(request: pytest.FixtureRequest, reference: Path, reference_json: Any) -> Iterator[Stores]:
    if request.param == "memory":
        with open_stores("memory://", read_only=False) as opened:
            opened.events.append_many(map(event_from_document, reference_json("memory_events.json")))
            yield opened
        return
    server: PostgresServer = request.getfixturevalue("postgresql_server")
    with server.database() as url:
        server.load(url, reference / DUMPS[request.param])
        with open_stores(url) as opened:
            yield opened


def test_equal_definitions_change_nothing(stores: Stores, documents: list[dict[str, Any]]) -> None:
    catalog = Catalog(map(component_from_document, documents))
    events = 0
    for document in documents:
        copy = component_from_document(json.loads(json.dumps(document)))
        found = definition_impact(stores, copy, catalog=catalog)
        events += found.events
        assert (found.same, found.same_end, found.other_end, found.unknown) == (found.instances, 0, 0, 0)
        assert all(machine.values_differ == machine.values_unknown == 0 for machine in found.machines)
    rows = stores.events.count(EventQuery(), by=("component_name", "machine_name"))
    assert events == sum(row.count for row in rows if catalog.find_machine(*row.key) is not None)


def test_the_definitions_lead_where_the_recording_went(stores: Stores, documents: list[dict[str, Any]]) -> None:
    """They are those that recorded it, and a run follows what a restart did."""
    catalog = Catalog(map(component_from_document, documents))
    for component in catalog:
        for machine in definition_impact(stores, component, catalog=catalog).machines:
            assert machine.current_differs == 0, (component.name, machine.machine_name)


def test_a_transition_that_is_gone_holds_back_who_took_it(stores: Stores, documents: list[dict[str, Any]]) -> None:
    """For each machine, without the way into one of its ends: counted from the streams alone."""
    catalog = Catalog(map(component_from_document, documents))
    streams = list(
        stores.events.get_streams(dict.fromkeys(event.instance_id for event in stores.events.get_all_events())).values()
    )
    looked_at = 0
    for document in documents:
        component = component_from_document(document)
        for number, machine in enumerate(component.machines):
            lasts = Counter(
                (last.state_before, last.event_type)
                for last in (stream[-1] for stream in streams if len(stream) > 1)
                if (last.component_name, last.machine_name) == (component.name, machine.name)
                and (state := machine.find_state(last.state_after)) is not None
                and state.is_terminal
            )
            if not lasts:
                continue
            (before, event_type), _ = lasts.most_common(1)[0]
            changed = json.loads(json.dumps(document))
            kept = [
                one
                for one in changed["stateMachines"][number]["transitions"]
                if (one["from"], one["event"]) != (before, event_type)
            ]
            changed["stateMachines"][number]["transitions"] = kept
            found = definition_impact(stores, component_from_document(changed), catalog=catalog)
            told = next(one for one in found.machines if one.machine_name == machine.name)
            took = sum(
                any((one.state_before, one.event_type) == (before, event_type) for one in stream)
                for stream in streams
                if (stream[0].component_name, stream[0].machine_name) == (component.name, machine.name)
            )
            assert told.other_end + told.same_end + told.unknown == took
            for one in told.examples:
                assert (one.part.state, one.part.then) == (before, before), one
            looked_at += 1
    assert looked_at
