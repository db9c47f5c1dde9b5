"""Machines tried out at random and along a path."""

from __future__ import annotations

import pytest

from tests.ops.examples import components
from xcstore.errors import QueryError
from xcstore.ops.running import Stage
from xcstore.ops.simulating import find_machine, follow_path, parse_path, walk
from xcstore.store.base import EventQuery
from xcstore.store.memory import open_memory_stores
from xcstore.units import EpochMs

START = EpochMs(1_767_225_600_000)

GATE = """
name: Gate
stateMachines:
  - name: Gate
    initialState: Shut
    states: [{name: Shut}, {name: Open}, {name: Stuck}, {name: Never}, {name: Broken, type: error}]
    transitions:
      - from: Shut
        to: Open
        event: CARD
        matchingRules:
          - {eventProperty: card.id, instanceProperty: owner}
          - {eventProperty: card.level, instanceProperty: level, operator: "<="}
      - {from: Shut, to: Shut, event: CARD}
      - {from: Open, to: Shut, event: FELL_SHUT, type: timeout, timeoutMs: 3000}
      - {from: Open, to: Stuck, event: KICK}
      - {from: Open, to: Broken, event: HAMMER}
      - {from: Never, to: Shut, event: OIL}
"""


def walked(text=None, machine=None, stores=None, **options):
    found = components(text) if text else components()
    stage = Stage(found, stores or open_memory_stores(), start=START, seed=options.get("seed", 7))
    return walk(stage, found, machine=machine and find_machine(found, machine), **options)


def test_a_walk_reaches_what_can_be_reached_and_names_the_rest():
    report = walked(GATE, steps=400)
    (gate,) = report.machines

    assert gate.unreached_states == ("Never",)
    assert gate.untaken_transitions == (("Never", "OIL", "Shut"),)
    assert set(gate.dead_ends) == {"Stuck"}
    assert gate.dead_ends["Stuck"] > 0
    assert report.run.steps == 400
    assert report.run.all_ignored == 0


def test_payloads_are_made_up_so_that_rules_hold_and_so_that_they_do_not():
    (gate,) = walked(GATE, steps=200, instances=3).machines

    assert gate.transitions["Shut", "CARD", "Open"] > 20
    assert gate.transitions["Shut", "CARD", "Shut"] > 20


def test_components_find_each_other_by_made_up_keys():
    report = walked(steps=600)
    order = next(machine for machine in report.machines if machine.machine == "Order")
    parcel = next(machine for machine in report.machines if machine.machine == "Parcel")

    assert order.untaken_transitions == parcel.untaken_transitions == ()
    assert order.unreached_states == ()


def test_equal_seeds_make_equal_histories_and_others_do_not():
    one, two, other = (open_memory_stores() for _ in range(3))
    first = walked(stores=one, steps=300, seed=3)
    second = walked(stores=two, steps=300, seed=3)
    walked(stores=other, steps=300, seed=4)

    assert first == second
    assert list(one.events.get_all_events()) == list(two.events.get_all_events())
    assert [event.event_type for event in one.events.get_all_events()] != [
        event.event_type for event in other.events.get_all_events()
    ]


def test_counts_of_the_walk_are_those_of_the_store():
    stores = open_memory_stores()
    report = walked(stores=stores, steps=300)

    assert report.run.written == stores.events.count(EventQuery())[0].count
    entered = sum(sum(machine.states.values()) for machine in report.machines)
    assert entered == report.run.written


def test_a_walk_with_one_machine_leaves_the_others_alone():
    report = walked(machine="Parcel", steps=50, instances=2)

    assert [machine.machine for machine in report.machines] == ["Parcel"]
    assert {row.machine for row in report.run.states} == {"Desk", "Parcel"}


def test_a_machine_whose_first_state_is_a_dead_end_does_not_hang():
    text = "name: A\nstateMachines: [{name: M, initialState: S, states: [{name: S}]}]"
    (machine,) = walked(text, steps=30, instances=2).machines

    assert machine.dead_ends == {"S": 30}


def test_the_entry_machine_is_walked_with_its_own_instance():
    report = walked(machine="Desk", steps=20)

    assert report.machines[0].states == {"Open": 21}


def test_a_store_that_fails_ends_the_walk_with_its_reason():
    stores = open_memory_stores()
    walked(stores=stores, steps=5, seed=1)
    again = walked(stores=stores, steps=5, seed=1)

    assert again.run.stopped is not None
    assert "Is a run with this seed in the store already?" in again.run.stopped


# A path


def led(path, text=GATE, machine="Gate"):
    found = components(text) if text else components()
    stage = Stage(found, open_memory_stores(), start=START, seed=1)
    return follow_path(stage, find_machine(found, machine), parse_path(path))


def test_a_path_is_followed_and_its_timers_are_waited_for():
    report = led("CARD,FELL_SHUT,CARD,HAMMER")

    assert report.states == ("Shut", "Open", "Shut", "Open", "Broken")
    assert (report.done, report.stopped) == (4, None)
    assert report.run.now == START + 3_000


@pytest.mark.parametrize(
    ("path", "states", "words"),
    [
        ("KICK", ("Shut",), "'Shut' does not know 'KICK'; it knows CARD"),
        ("CARD,KICK,CARD", ("Shut", "Open", "Stuck"), "'Stuck' does not know 'CARD'; it knows none"),
        ("CARD,HAMMER,CARD", ("Shut", "Open", "Broken"), "the instance has ended in 'Broken'"),
    ],
)
def test_a_path_that_ends_early_says_where_and_why(path, states, words):
    report = led(path)

    assert report.states == states
    assert report.done == len(states) - 1
    assert words in report.stopped


def test_a_payload_of_the_path_is_sent_as_it_is():
    report = led('[{"type": "CARD", "payload": {"card": {"id": "somebody else"}}}, "CARD", "KICK"]')

    assert report.states == ("Shut", "Shut", "Open", "Stuck")


RACE = """
name: Race
stateMachines:
  - name: Race
    initialState: A
    states: [{name: A}, {name: B}, {name: C}, {name: D}]
    transitions:
      - {from: A, to: B, event: SOON, type: timeout, timeoutMs: 10}
      - {from: A, to: C, event: LATER, type: timeout, timeoutMs: 20}
      - {from: B, to: D, event: ON, type: auto}
"""


def test_a_timer_that_another_one_beats_ends_the_path():
    report = led("LATER", RACE, "Race")

    assert report.states == ("A", "B", "D")
    assert report.done == 0
    assert report.stopped == "'LATER' did not lead on from 'A': 'SOON' came first"


def test_what_follows_by_itself_can_be_part_of_the_path():
    assert led("SOON,ON", RACE, "Race").stopped is None
    assert led("SOON,ON", RACE, "Race").states == ("A", "B", "D")


def test_a_path_leads_across_components():
    report = led("PAY,SHIP,ARRIVED", None, "Order")

    assert report.states == ("New", "Paid", "Paid", "Done")


@pytest.mark.parametrize(
    "text", ["", "A,,B", "[1]", '[{"name": "A"}]', '["A"', '[{"type": "A", "payload": 1}]', '[""]']
)
def test_a_path_that_cannot_be_read_is_refused(text):
    with pytest.raises(QueryError, match="path"):
        parse_path(text)


def test_a_machine_is_found_by_its_name_or_by_that_of_its_component_too():
    text = """
- {name: A, stateMachines: [{name: M, initialState: S, states: [{name: S}]}]}
- {name: B, stateMachines: [{name: M, initialState: S, states: [{name: S}]}]}
"""
    found = components(text)

    assert find_machine(found, "M", "B")[0].name == "B"
    with pytest.raises(QueryError, match="'M' is a machine of A and B; say which with --component"):
        find_machine(found, "M")
    with pytest.raises(QueryError, match="there is no machine 'N'; there is A/M, B/M"):
        find_machine(found, "N")
