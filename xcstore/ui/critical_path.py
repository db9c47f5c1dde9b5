"""The critical path on a page: `show(views.critical_path.build(...), key='causality-path')`."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from xcstore.render import charts
from xcstore.render.labels import markdown_escape
from xcstore.render.theme import SPENT
from xcstore.ui import state, tables
from xcstore.views.critical_path import CriticalPathView

__all__ = ["show"]


def show(view: CriticalPathView, key: str, *, on_pick: Callable[[str], None] | None = None) -> None:
    """What the time was spent on: in a bar, in sums, and segment by segment.

    `on_pick` is called with the id of the event that a picked row leads to; without it that event goes into the
    address, as the one in the middle.
    """
    st.caption(markdown_escape(view.summary))
    for note in view.notes:
        st.text(f"▲ {note}")
    if not view.segments:
        return
    if view.parts:
        st.vega_lite_chart(
            charts.time_bar(view.parts, looks=SPENT, dark=st.context.theme.type == "dark"),
            key=f"{key}-bar",
            theme=None,
            alt="What the time of the critical path was spent on, from its start to its end",
        )
    tables.show(view.totals, key=f"{key}-totals", alt="What the time was spent on")
    tables.pick(
        view.segments,
        view.event_ids,
        key=f"{key}-segments",
        alt="Segments of the critical path",
        on_pick=on_pick or _recentre,
    )
    st.caption(
        "The later of an event's cause and of the event before it in its instance set the time at which it came. "
        "Select a row to put the event it leads to in the middle."
    )


def _recentre(event_id: str) -> None:
    state.put(event=event_id)
