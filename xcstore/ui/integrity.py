"""The parts of the Integrity page."""

from __future__ import annotations

from typing import Final

import streamlit as st

from xcstore.analysis.integrity import KINDS, Finding, Report
from xcstore.model.catalog import Catalog
from xcstore.ops.verifying import verify
from xcstore.queries import overview
from xcstore.render.labels import ago_text, count_text, duration_text, markdown_escape
from xcstore.ui import loading, state, tables, widgets, working
from xcstore.views import integrity as views

__all__ = ["findings", "headline", "kinds", "notes", "report"]

LIMIT: Final = 1_000
"""Findings of each kind that are told."""


def report() -> Report | None:
    """The last report of the chosen store, or a new one where the button was pressed; None where there is none."""
    catalog = loading.catalog()
    kept = working.kept("verify", catalog)
    last: Report | None = kept.get("report")
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        pressed = st.button(
            "Verify again" if last else "Verify this store",
            key="integrity-run",
            type="secondary" if last else "primary",
        )
        said = st.empty()
    if pressed:
        kept["report"] = _run(catalog)
        st.rerun()  # the button says something else now
    if last is None:
        events = loading.ask(overview.facts).events
        st.info(
            f"Nobody has verified this store yet since the app was started. It reads {count_text(events, 'event')} and "
            "all snapshots once, writes nothing, and takes some seconds for each 100,000 events."
        )
        return None
    said.caption(
        f"verified {ago_text(last.asked_at, loading.now())}, in {duration_text(last.seconds * 1_000)}; "
        f"the same by command: `python -m xcstore verify {widgets.store_argument(last.store)}`"
    )
    if state.components():
        st.caption("Of the whole store: the components chosen in the sidebar are not looked at here.")
    return last


def _run(catalog: Catalog) -> Report:
    stores = loading.stores()
    return working.work(
        lambda note: verify(stores, catalog, limit=LIMIT, on_progress=note),
        key="integrity-cancel",
        noun="events and snapshots",
        words="Verifying",
    )


def headline(found: Report) -> None:
    """The verdict, and what was looked at."""
    st.markdown(f"**{markdown_escape(views.verdict(found))}**")
    with st.grid(min_column_width=92, gap="small"):
        for number in views.numbers(found):
            st.metric(number.label, number.value, help=number.meaning)
    widgets.link("restore", "Could it be restored from what is in it?", part="drill")


def kinds(found: Report) -> str:
    """The kinds with their counts; gives the chosen one, which is the worst that was found unless the address says."""
    order = views.kinds_in_order(found)
    asked = state.text("kind")
    if asked and asked not in found.counts:
        state.notice(f"'kind' in the address names no kind of finding that was looked for ({asked!r}).")
        asked = ""
    chosen = asked or order[0]
    tables.pick(
        views.kind_rows(found),
        order,
        key="integrity-kinds",
        alt="Findings by kind",
        on_pick=lambda kind: state.put(kind=kind, finding=None),
        selected=chosen,
        height=tables.tall(len(order)),
    )
    return chosen


def findings(found: Report, kind: str) -> None:
    """The findings of a kind, and the evidence of the one that is picked."""
    st.subheader(KINDS[kind].title, anchor=False)
    told = views.of_kind(found, kind)
    if not told:
        st.caption(f"None. {KINDS[kind].meaning}")
        return
    st.caption(views.shown_text(found, kind))
    number = state.text("finding")
    ids = [str(place) for place in range(len(told))]
    tables.pick(
        views.finding_rows(told),
        ids,
        key=f"integrity-findings-{kind}",
        alt=f"{KINDS[kind].title}, each in a row",
        on_pick=lambda picked: state.put(kind=kind, finding=picked),
        selected=number,
        height=tables.tall(min(len(told), 12)),
    )
    if number in ids:
        _evidence(told[int(number)])


def _evidence(finding: Finding) -> None:
    with st.container(border=True):
        st.markdown(f"**{markdown_escape(finding.what, 600)}**")
        st.markdown(f"Likely: {markdown_escape(finding.reason, 600)}")
        tables.show(
            views.evidence_rows(finding),
            key="integrity-evidence",
            alt="Evidence",
            height=tables.tall(len(finding.evidence)),
            widths={"evidence": 170, "what was seen": 900},
        )
        if finding.page:
            widgets.link(finding.page, views.link_text(finding), **finding.params)


def notes(found: Report) -> None:
    """What could not be checked."""
    if found.notes:
        st.subheader("What could not be checked", anchor=False)
        for note in found.notes:
            st.caption(markdown_escape(note[:1].upper() + note[1:], 600))
