"""The rules on what the TypeScript runtime really did and stored."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from tests.reference.test_postgresql_dumps import Loaded, loaded  # noqa: F401 - the dumps in a database, a fixture
from tests.reference.test_runs import AT_HAND, Run, is_a_deadlock, play
from xcstore.analysis.causality import Link, causal_graph, doubts_of
from xcstore.analysis.inference import Surroundings, infer, named_instance, timer_reason
from xcstore.analysis.routes import WINDOW
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.model.loader import component_from_document
from xcstore.queries.causality import neighbourhood
from xcstore.store.codec import event_from_document
from xcstore.store.memory import open_memory_stores

PLAYED = [run for run in AT_HAND if not is_a_deadlock(run)]


def stripped(events: list[PersistedEvent], *, bare: bool) -> list[PersistedEvent]:
    """Without what our runtime knows; `bare`: as another writer would have stored them."""
    taken = [replace(event, caused_by=(), caused=()) for event in events]
    return [replace(event, source_component_name=None, definition_hash=None) for event in taken] if bare else taken


@pytest.mark.usefixtures("reference")
def test_there_are_runs_to_infer_from() -> None:
    assert PLAYED


@pytest.mark.parametrize("bare", [False, True])
def test_in_the_recorded_runs_every_cause_that_the_definition_makes_is_found_and_no_other(bare: bool) -> None:
    """Where a method sent the event, the definition cannot know; nothing false is said of it either."""
    found: Counter[str] = Counter()
    for run in PLAYED:
        stage, _ = play(run)
        events = list(stage.stores.events.get_all_events())
        around = Surroundings(stripped(events, bare=bare))
        for taken, truth in zip(stripped(events, bare=bare), events, strict=True):
            link = infer(taken, around, Catalog([stage.component]), succession=False)
            if link is not None and link.evidence.endswith("; stored after it"):
                assert bare, "of our own events none that was stored later is a cause"
            elif link is not None:
                assert (run["case"], link.rule, (link.cause_id,)) == (run["case"], link.rule, truth.caused_by)
                found[link.rule] += 1
            elif not run.get("hooks") and (bare or not is_sent_within(truth, events)):
                assert (run["case"], truth.event_type, truth.caused_by) == (run["case"], truth.event_type, ())
    assert {"timer", "parent"} <= found.keys()
    assert ("cascade" in found) == bare, "our runtime records who sent what; without a record it came from outside"


def is_sent_within(event: PersistedEvent, events: list[PersistedEvent]) -> bool:
    """Whether another instance sent it, and nothing in the event itself says so."""
    cause = next((one for one in events if one.id in event.caused_by), None)
    told = timer_reason(event) or named_instance(event) or event.source_component_name
    return cause is not None and cause.instance_id != event.instance_id and not told


def logged(run: Run, what: str) -> list[Any]:
    return [entry for entry in run["expect"]["log"] if entry[0] == what]


def test_parents_and_cascades_are_those_that_the_typescript_runtime_told_of() -> None:
    parents = cascades = 0
    for run in PLAYED:
        stage, _ = play(run)
        events = stripped(list(stage.stores.events.get_all_events()), bare=True)
        around, at = Surroundings(events), {event.id: event for event in events}
        links = [link for event in events if (link := infer(event, around, Catalog([stage.component])))]
        told = {
            (stage.names[at[link.cause_id].instance_id], stage.names[at[link.effect_id].instance_id])
            for link in links
            if link.rule == "parent"
        }
        assert told == {(parent, child) for _, parent, child, _ in logged(run, "inter_machine_transition")}
        parents += len(told)
        for _, sender, _, _, event_type, count in logged(run, "cascade_completed"):
            reached = [
                link
                for link in links
                if link.rule == "cascade"
                and stage.names[at[link.cause_id].instance_id] == sender
                and at[link.effect_id].event_type == event_type
            ]
            # The runtime counts who got the event; some of them ignore it in their state, which leaves no event.
            assert len(reached) <= count or len(logged(run, "cascade_completed")) > 1
            cascades += len(reached)
    assert parents
    assert cascades


# What it stored


@pytest.fixture(scope="module")
def events(reference_json: Any) -> list[PersistedEvent]:
    return [event_from_document(document) for document in reference_json("memory_events.json")]


@pytest.fixture(scope="module")
def catalog(reference_json: Any) -> Catalog:
    return Catalog(component_from_document(document) for document in reference_json("components.json").values())


@pytest.fixture(scope="module")
def inferred(events: list[PersistedEvent], catalog: Catalog) -> dict[str, Link]:
    around = Surroundings(events)
    return {event.id: link for event in events if (link := infer(event, around, catalog)) is not None}


def test_every_timer_every_child_and_every_event_from_another_component_gets_its_cause(
    events: list[PersistedEvent], inferred: dict[str, Link]
) -> None:
    at = {event.id: event for event in events}
    created = {event.instance_id for event in events if event.event_type == CREATION}
    for event in events:
        link = inferred.get(event.id)
        if timer_reason(event):
            assert link is not None
            assert link.rule == "timer"
            assert at[link.cause_id].instance_id == event.instance_id
            assert at[link.cause_id].state_after == event.state_before
        elif event.event_type == CREATION and named_instance(event) in created:
            assert link is not None
            assert link.rule == "parent"
            assert at[link.cause_id].instance_id == named_instance(event)
        elif event.source_component_name:
            assert link is not None
            assert link.rule == "sender"
            assert at[link.cause_id].component_name == event.source_component_name


def test_what_a_definition_sends_arrives_far_within_the_window(
    events: list[PersistedEvent], inferred: dict[str, Link]
) -> None:
    gaps = [link.gap_ms for link in inferred.values() if link.rule in ("sender", "cascade") and link.gap_ms is not None]

    assert gaps
    assert max(gaps) * 5 < WINDOW


def test_a_rule_that_reads_what_the_runtime_wrote_contradicts_no_sound_link(
    events: list[PersistedEvent], catalog: Catalog, inferred: dict[str, Link]
) -> None:
    """Timers and parents: where the recorded cause is of the right instance, rule and record agree but for a few."""
    at = {event.id: event for event in events}
    agree: Counter[bool] = Counter()
    for event in events:
        link = inferred.get(event.id)
        for cause in event.caused_by:
            if link is None or link.rule not in ("timer", "parent") or doubts_of(at[cause], event, catalog):
                continue
            agree[link.cause_id == cause] += 1
    assert agree[True] > 20 * agree[False]


def test_most_links_between_instances_are_doubtful_and_say_why(events: list[PersistedEvent], catalog: Catalog) -> None:
    at = {event.id: event for event in events}
    graph = causal_graph(events, [(cause, event.id) for event in events for cause in event.caused_by], catalog=catalog)
    between = [link for link in graph.links if link.same_instance is False]
    doubtful = [link for link in between if link.doubts]

    # DESIGN: more than 60 % of the causes belong to an unrelated instance.
    assert len(doubtful) > 0.5 * len(graph.links)
    assert len(doubtful) > 0.5 * len(between)
    assert all(len(doubt) > 20 for link in doubtful for doubt in link.doubts)
    for link in graph.links:
        came_from_elsewhere = bool(at[link.effect_id].source_component_name)
        if link.same_instance and link.gap_ms is not None and link.gap_ms >= 0:
            assert bool(link.doubts) == came_from_elsewhere


@pytest.mark.parametrize("method", ["traceEventAcrossComponents", "runtime_traceEventCausality", "store_traceEvent"])
def test_as_recorded_a_neighbourhood_agrees_with_the_traces_of_the_runtime(
    events: list[PersistedEvent], catalog: Catalog, reference_json: Any, method: str
) -> None:
    with open_memory_stores() as stores:
        stores.events.append_many(events)
        for event_id, expected in reference_json("answers.json")["mem"][method].items():
            found = neighbourhood(stores, event_id, direction="effects", max_events=10_000, catalog=catalog)

            assert set(found.graph.events) == set(expected)
            assert not found.truncated


def test_repaired_causes_of_an_event_stay_with_what_it_has_to_do_with(
    events: list[PersistedEvent], catalog: Catalog
) -> None:
    """As recorded they lead through whatever the runtime did before; repaired, each step is explained or flagged."""
    with open_memory_stores() as stores:
        stores.events.append_many(events)
        crossing = [event for event in events if event.source_component_name][:20]
        for event in crossing:
            found = neighbourhood(stores, event.id, direction="causes", mode="repaired", catalog=catalog)

            (link,) = [link for link in found.graph.links if link.effect_id == event.id]
            assert (link.rule, link.crosses_component) == ("sender", True)
            assert found.graph.events[link.cause_id].component_name == event.source_component_name


def test_both_layouts_of_postgresql_are_repaired_where_they_are(
    loaded: Loaded,  # noqa: F811
    catalog: Catalog,
) -> None:
    """One stores no values beside the events and neither tells the order of one millisecond; nothing is written."""
    events = list(loaded.stores.events.get_all_events())
    around = Surroundings(events)
    wanted = [event for event in events if event.source_component_name or timer_reason(event)][::12]
    assert wanted
    for event in wanted:
        found = neighbourhood(loaded.stores, event.id, direction="causes", mode="both", max_depth=1, catalog=catalog)

        expected = infer(event, around, catalog)
        assert expected is not None
        told = {(link.cause_id, link.rule) for link in found.graph.links if link.effect_id == event.id}
        assert (expected.cause_id, expected.rule) in told or (expected.cause_id, "") in told
