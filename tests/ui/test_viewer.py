from __future__ import annotations

from streamlit.testing.v1 import AppTest

from xcstore.render.diagram import LAYOUT_LIMIT


def page(nodes: int) -> None:
    import streamlit as st

    from xcstore.render.diagram import Diagram, Node
    from xcstore.ui import viewer

    states = tuple(Node(id=str(number), label=f"S{number}") for number in range(nodes))
    clicked = viewer.diagram(Diagram(nodes=states), key="diagram", label="States")
    st.text(f"clicked {clicked}")


def slow_page() -> None:
    import streamlit as st

    from xcstore.render.diagram import Diagram, Edge, Node
    from xcstore.ui import viewer

    nodes = tuple(Node(id=str(number), label="x") for number in range(400))
    edges = tuple(
        Edge(source=str(a), target=str(a * 7919 % 400 + step), label="e") for a in range(400) for step in range(6)
    )
    viewer.diagram(Diagram(nodes=nodes, edges=edges), key="diagram", label="States", time_limit_s=0.2)
    st.text("the rest of the page")


def run(nodes: int) -> AppTest:
    ran = AppTest.from_function(page, args=(nodes,), default_timeout=30).run()
    assert not ran.exception
    return ran


def test_a_diagram_is_shown_and_nothing_is_clicked_at_first() -> None:
    ran = run(3)
    assert ran.text[0].value == "clicked None"
    assert not ran.info
    assert not ran.warning


def test_a_diagram_without_states_says_so() -> None:
    assert "no states" in run(0).info[0].value


def test_a_diagram_over_the_limit_says_how_many_nodes_and_what_to_look_at() -> None:
    message = run(LAYOUT_LIMIT + 1).info[0].value
    assert f"{LAYOUT_LIMIT + 1:,} nodes" in message
    assert "table" in message


def test_a_layout_that_takes_too_long_leaves_the_rest_of_the_page() -> None:
    # The worker is warmed up: its start does not count as layout.
    run(3)
    ran = AppTest.from_function(slow_page, default_timeout=60).run()
    assert not ran.exception
    assert "took longer than 0.2 s" in ran.warning[0].value
    assert ran.text[0].value == "the rest of the page"
