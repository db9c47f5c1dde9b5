from __future__ import annotations

from xml.etree import ElementTree

import pygraphviz
import pytest

from tests.browser.examples import HOSTILE, causes, expense_machine, hostile_diagram, order_path
from xcstore.render.diagram import Diagram, Edge, Node
from xcstore.render.dot import to_dot
from xcstore.render.drawing import Drawing, draw
from xcstore.render.labels import visible_text

SVG = "{http://www.w3.org/2000/svg}"
ALLOWED = {f"{SVG}{name}" for name in ("svg", "g", "title", "rect", "path", "polygon", "circle", "text")}


def drawn(diagram: Diagram) -> Drawing:
    with pygraphviz.AGraph(string=to_dot(diagram)) as graph:
        return draw(diagram, graph.draw(format="svg", prog="dot").decode())


def element(drawing: Drawing, name: str) -> ElementTree.Element:
    found = ElementTree.fromstring(drawing.svg).find(f".//*[@id='{name}']")
    assert found is not None
    return found


def texts(part: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in part.iter(f"{SVG}text")]


def classes(part: ElementTree.Element) -> set[str]:
    return set(part.get("class", "").split())


def test_every_node_and_edge_is_drawn_under_the_id_that_clicks_give() -> None:
    machine = expense_machine()
    drawing = drawn(machine)
    names = {part.get("id") for part in ElementTree.fromstring(drawing.svg).iter(f"{SVG}g")}
    assert set(drawing.ids) <= names
    assert drawing.ids["n0"] == "Draft"
    assert drawing.ids["e0"] == "Draft→Submitted"


def test_a_node_shows_label_smaller_line_and_count() -> None:
    drawing = drawn(Diagram(nodes=(Node(id="a", label="Paid", sublabel="median 2 h", count=12_345),)))
    assert texts(element(drawing, "n0")) == ["Paid", "median 2 h", "12.3k"]
    title = element(drawing, "n0").find(f"{SVG}title")
    assert title is not None
    assert title.text == "Paid\nregular · 12,345 times\nmedian 2 h"


@pytest.mark.parametrize(
    ("node", "word"),
    [
        (Node(id="a", label="a", current=True), "current state"),
        (Node(id="a", label="a", never_reached=True), "never reached"),
        (Node(id="a", label="a", undeclared=True), "not declared"),
        (Node(id="a", label="a", kind="error"), "error"),
    ],
)
def test_what_colours_say_is_also_in_words(node: Node, word: str) -> None:
    title = element(drawn(Diagram(nodes=(node,))), "n0").find(f"{SVG}title")
    assert title is not None
    assert word in (title.text or "")


def test_that_a_state_is_not_declared_is_read_off_the_picture_also_where_it_was_never_reached() -> None:
    drawing = drawn(Diagram(nodes=(Node(id="a", label="Ghost", kind="unknown", undeclared=True, never_reached=True),)))
    assert texts(element(drawing, "n0")) == ["?", "Ghost", "not declared"]
    assert {"undeclared", "never"} <= classes(element(drawing, "n0"))


def test_kinds_differ_in_shape() -> None:
    nodes = tuple(Node(id=kind, label=kind, kind=kind) for kind in ("entry", "regular", "final", "error"))
    drawing = drawn(Diagram(nodes=nodes))
    entry, regular, final, error = (element(drawing, f"n{number}") for number in range(4))
    assert error.find(f"{SVG}polygon[@class='box']") is not None
    assert final.find(f"{SVG}rect[@class='inner']") is not None
    assert regular.find(f"{SVG}rect[@class='inner']") is None
    radii = [part.find(f"{SVG}rect[@class='box']").get("rx") for part in (entry, regular)]  # type: ignore[union-attr]
    assert radii == ["17", "7"]


def test_the_path_that_was_taken_is_marked_and_drawn_over_the_rest() -> None:
    drawing = drawn(order_path())
    names = [part.get("id") for part in ElementTree.fromstring(drawing.svg).iter(f"{SVG}g")]
    assert "taken" in classes(element(drawing, "e0"))
    assert "untaken" in classes(element(drawing, "e4"))
    assert names.index("e4") < names.index("e0")
    assert {"current", "visited"} <= classes(element(drawing, "n3"))
    assert "unvisited" in classes(element(drawing, "n4"))


def test_inferred_and_doubtful_links_look_different_from_recorded_ones() -> None:
    drawing = drawn(causes())
    kinds = [next(name for name in classes(element(drawing, f"e{n}")) if name.startswith("edge-")) for n in (0, 2, 4)]
    assert kinds == ["edge-recorded", "edge-inferred", "edge-doubtful"]


def test_loops_at_one_state_are_one_line_with_a_label_for_each() -> None:
    edges = tuple(Edge(source="a", target="a", id=f"own {n}", label=f"EVENT_{n}", count=n) for n in range(4))
    drawing = drawn(Diagram(nodes=(Node(id="a", label="a"),), edges=edges))
    lines = [part for part in ElementTree.fromstring(drawing.svg).iter(f"{SVG}path") if part.get("class") == "line"]
    assert len(lines) == 1
    assert [texts(element(drawing, f"e{n}")) for n in range(4)] == [[f"EVENT_{n} × {n}"] for n in range(4)]


def test_more_loops_than_there_is_room_for_are_counted() -> None:
    edges = tuple(Edge(source="a", target="a", id=f"own {n}", label=f"EVENT_{n}") for n in range(50))
    root = ElementTree.fromstring(drawn(Diagram(nodes=(Node(id="a", label="a"),), edges=edges)).svg)
    assert "and 42 more" in [text.text for text in root.iter(f"{SVG}text")]


def test_two_transitions_between_the_same_states_are_two_lines_and_three_are_one() -> None:
    def lines(count: int) -> int:
        edges = tuple(Edge(source="a", target="b", label=f"EVENT_{n}") for n in range(count))
        svg = drawn(Diagram(nodes=(Node(id="a", label="a"), Node(id="b", label="b")), edges=edges)).svg
        return svg.count('class="line"')

    assert [lines(count) for count in (1, 2, 3, 4)] == [1, 2, 1, 1]


def test_hostile_text_is_shown_as_text_and_adds_no_element() -> None:
    drawing = drawn(hostile_diagram())
    root = ElementTree.fromstring(drawing.svg)
    assert {part.tag for part in root.iter()} <= ALLOWED
    assert all(not name.startswith("on") and "href" not in name for part in root.iter() for name in part.attrib)
    for number, text in enumerate(HOSTILE):
        title = element(drawing, f"n{number}").find(f"{SVG}title")
        assert title is not None
        assert (title.text or "").startswith(visible_text(text, 100).rstrip("…") or "(no name)")


def test_ten_thousand_characters_make_a_box_of_ordinary_size() -> None:
    drawing = drawn(Diagram(nodes=(Node(id="a", label="x" * 10_000),)))
    assert drawing.width < 300
    assert len(drawing.svg) < 4_000


def test_an_unknown_kind_is_drawn_as_not_declared() -> None:
    drawing = drawn(
        Diagram(
            nodes=(Node(id="a", label="a", kind="weird"),),  # type: ignore[arg-type]
            edges=(Edge(source="a", target="a", label="x", kind="weird"),),  # type: ignore[arg-type]
        )
    )
    assert "state-unknown" in classes(element(drawing, "n0"))
    assert "edge-declared" in classes(element(drawing, "e0"))


def test_an_empty_diagram_is_an_empty_picture() -> None:
    drawing = drawn(Diagram())
    assert drawing.ids == {}
    assert ElementTree.fromstring(drawing.svg).tag == f"{SVG}svg"


def test_groups_are_drawn_round_their_nodes_with_their_name() -> None:
    drawing = drawn(causes())
    labels = [
        text.text
        for text in ElementTree.fromstring(drawing.svg).iter(f"{SVG}text")
        if text.get("class") == "cluster-label"
    ]
    assert labels == ["Orders", "Inventory", "Shipping"]
