"""The smallest set of inputs that still leads to an event."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.factories import START, event
from tests.replay.fork_examples import UNSHRUNK
from tests.replay.programs import Step, populated, programs
from tests.runtime.disturbing import CountedIds, Life
from tests.runtime.strategies import Asked, components, methods_for
from xcstore.demo.generator import generate_demo
from xcstore.errors import NotFoundError, QueryError
from xcstore.model.catalog import Catalog
from xcstore.model.definition import Component
from xcstore.model.history import PersistedEvent
from xcstore.model.loader import component_from_document, parse_component
from xcstore.replay.exporting import run_document, unmet
from xcstore.replay.slicing import Slice, minimal_slice, slice_test
from xcstore.replay.track import InstanceScope, RangeScope, TraceScope, Track, open_track
from xcstore.runtime import ComponentRegistry, FSMRuntime, PersistenceConfig, SimulatedClock
from xcstore.store.base import EventQuery, Stores
from xcstore.store.memory import open_memory_stores
from xcstore.units import HOUR, EpochMs

SHOP = parse_component("""
name: Shop
stateMachines:
  - name: Order
    initialState: Open
    states:
      - name: Open
      - name: Paid
        cascadingRules:
          - { targetComponent: Depot, targetMachine: Parcel, targetState: Packed, event: RELEASE,
              matchingRules: [{ eventProperty: key, instanceProperty: key }], payload: { key: "{{key}}" } }
      - name: Lost
        type: error
    transitions:
      - { from: Open, to: Open, event: NOTE, type: internal }
      - { from: Open, to: Paid, event: PAY }
      - { from: Paid, to: Paid, event: VIEW, type: internal }
      - { from: Paid, to: Lost, event: FORGOTTEN, type: timeout, timeoutMs: 3600000 }
""")
DEPOT = parse_component("""
name: Depot
stateMachines:
  - name: Parcel
    initialState: Empty
    states: [{ name: Empty }, { name: Packed }, { name: Gone, type: final }]
    transitions:
      - { from: Empty, to: Empty, event: SCAN, type: internal }
      - { from: Empty, to: Packed, event: PACK }
      - from: Packed
        to: Gone
        event: RELEASE
        matchingRules: [{ eventProperty: key, instanceProperty: key }]
""")
CATALOG = Catalog([SHOP, DEPOT])


class World:
    """Both components over one memory, under simulated time."""

    def __init__(self, *made: Component) -> None:
        self.stores, self.clock = open_memory_stores(), SimulatedClock(START)
        registry, ids = ComponentRegistry(), CountedIds()
        self.runtimes: dict[str, FSMRuntime] = {}
        for component in made or (SHOP, DEPOT):
            config = PersistenceConfig(event_sourcing=True, event_store=self.stores.events)
            runtime = FSMRuntime(component, config, clock=self.clock, ids=ids, environment={})
            self.runtimes[component.name] = runtime
            registry.register(runtime)

    def create(self, component: str, key: str) -> str:
        machine = self.runtimes[component].component.machines[0].name
        self.pass_time(1_000)
        return self.runtimes[component].create_instance(machine, {"key": key})

    def send(self, component: str, instance: str, event_type: str, **payload: object) -> None:
        self.pass_time(1_000)
        self.runtimes[component].send(instance, event_type, payload)

    def pass_time(self, ms: int) -> None:
        self.clock.advance_to(EpochMs(self.clock.now() + ms))

    def track(self) -> Track:
        return open_track(self.stores, RangeScope(start=START, end=self.clock.now()), catalog=CATALOG)

    def event(self, event_type: str, instance: str) -> PersistedEvent:
        stream = self.stores.events.get_events_for_instance(instance)
        return next(one for one in stream if one.event_type == event_type)


def sent(found: Slice) -> list[tuple[str, str]]:
    return [(one.instance_id, one.event_type) for one in found.inputs]


@pytest.fixture
def busy() -> tuple[World, str, str]:
    """An order and a parcel among others, with much that leads nowhere."""
    world = World()
    other, order = world.create("Shop", "B"), world.create("Shop", "A")
    parcel = world.create("Depot", "A")
    for _ in range(3):
        world.send("Shop", order, "NOTE", text="please hurry")
        world.send("Depot", parcel, "SCAN")
        world.send("Shop", other, "NOTE")
    world.send("Depot", parcel, "PACK")
    world.send("Shop", other, "PAY")
    world.send("Shop", order, "PAY")
    return world, order, parcel


def test_what_leads_there_across_components_is_left(busy: tuple[World, str, str]) -> None:
    world, order, parcel = busy

    found = minimal_slice(world.track(), world.event("RELEASE", parcel).id, catalog=CATALOG)

    assert sent(found) == [(order, ""), (parcel, ""), (parcel, "PACK"), (order, "PAY")]
    assert (found.reproduces, found.minimal, found.wanted) == (True, True, {})
    # The notes and scans of the two were in the causal past; what happened to the other order was not.
    assert (found.considered, found.dropped) == (10, 6)
    assert found.reached is not None
    assert (found.reached.event_type, found.reached.instance_id) == ("RELEASE", parcel)


def test_a_timer_needs_what_started_it(busy: tuple[World, str, str]) -> None:
    world, order, _ = busy
    world.send("Shop", order, "VIEW")
    world.pass_time(2 * HOUR)

    found = minimal_slice(world.track(), world.event("FORGOTTEN", order).id, catalog=CATALOG)

    assert sent(found) == [(order, ""), (order, "PAY")]


def test_values_that_are_asked_for_keep_what_set_them(busy: tuple[World, str, str]) -> None:
    world, order, _ = busy
    track, bad = world.track(), world.event("PAY", order).id

    assert [kind for _, kind in sent(minimal_slice(track, bad, catalog=CATALOG))] == ["", "PAY"]
    found = minimal_slice(track, bad, catalog=CATALOG, paths=["text"])
    assert [kind for _, kind in sent(found)] == ["", "NOTE", "PAY"]
    assert found.wanted == {"text": "please hurry"}


def test_the_track_of_one_instance_takes_what_came_from_others_as_given(busy: tuple[World, str, str]) -> None:
    world, _, parcel = busy
    track = open_track(world.stores, InstanceScope(instance_id=parcel), catalog=CATALOG)

    found = minimal_slice(track, world.event("RELEASE", parcel).id, catalog=CATALOG)

    assert [kind for _, kind in sent(found)] == ["", "PACK", "RELEASE"]


def test_what_our_runtime_does_not_do_is_told() -> None:
    stores = open_memory_stores()
    made = event(
        id="a", component_name="Shop", event_type="INSTANCE_CREATED", state_before="", state_after="Open",
        payload={"initialContext": {}}, persisted_at=START,
    )  # fmt: skip
    odd = event(
        id="b", component_name="Shop", event_type="LOSE", state_before="Open", state_after="Lost", payload={},
        persisted_at=EpochMs(START + 1),
    )  # fmt: skip
    stores.events.append_many([made, odd])
    track = open_track(stores, InstanceScope(instance_id="i1"), catalog=CATALOG)

    found = minimal_slice(track, "b", catalog=CATALOG)

    assert (found.reproduces, found.minimal, found.inputs, found.reached) == (False, False, (), None)
    assert "LOSE" in found.reason


def test_without_time_nothing_is_said_to_be_proved(busy: tuple[World, str, str]) -> None:
    world, _, parcel = busy

    found = minimal_slice(world.track(), world.event("RELEASE", parcel).id, catalog=CATALOG, max_seconds=0)

    assert not found.minimal
    assert "time" in found.reason


def test_progress_counts_down_and_may_end_the_work(busy: tuple[World, str, str]) -> None:
    world, _, parcel = busy
    bad = world.event("RELEASE", parcel).id
    steps: list[tuple[int, int]] = []

    minimal_slice(world.track(), bad, catalog=CATALOG, on_progress=lambda *step: steps.append(step))
    assert steps[0] == (10, 10)
    assert steps[-1][0] == 4
    assert [left for left, _ in steps] == sorted((left for left, _ in steps), reverse=True)

    def cancel(left: int, considered: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        minimal_slice(world.track(), bad, catalog=CATALOG, on_progress=cancel)


def run_as_file(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "test_exported.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_exported.py"]
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_the_exported_test_leads_there_by_itself(busy: tuple[World, str, str], tmp_path: Path) -> None:
    world, _, parcel = busy
    track = world.track()
    found = minimal_slice(track, world.event("RELEASE", parcel).id, catalog=CATALOG)

    text = slice_test(track, found, CATALOG)

    passed = run_as_file(text, tmp_path)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    # It can fail: with another definition the parcel is not released.
    document = document_of(text.replace('"to": "Gone"', '"to": "Empty"'))
    (missing,) = unmet(document, run_document(document))
    assert "does not take Packed -> Gone on RELEASE" in missing


def test_the_exported_test_holds_the_values_that_were_asked_for(busy: tuple[World, str, str]) -> None:
    world, order, _ = busy
    track = world.track()
    found = minimal_slice(track, world.event("PAY", order).id, catalog=CATALOG, paths=["text"])

    document = document_of(slice_test(track, found, CATALOG))

    assert unmet(document, run_document(document)) == []
    without = {**document, "inputs": [one for one in document["inputs"] if one["event"] != "NOTE"]}
    assert unmet(without, run_document(without)) != []


def document_of(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(text, names)  # ours, as written a line above
    document: dict[str, Any] = names["DOCUMENT"]
    return document


def test_what_does_not_happen_again_makes_no_test(busy: tuple[World, str, str]) -> None:
    world, _, parcel = busy
    track = world.track()
    found = minimal_slice(track, world.event("RELEASE", parcel).id, catalog=CATALOG)

    with pytest.raises(QueryError, match="nothing to test"):
        slice_test(track, replace(found, reached=None), CATALOG)


@pytest.fixture(scope="module")
def demo() -> Iterator[tuple[Stores, Catalog]]:
    with open_memory_stores() as stores:
        generate_demo(stores, days=14)
        documents = [one.document for one in stores.definitions.get_all_definitions()]
        yield stores, Catalog(map(component_from_document, documents))


@pytest.mark.parametrize("event_type", ["PARCEL_LOST", "CANCEL", "PARCEL_DELIVERED"])
def test_stories_of_the_demo_come_down_to_what_matters(demo: tuple[Stores, Catalog], event_type: str) -> None:
    stores, catalog = demo
    bad = stores.events.find(EventQuery(event_types=(event_type,)), limit=1).items[0]
    track = open_track(stores, TraceScope(event_id=bad.id), catalog=catalog)

    found = minimal_slice(track, bad.id, catalog=catalog, max_seconds=300)

    assert found.reproduces
    assert found.minimal
    assert 0 < len(found.inputs) < found.considered
    assert (bad.instance_id, "") in sent(found)
    assert "TRACKING_VIEWED" not in {kind for _, kind in sent(found)}
    document = document_of(slice_test(track, found, catalog))
    assert unmet(document, run_document(document)) == []
    for number, one in enumerate(document["inputs"]):
        if one["event"]:
            less = {**document, "inputs": document["inputs"][:number] + document["inputs"][number + 1 :]}
            assert unmet(less, run_document(less)) != [], one


@given(components(), programs, st.data())
@settings(max_examples=30, deadline=None, phases=UNSHRUNK, suppress_health_check=list(HealthCheck))
def test_every_event_of_a_random_history_has_a_slice(
    made: tuple[Component, ...], program: list[Step], choice: st.DataObject
) -> None:
    # Who is an entry point is in no event; what a method on entry changed last, neither.
    life = Life(made, open_memory_stores(), methods_for(made, Asked()))
    populated(life)
    for step in program:
        step(life)
    events = life.all_events()
    bad = choice.draw(st.sampled_from(events))
    catalog = Catalog(made)
    track = open_track(life.stores, RangeScope(start=START, end=life.clock.now()), catalog=catalog)

    found = minimal_slice(track, bad.id, catalog=catalog, max_seconds=300)

    assert found.reproduces, found.reason
    assert found.minimal
    assert len(found.inputs) <= found.considered


def test_an_event_that_is_not_there_is_refused(busy: tuple[World, str, str]) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        minimal_slice(busy[0].track(), "nowhere", catalog=CATALOG)


def test_values_that_are_not_recorded_are_refused() -> None:
    stores = open_memory_stores()
    stores.events.append_many([event(id="a", event_type="PAY", payload={})])
    track = open_track(stores, InstanceScope(instance_id="i1"), catalog=CATALOG)

    with pytest.raises(QueryError, match="does not record values"):
        minimal_slice(track, "a", catalog=CATALOG, paths=["amount"])
