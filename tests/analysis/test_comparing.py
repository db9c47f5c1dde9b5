"""Two histories side by side: what is the same, and where they first part."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from tests.factories import START, event
from xcstore.analysis.causality import causal_graph
from xcstore.analysis.comparing import compare_streams, differences, step_key
from xcstore.analysis.comparing_traces import compare_traces
from xcstore.model.history import PersistedEvent


def stream(name: str, *steps: tuple[str, str, str, int], **payload: object) -> list[PersistedEvent]:
    """One instance: (event type, state before, state after, seconds since the beginning)."""
    return [
        event(
            id=f"{name}{number}",
            instance_id=name,
            event_type=kind,
            state_before=before,
            state_after=after,
            persisted_at=START + seconds * 1_000,
            payload={"number": number, **payload},
        )
        for number, (kind, before, after, seconds) in enumerate(steps)
    ]


def trace(name: str, *steps: tuple[str, str | None, str, int], state: str = "B") -> list[PersistedEvent]:
    """Events of a trace: (name, name of its cause, event type, seconds since the root)."""
    return [
        event(
            id=f"{name}-{own}",
            instance_id=f"{name}-{own}",
            event_type=kind,
            state_before="A",
            state_after=state,
            persisted_at=START + seconds * 1_000,
            caused_by=(f"{name}-{cause}",) if cause else (),
        )
        for own, cause, kind, seconds in steps
    ]


def graph(events: list[PersistedEvent]):
    return causal_graph(events, [(cause, item.id) for item in events for cause in item.caused_by])


def compared(left: list[PersistedEvent], right: list[PersistedEvent], **options):
    return compare_traces(graph(left), left[0].id, graph(right), right[0].id, **options)


def kinds(found) -> list[str]:
    return [row.kind for row in found.rows]


CREATED = ("INSTANCE_CREATED", "", "Draft", 0)
SUBMIT = ("SUBMIT", "Draft", "Paying", 10)


def test_histories_that_took_the_same_steps_are_the_same_whatever_their_ids_times_and_payloads():
    left = stream("l", CREATED, SUBMIT, payer="Ada")
    right = stream("r", CREATED, ("SUBMIT", "Draft", "Paying", 99), payer="Bob")

    found = compare_streams(left, right)
    assert kinds(found) == ["same", "same"]
    assert (found.first, found.first_turn) == (None, None)
    assert found.first_data == 0
    assert [row.slower_ms for row in found.rows] == [None, 89_000]


def test_the_first_difference_is_where_the_common_beginning_ends():
    left = stream("l", CREATED, SUBMIT, ("DECLINED", "Paying", "Failed", 12))
    right = stream("r", CREATED, SUBMIT, ("CHARGE", "Paying", "Paid", 15), ("SHIP", "Paid", "Sent", 20))

    found = compare_streams(left, right)
    assert kinds(found) == ["same", "same", "changed", "only right"]
    assert found.first == found.first_turn == 2
    assert found.rows[2].slower_ms == 3_000
    assert found.counts == {"same": 2, "changed": 1, "only left": 0, "only right": 1}
    assert (found.left, found.right) == (3, 4)


def test_a_side_that_stops_is_missing_what_the_other_goes_on_to_do():
    found = compare_streams(stream("l", CREATED), stream("r", CREATED, SUBMIT))

    assert kinds(found) == ["same", "only right"]
    assert found.first == 1
    assert found.rows[1].slower_ms is None


def test_steps_done_more_often_are_told_apart_from_going_another_way():
    note = ("NOTE", "Draft", "Draft", 5)
    left = stream("l", CREATED, note, SUBMIT, ("DECLINED", "Paying", "Failed", 12))
    right = stream("r", CREATED, note, note, SUBMIT, ("CHARGE", "Paying", "Paid", 15))

    found = compare_streams(left, right)
    assert kinds(found) == ["same", "same", "only right", "same", "changed"]
    assert (found.first, found.first_turn) == (2, 4)


def test_a_step_that_both_took_at_different_places_is_marked():
    a, b = ("A", "S", "S", 1), ("B", "S", "S", 2)
    found = compare_streams(stream("l", CREATED, a, b), stream("r", CREATED, b, a))

    assert kinds(found).count("same") == 2
    alone = [row for row in found.rows if row.kind != "same"]
    assert [row.elsewhere for row in alone] == [True] * len(alone)


def test_another_machine_is_another_step():
    left, right = event(id="a", machine_name="Order"), event(id="b", machine_name="Parcel")

    assert step_key(left) != step_key(right)
    assert kinds(compare_streams([left], [right])) == ["only left", "only right"]


def test_empty_histories_are_compared():
    assert compare_streams([], []).rows == ()
    assert kinds(compare_streams([], stream("r", CREATED))) == ["only right"]


@pytest.mark.parametrize("seed", range(30))
def test_every_step_is_in_one_row_and_in_its_order(seed):
    chance = random.Random(seed)
    sides = [
        stream(name, *((chance.choice("ABC"), chance.choice("ST"), chance.choice("ST"), n) for n in range(size)))
        for name, size in (("l", chance.randrange(20)), ("r", chance.randrange(20)))
    ]

    found = compare_streams(*sides)
    assert [row.left.event for row in found.rows if row.left] == sides[0]
    assert [row.right.event for row in found.rows if row.right] == sides[1]
    for row in found.rows:
        both = row.left is not None and row.right is not None
        assert both == (row.kind in ("same", "changed"))
        assert (row.kind == "same") == (both and step_key(row.left.event) == step_key(row.right.event))
    assert all(row.kind == "same" for row in found.rows[: found.first])


def test_long_histories_are_compared_up_to_the_limit_which_is_said():
    long = stream("l", *(("TICK", "S", "S", n) for n in range(50)))

    found = compare_streams(long, long[:5], max_steps=20)
    assert (found.left, found.right) == (20, 5)
    assert kinds(found) == ["same"] * 5 + ["only left"] * 15


def test_ten_thousand_steps_that_have_little_in_common_are_compared():
    chance = random.Random(7)
    left, right = (
        stream(name, *((f"E{chance.randrange(40)}", "S", "S", n) for n in range(10_000))) for name in ("l", "r")
    )

    found = compare_streams(left, right)
    assert found.left == found.right == 10_000
    assert found.counts["same"] > 1_000


def test_what_differs_between_two_events_is_named_down_to_the_field():
    left = stream("l", CREATED, ("DECLINED", "Paying", "Failed", 12), why="poor")
    right = stream("r", CREATED, ("CHARGE", "Paying", "Paid", 15), amount=3)
    row = compare_streams(left, right).rows[1]

    found = {item.what: item for item in differences(row.left, row.right)}
    assert list(found) == ["event", "to", "time since the step before", "payload"]
    assert (found["event"].left, found["event"].right) == ("DECLINED", "CHARGE")
    assert (found["time since the step before"].left, found["time since the step before"].right) == (12_000, 15_000)
    assert {(change.path, change.kind) for change in found["payload"].changes} == {
        (("why",), "removed"),
        (("amount",), "added"),
    }


def test_traces_are_compared_by_the_path_from_the_root():
    left = trace("l", ("r", None, "GO", 0), ("a", "r", "PACK", 1), ("b", "a", "SEND", 2), ("c", "r", "BILL", 3))
    right = trace("r", ("r", None, "GO", 0), ("c", "r", "BILL", 1), ("a", "r", "PACK", 2), ("b", "c", "SEND", 4))

    found = compared(left, right)
    told = [(row.kind, (row.left or row.right).event.event_type, row.elsewhere) for row in found.rows]
    # SEND follows from PACK on the left and from BILL on the right: the same step at another place.
    assert told == [
        ("same", "GO", False),
        ("same", "PACK", False),
        ("only left", "SEND", True),
        ("same", "BILL", False),
        ("only right", "SEND", True),
    ]
    assert found.first == 2
    assert [row.parent for row in found.rows] == [None, 0, 1, 0, 3]


def test_repeated_siblings_match_in_order():
    root = ("r", None, "GO", 0)
    left = trace("l", root, ("1", "r", "TRY", 1), ("2", "r", "TRY", 2))
    right = trace("r", root, ("1", "r", "TRY", 1), ("2", "r", "TRY", 3), ("3", "r", "TRY", 4))

    found = compared(left, right)
    pairs = [(row.left and row.left.event.id, row.right and row.right.event.id) for row in found.rows]
    assert pairs == [("l-r", "r-r"), ("l-1", "r-1"), ("l-2", "r-2"), (None, "r-3")]
    assert [row.slower_ms for row in found.rows[:3]] == [None, 0, 1_000]


def test_the_first_difference_of_traces_is_the_earliest_that_no_other_leads_to():
    root = ("r", None, "GO", 0)
    left = trace("l", root, ("a", "r", "PACK", 9), ("b", "a", "SEND", 10), ("x", "r", "BILL", 3))
    right = trace("r", root, ("a", "r", "PACK", 9), ("b", "a", "LOSE", 10), ("x", "r", "WAIVE", 3))

    found = compared(left, right)
    assert found.rows[found.first].left.event.event_type == "BILL"
    assert found.rows[found.first].right.event.event_type == "WAIVE"


def test_what_is_under_a_step_of_one_side_is_on_that_side_only():
    root = ("r", None, "GO", 0)
    found = compared(trace("l", root), trace("r", root, ("a", "r", "PACK", 1), ("b", "a", "SEND", 2)))

    assert kinds(found) == ["same", "only right", "only right"]
    assert found.first == 1


def test_a_difference_that_leaves_the_state_is_told_apart_from_one_that_changes_it():
    left, right = (
        [
            event(id=f"{name}0", persisted_at=START, event_type="GO"),
            event(id=f"{name}1", persisted_at=START + 1, event_type="LOOK", state_before=look, state_after=look,
                  caused_by=(f"{name}0",)),
            event(id=f"{name}2", persisted_at=START + 2, event_type="TURN", state_before="S", state_after=turn,
                  caused_by=(f"{name}1",)),
        ]
        for name, look, turn in (("l", "Low", "X"), ("r", "High", "Y"))
    )  # fmt: skip

    found = compared(left, right)
    assert (found.first, found.first_turn) == (1, 2)


def test_nothing_deeper_is_compared_than_what_was_loaded_of_both():
    root = ("r", None, "GO", 0)
    left = trace("l", root, ("a", "r", "PACK", 1))
    right = trace("r", root, ("a", "r", "PACK", 1), ("b", "a", "SEND", 2))

    found = compared(left, right, left_cut=True)
    assert (kinds(found), found.max_depth) == (["same", "same"], 1)
    assert compared(left, right).max_depth is None


def test_a_level_that_passes_the_limit_is_left_out_whole():
    root = ("r", None, "GO", 0)
    left = trace("l", root, ("a", "r", "A", 1), *((f"b{n}", "a", f"B{n}", 2) for n in range(10)))
    right = trace("r", root, ("a", "r", "A", 1), *((f"b{n}", "a", f"B{n}", 2) for n in range(3)))

    found = compared(left, right, max_steps=6)
    assert (kinds(found), found.max_depth) == (["same", "same"], 1)


def test_cycles_and_missing_causes_do_not_stop_it():
    events = [
        event(id="a", caused_by=("b", "gone"), persisted_at=START),
        event(id="b", caused_by=("a",), persisted_at=START + 1),
        event(id="c", caused_by=("c", "b"), persisted_at=START + 2),
    ]

    found = compare_traces(graph(events), "a", graph(events), "a")
    assert kinds(found) == ["same"] * 3


def test_a_chain_longer_than_the_stack_of_python_is_compared():
    left, right = (
        trace(name, *((str(n), str(n - 1) if n else None, "TICK", n) for n in range(5_000))) for name in ("l", "r")
    )

    found = compared(left, right[:-1])
    assert found.counts == {"same": 4_999, "changed": 0, "only left": 1, "only right": 0}
    assert all(two.parent == number for number, (_, two) in enumerate(pairwise(found.rows)))
