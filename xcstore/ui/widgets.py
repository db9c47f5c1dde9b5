"""Small things that several pages draw: links that keep the store, safe text, notices."""

from __future__ import annotations

import shlex
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, NoReturn, TypeVar

import streamlit as st

from xcstore.render.labels import markdown_escape, visible_text
from xcstore.ui import state
from xcstore.units import EpochMs
from xcstore.views.events import moment_in, written_moment

__all__ = [
    "PAGES",
    "choice",
    "choices",
    "empty_store",
    "event_table",
    "go",
    "line",
    "link",
    "link_here",
    "moment",
    "show_faults",
    "shorten",
    "store_argument",
    "tabs",
]

if TYPE_CHECKING:
    import pandas as pd
    from streamlit.elements.lib.mutable_tab_container import TabContainer

Name = TypeVar("Name", bound=str)

PAGES: Final = {
    "overview": "pages/overview.py",
    "events": "pages/events.py",
    "instances": "pages/instances.py",
    "machines": "pages/machines.py",
    "causality": "pages/causality.py",
    "replay": "pages/replay.py",
    "what_if": "pages/what_if.py",
    "moment": "pages/moment.py",
    "divergence": "pages/divergence.py",
    "restore": "pages/restore.py",
    "integrity": "pages/integrity.py",
    "compare": "pages/compare.py",
    "health": "pages/health.py",
    "retention": "pages/retention.py",
}


def store_argument(identity: str) -> str:
    """The store in a command that stands in markdown; without its password, which has to be put in."""
    return shlex.quote(visible_text(identity, 300)).replace("`", "")


def shorten(text: str, length: int = 60) -> str:
    """At most `length` characters; the middle gives way, as ids differ at both ends."""
    if len(text) <= length:
        return text
    tail = (length - 1) // 3
    return f"{text[: length - 1 - tail]}…{text[len(text) - tail :]}"


def link(
    page: str,
    label: str,
    *,
    help: str | None = None,  # noqa: A002  # Streamlit's word
    **params: str | Iterable[str] | None,
) -> None:
    """A link to a page of ours that keeps the store, time zone and component. `label` is plain text."""
    st.page_link(PAGES[page], label=_link_text(label), help=help, query_params=_query(params))


def link_here(page: str, label: str, **changes: str) -> None:
    """A link to the page that is open, which changes only this of its address. `label` is plain text."""
    st.page_link(PAGES[page], label=_link_text(label), query_params={**state.current(), **changes})


def go(page: str, **params: str | Iterable[str] | None) -> NoReturn:
    """Open a page of ours as `link` would."""
    st.switch_page(PAGES[page], query_params=_query(params))


def choice(
    label: str,
    key: str,
    param: str,
    names: Mapping[Name, str],
    *,
    help: str | None = None,  # noqa: A002  # Streamlit's word
) -> Name:
    """One of `names`, the first one unless the address says another under `param`."""
    first = next(iter(names))
    wanted = state.text(param)
    address = next((name for name in names if name == wanted), first)
    state.sync(key, address, address)
    chosen = st.segmented_control(
        label, list(names), key=key, format_func=lambda name: names[name], required=True, help=help
    )
    value = next((name for name in names if name == chosen), first)
    state.put(**{param: None if value == first else value})
    state.synced(key, value)
    return value


def tabs(
    names: Mapping[str, str], key: str, *, param: str = "tab", first: str | None = None
) -> dict[str, TabContainer]:
    """Tabs of which the open one is in the address under `param`; by name, as `names` has them with their labels.

    Only the open one (`.open`) is to be drawn: a change of tab runs the script, or the fragment, again. `first` is open
    where the address says nothing that is among the names; unset, the first one.
    """
    start = next(iter(names)) if first is None else first
    wanted = state.text(param)
    address = wanted if wanted in names else start
    state.sync(key, address, names[address])
    if st.session_state[key] not in names.values():  # a label holds a count, which has changed
        st.session_state[key] = names[address]
    panels = dict(zip(names, st.tabs(list(names.values()), key=key, on_change="rerun"), strict=True))
    chosen = next((name for name, panel in panels.items() if panel.open), start)
    if chosen != address:
        state.put(**{param: None if chosen == start else chosen})
    state.synced(key, chosen)
    return panels


def choices(
    label: str,
    key: str,
    param: str,
    options: Iterable[tuple[str, int]],
    *,
    help: str | None = None,  # noqa: A002
) -> tuple[str, ...]:
    """Pick any number of values, each shown with its count; kept in the address as `param`.

    A value that the address names but nobody counted stays pickable, with 0 behind it: it is not quietly dropped.
    """
    counts = dict(options)
    address = state.texts(param)
    state.sync(key, address, [*dict.fromkeys(address)])
    known = [*counts, *(value for value in st.session_state[key] if value not in counts)]
    chosen: Sequence[str] = st.multiselect(
        label,
        known,
        key=key,
        help=help,
        format_func=lambda value: f"{shorten(visible_text(value)) or '(none)'} · {counts.get(value, 0):,}",
        placeholder="All",
    )
    state.put(**{param: chosen})
    state.synced(key, tuple(chosen))
    return tuple(chosen)


def line(
    label: str,
    key: str,
    param: str,
    *,
    placeholder: str = "",
    help: str | None = None,  # noqa: A002
    label_visibility: Literal["visible", "hidden", "collapsed"] = "visible",
) -> str:
    """A line of text that is kept in the address as `param`."""
    address = state.text(param)
    state.sync(key, address, address)
    typed = st.text_input(
        label,
        key=key,
        placeholder=placeholder,
        help=help,
        max_chars=state.MAX_CHARS,
        label_visibility=label_visibility,
    )
    value = (typed or "").strip()
    state.put(**{param: value})
    state.synced(key, value)
    return value


def moment(label: str, key: str, param: str, address: EpochMs | None, *, placeholder: str) -> EpochMs | None:
    """A time, typed in the chosen zone and kept in the address as `param`; `address` is what that says now."""
    zone = state.zone()
    written = written_moment(address, zone)
    state.sync(key, (address, str(zone)), written)
    typed = (st.text_input(label, key=key, placeholder=placeholder) or "").strip()
    found = address if typed == written else moment_in(typed, zone)
    if typed and found is None:
        st.warning("Not a time that can be read; it was ignored.")
    state.put(**{param: state.to_text(found)})
    state.synced(key, (found, str(zone)))
    return found


def empty_store(identity: str = "") -> None:
    """What to do about a store without events; `identity` is its URL without password."""
    st.info(
        "This store holds no events yet. Choose another store in the sidebar, let a runtime write to this one, "
        "or fill one from a dump or with the demo history:"
    )
    # Of a store that is only ever read, and of one that ends with its process, another one is named.
    named = not identity or identity.startswith(("redis", "memory"))
    target = "sqlite:///history.db" if named else shlex.quote(visible_text(identity, 300))
    st.code(
        f"python -m xcstore import events.json --into {target}\npython -m xcstore demo --into sqlite:///data/demo.db",
        language="bash",
    )


def event_table(table: pd.DataFrame, ids: Sequence[str], opened: str) -> None:
    """Events in rows; picking one puts its id into the address."""
    # A new set of rows is a new table: a selection must not stay behind on another event.
    key = f"events-table-{zlib.crc32(' '.join(ids).encode('utf-8', 'replace')):x}"

    def pick() -> None:
        rows = st.session_state[key].selection.rows
        state.put(event=ids[rows[0]] if rows else None)

    column = st.column_config
    st.dataframe(
        table,
        key=key,
        hide_index=True,
        height=560,
        row_height=30,
        on_select=pick,
        selection_mode="single-row",
        selection_default={"selection": {"rows": [ids.index(opened)]}} if opened in ids else None,
        alt="Events, newest first",
        column_config={
            "odd": column.TextColumn("", width=32, pinned=True, help="▲: stored in an odd form; open it to see how"),
            "stored": column.TextColumn("stored", width=178, pinned=True, help="When the store got it"),
            "event": column.TextColumn("event", width=165),
            "machine": column.TextColumn("machine", width=110),
            "component": column.TextColumn("component", width=150),
            "instance": column.TextColumn("instance", width=110),
            "change": column.TextColumn("state", width=200, help="From which state to which; · is before creation"),
            "payload": column.TextColumn("payload", width=300),
            "causes": column.NumberColumn("causes", width=60, help="How many causes are recorded"),
            "id": column.TextColumn("id", width=120),
        },
    )


def show_faults(faults: Sequence[str], what: str = "Odd data") -> None:
    """Say what is odd about stored data or a definition; nothing where nothing is."""
    if not faults:
        return
    with st.expander(f":orange[▲] {what}: {len(faults):,}", expanded=len(faults) <= 3):
        for fault in faults[:50]:
            st.text(visible_text(fault, 500))
        if len(faults) > 50:
            st.caption(f"shown 50 of {len(faults):,}")


def _link_text(label: str) -> str:
    """Coloured, as Streamlit draws these links like plain text."""
    return f":primary[{markdown_escape(label)}]"


def _query(params: dict[str, str | Iterable[str] | None]) -> dict[str, str | list[str]]:
    query: dict[str, str | list[str]] = dict(state.shared())
    for name, value in params.items():
        if isinstance(value, str):
            query[name] = value
        elif value:
            query[name] = list(value)
    return {name: value for name, value in query.items() if value}
