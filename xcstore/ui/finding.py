"""The search box above every page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import streamlit as st

from xcstore.errors import XcstoreError
from xcstore.queries import search
from xcstore.render.labels import count_text, markdown_escape, moment_text, visible_text
from xcstore.store.base import Cursor
from xcstore.ui import loading, state, widgets

__all__ = ["box"]

_FURTHER: Final = "finding-further"
_SHOWN: Final = 40
_TALL: Final = 8


def box(title: str) -> None:
    """The page's title and the box beside it; what was found comes below."""
    left, right = st.columns([2, 3], vertical_alignment="center")
    left.header(title, anchor=False)
    with right:
        text = widgets.line(
            "Find an event, an instance, or a business key",
            "shell-search",
            "q",
            placeholder="Find an event id, an instance id, or a business key such as ORD-00042",
            label_visibility="collapsed",
        )
    if text:
        with st.container(border=True, key="shell-found"):
            try:
                _found(text)
            except XcstoreError as error:
                st.error(markdown_escape(str(error), 1_000))


def _found(text: str) -> None:
    heading, close = st.columns([8, 1], vertical_alignment="center")
    heading.markdown(f"Found for **{markdown_escape(text, 120)}**")
    close.button("Close", key="shell-search-close", on_click=_close, width="stretch")
    zone = state.zone()
    by_id = loading.ask(search.by_id, text)
    if event := by_id.event:
        with st.container(horizontal=True, vertical_alignment="center"):
            widgets.link("events", f"Event {widgets.shorten(visible_text(event.id))}", event=event.id)
            st.caption(
                f"{markdown_escape(event.event_type, 80)} of {markdown_escape(event.machine_name, 80)}"
                f" · {moment_text(event.persisted_at, zone)}",
                width="content",
            )
            widgets.link("instances", "its instance", instance=event.instance_id, event=event.id)
            widgets.link("causality", "its causality", event=event.id)
    for item in by_id.instances:
        with st.container(horizontal=True, vertical_alignment="center"):
            widgets.link(
                "instances", f"Instance {widgets.shorten(visible_text(item.instance_id))}", instance=item.instance_id
            )
            st.caption(
                f"{_kind(item.component_name, item.machine_name)} · now {markdown_escape(item.state, 80)}"
                f" · {count_text(item.event_count, 'event')} · last {moment_text(item.updated_at, zone)}",
                width="content",
            )
    if by_id.more_instances:
        st.caption("More instance ids start with this.")
    pages = _mentions(text)
    _instances(pages, {item.instance_id for item in by_id.instances}, text)
    last = pages[-1]
    if last.next is not None:
        back_to = last.searched_to
        if back_to is None and last.events:
            back_to = last.events[-1].persisted_at
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(
                f"Searched back to {moment_text(back_to, zone)}." if back_to is not None else "", width="content"
            )
            st.button("Search further back", key="shell-search-further", on_click=_further, args=(text, last.next))
    elif not by_id.event and not by_id.instances and not any(page.events for page in pages):
        st.caption("Nothing in this store has it as an id or mentions it in a payload.")
    else:
        st.caption("Searched everything.")


def _mentions(text: str) -> Sequence[search.Mentions]:
    asked, cursors = st.session_state.get(_FURTHER, ("", ()))
    return [loading.ask(search.mentions, text, after=after) for after in (None, *(cursors if asked == text else ()))]


def _instances(pages: Sequence[search.Mentions], known: set[str], text: str) -> None:
    found = search.Mentions(events=tuple(event for page in pages for event in page.events))
    shown = [(event, count) for event, count in found.instances if event.instance_id not in known]
    if not shown:
        return
    st.markdown(f"Mentioned by {count_text(len(shown), 'instance')}, newest first")
    with st.container(height=300 if len(shown) > _TALL else "content", border=False, gap=None):
        for event, count in shown[:_SHOWN]:
            with st.container(horizontal=True, vertical_alignment="center"):
                widgets.link("instances", widgets.shorten(visible_text(event.instance_id)), instance=event.instance_id)
                st.caption(
                    f"{_kind(event.component_name, event.machine_name)} · {count_text(count, 'event')}"
                    f" · last {markdown_escape(event.event_type, 80)} {moment_text(event.persisted_at, state.zone())}",
                    width="content",
                )
                widgets.link("causality", "causality", event=event.id)
    with st.container(horizontal=True, vertical_alignment="center"):
        if len(shown) > _SHOWN:
            st.caption(f"shown {_SHOWN} of {len(shown)} instances", width="content")
        widgets.link("causality", "Everything it touched, in one picture", key=text)
        widgets.link("replay", "Replay all of it, step by step", key=text)
        widgets.link("events", "All these events, as a list", text=text)


def _kind(component: str, machine: str) -> str:
    return markdown_escape(f"{component} / {machine}" if component else machine, 120)


def _further(text: str, cursor: Cursor) -> None:
    asked, cursors = st.session_state.get(_FURTHER, ("", ()))
    st.session_state[_FURTHER] = (text, (*(cursors if asked == text else ()), cursor))


def _close() -> None:
    st.session_state["shell-search"] = ""
