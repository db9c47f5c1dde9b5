"""The parts of the Instances page: the list, and one instance."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from xcstore.analysis.context import parse_path
from xcstore.errors import NotFoundError, QueryError
from xcstore.queries import instances as queries
from xcstore.queries import overview
from xcstore.queries.causality import records_true_causes
from xcstore.queries.machines import stays_of
from xcstore.render.labels import markdown_escape, short_id, visible_text
from xcstore.render.timeline import draw_timeline
from xcstore.store.base import InstanceQuery
from xcstore.ui import loading, paging, state, tables, viewer, widgets
from xcstore.units import EpochMs
from xcstore.views import instances as views
from xcstore.views import machines
from xcstore.views.events import moment_in, written_moment

__all__ = ["show_list", "show_one"]

PAGE_SIZE = 100
MOVES, EVENTS, FIELD, SNAPSHOTS, CHILDREN = (
    "What would move it on",
    "Events",
    "Who set a field",
    "Snapshots",
    "Instances it created",
)
_TABS = "instances-panel"
STATUS_HELP = "Told by the state: as the definition types it, else by whether instances were seen to leave it."


def show_list() -> None:
    """Filters, counts, and a page of instances; a row opens it."""
    find_machine = loading.catalog().find_machine
    everything = loading.ask(queries.instance_counts, InstanceQuery(components=state.components()))
    if not everything:
        if loading.ask(queries.newest) is None:
            widgets.empty_store()
        else:
            st.info("No instance belongs to the components that are chosen in the sidebar.")
        return
    known = all(find_machine(count.component_name, count.machine_name) for count in everything)
    # Only where a definition is missing does it matter which states were seen to be left.
    left = frozenset() if known else views.left_states(loading.ask(overview.flows, state.components()))
    query, only = _filters(views.filter_options(everything, find_machine, left))
    counts = loading.ask(queries.instance_counts, query)
    place = paging.current("instances-page", (loading.store_name(), query, only))
    page = loading.ask(queries.instance_page, query, only=only, after=place.after, limit=PAGE_SIZE)
    view = views.build_list(
        page, counts, find_machine, left=left, only=only, before=place.before, now=loading.now(), zone=state.zone()
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(view.summary)
        paging.buttons("instances-page", place, len(view.rows), page.next, newer="Newer", older="Older")
    if not view.rows:
        st.info("No instance fits these filters.")
        return
    tables.pick(view.rows, view.ids, key="instances-list", alt="Instances, latest first", on_pick=_open, height=36 * 18)


def show_one(instance_id: str) -> None:
    """Everything about one instance."""
    limit = _limit()
    try:
        found = loading.ask(queries.instance_history, instance_id, max_events=limit)
    except NotFoundError as error:
        st.warning(markdown_escape(str(error), 1_000))
        st.button("← All instances", key="instances-all", type="tertiary", on_click=_open, args=(None,))
        return
    summary = found.summary
    catalog = loading.catalog()
    machine = catalog.find_machine(summary.component_name, summary.machine_name)
    leaving = loading.ask(queries.leaving, summary.component_name, summary.machine_name, summary.state)
    zone, now = state.zone(), loading.now()
    stays = loading.ask(stays_of, summary.component_name, summary.machine_name)
    as_of = loading.ask(queries.newest)
    view = views.build(
        found,
        leaving,
        machine,
        components=catalog.components,
        stays=stays,
        as_of=None if as_of is None else min(now, as_of),
        now=now,
        zone=zone,
    )
    _header(view)
    widgets.show_faults(view.faults)
    if view.older:
        _older(view, limit)
    selected = state.text("event") or summary.last_event_id
    _pictures(view, selected)
    _details(view, selected)


def _filters(options: views.FilterOptions) -> tuple[InstanceQuery, tuple[tuple[str, str, str], ...] | None]:
    """What to ask for, and what to keep of it."""
    one, two, three, four = st.columns(4)
    with one:
        machines_chosen = widgets.choices("Machine", "instances-machine", "machine", options.machines)
    with two:
        states_chosen = widgets.choices("State now", "instances-state", "state", options.states)
    with three:
        statuses = widgets.choices("Status", "instances-status", "status", options.statuses, help=STATUS_HELP)
    with four:
        prefix = widgets.line(
            "Id starts with", "instances-prefix", "prefix", help="To find a business key, use the search box above."
        )
    five, six, _ = st.columns([1, 1, 2])
    with five:
        start = _moment("Last event from", "instances-from", "from")
    with six:
        end = _moment("Last event until", "instances-to", "to")
    only = options.with_status(statuses, machines_chosen, states_chosen)
    query = InstanceQuery(
        components=state.components(),
        machines=machines_chosen,
        # The states of the statuses asked for: the database then leaves out most of what is not kept.
        states=tuple(dict.fromkeys(key[2] for key in only)) if only else states_chosen,
        id_prefix=prefix,
        updated_from=start,
        updated_to=end,
    )
    return query, only


def _moment(label: str, key: str, param: str) -> EpochMs | None:
    zone, address = state.zone(), state.moment(param)
    written = written_moment(address, zone)
    state.sync(key, (address, str(zone)), written)
    typed = (st.text_input(label, key=key, placeholder="any time, or 2026-01-31 12:00") or "").strip()
    found = address if typed == written else moment_in(typed, zone)
    if typed and found is None:
        st.warning("Not a time that can be read; it was ignored.")
    state.put(**{param: state.to_text(found)})
    state.synced(key, (found, str(zone)))
    return found


def _open(instance_id: str | None) -> None:
    st.session_state.pop(_TABS, None)
    state.put(instance=instance_id, event=None, field=None, events=None)


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
        st.button("← All instances", key="instances-all", type="tertiary", on_click=_open, args=(None,))
        st.subheader(markdown_escape(view.title), anchor=False)
        st.text(f"{view.status} · since {view.since}\n{view.status_why}")
    with right:
        with st.container(horizontal=True):
            widgets.link("machines", f"Machine {view.machine}", machine=view.machine, machine_component=view.component)
            widgets.link("events", "Its events", instance=view.instance_id)
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
            view.diagram, key="instances-diagram", label="States and the path that was taken", height=520
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
    shown = views.event_view(view, selected, zone=state.zone())
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
        widgets.link("causality", "Causes and effects", event=shown.event.id)
        widgets.link("events", "Whole event", event=shown.event.id)
    changes, values, payload = st.tabs([f"Changes ({len(shown.changes)})", "Values after", "Payload"])
    with changes:
        if shown.changes:
            tables.pick(
                shown.changes,
                shown.changed_paths,
                key="instances-changes",
                alt="Fields this event changed",
                on_pick=_follow,
            )
            st.caption("Select a field to see every event that set it.")
        else:
            st.caption("This event changed no field.")
    with values:
        st.code(shown.values, language="json", height=300)
        if shown.disagreement:
            st.caption("Where the recorded values (after) differ from what the payload folds to (before):")
            tables.show(shown.disagreement, key="instances-disagreement", alt="Recorded against folded values")
    payload.code(shown.payload, language="json", height=300)
    st.caption(markdown_escape("; ".join((shown.source, *shown.notes)), 1_000))


def _follow(path: str) -> None:
    st.session_state[_TABS] = FIELD
    state.put(field=path)


def _details(view: views.InstanceView, selected: str) -> None:
    st.caption(markdown_escape(view.values_note, 500))
    first = FIELD if state.text("field") else EVENTS if view.ended else MOVES
    # The value is kept through reruns, so that a field picked elsewhere on the page can open its panel.
    st.session_state.setdefault(_TABS, first)
    panels = st.tabs([MOVES, EVENTS, FIELD, SNAPSHOTS, CHILDREN], key=_TABS, on_change="rerun")
    draw: tuple[Callable[[], None], ...] = (
        partial(_moves, view),
        partial(_events, view, selected),
        partial(_field, view, selected),
        partial(_snapshots, view),
        partial(_children, view),
    )
    for panel, content in zip(panels, draw, strict=True):
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
        + ("" if records_true_causes(loading.stores().events.layout) else ", which may be wrong in this store")
        + ". Select a row to open one."
    )
    find_machine = loading.catalog().find_machine
    rows, ids = views.motion_rows(found, find_machine, now=loading.now(), zone=state.zone())
    tables.pick(rows, ids, key="instances-motion", alt="Instances set in motion", on_pick=_open)


def _events(view: views.InstanceView, selected: str) -> None:
    pages = max(1, -(-len(view.steps) // views.WINDOW))
    number = views.page_of(view, selected)
    if pages > 1:
        number = st.pagination(pages, default=number, key=f"instances-page-{selected}")
    rows, ids = views.event_rows(view, zone=state.zone(), selected=selected, page=number)
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
        "Field", options, key="instances-field", placeholder="Pick a field", format_func=lambda p: visible_text(p, 200)
    )
    state.put(field=chosen)
    state.synced("instances-field", chosen or "")
    if not chosen:
        return
    try:
        sets = views.field_sets(view, parse_path(chosen))
    except QueryError as error:
        st.warning(markdown_escape(str(error), 500))
        return
    rows, ids = views.field_rows(sets, zone=state.zone())
    if not rows:
        st.caption("No loaded event set this field.")
        return
    st.caption("Every event that set it, newest first. Select a row to see that event above.")
    tables.pick(rows, ids, key="instances-sets", alt=f"Events that set {chosen}", on_pick=_select, selected=selected)


def _children(view: views.InstanceView) -> None:
    found = loading.ask(queries.children, view.instance_id, view.steps[0].event.persisted_at)
    if not found.events:
        st.caption("No creation names this instance as its parent.")
        return
    for event in found.events:
        widgets.link("instances", f"{event.machine_name} {short_id(event.instance_id)}", instance=event.instance_id)
    if found.more:
        st.caption(f"shown the first {len(found.events)}; there are more")
