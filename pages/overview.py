"""What runs, in which state, and is anything wrong?"""

import streamlit as st

from xcstore.queries import overview as queries
from xcstore.ui import loading, overview_panels, state, widgets
from xcstore.views import overview as views

facts, asked = loading.ask_dated(queries.facts)
if facts.time_range is None:
    widgets.empty_store(loading.stores().identity)
    st.stop()

components = state.components()
view = views.build(
    facts,
    loading.ask(queries.state_counts, components),
    loading.ask(queries.flows, components),
    loading.catalog(),
    asked,
    components,
)
odd = loading.ask(queries.odd_sample, components)
start, end = facts.time_range
bucket = queries.bucket_for(start, end, events=facts.events)

# What takes longest comes last, into the places that are kept for it.
stuck_at = overview_panels.headline(view, odd, asked)
attention_at = st.container()
overview_panels.activity(loading.ask(queries.activity, components, bucket_ms=bucket))
machines_at = st.container()

waiting = loading.ask(queries.waiting, view.waiting, as_of=min(end, asked))
overview_panels.stuck_number(stuck_at, waiting)
with attention_at:
    overview_panels.attention(view, waiting, odd)
with machines_at:
    overview_panels.machines(view, waiting)
