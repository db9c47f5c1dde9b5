"""Breakpoints of the Replay page: where playing stops. All of them are in the address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, unquote

import streamlit as st

from xcstore.errors import QueryError
from xcstore.render.labels import markdown_escape, visible_text
from xcstore.replay.breakpoints import Breakpoint, DivergenceBreak, EventTypeBreak, PathBreak, StateBreak
from xcstore.ui import state
from xcstore.ui.replay_track import Opened

__all__ = ["panel", "points"]

PARAM: Final = "stop"
KINDS: Final = {"state": "State", "event": "Event type", "field": "Payload field", "divergence": "Divergence"}
MOST: Final = 12


def points(opened: Opened) -> list[Breakpoint]:
    """The breakpoints that the address names; what cannot be read is said and left out."""
    found: list[Breakpoint] = []
    for written in state.texts(PARAM)[:MOST]:
        try:
            found.append(_read(written, opened))
        except (QueryError, ValueError):
            state.notice(f"'{PARAM}' in the address names no breakpoint ({written!r}). It was ignored.")
    return found


def panel(opened: Opened, holds: Sequence[int]) -> None:
    """Add and remove breakpoints."""
    current = [written for written in state.texts(PARAM)[:MOST] if _is_read(written, opened)]
    label = f"Breakpoints ({len(current)})" if current else "Breakpoints"
    with st.popover(label, key="replay-breaks"):
        st.caption("Playing stops at a step where one of these holds; B jumps to the next.")
        for number, written in enumerate(current):
            left, right = st.columns([5, 1], vertical_alignment="center")
            left.text(_words(written, opened))
            right.button("Remove", key=f"replay-break-{number}", type="tertiary", on_click=_remove, args=(written,))
        if current:
            st.caption(f"{len(holds):,} of {opened.track.length:,} steps")
        kind = st.segmented_control(
            "Stop at", list(KINDS), key="replay-break-kind", default="state", format_func=lambda name: KINDS[name],
            required=True,
        )  # fmt: skip
        written = _new(kind or "state", opened)
        st.button(
            "Add breakpoint",
            key="replay-break-add",
            disabled=not written or written in current or len(current) >= MOST,
            on_click=_add,
            args=(written,),
        )


def _new(kind: str, opened: Opened) -> str:
    """The breakpoint that the widgets describe; '' where they describe none."""
    if kind == "state":
        places = {
            (cast.machine, node.label): f"{visible_text(node.label, 60)} · {visible_text(cast.machine, 60)}"
            for cast in opened.scene.machines
            for node in cast.diagram.nodes
        }
        place = st.selectbox(
            "State that is entered", [*places], key="replay-break-state", format_func=lambda name: places[name]
        )
        return f"state:{_quoted(place[0])}:{_quoted(place[1])}"
    if kind == "event":
        types = sorted({key[1] for cast in opened.scene.machines for key in cast.ids if key[1]})
        chosen = st.selectbox(
            "Event type", types, key="replay-break-event", format_func=lambda name: visible_text(name, 80)
        )
        return f"event:{_quoted(chosen)}" if chosen else ""
    if kind == "field":
        path = (st.text_input("Field", key="replay-break-path", placeholder="customer.lines[0].sku") or "").strip()
        value = st.text_input("Value (any, where empty)", key="replay-break-value") or ""
        if not path:
            return ""
        try:
            PathBreak(path=path)
        except QueryError as error:
            st.warning(markdown_escape(str(error), 300))
            return ""
        return f"field:{_quoted(path)}" + (f":{_quoted(value)}" if value else "")
    st.caption("Steps that went otherwise than the definition says.")
    return "divergence"


def _read(written: str, opened: Opened) -> Breakpoint:
    kind, *rest = written.split(":")
    parts = [unquote(part) for part in rest]
    if kind == "state" and len(parts) == 2:
        return StateBreak(machine_name=parts[0], state=parts[1])
    if kind == "event" and len(parts) == 1:
        return EventTypeBreak(event_type=parts[0])
    if kind == "field" and len(parts) in (1, 2):
        return PathBreak(path=parts[0], value=parts[1] if len(parts) == 2 else None)
    if kind == "divergence" and not parts:
        verdicts = opened.verify()
        return DivergenceBreak(diverges=verdicts.__contains__)
    raise ValueError(written)


def _is_read(written: str, opened: Opened) -> bool:
    try:
        _read(written, opened)
    except (QueryError, ValueError):
        return False
    return True


def _words(written: str, opened: Opened) -> str:
    try:
        return visible_text(str(_read(written, opened)), 120)
    except (QueryError, ValueError):
        return visible_text(written, 120)


def _quoted(text: str) -> str:
    return quote(text, safe=" ", errors="surrogatepass")


def _add(written: str) -> None:
    state.put(**{PARAM: [*state.texts(PARAM), written]})


def _remove(written: str) -> None:
    state.put(**{PARAM: [item for item in state.texts(PARAM) if item != written]})
