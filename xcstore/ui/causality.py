"""The parts of the Causality page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import streamlit as st

from xcstore.analysis.causality import Mode
from xcstore.analysis.component_map import component_map
from xcstore.analysis.critical_path import critical_path
from xcstore.errors import NotFoundError
from xcstore.queries import causality as queries
from xcstore.queries.critical_path import with_streams
from xcstore.queries.instances import newest
from xcstore.render.labels import count_text, markdown_escape, moment_text, short_id, visible_text
from xcstore.store.base import Direction
from xcstore.ui import component_map as map_ui
from xcstore.ui import critical_path as path_ui
from xcstore.ui import loading, spacetime, state, tables, viewer, widgets
from xcstore.views import causality as views
from xcstore.views import component_map as map_views
from xcstore.views import critical_path as path_views
from xcstore.views.causality import CausalityView, Grouping

__all__ = ["Options", "details", "find", "heading", "options", "picture", "recent", "recentre"]

DIRECTIONS: Final[dict[Direction, str]] = {"both": "Both ways", "causes": "Causes", "effects": "Effects"}
GROUPINGS: Final[dict[Grouping, str]] = {"machine": "Machine", "component": "Component", "instance": "Instance"}
PLACES: Final[dict[Grouping, str]] = {"component": "Components", "machine": "Machines"}
SHOWN: Final[dict[Mode, str]] = {"repaired": "Repaired", "recorded": "As recorded", "both": "Both"}
LIMITS: Final = (50, 200, 500, 2_000, 20_000)
DEPTHS: Final = (0, 1, 2, 3, 5, 10, 20, 50)
"""Steps from the event; 0 for any number."""
MAX_SECONDS: Final = 8.0
"""How long the rules that infer links may go on."""

Picture = Literal["spacetime", "graph", "map"]
PICTURES: Final[dict[Picture, str]] = {"spacetime": "Space-time", "graph": "Graph", "map": "Map"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to ask for, and how to draw it; all of it is in the address."""

    direction: Direction
    mode: Mode
    limit: int
    depth: int | None
    picture: Picture
    group_by: Grouping


def recent() -> None:
    """The newest events, to pick one from."""
    events = loading.ask(queries.recent_events, state.components())
    if not events:
        if loading.ask(newest) is None:
            widgets.empty_store(loading.stores().identity)
        else:
            st.info("No event belongs to the components that are chosen in the sidebar.")
        return
    st.caption("Select an event to see its causes and effects, or find one by id or business key above.")
    rows = [
        {
            "stored at": moment_text(event.persisted_at, state.zone(), millis=True),
            "component": visible_text(event.component_name, 80) or state.NONE,
            "machine": visible_text(event.machine_name, 80),
            "event": visible_text(event.event_type, 80),
            "from": visible_text(event.state_before, 80),
            "to": visible_text(event.state_after, 80),
            "causes named": len(event.caused_by),
            "instance": visible_text(event.instance_id, 80),
            "event id": visible_text(event.id, 80),
        }
        for event in events
    ]
    ids = [event.id for event in events]
    tables.pick(rows, ids, key="causality-recent", alt="Newest events", on_pick=recentre)
    st.caption(f"the newest {len(events)}")


def find(event_id: str, wanted: Options) -> queries.Neighbourhood | None:
    """The event and its surroundings; None, and said so, where the store does not hold it."""
    try:
        with st.spinner("Following causes and effects …", show_time=True):
            return loading.ask(
                queries.neighbourhood,
                event_id,
                direction=wanted.direction,
                mode=wanted.mode,
                max_events=wanted.limit,
                max_depth=wanted.depth,
                max_seconds=MAX_SECONDS,
                catalog=loading.catalog(),
            )
    except NotFoundError:
        st.warning(
            f"No event {markdown_escape(repr(event_id), 300)} in this store; it may be in another store, or only be "
            "named as a cause here. Check the id, or search for it."
        )
        st.button("Other events", key="causality-other", type="tertiary", on_click=recentre, args=(None,))
        return None


def options() -> Options:
    """The widgets above the picture."""
    group_by: Grouping = "machine"
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        picture = widgets.choice("Picture", "causality-picture", "view", PICTURES)
        direction = widgets.choice("Show", "causality-direction", "direction", DIRECTIONS)
        mode = widgets.choice("Links", "causality-mode", "links", SHOWN, help=_MODES_HELP)
        if picture == "graph":
            group_by = widgets.choice("Boxes by", "causality-group", "group", GROUPINGS)
        elif picture == "map":
            group_by = widgets.choice("Places", "causality-places", "group", PLACES)
        with st.popover("Limits", width="content"):
            limit = _number("Events, at most", "limit", LIMITS, LIMITS[1])
            depth = _number("Steps, at most", "depth", DEPTHS, 0)
    return Options(
        direction=direction,
        mode=mode,
        limit=limit,
        depth=depth or None,
        picture=picture,
        group_by=group_by,
    )


def _number(label: str, param: str, numbers: tuple[int, ...], usual: int) -> int:
    """One of `numbers`, the usual one unless the address says another."""
    wanted = state.text(param)
    address = int(wanted) if wanted.isdecimal() and int(wanted) in numbers else usual
    key = f"causality-{param}"
    state.sync(key, address, address)
    chosen = st.selectbox(label, numbers, key=key, format_func=lambda number: f"{number:,}" if number else "any")
    state.put(**{param: None if chosen == usual else str(chosen)})
    state.synced(key, chosen)
    return chosen


_MODES_HELP: Final = (
    "Repaired: causes as recorded, but what cannot be right gives way to what rules infer from the definitions and "
    "payloads. As recorded: nothing else. Both: everything, each with who says so."
)


def heading(view: CausalityView) -> None:
    """The event in the middle, ways to it, and what is to be known of the links."""
    event = view.root
    left, right = st.columns([3, 2], vertical_alignment="top")
    with left:
        st.subheader(markdown_escape(view.heading, 200), anchor=False)
        st.text(
            visible_text(
                f"{event.component_name or state.NONE} · {event.machine_name} · "
                f"{moment_text(event.persisted_at, state.zone(), millis=True)}",
                300,
            )
        )
    with right:
        st.code(visible_text(event.id), language=None)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button("Other events", key="causality-other", type="tertiary", on_click=recentre, args=(None,))
            widgets.link("replay", "Replay this trace", trace=event.id, event=event.id)
            widgets.link("events", "Whole event", event=event.id)
            widgets.link(
                "instances", f"Instance {short_id(event.instance_id)}", instance=event.instance_id, event=event.id
            )
    st.caption(f"{markdown_escape(view.summary, 1_000)}  \n{markdown_escape(view.trust, 1_000)}")
    if view.shown:
        st.info(f"{view.shown[0].upper()}{view.shown[1:]}.")
    for warning in view.warnings:
        st.text(f"▲ {warning}")


def picture(found: queries.Neighbourhood, wanted: Options) -> None:
    """The picture that was chosen. A click on an event puts it in the middle."""
    names = loading.component_names()
    if wanted.picture == "map":
        places = component_map(found.graph, by="machine" if wanted.group_by == "machine" else "component")
        map_ui.show(map_views.build(places, components=names, truncated=found.truncated), key="causality-map")
        return
    if wanted.picture == "graph":
        drawn = views.diagram(found, zone=state.zone(), group_by=wanted.group_by, components=names)
        clicked = viewer.diagram(
            drawn, key="causality-diagram", label="Causes and effects", selected=found.root_id, dot=True
        )
    else:
        clicked = spacetime.panel(
            found,
            key="causality-spacetime",
            label="Causes and effects in space and time",
            drawn=spacetime.options("causality-spacetime"),
            components=names,
            selected=found.root_id,
        )
    if clicked is None or clicked == found.root_id:
        return
    if clicked in found.graph.events:
        recentre(clicked)
        st.rerun()
    st.caption("That event is named as a cause, but it is not in this store.")


def details(found: queries.Neighbourhood, view: CausalityView) -> None:
    """The same as tables, and where the time went."""
    panels = widgets.tabs({"events": "Events", "links": "Links", "path": "Critical path"}, "causality-tabs")
    if panels["events"].open:
        with panels["events"]:
            tables.pick(
                view.events,
                view.event_ids,
                key="causality-events",
                alt="Causes and effects",
                on_pick=recentre,
                selected=found.root_id,
            )
            st.caption(
                f"{_part(view.events, view.event_count, 'event')}. Select a row to put that event in the middle."
            )
    if panels["links"].open:
        with panels["links"]:
            if view.links:
                tables.pick(view.links, view.link_events, key="causality-links", alt="Causal links", on_pick=recentre)
                st.caption(
                    f"{_part(view.links, view.link_count, 'link')}. Select a row to put its effect in the middle."
                )
            else:
                st.caption("No cause and no effect of this event is known.")
    if panels["path"].open:
        with panels["path"]:
            _critical_path(found)


def _critical_path(found: queries.Neighbourhood) -> None:
    catalog = loading.catalog()
    waited = loading.ask_now(with_streams, found, catalog=catalog)
    path = critical_path(waited.graph, target_id=waited.target_id, catalog=catalog)
    path_ui.show(path_views.build(path, waited.graph.events, zone=state.zone(), cut=waited.cut), key="causality-path")


def _part(rows: Sequence[object], count: int, noun: str) -> str:
    total = count_text(count, noun)
    return total if len(rows) == count else f"shown {len(rows):,} of {total}"


def recentre(event_id: str | None) -> None:
    """Make another event the one in the middle; None: pick one."""
    state.put(event=event_id)
