"""The part of the Causality page that follows a business key instead of an event."""

from __future__ import annotations

import streamlit as st

from xcstore.queries import correlation as queries
from xcstore.render.labels import markdown_escape
from xcstore.render.timeline import draw_timeline
from xcstore.ui import loading, state, tables, viewer, widgets
from xcstore.views import correlation as views

__all__ = ["ask", "show"]


def ask() -> None:
    """The line to type a key into; it goes into the address."""
    widgets.line(
        "Everything that a business key touched",
        "causality-key",
        "key",
        placeholder="a value in payloads, written exactly: ORD-00123, a customer, an article",
    )


def show(key: str) -> None:
    """All that `key` touched, across all components, in one picture."""
    ask()
    with st.spinner("Looking through the payloads …", show_time=True):
        found = loading.ask(queries.correlation, key)
    view = views.build(
        found,
        loading.catalog().find_machine,
        now=loading.as_of(),
        zone=state.zone(),
        components=loading.component_names(),
    )
    if not view.instances:
        st.info(
            "No payload holds exactly this value. The search box above finds parts of values, and ids."
            + (f" {view.notes[0]}" if view.notes else "")
        )
        return
    st.subheader(f"Everything that {markdown_escape(key, 120)} touched", anchor=False)
    st.caption(view.summary)
    for note in view.notes:
        st.caption(note)
    clicked = viewer.show(
        draw_timeline(view.timeline, zone=state.zone()),
        key="causality-correlation",
        label="Instances and events that this business key touched, over time",
        fit="width",
    )
    if clicked in view.event_ids:
        _open(clicked, view)
    instances, events = st.tabs([f"Instances ({len(view.instances):,})", f"Events ({len(view.events):,})"])
    with instances:
        tables.pick(
            view.instances,
            view.instance_ids,
            key="causality-correlation-instances",
            alt="Instances that this business key touched",
            on_pick=lambda instance_id: widgets.go("instances", instance=instance_id),
        )
        st.caption("Select a row to open the instance.")
    with events:
        tables.pick(
            view.events,
            view.event_ids,
            key="causality-correlation-events",
            alt="Events of these instances",
            on_pick=lambda event_id: state.put(event=event_id, key=None),
        )
        st.caption("Select a row to see its causes and effects.")


def _open(event_id: str, view: views.CorrelationView) -> None:
    row = view.events[view.event_ids.index(event_id)]
    widgets.go("instances", instance=str(row["Instance"]), event=event_id)
