"""The parts of the Compare page, and the link to it."""

from __future__ import annotations

from typing import Final

import streamlit as st

from xcstore.analysis.causality import Mode
from xcstore.analysis.comparing import Comparison, Step, compare_streams
from xcstore.analysis.comparing_traces import compare_traces
from xcstore.model.definition import StateMachine
from xcstore.model.history import PersistedEvent
from xcstore.queries import causality, keys
from xcstore.queries import comparing as queries
from xcstore.render.labels import count_text, duration_text, markdown_escape, moment_text, short_id, visible_text
from xcstore.render.timeline import Timeline, draw_timeline
from xcstore.store.base import InstanceSummary
from xcstore.ui import loading, state, tables, viewer, widgets
from xcstore.ui.causality import MAX_SECONDS, SHOWN
from xcstore.views import compare as views
from xcstore.views import compare_pictures as pictures
from xcstore.views.compare_pair import pair

__all__ = ["instances", "link_to_typical", "traces"]

MAX_TRACE: Final = 2_000
"""Most events of each trace that are compared."""
NAMES: Final = ("left", "right")
AXES: Final = "Each side has its own time axis and scale; the table has the durations side by side."
WIDTHS: Final = {
    "step": 42,
    "compared": 112,
    "machine": 130,
    "left": 217,
    "right": 217,
    "left after": 75,
    "right after": 78,
    "difference": 78,
}
"""Columns in px."""


def link_to_typical(label: str = "Compare with a typical one", *, instance: str = "", event: str = "") -> None:
    """A link that sets an instance, or the effects of an event, beside a typical one of its kind."""
    widgets.link(
        "compare",
        label,
        help="Where it first went another way than most, step by step",
        left=instance or event,
        what="traces" if event and not instance else None,
        typical="yes",
    )


def instances(left_id: str, right_id: str) -> None:
    """Two instances side by side."""
    left, right = (loading.ask(queries.beginning, name) for name in (left_id, right_id))
    catalog, until = loading.catalog(), loading.as_of()
    found = compare_streams(left.events, right.events)
    known = loading.ask(keys.business_keys, (left_id, right_id))
    told: list[views.Side] = []
    machines: list[StateMachine | None] = []
    timelines: list[Timeline] = []
    for name, side, cell in zip(NAMES, (left, right), st.columns(2, border=True), strict=True):
        item = side.summary
        machine = catalog.find_machine(item.component_name, item.machine_name)
        ended = catalog.is_terminal(item.component_name, item.machine_name, item.state)
        machines.append(machine)
        told.append(views.Side(name=name, total=item.event_count, ended=ended, until=until))
        label = f"{name}: {item.machine_name} {known.get(item.instance_id) or short_id(item.instance_id)}"
        timelines.append(
            pictures.instance_timeline(
                side.events, machine, name=label, now=None if ended or side.later else max(until, item.updated_at)
            )
        )
        with cell:
            _instance_head(name, item, known.get(item.instance_id, ""))
    _said(found, told, traces=False)
    selected = _selected(found)
    events = _events_of(found, selected)
    for number, (name, timeline) in enumerate(zip(NAMES, timelines, strict=True)):
        _timeline(timeline, name, events[number], found)
    st.caption(AXES)
    _rows(found, selected, traces=False)
    _pair(found, selected, machines, traces=False)


def traces(left_id: str, right_id: str) -> None:
    """The effects of two events side by side."""
    mode = widgets.choice("Links", "compare-mode", "links", SHOWN)
    with st.spinner("Following effects …", show_time=True):
        left, right = (_trace(name, mode) for name in (left_id, right_id))
    found = compare_traces(
        left.graph, left_id, right.graph, right_id, left_cut=left.truncated, right_cut=right.truncated
    )
    told: list[views.Side] = []
    for name, side, cell in zip(NAMES, (left, right), st.columns(2, border=True), strict=True):
        total = len(side.graph.events) + side.unread
        told.append(views.Side(name=name, total=total, at_least=side.truncated))
        with cell:
            _event_head(name, side.root, total - 1, at_least=side.truncated)
    if found.left == found.right == 1:
        st.info("Neither event caused anything, as far as these links tell. Choose events that others follow from.")
    _said(found, told, traces=True)
    selected = _selected(found)
    events = _events_of(found, selected)
    panels = widgets.tabs({"over": "Laid over each other", "time": "Over time"}, "compare-tabs")
    if panels["over"].open:
        with panels["over"]:
            merged = pictures.diagram(found, name=f"{short_id(left_id)} and {short_id(right_id)}")
            if merged is None:
                st.info(f"Not drawn: {count_text(len(found.rows), 'step')} are too many. See the table.")
            else:
                clicked = viewer.diagram(
                    merged, key="compare-diagram", label="Both traces, laid over each other", selected=str(selected)
                )
                _go_to(clicked, selected)
    if panels["time"].open:
        with panels["time"]:
            for number, name in enumerate(NAMES):
                _timeline(pictures.trace_timeline(found, name, name=name), name, events[number], found)
            st.caption(AXES)
    _rows(found, selected, traces=True)
    _pair(found, selected, [None, None], traces=True)


def _trace(event_id: str, mode: Mode) -> causality.Neighbourhood:
    return loading.ask(
        causality.neighbourhood,
        event_id,
        direction="effects",
        mode=mode,
        max_events=MAX_TRACE,
        max_seconds=MAX_SECONDS,
        catalog=loading.catalog(),
    )


def _said(found: Comparison, told: list[views.Side], *, traces: bool) -> None:
    st.subheader(markdown_escape(views.headline(found, *told, traces=traces)), anchor=False)
    st.caption(views.summary(found))
    for note in views.notes(found, *told, traces=traces):
        st.caption(markdown_escape(note))


def _instance_head(name: str, item: InstanceSummary, key: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{_signed(name)}** · {markdown_escape(item.machine_name, 80)} {markdown_escape(key, 40)}")
        widgets.link("instances", "Open it", instance=item.instance_id)
    st.caption(
        f"{markdown_escape(item.component_name, 80) or state.NONE} · now {markdown_escape(item.state, 80)} · "
        f"{count_text(item.event_count, 'event')} over {duration_text(item.updated_at - item.created_at)} · "
        f"from {moment_text(item.created_at, state.zone())}"
    )
    st.code(visible_text(item.instance_id), language=None)


def _event_head(name: str, event: PersistedEvent, effects: int, *, at_least: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**{_signed(name)}** · {markdown_escape(event.event_type, 60)}: "
            f"{markdown_escape(views.change_text(event), 130)}"
        )
        widgets.link("causality", "Its causality", event=event.id)
    st.caption(
        f"{markdown_escape(event.component_name, 80) or state.NONE} · {markdown_escape(event.machine_name, 80)} · "
        f"{'at least ' if at_least else ''}{count_text(effects, 'effect')} · "
        f"{moment_text(event.persisted_at, state.zone(), millis=True)}"
    )
    st.code(visible_text(event.id), language=None)


def _signed(name: str) -> str:
    return "◀ Left" if name == "left" else "Right ▶"


def _timeline(timeline: Timeline, name: str, selected: str | None, found: Comparison) -> None:
    clicked = viewer.show(
        draw_timeline(timeline, zone=state.zone(), selected=selected),
        key=f"compare-timeline-{name}",
        label=f"The {name} side over time",
        selected=selected,
        fit="width",
    )
    if clicked and clicked != selected:
        for number, row in enumerate(found.rows):
            step = row.left if name == "left" else row.right
            if step is not None and step.event.id == clicked:
                _go_to(str(number), -1)


def _go_to(number: str | None, selected: int) -> None:
    if number is not None and number != str(selected):
        state.put(at=number)
        st.rerun()


def _selected(found: Comparison) -> int:
    """The row that is shown in full: as the address says, else the first difference."""
    wanted = state.text("at")
    if wanted.isdecimal() and len(wanted) < 9 and int(wanted) < len(found.rows):
        return int(wanted)
    return found.first if found.first is not None else found.first_data or 0


def _events_of(found: Comparison, number: int) -> tuple[str | None, str | None]:
    row = found.rows[number]
    return row.left.event.id if row.left else None, row.right.event.id if row.right else None


def _rows(found: Comparison, selected: int, *, traces: bool) -> None:
    address = state.text("only") == "differences"
    state.sync("compare-only", address, address)
    with st.container(horizontal=True, vertical_alignment="center"):
        differing = st.toggle("Only what differs", key="compare-only", disabled=found.first is None)
        state.put(only="differences" if differing else None)
        state.synced("compare-only", differing)
        if found.first is not None and selected != found.first:
            st.button("To the first difference", key="compare-first", on_click=state.put, kwargs={"at": None})
    page = views.page_of(found, selected, differing=differing)
    _, _, pages = views.rows(found, differing=differing)
    page = min(page, pages)
    if pages > 1:
        page = st.pagination(pages, default=page, key=f"compare-page-{selected}-{differing}")
    shown, ids, _ = views.rows(found, traces=traces, differing=differing, page=page)
    if not shown:
        st.caption("Every step is the same on both sides.")
        return
    tables.pick(
        shown,
        ids,
        key="compare-rows",
        alt="Steps of both sides",
        on_pick=lambda number: state.put(at=number),
        selected=str(selected),
        height=tables.tall(min(len(shown), 14)),
        widths={**WIDTHS, "left": 200, "right": 200} if traces else WIDTHS,
    )
    more = f"shown {len(shown):,} of {len(found.rows):,} rows. " if len(shown) < len(found.rows) else ""
    st.caption(
        f"{more}“After” is the time since {'its cause' if traces else 'the step before'}, “difference” how much longer "
        "right took. Select a row to see both events in full."
    )


def _pair(found: Comparison, number: int, machines: list[StateMachine | None], *, traces: bool) -> None:
    shown = pair(found, number, *machines, traces=traces)
    st.markdown(f"**{markdown_escape(shown.heading)}**")
    for name, step, cell in zip(NAMES, (shown.left, shown.right), st.columns(2, border=True), strict=True):
        with cell:
            _step(name, step, shown.missing, traces=traces)
    if shown.left is None or shown.right is None:
        return
    if shown.events:
        tables.show(shown.events, key="compare-differences", alt="What differs between the two events")
    else:
        st.caption("The two events are the same, but for their ids and times.")
    if shown.values:
        st.caption("What the instances held after it, where that differs:")
        tables.show(shown.values, key="compare-values", alt="What differs in the values after it")
    if shown.shown:
        st.caption(shown.shown)


def _step(name: str, step: Step | None, missing: str, *, traces: bool) -> None:
    if step is None:
        st.markdown(f"**{_signed(name)}** · {missing}")
        return
    event = step.event
    st.markdown(
        f"**{_signed(name)}** · {markdown_escape(event.event_type, 60)}: "
        f"{markdown_escape(views.change_text(event), 130)}"
    )
    st.caption(
        f"{moment_text(event.persisted_at, state.zone(), millis=True)} · "
        + (
            f"{duration_text(step.after_ms)} after {'its cause' if traces else 'the step before'} · "
            if step.after_ms is not None
            else ""
        )
        + f"{duration_text(step.offset_ms)} after the {'root' if traces else 'beginning'}"
    )
    with st.container(horizontal=True):
        widgets.link("causality", "Causes and effects", event=event.id)
        widgets.link("events", "Whole event", event=event.id)
        widgets.link("instances", "Its instance, at this event", instance=event.instance_id, event=event.id)
