"""Where did two histories first go different ways?"""

import streamlit as st

from xcstore.ui import compare, compare_sides

if compare_sides.is_empty():
    st.stop()

kind = compare_sides.what()
sides = compare_sides.sides(kind)
if sides is not None and kind == "traces":
    compare.traces(*sides)
elif sides is not None:
    compare.instances(*sides)
