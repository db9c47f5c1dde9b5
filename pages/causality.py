"""Why did this event happen, and what did it cause?"""

import streamlit as st

from xcstore.ui import causality, correlation, loading, state, tables, viewer
from xcstore.views import causality as views

event_id, business_key = state.text("event"), state.text("key")
if business_key and not event_id:
    correlation.show(business_key)
    st.stop()
if not event_id:
    correlation.ask()
    causality.recent()
    st.stop()

direction, group_by, limit = causality.options()
found = causality.find(event_id, direction, limit)
if found is None:
    st.stop()
view = views.build(found, zone=state.zone(), group_by=group_by, components=loading.component_names())

causality.heading(view)
st.caption(view.summary)
if view.shown:
    st.info(f"{view.shown}.")
causality.trust(view)
clicked = viewer.diagram(view.diagram, key="causality-diagram", label="Causes and effects", selected=event_id)
causality.selection(clicked, view)
events, links = st.tabs([f"Events ({len(view.events):,})", f"Links ({len(view.links):,})"])
with events:
    tables.pick(
        view.events, view.event_ids, key="causality-events", alt="Causes and effects", on_pick=causality.recentre,
        selected=event_id,
    )  # fmt: skip
    st.caption("Select a row to put that event in the middle.")
with links:
    tables.show(view.links, key="causality-links", alt="Recorded links", empty="No link is recorded.")
