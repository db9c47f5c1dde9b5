"""The parts of the Causality page."""

from __future__ import annotations

from typing import Final, TypeVar

import streamlit as st

from xcstore.errors import NotFoundError
from xcstore.queries import causality as queries
from xcstore.queries.instances import newest
from xcstore.render.labels import markdown_escape, moment_text, short_id, visible_text
from xcstore.store.base import Direction
from xcstore.ui import loading, state, tables, widgets
from xcstore.views.causality import CausalityView, Grouping

Name = TypeVar("Name", bound=str)

__all__ = ["find", "heading", "options", "recent", "recentre", "selection", "trust"]

DIRECTIONS: Final[dict[Direction, str]] = {"both": "Causes and effects", "causes": "Causes", "effects": "Effects"}
GROUPINGS: Final[dict[Grouping, str]] = {"machine": "Machine", "component": "Component", "instance": "Instance"}
LIMITS: Final = (50, 200, 500, 2_000)


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


def find(event_id: str, direction: Direction, limit: int) -> queries.Neighbourhood | None:
    """The trace of the event; None, and said so, where the store does not hold it."""
    try:
        return loading.ask(queries.neighbourhood, event_id, direction=direction, max_events=limit)
    except NotFoundError:
        st.warning(
            f"No event {markdown_escape(repr(event_id), 300)} in this store; it may be in another store, or only be "
            "named as a cause here. Check the id, or search for it."
        )
        st.button("Other events", key="causality-other", type="tertiary", on_click=recentre, args=(None,))
        return None


def options() -> tuple[Direction, Grouping, int]:
    """Direction, what the boxes around events are, and how many events to load; kept in the address."""
    one, two, three = st.columns([3, 3, 2], vertical_alignment="bottom")
    with one:
        direction = _choice("Show", "causality-direction", "direction", DIRECTIONS)
    with two:
        group_by = _choice("Boxes by", "causality-group", "group", GROUPINGS)
    with three:
        wanted = state.text("limit")
        address = int(wanted) if wanted.isdecimal() and int(wanted) in LIMITS else LIMITS[1]
        state.sync("causality-limit", address, address)
        limit = st.selectbox("At most", LIMITS, key="causality-limit", format_func=lambda n: f"{n:,} events")
        state.put(limit=None if limit == LIMITS[1] else str(limit))
        state.synced("causality-limit", limit)
    return direction, group_by, limit


def _choice(label: str, key: str, param: str, names: dict[Name, str]) -> Name:
    """One of `names`, the first one unless the address says another."""
    first = next(iter(names))
    wanted = state.text(param)
    address = next((name for name in names if name == wanted), first)
    state.sync(key, address, address)
    chosen = st.segmented_control(label, list(names), key=key, format_func=lambda name: names[name], required=True)
    value = chosen if chosen in names else first
    state.put(**{param: None if value == first else value})
    state.synced(key, value)
    return value


def heading(view: CausalityView) -> None:
    """The event in the middle, and ways to it."""
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
            widgets.link("events", "Whole event", event=event.id)
            widgets.link(
                "instances", f"Instance {short_id(event.instance_id)}", instance=event.instance_id, event=event.id
            )


def trust(view: CausalityView) -> None:
    """How far the links can be believed."""
    if view.true_causes:
        st.caption("Links are causes as the runtime recorded them.")
    else:
        st.caption(
            "Links are causes as the runtime recorded them, and may be wrong: the TypeScript runtime names the "
            "previous transition of the same runtime as the cause, whatever it was, and none in another component."
        )
    for warning in view.warnings:
        st.text(f"▲ {warning}")


def selection(clicked: str | None, view: CausalityView) -> None:
    """A click on an event puts it in the middle; a missing one has nothing to show."""
    if clicked is None or clicked == view.root.id:
        return
    if clicked in view.event_ids:
        recentre(clicked)
        st.rerun()
    st.caption("That event is named as a cause, but it is not in this store.")


def recentre(event_id: str | None) -> None:
    """Make another event the one in the middle; None: pick one."""
    state.put(event=event_id)
