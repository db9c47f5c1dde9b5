"""From when on waiting in a state is too long."""

from __future__ import annotations

import pandas as pd
import pytest

from xcstore.analysis.stuck import WaitingState, limits
from xcstore.units import DAY, HOUR, MINUTE, EpochMs


def waiting(state="Paid", machine="Order", timeout_ms=None):
    return WaitingState(
        component_name="Shop",
        machine_name=machine,
        state=state,
        count=1,
        oldest_updated_at=EpochMs(0),
        machine_instances=10,
        timeout_ms=timeout_ms,
    )


def dwell(*rows):
    columns = ["component_name", "machine_name", "state", "median_ms", "p95_ms", "n"]
    return pd.DataFrame([("Shop", *row) for row in rows], columns=columns)


def only(state, table):
    return limits((state,), table)[0]


def test_a_timer_of_the_definition_decides_before_what_was_observed():
    limit = only(waiting(timeout_ms=10 * HOUR), dwell(("Order", "Paid", 1_000, 2_000, 50)))

    assert (limit.rule, limit.limit_ms, limit.normal_ms) == ("timeout", 11 * HOUR, 10 * HOUR)


def test_a_short_timer_gets_a_minute_of_grace():
    assert only(waiting(timeout_ms=30_000), dwell()).limit_ms == 30_000 + MINUTE


def test_five_known_stays_decide_for_their_state():
    limit = only(waiting(), dwell(("Order", "Paid", HOUR, 2 * HOUR, 5)))

    assert (limit.rule, limit.limit_ms, limit.median_ms, limit.stays) == ("state", 6 * HOUR, HOUR, 5)


def test_with_fewer_stays_the_slowest_known_state_of_the_machine_decides():
    table = dwell(
        ("Order", "Paid", HOUR, HOUR, 4),
        ("Order", "Packed", HOUR, 3 * HOUR, 9),
        ("Order", "New", HOUR, 2 * HOUR, 90),
        ("Parcel", "Moving", DAY, 9 * DAY, 90),
    )
    limit = only(waiting(), table)

    assert (limit.rule, limit.limit_ms, limit.stays) == ("machine", 9 * HOUR, 9)


@pytest.mark.parametrize("table", [dwell(), dwell(("Parcel", "Moving", DAY, DAY, 90))])
def test_where_nothing_is_known_of_the_machine_a_day_is_too_long(table):
    limit = only(waiting(), table)

    assert (limit.rule, limit.limit_ms) == ("default", DAY)


def test_waits_of_less_than_a_minute_are_never_too_long():
    limit = only(waiting(), dwell(("Order", "Paid", 0.0, 1.0, 500)))

    assert limit.limit_ms == MINUTE


def test_limits_come_in_the_order_of_the_states():
    table = dwell(("Order", "Paid", HOUR, HOUR, 9), ("Order", "New", MINUTE, MINUTE, 9))

    found = limits((waiting("New"), waiting("Paid"), waiting("New")), table)
    assert [limit.limit_ms for limit in found] == [3 * MINUTE, 3 * HOUR, 3 * MINUTE]
