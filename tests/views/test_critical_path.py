"""The critical path in words, rows and a bar."""

from __future__ import annotations

from datetime import UTC

from tests.factories import START, event
from xcstore.analysis.causality import CausalGraph, causal_graph
from xcstore.analysis.critical_path import critical_path
from xcstore.units import HOUR
from xcstore.views import critical_path as views
from xcstore.views.critical_path import CriticalPathView

TIMER = {"reason": "timeout"}


def view_of(events: list, target: str | None = None, *, cut: bool = False) -> CriticalPathView:
    graph: CausalGraph = causal_graph(events, [(cause, event.id) for event in events for cause in event.caused_by])
    return views.build(critical_path(graph, target_id=target), graph.events, zone=UTC, cut=cut)


def three_hours() -> list:
    """Three hours: two until a timer, one until an event, and something at once."""
    return [
        event(id="a", persisted_at=START, event_type="OPEN", state_before="", state_after="Open"),
        event(id="b", persisted_at=START + 2 * HOUR, event_type="EXPIRE", state_before="Open", payload=TIMER),
        event(id="c", persisted_at=START + 3 * HOUR, event_type="PAY", state_before="Paid"),
        event(id="d", persisted_at=START + 3 * HOUR, instance_id="i2", event_type="SHIP", caused_by=("c",)),
    ]


def test_the_time_is_summed_up_by_what_it_was_spent_on():
    view = view_of(three_hours())

    assert "3 h from Order i1: OPEN to Order i2: SHIP" in view.summary
    assert "67 % waiting for a timer · 33 % waiting for an event · 3 segments" in view.summary
    assert [(row["spent on"], row["time"], row["share"], row["segments"]) for row in view.totals] == [
        ("▶ working", "0 ms", "0 %", 1),
        ("◷ waiting for a timer", "2 h", "67 %", 1),
        ("◌ waiting for an event", "1 h", "33 %", 1),
    ]


def test_each_segment_is_a_row_that_leads_to_its_end():
    view = view_of(three_hours())

    assert view.event_ids == ("b", "c", "d")
    assert [(row["nr"], row["spent on"], row["link"]) for row in view.segments] == [
        (1, "◷ waiting for a timer", "order in the instance"),
        (2, "◌ waiting for an event", "order in the instance"),
        (3, "▶ working", "— recorded"),
    ]
    assert view.segments[1]["why"] == "in Paid until PAY came from outside"


def test_the_bar_leaves_out_what_took_no_time_and_joins_what_could_not_be_seen():
    quick = [
        event(id=f"e{n}", persisted_at=START + n, state_before="Paid" if n else "", event_type="TICK")
        for n in range(1_000)
    ]
    slow = event(id="slow", persisted_at=START + HOUR, state_before="Paid", payload=TIMER)

    parts = view_of([*quick, slow]).parts

    assert parts[0][:2] == ("event", 999)
    assert parts[1][:2] == ("timer", HOUR - 999)
    assert len(parts) == 2
    assert len(view_of(three_hours()).parts) == 2
    assert view_of([quick[0], event(id="x", persisted_at=START, state_before="Paid")]).parts == ()


def test_what_is_odd_is_noted():
    skewed = [
        event(id="cause", persisted_at=START + 40, instance_id="x", component_name="Shipping"),
        event(id="effect", persisted_at=START, caused_by=("cause",)),
    ]
    doubtful = [
        event(id="s", persisted_at=START, instance_id="x"),
        event(id="t", persisted_at=START + 9, payload=TIMER, caused_by=("s",)),
        event(id="u", persisted_at=START + 20, state_before="Paid"),
    ]

    notes = view_of(skewed, "effect").notes
    assert view_of(skewed, "effect").segments[0]["link"] == "— recorded"
    assert "40 ms before its cause: their clocks disagree" in view_of(skewed, "effect").segments[0]["odd"]
    assert any("1 segment runs against the clock, by up to 40 ms" in note for note in notes)
    assert any("What the first event names as its cause is doubtful" in note for note in view_of(doubtful).notes)
    assert any("more events than were read" in note for note in view_of(three_hours(), cut=True).notes)


def test_of_a_long_path_the_longest_segments_are_shown_in_order_and_that_is_said():
    events = [event(id=f"e{n}", persisted_at=START + n * n, state_before="Paid" if n else "") for n in range(1_500)]

    view = view_of(events)

    assert [row["nr"] for row in view.segments] == list(range(500, 1_500))
    assert any("Shown 1,000 of 1,499 segments" in note for note in view.notes)


def test_a_single_event_has_no_time_to_explain():
    assert view_of([event(state_before="")]).segments == ()
    assert "no time to explain" in view_of([]).summary


def test_hostile_text_is_visible_text():
    view = view_of(
        [
            event(id="a\u202eb", persisted_at=START, state_before="", state_after="\u202eX"),
            event(
                id="c", persisted_at=START + 9, event_type="\u202eGO\n", state_before="\u202eX", machine_name="M\x00"
            ),
        ]
    )

    shown = repr((view.summary, view.notes, view.segments))
    assert "\\u202e" not in shown
    assert "\\x00" not in shown
