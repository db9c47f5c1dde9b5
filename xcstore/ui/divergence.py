"""The parts of the Divergence page."""

from __future__ import annotations

from typing import Final

import streamlit as st

from xcstore.model.catalog import Catalog
from xcstore.queries import overview
from xcstore.render.labels import ago_text, count_text, duration_text, markdown_escape
from xcstore.replay.divergence import divergence_map
from xcstore.replay.divergence_results import DivergenceMap, InstanceDivergence
from xcstore.replay.verdicts import DIVERGING, KINDS
from xcstore.ui import loading, state, tables, widgets, working
from xcstore.views import divergence as views

__all__ = ["found", "headline", "instances", "kinds", "machines", "notes"]

LIMIT: Final = 1_000
"""Diverging instances of each kind that are told."""


def found() -> DivergenceMap | None:
    """The last map of the chosen store, or a new one where the button was pressed; None where there is none."""
    catalog, components = loading.catalog(), state.components()
    kept = working.kept("divergence", catalog, components)
    last: DivergenceMap | None = kept.get("map")
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        pressed = st.button(
            "Replay again" if last else "Replay this store",
            key="divergence-run",
            type="secondary" if last else "primary",
        )
        said = st.empty()
    if pressed:
        kept["map"] = _run(catalog, components)
        st.rerun()  # the button says something else now
    if last is None:
        events = loading.ask(overview.facts).events
        of = f"the {count_text(len(components), 'component')} chosen in the sidebar" if components else "this store"
        st.info(
            f"Nobody has replayed {of} yet since the app was started. It executes every stored event once more through "
            f"the definition of its machine ({count_text(events, 'event')} in the store), writes nothing, and takes "
            "some seconds for each 100,000 events."
        )
        return None
    said.caption(
        f"replayed {ago_text(last.asked_at, loading.now())}, in {duration_text(last.seconds * 1_000)}; "
        f"the same by command: `python -m xcstore replay --verify {widgets.store_argument(last.store)}`"
    )
    if components:
        names = ", ".join(markdown_escape(name or "(none)", 60) for name in components)
        st.caption(f"Of the components chosen in the sidebar alone: {names}.")
    return last


def _run(catalog: Catalog, components: tuple[str, ...]) -> DivergenceMap:
    stores = loading.stores()
    return working.work(
        lambda note: divergence_map(stores, catalog, limit=LIMIT, on_progress=note, components=components),
        key="divergence-cancel",
        noun="events",
        words="Replaying",
    )


def headline(shown: DivergenceMap) -> None:
    """The verdict, and what was replayed."""
    st.markdown(f"**{markdown_escape(views.verdict(shown))}**")
    with st.grid(min_column_width=112, gap="small"):
        for number in views.numbers(shown):
            st.metric(number.label, number.value, help=number.meaning)


def machines(shown: DivergenceMap) -> str:
    """The map; gives the machine that is picked, '' for all."""
    st.subheader("By machine and version of its definition", anchor=False)
    ids = [views.machine_id(row) for row in shown.rows]
    picked = _asked("machine_version", ids)
    tables.pick(
        views.machine_rows(shown),
        ids,
        key="divergence-machines",
        alt="Verdicts by machine and version of its definition",
        on_pick=lambda chosen: state.put(machine_version=chosen, instance=None),
        selected=picked,
        height=tables.tall(min(len(ids), 12)),
        widths={"is": 110, "version": 110},
    )
    return picked


def kinds(shown: DivergenceMap) -> str:
    """What was found, by kind; gives the kind that is picked, '' for all."""
    st.subheader("By kind", anchor=False)
    order = views.kinds_in_order(shown)
    if not order:
        st.caption("Nothing: every event is the same in state and values.")
        return ""
    picked = _asked("kind", order)
    tables.pick(
        views.kind_rows(shown),
        order,
        key="divergence-kinds",
        alt="What was found, by kind",
        on_pick=lambda chosen: state.put(kind=chosen, instance=None),
        selected=picked,
        height=tables.tall(len(order)),
        widths={"is": 130, "kind": 150, "what it is": 760},
    )
    return picked


def instances(shown: DivergenceMap, machine: str, kind: str) -> None:
    """The diverging instances of what is picked, and the first divergence of the one that is picked."""
    st.subheader("Diverging instances", anchor=False)
    if machine or kind:
        st.button("Show all", key="divergence-all", type="tertiary", on_click=_show_all)
    told = views.chosen(shown, machine, kind)
    if not told:
        st.caption("None." if not kind else f"None: {KINDS[kind].title} is the first divergence of no such instance.")
        return
    st.caption(views.shown_text(shown, told, machine, kind))
    ids = [one.instance_id for one in told]
    picked = state.text("instance")
    tables.pick(
        views.instance_rows(told, state.zone()),
        ids,
        key=f"divergence-instances-{machine}-{kind}",
        alt="Diverging instances with their first divergence",
        on_pick=lambda chosen: state.put(instance=chosen),
        selected=picked,
        height=tables.tall(min(len(told), 12)),
        widths={"is": 130, "kind": 150, "why": 560, "of": 50},
    )
    if picked in ids:
        _first(told[ids.index(picked)])


def _first(one: InstanceDivergence) -> None:
    with st.container(border=True):
        st.markdown(f"**{KINDS[one.kind].title}: step {one.position:,} of {one.events:,}**")
        st.markdown(markdown_escape(one.reason[:1].upper() + one.reason[1:], 1_000))
        if one.changes:
            st.caption(views.changes_text(one))
            tables.show(
                views.change_rows(one),
                key="divergence-changes",
                alt="Values that differ",
                height=tables.tall(min(len(one.changes), 8)),
                widths={"field": 220, "by the definition": 380, "recorded": 380},
            )
        diverging = sum(count for verdict, count in one.counts.items() if verdict in DIVERGING)
        if diverging > 1:
            st.caption(f"The first of {diverging:,} divergences of this instance.")
        with st.container(horizontal=True):
            widgets.link("replay", "Replay it at this step", instance=one.instance_id, step=str(one.position))
            widgets.link("instances", "Open the instance", instance=one.instance_id)


def _asked(name: str, known: list[str]) -> str:
    asked = state.text(name)
    if asked and asked not in known:
        state.notice(f"'{name}' in the address names nothing that was found ({asked!r}).")
        return ""
    return asked


def _show_all() -> None:
    state.put(machine_version=None, kind=None)


def notes(shown: DivergenceMap) -> None:
    """What the verdicts stand on."""
    st.subheader("What to know", anchor=False)
    for note in shown.notes:
        st.caption(markdown_escape(note[:1].upper() + note[1:], 600))
