"""The memory dump of the TypeScript runtime, against what the runtime itself answered from that memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.helpers import ids, walk
from xcstore.frames import events_frame, snapshots_to_frame
from xcstore.store.base import EventQuery, InstanceQuery, Stores
from xcstore.store.codec import (
    event_from_document,
    event_to_document,
    snapshot_from_document,
    snapshot_to_document,
)
from xcstore.store.opening import open_stores


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def stores(request: pytest.FixtureRequest, reference_json: Any, tmp_path_factory: Any) -> Iterator[Stores]:
    """The dump as it is, in memory and imported into a file of ours."""
    file = tmp_path_factory.mktemp("dump") / "events.db"
    url = "memory://" if request.param == "memory" else f"sqlite:///{file}"
    with open_stores(url, read_only=False) as opened:
        opened.events.append_many(event_from_document(document) for document in reference_json("memory_events.json"))
        for document in reference_json("memory_snapshots.json"):
            opened.snapshots.save_snapshot(snapshot_from_document(document))
        yield opened


@pytest.fixture(scope="module")
def answers(reference_json: Any) -> Any:
    return reference_json("answers.json")["mem"]


def test_everything_is_there_and_comes_out_as_it_went_in(stores: Stores, reference_json: Any) -> None:
    documents = reference_json("memory_events.json")

    stored = {event.id: event for event in stores.events.get_all_events()}

    assert stores.events.count(EventQuery())[0].count == len(stored) == len(documents) == 4315
    for document in documents:
        out = event_to_document(stored[document["id"]])
        assert out == document
        assert list(out) == list(document)
        assert list(out["event"]) == list(document["event"])  # type: ignore[call-overload]
    assert len(ids(walk(stores.events.find, EventQuery(), limit=1000))) == len(set(stored)) == 4315


def test_every_snapshot_comes_out_as_it_went_in(stores: Stores, reference_json: Any) -> None:
    documents = {document["instance"]["id"]: document for document in reference_json("memory_snapshots.json")}

    found = {one.instance.id: snapshot_to_document(one) for one in stores.snapshots.get_all_snapshots()}

    assert found == documents
    assert stores.snapshots.count() == len(documents)
    assert len(snapshots_to_frame(stores.snapshots.get_all_snapshots())) == len(documents)


def test_histories_are_those_of_the_runtime(stores: Stores, answers: Any) -> None:
    for instance_id, expected in answers["getEventsForInstance"].items():
        assert ids(stores.events.get_events_for_instance(instance_id)) == expected


def test_time_ranges_are_those_of_the_runtime(stores: Stores, answers: Any) -> None:
    for asked in answers["getEventsByTimeRange"]:
        found = stores.events.get_events_by_time_range(asked["start"], asked["end"])
        assert ids(found) == asked["ids"]


def test_caused_events_are_those_of_the_runtime(stores: Stores, answers: Any) -> None:
    for event_id, expected in answers["getCausedEvents"].items():
        assert ids(stores.events.get_caused_events(event_id)) == expected


@pytest.mark.parametrize("method", ["traceEventAcrossComponents", "runtime_traceEventCausality", "store_traceEvent"])
def test_traces_reach_the_events_that_the_runtime_reached(stores: Stores, answers: Any, method: str) -> None:
    for event_id, expected in answers[method].items():
        trace = stores.events.trace(event_id, "effects", max_events=10_000)
        # The runtime goes depth first, we breadth first: the same events in another order.
        assert trace.events[0].id == expected[0] == event_id
        assert set(ids(trace.events)) == set(expected)
        assert not trace.truncated


def test_counts_and_instances_are_those_of_the_dump(stores: Stores, reference_json: Any) -> None:
    documents = reference_json("memory_events.json")

    counts = stores.events.count(EventQuery(), by=("component_name", "machine_name"))
    instances = walk(stores.events.instances, InstanceQuery(), limit=300)

    expected = Counter((document["componentName"], document["machineName"]) for document in documents)
    assert {count.key: count.count for count in counts} == expected
    assert {one.instance_id: one.event_count for one in instances} == Counter(
        document["instanceId"] for document in documents
    )
    assert sum(state.count for state in stores.events.count_instances(InstanceQuery())) == len(instances)


def test_the_frame_holds_every_event(stores: Stores) -> None:
    frame = events_frame(stores.events, EventQuery(), limit=None)

    assert len(frame) == 4315
    assert not frame["out_of_range"].any()
    assert frame["persisted_at_ms"].is_monotonic_increasing
