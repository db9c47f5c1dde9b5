"""The part of the Causality page that follows a business key instead of an event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import streamlit as st

from xcstore.analysis.causality import Mode
from xcstore.analysis.component_map import component_map
from xcstore.analysis.critical_path import critical_path
from xcstore.errors import QueryError
from xcstore.queries import correlation as queries
from xcstore.queries.causality import Neighbourhood
from xcstore.render.labels import markdown_escape, visible_text
from xcstore.render.timeline import draw_timeline
from xcstore.ui import component_map as map_ui
from xcstore.ui import critical_path as path_ui
from xcstore.ui import loading, spacetime, state, tables, viewer, widgets
from xcstore.views import component_map as map_views
from xcstore.views import correlation as views
from xcstore.views import critical_path as path_views

__all__ = ["ask", "find", "show"]

Picture = Literal["time", "spacetime", "map"]
PICTURES: Final[dict[Picture, str]] = {"time": "Over time", "spacetime": "Space-time", "map": "Map"}
MODES: Final[dict[Mode, str]] = {"repaired": "Repaired", "recorded": "As recorded", "both": "Both"}

_PATH = "causality-path"
_FOUND = "causality-path-found"
_NEAR = "causality-key-near"


def ask() -> None:
    """The lines to type a key, and where it stands in payloads, into; they go into the address."""
    left, right = st.columns([3, 2])
    before = (state.text("key"), state.text("path"))
    with left:
        key = widgets.line(
            "Everything that a business key touched",
            "causality-key",
            "key",
            placeholder="a value in payloads, written exactly: ORD-00123, a customer, an article",
        )
    with right:
        path = _path(key)
    if (key, path) != before:
        st.rerun()  # the page was built for what the address said before


def _path(key: str) -> str:
    """Where in payloads the key is looked for; '' anywhere. The places where it was last found can be chosen."""
    address = state.text("path")
    state.sync(_PATH, address, address or None)
    found_key, found = st.session_state.get(_FOUND, ("", ()))
    suggested: Sequence[str] = found if found_key == key else ()
    chosen = st.selectbox(
        "At this path in payloads",
        [*dict.fromkeys([*suggested, *([address] if address else [])])],
        key=_PATH,
        index=None,
        accept_new_options=True,
        format_func=lambda text: visible_text(text, 80),
        placeholder="anywhere, or such as orderId, order.id, items.0.sku",
        help="Surer where several things have the same number. Keys joined by dots, list positions as numbers; "
        "creations are looked at under initialContext too.",
    )
    path = (chosen or "").strip()[: state.MAX_CHARS]
    state.put(path=path)
    state.synced(_PATH, path)
    return path


def find(key: str) -> queries.Correlation | None:
    """What `key` touched, looked for where the address says; None, and said so, where that is masked."""
    path = views.path_from_text(state.text("path"))
    try:
        with st.spinner("Looking through the payloads …", show_time=True):
            found = loading.ask(queries.correlation, key, path)
    except QueryError as error:
        st.warning(f"{markdown_escape(str(error), 500)}.")
        return None
    places = tuple(views.path_text(place) for place, _ in found.paths)
    if places:
        known = st.session_state.get(_FOUND, ("", ()))
        st.session_state[_FOUND] = (key, (*dict.fromkeys([*(known[1] if known[0] == key else ()), *places]),))
    return found


def show(key: str) -> None:
    """All that `key` touched, across all components, in one picture."""
    place = st.container()
    found = find(key)
    with place:
        ask()
    if found is None:
        return
    view = views.build(
        found,
        loading.catalog().find_machine,
        now=loading.as_of(),
        zone=state.zone(),
        components=loading.component_names(),
    )
    if not view.instances:
        st.info(
            (
                "No payload holds exactly this value at that path."
                if found.path
                else "No payload holds exactly this value."
            )
            + " The search box above finds parts of values, and ids."
            + (f" {view.notes[0]}" if view.notes else "")
        )
        return
    st.subheader(f"Everything that {markdown_escape(key, 120)} touched", anchor=False)
    st.caption(f"{markdown_escape(view.summary)}  \n{markdown_escape(view.where)}")
    for note in view.notes:
        st.caption(note)
    # The Replay page looks for the key anywhere in payloads.
    label = "Replay all that mentions it, at any path" if found.path else "Replay all of it, step by step"
    widgets.link("replay", label, key=key)
    drawn, mode = _options()
    near = _near(found, mode)
    if near is None:
        return
    clicked = _picture(drawn, view, near)
    if clicked in view.event_ids:
        _open(clicked, view)
    names = {
        "instances": f"Instances ({len(view.instances):,})",
        "events": f"Events ({len(view.events):,})",
        "path": "Critical path",
    }
    panels = widgets.tabs(names, "causality-correlation-tabs")
    if panels["instances"].open:
        with panels["instances"]:
            tables.pick(
                view.instances,
                view.instance_ids,
                key="causality-correlation-instances",
                alt="Instances that this business key touched",
                on_pick=lambda instance_id: widgets.go("instances", instance=instance_id),
            )
            st.caption("Select a row to open the instance.")
    if panels["events"].open:
        with panels["events"]:
            tables.pick(
                view.events,
                view.event_ids,
                key="causality-correlation-events",
                alt="Events of these instances",
                on_pick=lambda event_id: state.put(event=event_id, key=None, path=None),
            )
            st.caption("Select a row to see its causes and effects.")
    if panels["path"].open:
        with panels["path"]:
            on_path = critical_path(near.graph, catalog=loading.catalog())
            path_ui.show(
                path_views.build(on_path, near.graph.events, zone=state.zone(), cut=found.cut),
                "causality-correlation-path",
                on_pick=lambda event_id: state.put(event=event_id, key=None, path=None),
            )


def _near(found: queries.Correlation, mode: Mode) -> Neighbourhood | None:
    """What was found with its links; kept for this session while nothing of it changes, as rules may ask a lot."""
    catalog = loading.catalog()
    key = (loading.store_name(), mode, tuple((component.name, component.hash) for component in catalog), found)
    kept: tuple[object, Neighbourhood | None] | None = st.session_state.get(_NEAR)
    if kept is None or kept[0] != key:
        kept = (key, loading.ask_now(queries.as_neighbourhood, found, mode=mode, catalog=catalog))
        st.session_state[_NEAR] = kept
    return kept[1]


def _options() -> tuple[Picture, Mode]:
    """Which picture, and where it is one of causes, whose word on them counts; both in the address."""
    mode: Mode = "repaired"
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        drawn = widgets.choice("Picture", "causality-key-picture", "view", PICTURES)
        if drawn != "time":
            mode = widgets.choice("Links", "causality-key-mode", "links", MODES)
    return drawn, mode


def _picture(drawn: Picture, view: views.CorrelationView, near: Neighbourhood) -> str | None:
    """The picture that was chosen; the event that was clicked in it."""
    if drawn == "map":
        found = component_map(near.graph, by="machine")
        map_ui.show(
            map_views.build(found, components=loading.component_names(), truncated=near.truncated),
            "causality-correlation-map",
        )
        return None
    if drawn == "spacetime":
        return spacetime.panel(
            near,
            key="causality-correlation-spacetime",
            label="What this business key touched, in space and time",
            drawn=spacetime.options("causality-correlation-spacetime"),
            components=loading.component_names(),
        )
    return viewer.show(
        draw_timeline(view.timeline, zone=state.zone()),
        key="causality-correlation",
        label="Instances and events that this business key touched, over time",
        fit="width",
    )


def _open(event_id: str, view: views.CorrelationView) -> None:
    row = view.events[view.event_ids.index(event_id)]
    widgets.go("instances", instance=str(row["Instance"]), event=event_id)
