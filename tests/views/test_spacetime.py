from __future__ import annotations

from collections import Counter
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.factories import event
from xcstore.analysis.causality import SUCCESSION, Link, causal_graph, linked_graph
from xcstore.queries.causality import Neighbourhood
from xcstore.render.spacetime import SpaceTime
from xcstore.views.spacetime import LANES, ORDERS, build, lane_id

T0 = 1_767_225_600_000


def made(name: str, at: int, machine: str = "Order", instance: str = "", **more: Any):
    fields: dict[str, Any] = {"event_type": name.upper(), "component_name": "Shop", "state_before": "a", **more}
    at_ms = T0 + at
    return event(id=name, persisted_at=at_ms, machine_name=machine, instance_id=instance or f"{machine} 1", **fields)


def around(*events, links, root: str = "") -> Neighbourhood:
    real = [link for link in links if isinstance(link, Link)]
    graph = linked_graph(events, real) if real else causal_graph(events, links)
    root = root or events[0].id
    return Neighbourhood(
        root_id=root, direction="both", mode="both", graph=graph, depths=graph.depths(root)
    )  # fmt: skip


def labels(picture: SpaceTime) -> list[str]:
    return [mark.label for mark in picture.marks]


def arrows(picture: SpaceTime) -> list[tuple[str, str, str, int]]:
    ids = [mark.id for mark in picture.marks]
    return [
        (ids[a.source] if a.source >= 0 else "-", ids[a.target], a.kind, a.via) for a in picture.arrows
    ]  # fmt: skip


# A chain of five in one machine, from the second of which a chain of three leads through Stock into Parcel.
CHAIN = around(
    *(made(f"o{n}", n * 10) for n in range(6)),
    *(made(f"s{n}", 100 + n, "Stock") for n in range(3)),
    made("p0", 200, "Parcel", component_name="Shipping"),
    links=[
        *((f"o{n}", f"o{n + 1}") for n in range(5)), ("o1", "s0"), ("s0", "s1"), ("s1", "s2"), ("s2", "p0"),
        ("gone", "o3"),
    ],
)  # fmt: skip


def test_lanes_stand_in_the_order_in_which_they_begin_with_all_their_events_counted():
    picture = build(CHAIN, zone=UTC)
    assert [(lane.id, lane.label, lane.sublabel, lane.count) for lane in picture.lanes] == [
        ("Shop/Order", "Order", "Shop", 6),
        ("Shop/Stock", "Stock", "Shop", 3),
        ("Shipping/Parcel", "Parcel", "Shipping", 1),
    ]
    assert [lane.label for lane in build(CHAIN, zone=UTC, lanes="component").lanes] == ["Shop", "Shipping"]
    assert [lane.label for lane in build(CHAIN, zone=UTC, lanes="instance").lanes] == ["Order 1", "Stock 1", "Parcel 1"]


def test_a_component_has_the_colour_it_has_on_every_page():
    alone = build(CHAIN, zone=UTC).lanes
    among = build(CHAIN, zone=UTC, components=("Alpha", "Shipping", "Shop")).lanes
    assert {lane.accent for lane in alone} == {0, 1}
    assert {lane.accent for lane in among} == {1, 2}


@pytest.mark.parametrize("collapse", [True, False])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("lanes", LANES)
def test_every_event_is_in_one_mark_or_counted_as_hidden(lanes, order, collapse):
    for hidden in ((), (build(CHAIN, zone=UTC, lanes=lanes).lanes[0].id,)):
        picture = build(CHAIN, zone=UTC, lanes=lanes, order=order, collapse=collapse, hidden=hidden)
        inside = sum(mark.count for mark in picture.marks)
        assert inside + sum(lane.count for lane in picture.hidden) == 10
        assert len({mark.id for mark in picture.marks}) == len(picture.marks)
        per_lane = Counter[int]()
        for mark in picture.marks:
            per_lane[mark.lane] += mark.count
        assert [per_lane[number] for number in range(len(picture.lanes))] == [lane.count for lane in picture.lanes]


def test_events_that_only_lead_to_one_another_are_one_mark_that_opens():
    calm = around(
        *(made(f"o{n}", n * 10) for n in range(6)), made("x", 90, "Stock"),
        links=[*((f"o{n}", f"o{n + 1}") for n in range(5)), ("o5", "x")],
    )  # fmt: skip
    folded = build(calm, zone=UTC)
    run = next(mark for mark in folded.marks if mark.kind == "run")
    assert (run.id, run.label, run.count, run.at_ms, run.end_ms) == ("o1", "O1 … O4", 4, T0 + 10, T0 + 40)
    assert arrows(folded) == [
        ("o0", "o1", "recorded", 0),
        ("o1", "o5", "recorded", 0),
        ("o5", "x", "recorded", 0),
    ]
    assert folded.runs == 1
    opened = build(calm, zone=UTC, expanded=("o1",))
    assert labels(opened) == ["O0", "O1", "O2", "O3", "O4", "O5", "X"]
    assert labels(build(calm, zone=UTC, collapse=False)) == labels(opened)


def test_a_doubtful_link_and_the_event_that_was_asked_for_are_never_folded_away():
    odd = around(
        *(made(f"o{n}", n * 10) for n in range(9)),
        links=[*((f"o{n}", f"o{n + 1}") for n in range(8)), ("o6", "o5")],
        root="o2",
    )
    picture = build(odd, zone=UTC)
    assert {"O2", "O5", "O6"} <= set(labels(picture))
    assert ("o6", "o5", "doubtful", 0) in arrows(picture)
    assert [mark.id for mark in picture.marks if mark.root] == ["o2"]


def test_hiding_a_lane_keeps_what_led_through_it():
    picture = build(CHAIN, zone=UTC, hidden=("Shop/Stock",), collapse=False)
    assert ("o1", "p0", "recorded", 3) in arrows(picture)
    assert [lane.id for lane in picture.hidden] == ["Shop/Stock"]
    assert "1 lane hidden, with 3 events" in picture.notes
    (way,) = (arrow for arrow in picture.arrows if arrow.via)
    assert way.tooltip[0] == "via 3 hidden events"


def test_a_way_through_hidden_events_is_as_sure_as_its_least_certain_link():
    found = around(
        made("a", 0), made("b", 10, "Stock"), made("c", 20, "Parcel"),
        links=[
            Link(cause_id="a", effect_id="b"),
            Link(cause_id="b", effect_id="c", provenance="inferred", rule=SUCCESSION),
        ],
    )  # fmt: skip
    assert arrows(build(found, zone=UTC, hidden=("Shop/Stock",))) == [("a", "c", "followed", 1)]


def test_hiding_all_lanes_hides_none_and_unknown_lanes_count_for_nothing():
    every = [lane.id for lane in build(CHAIN, zone=UTC).lanes]
    assert not build(CHAIN, zone=UTC, hidden=every).hidden
    assert not build(CHAIN, zone=UTC, hidden=("nobody/knows",)).hidden


def test_a_cause_that_is_not_in_the_store_is_an_arrow_from_nowhere_that_names_it():
    picture = build(CHAIN, zone=UTC)
    assert ("-", "o3", "recorded", 0) in arrows(picture)
    (ghost,) = (arrow for arrow in picture.arrows if arrow.source < 0)
    assert ghost.tooltip == ("gone", "named as a cause, but not in this store")


def test_each_link_looks_like_what_it_is_and_tells_rule_evidence_and_doubt():
    found = around(
        made("a", 0), made("b", 10), made("c", 20, "Stock"), made("d", 30, "Stock"),
        links=[
            Link(cause_id="a", effect_id="b", gap_ms=10),
            Link(cause_id="a", effect_id="c", provenance="inferred", rule="parent", evidence="created by a"),
            Link(cause_id="c", effect_id="d", provenance="inferred", rule=SUCCESSION),
            Link(cause_id="b", effect_id="d", doubts=("it cannot be",)),
        ],
    )  # fmt: skip
    picture = build(found, zone=UTC)
    assert [arrow.kind for arrow in picture.arrows] == ["recorded", "inferred", "followed", "doubtful"]
    told = ["\n".join(arrow.tooltip) for arrow in picture.arrows]
    assert "10 ms later" in told[0]
    assert "parent" in told[1]
    assert "created by a" in told[1]
    assert "⚠ it cannot be" in told[3]


def test_a_doubtful_and_an_inferred_cause_of_one_event_are_two_arrows():
    found = around(
        made("wrong", 0), made("right", 5, "Stock"), made("effect", 10, "Parcel"),
        links=[
            Link(cause_id="wrong", effect_id="effect", doubts=("no",)),
            Link(cause_id="right", effect_id="effect", provenance="inferred", rule="parent"),
        ],
    )  # fmt: skip
    assert {(source, kind) for source, _, kind, _ in arrows(build(found, zone=UTC))} == {
        ("wrong", "doubtful"),
        ("right", "inferred"),
    }


def test_creations_and_timers_have_marks_of_their_own():
    found = around(
        made("new", 0, state_before="", event_type="INSTANCE_CREATED"),
        made("tick", 10, payload={"reason": "timeout"}),
        made("pay", 20),
        made("odd", 30, payload={"reason": ["timeout"]}),
        links=[("new", "tick"), ("tick", "pay")],
    )
    assert [mark.kind for mark in build(found, zone=UTC, collapse=False).marks] == [
        "created",
        "timer",
        "event",
        "event",
    ]


def test_times_are_those_of_the_chosen_zone():
    assert build(CHAIN, zone=ZoneInfo("Asia/Tokyo")).zone == "Asia/Tokyo"


def test_lanes_are_named_in_the_address_by_plain_text_and_those_without_a_name_too():
    strange = made("a", 0, "Or/der & <b>\u202e", component_name="", instance="\ud800")
    for lanes in LANES:
        assert lane_id(strange, lanes).encode("ascii")
    assert lane_id(strange, "component") == "(none)"
    assert lane_id(strange, "machine") != lane_id(made("b", 0, "Or", component_name="/der & <b>"), "machine")
    picture = build(around(strange, links=[]), zone=UTC)
    assert picture.lanes[0].sublabel == "(none)"


def test_a_circle_of_causes_keeps_all_its_events_and_arrows():
    ring = around(made("a", 0), made("b", 5, "Stock"), made("c", 9), links=[("a", "b"), ("b", "c"), ("c", "a")])
    for order in ORDERS:
        picture = build(ring, zone=UTC, order=order)
        assert len(picture.marks) == 3
        assert [arrow.kind for arrow in picture.arrows] == ["doubtful"] * 3
