"""`/api` over the reference's own history, against what the TypeScript runtime answered about it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api_serving import get, served
from xcstore.config import Settings
from xcstore.store.codec import event_from_document
from xcstore.store.opening import open_stores


@pytest.fixture(scope="module")
def address(reference_json: Any) -> Iterator[str]:
    with open_stores("memory://", read_only=False) as stores:
        stores.events.append_many(event_from_document(document) for document in reference_json("memory_events.json"))
        with served(lambda: Settings(url="memory://given"), opener=lambda _: stores) as address:
            yield address


@pytest.fixture(scope="module")
def answers(reference_json: Any) -> Any:
    return reference_json("answers.json")["mem"]


def test_a_trace_has_the_same_events_in_the_same_order(address: str, answers: Any, reference_json: Any) -> None:
    documents = {document["id"]: document for document in reference_json("memory_events.json")}
    asked = answers["traceEventAcrossComponents"]

    for event_id, expected in asked.items():
        answer = json.loads(get(f"{address}/cross-component/causality/{event_id}?maxEvents=10000").text)
        assert answer["success"] is True
        assert answer["data"]["causality"] == [documents[name] for name in expected]
        assert answer["data"]["count"] == len(expected)
        assert answer["data"]["truncated"] is False
    assert len(asked) == 100


def test_a_history_has_the_same_events_in_the_same_order(address: str, answers: Any) -> None:
    for instance_id, expected in answers["getEventsForInstance"].items():
        answer = json.loads(get(f"{address}/cross-component/instance/{instance_id}/history").text)
        assert [event["id"] for event in answer["data"]["history"]] == expected


def test_a_range_of_time_has_the_same_events(address: str, answers: Any) -> None:
    for asked in answers["getEventsByTimeRange"]:
        found: list[str] = []
        after = ""
        while True:
            query = f"from={asked['start']}&to={asked['end']}&limit=1000{after}"
            data = json.loads(get(f"{address}/cross-component/events?{query}").text)["data"]
            found += [event["id"] for event in data["events"]]
            if data["next"] is None:
                break
            after = f"&after={data['next']}"
        assert sorted(found) == sorted(asked["ids"])
