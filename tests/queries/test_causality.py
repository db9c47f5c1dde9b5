from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import get_args

import pytest

from tests.factories import START, event
from xcstore.analysis.causality import SUCCESSION, Link, Mode, recorded_link
from xcstore.analysis.inference import Surroundings, infer
from xcstore.demo import generate_demo
from xcstore.demo.simulation import COMPONENT_FILES
from xcstore.errors import NotFoundError, QueryError
from xcstore.model.catalog import Catalog
from xcstore.model.history import PersistedEvent
from xcstore.model.loader import load_component, parse_component
from xcstore.queries.causality import links_between, neighbourhood, recent_events, records_true_causes
from xcstore.queries.surroundings import MOST
from xcstore.store.base import Direction, EventStore, Stores
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores
from xcstore.units import HOUR, EpochMs

SHOP = Catalog(
    [
        parse_component("""
name: Shop
stateMachines:
  - name: Order
    initialState: Draft
    states:
      - {name: Draft, type: entry}
      - name: Paid
        cascadingRules:
          - {targetMachine: Parcel, targetState: Waiting, event: SEND, payload: {orderId: "{{orderId}}"},
             matchingRules: [{eventProperty: orderId, instanceProperty: orderId}]}
      - {name: Late}
    transitions:
      - {from: Draft, to: Paid, event: PAY}
      - {from: Draft, to: Late, event: TOO_LATE, type: timeout, timeoutMs: 900}
  - name: Parcel
    initialState: Waiting
    states: [{name: Waiting, type: entry}, {name: Sent}]
    transitions: [{from: Waiting, to: Sent, event: SEND}]
""")
    ]
)


def order(name: str, at: int, key: str, move: str = "PAY Draft Paid", **more: object) -> PersistedEvent:
    return _event(name, at, "Order", key, move, **more)


def parcel(name: str, at: int, key: str, move: str = "SEND Waiting Sent", **more: object) -> PersistedEvent:
    return _event(name, at, "Parcel", key, move, **more)


def _event(name: str, at: int, machine: str, key: str, move: str, **more: object) -> PersistedEvent:
    kind, before, after = move.split(" ")
    fields: dict[str, object] = {
        "instance_id": f"{machine}-{key}",
        "payload": {"orderId": key},
        "public_member_snapshot": {"orderId": key},
        **more,
    }
    return event(
        id=name,
        machine_name=machine,
        event_type=kind,
        state_before=before,
        state_after=after,
        persisted_at=START + at,
        **fields,
    )


def pairs(links: Sequence[Link]) -> set[tuple[str, str]]:
    return {(link.cause_id, link.effect_id) for link in links}


def loaded(found) -> set[str]:
    return set(found.graph.events)


def test_a_neighbourhood_is_what_the_store_traces(stores):
    stores.events.append(event(id="a"))
    stores.events.append(event(id="b", caused_by=("a",)))

    assert [(link.cause_id, link.effect_id) for link in neighbourhood(stores, "a").graph.links] == [("a", "b")]
    with pytest.raises(NotFoundError):
        neighbourhood(stores, "nobody")


# Modes


@pytest.fixture
def wrong(stores) -> Stores:
    """Two orders are paid at once and each sends its parcel; one parcel's recorded cause is the other order."""
    stores.events.append_many(
        [
            order("pay-1", 0, "K1"),
            order("pay-2", 1, "K2"),
            parcel("sent-1", 2, "K1", caused_by=("pay-2",)),
            parcel("sent-2", 3, "K2", caused_by=("pay-2",)),
        ]
    )
    return stores


def test_as_recorded_a_wrong_cause_stays_and_is_doubtful(wrong):
    found = neighbourhood(wrong, "sent-1", catalog=SHOP)

    (link,) = found.graph.links[:1]
    assert pairs(found.graph.links) == {("pay-2", "sent-1")}
    assert link.doubts == (
        "another instance, and the values that the definition sends along are not those that arrived",
    )
    assert found.replaced == 0


def test_repaired_an_inferred_cause_stands_for_a_doubtful_one_and_is_counted(wrong):
    found = neighbourhood(wrong, "sent-1", mode="repaired", catalog=SHOP)

    (link,) = found.graph.links
    assert (link.cause_id, link.provenance, link.rule) == ("pay-1", "inferred", "cascade")
    assert link.evidence == "sent by Order PAY entering Paid 2 ms earlier: by the definition, equal orderId"
    assert found.replaced == 1
    assert found.depths == {"sent-1": 0, "pay-1": -1}


def test_both_shows_the_recorded_and_the_inferred_cause(wrong):
    found = neighbourhood(wrong, "sent-1", direction="causes", mode="both", catalog=SHOP)

    assert {(link.cause_id, link.provenance) for link in found.graph.links} == {
        ("pay-2", "recorded"),
        ("pay-1", "inferred"),
    }
    assert found.replaced == 0


def test_repaired_effects_are_those_whose_cause_it_is_after_the_repair(wrong):
    assert loaded(neighbourhood(wrong, "pay-1", direction="effects", catalog=SHOP)) == {"pay-1"}
    assert loaded(neighbourhood(wrong, "pay-2", direction="effects", catalog=SHOP)) == {"pay-2", "sent-1", "sent-2"}

    mended = {"mode": "repaired", "direction": "effects", "catalog": SHOP}
    assert loaded(neighbourhood(wrong, "pay-1", **mended)) == {"pay-1", "sent-1"}
    assert loaded(neighbourhood(wrong, "pay-2", **mended)) == {"pay-2", "sent-2"}


def test_a_doubtful_cause_that_nothing_replaces_stays_doubtful(stores):
    stores.events.append_many([order("other", 0, "K9"), order("pay", 5, "K1", caused_by=("other",))])

    found = neighbourhood(stores, "pay", mode="repaired", catalog=SHOP)

    (link,) = found.graph.links
    assert link.provenance == "recorded"
    assert "neither a definition nor a method" in link.doubts[0]
    assert found.replaced == 0


def test_an_event_without_a_recorded_cause_gets_one_where_a_rule_finds_it(stores):
    late = order("late", 900, "K1", "TOO_LATE Draft Late", payload={"reason": "timeout"})
    stores.events.append_many([order("made", 0, "K1", "CHANGED Draft Draft"), late])

    found = neighbourhood(stores, "made", mode="repaired", catalog=SHOP)

    assert [(link.cause_id, link.effect_id, link.rule) for link in found.graph.links] == [("made", "late", "timer")]


def test_a_cause_that_is_not_stored_stays_beside_the_inferred_one(stores):
    stores.events.append_many([order("pay", 0, "K1"), parcel("sent", 1, "K1", caused_by=("lost",))])

    found = neighbourhood(stores, "sent", mode="repaired", catalog=SHOP)

    assert pairs(found.graph.links) == {("lost", "sent"), ("pay", "sent")}
    assert found.graph.missing == ("lost",)
    assert found.replaced == 0


def test_an_event_of_our_runtime_is_not_said_to_follow_another(stores):
    ours = {"definition_hash": "abc"}
    stores.events.append_many([order("a", 0, "K1", **ours), order("b", 5, "K1", "NOTE Paid Paid", **ours)])

    assert neighbourhood(stores, "b", mode="repaired", catalog=SHOP).graph.links == ()


def test_links_between_events_at_hand_name_causes_elsewhere_too(wrong):
    events = [wrong.events.get_event("sent-1"), wrong.events.get_event("sent-2")]

    assert pairs(links_between(wrong, events)) == {("pay-2", "sent-1"), ("pay-2", "sent-2")}
    assert pairs(links_between(wrong, events, mode="repaired", catalog=SHOP)) == {
        ("pay-1", "sent-1"),
        ("pay-2", "sent-2"),
    }


@pytest.mark.needs("any_time")
@pytest.mark.parametrize("at", [-(2**63) + 2 * HOUR, 2**63 - 2])
def test_the_first_and_the_last_moment_of_all_have_surroundings_too(stores, at):
    pay = replace(order("pay", 0, "K1"), persisted_at=EpochMs(at))
    stores.events.append_many([pay, replace(parcel("sent", 0, "K1"), persisted_at=EpochMs(at + 1))])

    found = neighbourhood(stores, "pay", mode="repaired", catalog=SHOP)

    assert pairs(found.graph.links) == {("pay", "sent")}


# Limits


@pytest.mark.parametrize(
    ("wrong_argument", "hint"),
    [
        ({"direction": "up"}, "effects, causes, both"),
        ({"mode": "true"}, "recorded, repaired, both"),
        ({"max_events": 0}, "1 or more"),
        ({"max_depth": -1}, "0 or more"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_can(tree, wrong_argument, hint):
    with pytest.raises(QueryError, match=hint):
        neighbourhood(tree, "r", **wrong_argument)


MODES: tuple[Mode, ...] = get_args(Mode)


@pytest.fixture
def tree() -> Iterator[Stores]:
    """A root with 3 effects, each of which has 2."""
    made = [event(id="r", persisted_at=START, definition_hash="x")]
    for number in range(3):
        fields = {"persisted_at": START + 10 + number, "instance_id": f"i{number}", "definition_hash": "x"}
        made.append(event(id=f"r{number}", caused_by=("r",), **fields))
        made += [event(id=f"r{number}{n}", caused_by=(f"r{number}",), **fields) for n in range(2)]
    with open_memory_stores() as stores:
        stores.events.append_many(made)
        yield stores


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("limits", "shown", "unread"),
    [
        ({"max_events": 10}, 10, 0),
        ({"max_events": 9}, 4, 6),
        ({"max_events": 4}, 4, 6),
        ({"max_depth": 2}, 10, 0),
        ({"max_depth": 1}, 4, 6),
        ({"max_depth": 0}, 1, 3),
    ],
)
def test_a_level_that_does_not_fit_is_left_out_as_a_whole(tree, mode, limits, shown, unread):
    found = neighbourhood(tree, "r", mode=mode, **limits)

    assert len(found.graph.events) == shown
    assert (found.truncated, bool(found.unread)) == (unread > 0, unread > 0)
    assert found.unread <= 10 - shown
    children = {link.effect_id for link in found.graph.links}
    assert children == loaded(found) - {"r"}, "no event is without the one it was reached from"


@pytest.mark.parametrize("mode", MODES)
def test_of_a_first_level_that_does_not_fit_the_earliest_are_kept(tree, mode):
    found = neighbourhood(tree, "r", mode=mode, max_events=3)

    assert list(found.graph.events) == ["r", "r0", "r1"]
    assert found.truncated
    assert found.unread >= 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("direction", get_args(Direction))
def test_cycles_survive_and_are_walked_once(mode, direction):
    ring = {"a": "c", "b": "a", "c": "b", "self": "self"}
    with open_memory_stores() as stores:
        stores.events.append_many(
            event(id=name, caused_by=(cause,), persisted_at=START) for name, cause in ring.items()
        )

        found = neighbourhood(stores, "a", direction=direction, mode=mode, catalog=SHOP)

    assert {"a", "b", "c"} <= loaded(found)
    assert not found.truncated


def test_a_level_is_counted_the_way_that_was_walked():
    """c is the cause of a, but as an effect of a it is three steps away."""
    ring = {"a": "c", "b": "a", "x": "b", "c": "x"}
    with open_memory_stores() as stores:
        stores.events.append_many(
            event(id=name, caused_by=(cause,), persisted_at=START) for name, cause in ring.items()
        )

        assert loaded(neighbourhood(stores, "a", direction="effects", max_depth=1)) == {"a", "b"}


def test_a_chain_of_100_000_is_walked_without_recursion():
    with open_memory_stores() as stores:
        stores.events.append_many(_chain(100_000))

        found = neighbourhood(stores, "e0", max_events=200_000)

    assert len(found.graph.events) == 100_000
    assert found.depths["e99999"] == 99_999
    assert not found.truncated


@pytest.mark.parametrize("mode", ["repaired", "both"])
def test_rules_go_as_deep_as_a_chain_does(mode):
    """Nothing is recorded: each event is a timer that the one before it started, deeper than Python may recurse."""
    with open_memory_stores() as stores:
        stores.events.append_many(replace(one, caused_by=(), payload={"reason": "timeout"}) for one in _chain(3_000))

        found = neighbourhood(stores, "e0", max_events=5_000, mode=mode, max_seconds=None)

    assert found.depths["e2999"] == 2_999
    assert not found.truncated


def _chain(length: int) -> Iterator[PersistedEvent]:
    for number in range(length):
        yield event(
            id=f"e{number}",
            caused_by=(f"e{number - 1}",) if number else (),
            persisted_at=EpochMs(START + number),
            state_before="A",
            state_after="A",
            instance_id=f"i{number // 40}" if length > 50_000 else "i",
            definition_hash="x",
        )


def test_a_question_of_the_rules_that_was_cut_is_said():
    """More events than a question reads lie within the time in which the order's effects are looked for."""
    with open_memory_stores() as stores:
        stores.events.append(order("pay", 0, "K1"))
        stores.events.append_many(parcel(f"sent-{n}", 1, f"X{n}") for n in range(MOST + 1))

        found = neighbourhood(stores, "pay", mode="repaired", catalog=SHOP)

    assert found.truncated


@pytest.mark.parametrize("mode", ["repaired", "both"])
def test_a_walk_that_may_take_no_longer_is_cut_and_says_so(tree, mode):
    found = neighbourhood(tree, "r", mode=mode, max_seconds=0)

    assert (loaded(found), found.truncated) == ({"r"}, True)
    assert not neighbourhood(tree, "r", mode=mode, max_seconds=600).truncated


# Against all events at once


@dataclass
class Demo:
    made: Stores
    """As it was made, with its planted faults."""
    planted: dict[str, str]
    """Kind of fault -> event."""
    memory: Stores
    sqlite: Stores
    events: list[PersistedEvent]
    catalog: Catalog


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A week of the demo, half of whose causes were lost or replaced by the event before, as another runtime does."""
    rng = random.Random(5)
    file = tmp_path_factory.mktemp("demo") / "events.db"
    with (
        open_memory_stores() as made,
        open_memory_stores() as memory,
        open_stores(f"sqlite:///{file}", read_only=False) as sqlite,
    ):
        report = generate_demo(made, days=7)
        previous = ""
        events: list[PersistedEvent] = []
        for one in made.events.get_all_events():
            cause = {0: (previous,) if previous else (), 1: ()}.get(rng.randrange(4), one.caused_by)
            writer = one.definition_hash if rng.random() < 0.3 else None
            events.append(replace(one, caused_by=cause, caused=(), original=None, definition_hash=writer))
            previous = one.id
        memory.events.append_many(events)
        sqlite.events.append_many(events)
        yield Demo(
            made=made,
            planted={anomaly.kind: anomaly.event_id for anomaly in report.anomalies},
            memory=memory,
            sqlite=sqlite,
            events=list(memory.events.get_all_events()),
            catalog=Catalog(load_component(path) for path in COMPONENT_FILES),
        )


def causes_of(demo: Demo, event_id: str, mode: Mode) -> list[Link]:
    found = neighbourhood(demo.made, event_id, direction="causes", mode=mode, catalog=demo.catalog)
    return [link for link in found.graph.links if link.effect_id == event_id and link.gap_ms is not None]


def test_a_cause_that_was_lost_is_found_again_by_the_component_that_the_event_names(demo):
    event_id = demo.planted["missing_cause"]

    assert causes_of(demo, event_id, "recorded") == []
    (link,) = causes_of(demo, event_id, "repaired")
    assert (link.rule, link.gap_ms) == ("sender", 0)
    assert "equal orderId" in link.evidence


@pytest.mark.parametrize("mode", ["repaired", "both"])
def test_a_cause_that_our_runtime_names_and_that_is_not_stored_is_not_replaced_by_another(demo, mode):
    assert causes_of(demo, demo.planted["dangling_cause"], mode) == []


def all_links(demo: Demo, mode: Mode) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Effect -> causes, over the whole history: what a mode means, written down anew; and what is walked of it."""
    around, at = Surroundings(demo.events), {one.id: one for one in demo.events}
    found: dict[str, set[str]] = {}
    walked: dict[str, set[str]] = {}
    for one in demo.events:
        recorded = [recorded_link(cause, one.id, at.get(cause), one, demo.catalog) for cause in one.caused_by]
        sound = [link for link in recorded if not link.doubts and link.cause_id in at]
        inferred = infer(one, around, demo.catalog, succession=not sound)
        if one.definition_hash and any(not link.doubts for link in recorded):
            inferred = None
        causes = {link.cause_id for link in recorded}
        if inferred and mode == "both":
            causes.add(inferred.cause_id)
        elif inferred and not sound and inferred.cause_id not in causes:
            causes = {link.cause_id for link in recorded if not link.doubts} | {inferred.cause_id}
        found[one.id] = causes & at.keys()
        only_followed = inferred and inferred.rule == SUCCESSION and inferred.cause_id not in one.caused_by
        walked[one.id] = found[one.id] - {inferred.cause_id} if inferred and only_followed else found[one.id]
    return found, walked


def closure(start: str, neighbours: dict[str, set[str]]) -> set[str]:
    seen, level = {start}, {start}
    while level:
        level = set().union(*(neighbours.get(name, set()) for name in level)) - seen
        seen |= level
    return seen


@pytest.mark.parametrize("mode", ["repaired", "both"])
def test_what_is_found_around_an_event_is_what_the_rules_find_over_all_events(demo, mode):
    shown, causes = all_links(demo, mode)
    effects: dict[str, set[str]] = {}
    for effect, names in causes.items():
        for cause in names:
            effects.setdefault(cause, set()).add(effect)
    asked = {"mode": mode, "catalog": demo.catalog, "max_events": 50_000, "max_seconds": None}
    for number, one in enumerate(random.Random(2).sample(demo.events, 24)):
        stores = demo.sqlite if number % 6 == 0 else demo.memory

        found = neighbourhood(stores, one.id, direction="effects", **asked)
        assert loaded(found) == closure(one.id, effects)
        found = neighbourhood(stores, one.id, direction="causes", **asked)
        assert loaded(found) == closure(one.id, causes)
        for effect in found.graph.events:
            told = {link.cause_id for link in found.graph.links if link.effect_id == effect}
            assert told & found.graph.events.keys() == shown[effect] & found.graph.events.keys()


def test_recent_events_come_newest_first_and_can_be_limited_to_components(stores):
    for number in range(3):
        stores.events.append(event(id=f"x{number}", component_name="Shop" if number else "Stock"))

    assert [item.id for item in recent_events(stores)] == ["x2", "x1", "x0"]
    assert [item.id for item in recent_events(stores, ("Stock",))] == ["x0"]


def test_only_events_stamped_with_a_definition_are_known_to_have_true_causes():
    stamped, other = event(definition_hash="abc"), event()

    assert records_true_causes([stamped])
    assert not records_true_causes([stamped, other]), "an import into a store of ours brings events of others"


# What is no cause


STOCK = Catalog(
    [
        parse_component("""
name: Shop
stateMachines:
  - name: Order
    initialState: Draft
    states:
      - {name: Draft, type: entry}
      - name: Paid
        cascadingRules: [{targetMachine: Stock, targetState: Open, event: TAKE, payload: {orderId: "{{orderId}}"}}]
    transitions: [{from: Draft, to: Paid, event: PAY}]
  - name: Stock
    initialState: Open
    states: [{name: Open, type: entry}]
    transitions: [{from: Open, to: Open, event: TAKE}]
""")
    ]
)


def taken(name: str, at: int, key: str, *causes: str) -> PersistedEvent:
    return _event(name, at, "Stock", key, "TAKE Open Open", instance_id="stock", caused_by=causes)


@pytest.mark.parametrize("mode", ["repaired", "both"])
def test_what_happens_later_in_an_instance_that_many_use_is_no_effect(stores, mode):
    stores.events.append_many([order("pay-1", 0, "1"), taken("take-1", 1, "1", "pay-1")])
    stores.events.append_many([order("pay-2", HOUR, "2"), taken("take-2", HOUR + 5_000, "2")])
    asked = {"mode": mode, "catalog": STOCK, "max_events": 2}

    for event_id, direction, expected in (("pay-1", "effects", {"pay-1", "take-1"}), ("take-2", "causes", {"take-2"})):
        found = neighbourhood(stores, event_id, direction=direction, **asked)
        assert (loaded(found), found.truncated) == (expected, False), "and it takes no room that others could have"


def test_what_followed_is_shown_between_events_that_are_connected_otherwise_and_is_no_step(stores):
    stores.events.append_many(
        [
            order("pay", 0, "1"),
            taken("take-1", 1, "1", "pay"),
            parcel("far", 2, "7", caused_by=("take-1",)),
            taken("take-2", 90_000, "1", "far", "gone"),
            taken("take-3", 95_000, "1"),
        ]
    )

    found = neighbourhood(stores, "pay", direction="effects", mode="both", catalog=STOCK)

    assert ("take-2", "take-3") not in pairs(found.graph.links)
    assert ("take-1", "take-2") in pairs(found.graph.links)
    assert found.depths == {"pay": 0, "take-1": 1, "far": 2, "take-2": 3}


def test_a_doubtful_cause_that_only_the_order_in_an_instance_speaks_against_is_left_out_and_counted(stores):
    stores.events.append_many(
        [order("made", 0, "1", "NOTE Draft Draft"), order("other", 5, "9"), order("pay", 9, "1", caused_by=("other",))]
    )

    found = neighbourhood(stores, "pay", direction="causes", mode="repaired", catalog=SHOP)

    assert (loaded(found), found.graph.links, found.replaced) == ({"pay"}, (), 1)
    assert loaded(neighbourhood(stores, "other", direction="effects", mode="repaired", catalog=SHOP)) == {"other"}


@pytest.mark.parametrize("mode", ["repaired", "both"])
def test_an_event_of_our_runtime_from_outside_is_not_said_to_be_sent(stores, mode):
    ours = {"definition_hash": "abc"}
    stores.events.append_many(
        [
            order("pay", 0, "1", **ours),
            parcel("sent", 1, "1", caused_by=("pay",), **ours),
            parcel("by-hand", 400, "1", instance_id="another", **ours),
        ]
    )

    assert neighbourhood(stores, "by-hand", direction="causes", mode=mode, catalog=SHOP).graph.links == ()
    assert loaded(neighbourhood(stores, "pay", direction="effects", mode=mode, catalog=SHOP)) == {"pay", "sent"}


@pytest.mark.parametrize("mode", ["repaired", "both"])
def test_a_cause_of_our_runtime_stays_where_the_clocks_of_two_components_differ(stores, mode):
    depot = {"component_name": "Depot", "definition_hash": "abc", "source_component_name": "Shop"}
    stores.events.append_many(
        [
            order("pay-1", 0, "1", definition_hash="abc"),
            order("pay-2", 505, "1", definition_hash="abc", instance_id="Order-2"),
            parcel("sent-2", 500, "1", caused_by=("pay-2",), **depot),
        ]
    )

    (link,) = neighbourhood(stores, "sent-2", direction="causes", mode=mode, catalog=SHOP).graph.links

    assert (link.cause_id, link.provenance, link.gap_ms, link.doubts) == ("pay-2", "recorded", -5, ())


@pytest.mark.parametrize("mode", ["repaired", "both"])
def test_a_cause_of_our_runtime_that_was_deleted_is_not_replaced(stores, mode):
    parent = {"payload": {"parentInstanceId": "Order-1"}, "definition_hash": "abc"}
    made = parcel("made", 400, "1", "INSTANCE_CREATED - Waiting", caused_by=("gone",), **parent)
    stores.events.append_many([order("pay", 0, "1", definition_hash="abc"), replace(made, state_before="")])

    assert pairs(neighbourhood(stores, "made", mode=mode, catalog=SHOP).graph.links) == {("gone", "made")}
    stores.events.append(replace(made, id="lost", instance_id="lost", caused_by=(), state_before=""))
    assert pairs(neighbourhood(stores, "lost", direction="causes", mode=mode, catalog=SHOP).graph.links) == {
        ("pay", "lost")
    }


ECHO = Catalog(
    [
        parse_component("""
name: Shop
stateMachines:
  - name: Order
    initialState: X
    states:
      - {name: X, type: entry}
      - {name: Y, cascadingRules: [{targetMachine: Parcel, targetState: P, event: PONG}]}
    transitions: [{from: X, to: Y, event: PING}]
  - name: Parcel
    initialState: P
    states:
      - {name: P, type: entry}
      - {name: Q, cascadingRules: [{targetMachine: Order, targetState: X, event: PING}]}
    transitions: [{from: P, to: Q, event: PONG}]
""")
    ]
)


@pytest.mark.parametrize("mode", ["repaired", "both"])
@pytest.mark.parametrize("direction", get_args(Direction))
def test_what_a_rule_says_never_makes_a_ring_with_what_is_recorded(mode, direction):
    """Nothing tells the order of one millisecond, so the rule takes the answer for the question's cause."""
    with open_memory_stores() as stores:
        stores.events.append_many(
            [
                parcel("pong", 0, "1", "PONG P Q", caused_by=("ping",)),
                order("ping", 0, "1", "PING X Y"),
                order("ping-2", 0, "2", "PING X Y", caused_by=("pong",)),
            ]
        )

        found = neighbourhood(stores, "ping", direction=direction, mode=mode, catalog=ECHO)
        assert found.graph.cycles == ()
        assert found.graph.roots == ("ping",)
        assert all(not link.doubts and link.provenance == "recorded" for link in found.graph.links)
        expected = {"ping"} if direction == "causes" else {"ping", "pong", "ping-2"}
        assert loaded(found) == expected


# What a large neighbourhood costs


class Asked:
    """An event store that counts what it is asked."""

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self.times: Counter[str] = Counter()
        self.read = 0

    def __getattr__(self, name: str) -> object:
        method = getattr(self.store, name)

        def counted(*given: object, **named: object) -> object:
            self.times[name] += 1
            answer = method(*given, **named)
            items = getattr(answer, "events", None) or getattr(answer, "items", answer)
            self.read += len(items) if isinstance(items, list | tuple) else 0
            return answer

        return counted if callable(method) else method


def effects_of(name: str, how_many: int, at: int) -> list[PersistedEvent]:
    return [
        parcel(f"{name}-{number}", at + number * 2_000, f"{name}{number}", "T A B", caused_by=(name,), **OURS)
        for number in range(how_many)
    ]


OURS = {"definition_hash": "abc"}


@pytest.mark.parametrize("mode", ["repaired", "both"])
@pytest.mark.parametrize("hub", ["pay", "sent"])
def test_an_event_with_very_many_effects_is_not_read_as_a_whole(mode, hub):
    """Neither as the one asked for, nor one step away and reached by a rule alone."""
    with open_memory_stores() as stores:
        stores.events.append_many([order("pay", 0, "K1"), parcel("sent", 1, "K1"), *effects_of(hub, 3_000, 5_000)])
        asked = Asked(stores.events)

        found = neighbourhood(
            replace(stores, events=asked), "pay", direction="effects", mode=mode, max_events=20, catalog=SHOP
        )

    assert asked.read < 300
    assert sum(asked.times.values()) < 60
    assert found.truncated
    assert found.unread >= 1
    assert len(found.graph.events) == (20 if hub == "pay" else 2)


def test_a_level_that_cannot_fit_is_not_asked_for_event_by_event():
    with open_memory_stores() as stores:
        first = effects_of("pay", 300, 5_000)
        second = [effect for one in first for effect in effects_of(one.id, 1, 900_000)]
        stores.events.append_many([order("pay", 0, "K1", **OURS), *first, *second])
        asked = Asked(stores.events)

        found = neighbourhood(
            replace(stores, events=asked), "pay", direction="effects", mode="repaired", max_events=500, catalog=SHOP
        )

    assert len(found.graph.events) == 301
    assert found.unread >= 200
    assert sum(asked.times.values()) < 30


@pytest.mark.parametrize("direction", ["causes", "effects"])
def test_the_time_limit_holds_inside_a_level_too(monkeypatch, direction):
    """Time is up after some portions of a level of 1,000 events; of the nearest level the earliest are kept."""
    ticks = count()
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks))
    with open_memory_stores() as stores:
        first = effects_of("pay", 1_000, 5_000)
        end = parcel("end", 9_000_000, "end", "T A B", caused_by=tuple(one.id for one in first), **OURS)
        stores.events.append_many([order("pay", 0, "K1", **OURS), *first, end])
        asked = {"direction": direction, "mode": "repaired", "max_events": 5_000, "catalog": SHOP}

        found = neighbourhood(stores, "pay" if direction == "effects" else "end", max_seconds=6, **asked)

    assert found.truncated
    if direction == "effects":
        kept = len(found.graph.events) - 1
        assert 200 <= kept < 1_000
        assert loaded(found) == {"pay", *(one.id for one in first[:kept])}
    else:
        assert loaded(found) == {"end", *(one.id for one in first)}, "and the level after it is left out as a whole"


def test_rules_have_a_time_limit_unless_asked_otherwise(tree, monkeypatch):
    ticks = count(step=1_000)
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks))

    assert neighbourhood(tree, "r", mode="repaired").truncated
    assert not neighbourhood(tree, "r").truncated
    assert not neighbourhood(tree, "r", mode="repaired", max_seconds=None).truncated


def test_where_all_that_is_known_is_loaded_no_more_is_counted(stores):
    """Too much else happened in that second for one question, so there may be more, and none is made up."""
    stores.events.append(order("pay", 0, "K1"))
    stores.events.append_many(parcel(f"sent-{n}", 1, f"X{n}") for n in range(MOST + 1))

    found = neighbourhood(stores, "pay", mode="repaired", catalog=SHOP)

    assert (loaded(found), found.truncated, found.unread) == ({"pay"}, True, 0)
