"""The map of components as a picture and rows."""

from __future__ import annotations

from tests.factories import START, event
from xcstore.analysis.causality import causal_graph
from xcstore.analysis.component_map import component_map
from xcstore.render.diagram import LAYOUT_LIMIT
from xcstore.views.component_map import ComponentMapView, build


def view_of(events: list, *, by: str = "component", truncated: bool = False) -> ComponentMapView:
    graph = causal_graph(events, [(cause, item.id) for item in events for cause in item.caused_by])
    return build(component_map(graph, by=by), truncated=truncated)


def two_components() -> list:
    """Shop causes two events in Stock after 40 and 60 ms, and one in itself; one in no component has a lost cause."""
    return [
        event(id="a", persisted_at=START),
        event(id="b", persisted_at=START + 40, component_name="Stock", machine_name="Shelf", caused_by=("a",)),
        event(id="c", persisted_at=START + 60, component_name="Stock", machine_name="Shelf", caused_by=("a",)),
        event(id="d", persisted_at=START + 5, caused_by=("a",)),
        event(id="e", persisted_at=START, component_name="", caused_by=("gone",)),
    ]


def test_an_edge_says_how_many_links_and_how_long_they_take():
    (edge,) = view_of(two_components()).diagram.edges

    assert (edge.label, edge.kind) == ("2 links · median 50 ms", "recorded")
    assert "2 links: 2 recorded, 0 inferred, 0 doubtful" in edge.tooltip
    assert "95 % within 60 ms" in edge.tooltip


def test_links_inside_a_component_are_no_edge_but_a_row_and_a_tooltip():
    view = view_of(two_components())

    shop = next(node for node in view.diagram.nodes if node.label == "Shop")
    assert "1 link inside: median 5 ms" in shop.tooltip
    assert shop.sublabel == "2 events · 1 inst."
    assert [(row["from component"], row["to component"], row["links"]) for row in view.flows] == [
        ("Shop", "Stock", 2),
        ("Shop", "itself", 1),
    ]


def test_it_says_over_how_much_it_is_and_what_it_leaves_out():
    view = view_of(two_components(), truncated=True)

    assert view.summary.startswith("over the 5 events shown, more are connected · 3 components")
    assert view.notes == ("1 link from causes that are not among these events: not drawn.",)
    assert {row["component"] for row in view.places} == {"(no component)", "Shop", "Stock"}


def test_an_edge_of_doubtful_links_looks_doubtful_and_times_against_the_clock_are_counted():
    view = view_of(
        [event(id="a", persisted_at=START), event(persisted_at=START - 9, component_name="X", caused_by=("a",))]
    )

    (edge,) = view.diagram.edges
    assert (edge.kind, edge.label) == ("doubtful", "1 link")
    assert any("1 link goes against the clock" in note for note in view.notes)


def test_thickness_follows_the_logarithm_of_the_number_of_links():
    causes = [event(id=f"a{n}", persisted_at=START) for n in range(100)]
    many = [event(component_name="B", caused_by=(f"a{n}",)) for n in range(100)]
    some = [event(component_name="C", caused_by=(f"a{n}",)) for n in range(10)]
    one = [event(component_name="D", caused_by=("a0",))]

    weights = {edge.label.split(" ")[0]: edge.weight for edge in view_of([*causes, *many, *some, *one]).diagram.edges}

    assert weights == {"100": 1.0, "10": 0.5, "1": 0.0}


def test_machines_stand_in_boxes_of_their_components():
    view = view_of(two_components(), by="machine")

    assert {(node.group, node.label) for node in view.diagram.nodes} == {
        ("Shop", "Order"),
        ("Stock", "Shelf"),
        ("(no component)", "Order"),
    }


def test_more_components_than_can_be_drawn_are_still_in_the_tables():
    view = view_of([event(component_name=f"c{n}") for n in range(LAYOUT_LIMIT + 1)])

    assert len(view.diagram.nodes) == len(view.places) == LAYOUT_LIMIT + 1
    assert view_of([]).summary.startswith("over the 0 events shown")
