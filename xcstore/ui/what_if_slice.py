"""The smallest cause of an event: asked for, found with its progress, and exported as a test."""

from __future__ import annotations

from typing import Final

import streamlit as st

from xcstore.render.labels import markdown_escape
from xcstore.replay.slicing import Slice, minimal_slice, slice_test
from xcstore.replay.track import Track
from xcstore.ui import state, tables, widgets, working
from xcstore.views import what_if_slice as views

__all__ = ["show"]

MAX_SECONDS: Final = 20.0
_FOUND: Final = "what-if-slice-found"
WIDTHS: Final = {"step": 42, "at": 178, "machine": 110, "instance": 105, "input": 170, "payload": 420, "is": 200}


def show(track: Track) -> None:
    """Pick the bad event, find the inputs that suffice for it."""
    st.caption(
        "Of all that was sent before an event: the fewest inputs that still lead to it. What is left is what one has "
        "to look at, and a test that fails until it is mended."
    )
    found_at = views.candidates(track)
    ids = [event_id for event_id, _ in found_at]
    names = dict(found_at)
    address = state.text("event")
    state.sync("what-if-bad", address, address if address in names else ids[0])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "The event that should not have been", ids, key="what-if-bad", format_func=names.__getitem__
        )
        pressed = st.button("Find its smallest cause", key="what-if-slice", type="primary")
    state.put(event=chosen)
    state.synced("what-if-bad", chosen or "")
    if len(ids) < track.length:
        st.caption(f"shown the latest {len(ids):,} of {track.length:,} steps")
    if chosen is None:
        return
    kept: tuple[Track, str, Slice] | None = st.session_state.get(_FOUND)
    found = kept[2] if kept is not None and kept[0] is track and kept[1] == chosen else None
    if pressed:
        catalog = track.tables.catalog
        found = working.work(
            lambda note: minimal_slice(
                track,
                chosen,
                catalog=catalog,
                max_seconds=MAX_SECONDS,
                # It counts down what is still kept.
                on_progress=lambda left, of: note(max(0, of - left), of),
            ),
            key="what-if-slice-cancel",
            noun="inputs dropped",
            words="Running what was recorded",
        )
        st.session_state[_FOUND] = (track, chosen, found)
    if found is not None:
        _said(track, found)


def _said(track: Track, found: Slice) -> None:
    st.subheader(markdown_escape(views.headline(found)), anchor=False)
    for note in views.notes(found):
        st.caption(markdown_escape(note[:1].upper() + note[1:], 600))
    if not found.reproduces:
        return
    rows = views.input_rows(found, state.zone())
    tables.show(
        rows,
        key="what-if-slice-rows",
        alt="Inputs that suffice",
        height=tables.tall(min(len(rows), 20)),
        widths=WIDTHS,
        empty="Nothing has to be sent: it comes by itself.",
    )
    catalog = track.tables.catalog
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "Download it as a test (pytest)",
            data=lambda: slice_test(track, found, catalog).encode("utf-8", "backslashreplace"),
            file_name="test_slice.py",
            mime="text/x-python",
            key="what-if-slice-test",
            on_click="ignore",
        )
        widgets.link("causality", "Its causes and effects", event=found.event.id)
