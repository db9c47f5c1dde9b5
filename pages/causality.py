"""Why did this event happen, and what did it cause?"""

import streamlit as st

from xcstore.ui import causality, correlation, loading, state
from xcstore.views import causality as views

event_id, business_key = state.text("event"), state.text("key")
if business_key and not event_id:
    correlation.show(business_key)
    st.stop()
if not event_id:
    correlation.ask()
    causality.recent()
    st.stop()

options = causality.options()
found = causality.find(event_id, options)
if found is None:
    st.stop()
view = views.build(found, zone=state.zone(), catalog=loading.catalog())

causality.heading(view)
causality.picture(found, options)
causality.details(found, view)
