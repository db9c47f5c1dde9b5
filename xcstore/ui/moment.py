"""The parts of the As of page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import streamlit as st

from xcstore.queries import moment as queries
from xcstore.queries import overview
from xcstore.render.labels import count_text, markdown_escape, visible_text
from xcstore.replay.cuts import Consistency, Crossing, consistency
from xcstore.ui import loading, paging, state, tables, widgets
from xcstore.units import MINUTE, EpochMs, from_utc, to_utc
from xcstore.views import moment as views

__all__ = ["chosen", "cut", "instances", "states"]

PAGE: Final = 25
_SLIDER: Final = "moment-slider"
_AROUND: Final = 5 * MINUTE

Narrowed = tuple[tuple[str, ...], str, str]
"""Components, machine and state that instances are narrowed to."""


def chosen() -> EpochMs | None:
    """The moment to look at, from the address; the newest event where it names none; None in an empty store."""
    bounds = loading.ask(overview.facts).time_range
    if bounds is None:
        widgets.empty_store(loading.stores().identity)
        return None
    address = state.moment("at")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        typed = widgets.moment("Moment", "moment-at", "at", address, placeholder="newest event")
        at = bounds[1] if typed is None else typed
        _slider(at, bounds)
    widgets.link(
        "replay",
        "Replay the five minutes before and after",
        **{"from": state.to_text(EpochMs(at - _AROUND)), "to": state.to_text(EpochMs(at + _AROUND))},
    )
    return at


def _slider(at: EpochMs, bounds: tuple[EpochMs, EpochMs]) -> None:
    first, last = (to_utc(bound) for bound in bounds)
    if first is None or last is None or first == last:
        return
    # The browser is given wall times of the chosen zone; the address keeps the moment itself.
    zone = state.zone()
    low, high = (moment.astimezone(zone).replace(tzinfo=None) for moment in (first, last))
    here = to_utc(EpochMs(min(max(at, bounds[0]), bounds[1])))
    assert here is not None  # between the two
    st.session_state[_SLIDER] = min(max(here.astimezone(zone).replace(tzinfo=None), low), high)

    def moved() -> None:
        picked: datetime = st.session_state[_SLIDER]
        found = from_utc(picked.replace(tzinfo=zone).astimezone(UTC))
        state.put(
            at=state.to_text(EpochMs(min(max(found, bounds[0]), bounds[1]))),
            state=None,
            machine=None,
            machine_component=None,
        )

    beyond = at < bounds[0] or at > bounds[1]
    st.slider(
        f"From the first event to the last{', between which the moment does not lie' if beyond else ''}",
        low,
        high,
        key=_SLIDER,
        format="YYYY-MM-DD HH:mm:ss",
        on_change=moved,
    )


def cut(at: EpochMs) -> None:
    """Whether the moment cuts an effect from its cause, and the way to better ones near by."""
    found = loading.ask(consistency, at, catalog=loading.catalog())
    view = views.cut_view(found, state.zone())
    bounds = loading.ask(overview.facts).time_range
    beyond = "" if bounds is None else views.beyond_text(at, bounds, state.zone())
    if beyond:
        st.info(beyond)
        if not found.events:
            return
    {"success": st.success, "info": st.info, "warning": st.warning}[view.level](view.verdict)
    if view.ways:
        with st.container(horizontal=True, gap="medium"):
            for way in view.ways:
                widgets.link_here("moment", way.label, at=state.to_text(way.at))
    with st.expander(_crossing_title(found), expanded=not found.is_consistent):
        _crossings(found.cut, found.cut_count, "moment-cut", "Effects without their cause")
        _crossings(found.in_flight, found.in_flight_count, "moment-flying", "On its way")
        if not found.cut_count and not found.in_flight_count:
            st.caption("Nothing.")
        for note in view.notes:
            st.caption(markdown_escape(note))


def _crossing_title(found: Consistency) -> str:
    if not found.is_consistent:
        return f"Effects without their cause ({found.cut_count:,}), and what is on its way ({found.in_flight_count:,})"
    return f"What is on its way then ({found.in_flight_count:,}), and how far was looked"


def _crossings(crossings: tuple[Crossing, ...], count: int, key: str, title: str) -> None:
    if not crossings:
        return
    st.markdown(f"**{title}**" + (f", shown {len(crossings):,} of {count:,}" if len(crossings) < count else ""))
    tables.show(
        views.crossing_rows(crossings, state.zone()), key=key, alt=title, height=tables.tall(min(len(crossings), 10))
    )


def states(at: EpochMs) -> Narrowed | None:
    """Instances by state, of which one may be picked: gives its components, machine and name."""
    found = loading.ask(queries.states_then, at, state.components())
    st.subheader("In which state they were", anchor=False)
    rows = views.state_rows(found, loading.catalog().find_machine)
    names = [(row.component_name, row.machine_name, row.state) for row in found.rows]
    component, machine, name = (state.text(param) for param in ("machine_component", "machine", "state"))
    ids = [str(number) for number in range(len(names))]
    components = ("" if component == state.NONE else component,) if component else state.components()
    here = (
        str(number)
        for number, row in enumerate(names)
        if row[1:] == (machine, name) and (not components or row[0] in components)
    )

    def pick(number: str) -> None:
        component, machine, name = names[int(number)]
        state.put(machine_component=component or state.NONE, machine=machine, state=name, instance=None)

    tables.pick(
        rows,
        ids,
        key="moment-states",
        alt="Instances by state, then and now",
        on_pick=pick,
        selected=next(here, None),
        height=tables.tall(min(len(rows), 14)),
    )
    st.caption(f"{views.states_note(found)} Up to then {count_text(found.created, 'creation')} had been stored.")
    return (components, machine, name) if machine and name else None


def instances(at: EpochMs, narrowed: Narrowed | None) -> None:
    """A page of the instances that there were, with ways on from the one that is picked."""
    components, machine, name = narrowed or (state.components(), "", "")
    st.subheader("Which instances there were", anchor=False)
    place = paging.current("moment-page", (loading.store_name(), at, components, machine, name))
    page = loading.ask(
        queries.instances_then,
        at,
        components=components,
        machine=machine,
        state=name,
        after=place.after,
        limit=PAGE,
    )
    rows = views.instance_rows(page, loading.catalog().find_machine, at, state.zone())
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(_summary(len(rows), place.before, narrowed))
        paging.buttons("moment-page", place, len(rows), page.next, newer="Newer", older="Older")
    if not narrowed:
        st.caption("Instances whose creation is not stored are left out here; select a state above to find them too.")
    else:
        widgets.link("moment", "All machines and states", at=state.to_text(at))
    if not rows:
        st.info("No instance is found here as of this moment." if place.before == 0 else "No more instances.")
        return
    ids = [one.instance_id for one in page.instances]
    tables.pick(
        rows,
        ids,
        key="moment-instances",
        alt="Instances as of the moment",
        on_pick=lambda picked: state.put(instance=picked),
        selected=state.text("instance"),
        height=tables.tall(len(rows)),
    )
    for one in page.instances:
        if one.instance_id == state.text("instance"):
            with st.container(horizontal=True, gap="medium"):
                widgets.link("replay", "Replay it up to here", instance=one.instance_id, event=one.last.id)
                widgets.link("instances", "Open the instance", instance=one.instance_id, event=one.last.id)


def _summary(shown: int, before: int, narrowed: Narrowed | None) -> str:
    where = f" of {visible_text(narrowed[1], 80)} in {visible_text(narrowed[2], 80)}" if narrowed else ""
    order = "latest entry first" if narrowed else "latest creation first"
    span = f"shown {before + 1:,} to {before + shown:,}" if shown else "shown none"
    return markdown_escape(f"{span}{where}, {order}. Select a row to go on.")
