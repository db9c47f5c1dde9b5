"""What is masked is masked on every way out, and cannot be found by searching for it, on every backend."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.backends import open_writable
from tests.contract.helpers import ids
from tests.factories import event, snapshot
from xcstore.errors import QueryError
from xcstore.model.history import PersistedEvent
from xcstore.store.base import EventQuery, Stores
from xcstore.store.codec import MASK, Redaction
from xcstore.store.opening import open_stores

SECRET = "4111-1111"
PAYLOAD = {"card": {"number": SECRET, "holder": "Zoë"}, "amount": 5}


@pytest.fixture
def stores(store_url: str) -> Iterator[Stores]:
    with open_writable(store_url, redact=Redaction.parse("payload.card.number")) as opened:
        opened.events.append_many(
            [
                event(id="e1", payload=PAYLOAD, context={"paid": PAYLOAD}, public_member_snapshot=PAYLOAD),
                event(id="e2", payload={"amount": 6}, caused_by=("e1",)),
            ]
        )
        opened.snapshots.save_snapshot(snapshot(id="i1", context=PAYLOAD, public_member=PAYLOAD))
        yield opened


def test_events_are_masked_on_every_way_out(stores: Stores) -> None:
    ways: list[PersistedEvent] = [
        stores.events.get_event("e1"),
        stores.events.get_events(["e1"])["e1"],
        stores.events.get_events_for_instance("i1")[0],
        stores.events.get_events_by_time_range(stores.events.get_event("e1").persisted_at, 2**62)[0],  # type: ignore[arg-type]
        next(iter(stores.events.get_all_events())),
        stores.events.find(EventQuery()).items[0],
        stores.events.find(EventQuery(text="zoë")).items[0],
        stores.events.trace("e2").events[1],
    ]

    for found in ways:
        assert found.payload == {"card": {"number": MASK, "holder": "Zoë"}, "amount": 5}
        assert SECRET not in repr((found, found.original, found.context, found.public_member_snapshot))


def test_frames_are_masked(stores: Stores) -> None:
    for query in (EventQuery(), EventQuery(text="zoë"), EventQuery(instance_ids=("i1",))):
        text = json.dumps(stores.events.to_arrow(query).to_pylist(), ensure_ascii=False)
        assert SECRET not in text
        assert MASK in text


def test_snapshots_are_masked(stores: Stores) -> None:
    found = [
        stores.snapshots.get_snapshot("i1"),
        *stores.snapshots.get_all_snapshots(),
        *stores.snapshots.list_snapshots("i1"),
        *stores.snapshots.find().items,
        *stores.snapshots.get_snapshots(["i1"]).values(),
    ]

    assert len(found) == 5
    for one in found:
        assert one is not None
        assert one.instance.context["card"] == {"number": MASK, "holder": "Zoë"}
        assert SECRET not in repr((one, one.original))


def test_a_masked_value_cannot_be_found_by_searching(stores: Stores) -> None:
    assert ids(stores.events.find(EventQuery(text="4111")).items) == []
    assert stores.events.count(EventQuery(text="4111"))[0].count == 0
    by_path = EventQuery(payload_path=("card", "number"), payload_value=SECRET)
    for ask in (stores.events.find, stores.events.count, stores.events.to_arrow):
        with pytest.raises(QueryError, match="masked"):
            ask(by_path)
    assert ids(stores.events.find(EventQuery(payload_path=("card", "holder"), payload_value="Zoë")).items) == ["e1"]


def test_what_is_stored_stays_whole(stores: Stores, store_url: str, backend: str) -> None:
    if backend == "memory":
        pytest.skip("memory:// cannot be opened a second time")
    with open_stores(store_url) as plain:
        assert plain.events.get_event("e1").payload == PAYLOAD
