from __future__ import annotations

import pytest

from tests.factories import event
from xcstore.errors import QueryError
from xcstore.replay.breakpoints import DivergenceBreak, EventTypeBreak, PathBreak, StateBreak

PAID = event(
    event_type="PAY",
    state_after="Paid",
    payload={"amount": 42, "ok": True, "none": None, "lines": [{"sku": "A-1"}], "odd key": {"deep": "x"}},
)


@pytest.mark.parametrize(
    "point",
    [
        StateBreak(state="Paid"),
        StateBreak(state="Paid", machine_name="Order"),
        EventTypeBreak(event_type="PAY"),
        PathBreak(path="amount"),
        PathBreak(path="none"),
        PathBreak(path="amount", value="42"),
        PathBreak(path="ok", value="true"),
        PathBreak(path="none", value="null"),
        PathBreak(path="lines[0].sku", value="A-1"),
        PathBreak(path='["odd key"].deep', value="x"),
        PathBreak(path="lines"),
        DivergenceBreak(diverges=lambda position: position == 3),
    ],
    ids=str,
)
def test_it_holds(point) -> None:
    assert point.holds(3, PAID)


@pytest.mark.parametrize(
    "point",
    [
        StateBreak(state="Created"),
        StateBreak(state="Paid", machine_name="Invoice"),
        EventTypeBreak(event_type="pay"),
        PathBreak(path="amounts"),
        PathBreak(path="amount", value="42.0"),
        PathBreak(path="lines", value=""),
        PathBreak(path="lines[1].sku"),
        DivergenceBreak(diverges=lambda position: position == 4),
    ],
    ids=str,
)
def test_it_does_not_hold(point) -> None:
    assert not point.holds(3, PAID)


def test_a_path_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(QueryError, match="not a field path"):
        PathBreak(path="a..b")


def test_it_says_in_words_what_it_waits_for() -> None:
    assert str(StateBreak(state="Paid", machine_name="Order")) == "Order enters Paid"
    assert str(PathBreak(path="lines[0].sku", value="A")) == "lines[0].sku = A"
