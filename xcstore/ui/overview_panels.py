"""The parts of the Overview."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from xcstore.demo.simulation import LOST_ORDER
from xcstore.queries.causality import recent_events
from xcstore.queries.keys import business_keys
from xcstore.queries.overview import Activity, OddSample, Waiting
from xcstore.render import charts
from xcstore.render.labels import count_text, duration_text, markdown_escape, moment_text, short_id
from xcstore.render.theme import STATE_KINDS, STATUSES
from xcstore.ui import loading, state, widgets
from xcstore.units import EpochMs
from xcstore.views import overview as views

__all__ = ["activity", "attention", "headline", "machines", "stuck_number"]


def headline(view: views.Overview, odd: OddSample, asked: EpochMs) -> DeltaGenerator:
    """The numbers at the top, each with what it means; gives the place of `stuck_number`."""
    numbers = view.headline
    with st.grid(min_column_width=92, gap="small"):
        st.metric("Events", f"{numbers.events:,}")
        st.metric("Instances", f"{numbers.instances:,}")
        _status("active", numbers.active, "In a state with a way on: declared so, or seen to be left")
        stuck_at = st.empty()
        stuck_at.metric(STATUSES["stuck"].text, "…")
        _status("completed", numbers.completed, "In a final state of the definition")
        _status("error", numbers.error, "In an error state of the definition")
        if numbers.unknown:
            _status("unknown", numbers.unknown, "No definition says whether the state is an end, and nobody left it")
        st.metric("Newest", numbers.newest_age, help="Newest event: " + moment_text(numbers.newest_at, state.zone()))
    note = f"as of {moment_text(asked, state.zone())}"
    if odd.odd:
        note += f" · ▲ {views.odd_text(odd, numbers.events)} are stored in an odd form"
    st.caption(note)
    with st.container(horizontal=True, gap="medium"):
        widgets.link("integrity", "Is this store sound?")
        widgets.link("restore", "Could it be restored from what is in it?", part="drill")
    return stuck_at


def stuck_number(place: DeltaGenerator, waiting: Waiting) -> None:
    """How many instances are stuck."""
    place.metric(
        STATUSES["stuck"].text,
        views.stuck_text(waiting),
        help="Of the active ones: waiting for longer than the state normally lasts; the list below says by which rule",
    )


def _status(name: str, count: int, meaning: str) -> None:
    st.metric(STATUSES[name].text, f"{count:,}", help=meaning)


def attention(view: views.Overview, waiting: Waiting, odd: OddSample) -> None:
    """Stuck instances, failures and odd data; each line leads to what it speaks of."""
    st.subheader("Needs attention", anchor=False)
    zone = state.zone()
    failures = views.failures(view, zone)
    if not waiting.stuck and not failures and not odd.odd:
        st.caption(
            "Nothing: no instance waits longer than normal, none is in an error state, "
            f"none of the latest {odd.read:,} events is odd."
        )
    if not waiting.stuck:
        _replay_recent()
    else:
        st.markdown(
            f"**{STATUSES['stuck'].text}** · {views.stuck_text(waiting)}, the most abnormal first, "
            f"as of {moment_text(waiting.as_of, zone)}"
        )
        keys = loading.ask(business_keys, views.named(waiting))
        _replay_lost(waiting, keys)
        last = {item.instance.instance_id: item.instance.last_event_id for item in waiting.stuck}
        states = views.stuck_states(waiting, view, zone, keys=keys)
        with st.grid(min_column_width=400, gap="small"):
            for item in states[: views.SHOWN_STATES]:
                _stuck(item, last)
        if len(states) > views.SHOWN_STATES:
            st.caption(f"shown {views.SHOWN_STATES} of {len(states)} states with stuck instances")
        if waiting.sampled:
            st.caption(f"Normal lengths are from the latest instances. {markdown_escape(views.sample_text(waiting))}")
    if failures:
        st.markdown(f"**{STATUSES['error'].text}**")
        for failure in failures:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                widgets.link(
                    "instances",
                    f"{count_text(failure.count, 'instance')} of {_name(failure.component, failure.machine)}"
                    f" in {failure.state}",
                    component=failure.component or state.NONE,
                    machine=failure.machine,
                    state=failure.state,
                )
                st.caption(f"newest {failure.newest}")
    if endless := views.without_way_on(view):
        st.markdown("**No way on** · in states that are no ends, and that nothing declared or observed leaves")
        for row in endless[: views.SHOWN_STATES]:
            widgets.link(
                "instances",
                f"{count_text(row.count, 'instance')} of {_name(row.component, row.machine)} in {row.state}",
                component=row.component or state.NONE,
                machine=row.machine,
                state=row.state,
            )
        if len(endless) > views.SHOWN_STATES:
            st.caption(f"shown {views.SHOWN_STATES} of {len(endless)} such states")
    if odd.odd:
        st.markdown(f"**▲ Odd data** · {views.odd_text(odd, view.headline.events)}")
        for kind, count in odd.kinds[:5]:
            st.caption(f"{count:,}× {markdown_escape(kind, 200)}")
        with st.container(horizontal=True):
            for event_id in odd.event_ids[:5]:
                widgets.link("events", short_id(event_id), event=event_id)


def _replay_lost(waiting: Waiting, keys: Mapping[str, str]) -> None:
    """The demo's story, where it is in the store: the order whose answer from the warehouse was lost."""
    key = f"ORD-{LOST_ORDER:05d}"
    for item in waiting.stuck:
        instance = item.instance
        if keys.get(instance.instance_id) == key and instance.machine_name == "Order":
            label = f"Replay the lost order {key}, from just before it got stuck"
            widgets.link("replay", label, key=key, before=instance.last_event_id)
            return


def _replay_recent() -> None:
    events = loading.ask(recent_events, state.components())
    if events:
        label = f"Replay a recent instance, {events[0].machine_name} {short_id(events[0].instance_id)}"
        widgets.link("replay", label, instance=events[0].instance_id)


def _stuck(item: views.StuckState, last: Mapping[str, str]) -> None:
    ways = "; ".join(markdown_escape(way) for way in item.ways_on) or "nothing that is known"
    name = _name(item.component, item.machine)
    with st.container(border=True, gap="xsmall"):
        st.markdown(f"**{item.count} in {markdown_escape(item.state, 80)}** · {markdown_escape(name, 120)}")
        st.caption(f"{markdown_escape(item.rule)}  \nwould move on by: {ways}")
        for line in item.lines:
            widgets.link(
                "instances",
                f"{line.key or short_id(line.instance_id)} waits {line.waited}, since {line.since}",
                instance=line.instance_id,
                help=line.instance_id,
            )
        if item.lines:
            line = item.lines[0]
            widgets.link(
                "replay",
                f"Replay how {line.key or short_id(line.instance_id)} got here",
                instance=line.instance_id,
                before=last.get(line.instance_id, ""),
            )
        if item.count != str(len(item.lines)):
            widgets.link(
                "instances",
                f"all {item.count} and the others in this state",
                component=item.component or state.NONE,
                machine=item.machine,
                state=item.state,
            )


def _name(component: str, machine: str) -> str:
    return f"{component} / {machine}" if component else machine


def activity(found: Activity) -> None:
    """Events over time by component; the same numbers as a table below."""
    st.subheader("Events over time", anchor=False)
    st.vega_lite_chart(
        charts.events_over_time(
            [(count.bucket, count.key[0], count.count) for count in found.counts if count.bucket is not None],
            bucket_ms=found.bucket_ms,
            zone=state.zone(),
            dark=st.context.theme.type == "dark",
            height=240,
            components=loading.component_names(),
        ),
        theme=None,
        key="overview-activity",
        alt="Events over time, stacked by component",
    )
    with st.expander(f"One bar is {duration_text(found.bucket_ms)}: the numbers as a table"):
        st.dataframe(
            views.activity_table(found, state.zone()),
            key="overview-activity-table",
            hide_index=True,
            alt="Events over time by component",
        )


def machines(view: views.Overview, waiting: Waiting) -> None:
    """A row for each machine; picking one opens its instances."""
    st.subheader("Machines and their states", anchor=False)
    marks = " · ".join(f"{look.mark} {look.word}" for kind, look in STATE_KINDS.items() if kind != "event")
    st.caption(f"Pick a row to see its instances. {marks}")
    table = views.machines_table(view, views.stuck_by_machine(waiting), state.zone())
    keys = list(dict.fromkeys((row.component, row.machine) for row in view.rows))

    def opened() -> None:
        rows = st.session_state["overview-machines"].selection.rows
        if rows:
            st.session_state["overview-machine"] = keys[rows[0]]

    column = st.column_config
    st.dataframe(
        table,
        key="overview-machines",
        hide_index=True,
        on_select=opened,
        selection_mode="single-row",
        alt="Instances of each machine by status and state",
        column_config={
            "component": column.TextColumn("component", pinned=True),
            "machine": column.TextColumn("machine", pinned=True),
            "instances": column.NumberColumn("instances", format="localized"),
            **{
                name: column.NumberColumn(STATUSES[name].text, format="localized")
                for name in ("active", "stuck", "completed", "error", "unknown")
            },
            "states": column.ListColumn("instances now in state", width="large"),
        },
    )
    if picked := st.session_state.pop("overview-machine", None):
        widgets.go("instances", machine=picked[1], component=[picked[0] or state.NONE])
    _states(view)


def _states(view: views.Overview) -> None:
    with st.expander("Every state, as a table"):
        st.dataframe(
            views.states_table(view, state.zone()),
            key="overview-states",
            hide_index=True,
            alt="Instances by component, machine and current state",
            column_config={
                "share": st.column_config.ProgressColumn("share of machine", format="percent", max_value=1.0),
                "oldest": st.column_config.TextColumn("longest without event since"),
                "newest": st.column_config.TextColumn("newest event"),
            },
        )
