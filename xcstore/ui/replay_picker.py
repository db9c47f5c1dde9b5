"""Ways to choose what the Replay page replays."""

from __future__ import annotations

from typing import Final

import streamlit as st

from xcstore.demo.simulation import LOST_ORDER
from xcstore.model.history import CREATION
from xcstore.queries import causality, overview
from xcstore.queries.instances import instance_page, newest
from xcstore.render.labels import count_text, moment_text, visible_text
from xcstore.store.base import EventQuery, InstanceQuery, Stores
from xcstore.ui import loading, state, tables, widgets

__all__ = ["pick"]

LOST: Final = f"ORD-{LOST_ORDER:05d}"
LOST_COMPONENT: Final = "OrderComponent"
RECENT: Final = 50


def pick() -> None:
    """Nothing is chosen yet: ways to choose."""
    if loading.ask(newest) is None:
        widgets.empty_store(loading.stores().identity)
        return
    st.caption("Replay one instance, all that a business key touched, what an event caused, or a range of time.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if widgets.line("Business key", "replay-key-typed", "key", placeholder="such as an order number"):
            st.rerun()  # it is in the address now
        if LOST_COMPONENT in loading.component_names() and loading.ask(_has_lost):
            label = f"Replay the lost order {LOST}"
            st.button(label, key="replay-lost", on_click=state.put, kwargs={"key": LOST})
    names = {"instances": "Recent instances", "events": "Recent events", "range": "A range of time"}
    panels = widgets.tabs(names, "replay-picker")
    for name, draw in (("instances", _recent_instances), ("events", _recent_events), ("range", _range)):
        if panels[name].open:
            with panels[name]:
                draw()


def _has_lost(stores: Stores) -> bool:
    """Whether the story of the demo is in the store."""
    query = EventQuery(
        machines=("Order",),
        event_types=(CREATION,),
        payload_path=("initialContext", "orderId"),
        payload_value=LOST,
    )
    return bool(stores.events.find(query, limit=1).items)


def _recent_instances() -> None:
    query = InstanceQuery(components=state.components())
    page = loading.ask(instance_page, query, limit=RECENT)
    found, keys = page.instances, page.keys
    rows = [
        {
            "last stored": moment_text(item.updated_at, state.zone()),
            "component": visible_text(item.component_name, 80) or state.NONE,
            "machine": visible_text(item.machine_name, 80),
            "key": visible_text(keys.get(item.instance_id, ""), 40),
            "state": visible_text(item.state, 80),
            "events": item.event_count,
            "instance": visible_text(item.instance_id, 80),
        }
        for item in found
    ]
    ids = [item.instance_id for item in found]
    if not rows:
        st.info("No instance belongs to the components that are chosen in the sidebar.")
        return
    tables.pick(
        rows,
        ids,
        key="replay-instances",
        alt="Instances that moved last",
        on_pick=lambda instance_id: state.put(instance=instance_id),
        height=tables.tall(12),
    )
    st.caption(f"the {len(rows)} that moved last; select a row to replay it")


def _recent_events() -> None:
    events = loading.ask(causality.recent_events, state.components())
    rows = [
        {
            "stored at": moment_text(event.persisted_at, state.zone(), millis=True),
            "component": visible_text(event.component_name, 80) or state.NONE,
            "machine": visible_text(event.machine_name, 80),
            "event": visible_text(event.event_type, 80),
            "to": visible_text(event.state_after, 80),
            "instance": visible_text(event.instance_id, 80),
        }
        for event in events
    ]
    tables.pick(
        rows,
        [event.id for event in events],
        key="replay-recent",
        alt="Newest events",
        on_pick=lambda event_id: state.put(trace=event_id, event=event_id),
        height=tables.tall(12),
    )
    st.caption(f"the newest {len(events)}; select a row to replay all that led to it and all it caused")


def _range() -> None:
    left, right = st.columns(2)
    placeholder = "2026-01-31 12:00:00"
    with left:
        widgets.moment("From", "replay-from", "from", state.moment("from"), placeholder=placeholder)
    with right:
        widgets.moment("To", "replay-to", "to", state.moment("to"), placeholder=placeholder)
    facts = loading.ask(overview.facts)
    if facts.time_range is not None:
        first, last = (moment_text(at, state.zone()) for at in facts.time_range)
        st.caption(
            f"Everything in the range, of the components chosen in the sidebar. The store holds "
            f"{count_text(facts.events, 'event')}, from {first} to {last}."
        )
    st.button("Replay this range", key="replay-range")
