from __future__ import annotations

from xcstore.analysis.causality import causal_graph


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
