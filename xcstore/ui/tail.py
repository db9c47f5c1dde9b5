"""Following a store that grows: how many events are new, and the newest page again every few seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import streamlit as st

from xcstore.model.history import PersistedEvent
from xcstore.queries import events as queries
from xcstore.render.labels import count_text, moment_text
from xcstore.store.base import EventQuery
from xcstore.ui import loading, paging, state
from xcstore.units import EpochMs

__all__ = ["follow", "since"]

EVERY_S: Final = 5
_SINCE: Final = "tail-since"


def since() -> EpochMs:
    """Answers from before this moment are too old for the page that follows."""
    moment: EpochMs = st.session_state.get(_SINCE, EpochMs(0))
    return moment


def follow(query: EventQuery, items: Sequence[PersistedEvent], asked: EpochMs, *, at_top: bool) -> None:
    """A switch, and while it is on the number of new events every `EVERY_S` seconds.

    On the first page with no event open the new ones are shown at once; elsewhere nothing moves under the reader
    until the button is pressed.
    """
    on = st.toggle("Follow", key="events-follow", help=f"Look for new events every {EVERY_S} s")
    look = st.fragment(_look, run_every=EVERY_S if on else None)
    look(query, tuple(items), asked, on and at_top and not state.text("event"))


def _look(query: EventQuery, items: tuple[PersistedEvent, ...], asked: EpochMs, at_once: bool) -> None:
    with loading.guarded("events-follow-retry"):
        zone = state.zone()
        if not st.session_state.get("events-follow"):
            st.caption(f"as of {moment_text(asked, zone)}")
            return
        start = items[0].persisted_at if items else asked
        known = sum(event.persisted_at == start for event in items)
        new = max(0, loading.ask_now(queries.count_since, query, start) - known)
        if new and at_once:
            _show()
            st.rerun()
        if new:
            st.button(f"Show {count_text(new, 'new event')}", key="events-show-new", on_click=_show, type="primary")
        else:
            st.caption(f"nothing new at {moment_text(loading.now(), zone)}")


def _show() -> None:
    st.session_state[_SINCE] = loading.now()
    paging.restart("events-pages")
