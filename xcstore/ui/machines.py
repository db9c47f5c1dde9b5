"""The parts of the Machines page."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from xcstore.model.catalog import Catalog
from xcstore.model.definition import StateMachine
from xcstore.render.labels import count_text, markdown_escape, visible_text
from xcstore.store.base import StateCount
from xcstore.ui import state, widgets
from xcstore.views.machines import MachineView, Picked, element_id

__all__ = ["differences", "faults", "picker", "selected", "selection"]

MAX_LISTED = 100


def picker(seen: Sequence[StateCount], catalog: Catalog) -> tuple[str, str] | None:
    """Component and machine to show, kept in the address; None where there is none to pick."""
    limited = state.components()
    counts: dict[tuple[str, str], int] = {}
    for row in seen:
        name = (row.component_name, row.machine_name)
        counts[name] = counts.get(name, 0) + row.count
    for component in catalog.components:
        for machine in component.machines:
            counts.setdefault((component.name, machine.name), 0)
    options = [name for name in sorted(counts) if not limited or name[0] in limited]
    if not options:
        return None
    address = (state.text("machine_component"), state.text("machine"))
    named = [name for name in options if name[1] == address[1] and address[0] in ("", name[0] or state.NONE)]
    if address[1] and not named:
        state.notice(f"There is no machine {address[1]!r} in this store or the definitions; another one is shown.")
    busiest = max(options, key=lambda name: (counts[name], name))
    state.sync("machines-machine", address, named[0] if named else busiest)
    chosen: tuple[str, str] = st.selectbox(
        "Machine", options, key="machines-machine", format_func=lambda name: _option(name, counts[name])
    )
    if chosen[1] != address[1] and address[1]:
        state.put(state=None, arrow=None)  # what was clicked belongs to the other machine
    if named or chosen != busiest:  # what nobody chose is not written, so that the browser's way back stays one step
        state.put(machine_component=chosen[0] or state.NONE, machine=chosen[1])
    state.synced("machines-machine", (state.text("machine_component"), state.text("machine")))
    return chosen


def _option(name: tuple[str, str], instances: int) -> str:
    component, machine = (visible_text(part, 80) for part in name)
    return f"{component or state.NONE} · {machine} · {count_text(instances, 'instance')}"


def selected(view: MachineView) -> str | None:
    """What the address says was clicked, as the id of an element of the diagram."""
    return element_id(view.arrows, state=state.text("state"), key=state.texts("arrow"))


def selection(component: str, machine: str, clicked: Picked | None, view: MachineView) -> None:
    """What was clicked, with ways on; it stays until something else is clicked."""
    if clicked is not None:
        state.put(state=clicked.state, arrow=clicked.arrow.key if clicked.arrow else None)
        st.rerun()  # the diagram above shows what is selected
    name, key = state.text("state"), state.texts("arrow")
    arrow = next((arrow for arrow in view.arrows if arrow.key == key), None)
    row = next((row for known, row in zip(view.states, view.state_rows, strict=True) if known == name), None)
    where = component or state.NONE
    with st.container(border=True):
        if arrow is not None:
            st.markdown(f"**{markdown_escape(arrow.event, 80)}**")
            st.text(visible_text(f"{arrow.source} → {arrow.target}", 200))
            st.caption(f"observed {count_text(arrow.count, 'time')}")
            widgets.link(
                "events",
                "These events",
                component=where,
                machine=machine,
                type=arrow.event,
                state_before=arrow.source,
                state=arrow.target,
            )
        elif row is not None:
            st.markdown(f"**{markdown_escape(row['state'], 80)}**")
            with st.container(gap=None):
                for field in ("type", "instances now", "times entered", "median stay", "95 % under", "stays measured"):
                    st.text(f"{field}: {row[field]}")
            widgets.link("instances", "Instances in this state now", component=where, machine=machine, state=name)
            widgets.link("events", "Events that led here", component=where, machine=machine, state=name)
        else:
            st.caption("Click a state or an arrow in the diagram to see its numbers and go on from there.")


def faults(catalog: Catalog, machine: StateMachine | None) -> None:
    """What is wrong in the document that declares the machine; nothing where nothing is."""
    for component in catalog:
        if any(one is machine for one in component.machines):
            widgets.show_faults(component.faults, "Faults in the definition")


def differences(view: MachineView) -> None:
    """What is declared and was not observed, and the other way round."""
    for title, items in (
        ("Declared, never observed", view.never_reached),
        ("Observed, not declared", view.never_declared),
    ):
        if items:
            with st.expander(f"{title} ({len(items)})", expanded=len(items) <= 6):
                with st.container(gap="xsmall"):
                    for item in items[:MAX_LISTED]:
                        st.text(visible_text(item, 200))
                if len(items) > MAX_LISTED:
                    st.caption(f"shown {MAX_LISTED} of {len(items):,}; the tables have all of them")
