"""Turning the pages of a keyset: where one is, forwards, and back again."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from xcstore.store.base import Cursor

__all__ = ["Place", "buttons", "current", "restart"]


@dataclass(frozen=True, slots=True)
class Place:
    """A page: where it starts, and how many items are on the pages before it."""

    after: Cursor | None = None
    before: int = 0


def current(key: str, question: object) -> Place:
    """The page that is open. Another `question` (store, filters) starts at the first one."""
    asked, places = st.session_state.get(key, (None, ()))
    if asked != question or not places:
        st.session_state[key] = (question, (Place(),))
        return Place()
    place: Place = places[-1]
    return place


def buttons(key: str, place: Place, shown: int, following: Cursor | None, *, newer: str, older: str) -> None:
    """Two buttons, and the arrow keys with Shift. Draw them in a horizontal container."""
    st.button(
        newer, key=f"{key}-back", disabled=place.after is None, on_click=_back, args=(key,), shortcut="Shift+Left"
    )
    st.button(
        older,
        key=f"{key}-on",
        disabled=following is None,
        on_click=_on,
        args=(key, following, place.before + shown),
        shortcut="Shift+Right",
    )


def restart(key: str) -> None:
    """Back to the first page."""
    st.session_state.pop(key, None)


def _on(key: str, following: Cursor, before: int) -> None:
    asked, places = st.session_state.get(key, (None, ()))
    if places:
        st.session_state[key] = (asked, (*places, Place(following, before)))


def _back(key: str) -> None:
    asked, places = st.session_state.get(key, (None, ()))
    st.session_state[key] = (asked, places[:-1] or (Place(),))
