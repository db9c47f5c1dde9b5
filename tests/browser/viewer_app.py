"""A page with the viewer on it, for test_viewer.py: a machine, its path, a timeline, and hostile text."""

import streamlit as st

from tests.browser import examples
from xcstore.render.labels import markdown_escape
from xcstore.render.timeline import draw_timeline
from xcstore.ui import viewer

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
elif which == "raw":
    viewer.svg_viewer(examples.EVIL_SVG, key="raw", label="Raw", ids={"a": "A", "b": "B"})
