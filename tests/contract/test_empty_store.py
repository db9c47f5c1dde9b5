"""Every method has an answer on a store that holds nothing."""

from __future__ import annotations

import pytest

from tests.backends import BACKENDS
from xcstore.errors import NotFoundError, UnknownEventError
from xcstore.store.base import EventQuery, InstanceQuery, Page, Stores
from xcstore.units import HOUR, EpochMs


def test_an_empty_store_answers_everything(stores: Stores) -> None:
    events = stores.events
    query = EventQuery(text="x", payload_path=("a",), payload_value="b")

    assert events.get_events_for_instance("i1") == []
    assert events.get_events_by_time_range(EpochMs(0), EpochMs(2**60)) == []
    assert events.get_caused_events("e1") == []
    assert list(events.get_all_events()) == []
    assert events.get_events(["e1"]) == {}
    assert events.find(EventQuery()) == Page(items=())
    assert events.find(query, newest_first=True) == Page(items=())
    assert events.count(query)[0].count == 0
    assert events.count(query, by=("machine_name",), bucket_ms=HOUR) == []
    assert events.time_range() is None
    assert events.instances(InstanceQuery()) == Page(items=())
    assert events.count_instances(InstanceQuery()) == []
    assert events.to_arrow(query).num_rows == 0
    with pytest.raises(NotFoundError):
        events.get_event("e1")
    with pytest.raises(NotFoundError):
        events.trace("e1")
    with pytest.raises(UnknownEventError):
        events.get_events_after_snapshot("i1", "e1")


def test_an_empty_store_has_no_snapshots_and_no_definitions(stores: Stores) -> None:
    assert stores.snapshots.get_snapshot("i1") is None
    assert list(stores.snapshots.get_all_snapshots()) == []
    assert list(stores.snapshots.list_snapshots("i1")) == []
    assert stores.snapshots.find() == Page(items=())
    assert stores.snapshots.count() == 0
    assert list(stores.definitions.get_all_definitions()) == []


def test_a_store_says_what_it_is(stores: Stores, backend: str) -> None:
    assert stores.identity == stores.events.identity
    assert stores.identity.startswith(backend)
    assert stores.events.layout == BACKENDS[backend].layout
    assert stores.events.read_only is ("append" not in BACKENDS[backend].declares)
