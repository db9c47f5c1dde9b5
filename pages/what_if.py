"""What would have happened, had one event, or the definition, been another?"""

import streamlit as st

from xcstore.ui import what_if, what_if_fork, what_if_impact, what_if_slice

if what_if.is_empty():
    st.stop()

tab = what_if.tab()
if tab == "impact":
    what_if_impact.show()
    st.stop()
track = what_if.track()
if track is None:
    st.stop()
if tab == "cause":
    what_if_slice.show(track)
else:
    what_if_fork.show(track)
