"""Where the value of a field came from: a chain of steps, each a link, and the same as a table."""

from __future__ import annotations

import streamlit as st

from xcstore.analysis.context import Path
from xcstore.queries import lineage as queries
from xcstore.render.labels import markdown_escape
from xcstore.ui import loading, state, tables, widgets
from xcstore.views import lineage as views

__all__ = ["show"]


def show(event_id: str, path: Path) -> None:
    """The walk back from the value that the instance held at `path` after the event."""
    found = loading.ask(queries.lineage, event_id, path, catalog=loading.catalog())
    view = views.build(found, zone=state.zone())
    st.markdown("**Where this value came from**")
    if view.steps:
        st.caption(
            f"{view.summary}. That an event set a field is told by the instance's own history; from an event to what "
            "caused it the value is followed by the causal link and an equal value, which is likely and never certain."
        )
    with st.container(gap="xsmall"):
        for number, step in enumerate(view.steps, start=1):
            _step(number, step)
        st.caption(f"■ {markdown_escape(view.end, 500)}")
    if view.steps:
        with st.expander("The same as a table"):
            tables.show(view.rows, key="instances-lineage", alt="Where this value came from", widths=_WIDTHS)


def _step(number: int, step: views.StepView) -> None:
    with st.container(border=True, gap=None):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"{number}.", width="content")
            widgets.link("instances", step.name, instance=step.instance_id, event=step.event_id, field=step.field)
            st.caption(markdown_escape(step.component, 120), width="content")
            st.markdown(
                f"**{markdown_escape(step.place, 120)}** \\= {markdown_escape(step.value, 120)}", width="content"
            )
            widgets.link("causality", "Causes and effects", event=step.event_id)
        st.caption(markdown_escape(step.setting, 600))
    if step.handed_on:
        across = "**crosses a component** · " if step.crosses else ""
        st.caption(f"↓ {across}{markdown_escape(step.handed_on, 900)}")


_WIDTHS = {"how it is known": 260, "came with": 200, "link": 130, "equal value in": 320, "field": 140}
