"""The Restore page: its parts, and the snapshots of the store."""

from __future__ import annotations

from typing import Final

import streamlit as st

from xcstore.errors import NotFoundError
from xcstore.ops.auditing import STANDINGS, AuditedSnapshot, Standing, audit_instance, audit_page
from xcstore.queries import instances as queries
from xcstore.queries import overview
from xcstore.render.labels import count_text, markdown_escape, short_id
from xcstore.ui import drilling, loading, paging, recovering, restoring, state, tables, widgets
from xcstore.views import restore as views

__all__ = ["part", "show"]

ALL: Final = "all"
_PAGE: Final = "restore-snapshots-page"


def part() -> str:
    """Which part of the page is open."""
    return widgets.choice("Part", "restore-part", "part", views.PARTS)


def show(chosen: str) -> None:
    """Draw a part of the page; an empty store says what to do instead."""
    if loading.ask(overview.facts).time_range is None and loading.ask(audit_page, loading.catalog()).total == 0:
        widgets.empty_store(loading.stores().identity)
        return
    if chosen in ("snapshots", "restore") and loading.settings().redact:
        st.caption(markdown_escape(views.MASKED))
    {"snapshots": snapshots, "restore": restoring.show, "drill": drilling.show, "recovery": recovering.show}[chosen]()


def snapshots() -> None:
    """The latest snapshot of each instance against its events; one that is picked, with its evidence."""
    st.subheader("Snapshots against the events", anchor=False)
    options: dict[str, str] = {ALL: "All", **{name: views.WORDS[name] for name in STANDINGS}}
    only = widgets.choice(
        "Standing", "restore-standing", "standing", options, help="Others are audited too, and not shown"
    )
    standings: tuple[Standing, ...] = tuple(name for name in STANDINGS if name == only)
    place = paging.current(_PAGE, (loading.store_name(), only, state.components()))
    page = loading.ask(
        audit_page, loading.catalog(), standings=standings, components=state.components(), after=place.after
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(markdown_escape(views.page_text(page, place.before)))
        paging.buttons(_PAGE, place, page.audited, page.next, newer="Previous", older="Next")
    for standing in standings:
        st.caption(views.meaning(standing))
    if page.items:
        st.caption("Pick one to see what was compared, and every snapshot that is kept of its instance.")
        tables.pick(
            views.snapshot_rows(page.items, now=loading.now(), zone=state.zone()),
            [item.snapshot.instance.id for item in page.items],
            key="restore-snapshots",
            alt="Snapshots, each against the events of its instance",
            on_pick=lambda picked: state.put(instance=picked),
            selected=state.text("instance"),
            height=tables.tall(min(len(page.items), 14)),
            widths=views.WIDTHS,
        )
    elif page.next is not None:
        st.info(f"None of the {page.audited:,} that were audited here; Next goes on.")
    elif not page.total:
        st.info("The store holds no snapshot. Restoring folds all events of each instance; nothing is lost by that.")
    else:
        st.info("No snapshot stands so." if only != ALL else "No snapshot of the components chosen in the sidebar.")
    if instance_id := state.text("instance"):
        _kept(instance_id)


def _kept(instance_id: str) -> None:
    """Every snapshot of one instance, and what speaks against the latest."""
    st.subheader(f"Kept of {markdown_escape(short_id(instance_id))}", anchor=False)
    kept = loading.ask(audit_instance, instance_id, loading.catalog())
    has_events = _has_events(instance_id)
    if not kept and not has_events:
        st.info("The store holds neither an event nor a snapshot of this instance. Check the id, or the chosen store.")
        return
    with st.container(horizontal=True, gap="medium"):
        widgets.link_here("restore", "What restoring it would do", part="restore")
        if has_events:
            widgets.link("instances", "Open the instance", instance=instance_id)
    tables.show(
        views.kept_rows(kept, now=loading.now(), zone=state.zone()),
        key="restore-kept",
        alt="Snapshots that are kept of this instance, the latest first",
        empty="No snapshot of it is kept: restoring it folds all of its events.",
        height=tables.tall(min(len(kept), 12)),
        widths=views.WIDTHS,
    )
    if kept:
        _evidence(kept)


def _evidence(kept: tuple[AuditedSnapshot, ...]) -> None:
    told = [(number, item) for number, item in enumerate(kept) if item.findings]
    latest = kept[0]
    if not told:
        st.caption(views.meaning(latest.standing) + (" " + "None of those kept before disagrees." * (len(kept) > 1)))
        return
    for number, item in told[:3]:
        which = "the latest one" if number == 0 else f"the one {count_text(number, 'snapshot')} before the latest"
        st.caption(f"About {which}. {views.meaning(item.standing)}")
        rows = views.evidence_rows(item)
        tables.show(
            rows,
            key=f"restore-evidence-{number}",
            alt=f"What was compared for {which}",
            height=tables.tall(len(rows)),
            widths={"evidence": 170, "what was seen": 900},
        )
    if len(told) > 3:
        st.caption(f"shown 3 of {len(told):,} snapshots about which there is something to say")


def _has_events(instance_id: str) -> bool:
    try:
        loading.ask(queries.instance_history, instance_id, max_events=1)
    except NotFoundError:
        return False
    return True
