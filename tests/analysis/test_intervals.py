from __future__ import annotations

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.conftest import make_event
from xcstore.analysis.intervals import DWELL_COLUMNS, dwell, state_history, visits
from xcstore.units import MAX_UTC


def frame(*rows: tuple[str, str, int, str]) -> pd.DataFrame:
    """(id, instance, at, 'A>B')"""
    return pd.DataFrame(
        [
            {
                "id": id_,
                "instance_id": instance,
                "component_name": "C",
                "machine_name": "M",
                "state_before": move.split(">")[0],
                "state_after": move.split(">")[1],
                "persisted_at_ms": at,
            }
            for id_, instance, at, move in rows
        ]
    )


def test_stays_follow_each_other_and_the_last_one_is_open(event):
    history = state_history([event("e1", 10, ">A"), event("e2", 30, "A>B"), event("e3", 70, "B>A")])

    assert [(i.state, i.entered_at, i.left_at, i.entered_by, i.left_by, i.end) for i in history.intervals] == [
        ("A", 10, 30, "e1", "e2", "left"),
        ("B", 30, 70, "e2", "e3", "left"),
        ("A", 70, None, "e3", None, "open"),
    ]
    assert history.breaks == ()
    assert history.current is history.intervals[-1]


def test_a_self_loop_does_not_cut_a_stay_unless_asked(event):
    events = [event("e1", 10, ">A"), event("e2", 20, "A>A"), event("e3", 30, "A>B")]

    (stay, _) = state_history(events).intervals
    assert (stay.entered_at, stay.left_at, stay.event_ids, stay.last_seen_at) == (10, 30, ("e1", "e2"), 20)
    assert [i.state for i in state_history(events, cut_self_loops=True).intervals] == ["A", "A", "B"]


def test_a_break_in_the_chain_is_marked_and_no_stay_is_made_up(event):
    history = state_history([event("e1", 10, ">A"), event("e2", 20, "A>A"), event("e3", 50, "C>D")])

    first, last = history.intervals
    assert (first.state, first.end, first.left_at, first.last_seen_at) == ("A", "break", None, 20)
    assert first.duration_ms(now=99) is None
    assert (last.state, last.entered_at) == ("D", 50)
    (gap,) = history.breaks
    assert (gap.event_id, gap.at, gap.expected, gap.found) == ("e3", 50, "A", "C")


def test_a_self_loop_after_a_break_starts_a_new_stay(event):
    history = state_history([event("e1", 10, ">A"), event("e2", 20, "B>B")])

    assert [(i.state, i.end) for i in history.intervals] == [("A", "break"), ("B", "open")]


def test_a_history_that_does_not_start_with_a_creation_says_so(event):
    history = state_history([event("e7", 70, "A>B")])

    assert [(gap.expected, gap.found) for gap in history.breaks] == [("", "A")]
    assert [i.state for i in history.intervals] == ["B"]


def test_times_that_no_calendar_can_show_are_times_like_others(event):
    history = state_history([event("e1", -(10**17), ">A"), event("e2", MAX_UTC + 5, "A>B")])

    assert history.intervals[0].duration_ms() == MAX_UTC + 5 + 10**17


def test_an_empty_stream_has_no_stays():
    assert state_history([]).current is None


def test_an_open_stay_lasts_until_now_and_never_a_negative_time(event):
    (stay,) = state_history([event("e1", 10, ">A")]).intervals

    assert stay.duration_ms() is None
    assert stay.duration_ms(now=25) == 15
    assert stay.duration_ms(now=5) == 0


def test_visits_count_stays_by_state(event):
    history = state_history(
        [event("e1", 0, ">A"), event("e2", 10, "A>B"), event("e3", 15, "B>A"), event("e4", 45, "A>B")]
    )

    assert [(v.state, v.count, v.total_ms) for v in visits(history, now=50)] == [("A", 2, 40), ("B", 2, 10)]


def test_dwell_measures_completed_stays_of_every_instance():
    result = dwell(
        frame(
            ("a1", "a", 0, ">A"),
            ("a2", "a", 10, "A>B"),
            ("b1", "b", 5, ">A"),
            ("b2", "b", 35, "A>B"),
            ("a3", "a", 110, "B>A"),
        )
    )

    assert list(result.columns) == list(DWELL_COLUMNS)
    assert result.to_dict("records") == [
        {"component_name": "C", "machine_name": "M", "state": "A", "median_ms": 20.0, "p95_ms": 29.0, "n": 2},
        {"component_name": "C", "machine_name": "M", "state": "B", "median_ms": 100.0, "p95_ms": 100.0, "n": 1},
    ]


def test_dwell_takes_rows_in_any_order_and_leaves_them_alone():
    rows = frame(("a2", "a", 10, "A>B"), ("a1", "a", 0, ">A"))
    before = rows.copy()

    assert dwell(rows)["median_ms"].tolist() == [10.0]
    pd.testing.assert_frame_equal(rows, before)


def test_dwell_leaves_out_stays_with_a_break_in_them():
    result = dwell(frame(("a1", "a", 0, ">A"), ("a2", "a", 10, "X>B"), ("a3", "a", 30, "B>C")))

    assert result[["state", "median_ms"]].to_dict("records") == [{"state": "B", "median_ms": 20.0}]


def test_dwell_does_not_cut_a_stay_at_a_self_loop():
    result = dwell(frame(("a1", "a", 0, ">A"), ("a2", "a", 10, "A>A"), ("a3", "a", 30, "A>B")))

    assert result[["state", "median_ms", "n"]].to_dict("records") == [{"state": "A", "median_ms": 30.0, "n": 1}]


def test_dwell_lays_events_of_one_moment_end_to_end_whatever_their_ids():
    # Creation and automatic transition in one millisecond, stored in the order of random ids.
    result = dwell(frame(("z", "a", 0, ">A"), ("c", "a", 5, "B>C"), ("d", "a", 5, "A>B"), ("e", "a", 9, "C>D")))

    assert {row["state"]: row["median_ms"] for row in result.to_dict("records")} == {"A": 5.0, "B": 0.0, "C": 4.0}


def test_dwell_of_nothing_is_an_empty_table_with_its_columns():
    assert list(dwell(frame()).columns) == list(DWELL_COLUMNS)
    assert list(dwell(frame(("a1", "a", 0, ">A"))).columns) == list(DWELL_COLUMNS)
    assert len(dwell(frame(("a1", "a", 0, ">A")))) == 0


moves = st.lists(st.sampled_from([f"{a}>{b}" for a in ("", "A", "B") for b in "AB"]), max_size=12)


@given(moves, st.lists(st.integers(0, 5), min_size=12, max_size=12))
def test_every_event_belongs_to_one_stay_and_a_stay_ends_only_where_the_stream_chains(sequence, gaps):
    events, at = [], 0
    for number, (move, gap) in enumerate(zip(sequence, gaps, strict=False)):
        at += gap
        events.append(make_event(f"e{number}", at, move))

    history = state_history(events)

    assert [name for stay in history.intervals for name in stay.event_ids] == [event.id for event in events]
    by_id = {event.id: event for event in events}
    for stay, following in zip(history.intervals, history.intervals[1:], strict=False):
        chains = by_id[following.entered_by].state_before == stay.state
        assert (stay.end == "left") == chains
        assert stay.left_by == (following.entered_by if chains else None)
    assert [stay.end for stay in history.intervals][-1:] == (["open"] if events else [])
