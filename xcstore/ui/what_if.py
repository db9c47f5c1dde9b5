"""Whose history the What-if page is about: asked for, opened, and kept in the address."""

from __future__ import annotations

from typing import Final

import streamlit as st

from xcstore.errors import NotFoundError
from xcstore.model.history import PersistedEvent
from xcstore.queries import comparing, overview
from xcstore.queries.instances import newest
from xcstore.queries.keys import business_keys
from xcstore.render.labels import count_text, duration_text, markdown_escape, moment_text, short_id, visible_text
from xcstore.replay.track import InstanceScope, Scope, TraceScope, Track, open_track
from xcstore.store.base import InstanceSummary
from xcstore.ui import loading, state, tables, what_if_draft, what_if_result, widgets, working
from xcstore.views import overview as overview_views

__all__ = ["is_empty", "tab", "track"]

MAX_EVENTS: Final = 20_000
"""Most events of a history that a fork is made of."""
SHOWN_STUCK: Final = 8
TABS: Final = {
    "fork": "What if",
    "cause": "Smallest cause",
    "impact": "Definition impact",
}


def is_empty() -> bool:
    """Whether the store holds nothing; said."""
    if loading.ask(newest) is not None:
        return False
    widgets.empty_store(loading.stores().identity)
    return True


def tab() -> str:
    """Which question is asked; kept in the address."""
    return widgets.choice("Question", "what-if-tab", "tab", TABS)


def track() -> Track | None:
    """The history that the address names; None, and something to choose from, where it names none."""
    scope = _scope()
    if scope is None:
        _choose()
        return None
    try:
        opened = _opened(scope)
    except NotFoundError as error:
        st.warning(markdown_escape(str(error), 1_000))
        st.button("← Another history", key="what-if-other", type="tertiary", on_click=_leave)
        return None
    if not opened.length:
        st.warning("The store holds no event of this history.")
        st.button("← Another history", key="what-if-other", type="tertiary", on_click=_leave)
        return None
    _heading(opened)
    return opened


def _scope() -> Scope | None:
    trace = state.text("trace")
    if trace:
        return TraceScope(event_id=trace)
    text = state.text("instance")
    if not text:
        return None
    meant = loading.ask(comparing.resolve, text)
    return InstanceScope(instance_id=meant.id) if meant.id else None


def _opened(scope: Scope) -> Track:
    known = tuple(sorted(component.hash for component in loading.catalog()))
    stores = loading.stores()
    # Of a store that goes on, the history is read anew once something newer is seen in it.
    kept = _kept(stores.identity, repr(loading.settings().redact), known, scope, loading.ask(newest))
    if "track" not in kept:
        catalog = loading.catalog()

        def read(note: working.Note) -> Track:
            return open_track(
                stores, scope, catalog=catalog, max_events=MAX_EVENTS, on_progress=lambda done, of: note(done, of or 0)
            )

        kept["track"] = working.work(read, key="what-if-reading", noun="events", words="Reading the history")
    return kept["track"]


@st.cache_resource(ttl=loading.TTL_S, max_entries=16, show_spinner=False)
def _kept(
    identity: str, redact: str, definitions: tuple[str, ...], scope: Scope, newest_at: int | None
) -> dict[str, Track]:
    """The track of a history, for everybody in this process."""
    return {}


def _heading(track: Track) -> None:
    first = track.step(1)
    whole = isinstance(track.scope, TraceScope)
    key = loading.ask(business_keys, (first.instance_id,)).get(first.instance_id, "")
    with st.container(horizontal=True, vertical_alignment="center"):
        if whole:
            instances = count_text(len(track.instance_ids), "instance")
            title = f"Trace of {markdown_escape(_trace_name(track), 120)} · {instances}"
        else:
            title = (
                f"{markdown_escape(first.machine_name, 80)} {markdown_escape(key or short_id(first.instance_id), 60)}"
            )
        st.markdown(f"**{title}** · {count_text(track.length, 'step')}", width="content")
        st.button("Another history", key="what-if-other", type="tertiary", on_click=_leave)
        if not whole:
            st.button(
                "With what it is linked with",
                key="what-if-widen",
                type="tertiary",
                on_click=_widen,
                args=(_middle(track).id,),
                help="The whole trace, across components, instead of this instance alone; its steps are numbered anew",
            )
        elif len(track.instance_ids) > 1:
            st.button(
                "This instance alone",
                key="what-if-narrow",
                type="tertiary",
                on_click=_narrow,
                args=(_middle(track).instance_id,),
            )
        if "replay" in widgets.PAGES:
            widgets.link("replay", "Replay it", **_address())
        if not whole:
            widgets.link("instances", "The instance", instance=first.instance_id)
        widgets.link("causality", "Causes and effects", event=_middle(track).id)
    if track.truncated:
        of = f" of {track.total:,}" if track.total else ""
        st.warning(
            f"Only the first {len(track.events):,}{of} events were read: what comes after them is not known here."
        )
    for note in track.notes:
        st.caption(markdown_escape(note[:1].upper() + note[1:], 600))


def _trace_name(track: Track) -> str:
    assert isinstance(track.scope, TraceScope)
    position = track.position_of(track.scope.event_id)
    event = track.step(position) if position else track.step(1)
    key = loading.ask(business_keys, (event.instance_id,)).get(event.instance_id, "")
    return f"{event.event_type} of {event.machine_name} {key or short_id(event.instance_id)}"


def _middle(track: Track) -> PersistedEvent:
    """The event that the page is at: the selected one, that of the step, else the last."""
    position = track.position_of(state.text("event"))
    step = state.text("step")
    if position is None and step.isdecimal() and len(step) < 9 and 0 < int(step) <= track.length:
        position = int(step)
    return track.step(position or track.length)


def _address() -> dict[str, str]:
    return {name: value for name in ("instance", "trace", "step") if (value := state.text(name))}


def _widen(event_id: str) -> None:
    _switch(trace=event_id, instance=None, event=event_id)


def _narrow(instance_id: str) -> None:
    _switch(instance=instance_id, trace=None, event=state.text("event") or None)


def _switch(**address: str | None) -> None:
    edits = what_if_draft.current().edits
    if state.text("run"):
        state.notice("Steps are numbered anew here, and the answer was put away: run the fork again.")
    state.put(step=None, run=None, **address)
    what_if_draft.keep(edits)


def _leave() -> None:
    state.put(instance=None, trace=None, step=None, event=None, edit=None, run=None)


def _choose() -> None:
    """Something to begin with: an id or key, the instances that wait for too long, the latest ones."""
    text = widgets.line(
        "Instance",
        "what-if-instance",
        "instance",
        placeholder="an instance id, or a business key such as ORD-00042",
    )
    what_if_result.upload()
    if text:
        _candidates(text)
        return
    st.info(
        "Change one event of a stored history and see what would have become of it. Choose an instance: write its id "
        "or business key above, or select a row. Nothing is written: what happens is run anew, in memory."
    )
    stuck = _stuck()
    if stuck:
        st.caption("Waiting for longer than normal, the most abnormal first:")
        _rows(tuple(item for item, _ in stuck), "stuck", {item.instance_id: waited for item, waited in stuck})
    latest = loading.ask(comparing.recent, state.components())
    if latest:
        st.caption(f"The latest {len(latest)} instances:")
        _rows(latest, "recent", {})
    else:
        st.info("No instance belongs to the components that are chosen in the sidebar.")


def _candidates(text: str) -> None:
    found = loading.ask(comparing.resolve, text)
    shown = markdown_escape(text, 120)
    if not found.candidates:
        where = f" Searched back to {moment_text(found.searched_to, state.zone())}." if found.searched_to else ""
        st.warning(f"Nothing in this store has **{shown}** as its id, or mentions it in a payload.{where}")
        return
    more = "; there are more" if found.more else ""
    st.caption(f"Several instances may be meant by **{shown}**{more}. Select one:")
    _rows(found.candidates, "candidates", {})


def _rows(items: tuple[InstanceSummary, ...], name: str, waited: dict[str, str]) -> None:
    known = loading.ask(business_keys, tuple(item.instance_id for item in items))
    rows = [
        {
            "business key": visible_text(known.get(item.instance_id, ""), 60),
            "machine": visible_text(item.machine_name, 80),
            "component": visible_text(item.component_name, 80) or state.NONE,
            "state": visible_text(item.state, 80),
            **({"waits for": waited[item.instance_id]} if waited else {}),
            "events": item.event_count,
            "last event": visible_text(item.last_event_type, 80),
            "last stored": moment_text(item.updated_at, state.zone()),
            "instance": visible_text(item.instance_id, 80),
        }
        for item in items
    ]
    tables.pick(
        rows,
        [item.instance_id for item in items],
        key=f"what-if-{name}",
        alt="Instances that wait for too long" if name == "stuck" else "Instances to choose from",
        on_pick=_open,
        height=tables.tall(min(len(rows), 12)),
    )


def _open(instance_id: str) -> None:
    state.put(instance=instance_id)


def _stuck() -> list[tuple[InstanceSummary, str]]:
    facts, asked = loading.ask_dated(overview.facts)
    if facts.time_range is None:
        return []
    chosen = state.components()
    counts, flows = loading.ask(overview.state_counts, chosen), loading.ask(overview.flows, chosen)
    view = overview_views.build(facts, counts, flows, loading.catalog(), asked, chosen)
    found = loading.ask(overview.waiting, view.waiting, as_of=min(facts.time_range[1], asked))
    return [(item.instance, duration_text(item.waited_ms)) for item in found.stuck[:SHOWN_STUCK]]
