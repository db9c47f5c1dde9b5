"""Promise 7, and that what is written stays: stores opened a second time. Memory has nothing to open again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.backends import open_writable
from tests.factories import event, snapshot
from xcstore.errors import ReadOnlyStoreError
from xcstore.store.base import EventQuery, OutboxChange, StoredDefinition, Stores
from xcstore.store.opening import open_stores


@pytest.fixture
def store_url(backend: str, store_url: str) -> str:
    if backend == "memory":
        pytest.skip("memory:// is writable, and gone when it is closed")
    return store_url


WRITES: dict[str, Callable[[Stores], object]] = {
    "append": lambda stores: stores.events.append(event(id="new")),
    "append with expectation": lambda stores: stores.events.append(event(id="new"), expected_last_id="e1"),
    "append_many": lambda stores: stores.events.append_many([event(id="new")]),
    "append_many of nothing": lambda stores: stores.events.append_many([]),
    "append of a stored id": lambda stores: stores.events.append(event(id="e1")),
    "append with outbox": lambda stores: stores.events.append(event(id="new"), outbox=OutboxChange()),
    "change_outbox": lambda stores: stores.events.change_outbox(OutboxChange(remove=("w",))),
    "save_snapshot": lambda stores: stores.snapshots.save_snapshot(snapshot(id="i9")),
    "save_snapshots of nothing": lambda stores: stores.snapshots.save_snapshots([]),
    "delete_snapshot": lambda stores: stores.snapshots.delete_snapshot("i1"),
    "save_definition": lambda stores: stores.definitions.save_definition(
        StoredDefinition(hash="h", component_name="Shop", document={})
    ),
}


def test_a_store_opened_for_reading_refuses_every_write(store_url: str, subtests: pytest.Subtests) -> None:
    with open_writable(store_url) as stores:
        stores.events.append(event(id="e1"))
        stores.snapshots.save_snapshot(snapshot(id="i1"))

    with open_stores(store_url) as stores:
        assert stores.events.read_only
        for name, write in WRITES.items():
            with subtests.test(name), pytest.raises(ReadOnlyStoreError):
                write(stores)

    with open_stores(store_url) as stores:
        assert stores.events.count(EventQuery())[0].count == 1
        assert stores.snapshots.count() == 1
        assert list(stores.definitions.get_all_definitions()) == []


def test_what_is_written_is_there_when_the_store_is_opened_again(store_url: str) -> None:
    written, taken = event(id="e1", caused_by=("e0",), payload={"b": 1, "a": [2.5]}), snapshot(id="i1")
    with open_writable(store_url) as stores:
        stores.events.append(written)
        stores.snapshots.save_snapshot(taken)
        identity = stores.identity

    with open_stores(store_url) as stores:
        assert stores.identity == identity
        assert stores.events.get_event("e1") == written
        assert stores.events.get_caused_events("e0") == [written]
        assert stores.snapshots.get_snapshot("i1") == taken


def test_a_reader_sees_what_another_store_object_appends(store_url: str) -> None:
    with open_writable(store_url) as writer:
        writer.events.append(event(id="e1"))
        with open_stores(store_url) as reader:
            assert reader.events.count(EventQuery())[0].count == 1
            writer.events.append(event(id="e2"))
            assert reader.events.count(EventQuery())[0].count == 2
            assert len(reader.events.find(EventQuery()).items) == 2
