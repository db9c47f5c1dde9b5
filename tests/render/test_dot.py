from __future__ import annotations

import pygraphviz
import pytest

from tests.browser.examples import HOSTILE, expense_machine
from xcstore.render.diagram import Diagram, Edge, Node, element_ids, legend
from xcstore.render.dot import node_size, to_dot

TWO = Diagram(
    nodes=(
        Node(id="Created", label="Created", kind="entry"),
        Node(id="Paid", label="Paid", kind="final", group="Orders"),
    ),
    edges=(Edge(source="Created", target="Paid", id="pay", label="PAY", count=12),),
)


def test_dot_of_two_states_is_as_written_here() -> None:
    lines = [line.strip() for line in to_dot(TWO).splitlines()]
    assert 'n0 [label=Created class="state-entry" height=0.4722 id=n0 tooltip=Created width=1.2639]' in lines
    assert "subgraph cluster_1 {" in lines
    assert 'n0 -> n1 [label="PAY\\n× 12" class="edge-declared" id=e0 tooltip=PAY]' in lines


def test_equal_diagrams_give_equal_text() -> None:
    assert to_dot(expense_machine()) == to_dot(expense_machine())


def test_the_direction_of_the_diagram_wins_over_the_one_asked_for() -> None:
    assert "rankdir=TB" in to_dot(TWO, "TB")
    assert "rankdir=LR" in to_dot(Diagram(nodes=TWO.nodes, direction="LR"), "TB")


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_graphviz_reads_a_hostile_label_as_plain_text(text: str) -> None:
    nodes = (Node(id="a", label=text, sublabel=text, group=text), Node(id="b", label="b"))
    diagram = Diagram(nodes=nodes, edges=(Edge(source="a", target="b", label=text),), name=text)

    with pygraphviz.AGraph(string=to_dot(diagram)) as read:
        assert sorted(read.nodes()) == ["n0", "n1"]
        assert read.number_of_edges() == 1
        svg = read.draw(format="svg", prog="dot").decode()

    assert '<g id="n0"' in svg
    assert "<img" not in svg
    assert "<script" not in svg


def test_graphviz_does_not_replace_placeholders_in_labels() -> None:
    with pygraphviz.AGraph(string=to_dot(Diagram(nodes=(Node(id="a", label=r"a\N\Gb"),)))) as read:
        assert r"a\N\Gb" in read.draw(format="svg", prog="dot").decode()


def test_an_edge_to_a_node_that_is_not_there_is_left_out() -> None:
    diagram = Diagram(nodes=(Node(id="a", label="a"),), edges=(Edge(source="a", target="gone"),))
    assert "->" not in to_dot(diagram)


def test_a_box_is_wide_enough_for_label_and_count() -> None:
    plain, counted = Node(id="a", label="ManagerReview"), Node(id="a", label="ManagerReview", count=12_345)
    assert node_size(counted)[0] > node_size(plain)[0] > 100


def test_element_ids_name_nodes_and_those_edges_that_have_an_id() -> None:
    unnamed = Edge(source="Created", target="Paid")
    diagram = Diagram(nodes=TWO.nodes, edges=(unnamed, *TWO.edges))
    assert element_ids(diagram) == {"n0": "Created", "n1": "Paid", "e1": "pay"}


def test_the_legend_names_what_occurs_and_nothing_else() -> None:
    assert [item.word for item in legend(TWO)] == ["entry", "final", "declared"]
    marked = Diagram(nodes=(Node(id="a", label="a", current=True, visited=True),))
    assert [item.word for item in legend(marked)] == ["regular", "current state", "path taken"]
