from __future__ import annotations

import pytest

from xcstore.analysis.causality import (
    CLOCK_TOLERANCE_MS,
    DOUBTS,
    SUCCESSION,
    Link,
    causal_graph,
    doubts_of,
    link_doubts,
    linked_graph,
)
from xcstore.model.catalog import Catalog
from xcstore.model.loader import parse_component


def test_roots_orphans_and_missing_causes_are_told_apart(event):
    graph = causal_graph(
        [
            event("root", 1, ">A"),
            event("child", 2, "A>B", caused_by=("root",)),
            event("orphan", 3, "B>C", caused_by=("gone",)),
            event("cut", 4, "C>D", caused_by=("elsewhere",)),
        ],
        [("root", "child"), ("gone", "orphan")],
    )

    assert graph.roots == ("root",)
    assert graph.orphans == ("orphan",)
    assert graph.missing == ("gone",)


def test_depths_count_effects_up_and_causes_down_and_leave_others_out(event):
    events = [event(name, at, "A>A") for at, name in enumerate("abcde")]

    graph = causal_graph(events, [("a", "b"), ("b", "c"), ("c", "d"), ("a", "e")])

    assert graph.depths("b") == {"b": 0, "c": 1, "d": 2, "a": -1}


def test_cycles_survive_and_their_links_are_doubtful(event):
    graph = causal_graph(
        [event("a", 1, "A>A"), event("b", 1, "A>A"), event("s", 1, "A>A"), event("x", 1, "A>A")],
        [("a", "b"), ("b", "a"), ("s", "s"), ("b", "x")],
    )

    assert graph.cycles == (("a", "b"), ("s",))
    assert {(link.cause_id, link.effect_id): bool(link.doubts) for link in graph.links} == {
        ("a", "b"): True,
        ("b", "a"): True,
        ("s", "s"): True,
        ("b", "x"): False,
    }
    assert graph.depths("a") == {"a": 0, "b": 1, "x": 2}


def test_a_link_says_instance_component_and_time_between(event):
    (link,) = causal_graph(
        [event("a", 10, "A>B"), event("b", 35, ">X", instance_id="i2", component_name="D")], [("a", "b")]
    ).links

    assert (link.same_instance, link.crosses_component, link.gap_ms, link.doubts) == (False, True, 25, ())


def test_an_effect_before_its_cause_is_doubtful(event):
    (link,) = causal_graph([event("a", 10, "A>B"), event("b", 9, "B>C")], [("a", "b")]).links

    assert link.gap_ms == -1
    assert link.doubts == ("the effect was stored before its cause",)


def test_a_timer_that_another_instance_is_said_to_have_caused_is_doubtful(event):
    own = event("own", 1, "A>B")
    timer = event("t", 9, "B>C", "TIMEOUT", payload={"reason": "timeout"}, instance_id="i2")
    mine = event("m", 9, "B>C", "TIMEOUT", payload={"reason": "timeout"})

    other, same = causal_graph([own, timer, mine], [("own", "t"), ("own", "m")]).links

    assert "timer event" in other.doubts[0]
    assert same.doubts == ()


def test_a_creation_whose_cause_is_not_its_parent_is_doubtful(event):
    parent = event("p", 1, "A>B", instance_id="parent")
    stranger = event("s", 1, "A>B", instance_id="stranger")
    child = event("c", 2, ">X", instance_id="child", payload={"parentInstanceId": "parent"})

    right, wrong = causal_graph([parent, stranger, child], [("p", "c"), ("s", "c")]).links

    assert right.doubts == ()
    assert "names its parent" in wrong.doubts[0]


def test_a_missing_cause_leaves_facts_unknown_and_is_no_doubt(event):
    (link,) = causal_graph([event("b", 9, "B>C", caused_by=("gone",))], [("gone", "b")]).links

    assert (link.same_instance, link.crosses_component, link.gap_ms, link.doubts) == (None, None, None, ())


def test_repeated_events_and_links_count_once(event):
    a, b = event("a", 1, "A>B"), event("b", 2, "B>C")

    graph = causal_graph([a, b, a], [("a", "b"), ("a", "b")])

    assert (graph.graph.num_nodes(), len(graph.links)) == (2, 1)


def test_a_chain_of_twenty_thousand_links_is_walked_without_recursion(event):
    events = [event(f"e{n}", n, "A>A") for n in range(20_000)]

    graph = causal_graph(events, [(f"e{n}", f"e{n + 1}") for n in range(19_999)])

    assert graph.depths("e0")["e19999"] == 19_999


def test_an_event_from_another_component_whose_cause_is_not_there_is_doubtful(event):
    came = event("came", 2, "A>B", component_name="D", source_component_name="C", instance_id="i2")
    right, wrong = event("right", 1, "A>B", component_name="C"), event("wrong", 1, "A>B", component_name="D")

    assert doubts_of(right, came) == {}
    assert list(doubts_of(wrong, came)) == ["source"]


# What nothing explains

CATALOG = Catalog(
    [
        parse_component("""
name: C
stateMachines:
  - name: Sender
    initialState: A
    states:
      - {name: A, type: entry}
      - name: B
        cascadingRules:
          - {targetMachine: Other, targetState: X, event: TOLD, payload: {key: "{{key}}"}}
    transitions: [{from: A, to: B, event: GO}]
  - name: Other
    initialState: X
    states: [{name: X, type: entry}]
    transitions: [{from: X, to: X, event: TOLD}]
""")
    ]
)


@pytest.fixture
def sender(event):
    return event("s", 1, "A>B", machine_name="Sender", public_member_snapshot={"key": 7})


@pytest.fixture
def told(event):
    def make(key=7, **fields):
        values = {"machine_name": "Other", "instance_id": "i2", "payload": {"key": key}, **fields}
        return event("t", 2, "X>X", "TOLD", **values)

    return make


def test_a_link_that_the_definition_explains_is_not_doubtful(sender, told):
    assert link_doubts(sender, told(), CATALOG) == ()


def test_a_link_between_instances_that_nothing_explains_is_doubtful_and_says_why(sender, told, event):
    elsewhere = event("e", 1, "A>A", "OTHER", machine_name="Sender")

    (values,) = link_doubts(sender, told(key=8), CATALOG)
    (nothing,) = link_doubts(elsewhere, told(), CATALOG)

    assert "the values that the definition sends along are not those that arrived" in values
    assert "neither a definition nor a method that ran then" in nothing
    for kinds in (doubts_of(sender, told(key=8), CATALOG), doubts_of(elsewhere, told(), CATALOG)):
        assert list(kinds) == ["unexplained"]


def test_what_a_method_may_have_sent_with_a_value_that_its_instance_had_is_not_doubtful(event):
    notifier = """
name: C
stateMachines:
  - name: Notifier
    initialState: A
    states: [{name: A, type: entry}, {name: B}]
    transitions: [{from: A, to: B, event: GO, triggeredMethod: notifyOther}]
"""
    known = Catalog([parse_component(notifier)])
    cause = event("c", 10, "A>B", "GO", machine_name="Notifier", public_member_snapshot={"orderId": "ORD-7"})

    def told(at: int = 12, value: object = "ORD-7"):
        return event("t", at, "X>Y", "TOLD", instance_id="i2", machine_name="Other", payload={"order": value})

    assert link_doubts(cause, told(), known) == ()
    assert link_doubts(cause, told(value="ORD-8"), known) != ()
    assert link_doubts(cause, told(at=2_000), known) != ()
    assert link_doubts(event("c", 10, "B>A", "BACK", machine_name="Notifier"), told(), known) != ()


def test_of_a_component_without_a_definition_nobody_can_tell_what_it_sends(sender, told):
    assert link_doubts(sender, told(key=8), Catalog()) == ()


def test_without_definitions_asked_for_nobody_says_that_none_explains_a_link(sender, told):
    assert link_doubts(sender, told(key=8)) == ()


def test_events_of_our_runtime_and_of_one_instance_are_not_said_to_be_unexplained(sender, told):
    assert link_doubts(sender, told(key=8, definition_hash="x"), CATALOG) == ()
    assert link_doubts(sender, told(key=8, instance_id="i1"), CATALOG) == ()


def test_a_graph_of_recorded_links_judges_them_by_the_catalog(sender, told):
    events, links = [sender, told(key=8)], [("s", "t")]

    assert causal_graph(events, links).links[0].doubts == ()
    assert len(causal_graph(events, links, catalog=CATALOG).links[0].doubts) == 1


def test_every_kind_of_doubt_is_described(event, sender, told):
    timer = told(payload={"reason": "timeout"})
    child = event("c", 0, ">X", machine_name="Other", instance_id="i2", payload={"parentInstanceId": "p"})
    came = told(source_component_name="D")
    found = {
        kind
        for cause, effect in ((sender, sender), (sender, timer), (sender, child), (sender, came), (sender, told(8)))
        for kind in doubts_of(cause, effect, CATALOG)
    }

    assert found | {"cycle"} == DOUBTS.keys()


def test_a_graph_of_links_at_hand_keeps_what_they_say(event):
    inferred = Link(cause_id="a", effect_id="b", provenance="inferred", rule="timer", evidence="seen")
    recorded = Link(cause_id="gone", effect_id="b")

    graph = linked_graph([event("a", 1, ">A"), event("b", 2, "A>B")], [inferred, recorded, recorded])

    assert graph.links == (inferred, recorded)
    assert graph.graph.get_edge_data(graph.nodes["a"], graph.nodes["b"]) == inferred
    assert (graph.roots, graph.orphans, graph.missing) == (("a",), ("b",), ("gone",))


@pytest.mark.parametrize(("early", "depot", "doubtful"), [(1_000, True, False), (1_001, True, True), (1, False, True)])
def test_clocks_of_two_components_may_differ_by_a_second_and_one_clock_not_at_all(event, early, depot, doubtful):
    cause = event("a", 10_000, "A>B", instance_id="i", component_name="Shop")
    effect = event("b", 10_000 - early, "A>B", instance_id="j", component_name="Depot" if depot else "Shop")

    assert ("before" in doubts_of(cause, effect)) == doubtful
    assert CLOCK_TOLERANCE_MS == 1_000


def test_an_inferred_link_inside_a_ring_is_left_out_and_a_recorded_ring_stays(event):
    events = [event(name, 0, "A>A") for name in "abcd"]
    recorded = [Link(cause_id="a", effect_id="b"), Link(cause_id="b", effect_id="c"), Link(cause_id="d", effect_id="d")]
    guessed = Link(cause_id="c", effect_id="a", provenance="inferred", rule="cascade")

    graph = linked_graph(events, [*recorded, guessed])
    assert (graph.links[:2], graph.cycles) == (tuple(recorded[:2]), (("d",),))
    assert not graph.graph.has_edge(graph.nodes["c"], graph.nodes["a"])
    ring = linked_graph(events, [*recorded, Link(cause_id="c", effect_id="a")])
    assert ring.cycles == (("a", "b", "c"), ("d",))
    assert all("part of a cycle" in link.doubts[0] for link in ring.links if link.cause_id != "d")


def test_what_only_followed_is_no_step(event):
    followed = Link(cause_id="a", effect_id="c", provenance="inferred", rule=SUCCESSION)
    links = [Link(cause_id="a", effect_id="b"), Link(cause_id="b", effect_id="c"), followed]

    assert linked_graph([event(name, 0, "A>A") for name in "abc"], links).depths("a") == {"a": 0, "b": 1, "c": 2}
