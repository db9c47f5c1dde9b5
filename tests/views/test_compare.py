"""What is said of a comparison, its rows, one pair in full, and its pictures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.factories import START, event
from xcstore.analysis.causality import Link, causal_graph, linked_graph
from xcstore.analysis.comparing import compare_streams
from xcstore.analysis.comparing_traces import compare_traces
from xcstore.queries.comparing import TypicalEvent, TypicalInstance
from xcstore.render.diagram import LAYOUT_LIMIT
from xcstore.views import compare as views
from xcstore.views import compare_pictures as pictures
from xcstore.views.compare_pair import pair

NEW = ("INSTANCE_CREATED", "", "Draft", 0)
SUBMIT = ("SUBMIT", "Draft", "Paying", 10)


def stream(name, *steps, **payload):
    return [
        event(
            id=f"{name}{number}",
            instance_id=name,
            event_type=kind,
            state_before=before,
            state_after=after,
            persisted_at=START + seconds * 1_000,
            payload=payload,
        )
        for number, (kind, before, after, seconds) in enumerate(steps)
    ]


def sides(found, **right):
    left = views.Side(name="left", total=found.left, until=START + 3_610_000)
    return left, views.Side(name="right", **{"total": found.right, **right})


def of(left, right):
    return compare_streams(stream("l", *left), stream("r", *right))


def said(left, right):
    found = of(left, right)
    return views.headline(found, *sides(found))


@pytest.fixture
def traces():
    """A root that caused one step on the left and two on the right."""
    left = stream("l", NEW, ("PACK", "A", "B", 1))
    right = stream("r", NEW, ("PACK", "A", "C", 2), ("SEND", "A", "B", 4))
    return compare_traces(
        causal_graph(left, [("l0", "l1")]), "l0", causal_graph(right, [("r0", "r1"), ("r0", "r2")]), "r0"
    )


def test_the_headline_says_how_far_they_are_the_same_and_what_each_did_then():
    failed, paid = ("DECLINED", "Paying", "Failed", 12), ("CHARGE", "Paying", "Paid", 15)
    assert said((NEW, SUBMIT, failed), (NEW, SUBMIT, paid)) == (
        "The same for 2 steps, then left went to Failed by DECLINED where right went to Paid by CHARGE."
    )
    assert said((NEW, SUBMIT), (NEW, SUBMIT)) == "Both went the same way, 2 steps."
    assert said((NEW,), (("INSTANCE_CREATED", "", "Paid", 0),)) == (
        "Different from the first step: left began in Draft by INSTANCE_CREATED where right began in Paid by "
        "INSTANCE_CREATED."
    )


def test_of_a_side_that_waits_the_headline_says_since_when_and_what_the_other_did():
    assert said((NEW, SUBMIT), (NEW, SUBMIT, ("CHARGE", "Paying", "Paid", 15))) == (
        "The same for 2 steps, then left has no further event (it has been in Paying for 1 h), "
        "where right went to Paid by CHARGE, 5 s after the step before."
    )
    found = of((NEW, SUBMIT), (NEW,))
    assert "right has no further event (it ended in Draft), where left" in views.headline(
        found, *sides(found, ended=True)
    )
    assert "right has no further event (it is in Draft)" in views.headline(found, *sides(found))


def test_a_step_that_only_one_took_on_the_way_is_no_end_of_the_other():
    note = ("NOTE", "Draft", "Draft", 5)
    assert said((NEW, note, SUBMIT), (NEW, SUBMIT)) == (
        "The same for 1 step, then left had NOTE, staying in Draft, 5 s after the step before, which right did not."
    )


def test_the_headline_of_traces_names_the_machines(traces):
    told = views.headline(traces, *sides(traces), traces=True)
    assert told == (
        "1 step is the same on both sides. The first difference: left (Order) went to B by PACK where right (Order) "
        "went to C by PACK."
    )


def test_the_notes_say_where_states_part_what_differs_in_data_and_what_was_not_compared():
    note = ("NOTE", "Draft", "Draft", 5)
    left = stream("l", NEW, SUBMIT, ("DECLINED", "Paying", "Failed", 12), a=1)
    right = stream("r", NEW, note, SUBMIT, ("CHARGE", "Paying", "Paid", 15), a=2)
    found = compare_streams(left, right)

    parts, payloads, cut = views.notes(found, *sides(found, total=9_999, at_least=True))
    assert parts == (
        "The first difference in a change of state, in row 4: left went to Failed by DECLINED where right went to "
        "Paid by CHARGE."
    )
    assert payloads.startswith("The payloads differ in 3 steps that both have")
    assert cut == "Of right, the first 4 of at least 9,999 steps were compared."


def test_a_depth_that_was_not_passed_is_said():
    events = stream("l", NEW, SUBMIT)
    graph = causal_graph(events, [("l0", "l1")])
    found = compare_traces(graph, "l0", graph, "l0", left_cut=True)

    assert any(note.startswith("Compared 1 link deep") for note in views.notes(found, *sides(found), traces=True))


def test_rows_have_durations_side_by_side_and_a_mark_that_is_no_colour():
    found = of((NEW, ("NOTE", "Draft", "Draft", 4), SUBMIT), (NEW, ("NOTE", "Draft", "Draft", 6)))

    told, ids, pages = views.rows(found)
    assert [row["compared"] for row in told] == ["= same", "= same", "◀ only left, first"]
    assert told[0]["left"] == "INSTANCE_CREATED → Draft"
    assert told[1] == {
        "step": 2,
        "compared": "= same",
        "left": "NOTE, stays Draft",
        "right": "NOTE, stays Draft",
        "left after": "4 s",
        "right after": "6 s",
        "difference": "+2 s",
    }
    assert (told[2]["right"], told[2]["right after"], told[2]["difference"]) == ("", "", "")
    assert (ids, pages) == (("0", "1", "2"), 1)
    assert [row["step"] for row in views.rows(found, differing=True)[0]] == [3]


def test_steps_that_differ_only_in_the_state_before_show_it():
    row = views.rows(of((("GO", "A", "C", 0),), (("GO", "B", "C", 0),)))[0][0]

    assert (row["left"], row["right"]) == ("GO: A → C", "GO: B → C")


def test_many_rows_come_in_pages_and_any_row_is_on_one_of_them():
    ticks = [("TICK", "S", "S", n) for n in range(views.WINDOW + 5)]
    found = of(ticks, [*ticks[:-1], ("TOCK", "S", "S", 999)])

    assert views.rows(found)[2] == 2
    assert len(views.rows(found, page=2)[0]) == 5
    assert [views.page_of(found, number) for number in (0, views.WINDOW - 1, views.WINDOW)] == [1, 1, 2]
    assert views.page_of(found, views.WINDOW + 4, differing=True) == 1


def test_a_pair_is_told_apart_field_by_field():
    left = stream("l", NEW, ("DECLINED", "Draft", "Failed", 12), why="poor", same=1)
    right = stream("r", NEW, ("CHARGE", "Draft", "Paid", 15), amount=[3], same=1)

    shown = pair(compare_streams(left, right), 1, None, None)
    assert shown.heading == "First difference · row 2 of 2"
    assert [tuple(row.values()) for row in shown.events] == [
        ("event", "DECLINED", "CHARGE"),
        ("to", "Failed", "Paid"),
        ("time since the step before", "12 s", "15 s"),
        ("payload.why", '"poor"', "(absent)"),
        ("payload.amount[0]", "(absent)", "3"),
    ]


def test_the_values_that_the_instances_held_after_it_are_compared():
    left, right = (
        [*stream(name, NEW, initialContext={"amount": amount}), event(id=f"{name}9", instance_id=name)]
        for name, amount in (("l", 1), ("r", 2))
    )

    shown = pair(compare_streams(left, right), 0, None, None)
    assert {"what": "amount", "left": "1", "right": "2"} in shown.values


def test_the_first_difference_sets_what_each_side_did_beside_the_other_even_from_two_rows():
    left = stream("l", NEW, ("A", "X", "Y", 5))
    right = stream("r", NEW, ("B", "V", "W", 7))
    found = compare_streams(left, right)
    assert [row.kind for row in found.rows] == ["same", "only left", "only right"]

    shown = pair(found, 1, None, None)
    assert (shown.left.event.event_type, shown.right.event.event_type) == ("A", "B")


def test_a_side_without_the_step_is_said_to_be_over_or_to_lack_it():
    note = ("NOTE", "Draft", "Draft", 5)
    over = of((NEW,), (NEW, SUBMIT))
    assert pair(over, 1, None, None).missing == "no further event"
    lacking = of((NEW, SUBMIT), (NEW, note, SUBMIT))
    shown = pair(lacking, 1, None, None)
    assert (shown.left, shown.missing, shown.events) == (None, "no such step", ())


def test_more_fields_than_are_listed_are_counted():
    left = stream("l", NEW, **{f"f{n}": n for n in range(300)})
    shown = pair(compare_streams(left, stream("r", NEW)), 0, None, None)

    assert shown.shown == "shown the first 200 of 300 fields that differ"
    assert len(shown.events) == 200


def test_how_the_typical_one_was_chosen_is_said():
    one = TypicalInstance(instance_id="x", states=8, alike=64, near=82, turns=2, among=100, shared=4, declared=True)
    assert views.typical_text(one) == (
        "Right was chosen as typical: of the latest 100 instances of this machine that reached a final state, "
        "82 began with the same 2 changes of state as left, and 64 of these went the same way through 8 states; "
        "the right one is the latest of those that begin most like left (4 steps the same)."
    )
    assert "a final state, 64 went the same way" in views.typical_text(replace(one, turns=0))
    two = TypicalEvent(event_id="e", ended=False, among=3)
    assert "though its instance is in no final state, of the 3 looked at" in views.typical_text(two)


def test_hostile_text_keeps_to_its_line():
    found = of((("a\nb\u202e", "", "x\x00y", 0),), (NEW,))

    told = views.headline(found, *sides(found)) + str(views.rows(found)[0])
    assert "\n" not in told
    assert not {"\u202e", "\x00"} & set(told)


def test_a_timeline_has_the_stays_and_runs_on_only_where_the_instance_does():
    events = stream("l", NEW, SUBMIT)

    going = pictures.instance_timeline(events, None, name="left", now=START + 99_000)
    assert [(stay.state, stay.end_ms) for stay in going.intervals] == [("Draft", START + 10_000), ("Paying", None)]
    ended = pictures.instance_timeline(events, None, name="left", now=None)
    assert ended.intervals[1].end_ms == START + 10_000
    assert [point.id for point in ended.points] == ["l0", "l1"]


def test_traces_have_a_lane_for_each_instance_and_the_links_that_were_followed(traces):
    shown = pictures.trace_timeline(traces, "right", name="right")

    assert [point.id for point in shown.points] == ["r0", "r1", "r2"]
    assert [(link.source, link.target, link.kind) for link in shown.links] == [
        ("r0", "r1", "recorded"),
        ("r0", "r2", "recorded"),
    ]


def test_the_merged_graph_marks_what_is_whose_and_names_both_where_they_differ(traces):
    shown = pictures.diagram(traces, name="both")

    assert [node.label for node in shown.nodes] == ["= INSTANCE_CREATED", "≠ PACK", "▶ SEND"]
    assert shown.nodes[1].sublabel == "A → B | A → C"
    assert [(edge.source, edge.target, edge.label) for edge in shown.edges] == [
        ("0", "1", "1 s | 2 s"),
        ("0", "2", "4 s"),
    ]


def test_of_two_links_that_are_one_arrow_the_one_that_says_less_is_drawn():
    events = stream("l", NEW, SUBMIT)
    recorded = causal_graph(events, [("l0", "l1")])
    followed = linked_graph(
        events, [Link(cause_id="l0", effect_id="l1", provenance="inferred", rule="succession", evidence="next")]
    )

    shown = pictures.diagram(compare_traces(recorded, "l0", followed, "l0"), name="both")
    assert [edge.kind for edge in shown.edges] == ["followed"]


def test_traces_too_large_to_draw_are_not():
    many = [event(id="r", persisted_at=START), *(event(id=f"e{n}x", caused_by=("r",)) for n in range(LAYOUT_LIMIT))]
    graph = causal_graph(many, [("r", item.id) for item in many[1:]])

    assert pictures.diagram(compare_traces(graph, "r", graph, "r"), name="both") is None
