"""Is what the store holds sound, and what is wrong with it?"""

import streamlit as st

from xcstore.queries import overview
from xcstore.ui import integrity, loading, widgets

if loading.ask(overview.facts).time_range is None:
    widgets.empty_store(loading.stores().identity)
    st.stop()

found = integrity.report()
if found is not None:
    integrity.headline(found)
    kind = integrity.kinds(found)
    integrity.findings(found, kind)
    integrity.notes(found)
