"""What was the whole system at one moment?"""

import streamlit as st

from xcstore.ui import moment

at = moment.chosen()
if at is None:
    st.stop()

moment.cut(at)
picked = moment.states(at)
moment.instances(at, picked)
