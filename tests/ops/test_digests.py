"""Digests: equal for equal contents on any backend, and different for any difference."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import psycopg
import pytest

from tests.contract import foreign
from tests.contract.helpers import uid
from tests.factories import START, event, snapshot
from xcstore.errors import QueryError
from xcstore.jsontext import canonical_json
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.ops.contents import StoreContents
from xcstore.ops.digests import StoreDigest, differences, digest_contents, digest_store
from xcstore.redaction import Redaction
from xcstore.store.base import OutboxChange, StoredDefinition, StoredWork, Stores
from xcstore.store.codec import event_from_document
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores

DOCUMENTS = [
    {"id": "b", "instanceId": "i1", "event": {"type": "A", "payload": {"z": 1, "a": 1.5}}, "persistedAt": 5},
    {"id": "a", "instanceId": "i1", "persistedAt": 5, "componentName": "Größe", "odd": {"$x.y": [None, 2**70]}},
    {"id": "c", "instanceId": "i2", "event": {"type": "B", "payload": None}, "persistedAt": 4, "componentName": "X"},
]


def filled() -> Stores:
    stores = open_memory_stores()
    stores.events.append_many(map(event_from_document, DOCUMENTS))
    stores.snapshots.save_snapshots(SNAPSHOTS)
    stores.definitions.save_definition(StoredDefinition(hash="h", component_name="X", document={"name": "X"}))
    stores.events.change_outbox(
        OutboxChange(add=(StoredWork(id="w", position=2, component_name="X", document={"a": 1}),))
    )
    return stores


SNAPSHOTS = [
    snapshot(id="i2", current_state="old", snapshot_at=START),
    snapshot(id="i1", snapshot_at=START),
    snapshot(id="i2", current_state="new", snapshot_at=START + 1),
]


def put_into(stores: Stores, source: Stores) -> None:
    stores.events.append_many(source.events.get_all_events())
    stores.snapshots.save_snapshots(SNAPSHOTS)
    for definition in source.definitions.get_all_definitions():
        stores.definitions.save_definition(definition)


@pytest.mark.needs("append", "snapshots", "definitions", "seq")
def test_equal_contents_have_equal_digests_on_every_backend(stores: Stores) -> None:
    source = filled()
    put_into(stores, source)
    expected, found = digest_store(source), digest_store(stores)

    assert found.events == expected.events
    assert found.snapshots == expected.snapshots
    assert found.definitions == expected.definitions
    assert (found.first_at, found.last_at) == (4, 5)
    assert found.components == expected.components == {"": 1, "Größe": 1, "X": 1}
    assert digest_contents(StoreContents(stores)) == found


def test_a_digest_is_what_sha256_makes_of_canonical_lines_in_page_order() -> None:
    ordered = [DOCUMENTS[2], DOCUMENTS[0], DOCUMENTS[1]]  # by time, then as appended
    text = "".join(canonical_json(document) + "\n" for document in ordered)

    found = digest_store(filled())

    assert found.events.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert (found.events.count, found.snapshots.count, found.kept_snapshots.count) == (3, 2, 3)
    assert (found.definitions.count, found.work.count) == (1, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda one: {**one, "stateAfter": "Other"},
        lambda one: {**one, "unknown": None},
        lambda one: {key: value for key, value in one.items() if key != "caused"},
        lambda one: {**one, "event": {**one["event"], "payload": {"amount": 10.0}}},
        lambda one: {**one, "event": {**one["event"], "payload": {"amount": True}}},
    ],
)
def test_any_difference_of_a_document_shows(change) -> None:  # type: ignore[no-untyped-def]
    from xcstore.store.codec import event_to_document

    document = event_to_document(event(id="e", persisted_at=START))
    one, other = open_memory_stores(), open_memory_stores()
    one.events.append(event_from_document(document))
    other.events.append(event_from_document(change(document)))

    assert differences(digest_store(one).to_document(), digest_store(other).to_document()) == [
        "events: as many (1), but not the same"
    ]


def test_the_order_of_events_of_one_moment_counts() -> None:
    pair = [event(id="a", persisted_at=START), event(id="b", persisted_at=START)]
    one, other = open_memory_stores(), open_memory_stores()
    one.events.append_many(pair)
    other.events.append_many(reversed(pair))

    assert digest_store(one).events != digest_store(other).events


def test_a_digest_is_plain_json() -> None:
    document = digest_store(filled()).to_document()

    assert json.loads(json.dumps(document)) == document
    assert differences(document, document) == []


def test_masked_stores_are_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    with open_stores(url, read_only=False) as stores:
        stores.events.append(event())
    with (
        open_stores(url, redact=Redaction.parse("amount")) as masked,
        pytest.raises(QueryError, match="masked"),
    ):
        digest_store(masked)


@pytest.mark.parametrize("layout", ["documented", "shipped"])
def test_a_copy_of_a_store_of_others_has_its_digest(layout: str, postgresql_database: str) -> None:
    """At equal times others' events are ordered by id, ours by insertion: appended in page order, they agree."""
    events = [foreign_event(number) for number in (5, 3, 4, 1, 2)]
    foreign.make(postgresql_database, layout, events, [foreign_snapshot(number) for number in (2, 1)])
    target = open_memory_stores()

    with open_stores(postgresql_database) as source:
        for row in StoreContents(source).events():
            target.events.append(event_from_document(row.document))
        expected: StoreDigest = digest_store(source)
        ids = [one.id for one in source.events.get_all_events()]

    assert ids == sorted(ids)
    assert digest_store(target).events == expected.events
    assert expected.snapshots.count == expected.kept_snapshots.count == 2


def foreign_event(number: int) -> PersistedEvent:
    return event(id=uid(number), instance_id=uid(100), persisted_at=START, payload={"n": number, "x": [1e23, "\\'"]})


def foreign_snapshot(number: int) -> InstanceSnapshot:
    return snapshot(id=uid(number), current_state="Paid")


def test_a_status_that_is_not_recorded_is_not_made_up(postgresql_database: str) -> None:
    foreign.make(postgresql_database, "shipped", [foreign_event(1)], [foreign_snapshot(1)])
    with psycopg.connect(postgresql_database) as connection:
        connection.execute("UPDATE fsm_snapshots SET created_at = NULL, updated_at = to_timestamp(7)")

    with open_stores(postgresql_database) as stores:
        (row,) = StoreContents(stores).snapshots()

    assert "status" not in row.document["instance"]  # type: ignore[operator]
    assert row.document["snapshotAt"] == 7_000
