"""What runs, in which state, and is anything wrong?"""

import streamlit as st

from xcstore.queries import overview as queries
from xcstore.ui import loading, overview_panels, state, widgets
from xcstore.views import overview as views

facts, asked = loading.ask_dated(queries.facts)
if facts.time_range is None:
    widgets.empty_store()
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
start, end = facts.time_range
waiting = loading.ask(queries.waiting, view.waiting, as_of=min(end, asked))
odd = loading.ask(queries.odd_sample, components)

overview_panels.headline(view, waiting, odd, asked)
overview_panels.attention(view, waiting, odd)
overview_panels.activity(loading.ask(queries.activity, components, start=start, end=end))
overview_panels.machines(view, waiting)
