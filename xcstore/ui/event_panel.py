"""One event in full, beside the table or wherever it is asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import streamlit as st

from xcstore.jsontext import NestingError, json_text
from xcstore.render.labels import markdown_escape, visible_text
from xcstore.ui import state, widgets
from xcstore.views.events import EventView

__all__ = ["draw", "draw_json"]

_EXACT = 2**53


def draw(view: EventView, *, key: str) -> None:
    """Fields, links, payload, neighbours, the stored document. Stored text never runs and never hides."""
    event = view.event
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(markdown_escape(view.title), anchor=False)
        st.button("Close", key=f"{key}-close", on_click=state.put, kwargs={"event": None}, shortcut="Esc")
    widgets.show_faults(view.faults, "Odd in how it is stored")
    with st.container(horizontal=True):
        widgets.link("instances", "Its instance, at this event", instance=event.instance_id, event=event.id)
        widgets.link("causality", "Causes and effects", event=event.id)
        if event.component_name or event.machine_name:
            widgets.link(
                "machines",
                "Its machine",
                machine=event.machine_name,
                machine_component=event.component_name or state.NONE,
            )
    with st.container(gap="xxsmall"):
        for name, value in (("event id", event.id), ("instance id", event.instance_id)):
            st.caption(name)
            st.code(visible_text(value), language=None, wrap_lines=True)
    st.table(
        {name: markdown_escape(value) for name, value in view.fields if name not in ("event id", "instance id")},
        border="horizontal",
    )
    st.markdown("**Payload**")
    draw_json(view.payload)
    _neighbours("Causes, as recorded", view.causes)
    for missing in view.missing_causes:
        st.caption(f"{markdown_escape(missing)} is named as a cause, but is not in this store")
    _neighbours("Effects, as recorded", view.effects)
    if view.more_effects:
        st.caption(f"shown {len(view.effects)}; there are more, see its causality")
    with st.expander("Stored document"):
        st.code(_seen(view.document), language="json", wrap_lines=True)


def draw_json(value: object) -> None:
    """A tree where the browser can show it exactly; else the JSON text."""
    if isinstance(value, (dict, list)) and _is_exact(value):
        st.json(value, expanded=2)
        return
    try:
        st.code(_seen(json_text(value)), language="json", wrap_lines=True)
    except NestingError as error:
        st.caption(markdown_escape(f"not shown: {error}"))


def _seen(document: str) -> str:
    """The same JSON, with what would hide or steer the direction of text written as its number."""
    if document.replace("\n", "").isprintable():
        return document
    return "".join(
        letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in document
    )


def _neighbours(title: str, items: Sequence[tuple[str, str]]) -> None:
    st.markdown(f"**{title}**" if items else f"**{title}:** none")
    for event_id, summary in items:
        widgets.link_here("events", summary, event=event_id)


def _is_exact(value: object) -> bool:
    """Whether JavaScript keeps every number, and text can be sent at all."""
    waiting: list[tuple[object, int]] = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        if depth > 50:
            return False
        if isinstance(item, dict):
            waiting += [(inner, depth + 1) for pair in item.items() for inner in pair]
        elif isinstance(item, list):
            waiting += [(inner, depth + 1) for inner in item]
        elif not _is_exact_scalar(item):
            return False
    return True


def _is_exact_scalar(value: object) -> bool:
    if isinstance(value, str):
        return value.isprintable()
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or abs(value) <= _EXACT
