"""Which two histories are compared: asked for, resolved, and kept in the address of the Compare page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import streamlit as st

from xcstore.errors import NotFoundError
from xcstore.queries import comparing as queries
from xcstore.queries.instances import newest
from xcstore.queries.keys import business_keys
from xcstore.render.labels import markdown_escape, moment_text, short_id, visible_text
from xcstore.ui import loading, state, tables, widgets
from xcstore.views import compare as views

Chosen = queries.TypicalInstance | queries.TypicalEvent

__all__ = ["is_empty", "sides", "what"]

WHATS: Final[dict[queries.What, str]] = {"instances": "Two instances", "traces": "Effects of two events"}
SHOWN_CANDIDATES: Final = 12
PLACEHOLDER: Final[dict[queries.What, str]] = {
    "instances": "an instance id, or a business key such as ORD-00042",
    "traces": "an event id; of an instance or business key its first event",
}


def is_empty() -> bool:
    """Whether the store holds nothing; said."""
    if loading.ask(newest) is not None:
        return False
    widgets.empty_store(loading.stores().identity)
    return True


def what() -> queries.What:
    """Whether instances or traces are compared; kept in the address."""
    return widgets.choice("Compare", "compare-what", "what", WHATS)


def sides(kind: queries.What) -> tuple[str, str] | None:
    """The ids of both sides, asked for, resolved and kept in the address; None, and said why, where one is missing."""
    chosen, none = _typical(kind)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        left_text = widgets.line("◀ Left", "compare-left", "left", placeholder=PLACEHOLDER[kind])
        either = bool(left_text or state.text("right"))
        st.button("⇄ Swap", key="compare-swap", disabled=not either, on_click=_swap)
        right_text = widgets.line("Right ▶", "compare-right", "right", placeholder=PLACEHOLDER[kind])
    if none:
        st.info(none)
    left = _resolved("left", left_text, kind, "")
    right = _resolved("right", right_text, kind, _machine_of(left, kind))
    if left and not right_text and not none:
        st.button("Compare with a typical one", key="compare-typical", on_click=state.put, kwargs={"typical": "yes"})
    if chosen is not None and _id_of(chosen) == right:
        st.caption(markdown_escape(views.typical_text(chosen)))
    if not left or not right:
        # A text that means nobody, or several, is to be settled first.
        if bool(left) == bool(left_text) and bool(right) == bool(right_text):
            _recent(kind, "right" if left else "left", _machine_of(left or right, kind))
        return None
    if left == right:
        same = "instance" if kind == "instances" else "event"
        st.info(f"Both sides are the same {same}; give another id on one of them.")
        return None
    return left, right


def _recent(kind: queries.What, side: str, machine: str) -> None:
    """Something to begin with, while a side is missing."""
    items = loading.ask(queries.recent, state.components(), machine=machine)
    if not items:
        st.info("No instance belongs to the components that are chosen in the sidebar.")
        return
    known = loading.ask(business_keys, tuple(item.instance_id for item in items))
    st.caption(
        f"Select an instance for the {side} side, or write an id or a business key above."
        + (" Of an instance, its first event is taken." if kind == "traces" else "")
    )
    rows = [
        {
            "business key": visible_text(known.get(item.instance_id, ""), 60),
            "machine": visible_text(item.machine_name, 80),
            "component": visible_text(item.component_name, 80) or state.NONE,
            "state": visible_text(item.state, 80),
            "events": item.event_count,
            "last event": visible_text(item.last_event_type, 80),
            "last stored": moment_text(item.updated_at, state.zone()),
            "instance": visible_text(item.instance_id, 80),
        }
        for item in items
    ]
    ids = [item.instance_id for item in items]
    tables.pick(
        rows, ids, key=f"compare-recent-{side}", alt="Latest instances", on_pick=lambda name: state.put(**{side: name})
    )
    st.caption(f"the latest {len(items)}{f' of machine {markdown_escape(machine, 80)}' if machine else ''}")


def _typical(kind: queries.What) -> tuple[Chosen | None, str]:
    """What is typical beside the left side, put to the right where nothing is; and why there is nothing."""
    text = state.text("left")
    if not text or state.text("typical") != "yes":
        return None, ""
    left = loading.ask(queries.resolve, text, what=kind).id
    if not left:
        return None, ""
    chosen = _choose(kind, left)
    if state.text("right"):
        return chosen, ""
    if chosen is None:
        state.put(typical=None)
        missing = "instance of its machine has ended" if kind == "instances" else "instance took this step"
        return None, f"Nothing typical to compare it with: no other {missing}. Give an id for the right side."
    state.put(right=_id_of(chosen))
    return chosen, ""


def _choose(kind: queries.What, left: str) -> Chosen | None:
    try:
        if kind == "traces":
            event = loading.ask(queries.event, left)
            ends = _ends(event.component_name, event.machine_name)
            return loading.ask(queries.typical_event, left, ends=ends)
        item = loading.ask(queries.beginning, left).summary
        return loading.ask(queries.typical_instance, left, ends=_ends(item.component_name, item.machine_name))
    except NotFoundError:
        return None


def _ends(component: str, machine: str) -> tuple[str, ...]:
    """States in which its instances end, as far as a definition says so; not those of an error."""
    known = loading.catalog().find_machine(component, machine)
    return tuple(item.name for item in known.states if item.type == "final") if known else ()


def _id_of(chosen: Chosen) -> str:
    return chosen.event_id if isinstance(chosen, queries.TypicalEvent) else chosen.instance_id


def _machine_of(resolved: str, kind: queries.What) -> str:
    if not resolved:
        return ""
    if kind == "traces":
        return loading.ask(queries.event, resolved).machine_name
    return loading.ask(queries.beginning, resolved).summary.machine_name


def _resolved(name: str, text: str, kind: queries.What, machine: str) -> str:
    """The id that is meant; '' where nobody or several are, which is said."""
    if not text:
        return ""
    found = loading.ask(queries.resolve, text, what=kind, machine=machine)
    if found.id:
        return found.id
    shown = markdown_escape(text, 120)
    if not found.candidates:
        where = f" Searched back to {moment_text(found.searched_to, state.zone())}." if found.searched_to else ""
        st.warning(
            f"{name.capitalize()}: nothing in this store has **{shown}** as its id, or mentions it in a payload.{where}"
        )
        return ""
    st.info(f"{name.capitalize()}: several instances may be meant by **{shown}**. Choose one:")
    for item in found.candidates[:SHOWN_CANDIDATES]:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                f"{markdown_escape(item.machine_name, 60)} {markdown_escape(short_id(item.instance_id))}",
                key=f"compare-{name}-{item.instance_id}",
                on_click=_put(name, item.instance_id),
            )
            st.caption(
                f"{markdown_escape(item.component_name, 80) or state.NONE} · now {markdown_escape(item.state, 80)} · "
                f"last {moment_text(item.updated_at, state.zone())}",
                width="content",
            )
    if found.more or len(found.candidates) > SHOWN_CANDIDATES:
        st.caption(f"shown {min(SHOWN_CANDIDATES, len(found.candidates))}; there are more")
    return ""


def _put(name: str, value: str) -> Callable[[], None]:
    return lambda: state.put(**{name: value})


def _swap() -> None:
    state.put(left=state.text("right"), right=state.text("left"), typical=None, at=None)
