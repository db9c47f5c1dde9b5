"""Tables of rows that a view made, of which one may be picked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import streamlit as st

from xcstore.render.labels import visible_text

__all__ = ["ROW", "pick", "show", "tall"]

ROW: Final = 30
"""Height of a row in px, as on every page."""
WIDTHS: Final[Mapping[str, int]] = {
    "instance": 130,
    "event id": 130,
    "cause id": 130,
    "effect id": 130,
    "stored at": 185,
    "last stored": 150,
    "created": 150,
    "selected": 40,
    "step": 50,
    "is": 150,
    "doubts": 320,
    "due": 300,
    "sent by": 300,
    "taken": 220,
}
"""Columns that would take too much room by themselves: ids say enough with their beginning, the rest is copyable."""


def show(
    rows: Sequence[Mapping[str, object]],
    *,
    key: str,
    alt: str,
    empty: str = "",
    height: int | None = None,
    widths: Mapping[str, int] | None = None,
) -> None:
    """Rows as a plain table; `empty` is said where there are none. `widths`: px of columns of this table."""
    if not rows:
        if empty:
            st.caption(empty)
        return
    st.dataframe(list(rows), key=key, alt=visible_text(alt, 200), **_look(rows, height, widths))


def pick(
    rows: Sequence[Mapping[str, object]],
    ids: Sequence[str],
    *,
    key: str,
    alt: str,
    on_pick: Callable[[str], None],
    selected: str | None = None,
    height: int | None = None,
    widths: Mapping[str, int] | None = None,
) -> None:
    """Rows of which one can be picked: `on_pick` is called, before the page runs again, with its id.

    `selected` is highlighted, also where the address or a picture chose it.
    """
    wanted = [ids.index(selected)] if selected in ids else []
    st.session_state[key] = {"selection": {"rows": wanted, "columns": [], "cells": []}}

    def picked() -> None:
        chosen = st.session_state[key]["selection"]["rows"]
        # The browser may send a row of a table that was longer.
        if chosen and 0 <= chosen[0] < len(ids):
            on_pick(ids[chosen[0]])

    st.dataframe(
        list(rows), key=key, alt=visible_text(alt, 200), on_select=picked, selection_mode="single-row",
        **_look(rows, height, widths),
    )  # fmt: skip


def tall(rows: int) -> int:
    """Height in px that shows this many rows whole, up to 32; more scroll."""
    return (min(rows, 32) + 1) * ROW + 6


def _look(
    rows: Sequence[Mapping[str, object]], height: int | None, widths: Mapping[str, int] | None = None
) -> dict[str, Any]:
    columns = list(rows[0]) if rows else []
    widths = {**WIDTHS, **(widths or {})}
    whole = {name for name in columns if all(type(row[name]) is int for row in rows)}
    return {
        "hide_index": True,
        "height": height or "auto",
        "row_height": ROW,
        "placeholder": "",
        "column_config": {
            name: st.column_config.NumberColumn(name, width=widths.get(name), format="localized")
            if name in whole
            else st.column_config.Column("" if name == "selected" else name, width=widths[name])
            for name in columns
            if name in widths or name in whole
        },
    }
