"""The Restore page: the drill, which proves that the store can be restored from what is in it."""

from __future__ import annotations

from typing import Final

import streamlit as st

from xcstore.jsontext import json_text
from xcstore.ops.drill import Damage, DrillReport, drill
from xcstore.queries import overview
from xcstore.render.labels import ago_text, count_text, markdown_escape, visible_text
from xcstore.ui import loading, state, tables, widgets, working
from xcstore.views import drilling as views

__all__ = ["show"]

WIDTHS: Final = {
    "kind": 150,
    "where": 220,
    "what": 620,
    "phase": 110,
    "took": 80,
    "of": 130,
    "count": 80,
    "SHA-256": 520,
}


def show() -> None:
    """The last certificate of the store, or a new one."""
    st.subheader("Could it be restored from what is in it?", anchor=False)
    found = _report()
    if found is not None:
        _certificate(found)
    st.caption("The same at a shell, for CI: exit status 0 is passed, 1 failed, 2 not readable. It takes backups too.")
    st.code(views.command(loading.stores().identity), language="bash", wrap_lines=True)


def _report() -> DrillReport | None:
    catalog = loading.catalog()
    kept = working.kept("drill", catalog)
    last: DrillReport | None = kept.get("report")
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        pressed = st.button(
            "Run the drill again" if last else "Run the drill",
            key="drilling-run",
            type="secondary" if last else "primary",
        )
        widgets.link("integrity", "Is it sound? Verify it too")
        said = st.empty()
    if pressed:
        kept["report"] = _run()
        st.rerun()  # the button says something else now
    if last is None:
        events = loading.ask(overview.facts).events
        st.info(
            f"The drill reads {count_text(events, 'event')} and all snapshots, restores them into a temporary store, "
            "compares counts and digests, and brings every live instance back. It writes nothing to this store, and "
            "says what is damaged where it fails."
        )
        return None
    said.caption(f"drilled {ago_text(last.asked_at, loading.now())}")
    if state.components():
        st.caption("Of the whole store: the components chosen in the sidebar are not looked at here.")
    return last


def _run() -> DrillReport:
    settings = loading.settings()
    source, catalog = settings.store_urls()[loading.store_name()], loading.catalog()
    return working.work(
        lambda note: drill(
            source,
            settings,
            definitions=catalog.components,
            on_progress=lambda phase, done, total: note(done, total or done),
        ),
        key="drilling-cancel",
        noun="events, snapshots and instances",
        words="Reading",
    )


def _certificate(found: DrillReport) -> None:
    st.markdown(f"**{markdown_escape(views.verdict(found))}**")
    with st.grid(min_column_width=104, gap="small"):
        for number in views.numbers(found, state.zone()):
            st.metric(number.label, number.value, help=markdown_escape(number.meaning))
    if text := views.left_out_text(found):
        st.caption(text)
    _damages("What is damaged", found.damages, found.damage_count, "damage")
    _damages("Odd, and restored all the same", found.warnings, found.warning_count, "warning")
    for note in found.notes:
        st.caption(markdown_escape(note[:1].upper() + note[1:], 600))
    st.subheader("What was done", anchor=False)
    rows, digests = views.phase_rows(found), views.digest_rows(found)
    first, second = st.columns([1, 3])
    with first:
        tables.show(rows, key="drilling-phases", alt="Phases of the drill", height=tables.tall(len(rows)))
    with second:
        tables.show(
            digests,
            key="drilling-digests",
            alt="Counts and digests",
            height=tables.tall(len(digests)),
            widths=WIDTHS,
            empty="There are none, as the source could not be read whole.",
        )
    st.download_button(
        "Download the certificate",
        data=json_text(found.document()),
        file_name=views.file_name(found, state.zone()),
        mime="application/json",
        key="drilling-download",
        on_click="ignore",
        help=visible_text("JSON: the verdict, damages, counts, digests and times"),
    )


def _damages(title: str, damages: tuple[Damage, ...], count: int, noun: str) -> None:
    if not count:
        return
    st.subheader(title, anchor=False)
    if len(damages) < count:
        st.caption(views.damages_text(len(damages), count, noun))
    tables.show(
        views.damage_rows(damages),
        key=f"drilling-{noun}",
        alt=title,
        height=tables.tall(min(len(damages), 12)),
        widths=WIDTHS,
    )
