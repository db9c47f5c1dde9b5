from __future__ import annotations

import pytest

from xcstore.analysis.causality import CLOCK_TOLERANCE_MS, CausalGraph, Link, causal_graph
from xcstore.analysis.critical_path import AT_ONCE_MS, critical_path
from xcstore.errors import NotFoundError
from xcstore.model.catalog import Catalog
from xcstore.model.definition import Component, State, StateMachine, Transition
from xcstore.model.history import PersistedEvent

TRUE = {"definition_hash": "h"}  # written by a runtime that records true causes


def recorded(events: list[PersistedEvent]) -> CausalGraph:
    """The graph of what the events name as their causes."""
    return causal_graph(events, [(cause, event.id) for event in events for cause in event.caused_by])


def kinds(path) -> list[tuple[str, str, int]]:
    return [(segment.target_id, segment.kind, segment.duration_ms) for segment in path.segments]


def test_of_a_cause_and_the_event_before_in_the_instance_the_later_one_is_critical(event):
    #  order:    created 0 ----------- noted 40 ------ paid 50
    #  payment:            asked 10 --- done 45 -------^
    events = [
        event("created", 0, ">New", **TRUE),
        event("asked", 10, ">Asked", instance_id="p", caused_by=("created",), **TRUE),
        event("noted", 40, "New>New", "NOTE", **TRUE),
        event("done", 45, "Asked>Done", instance_id="p", **TRUE),
        event("paid", 50, "New>Paid", "PAID", caused_by=("done",), **TRUE),
    ]

    path = critical_path(recorded(events))

    assert path.event_ids == ("created", "asked", "done", "paid")
    assert kinds(path) == [("asked", "working", 10), ("done", "event", 35), ("paid", "working", 5)]
    assert (path.start, path.elapsed_ms, path.totals()) == ("root", 50, {"working": 15, "event": 35})


def test_an_instance_that_was_busy_when_its_event_was_sent_was_working(event):
    events = [
        event("created", 0, ">New", **TRUE),
        event("sent", 5, ">X", instance_id="other", **TRUE),
        event("long", 40, "New>Busy", **TRUE),
        event("late", 41, "Busy>Done", caused_by=("sent",), **TRUE),
    ]

    path = critical_path(recorded(events))

    assert path.event_ids == ("created", "long", "late")
    assert kinds(path) == [("long", "event", 40), ("late", "working", 1)]
    assert path.segments[-1].link is None


def test_a_timer_is_told_by_the_payload_or_by_the_definition_where_it_declares_nothing_else(event):
    stay = (State(name="A"), State(name="B"), State(name="C"))
    ways = (
        Transition(source="A", target="B", event="EXPIRE", type="timeout", timeout_ms=10),
        Transition(source="B", target="C", event="STOP", type="timeout", timeout_ms=10),
        Transition(source="B", target="C", event="STOP"),
    )
    machine = StateMachine(name="M", initial_state="A", states=stay, transitions=ways)
    catalog = Catalog([Component(name="C", machines=(machine,))])
    events = [
        event("a", 0, ">A"),
        event("b", 10, "A>B", "EXPIRE"),
        event("c", 20, "B>C", "STOP"),
        event("d", 30, "C>C", "TICK", payload={"reason": "timeout"}),
    ]

    with_definition = critical_path(recorded(events), catalog=catalog)
    without = critical_path(recorded(events))

    assert [kind for _, kind, _ in kinds(with_definition)] == ["timer", "event", "timer"]
    assert [kind for _, kind, _ in kinds(without)] == ["event", "event", "timer"]


def test_what_a_runtime_without_true_causes_names_in_the_same_instance_is_only_what_came_before(event):
    first, second = event("a", 0, ">A"), event("b", 9, "A>B", caused_by=("a",))
    true = event("b", 9, "A>B", caused_by=("a",), **TRUE)

    assert kinds(critical_path(recorded([first, second]))) == [("b", "event", 9)]
    assert kinds(critical_path(recorded([first, true]))) == [("b", "working", 9)]


def test_an_instance_works_at_once_and_waits_for_what_it_set_in_motion_later(event):
    start = event("a", 0, ">A", **TRUE)
    at_once = event("b", AT_ONCE_MS, "A>B", caused_by=("a",), **TRUE)
    later = event("c", 2 * AT_ONCE_MS + 1, "B>C", caused_by=("b",), **TRUE)
    between = event("d", 2 * AT_ONCE_MS + 2, "C>D", **TRUE)
    long_after = event("e", 4 * AT_ONCE_MS, "D>E", caused_by=("c",), **TRUE)

    path = critical_path(recorded([start, at_once, later, between, long_after]))

    assert [kind for _, kind, _ in kinds(path)] == ["working", "event", "event", "event"]
    assert "set in motion" in path.segments[1].why
    assert "whose cause had come before" in path.segments[3].why


def test_a_hand_over_to_another_instance_is_work_however_long_it_takes(event):
    events = [event("a", 0, ">A", **TRUE), event("b", 90_000, ">X", instance_id="x", caused_by=("a",), **TRUE)]

    assert kinds(critical_path(recorded(events))) == [("b", "working", 90_000)]


def test_an_inferred_cause_is_work_and_an_inferred_succession_is_waiting(event):
    first, second = event("a", 0, ">A"), event("b", 9, "A>B")
    for rule, kind in (("cascade", "working"), ("succession", "event")):
        link = Link(cause_id="a", effect_id="b", provenance="inferred", rule=rule, same_instance=True, gap_ms=9)
        graph = causal_graph([first, second], [])
        inferred = CausalGraph(graph=graph.graph, nodes=graph.nodes, events=graph.events, links=(link,))

        assert kinds(critical_path(inferred)) == [("b", kind, 9)]


def test_a_doubtful_link_is_not_followed_and_the_path_says_so_where_it_starts_there(event):
    stranger = event("stranger", 8, ">X", instance_id="s")
    own = event("own", 1, ">A")
    timer = event("timer", 9, "A>B", payload={"reason": "timeout"}, caused_by=("stranger",))
    child = event("child", 9, ">B", instance_id="c", payload={"parentInstanceId": "p"}, caused_by=("stranger",))

    beside = critical_path(recorded([stranger, own, timer]))
    alone = critical_path(recorded([stranger, child]), target_id="child")

    assert beside.event_ids == ("own", "timer")
    assert kinds(beside) == [("timer", "timer", 8)]
    assert (alone.event_ids, alone.start) == (("child",), "doubtful")
    assert "is doubtful: a creation that names its parent" in alone.faults[0]


def test_an_event_whose_cause_cannot_be_right_came_to_an_instance_that_waited(event):
    stranger = event("stranger", 500, ">X", instance_id="s")
    events = [event("own", 1, ">A"), stranger, event("next", 9, "A>B", caused_by=("own", "next"))]

    path = critical_path(recorded(events), target_id="next")

    assert kinds(path) == [("next", "event", 8)]
    assert "is doubtful" in path.segments[0].why


def test_clocks_that_disagree_a_little_cost_no_time_and_are_told(event):
    events = [
        event("start", 0, ">A", **TRUE),
        event("cause", 130, ">X", instance_id="x", component_name="D", **TRUE),
        event("effect", 100, "A>B", caused_by=("cause",), **TRUE),
    ]

    path = critical_path(recorded(events), target_id="effect")

    assert path.event_ids == ("cause", "effect")
    assert (path.segments[0].duration_ms, path.segments[0].skew_ms) == (0, 30)
    assert path.segments[0].faults == ("the effect was stored 30 ms before its cause: their clocks disagree",)


def test_no_path_takes_less_than_no_time(event):
    cause = event("cause", 130, ">X", instance_id="x", component_name="D", **TRUE)
    effect = event("effect", 100, ">A", caused_by=("cause",), **TRUE)

    path = critical_path(recorded([cause, effect]), target_id="effect")

    assert (path.event_ids, path.elapsed_ms, path.totals()) == (("cause", "effect"), 0, {"working": 0})


@pytest.mark.parametrize(
    ("component", "early", "believed"),
    [("D", CLOCK_TOLERANCE_MS, True), ("D", CLOCK_TOLERANCE_MS + 1, False), ("C", 1, False)],
)
def test_a_cause_after_its_effect_is_believed_for_as_much_as_the_clocks_of_two_components_differ(
    event, component, early, believed
):
    events = [
        event("start", 0, ">A", **TRUE),
        event("other", 90, ">X", instance_id="y", **TRUE),
        event("cause", 100 + early, ">X", instance_id="x", component_name=component, **TRUE),
        event("effect", 100, "A>B", caused_by=("cause", "other"), **TRUE),
    ]

    path = critical_path(recorded(events), target_id="effect")

    assert path.event_ids == (("cause", "effect") if believed else ("other", "effect"))
    assert path.elapsed_ms == (0 if believed else 10)


def test_in_one_component_a_cause_after_its_effect_starts_the_path_where_nothing_else_leads_there(event):
    events = [
        event("cause", 50_000, ">X", instance_id="x", **TRUE),
        event("effect", 100, ">A", caused_by=("cause",), **TRUE),
    ]

    path = critical_path(recorded(events), target_id="effect")

    assert (path.event_ids, path.start) == (("effect",), "doubtful")
    assert "stored before its cause" in path.faults[0]


def test_a_cycle_of_causes_is_not_followed(event):
    events = [
        event("a", 5, ">A", instance_id="1", caused_by=("b",)),
        event("b", 5, ">A", instance_id="2", caused_by=("a",)),
        event("self", 6, ">A", instance_id="3", caused_by=("self", "b")),
    ]

    path = critical_path(recorded(events))

    assert (path.event_ids, path.start) == (("b", "self"), "doubtful")
    assert "cycle" in path.faults[0]


def test_a_circle_through_causes_and_streams_ends_the_path_and_is_told(event):
    # Each cause is by a clock that is a little ahead, and leads back to the instance that it came from.
    events = [
        event("a1", 10, ">A", instance_id="a", caused_by=("b2",)),
        event("a2", 20, "A>B", instance_id="a"),
        event("b1", 10, ">A", instance_id="b", component_name="D", caused_by=("a2",)),
        event("b2", 20, "A>B", instance_id="b", component_name="D"),
    ]

    path = critical_path(recorded(events), target_id="b2")

    assert path.event_ids == ("a1", "a2", "b1", "b2")
    assert path.start == "cycle"
    assert "circle" in path.faults[0]


def test_a_path_that_starts_before_what_is_loaded_says_so(event):
    orphan = critical_path(recorded([event("a", 1, ">A", caused_by=("gone",)), event("b", 2, "A>B")]))
    cut = critical_path(recorded([event("b", 2, "A>B"), event("d", 9, "C>D")]))

    assert (orphan.start, cut.start) == ("unloaded", "unloaded")
    assert "gone" in orphan.faults[0]
    assert "starts in 'A'" in cut.faults[0]
    assert "not loaded, or missing" in cut.segments[0].faults[0]


def test_an_event_whose_cause_is_missing_waited_for_an_event(event):
    path = critical_path(recorded([event("a", 0, ">A"), event("b", 7, "A>B", caused_by=("gone",), **TRUE)]))

    assert kinds(path) == [("b", "event", 7)]
    assert "not among the events" in path.segments[0].why


def test_events_of_one_moment_follow_their_causes_and_chains(event):
    events = [
        event("z", 5, ">A", **TRUE),
        event("y", 5, "A>B", caused_by=("z",), **TRUE),
        event("x", 5, ">Q", instance_id="q", caused_by=("y",), **TRUE),
        event("w", 5, "B>C", caused_by=("x",), **TRUE),
    ]

    path = critical_path(recorded(events))

    assert path.event_ids == ("z", "y", "x", "w")
    assert path.totals() == {"working": 0}


def test_no_events_one_event_and_an_unknown_target(event):
    assert critical_path(recorded([])).event_ids == ()
    assert critical_path(recorded([event("a", 1, ">A")])).event_ids == ("a",)
    with pytest.raises(NotFoundError):
        critical_path(recorded([]), target_id="nobody")


def test_a_chain_of_a_hundred_thousand_events_over_two_instances_is_walked_without_recursion(event):
    events = [
        event(
            f"e{n}",
            n,
            "A>A" if n > 1 else ">A",
            instance_id=f"i{n % 2}",
            caused_by=(f"e{n - 1}",) if n else (),
            **TRUE,
        )
        for n in range(100_000)
    ]

    path = critical_path(recorded(events))

    assert len(path.event_ids) == 100_000
    assert path.totals() == {"working": 99_999}


def test_a_timer_that_goes_on_while_its_instance_does_other_things_counts_from_its_start(event):
    events = [
        event("delivered", 0, ">Delivered", **TRUE),
        event("reviewed", 30, "Delivered>Delivered", "REVIEWED", **TRUE),
        event("closed", 90, "Delivered>Closed", caused_by=("delivered",), payload={"reason": "timeout"}, **TRUE),
    ]

    path = critical_path(recorded(events))

    assert path.event_ids == ("delivered", "closed")
    assert kinds(path) == [("closed", "timer", 90)]


def test_an_event_whose_recorded_cause_is_not_loaded_did_not_come_from_outside(event):
    events = [event("created", 0, ">New", **TRUE), event("told", 5_000, "New>Paid", caused_by=("elsewhere",), **TRUE)]

    (segment,) = critical_path(causal_graph(events, [])).segments

    assert "its cause is not among the events" in segment.why
