from __future__ import annotations

from datetime import UTC

from tests.factories import event
from xcstore.analysis.causality import Link, causal_graph, linked_graph
from xcstore.queries.causality import Neighbourhood
from xcstore.render.diagram import legend
from xcstore.render.labels import short_id
from xcstore.views.causality import MAX_ROWS, build, diagram

T0 = 1_767_225_600_000


def made(name: str, at: int, *causes: str, **more: object):
    return event(id=name, persisted_at=T0 + at, caused_by=causes, **more)


def trace(*events, links, mode="recorded", **more: object) -> Neighbourhood:
    made_links = [link for link in links if isinstance(link, Link)]
    graph = linked_graph(events, made_links) if made_links else causal_graph(events, links)
    root = events[0].id
    return Neighbourhood(
        root_id=root,
        direction="both",
        mode=mode,
        graph=graph,
        depths=graph.depths(root),
        **more,  # type: ignore[arg-type]
    )


def test_causes_and_effects_are_rows_in_order_of_distance_and_nodes_of_one_picture():
    found = trace(
        made("b", 100, "a"),
        made("a", 0),
        made("c", 250, "b", instance_id="i2", component_name="Stock"),
        links=[("a", "b"), ("b", "c")],
    )
    view, drawn = build(found, zone=UTC), diagram(found, zone=UTC)

    assert view.event_ids == ("a", "b", "c")
    assert [(row["step"], row["is"], row["after this event"]) for row in view.events] == [
        (-1, "cause; no cause recorded", "−100 ms"),
        (0, "this event", "0 ms"),
        (1, "effect", "150 ms"),
    ]
    assert view.summary == (
        "1 cause · 1 effect · 2 instances · 2 components · 2 links, 1 between instances · over 250 ms"
    )
    assert [node.current for node in drawn.nodes] == [True, False, False]
    assert len({node.accent for node in drawn.nodes}) == 2
    assert [(edge.source, edge.target, edge.label, edge.kind) for edge in drawn.edges] == [
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
    found = trace(made("a", 50), made("b", 20, "a"), links=[("a", "b")])
    view = build(found, zone=UTC)

    assert view.links[0]["link"] == "⚠ doubtful"
    assert "before its cause" in str(view.links[0]["doubts"])
    assert diagram(found, zone=UTC).edges[0].kind == "doubtful"
    assert "1 recorded link is doubtful" in view.warnings[0]
    assert "1 doubtful" in view.summary


def test_an_inferred_link_looks_inferred_and_tells_rule_and_evidence():
    link = Link(
        cause_id="a",
        effect_id="b",
        provenance="inferred",
        rule="parent",
        evidence="created by \u202eOrder",
        same_instance=False,
        crosses_component=True,
        gap_ms=5,  # type: ignore[arg-type]
    )
    found = trace(made("a", 0), made("b", 5), links=[link], mode="repaired", replaced=2)
    view = build(found, zone=UTC)

    (row,) = view.links
    assert (row["link"], row["rule"]) == ("┄ inferred", "parent")
    assert "created by" in str(row["evidence"])
    assert "\u202e" not in str(row["evidence"])
    (edge,) = diagram(found, zone=UTC).edges
    assert edge.kind == "inferred"
    assert "inferred by parent" in edge.tooltip
    assert view.events[1]["is"] == "effect; what caused it is inferred"
    assert "1 inferred" in view.summary
    assert "1 link is inferred by rules; 2 doubtful ones gave way to them." in view.trust
    assert "Links out of Shop are not judged: no definition is known" in view.trust


def test_tables_hold_the_nearest_and_say_how_many_there_are():
    events = [made(f"e{number}", number) for number in range(MAX_ROWS + 5)]
    links = [("e0", event.id) for event in events[1:]]
    view = build(trace(*events, links=links), zone=UTC)

    assert (len(view.events), view.event_count) == (MAX_ROWS, MAX_ROWS + 5)
    assert (len(view.links), view.link_count) == (MAX_ROWS, MAX_ROWS + 4)
    assert view.event_ids[0] == "e0"


def test_a_missing_cause_is_a_ghost_and_is_counted_apart():
    found = trace(made("b", 0, "gone"), links=[("gone", "b")])
    view = build(found, zone=UTC)

    ghost = diagram(found, zone=UTC).nodes[-1]
    assert (ghost.id, ghost.sublabel, ghost.never_reached) == ("gone", "not in this store", True)
    assert view.summary.startswith("0 causes · 0 effects")
    assert view.events[0]["is"] == "this event; its cause is missing"
    assert "1 event is named as a cause, but not in this store." in view.warnings


def test_a_cycle_is_drawn_and_said():
    found = trace(made("a", 0, "b"), made("b", 0, "a"), links=[("a", "b"), ("b", "a")])

    assert len(diagram(found, zone=UTC).edges) == 2
    assert any("2 events cause each other" in warning for warning in build(found, zone=UTC).warnings)


def test_a_cut_trace_says_how_many_there_are_at_least():
    view = build(trace(made("a", 0), links=[], truncated=True, unread=12), zone=UTC)

    assert view.shown == "shown 1 of at least 13 connected events, the nearest"


def test_a_trace_that_may_go_on_claims_no_number():
    view = build(trace(made("a", 0), links=[], truncated=True), zone=UTC)

    assert view.shown == "shown 1 event; there may be more: not all that could be connected was looked at"


def test_events_stand_in_boxes_of_machine_component_or_instance():
    one = made("a", 0, instance_id="0123456789")

    def group(by) -> str:
        return diagram(trace(one, links=[]), zone=UTC, group_by=by).nodes[0].group

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

    drawn = diagram(trace(shop, stock, links=[("a", "b")]), zone=UTC, components=("Bank", "Shop", "Stock"))

    assert [(item.name, item.word) for item in legend(drawn) if item.shape == "accent"] == [
        ("1", "Shop"),
        ("2", "Stock"),
    ]
