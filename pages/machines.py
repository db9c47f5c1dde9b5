"""What may each machine do, and what was it seen to do?"""

import streamlit as st

from xcstore.queries import machines as queries
from xcstore.queries import overview
from xcstore.ui import loading, machines, state, viewer, widgets
from xcstore.ui.tables import show
from xcstore.views import machines as views

catalog = loading.catalog()
chosen = machines.picker(loading.ask(overview.state_counts, state.components()), catalog)
if chosen is None:
    widgets.empty_store(loading.stores().identity)
    st.stop()
component, machine = chosen
definition = catalog.find_machine(component, machine)
facts = loading.ask(queries.machine_facts, component, machine)
view = views.build(facts, definition)

st.caption(view.summary)
machines.faults(catalog, definition)
left, right = st.columns([2, 1])
with left:
    clicked = viewer.diagram(
        view.diagram,
        key="machines-diagram",
        label=f"States of {machine}",
        selected=machines.selected(view),
        height=640,
    )
    st.caption("A number on a state: how often it was entered. A number on an arrow: how often it was observed.")
with right:
    machines.selection(component, machine, views.picked(clicked, view.arrows), view)
    machines.differences(view)
names = {"states": f"States ({len(view.state_rows)})", "transitions": f"Transitions ({len(view.transition_rows)})"}
panels = widgets.tabs(names, "machines-tabs")
if panels["states"].open:
    with panels["states"]:
        show(view.state_rows, key="machines-states", alt=f"States of {machine}", empty="No states are known.")
        st.caption(view.dwell_note)
if panels["transitions"].open:
    with panels["transitions"]:
        show(view.transition_rows, key="machines-transitions", alt=f"Transitions of {machine}", empty="None is known.")
widgets.link("instances", "Its instances", machine=machine, component=component or state.NONE)
