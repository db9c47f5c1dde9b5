from __future__ import annotations

from dataclasses import replace

import pytest

from xcstore.analysis.inference import RULES, Surroundings, infer
from xcstore.analysis.routes import WINDOW
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION
from xcstore.model.loader import parse_component

SHOP = parse_component("""
name: Shop
stateMachines:
  - name: Order
    initialState: Draft
    states:
      - {name: Draft, type: entry}
      - name: Paid
        cascadingRules:
          - targetComponent: Depot
            targetMachine: Parcel
            targetState: Waiting
            event: SEND
            matchingRules: [{eventProperty: orderId, instanceProperty: orderId}]
            payload: {orderId: "{{orderId}}", to: {city: "{{address.city}}"}}
          - {targetMachine: Bell, targetState: "*", event: RING}
    transitions:
      - {from: Draft, to: Paid, event: PAY}
      - {from: Draft, to: Draft, event: CHANGE}
      - {from: Draft, to: Gone, event: TOO_LATE, type: timeout, timeoutMs: 900, resetOnTransition: false}
      - {from: Draft, to: Gone, event: IDLE, type: timeout, timeoutMs: 500}
      - {from: Paid, to: Paid, event: MORE, type: inter_machine, targetMachine: Line, contextMapping: {n: n}}
      - {from: Paid, to: Paid, event: CHAT}
      - {from: Paid, to: Asked, event: ASK, type: cross_component, targetComponent: Depot, targetMachine: Parcel,
         contextMapping: {orderId: orderId}}
  - name: Line
    initialState: New
    states: [{name: New, type: entry}]
  - name: Bell
    initialState: Still
    states: [{name: Still, type: entry}]
    transitions: [{from: Still, to: Still, event: RING}]
""")
DEPOT = parse_component("""
name: Depot
stateMachines:
  - name: Parcel
    initialState: Waiting
    states: [{name: Waiting, type: entry}, {name: Sent}]
    transitions: [{from: Waiting, to: Sent, event: SEND}]
""")
CATALOG = Catalog([SHOP, DEPOT])


@pytest.fixture
def order(event):
    def make(event_id, at, move, event_type="GO", key="K1", **fields):
        held = {"orderId": key, "address": {"city": "Lyon"}}
        return event(
            event_id,
            at,
            move,
            event_type,
            **{
                "machine_name": "Order",
                "component_name": "Shop",
                "instance_id": f"order-{key}",
                "public_member_snapshot": held,
                **fields,
            },
        )

    return make


@pytest.fixture
def parcel(event):
    def make(event_id, at, key="K1", city="Lyon", **fields):
        return event(
            event_id,
            at,
            "Waiting>Sent",
            "SEND",
            **{
                "machine_name": "Parcel",
                "component_name": "Depot",
                "instance_id": f"parcel-{event_id}",
                "payload": {"orderId": key, "to": {"city": city}},
                **fields,
            },
        )

    return make


def inferred(effect, *others, catalog=CATALOG, **options):
    return infer(effect, Surroundings([*others, effect]), catalog, **options)


def test_the_rules_are_by_strength_and_each_says_what_it_does():
    assert list(RULES) == ["timer", "parent", "child", "sender", "cascade", "succession"]
    assert all(rule.description for rule in RULES.values())


# timer


def test_a_timer_is_caused_by_what_entered_the_state_in_its_own_instance(order):
    made = order("made", 0, ">Draft")
    other = order("other", 890, ">Draft", key="K2")
    late = order("late", 900, "Draft>Gone", "TOO_LATE", payload={"reason": "timeout"})

    link = inferred(late, made, other)

    assert (link.cause_id, link.effect_id, link.rule, link.provenance) == ("made", "late", "timer", "inferred")
    assert (link.same_instance, link.crosses_component, link.gap_ms) == (True, False, 900)
    assert link.evidence == "timer of its own instance (timeout): INSTANCE_CREATED entered Draft 900 ms earlier"


@pytest.mark.parametrize(("timer", "cause"), [("IDLE", "change"), ("TOO_LATE", "made"), ("UNDECLARED", "change")])
def test_a_transition_to_the_same_state_starts_a_timer_anew_unless_the_definition_says_no(order, timer, cause):
    made, change = order("made", 0, ">Draft"), order("change", 400, "Draft>Draft", "CHANGE")
    late = order("late", 900, "Draft>Gone", timer, payload={"reason": "timeout"})

    assert inferred(late, made, change).cause_id == cause


def test_a_timer_after_a_restart_is_caused_by_the_last_event_that_led_to_its_state(order):
    """The instance was rolled back to Draft, so what was stored last led elsewhere."""
    made, paid = order("made", 0, ">Draft"), order("paid", 5, "Draft>Paid", "PAY")
    late = order("late", 900, "Draft>Gone", "TOO_LATE", payload={"reason": "timeout_expired_during_restart"})

    assert inferred(late, made, paid).cause_id == "made"


def test_where_nothing_entered_the_state_a_timer_has_no_cause(order):
    paid = order("paid", 5, "Draft>Paid", "PAY")
    late = order("late", 900, "Draft>Gone", "TOO_LATE", payload={"reason": "timeout"}, definition_hash="x")

    assert inferred(late, paid) is None


# parent, child


def test_a_creation_is_caused_by_the_transition_of_its_parent_that_makes_it(order, event):
    more = order("more", 10, "Paid>Paid", "MORE")
    chat = order("chat", 11, "Paid>Paid", "CHAT")
    made = event(
        "made",
        12,
        ">New",
        machine_name="Line",
        component_name="Shop",
        instance_id="line",
        payload={"parentInstanceId": "order-K1", "initialContext": {}},
    )

    link = inferred(made, more, chat)

    assert (link.cause_id, link.rule, link.same_instance) == ("more", "parent", False)
    assert (
        link.evidence == "created by Order MORE 2 ms earlier: parentInstanceId, and its definition makes this machine"
    )
    assert inferred(made, more, chat, catalog=None).cause_id == "chat", "without definitions it is the nearest"


def test_what_a_parent_or_a_child_did_long_before_is_no_cause(order, event):
    line = {"machine_name": "Line", "component_name": "Shop", "instance_id": "line"}
    more, told = order("more", 10, "Paid>Paid", "MORE"), event("told", 10, "New>Done", **line)

    def made(at):
        return event("made", at, ">New", payload={"parentInstanceId": "order-K1"}, **line)

    def news(at):
        return order("news", at, "Paid>Paid", "NEWS", payload={"childInstanceId": "line"}, definition_hash="x")

    assert inferred(made(10 + WINDOW), more).rule == "parent"
    assert inferred(made(10 + WINDOW + 1), more) is None
    assert inferred(news(10 + WINDOW), told).rule == "child"
    assert inferred(news(10 + WINDOW + 1), told) is None


def test_children_of_one_moment_are_told_apart_by_the_order_of_insertion(order, event):
    def line(name, seq):
        return event(
            name,
            10,
            ">New",
            machine_name="Line",
            component_name="Shop",
            instance_id=name,
            seq=seq,
            payload={"parentInstanceId": "order-K1"},
        )

    first, second = order("first", 10, "Paid>Paid", "MORE", seq=1), order("second", 10, "Paid>Paid", "MORE", seq=3)
    one, two = line("one", 2), line("two", 4)

    assert inferred(one, first, second, two).cause_id == "first"
    assert inferred(two, first, second, one).cause_id == "second"
    blind = [replace(event, seq=None) for event in (one, first, second, two)]
    assert inferred(*blind).evidence.endswith("; 2 alike at that moment"), "nothing tells them apart, and it says so"


def test_news_of_a_child_is_caused_by_the_transition_it_tells_of(order, event):
    told = {"childInstanceId": "line", "previousState": "New", "newState": "Done"}
    news = order("news", 20, "Paid>Paid", "NEWS", payload=told)
    child = {"machine_name": "Line", "component_name": "Shop", "instance_id": "line"}
    done, later = event("done", 19, "New>Done", **child), event("later", 20, "Done>Done", **child)

    link = inferred(news, done, later)

    assert (link.cause_id, link.rule) == ("done", "child")
    assert link.evidence == "told by Line GO 1 ms earlier: childInstanceId"


# sender, cascade


def test_an_event_from_another_component_is_caused_by_what_its_definition_sends(order, parcel):
    pay, near = order("pay", 100, "Draft>Paid", "PAY"), order("near", 104, "Draft>Paid", "PAY", key="K2")
    sent = parcel("sent", 105, source_component_name="Shop")

    link = inferred(sent, pay, near)

    assert (link.cause_id, link.rule, link.crosses_component, link.gap_ms) == ("pay", "sender", True, 5)
    assert link.evidence == (
        "sent by Order PAY entering Paid 5 ms earlier: source component Shop, equal orderId, to.city"
    )
    assert inferred(sent, near) is None or inferred(sent, near).rule == "succession"


def test_without_a_source_component_the_definition_alone_can_tell(order, parcel):
    pay = order("pay", 100, "Draft>Paid", "PAY")

    assert inferred(parcel("sent", 105), pay).rule == "cascade"
    ours = parcel("sent", 105, definition_hash="x")
    assert inferred(ours, pay) is None, "our runtime would have recorded it"
    assert inferred(parcel("sent", 105), pay, catalog=None) is None


def test_a_value_that_has_to_be_equal_and_is_not_rules_a_sender_out(order, parcel):
    pay = order("pay", 100, "Draft>Paid", "PAY", key="K2")

    assert inferred(parcel("sent", 105), pay) is None


def test_among_senders_the_one_with_more_equal_values_counts_before_the_nearer(order, parcel):
    lyon = order("lyon", 100, "Draft>Paid", "PAY")
    held = {"orderId": "K1", "address": {"city": "Nice"}}
    nice = order("nice", 104, "Draft>Paid", "PAY", instance_id="copy", public_member_snapshot=held)

    assert inferred(parcel("sent", 105), lyon, nice).cause_id == "lyon"


def test_among_senders_alike_the_nearest_counts(order, parcel):
    pays = [order(f"pay-{at}", at, "Draft>Paid", "PAY") for at in (101, 104, 103)]

    assert inferred(parcel("sent", 105), *pays).cause_id == "pay-104"


def test_values_that_were_not_stored_are_those_of_the_payloads(order, parcel):
    nothing = {"public_member_snapshot": None}
    one = order("one", 0, ">Draft", payload={"initialContext": {"orderId": "K1"}}, **nothing)
    paid = order("paid", 100, "Draft>Paid", "PAY", payload={"address": {"city": "Lyon"}}, **nothing)
    two = order("two", 0, ">Draft", key="K2", payload={"initialContext": {"orderId": "K2"}}, **nothing)
    near = order("near", 104, "Draft>Paid", "PAY", key="K2", **nothing)

    link = inferred(parcel("sent", 105), one, paid, two, near)

    assert link.cause_id == "paid"
    assert "equal orderId, to.city" in link.evidence


def test_a_sender_is_not_looked_for_longer_than_the_window_nor_after(order, parcel):
    sent = parcel("sent", 10_000)

    assert inferred(sent, order("pay", 10_000 - WINDOW, "Draft>Paid", "PAY")).cause_id == "pay"
    assert inferred(sent, order("pay", 10_000 - WINDOW - 1, "Draft>Paid", "PAY")) is None
    assert inferred(sent, order("pay", 10_001, "Draft>Paid", "PAY")) is None


def test_of_our_events_none_that_was_stored_later_is_a_cause_of_others_it_is_said(order, parcel):
    pay = order("pay", 100, "Draft>Paid", "PAY", seq=9)
    ours = parcel("sent", 100, seq=8, definition_hash="x", source_component_name="Shop")

    assert inferred(ours, pay) is None
    assert inferred(replace(ours, definition_hash=None), pay).evidence.endswith("; stored after it")


def test_an_instance_made_in_another_component_is_caused_by_the_transition_that_made_it(order, event):
    ask, near = order("ask", 100, "Paid>Asked", "ASK"), order("near", 101, "Paid>Asked", "ASK", key="K2")
    made = event(
        "made",
        103,
        ">Waiting",
        machine_name="Parcel",
        component_name="Depot",
        instance_id="p",
        payload={"initialContext": {"orderId": "K1"}},
    )

    link = inferred(made, ask, near)

    assert (link.cause_id, link.rule) == ("ask", "cascade")
    assert "on ASK" in link.evidence


def test_an_event_of_our_runtime_that_says_nothing_of_a_sender_came_from_outside(order, event):
    bell = {"machine_name": "Bell", "component_name": "Shop", "instance_id": "bell"}
    pay = order("pay", 100, "Draft>Paid", "PAY")

    assert inferred(event("ring", 107, "Still>Still", "RING", **bell), pay).rule == "cascade"
    assert inferred(event("ring", 107, "Still>Still", "RING", definition_hash="x", **bell), pay) is None


def test_a_cascade_to_all_in_any_state_has_only_time_to_go_by(order, event):
    ring = event("ring", 107, "Still>Still", "RING", machine_name="Bell", component_name="Shop", instance_id="bell")
    pays = [order("pay", 100, "Draft>Paid", "PAY"), order("pay-2", 105, "Draft>Paid", "PAY", key="K2")]

    link = inferred(ring, *pays)

    assert (link.cause_id, link.rule) == ("pay-2", "cascade")
    assert "equal" not in link.evidence


# succession


def test_what_nothing_else_explains_followed_the_event_before_it(order):
    made, paid = order("made", 0, ">Draft"), order("paid", 7_200_000, "Draft>Paid", "PAY")

    link = inferred(paid, made)

    assert (link.cause_id, link.rule) == ("made", "succession")
    assert link.evidence == "followed Order INSTANCE_CREATED 2.0 h earlier: same instance"
    assert inferred(paid, made, succession=False) is None
    assert inferred(made, paid) is None
    assert inferred(replace(paid, definition_hash="x"), made) is None, "our runtime records causes; this has none"


# Odd data


@pytest.mark.parametrize("payload", [None, "text", ["reason"], {"reason": ["timeout"]}, {"parentInstanceId": 7}])
def test_odd_payloads_are_no_errors(order, event, payload):
    for effect in (
        order("odd", 10, "Draft>Paid", "PAY", payload=payload),
        event("odd", 10, ">Waiting", machine_name="Parcel", component_name="Depot", payload=payload),
        event("odd", 10, "Waiting>Sent", "SEND", machine_name="Parcel", component_name="", payload=payload),
    ):
        odd = order("pay", 9, "Draft>Paid", "PAY", payload=payload, public_member_snapshot=None, key="K9")

        link = inferred(effect, odd)

        assert link is None or link.cause_id == "pay"


def test_an_event_is_never_its_own_cause(order):
    """A parent that names itself, and a creation that is all there is."""
    own = order("own", 0, ">Draft", payload={"parentInstanceId": "order-K1"})

    assert own.event_type == CREATION
    assert inferred(own) is None
