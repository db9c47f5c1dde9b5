"""Steps of a file: read whole, checked whole."""

from __future__ import annotations

import json

import pytest

from tests.ops.examples import components
from xcstore.ops.steps import Advance, At, Broadcast, Create, Register, Send, parse_duration, parse_moment, read_steps
from xcstore.units import EpochMs

START = EpochMs(1_767_225_600_000)


@pytest.fixture
def plan(tmp_path):
    """A function from steps, or the text of a file, to the plan that is read from it."""

    def read(steps, start=START, definitions=None):
        path = tmp_path / "steps.json"
        path.write_text(steps if isinstance(steps, str) else json.dumps(steps), encoding="utf-8")
        return read_steps(path, definitions or components(), start=start)

    return read


def reason(plan, step, before=()):
    found = plan([*before, step])
    assert len(found.bad) == 1
    assert found.bad[0].number == len(before) + 1
    return found.bad[0].reason


def test_each_kind_of_step_is_read(plan):
    found = plan(
        [
            {"create": "Order", "as": "one", "context": {"orderId": 1}},
            {"send": "one", "event": "PAY", "payload": {"by": "card"}},
            {"broadcast": "Order", "component": "Shop", "event": "PAY", "state": "New"},
            {"advance": "1m30s"},
            {"at": "2026-01-02T01:00:00+01:00"},
        ]
    )

    assert found.bad == ()
    assert [step.action for step in found.steps] == [
        Create("Shop", "Order", {"orderId": 1}, "one"),
        Send("one", "PAY", {"by": "card"}),
        Broadcast("Shop", "Order", "PAY", {}, "New"),
        Advance(90_000),
        At(START + 86_400_000),
    ]
    assert found.end == START + 86_400_000


def test_the_steps_of_recorded_runs_are_read(plan):
    found = plan(
        [
            {"op": "create", "machine": "Order", "context": {"a": 1}},
            {"op": "register"},
            {"op": "send", "to": "i1", "event": {"type": "PAY", "payload": {"x": None}}},
            {"op": "sendAll", "sends": [{"to": "i1", "event": {"type": "A"}}, {"to": "i2", "event": {"type": "B"}}]},
            {"op": "broadcast", "machine": "Order", "event": {"type": "C", "payload": {}}, "currentState": "*"},
            {"op": "advance", "ms": 0},
        ]
    )

    assert found.bad == ()
    assert [step.action for step in found.steps] == [
        Create("Shop", "Order", {"a": 1}),
        Register(),
        Send("i1", "PAY", {"x": None}),
        Send("i1", "A", {}),
        Send("i2", "B", {}),
        Broadcast("Shop", "Order", "C", {}, None),
        Advance(0),
    ]
    assert [step.number for step in found.steps] == [1, 2, 3, 4, 4, 5, 6]


def test_lines_are_read_like_an_array_and_a_position_is_step_and_line(plan):
    found = plan('\n{"create": "Order"}\n\n{"create": "Ordre"}\n{"create": \n{"advance": 1}\n')

    assert [(step.number, step.line) for step in found.steps] == [(1, 2), (4, 6)]
    assert [(bad.number, bad.line) for bad in found.bad] == [(2, 4), (3, 5)]
    assert "Did you mean 'Order'?" in str(found.bad[0])
    assert str(found.bad[1]).startswith("step 3, line 5: not JSON")


def test_a_file_that_is_cut_off_is_bad_from_there(plan):
    found = plan('[{"create": "Order"}, {"create": "Or')

    assert len(found.steps) == 1
    assert [(bad.number, bad.line) for bad in found.bad] == [(2, 1)]


@pytest.mark.parametrize("text", ["", "3", "PAY\n"])
def test_what_is_neither_an_array_nor_ndjson_is_bad_as_a_whole(plan, text):
    (bad,) = plan(text).bad

    assert str(bad).startswith("not a JSON array and not NDJSON")


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (7, "7 is no step"),
        ({}, "it is empty; a step has one of create, send"),
        ({"craete": "Order"}, "has the keys 'craete'; a step has one of create, send, broadcast, advance, at. "
                              "Did you mean 'create'?"),
        ({"create": "Order", "at": "2026-01-01"}, "does create and at at once; make a step of each"),
        ({"create": "Order", "contxt": {}}, "'create' has no 'contxt'; it has create, component, as, context. "
                                           "Did you mean 'context'?"),
        ({"create": "Parcels"}, "no component has a machine 'Parcels'; there is Order, Desk, Parcel. "
                                "Did you mean 'Parcel'?"),
        ({"create": "Parcel", "component": "Shop"}, "'Shop' has no machine 'Parcel'; it has Order"),
        ({"create": "Order", "component": "Shopp"}, "no component 'Shopp' is given; there is Shop, Post. "
                                                   "Did you mean 'Shop'?"),
        ({"create": "Order", "context": [1]}, "'context' is [1]; it must be an object"),
        ({"create": "Order", "as": "i3"}, "names such as i1, and ids, are given by themselves"),
        ({"create": ""}, "'create' is ''; it must be text"),
        ({"send": "nobody", "event": "PAY"}, "no step before this one creates 'nobody'"),
        ({"send": "i1"}, "'event' is missing; it must be text"),
        ({"send": "i1", "event": "PAY", "payload": "x"}, "'payload' is 'x'; it must be an object"),
        ({"broadcast": "Order", "event": "PAY", "state": "Payd"}, "'Order' has no state 'Payd'; "
                                                                 "it has New, Paid, Done, Late. Did you mean 'Paid'?"),
        ({"advance": -1}, "'advance' is -1; it must be whole milliseconds, 0 or more, or text such as '30s'"),
        ({"advance": "soon"}, "'advance' is 'soon'"),
        ({"at": "tomorrow"}, "'at' is 'tomorrow'; it must be a time such as"),
        ({"at": "2025-12-31"}, "the clock is further by then; time only goes on"),
        ({"op": "fly"}, "'op' is 'fly'; known are create, send, sendAll"),
        ({"op": "send", "to": "i1", "event": "PAY"}, "'event' is 'PAY'; it must be an object with 'type'"),
        ({"op": "sendAll", "sends": [1]}, "'sends' is [1]; it must be a list of objects"),
    ],
)  # fmt: skip
def test_a_bad_step_is_told_with_what_would_be_right(plan, step, words):
    assert words in reason(plan, step)


def test_a_name_is_given_once_and_meant_exactly(plan):
    one = {"create": "Order", "as": "order1"}

    assert "names must differ" in reason(plan, one, before=[one])
    assert "Did you mean 'order1'?" in reason(plan, {"send": "ordr1", "event": "PAY"}, before=[one])


def test_a_machine_of_two_components_needs_the_component(plan):
    text = """
- {name: A, stateMachines: [{name: M, initialState: S, states: [{name: S}]}]}
- {name: B, stateMachines: [{name: M, initialState: S, states: [{name: S}]}]}
"""

    found = plan([{"create": "M"}, {"create": "M", "component": "B"}], definitions=components(text))

    assert [step.action for step in found.steps] == [Create("B", "M", {})]
    assert "'M' is a machine of A and of B; say which with 'component'" in found.bad[0].reason


def test_time_is_added_up_to_find_a_step_into_the_past(plan):
    steps = [{"advance": "1d"}, {"at": "2026-01-01T12:00:00Z"}, {"at": "2026-01-02T00:00:00Z"}]

    assert [bad.number for bad in plan(steps).bad] == [2]
    assert plan(steps, start=None).bad == ()  # a real clock says by itself how late it is


def test_a_second_registration_is_bad(plan):
    assert "registered once" in reason(plan, {"op": "register"}, before=[{"op": "register"}])


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [("30s", 30_000), ("500ms", 500), ("2d", 172_800_000), ("1h30m", 5_400_000), ("1.5s", 1_500), (0, 0), (7.0, 7)],
)
def test_a_duration_is_milliseconds_or_text_with_units(value, milliseconds):
    assert parse_duration(value) == milliseconds


@pytest.mark.parametrize(
    "value", ["", "30", "s", "1w", "-1s", "1s ", "1..5s", -1, 0.5, True, None, 10**400, float("nan"), float("inf"), []]
)
def test_anything_else_is_no_duration(value):
    assert parse_duration(value) is None


@pytest.mark.parametrize("value", ["", "noon", 5, None, "2026-13-01", "0000-01-01", "9999-12-31T23:59:59-23:59x"])
def test_what_is_no_time_is_none(value):
    assert parse_moment(value) is None
