"""A page with the viewer on it, for test_viewer.py: a machine, its path, a timeline, and hostile text."""

import streamlit as st

from tests.browser import examples
from xcstore.render import charts
from xcstore.render.diagram import Diagram, Edge, Node
from xcstore.render.labels import markdown_escape
from xcstore.render.theme import STATUSES
from xcstore.render.timeline import draw_timeline
from xcstore.ui import viewer
from xcstore.units import HOUR

st.set_page_config(layout="wide", page_title="viewer")
which = st.query_params.get("show", "machine")

if which == "machine":
    picked = st.session_state.get("picked")
    clicked = viewer.diagram(examples.expense_machine(), key="machine", label="Expense request", selected=picked)
    if clicked is not None:
        st.session_state["picked"] = clicked
        st.session_state["clicks"] = st.session_state.get("clicks", 0) + 1
    st.text(f"clicked: {clicked}")
    st.text(f"clicks: {st.session_state.get('clicks', 0)}")
    st.button("Run again", key="again")
elif which == "path":
    viewer.diagram(examples.order_path(), key="path", label="Path of an order", selected="Confirmed")
elif which == "timeline":
    drawing = draw_timeline(examples.order_timeline(), zone="Europe/Berlin")
    clicked = viewer.show(drawing, key="timeline", label="Timeline of an order", fit="width")
    st.text(f"clicked: {clicked}")
    several = draw_timeline(examples.several_instances())
    viewer.show(several, key="several", label="Several instances", fit="width")
elif which == "causes":
    viewer.diagram(examples.causes(), key="causes", label="Causes of an event")
elif which == "hostile":
    clicked = viewer.diagram(examples.hostile_diagram(), key="hostile", label="<img src=x onerror=alert(1)>")
    st.text(f"clicked: {clicked}")
    viewer.show(draw_timeline(examples.hostile_timeline()), key="hostile-time", label="Hostile", fit="width")
    st.markdown("start " + " ; ".join(markdown_escape(text, 200) for text in examples.HOSTILE) + " end")
elif which == "charts":
    hours = [
        (examples.START + hour * HOUR, name, hour % 7 + 1) for hour in range(48) for name in ("Orders", "Shipping")
    ]
    dark = st.context.theme.type == "dark"
    st.vega_lite_chart(charts.events_over_time(hours, bucket_ms=HOUR, dark=dark), key="over-time")
    counts = [("active", 12), ("error", 3), ("<x>'", 1)]
    st.vega_lite_chart(charts.count_bars(counts, looks=STATUSES, dark=dark), key="counts")
elif which == "loops":
    loops = tuple(Edge(source="a", target="a", id=f"loop {n}", label=f"EVENT_{n}", count=n) for n in range(4))
    clicked = viewer.diagram(Diagram(nodes=(Node(id="a", label="A"),), edges=loops), key="loops", label="Loops")
    st.text(f"clicked: {clicked}")
elif which == "large":
    chain = tuple(Node(id=str(n), label=f"STATE_{n}") for n in range(40))
    steps = tuple(Edge(source=str(n), target=str(n + 1), label=f"EVENT_{n}") for n in range(39))
    viewer.diagram(Diagram(nodes=chain, edges=steps), key="large", label="Large")
elif which == "hidden":
    with st.expander("Later", expanded=False):
        viewer.diagram(examples.order_path(), key="hidden", label="Path of an order")
elif which == "raw":
    viewer.svg_viewer(examples.EVIL_SVG, key="raw", label="Raw", ids={"a": "A", "b": "B"})
