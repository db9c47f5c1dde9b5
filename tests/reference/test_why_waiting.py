"""Why instances of a real history wait, and where their values came from, where most recorded causes are wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION
from xcstore.model.loader import component_from_document
from xcstore.queries.lineage import lineage
from xcstore.queries.why_waiting import why_waiting
from xcstore.store.base import InstanceQuery, Stores
from xcstore.store.codec import event_from_document
from xcstore.store.memory import open_memory_stores


@pytest.fixture(scope="module")
def stores(reference_json: Any) -> Iterator[Stores]:
    with open_memory_stores() as opened:
        opened.events.append_many(event_from_document(document) for document in reference_json("memory_events.json"))
        yield opened


@pytest.fixture(params=["definitions", "no definitions"])
def catalog(request: pytest.FixtureRequest, reference_json: Any) -> Catalog | None:
    documents = reference_json("components.json").values() if request.param == "definitions" else ()
    return Catalog(component_from_document(document) for document in documents)


def test_no_instance_is_said_to_wait_for_another_by_a_recorded_cause_alone(stores, catalog):
    waiting = 0

    for item in stores.events.instances(InstanceQuery(), limit=1_000).items[::3]:
        found = why_waiting(stores, item.instance_id, catalog=catalog)

        waiting += found.end != "not waiting"
        for level in found.levels[1:]:
            assert catalog.find_machine(level.instance.component_name, level.instance.machine_name) or (
                level.trust != "as recorded"
            )

    assert waiting >= 10


def test_no_value_is_said_to_come_from_another_instance_by_a_recorded_cause_alone(stores, catalog):
    walked = 0

    for event in list(stores.events.get_all_events())[::97]:
        held = event.payload.get("initialContext", {}) if event.event_type == CREATION else event.payload
        for name in list(held)[:2]:
            for step in lineage(stores, event.id, (name,), catalog=catalog).steps:
                walked += 1
                if step.via is not None:
                    link, cause = step.via.link, step.via.cause
                    known = catalog.find_machine(cause.component_name, cause.machine_name) is not None
                    parent = step.event.payload.get("parentInstanceId") == cause.instance_id
                    assert not link.doubts
                    assert link.provenance == "inferred" or link.same_instance or known or parent

    assert walked >= 20
