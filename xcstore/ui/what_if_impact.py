"""What another definition would have made of the stored instances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import streamlit as st

from xcstore.errors import XcstoreError
from xcstore.queries import overview
from xcstore.render.labels import ago_text, count_text, duration_text, markdown_escape, short_id
from xcstore.replay.impact import Impact, definition_impact
from xcstore.ui import loading, state, tables, what_if_definition, widgets, working
from xcstore.views import what_if_impact as views

__all__ = ["show"]

_FOUND: Final = "what-if-impact-found"
_EXAMPLE: Final = "what-if-example"
WIDTHS: Final = {
    "machine": 110,
    "instance": 105,
    "ends now in": 150,
    "would end in": 150,
    "instances": 85,
    "parts at": 80,
    "there": 260,
    "why": 420,
    "what differs in the definition": 420,
}


def show() -> None:
    """Give a definition, run the stored instances through both, and see which end elsewhere."""
    present = {name for name, _ in loading.ask(overview.facts).components}
    known = [component for component in loading.catalog() if component.name in present]
    if not known:
        st.info(
            "No definition of the components in this store is known. Add their documents under Definitions in the "
            "sidebar, or name their folder in the settings."
        )
        return
    st.caption(
        "Every stored instance of the component is run through the definition that is known and through the one below. "
        "What others sent is assumed to be sent the same. Nothing is written."
    )
    with st.expander("The other definition", expanded=True):
        candidate = what_if_definition.edited(
            known, key="what-if-impact", chosen=state.text("definition"), apply="Run the stored instances through it"
        )
    if candidate is not None:
        catalog = loading.catalog()
        stores = loading.stores()
        try:
            found = working.work(
                lambda note: definition_impact(stores, candidate, catalog=catalog, on_progress=note),
                key="what-if-impact-cancel",
                noun="instances",
                words="Reading the store",
            )
        except XcstoreError as error:
            st.error(markdown_escape(str(error), 800), icon=None)
            return
        st.session_state[_FOUND] = (stores.identity, found)
        st.session_state.pop(_EXAMPLE, None)
    kept: tuple[str, Impact] | None = st.session_state.get(_FOUND)
    if kept is not None and kept[0] == loading.stores().identity:
        _said(kept[1])


def _said(found: Impact) -> None:
    st.subheader(markdown_escape(views.headline(found), 600), anchor=False)
    st.caption(
        f"{markdown_escape(found.component_name, 80)} {found.current_hash[:8]} against {found.candidate_hash[:8]} · "
        f"{ago_text(found.asked_at, loading.now())}, in {duration_text(found.seconds * 1_000)}"
    )
    with st.grid(min_column_width=120, gap="small"):
        for number in views.numbers(found):
            st.metric(number.label, number.value, help=number.meaning)
    for note in views.notes(found):
        st.caption(markdown_escape(note[:1].upper() + note[1:], 600))
    _table("By machine", views.machine_rows(found.machines), "machines")
    moves = views.move_rows(found.machines)
    _table("Where the ends move", moves, "moves", empty="No instance is seen to end elsewhere.")
    _examples(found)
    _table("Events that would be ignored", views.ignored_rows(found.machines), "ignored")
    _table("States that other numbers of instances reach", views.reached_rows(found.machines), "reached")
    _table("Why nobody can tell", views.unknown_rows(found.machines), "unknown")


def _table(title: str, rows: Sequence[dict[str, object]], name: str, *, empty: str = "") -> None:
    if not rows and not empty:
        return
    st.markdown(f"**{title}**")
    tables.show(
        rows,
        key=f"what-if-impact-{name}",
        alt=title,
        empty=empty,
        height=tables.tall(min(len(rows), 12)) if rows else None,
        widths=WIDTHS,
    )


def _examples(found: Impact) -> None:
    """Some instances that end elsewhere, each with the way to look at it."""
    rows = views.example_rows(found.machines)
    if not rows:
        return
    st.markdown(f"**{count_text(len(rows), 'example')}** · select one to open it")
    ids = [str(number) for number in range(len(rows))]
    selected = str(st.session_state.get(_EXAMPLE, ""))
    tables.pick(
        [row.cells for row in rows],
        ids,
        key="what-if-impact-examples",
        alt="Instances that would end elsewhere",
        on_pick=lambda number: st.session_state.update({_EXAMPLE: number}),
        selected=selected,
        height=tables.tall(min(len(rows), 12)),
        widths=WIDTHS,
    )
    if selected not in ids:
        return
    row = rows[int(selected)]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Instance {markdown_escape(short_id(row.instance_id))}, where the two part:", width="content")
        event = {"event": row.event_id} if row.event_id else {}
        if "replay" in widgets.PAGES:
            widgets.link("replay", "Replay it", instance=row.instance_id, **event)
        widgets.link("what_if", "What if, there", instance=row.instance_id, **event)
        widgets.link("instances", "The instance", instance=row.instance_id, **event)
