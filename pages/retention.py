"""What is old enough to go, what stays all the same, and where does it go?"""

import streamlit as st

from xcstore.queries import overview
from xcstore.ui import loading, retention, widgets

if loading.ask(overview.facts).time_range is None:
    widgets.empty_store(loading.stores().identity)
    retention.earlier()
    st.stop()

retention.last_run()
rules = retention.ask_rules()
found = retention.preview(rules)
if found is not None:
    retention.numbers(found)
    retention.going(found)
    retention.staying(found)
    retention.remove(found)
retention.earlier()
