"""The map of components on a page: `show(views.component_map.build(...), key='causality-map')`."""

from __future__ import annotations

import streamlit as st

from xcstore.ui import tables, viewer, widgets
from xcstore.views.component_map import ComponentMapView

__all__ = ["show"]


def show(view: ComponentMapView, key: str) -> None:
    """Who causes what in whom: a picture, and the same as tables."""
    st.caption(view.summary)
    for note in view.notes:
        st.text(f"▲ {note}")
    viewer.diagram(view.diagram, key=f"{key}-diagram", label="Causes between components", dot=True)
    names = {"flows": f"Flows ({len(view.flows):,})", "places": f"Places ({len(view.places):,})"}
    panels = widgets.tabs(names, f"{key}-tabs", param="beside")
    if panels["flows"].open:
        with panels["flows"]:
            tables.show(
                view.flows, key=f"{key}-flows", alt="Links from place to place", empty="No link is among these events."
            )
    if panels["places"].open:
        with panels["places"]:
            tables.show(view.places, key=f"{key}-places", alt="What was loaded of each place")
