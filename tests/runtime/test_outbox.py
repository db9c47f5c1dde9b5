"""A process that is killed at any write, or a store that fails there, loses nothing and repeats nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import pytest

from tests.runtime.disturbing import Life, Outcome
from tests.runtime.helpers import component
from xcstore.errors import InstanceNotActiveError, StoreUnavailableError
from xcstore.model.history import Instance
from xcstore.runtime import Event, Method, Sender
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores
from xcstore.units import DurationMs

SHOP = component("""
name: Shop
entryMachine: Desk
stateMachines:
  - name: Desk
    initialState: Open
    states: [{name: Open, type: entry}]
    transitions: [{from: Open, to: Open, event: RING, triggeredMethod: count}]
  - name: Order
    initialState: New
    states:
      - {name: New, type: entry, exitMethod: label}
      - name: Packed
        entryMethod: pack
        cascadingRules:
          - {targetMachine: Item, targetState: Idle, event: TAKE, payload: {by: "{{k}}"}}
          - {targetMachine: Parcel, targetState: "*", targetComponent: Post, event: CALL}
      - {name: Sent, type: final, entryMethod: thank, cascadingRules: [
          {targetMachine: Item, targetState: Taken, event: GIVE}]}
    transitions:
      - {from: New, to: Packed, event: GO, type: inter_machine, targetMachine: Item, contextMapping: {k: k}}
      - {from: Packed, to: Packed, event: NEWS}
      - {from: Packed, to: Packed, event: PING}
      - {from: Packed, to: Packed, event: TICK, type: timeout, timeoutMs: 40}
      - {from: Packed, to: Sent, event: SEND, type: cross_component, targetComponent: Post, targetMachine: Parcel}
  - name: Item
    initialState: Idle
    publicMemberType: Thing
    parentLink: {enabled: true, onStateChange: NEWS}
    states: [{name: Idle, type: entry}, {name: Taken}]
    transitions:
      - {from: Idle, to: Taken, event: TAKE}
      - {from: Taken, to: Idle, event: GIVE}
      - {from: Idle, to: Idle, event: SHAKE}
      - {from: Taken, to: Taken, event: SHAKE, triggeredMethod: ring}
      - {from: Taken, to: Idle, event: LATE, type: timeout, timeoutMs: 100}
""")

POST = component("""
name: Post
stateMachines:
  - name: Parcel
    initialState: Here
    states: [{name: Here, type: entry}, {name: Gone, entryMethod: tell}]
    transitions:
      - {from: Here, to: Here, event: CALL}
      - {from: Here, to: Gone, event: CARRY, matchingRules: [{eventProperty: k, instanceProperty: k}]}
      - {from: Here, to: Gone, event: LEAVE, type: auto, timeoutMs: 100}
""")


def values_of(instance: Instance) -> dict[str, object]:
    return cast("dict[str, object]", instance.context if instance.public_member is None else instance.public_member)


def count(event: Event, instance: Instance, sender: Sender) -> None:
    values = values_of(instance)
    values["count"] = cast("int", values.get("count", 0)) + 1


def label(event: Event, instance: Instance, sender: Sender) -> None:
    """Makes a parcel before the transition makes its child."""
    made = sender.create_instance_in_component("Post", "Parcel", {"k": values_of(instance).get("k"), "label": True})
    sender.send_to_component("Post", made, "CALL")


def pack(event: Event, instance: Instance, sender: Sender) -> None:
    """Changes its order on entry, and sends to itself and to others, in front of what waits and behind it."""
    count(event, instance, sender)
    if values_of(instance)["count"] == 1:
        sender.send_to_self("PING", {"n": 1})
        sender.create_instance("Item", {"k": "packed"})
        sender.broadcast("Item", "SHAKE")
        sender.broadcast("Parcel", "CARRY", {"k": values_of(instance).get("k")}, component_name="Post")


def ring(event: Event, instance: Instance, sender: Sender) -> None:
    sender.broadcast("Desk", "RING", {"from": "Item"})


def thank(event: Event, instance: Instance, sender: Sender) -> None:
    count(event, instance, sender)
    sender.broadcast("Desk", "RING", {"from": "Order"})


def tell(event: Event, instance: Instance, sender: Sender) -> None:
    sender.broadcast("Desk", "RING", {"from": "Parcel"}, component_name="Shop")


METHODS: Mapping[str, Method] = {
    "count": count, "label": label, "pack": pack, "ring": ring, "thank": thank, "tell": tell,
}  # fmt: skip

STEPS: tuple[Callable[[Life], None], ...] = (
    lambda life: life.create("Shop", "Item", {"k": 1}),
    lambda life: life.create("Shop", "Item", {"k": 2}),
    lambda life: life.create("Shop", "Order", {"k": 1}),
    lambda life: life.create("Post", "Parcel", {"k": 1}),
    lambda life: life.send("Shop", 3, "GO", {"x": 1}),
    lambda life: life.advance(45),
    lambda life: life.broadcast("Shop", "Item", "SHAKE", {}),
    lambda life: life.advance(110),
    lambda life: life.send("Shop", 1, "TAKE", {}),
    lambda life: life.send("Shop", 3, "SEND", {}),
    lambda life: life.advance(200),
)


def play(life: Life) -> Life:
    for step in STEPS:
        step(life)
    return life


@pytest.fixture(scope="module")
def undisturbed() -> Life:
    return play(Life([SHOP, POST], open_memory_stores(), METHODS, snapshot_interval=2))


def disturbed(outcomes: list[Outcome]) -> Life:
    life = Life([SHOP, POST], open_memory_stores(), METHODS, snapshot_interval=2, outcomes=outcomes)
    return play(life)


def fine(number: int) -> list[Outcome]:
    return ["fine"] * number


def check_same(life: Life, expected: Life) -> None:
    told, wanted = life.tale(), expected.tale()
    assert told["histories"] == wanted["histories"]
    assert told == wanted
    assert list(life.events.get_outbox()) == []


def test_the_scenario_uses_what_it_is_to_try(undisturbed: Life) -> None:
    types = {event.event_type for event in undisturbed.all_events()}
    assert types >= {"TAKE", "GIVE", "NEWS", "PING", "SHAKE", "RING", "CALL", "CARRY", "LATE", "LEAVE", "TICK"}
    assert undisturbed.events.writes > 40
    assert list(undisturbed.events.get_outbox()) == []


WRITES = range(70)
"""More than the scenario makes, so that each is hit; see `test_every_write_is_tried`."""


def test_every_write_is_tried(undisturbed: Life) -> None:
    assert undisturbed.events.writes <= len(WRITES)


@pytest.mark.parametrize("outcome", ["killed before", "killed after"])
@pytest.mark.parametrize("number", WRITES)
def test_a_kill_at_any_write_changes_nothing_that_is_told(number: int, outcome: Outcome, undisturbed: Life) -> None:
    life = disturbed([*fine(number), outcome])

    assert life.lives == (2 if number < undisturbed.events.writes else 1)
    check_same(life, undisturbed)


@pytest.mark.parametrize("first", ["killed before", "killed after"])
@pytest.mark.parametrize("number", range(0, 70, 3))
def test_a_second_kill_while_the_first_is_mended_changes_nothing(
    number: int, first: Outcome, undisturbed: Life
) -> None:
    for gap in range(4):
        check_same(disturbed([*fine(number), first, *fine(gap), "killed after"]), undisturbed)


@pytest.mark.parametrize("outcome", ["killed before", "killed after"])
def test_a_kill_at_every_write_changes_nothing(outcome: Outcome, undisturbed: Life) -> None:
    """Each process makes one write, and is killed after it, or before the next."""
    one_life: list[Outcome] = ["fine", outcome] if outcome == "killed before" else [outcome]

    check_same(disturbed(one_life * 300), undisturbed)


@pytest.mark.parametrize("outcome", ["refused", "unsure"])
@pytest.mark.parametrize("number", WRITES)
def test_a_write_that_fails_is_made_once_in_the_end(number: int, outcome: Outcome, undisturbed: Life) -> None:
    life = disturbed([*fine(number), outcome])

    assert list(life.events.get_outbox()) == []
    # The other component, or time, goes on while one waits for its store: the order may be another one.
    if not life.held_up:
        check_same(life, undisturbed)
    assert sorted(streams_of(life)) == sorted(streams_of(undisturbed))


@pytest.mark.parametrize("outcome", ["refused", "unsure"])
@pytest.mark.parametrize("number", WRITES)
def test_a_kill_after_a_write_that_failed_repeats_nothing(number: int, outcome: Outcome, undisturbed: Life) -> None:
    life = disturbed([*fine(number), outcome, "fine", "killed after"])

    assert list(life.events.get_outbox()) == []
    if not life.held_up:
        check_same(life, undisturbed)
    assert sorted(streams_of(life)) == sorted(streams_of(undisturbed))


def streams_of(life: Life) -> list[list[str]]:
    """What happened to each instance, in any order. Without TICK: when one of these comes late, there are fewer."""
    found: dict[str, list[str]] = {}
    for event in life.all_events():
        if event.event_type != "TICK":
            found.setdefault(event.instance_id, []).append(f"{event.machine_name} {event.event_type}")
    return [sorted(stream) for stream in found.values()]


@pytest.mark.parametrize("outcome", ["killed before", "killed after"])
def test_a_kill_over_a_file_changes_nothing(tmp_path: Path, outcome: Outcome, undisturbed: Life) -> None:
    for number in range(2, 60, 7):
        with open_stores(f"sqlite:///{tmp_path / f'{number}.db'}", read_only=False) as stores:
            outcomes: list[Outcome] = [*fine(number), outcome]
            check_same(play(Life([SHOP, POST], stores, METHODS, snapshot_interval=2, outcomes=outcomes)), undisturbed)


# Another thing is done while it is open whether an event was stored

DOUBT = component("""
name: Doubt
stateMachines:
  - name: Case
    initialState: A
    states:
      - {name: A, type: entry}
      - {name: B}
      - {name: C}
      - {name: End, type: final, cascadingRules: [{targetMachine: Item, targetState: Idle, event: TAKE}]}
    transitions:
      - {from: A, to: B, event: GO}
      - {from: A, to: End, event: END}
      - {from: A, to: A, event: MAKE, type: inter_machine, targetMachine: Item}
      - {from: A, to: C, event: LATE, type: timeout, timeoutMs: 100}
      - {from: B, to: C, event: LATE}
  - name: Item
    initialState: Idle
    states: [{name: Idle, type: entry}, {name: Taken}]
    transitions: [{from: Idle, to: Taken, event: TAKE}]
""")


@pytest.fixture
def doubtful() -> Life:
    life = Life([DOUBT], open_memory_stores())
    life.create("Doubt", "Item", {})
    life.create("Doubt", "Case", {})
    return life


def states(life: Life) -> list[tuple[str, str]]:
    return [(i.machine_name, i.current_state) for i in life.runtimes["Doubt"].instances()]


def test_what_an_event_asked_for_is_done_though_another_one_finds_out_that_it_was_stored(doubtful: Life) -> None:
    runtime = doubtful.runtimes["Doubt"]
    (case,) = runtime.instances("Case")
    doubtful.events.outcomes.append("unsure")
    with pytest.raises(StoreUnavailableError):
        runtime.send(case.id, "END")

    with pytest.raises(InstanceNotActiveError):
        runtime.send(case.id, "GO")
    runtime.retry()

    assert states(doubtful) == [("Item", "Taken")]
    assert list(doubtful.events.get_outbox()) == []


def test_a_timer_of_a_state_that_was_left_does_nothing_in_the_next_one(doubtful: Life) -> None:
    runtime = doubtful.runtimes["Doubt"]
    (case,) = runtime.instances("Case")
    doubtful.events.outcomes.append("unsure")
    with pytest.raises(StoreUnavailableError):
        runtime.send(case.id, "GO")

    doubtful.clock.advance(DurationMs(500))

    assert states(doubtful) == [("Item", "Idle"), ("Case", "B")]
    assert runtime.pending_timeouts(case.id) == ()


@pytest.mark.parametrize("outcome", ["refused", "unsure"])
def test_a_child_that_waits_for_the_store_is_not_taken_for_what_a_caller_makes(
    doubtful: Life, outcome: Outcome
) -> None:
    runtime = doubtful.runtimes["Doubt"]
    (case,) = runtime.instances("Case")
    doubtful.events.outcomes.extend(["fine", outcome])
    runtime.send(case.id, "MAKE")
    assert runtime.queued > 0

    made = runtime.create_instance("Item", {})

    items = [instance.id for instance in runtime.instances("Item")]
    assert len(items) == len(set(items)) == 3
    assert runtime.get_instance(made).parent_instance_id is None
    assert doubtful.count_events() == 5


@pytest.mark.parametrize("outcome", ["refused", "unsure"])
def test_a_caller_that_tries_again_makes_one_instance(doubtful: Life, outcome: Outcome) -> None:
    runtime = doubtful.runtimes["Doubt"]
    doubtful.events.outcomes.append(outcome)
    with pytest.raises(StoreUnavailableError):
        runtime.create_instance("Item", {"k": 1})

    made = runtime.create_instance("Item", {"k": 1})

    assert [i.id for i in runtime.instances("Item") if i.context == {"k": 1}] == [made]
    assert doubtful.count_events() == 3
