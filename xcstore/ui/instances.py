"""The parts of the Instances page that show one instance."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import streamlit as st

from xcstore.analysis.context import parse_path
from xcstore.errors import NotFoundError, QueryError
from xcstore.queries import instances as queries
from xcstore.queries.machines import stays_of
from xcstore.render.labels import markdown_escape, short_id, visible_text
from xcstore.render.timeline import draw_timeline
from xcstore.ui import compare, lineage, loading, state, tables, viewer, why_waiting, widgets
from xcstore.ui.instance_list import open_instance
from xcstore.views import instance_events, instance_list, machines
from xcstore.views import instances as views

__all__ = ["show_one"]

PANELS: Final = {
    "moves": "What would move it on",
    "events": "Events",
    "field": "Who set a field",
    "snapshots": "Snapshots",
    "children": "Instances it created",
}


def show_one(instance_id: str) -> None:
    """Everything about one instance."""
    limit = _limit()
    try:
        found = loading.ask(queries.instance_history, instance_id, max_events=limit)
    except NotFoundError as error:
        st.warning(markdown_escape(str(error), 1_000))
        st.button("← All instances", key="instances-all", type="tertiary", on_click=open_instance, args=(None,))
        return
    summary = found.summary
    catalog = loading.catalog()
    machine = catalog.find_machine(summary.component_name, summary.machine_name)
    # Only an instance that goes on is compared with how others of its machine went on.
    ended = catalog.is_terminal(summary.component_name, summary.machine_name, summary.state)
    kind = (summary.component_name, summary.machine_name)
    leaving = () if ended else loading.ask(queries.leaving, *kind, summary.state)
    stays = None if ended else loading.ask(stays_of, *kind)
    zone, now = state.zone(), loading.now()
    view = views.build(
        found,
        leaving,
        machine,
        components=catalog.components,
        stays=stays,
        as_of=loading.as_of(),
        now=now,
        zone=zone,
    )
    _header(view)
    if not view.ended:
        why_waiting.show(instance_id)
    widgets.show_faults(view.faults)
    if view.older:
        _older(view, limit)
    selected = state.text("event") or summary.last_event_id
    _pictures(view, selected)
    _details(view, selected)


def _select(event_id: str) -> None:
    state.put(event=event_id)


def _limit() -> int:
    wanted = state.text("events")
    return max(queries.MAX_EVENTS, min(int(wanted), 100_000)) if wanted.isdecimal() else queries.MAX_EVENTS


def _older(view: views.InstanceView, limit: int) -> None:
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.info(f"{view.shown}. Values and stays before them are not known here.")
    right.button(
        "Load older",
        key="instances-load-older",
        on_click=lambda: state.put(events=str(limit + queries.MAX_EVENTS)),
        width="stretch",
    )


def _header(view: views.InstanceView) -> None:
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        st.button("← All instances", key="instances-all", type="tertiary", on_click=open_instance, args=(None,))
        key = f"{markdown_escape(view.key, 40)} · " if view.key else ""
        st.subheader(f"{key}{markdown_escape(view.title)}", anchor=False)
        st.text(f"{view.status} · since {view.since}\n{view.status_why}")
    with right:
        with st.container(horizontal=True):
            widgets.link("machines", f"Machine {view.machine}", machine=view.machine, machine_component=view.component)
            widgets.link("events", "Its events", instance=view.instance_id)
            compare.link_to_typical(instance=view.instance_id)
            if view.key:
                widgets.link("causality", f"Everything that {view.key} touched", key=view.key)
            if view.parent:
                name = f"{view.parent.machine_name} {short_id(view.parent.instance_id)}"
                widgets.link("instances", f"Created by {name}", instance=view.parent.instance_id)
        st.code(visible_text(view.instance_id), language=None)
    if view.normal:
        st.text(view.normal)
    cells = st.columns(len(view.facts))
    for cell, (name, value) in zip(cells, view.facts.items(), strict=True):
        with cell.container(gap=None):
            st.caption(name)
            st.text(value)


def _pictures(view: views.InstanceView, selected: str) -> None:
    clicked = viewer.show(
        draw_timeline(view.timeline, zone=state.zone(), selected=selected),
        key="instances-timeline",
        label="States of this instance over time",
        selected=selected,
        fit="width",
    )
    if view.timeline_note:
        st.caption(view.timeline_note)
    if clicked and clicked != selected:
        _select(clicked)
        st.rerun()
    left, right = st.columns([3, 2])
    with left:
        pressed = viewer.diagram(
            view.diagram,
            key="instances-diagram",
            label="States and the path that was taken",
            selected=view.element_of(selected),
            height=520,
        )
        target = machines.picked(pressed, view.arrows)
        if target is not None:
            event_id = view.last_event(state=target.state, key=target.arrow.key if target.arrow else None)
            if event_id is None:
                st.caption("This instance was never there.")
            elif event_id != selected:
                _select(event_id)
                st.rerun()
    with right:
        _event(view, selected)


def _event(view: views.InstanceView, selected: str) -> None:
    shown = instance_events.event_view(view, selected, zone=state.zone())
    if shown is None:
        st.info(f"Event {markdown_escape(selected, 80)} is not among the loaded events of this instance.")
        return
    st.markdown(f"**{markdown_escape(shown.heading, 200)}**")
    st.caption(shown.position)
    with st.container(horizontal=True):
        st.button(
            "Previous", key="instances-previous", disabled=not shown.previous_id, on_click=_select,
            args=(shown.previous_id or "",), shortcut="Left",
        )  # fmt: skip
        st.button(
            "Next", key="instances-next", disabled=not shown.next_id, on_click=_select,
            args=(shown.next_id or "",), shortcut="Right",
        )  # fmt: skip
        widgets.link("replay", "Replay", instance=view.instance_id, event=shown.event.id)
        widgets.link("causality", "Causes and effects", event=shown.event.id)
        widgets.link("events", "Whole event", event=shown.event.id)
    names = {"changes": f"Changes ({len(shown.changes)})", "values": "Values after", "payload": "Payload"}
    panels = widgets.tabs(names, "instances-step", param="event_tab")
    if panels["changes"].open:
        with panels["changes"]:
            _changes(shown)
    if panels["values"].open:
        with panels["values"]:
            st.code(shown.values, language="json", height=300)
            if shown.disagreement:
                st.caption("Where the recorded values (after) differ from what the payload folds to (before):")
                tables.show(shown.disagreement, key="instances-disagreement", alt="Recorded against folded values")
    if panels["payload"].open:
        panels["payload"].code(shown.payload, language="json", height=300)
    st.caption(markdown_escape("; ".join((shown.source, *shown.notes)), 1_000))


def _changes(shown: instance_events.EventView) -> None:
    if not shown.changes:
        st.caption("This event changed no field.")
        return
    tables.pick(
        shown.changes,
        shown.changed_paths,
        key="instances-changes",
        alt="Fields this event changed",
        on_pick=lambda path: state.put(field=path, tab="field"),
        selected=state.text("field"),
    )
    st.caption("Select a field to see every event that set it.")


def _details(view: views.InstanceView, selected: str) -> None:
    st.caption(markdown_escape(view.values_note, 500))
    first = "field" if state.text("field") else "events" if view.ended else "moves"
    panels = widgets.tabs(PANELS, "instances-panel", first=first)
    draw: tuple[Callable[[], None], ...] = (
        partial(_moves, view),
        partial(_events, view, selected),
        partial(_field, view, selected),
        partial(_snapshots, view),
        partial(_children, view),
    )
    for panel, content in zip(panels.values(), draw, strict=True):
        if panel.open:
            with panel:
                content()


def _moves(view: views.InstanceView) -> None:
    st.caption(view.moves_note)
    if view.ended:
        return
    tables.show(
        view.moves,
        key="instances-moves",
        alt="What would move this instance on",
        empty="Nothing leads out of this state, neither declared nor observed.",
    )
    _in_motion(view)


def _snapshots(view: views.InstanceView) -> None:
    tables.show(view.snapshots, key="instances-snapshots", alt="Snapshots", empty="No snapshot of it is stored.")
    if view.snapshot_differences:
        st.caption("Values by the events (before) against those in the latest snapshot (after):")
        tables.show(view.snapshot_differences, key="instances-differences", alt="Snapshot against events")


def _in_motion(view: views.InstanceView) -> None:
    """Where the work is that this state waits for, as far as recorded links lead there."""
    stay = view.history.current
    if stay is None:
        return
    found = loading.ask(queries.set_in_motion, view.instance_id, stay.entered_by)
    if not found:
        return
    st.caption(
        "Instances that entering this state set in motion, by recorded links"
        + ("" if view.true_causes else ", which may be wrong here")
        + ". Select a row to open one."
    )
    find_machine = loading.catalog().find_machine
    rows, ids = instance_list.motion_rows(found, find_machine, now=loading.now(), zone=state.zone())
    tables.pick(rows, ids, key="instances-motion", alt="Instances set in motion", on_pick=open_instance)


def _events(view: views.InstanceView, selected: str) -> None:
    pages = max(1, -(-len(view.steps) // instance_events.WINDOW))
    number = instance_events.page_of(view, selected)
    if pages > 1:
        number = st.pagination(pages, default=number, key=f"instances-page-{selected}")
    rows, ids = instance_events.event_rows(view, zone=state.zone(), selected=selected, page=number)
    tables.pick(rows, ids, key="instances-events", alt="Events, newest first", on_pick=_select, selected=selected)
    if pages > 1:
        st.caption(f"{len(rows):,} of {len(view.steps):,} loaded events, newest first")


def _field(view: views.InstanceView, selected: str) -> None:
    if not view.paths:
        st.caption("This instance never held a field.")
        return
    wanted = state.text("field")
    options = list(view.paths) if not wanted or wanted in view.paths else [wanted, *view.paths]
    state.sync("instances-field", wanted, wanted or None)
    chosen = st.selectbox(
        "Field", options, index=None, key="instances-field", placeholder="Pick a field",
        format_func=lambda p: visible_text(p, 200),
    )  # fmt: skip
    # Without a field this panel stays open all the same.
    state.put(field=chosen, **({} if chosen or not wanted else {"tab": "field"}))
    state.synced("instances-field", chosen or "")
    if not chosen:
        return
    try:
        sets = instance_events.field_sets(view, parse_path(chosen))
    except QueryError as error:
        st.warning(markdown_escape(str(error), 500))
        return
    rows, ids = instance_events.field_rows(sets, zone=state.zone())
    if not rows:
        st.caption("No loaded event set this field.")
        return
    shown = (
        f"The newest {len(rows):,} of {len(sets):,} events that set it"
        if len(rows) < len(sets)
        else "Every event that set it"
    )
    if view.older:
        shown += f", among the loaded {len(view.steps):,} events"
    st.caption(f"{shown}, newest first. Select a row to see that event above, and below where its value came from.")
    tables.pick(rows, ids, key="instances-sets", alt=f"Events that set {chosen}", on_pick=_select, selected=selected)
    lineage.show(selected if selected in ids else ids[0], parse_path(chosen))


def _children(view: views.InstanceView) -> None:
    found = loading.ask(queries.children, view.instance_id, view.steps[0].event.persisted_at)
    if not found.events:
        st.caption("No creation names this instance as its parent.")
        return
    for event in found.events:
        widgets.link("instances", f"{event.machine_name} {short_id(event.instance_id)}", instance=event.instance_id)
    if found.more:
        st.caption(f"shown the first {len(found.events)}; there are more")
