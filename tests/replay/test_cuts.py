from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.replay.conftest import SHOP, START, stores_of, stream
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.replay.cuts import MAX_LISTED, Consistency, consistency
from xcstore.store.base import Stores
from xcstore.units import DurationMs, EpochMs


def at(ms: int) -> EpochMs:
    return EpochMs(START + ms)


def event(event_id: str, stored: int, *causes: str, of: str = "", **fields: Any) -> PersistedEvent:
    """An event of our runtime, which records true causes; each is of an instance of its own unless `of` says."""
    return PersistedEvent(
        **{
            "id": event_id, "instance_id": of or f"i-{event_id}", "machine_name": "Order", "component_name": "Shop",
            "event_type": "GO", "state_before": "A", "state_after": "B", "persisted_at": at(stored),
            "caused_by": causes, "definition_hash": "ours", **fields,
        }
    )  # fmt: skip


def skewed(cause: str = "cause", effect: str = "effect", late: int = 1_000, early: int = 600) -> list[PersistedEvent]:
    """An effect that the clock of another component stores before its cause."""
    return [event(cause, late), event(effect, early, cause, component_name="Bank")]


def gaps(crossings: Any) -> list[tuple[str, str, int]]:
    return [(one.cause.id, one.effect.id, one.gap_ms) for one in crossings]


def test_a_moment_between_an_effect_and_its_later_cause_is_cut_and_the_nearest_others_are_named() -> None:
    stores = stores_of(skewed())

    found = consistency(stores, at(700))

    assert not found.is_consistent
    assert gaps(found.cut) == [("cause", "effect", -400)]
    assert (found.before, found.after) == (at(599), at(1_000))
    assert (found.quiet_before, found.quiet_after) == (at(599), at(1_000))


@pytest.mark.parametrize(("moment", "whole"), [(599, True), (600, False), (999, False), (1_000, True)])
def test_the_cut_begins_with_the_effect_and_ends_with_the_cause(moment: int, whole: bool) -> None:
    assert consistency(stores_of(skewed()), at(moment)).is_consistent is whole


def test_the_moments_that_are_named_are_the_nearest_good_ones() -> None:
    stores = stores_of(
        skewed(),
        skewed("c2", "e2", late=1_300, early=950),
        skewed("c3", "e3", late=620, early=400),
        [event("send", 2_000), event("arrive", 2_400, "send"), event("long", -5_000), event("late", 390, "long")],
    )

    def good(ms: int, *, quiet: bool) -> bool:
        found = consistency(stores, at(ms))
        return found.is_quiet if quiet else found.is_consistent

    for moment in (450, 610, 800, 1_100, 2_100, -1):
        found = consistency(stores, at(moment))
        for quiet, before, after in ((False, found.before, found.after), (True, found.quiet_before, found.quiet_after)):
            if good(moment, quiet=quiet):
                assert (before, after) == (None, None)
                continue
            assert before is not None
            assert after is not None
            assert good(before - START, quiet=quiet)
            assert good(after - START, quiet=quiet)
            assert not any(good(ms, quiet=quiet) for ms in range(before - START + 1, after - START))


def test_what_is_on_its_way_is_told_and_running_timers_are_counted_apart() -> None:
    timed = event("fired", 900, "entered", of="i-entered", payload={"reason": "timeout"})
    stores = stores_of([event("sent", 100), event("entered", 200), event("arrived", 800, "sent"), timed])

    found = consistency(stores, at(500))

    assert found.is_consistent
    assert not found.is_quiet
    assert gaps(found.in_flight) == [("sent", "arrived", 700)]
    assert found.timers == 1
    assert (found.quiet_before, found.quiet_after) == (at(99), at(800))
    assert (found.before, found.after) == (None, None)


def test_a_cause_from_long_before_the_window_counts() -> None:
    stores = stores_of([event("sent", -500_000), event("arrived", 50, "sent")])

    found = consistency(stores, at(0), window_ms=DurationMs(100))

    assert gaps(found.in_flight) == [("sent", "arrived", 500_050)]
    assert (found.quiet_before, found.quiet_after) == (None, at(50))


def test_doubtful_causes_cut_nothing_and_are_counted_by_kind() -> None:
    events = [
        event("late", 9_000),
        event("early", 100, "late", component_name="Bank", definition_hash=None),  # by more than clocks may differ
        event("self", 200, "self"),
        event("orphan", 300, "gone"),
        event("other", 310),
        event("timer", 320, "other", payload={"reason": "timeout"}),
    ]

    found = consistency(stores_of(events), at(250))

    assert found.is_quiet
    assert found.doubtful == {"before": 1, "self": 1, "missing": 1, "timer": 1}
    assert found.not_believed == 1  # the moment lies between the two
    assert found.links == 0
    assert consistency(stores_of(events), at(50)).not_believed == 0


@pytest.mark.parametrize("skew", [5_000, 3_600_000])
@pytest.mark.parametrize("of", ["", "i-late"])
def test_however_far_clocks_differ_a_cause_that_our_runtime_recorded_is_true_and_makes_a_cut(
    skew: int, of: str
) -> None:
    stores = stores_of([event("late", skew), event("early", 0, "late", of=of, component_name="Shop" if of else "Bank")])

    found = consistency(stores, at(skew // 2))

    assert gaps(found.cut) == [("late", "early", -skew)]
    assert (found.before, found.after) == (at(-1), at(skew))
    assert (found.doubtful, found.not_believed) == ({}, 0)


def test_what_else_is_odd_about_a_late_cause_of_our_runtime_still_discharges_it() -> None:
    stores = stores_of([event("late", 9_000), event("early", 100, "late", payload={"reason": "timeout"})])

    found = consistency(stores, at(500))

    assert found.is_consistent
    assert (found.doubtful, found.not_believed) == ({"before": 1}, 1)


def test_what_a_runtime_records_that_names_its_previous_transition_is_not_believed_without_a_definition() -> None:
    plain: dict[str, Any] = {"definition_hash": None}
    child = event(
        "child", 700, "parent", event_type=CREATION, payload={"parentInstanceId": "i-parent"}, state_before="", **plain
    )
    events = [
        event("parent", 100, **plain),
        event("next", 400, "parent", of="i-parent", **plain),
        event("stranger", 500, "parent", **plain),
        child,
    ]
    stores = stores_of(events)

    without = consistency(stores, at(200))
    with_definition = consistency(stores, at(200), catalog=Catalog([SHOP]))

    assert gaps(without.in_flight) == [("parent", "child", 600)]
    assert without.doubtful == {"unjudged": 2}
    assert with_definition.doubtful["unjudged"] == 1
    assert sum(with_definition.doubtful.values()) == 2  # Order of Shop sends nothing to anybody


def test_how_far_was_looked_ends_where_the_reading_ends() -> None:
    events = [event(f"e{number:03}", number * 10) for number in range(100)]

    found = consistency(stores_of(events), at(500), max_events=20)

    assert (found.looked_from, found.looked_to) == (at(411), at(599))
    assert found.events == 18
    assert consistency(stores_of(events), at(500), window_ms=DurationMs(20)).events == 5


def test_a_good_moment_outside_of_what_was_looked_at_is_not_named() -> None:
    stores = stores_of(skewed(late=1_000, early=600))

    found = consistency(stores, at(700), window_ms=DurationMs(150))

    assert (found.before, found.after) == (at(599), None)


def test_more_than_can_be_listed_is_counted() -> None:
    many = MAX_LISTED + 7
    events = [one for number in range(many) for one in (event(f"a{number}", 0), event(f"b{number}", 9, f"a{number}"))]

    found = consistency(stores_of(events), at(5))

    assert (len(found.in_flight), found.in_flight_count) == (MAX_LISTED, many)


def test_an_empty_store_is_quiet() -> None:
    found = consistency(stores_of(), at(0))

    assert isinstance(found, Consistency)
    assert found.is_quiet
    assert found.events == 0


def test_the_verdict_is_the_same_on_every_backend(stores: Stores) -> None:
    one, two = stream("a", "PAY", definition_hash="h"), stream("b", "PAY", at=300, definition_hash="h")
    two[1] = replace(two[1], caused_by=(one[1].id,), persisted_at=at(1_400))
    stores.events.append_many([*one, *two, *(replace(e, definition_hash="h") for e in skewed(late=5_500, early=5_000))])

    middle, torn = consistency(stores, at(1_200)), consistency(stores, at(5_200))

    assert gaps(middle.in_flight) == [("a-000001", "b-000001", 400)]
    assert gaps(torn.cut) == [("cause", "effect", -500)]
    assert (torn.before, torn.after) == (at(4_999), at(5_500))
