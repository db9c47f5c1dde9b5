"""What surrounds every page: navigation, the sidebar, the search box, and one clear sentence when something fails."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from xcstore.errors import StoreError, StoreTimeoutError
from xcstore.queries import overview
from xcstore.render.labels import ago_text, count_text, markdown_escape, moment_text, visible_text
from xcstore.store.kinds import kind_text
from xcstore.ui import finding, loading, state, waiting, widgets

if TYPE_CHECKING:
    from streamlit.navigation.page import StreamlitPage

__all__ = ["navigation", "run"]

log = logging.getLogger(__name__)

TITLES: Final = {
    "overview": ("Overview", "What runs, in which state, and is anything wrong?"),
    "events": ("Events", "Every stored event: filter, follow, open, export."),
    "instances": ("Instances", "One state machine at work: its states over time, its data after each event."),
    "machines": ("Machines", "What was declared, against what was observed."),
    "causality": ("Causality", "Why an event happened, and what it caused."),
    "compare": ("Compare", "Two instances or two traces side by side, and where they first differ."),
    "replay": ("Replay", "How did it get there? A history step by step, forwards and backwards."),
    "what_if": ("What if", "Had one event, or the definition, been another: what would have become of it?"),
    "moment": ("As of", "The whole system as of one moment, and whether that moment is a good one."),
    "divergence": ("Divergence", "Does what is stored go as the definitions say, and where does it first not?"),
    "restore": ("Restore", "Could what ran be brought back from what is stored?"),
    "integrity": ("Integrity", "Is what the store holds sound, and what is wrong with it?"),
    "health": ("Health", "How the store is doing: is it fast, whole, and kept as it should be?"),
    "retention": ("Retention", "What is old enough to go, what stays all the same, and where it goes."),
}
SECTIONS: Final = {
    "": ("overview",),
    "What happened": ("events", "instances", "machines", "causality", "compare"),
    "Replay and restore": ("replay", "what_if", "moment", "divergence", "restore"),
    "The store": ("integrity", "health", "retention"),
}
"""The menu."""
ZONES: Final = (
    "UTC",
    "local",
    "Europe/London",
    "Europe/Paris",
    "America/New_York",
    "America/Los_Angeles",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Australia/Sydney",
)
NOT_ASKING: Final = "health"
"""The page that has something to say of a store that cannot be opened."""


def navigation() -> StreamlitPage:
    """The pages, in the order of the menu; gives the one to run."""
    icon = str(Path(__file__).with_name("favicon.svg"))
    st.set_page_config(page_title="xcstore", page_icon=icon, layout="wide")
    pages = {
        name: st.Page(path, title=TITLES[name][0], help=TITLES[name][1], url_path=name, default=name == "overview")
        for name, path in widgets.PAGES.items()
    }
    return st.navigation(
        {title: [pages[name] for name in names if name in pages] for title, names in SECTIONS.items()}, expanded=True
    )


def run(page: StreamlitPage) -> None:
    """Draw what surrounds the page, and the page, if the store can be read."""
    loading.settle()
    state.announce(page.url_path)
    notices = st.container()
    try:
        with waiting.shown_in(st.empty()), loading.guarded():
            try:
                _sidebar()
            except StoreError:
                st.header(page.title, anchor=False)
                if page.url_path == NOT_ASKING:
                    page.run()
                raise
            finding.box(page.title)
            page.run()
    finally:
        for sentence in state.take_notices():
            notices.warning(markdown_escape(sentence))


def _sidebar() -> None:
    st.session_state[state.ZONE] = loading.settings().timezone
    with st.sidebar:
        name = _store_picker()
        facts_at = st.container()
        component_at = st.container()
        _zone_picker()
        definitions_at = st.container()
        # Before anything that needs the store: there is a Refresh also where it cannot be opened.
        if st.button("Refresh", key="shell-refresh", help="Ask the store again", width="stretch"):
            loading.forget()
        with definitions_at:
            _definitions()
        try:
            with facts_at:
                facts, asked = loading.ask_dated(overview.facts)
                _facts(facts, asked)
            components = facts.components
        except StoreTimeoutError:
            facts_at.caption("Counting this store takes longer than the time limit; counts are left out.")
            components = ()
        with component_at:
            widgets.choices(
                "Component",
                "shell-component",
                "component",
                [(component or state.NONE, count) for component, count in components],
                help="Every page shows these components only",
            )
        log.debug("store %s", name)


def _store_picker() -> str:
    names = list(loading.settings().store_urls())
    name = loading.store_name()
    address = state.text("store")
    state.sync("shell-store", address, name)
    chosen: str = st.selectbox("Store", names, key="shell-store", help="Stores come from the settings")
    if chosen != name:
        state.put(store=chosen, component=None)
    elif address and address != name:
        state.put(store=None)
    state.synced("shell-store", state.text("store"))
    return chosen


def _facts(facts: overview.Facts, asked: int) -> None:
    mode = ":gray-badge[read-only]" if facts.read_only else ":orange-badge[writable]"
    may = " :orange-badge[may write]" if loading.settings().allow_write and facts.layout == "ours" else ""
    st.markdown(f":gray-badge[{kind_text(facts.identity, facts.layout)}] {mode}{may}")
    st.caption(markdown_escape(visible_text(facts.identity, 120)))
    if facts.time_range is None:
        st.caption("no events")
        return
    first, last = (moment_text(moment, state.zone()) for moment in facts.time_range)
    st.caption(
        f"**{count_text(facts.events, 'event')}**  \n{first}  \nto {last}  \n"
        f"newest {ago_text(facts.time_range[1], asked)}"
    )


def _zone_picker() -> None:
    name = state.zone_name()
    address = state.text("tz")
    state.sync("shell-tz", address, name)
    options = list(dict.fromkeys((*ZONES, loading.settings().timezone, name)))
    chosen: str = st.selectbox(
        "Times in",
        options,
        key="shell-tz",
        format_func=lambda zone: f"this browser ({st.context.timezone or 'UTC'})" if zone == "local" else zone,
    )
    state.put(tz=chosen if chosen != loading.settings().timezone else None)
    state.synced("shell-tz", state.text("tz"))


def _definitions() -> None:
    with st.popover("Definitions", key="shell-definitions-popover", width="stretch"):
        st.file_uploader(
            "Component documents, for this session",
            type=["yaml", "yml", "json"],
            accept_multiple_files=True,
            key=loading.UPLOADS,
        )
        known = loading.definitions()
        for problem in known.problems:
            st.error(markdown_escape(problem, 1_000))
        faults = [fault for component in known.catalog for fault in component.faults]
        widgets.show_faults(faults, "Faults in definitions")
        if not known.sources:
            st.caption("No definitions. Pages show what was observed.")
        for component, source in known.sources:
            st.caption(f"{markdown_escape(component, 80)} · {markdown_escape(source, 120)}")
