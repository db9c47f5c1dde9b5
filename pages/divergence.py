"""Does what is stored go as the definitions say, and where does it first not?"""

import streamlit as st

from xcstore.queries import overview
from xcstore.ui import divergence, loading, widgets

if loading.ask(overview.facts).time_range is None:
    widgets.empty_store(loading.stores().identity)
    st.stop()

found = divergence.found()
if found is not None:
    divergence.headline(found)
    machine = divergence.machines(found)
    kind = divergence.kinds(found)
    divergence.instances(found, machine, kind)
    divergence.notes(found)
