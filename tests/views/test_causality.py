from __future__ import annotations

from datetime import UTC

from tests.factories import event
from xcstore.analysis.causality import causal_graph
from xcstore.queries.causality import Neighbourhood
from xcstore.render.diagram import legend
from xcstore.render.labels import short_id
from xcstore.views.causality import build

T0 = 1_767_225_600_000


def made(name: str, at: int, *causes: str, **more: object):
    return event(id=name, persisted_at=T0 + at, caused_by=causes, **more)


def trace(*events, links, **more: object) -> Neighbourhood:
    graph = causal_graph(events, links)
    root = events[0].id
    return Neighbourhood(
        root_id=root,
        direction="both",
        mode="recorded",
        graph=graph,
        depths=graph.depths(root),
        **more,  # type: ignore[arg-type]
    )


def test_causes_and_effects_are_rows_in_order_of_distance_and_nodes_of_one_picture():
    view = build(
        trace(
            made("b", 100, "a"),
            made("a", 0),
            made("c", 250, "b", instance_id="i2", component_name="Stock"),
            links=[("a", "b"), ("b", "c")],
        ),
        zone=UTC,
    )

    assert view.event_ids == ("a", "b", "c")
    assert [(row["step"], row["is"], row["after this event"]) for row in view.events] == [
        (-1, "cause, no cause recorded", "−100 ms"),
        (0, "this event", "0 ms"),
        (1, "effect", "150 ms"),
    ]
    assert view.summary == (
        "1 cause · 1 effect · 2 instances · 2 components · 2 links, 1 between instances · over 250 ms"
    )
    assert [node.current for node in view.diagram.nodes] == [True, False, False]
    assert len({node.accent for node in view.diagram.nodes}) == 2
    assert [(edge.source, edge.target, edge.label, edge.kind) for edge in view.diagram.edges] == [
        ("a", "b", "100 ms", "recorded"),
        ("b", "c", "150 ms", "recorded"),
    ]


def test_a_link_tells_whether_instance_and_component_are_the_same():
    view = build(
        trace(made("a", 0), made("b", 5, "a", instance_id="i2", component_name="Stock"), links=[("a", "b")]), zone=UTC
    )

    (row,) = view.links
    assert (row["instance"], row["component"], row["time between"], row["doubts"]) == ("another", "crosses", "5 ms", "")
    assert "1 link, 1 between instances" in view.summary


def test_a_link_that_cannot_be_right_is_doubtful_in_picture_table_and_words():
    view = build(trace(made("a", 50), made("b", 20, "a"), links=[("a", "b")]), zone=UTC)

    assert view.doubtful == 1
    assert view.links[0]["link"] == "⚠ doubtful"
    assert "before its cause" in str(view.links[0]["doubts"])
    assert view.diagram.edges[0].kind == "doubtful"
    assert "1 recorded link cannot be right" in view.warnings[0]


def test_a_missing_cause_is_a_ghost_and_is_counted_apart():
    view = build(trace(made("b", 0, "gone"), links=[("gone", "b")]), zone=UTC)

    ghost = view.diagram.nodes[-1]
    assert (ghost.id, ghost.sublabel, ghost.never_reached) == ("gone", "not in this store", True)
    assert view.summary.startswith("0 causes · 0 effects")
    assert view.events[0]["is"] == "this event, cause missing"
    assert "1 event is named as a cause, but not in this store." in view.warnings


def test_a_cycle_is_drawn_and_said():
    view = build(trace(made("a", 0, "b"), made("b", 0, "a"), links=[("a", "b"), ("b", "a")]), zone=UTC)

    assert len(view.diagram.edges) == 2
    assert any("2 events cause each other" in warning for warning in view.warnings)


def test_a_cut_trace_says_how_many_there_are_at_least():
    view = build(trace(made("a", 0), links=[], truncated=True, unread=12), zone=UTC)

    assert view.shown == "shown 1 of at least 13 connected events, the nearest"


def test_events_stand_in_boxes_of_machine_component_or_instance():
    one = made("a", 0, instance_id="0123456789")

    def group(by) -> str:
        return build(trace(one, links=[]), zone=UTC, group_by=by).diagram.nodes[0].group

    assert group("component") == "Shop"
    assert group("machine") == "Shop · Order"
    assert group("instance") == f"Shop · Order · {short_id(one.instance_id)}"


def test_hostile_text_comes_out_visible_and_encodable():
    bad = "<x>\u202e\x00\ud800[a](b)"

    view = build(trace(made(bad, 0, event_type=bad, component_name=bad, instance_id=bad), links=[]), zone=UTC)

    for row in view.events:
        for value in row.values():
            str(value).encode()
            assert "\u202e" not in str(value)


def test_the_legend_names_the_component_that_a_colour_stands_for():
    shop = event(id="a", component_name="Shop", machine_name="Order", persisted_at=1)
    stock = event(id="b", component_name="Stock", machine_name="Item", persisted_at=2, caused_by=("a",))

    view = build(trace(shop, stock, links=[("a", "b")]), zone=UTC, components=("Bank", "Shop", "Stock"))

    assert [(item.name, item.word) for item in legend(view.diagram) if item.shape == "accent"] == [
        ("1", "Shop"),
        ("2", "Stock"),
    ]
