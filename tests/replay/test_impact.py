"""What a candidate definition makes of a stored history, checked against runtimes that really live under it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.factories import START, event
from xcstore.analysis.context import same_json
from xcstore.demo.generator import generate_demo
from xcstore.errors import InstanceNotActiveError, NotFoundError
from xcstore.model.catalog import Catalog
from xcstore.model.definition import Component
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.model.loader import component_from_document
from xcstore.replay.impact import Impact, definition_impact
from xcstore.replay.impact_results import MachineImpact
from xcstore.replay.pure_runs import run_stream
from xcstore.replay.rules import Rules
from xcstore.runtime import FSMRuntime, PersistenceConfig, SimulatedClock
from xcstore.runtime.interpreter import MachineTable
from xcstore.store.base import EventQuery, Stores
from xcstore.store.memory import open_memory_stores
from xcstore.units import HOUR, MINUTE, EpochMs

Document = dict[str, Any]

ORDER: Document = {
    "name": "Shop",
    "stateMachines": [
        {
            "name": "Order",
            "initialState": "Open",
            "states": [
                {"name": "Open", "type": "entry"},
                {"name": "Paid"},
                {"name": "Sent", "type": "final"},
                {"name": "Late", "type": "error"},
            ],
            "transitions": [
                {"from": "Open", "to": "Open", "event": "CHANGE", "type": "internal"},
                {"from": "Open", "to": "Paid", "event": "PAY"},
                {"from": "Open", "to": "Late", "event": "FORGOTTEN", "type": "timeout", "timeoutMs": 24 * HOUR},
                {"from": "Paid", "to": "Sent", "event": "SEND"},
            ],
        }
    ],
}
SHOP = component_from_document(ORDER)


def changed(edit: Any) -> Component:
    """The shop's definition after `edit` was applied to the machine's document."""
    document: Document = json.loads(json.dumps(ORDER))
    edit(document["stateMachines"][0])
    return component_from_document(document)


def lived(component: Component, steps: Iterable[tuple[int, str, str, Document]], *, until: int = 0) -> Stores:
    """Stores in which a runtime of ours has lived: steps are (after ms, instance, event type, data); '' creates."""
    stores, clock = open_memory_stores(), SimulatedClock(START)
    config = PersistenceConfig(event_sourcing=True, event_store=stores.events, definition_store=stores.definitions)
    runtime = FSMRuntime(component, config, clock=clock, environment={})
    ids: dict[str, str] = {}
    for at, name, event_type, data in steps:
        clock.advance_to(EpochMs(START + at))
        if event_type:
            runtime.send(ids[name], event_type, data)
        else:
            ids[name] = runtime.create_instance(component.machines[0].name, data)
    clock.advance_to(max(EpochMs(START + until), clock.now()))
    return stores


def impact(stores: Stores, candidate: Component, **options: Any) -> Impact:
    return definition_impact(stores, candidate, catalog=Catalog([SHOP]), **options)


def of_order(found: Impact) -> MachineImpact:
    (machine,) = found.machines
    assert machine.same + machine.same_end + machine.other_end + machine.unknown == machine.instances
    return machine


PAID_AND_SENT = [(0, "a", "", {}), (HOUR, "a", "PAY", {"by": "card"}), (2 * HOUR, "a", "SEND", {})]


def test_the_definition_in_force_changes_nothing() -> None:
    found = impact(lived(SHOP, PAID_AND_SENT), SHOP)

    machine = of_order(found)
    assert (machine.instances, machine.same, machine.changed, machine.moves) == (1, 1, (), {})
    assert (machine.current_differs, machine.values_differ, machine.values_unknown) == (0, 0, 0)
    assert not found.truncated


def test_a_shorter_timer_fires_before_the_next_recorded_event() -> None:
    def shorten(machine: Document) -> None:
        machine["transitions"][2]["timeoutMs"] = 30 * MINUTE

    found = impact(lived(SHOP, PAID_AND_SENT), changed(shorten))

    machine = of_order(found)
    assert machine.moves == {("Sent", "Late"): 1}
    (example,) = machine.examples
    assert (example.part.position, example.part.at, example.part.state) == (2, START + 30 * MINUTE, "Open")
    assert (example.part.now, example.part.then, example.part.event_id) == ("Open", "Late", None)
    assert "FORGOTTEN" in example.part.why
    assert "30 min" in example.part.why
    assert [(one.state, one.event_type, one.ended) for one in machine.ignored] == [
        ("Late", "PAY", True),
        ("Late", "SEND", True),
    ]
    assert machine.never_reached == ("Paid", "Sent")
    assert machine.other_than_recorded == 1


def test_a_longer_timer_lets_what_waits_go_on_waiting() -> None:
    def prolong(machine: Document) -> None:
        machine["transitions"][2]["timeoutMs"] = 48 * HOUR

    stores = lived(SHOP, [(0, "a", "", {}), (23 * HOUR, "b", "", {})], until=30 * HOUR)
    machine = of_order(impact(stores, changed(prolong)))

    # The last event is that of the timer: 'b' has been waiting ever since, in both.
    assert machine.moves == {("Late", "Open"): 1}
    assert machine.same == 1
    assert "later, after 2 d" in machine.examples[0].part.why


def test_a_timer_that_fired_late_is_followed_where_it_is_not_changed() -> None:
    """Timers of a busy process come late; that is no effect of a change elsewhere."""
    stores = open_memory_stores()
    stores.events.append_many(
        recorded(("", "Open", CREATION, 0), ("Open", "Open", "CHANGE", 24 * HOUR + 5), timed("Late", 48 * HOUR + 9))
    )

    def rename(machine: Document) -> None:
        machine["transitions"][3]["event"] = "SHIP"

    machine = of_order(impact(stores, changed(rename)))

    assert (machine.same, machine.current_differs) == (1, 0)


def test_a_transition_that_is_gone_leaves_the_instance_where_it_was() -> None:
    found = impact(lived(SHOP, PAID_AND_SENT), changed(lambda machine: machine["transitions"].pop()))

    machine = of_order(found)
    assert machine.moves == {("Sent", "Paid"): 1}
    assert machine.changed == ("'SEND' in 'Paid': not known, was 'Sent'",)
    assert [(one.state, one.event_type, one.events, one.ended) for one in machine.ignored] == [
        ("Paid", "SEND", 1, False)
    ]
    assert (machine.examples[0].part.position, machine.examples[0].part.why) == (3, "'SEND' is not known in 'Paid'")


def test_the_same_end_by_another_way_is_told_apart() -> None:
    def by_the_way(machine: Document) -> None:
        machine["states"].append({"name": "Packed"})
        machine["transitions"][3]["to"] = "Packed"
        machine["transitions"].append(
            {"from": "Packed", "to": "Sent", "event": "GONE", "type": "auto", "timeoutMs": MINUTE}
        )

    stores = lived(SHOP, PAID_AND_SENT, until=3 * HOUR)
    stores.events.append(event(instance_id="z", component_name="Other", persisted_at=EpochMs(START + 4 * HOUR)))
    machine = of_order(impact(stores, changed(by_the_way)))

    assert (machine.same, machine.same_end, machine.other_end) == (0, 1, 0)
    assert [(one.state, one.now, one.then) for one in machine.reached] == [("Packed", 0, 1)]


def test_values_that_differ_are_counted_by_themselves() -> None:
    def by_rule(machine: Document) -> None:
        machine["transitions"][1]["matchingRules"] = [{"eventProperty": "by", "instanceProperty": "by"}]

    machine = of_order(impact(lived(SHOP, PAID_AND_SENT), changed(by_rule)))

    # The payload of a matched event is not merged, so 'by' is missing in the end.
    assert (machine.same, machine.values_differ) == (1, 1)


def test_only_the_effect_of_the_change_is_counted() -> None:
    """Recorded under an older version, to which the definition in force does not lead itself."""
    stores = open_memory_stores()
    stores.events.append_many(recorded(("", "Open", CREATION, 0), ("Open", "Cancelled", "CANCEL", 1)))

    machine = of_order(impact(stores, changed(lambda machine: machine["transitions"].pop())))

    assert (machine.same, machine.other_end) == (1, 0)
    assert (machine.current_differs, machine.other_than_recorded) == (1, 1)


def test_what_depends_on_what_a_method_left_is_not_known() -> None:
    def ask(machine: Document) -> None:
        machine["states"][1]["entryMethod"] = "price"
        rule = {"eventProperty": "least", "instanceProperty": "price", "operator": ">"}
        machine["transitions"][3]["matchingRules"] = [rule]
        machine["transitions"].append({"from": "Paid", "to": "Late", "event": "SEND"})

    machine = of_order(impact(lived(SHOP, PAID_AND_SENT), changed(ask)))

    assert machine.unknown == 1
    (why,) = machine.unknown_reasons
    assert "price" in why


def test_an_instance_that_a_restart_took_back_is_followed() -> None:
    stores = open_memory_stores()
    stores.events.append_many(
        recorded(("", "Open", CREATION, 0), ("Open", "Paid", "PAY", 1), ("Open", "Paid", "PAY", 2))
    )

    machine = of_order(impact(stores, changed(lambda machine: machine["transitions"].pop())))

    assert (machine.same, machine.breaks, machine.current_differs) == (1, 1, 0)


def test_a_history_that_starts_late_is_followed_but_for_timers_that_nobody_knows() -> None:
    stores = open_memory_stores()
    stores.events.append_many(recorded(("Open", "Paid", "PAY", 1), ("Paid", "Sent", "SEND", 2)))

    def shorten(machine: Document) -> None:
        machine["transitions"][2]["timeoutMs"] = 30 * MINUTE

    assert of_order(impact(stores, changed(lambda machine: machine["transitions"].pop()))).other_end == 1
    machine = of_order(impact(stores, changed(shorten)))
    assert machine.unknown == 1
    assert "how long the timer 'FORGOTTEN' had run is not known" in next(iter(machine.unknown_reasons))


def test_a_restart_after_the_ways_have_parted_is_not_guessed() -> None:
    stores = open_memory_stores()
    stores.events.append_many(
        recorded(("", "Open", CREATION, 0), ("Open", "Paid", "PAY", 1), ("Open", "Paid", "PAY", 2))
    )

    def unpaid(machine: Document) -> None:
        del machine["transitions"][1]

    assert "after the ways have parted" in next(iter(of_order(impact(stores, changed(unpaid))).unknown_reasons))


def test_what_differs_in_a_definition_is_told_in_words() -> None:
    def edit(machine: Document) -> None:
        machine["initialState"] = "Paid"
        machine["states"] = [*machine["states"][:2], {"name": "Sent"}, {"name": "Back"}]
        machine["transitions"][0]["event"] = "ALTER"
        machine["transitions"][2]["timeoutMs"] = 90 * MINUTE

    machine = of_order(impact(lived(SHOP, PAID_AND_SENT), changed(edit)))

    assert machine.changed == (
        "begins in 'Paid', was 'Open'",
        "state 'Late' is gone",
        "state 'Back' is new",
        "state 'Sent' is regular, was final",
        "'CHANGE' in 'Open': not known, was 'Open'",
        "timer 'FORGOTTEN' in 'Open': after 90 min, was after 1 d",
        "'ALTER' in 'Open': 'Open', was not known",
    )


def test_a_machine_that_the_candidate_does_not_have_is_unknown() -> None:
    def rename(machine: Document) -> None:
        machine["name"] = "Purchase"

    machine = of_order(impact(lived(SHOP, PAID_AND_SENT), changed(rename)))

    assert machine.unknown_reasons == {"the candidate has no machine 'Order'": 1}


def test_timers_that_go_round_come_to_an_end() -> None:
    def go_round(machine: Document) -> None:
        machine["transitions"].append({"from": "Paid", "to": "Paid", "event": "AGAIN", "type": "auto"})

    machine = of_order(impact(lived(SHOP, PAID_AND_SENT), changed(go_round)))

    assert "without end" in next(iter(machine.unknown_reasons))


def test_without_a_definition_in_force_there_is_nothing_to_compare_with() -> None:
    with pytest.raises(NotFoundError, match="Shop"):
        definition_impact(open_memory_stores(), SHOP, catalog=Catalog())


def test_instances_whose_component_is_not_recorded_belong_to_the_only_one_that_has_their_machine() -> None:
    stores = open_memory_stores()
    history = recorded(("", "Open", CREATION, 0), ("Open", "Paid", "PAY", 10))
    stores.events.append_many(replace(one, component_name="") for one in history)
    stores.events.append_many([event(instance_id="other", component_name="", machine_name="Elsewhere")])

    found = impact(stores, SHOP)

    assert (found.instances, found.total, found.same) == (1, 1, 1)


def test_a_limit_is_told() -> None:
    stores = lived(SHOP, [(number, f"i{number}", "", {}) for number in range(5)])
    done: list[tuple[int, int]] = []

    found = impact(stores, SHOP, max_instances=2, on_progress=lambda *step: done.append(step))

    assert (found.instances, found.total, found.truncated) == (2, 5, True)
    assert done == [(0, 2), (2, 2)]


def test_every_backend_gives_the_same_answer(stores: Stores) -> None:
    history = [
        replace(one, id=f"{number}-{one.id}", instance_id=f"i{number}")
        for number in range(3)
        for one in recorded(("", "Open", CREATION, 0), ("Open", "Paid", "PAY", 10), ("Paid", "Sent", "SEND", 20))
    ]
    stores.events.append_many(history)

    found = impact(stores, changed(lambda machine: machine["transitions"].pop()), max_instances=2)

    machine = of_order(found)
    assert (found.instances, found.total, found.events, found.until) == (2, 3, 6, START + 20)
    assert machine.moves == {("Sent", "Paid"): 2}
    assert all(one.part.event_id is not None and one.part.position == 3 for one in machine.examples)


def test_the_document_is_json() -> None:
    found = impact(lived(SHOP, PAID_AND_SENT), changed(lambda machine: machine["transitions"].pop()))

    document: Any = json.loads(json.dumps(found.document()))
    assert document["machines"][0]["moves"] == [{"now": "Sent", "then": "Paid", "instances": 1}]
    assert document["machines"][0]["examples"][0]["part"]["position"] == 3


@pytest.fixture(scope="module")
def demo() -> Iterable[Stores]:
    with open_memory_stores() as stores:
        generate_demo(stores, days=7)
        yield stores


def test_the_demo_under_its_own_definitions_is_as_it_is(demo: Stores) -> None:
    components = [component_from_document(one.document) for one in demo.definitions.get_all_definitions()]
    events = 0
    for component in components:
        found = definition_impact(demo, component, catalog=Catalog(components))
        events += found.events
        assert (found.same, found.unknown) == (found.instances, 0)
        for machine in found.machines:
            assert (machine.values_differ, machine.values_unknown, machine.current_differs) == (0, 0, 0)
    assert events == demo.events.count(EventQuery())[0].count


# Against a runtime that lives under the candidate

_EVENTS = ("GO", "STEP", "LOOP", "END")
_STATES = ("S0", "S1", "S2", "S3")
_values = st.sampled_from([1, 2, "1", None])


@st.composite
def machines(draw: st.DrawFn) -> Document:
    """One machine that asks nothing of others."""
    states: list[Document] = [{"name": name} for name in _STATES]
    if draw(st.booleans()):
        states[-1]["type"] = draw(st.sampled_from(["final", "error"]))
    transitions = []
    for _ in range(draw(st.integers(2, 9))):
        one: Document = {"from": draw(st.sampled_from(_STATES[:3])), "to": draw(st.sampled_from(_STATES))}
        kind = draw(st.sampled_from(["regular", "regular", "regular", "timeout", "auto"]))
        one |= {"type": kind, "event": draw(st.sampled_from(_EVENTS))}
        if kind == "timeout":
            one |= {"event": draw(st.sampled_from(["LATE", "STEP"])), "resetOnTransition": draw(st.booleans())}
            one["timeoutMs"] = draw(st.sampled_from([100, 250, 600]))
        elif kind == "auto":
            one |= {"event": "AUTO", "timeoutMs": draw(st.sampled_from([50, 100]))}
        elif draw(st.integers(0, 2)) == 0:
            operator = draw(st.sampled_from(["===", "!==", "<"]))
            one["matchingRules"] = [{"eventProperty": "k", "instanceProperty": "x", "operator": operator}]
        transitions.append(one)
    machine = {"name": "M", "initialState": "S0", "states": states, "transitions": transitions}
    if draw(st.booleans()):
        machine["publicMemberType"] = "Anything"
    return {"name": "C", "stateMachines": [machine]}


_payloads = st.dictionaries(st.sampled_from("kx"), _values, max_size=2)
_programs = st.lists(st.tuples(st.sampled_from([7, 60, 130, 310]), st.sampled_from(_EVENTS), _payloads), max_size=12)


@given(machines(), machines(), _payloads, _programs)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_run_is_what_a_runtime_does_under_the_candidate(
    one: Document, two: Document, first: Document, program: Any
) -> None:
    current, candidate = component_from_document(one), component_from_document(two)
    recorded_by = _live(current, first, program)
    stream = _stream(recorded_by)
    until = EpochMs(stream[-1].persisted_at)
    inputs = [
        (found.persisted_at, found.event_type, found.payload) for found in stream[1:] if not _is_timer(found.payload)
    ]

    rules = Rules(MachineTable(candidate.machines[0]), MachineTable(current.machines[0]))
    way = run_stream(lambda found: rules, stream, until)

    expected = _stream(_live_inputs(candidate, first, inputs, until))
    assert way.unknown == ""
    assert [step.after for step in way.steps] == [found.state_after for found in expected]
    assert [step.at for step in way.steps] == [found.persisted_at for found in expected]
    assert same_json(way.values, expected[-1].public_member_snapshot)


@given(machines(), _payloads, _programs)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_history_under_its_own_definition_is_as_it_is(one: Document, first: Document, program: Any) -> None:
    component = component_from_document(one)
    stores = _live(component, first, program)

    found = definition_impact(stores, component, catalog=Catalog([component]))

    (machine,) = found.machines
    assert (machine.same, machine.current_differs, machine.values_differ) == (1, 0, 0)


def _is_timer(payload: object) -> bool:
    return isinstance(payload, Mapping) and "reason" in payload


def _stream(stores: Stores) -> Sequence[PersistedEvent]:
    (stream,) = stores.events.get_streams({found.instance_id for found in stores.events.get_all_events()}).values()
    return stream


def _runtime(component: Component) -> tuple[Stores, FSMRuntime, SimulatedClock]:
    stores, clock = open_memory_stores(), SimulatedClock(START)
    config = PersistenceConfig(event_sourcing=True, event_store=stores.events, definition_store=stores.definitions)
    return stores, FSMRuntime(component, config, clock=clock, environment={}), clock


def _live(component: Component, first: Document, program: Any) -> Stores:
    """A history in which no input comes at the moment at which a timer is due: who is first is then nobody's rule."""
    stores, runtime, clock = _runtime(component)
    instance = runtime.create_instance("M", first)
    for number, (pause, event_type, payload) in enumerate(program):
        clock.advance_to(EpochMs(clock.now() + pause * 16 + number + 1))
        _send(runtime, instance, event_type, payload)
    return stores


def _live_inputs(
    component: Component, first: Document, inputs: Sequence[tuple[EpochMs, str, Any]], until: EpochMs
) -> Stores:
    stores, runtime, clock = _runtime(component)
    instance = runtime.create_instance("M", first)
    for at, event_type, payload in inputs:
        clock.advance_to(at)
        _send(runtime, instance, event_type, payload)
    clock.advance_to(until)
    return stores


def _send(runtime: FSMRuntime, instance: str, event_type: str, payload: Document) -> None:
    with contextlib.suppress(InstanceNotActiveError):
        runtime.send(instance, event_type, payload)


# Recorded by others, so without hash


def timed(after: str, at: int) -> tuple[str, str, str, int]:
    return "Open", after, "FORGOTTEN", at


def recorded(*rows: tuple[str, str, str, int]) -> list[PersistedEvent]:
    return [
        event(
            event_type=event_type,
            state_before=before,
            state_after=after,
            persisted_at=EpochMs(START + at),
            payload={"reason": "timeout"} if event_type == "FORGOTTEN" else {},
        )
        for before, after, event_type, at in rows
    ]
