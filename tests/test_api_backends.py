"""The API on every backend: the same answers, and no server error whatever id is asked for."""

from __future__ import annotations

import json
from dataclasses import replace

from tests.api_serving import get, served
from tests.factories import START, event
from xcstore.config import Settings
from xcstore.model.history import CREATION
from xcstore.store.base import Stores

EVENTS = tuple(
    replace(one, persisted_at=START + number * 1_000)
    for number, one in enumerate(
        (
            event(id="a", instance_id="o1", event_type=CREATION, state_before="", state_after="Created"),
            event(id="b", instance_id="o1", caused_by=("a",)),
            event(id="c", instance_id="s1", component_name="Shipping", machine_name="Parcel", caused_by=("b",)),
        )
    )
)
PATHS = {
    "/cross-component/causality/b": ("causality", ["b", "c"]),
    "/cross-component/causality/b?direction=causes&mode=both": ("causality", ["b", "a"]),
    "/cross-component/events": ("events", ["a", "b", "c"]),
    "/cross-component/events?text=o1&order=newest": ("events", ["b", "a"]),
    "/Shop/events?limit=1": ("events", ["a"]),
    "/cross-component/instance/o1/history": ("history", ["a", "b"]),
    "/instances": ("instances", ["s1", "o1"]),
    "/Shipping/instances": ("instances", ["s1"]),
}
ODD = ("%00", "%ED%A0%80", "%27%20or%201=1--", "a%2Fb", "%24where", "*", "x" * 3_000)


def test_answers_are_the_same_on_every_backend(stores: Stores) -> None:
    stores.events.append_many(EVENTS)
    with served(lambda: Settings(url="memory://given"), opener=lambda _: stores) as address:
        for path, (name, expected) in PATHS.items():
            answer = json.loads(get(f"{address}{path}").text)
            assert [item["id"] for item in answer["data"][name]] == expected, path
        counts = json.loads(get(f"{address}/components").text)["data"]["components"]
        assert [(row["name"], row["eventCount"]) for row in counts] == [("Shipping", 1), ("Shop", 2)]


def test_odd_ids_and_words_are_not_found(stores: Stores) -> None:
    stores.events.append_many(EVENTS)
    with served(lambda: Settings(url="memory://given"), opener=lambda _: stores) as address:
        for odd in ODD:
            for path in (f"/cross-component/causality/{odd}", f"/cross-component/instance/{odd}", f"/{odd}/events"):
                assert get(f"{address}{path}").status == 404, path
            answer = get(f"{address}/cross-component/events?instanceId={odd}&component={odd}&state={odd}")
            assert (answer.status, json.loads(answer.text)["data"]["events"]) == (200, [])
            assert get(f"{address}/cross-component/events?text={odd}").status == 200
            assert get(f"{address}/cross-component/events?payloadPath={odd}&payloadValue={odd}").status == 200
        for moment in (-(2**63) + 1, 2**63 - 1):
            assert get(f"{address}/cross-component/events?from={moment}&to={moment}").status == 200
