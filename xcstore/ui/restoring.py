"""The Restore page: what a restore would bring back, and a fresh runtime in memory that it was brought back into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import streamlit as st

from xcstore.model.catalog import Catalog
from xcstore.ops.fresh_runtime import FreshRuntime, fresh_runtime
from xcstore.ops.restoration import restoration, restorations
from xcstore.ops.restoration_results import InstanceRestoration, RestorationReport
from xcstore.queries import instances as queries
from xcstore.queries import overview
from xcstore.render.labels import ago_text, count_text, duration_text, markdown_escape, short_id
from xcstore.store.base import Stores
from xcstore.ui import loading, state, tables, widgets, working
from xcstore.units import EpochMs
from xcstore.views import restoring as views

__all__ = ["show"]

CLOCKS: Final = {"last": "the last event of the store", "now": "now"}
TOLD: Final = 200
PROBLEMS: Final = 20
_FRESH: Final = "restoring-fresh"
_ROWS: Final = "restoring-fresh-rows"

Question = tuple[str, str, tuple[str, ...], str, tuple[str, ...]]
"""Store, instance, components, clock, definitions."""


def show() -> None:
    """A dry run for one instance or all, then the runtime."""
    st.subheader("What a restore would bring back", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        instance_id = widgets.line("Instance", "restoring-instance", "instance", placeholder="all of them")
        clock = widgets.choice(
            "The runtime's clock says",
            "restoring-clock",
            "clock",
            CLOCKS,
            help="Timers run on from there: those that fell due before it would fire once",
        )
    at = loading.ask(queries.newest) if clock == "last" else None
    known = tuple(sorted(component.hash for component in loading.catalog()))
    question: Question = (loading.store_name(), instance_id, state.components(), clock, known)
    restored = _one(instance_id, at) if instance_id else _all(question, at)
    if restored is not None:
        _runtime(question, restored, (instance_id,) if instance_id else (), at)


def _one(instance_id: str, at: EpochMs | None) -> int | None:
    """What would come back of one instance; how many that are."""
    item = loading.ask(_of_one, instance_id, loading.catalog(), at)
    if item is None or any(problem.kind == "not_stored" for problem in item.problems):
        st.info("The store holds neither an event nor a snapshot of this instance. Check the id, or the chosen store.")
        return None
    rows = views.fact_rows(item, state.zone())
    tables.show(
        rows,
        key="restoring-facts",
        alt=f"What would come back of {short_id(instance_id)}",
        height=tables.tall(len(rows)),
        widths={"what": 200, "is": 900},
    )
    with st.container(horizontal=True, gap="medium"):
        widgets.link("instances", "Open the instance", instance=instance_id)
        widgets.link_here("restore", "Its snapshots", part="snapshots")
    return int(item.outcome == "restored")


def _of_one(stores: Stores, instance_id: str, catalog: Catalog, at: EpochMs | None) -> InstanceRestoration | None:
    return next(iter(restorations(stores, catalog, instance_ids=(instance_id,), as_of=at)), None)


def _all(question: Question, at: EpochMs | None) -> int | None:
    """What would come back of all instances; how many that are, None before anybody asked."""
    found = _dry_run(question, at)
    if found is None:
        return None
    _report(found)
    return found.restored


def _dry_run(question: Question, at: EpochMs | None) -> RestorationReport | None:
    """The last dry run of this question, or a new one; None where nobody asked for one yet."""
    kept = _kept(loading.stores().identity, repr(loading.settings().redact), question[2:])
    last = kept.get("report")
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        pressed = st.button(
            "Look again" if last else "Look what would come back",
            key="restoring-run",
            type="secondary" if last else "primary",
        )
        said = st.empty()
    if pressed:
        stores, catalog, components = loading.stores(), loading.catalog(), state.components()
        kept["report"] = working.work(
            lambda note: restoration(stores, catalog, components=components, as_of=at, limit=TOLD, on_progress=note),
            key="restoring-cancel",
            noun="instances",
            words="Looking",
        )
        st.rerun()  # the button says something else now
    if last is None:
        st.info(
            f"It reads {count_text(loading.ask(overview.facts).events, 'event')} and all snapshots once, and writes "
            "nothing. Then it says what would come back and from what, which timers would run on, and what would not "
            "come back."
        )
        return None
    took = duration_text(last.seconds * 1_000)
    said.caption(f"a dry run, {ago_text(last.asked_at, loading.now())}, in {took}; nothing was written")
    return last


@st.cache_resource(max_entries=32, show_spinner=False)
def _kept(identity: str, redact: str, question: tuple[object, ...]) -> dict[str, RestorationReport]:
    """The last dry run of each question, for everybody in this process."""
    return {}


def _report(found: RestorationReport) -> None:
    st.markdown(f"**{markdown_escape(views.verdict(found))}**")
    with st.grid(min_column_width=104, gap="small"):
        for number in views.numbers(found):
            st.metric(number.label, number.value, help=number.meaning)
    tables.show(
        views.component_rows(found),
        key="restoring-components",
        alt="What would come back of each component",
        height=tables.tall(len(found.components)),
        widths=views.COMPONENT_WIDTHS,
    )
    for note in found.notes:
        st.caption(markdown_escape(note, 600))
    if not found.told_of:
        return
    st.subheader("With something to say", anchor=False)
    rows = views.problem_rows(found)
    tables.show(
        rows,
        key="restoring-problems",
        alt="Problems by kind",
        height=tables.tall(len(rows)),
        widths={"problem": 560, "instances": 90},
    )
    st.caption(views.told_text(found))
    tables.pick(
        views.told_rows(found.told),
        [item.instance_id for item in found.told],
        key="restoring-told",
        alt="Instances with something to say",
        on_pick=lambda picked: state.put(instance=picked),
        height=tables.tall(min(len(found.told), 10)),
        widths={"is": 120, "machine": 90, "state": 90, "problem": 460},
    )


def _runtime(question: Question, restored: int, ids: Sequence[str], at: EpochMs | None) -> None:
    """The fresh runtime of this session: made on request, looked at, thrown away."""
    st.subheader("A fresh runtime", anchor=False)
    asked, made = st.session_state.get(_FRESH, (None, None))
    if made is not None and asked == question:
        _look_at(made)
        return
    if not restored:
        st.caption("Nothing of this would live in one.")
        return
    st.caption(
        "Brings them back into a runtime in memory, in this session alone. It is given no store to write to: "
        "nothing that happens in it is stored."
    )
    sure = st.checkbox(f"Bring {count_text(restored, 'instance')} back, in memory", key="restoring-sure")
    if st.button("Restore into a fresh runtime", key="restoring-restore", disabled=not sure) and sure:
        stores, catalog = loading.stores(), _chosen(loading.catalog())
        made = working.work(
            lambda note: fresh_runtime(stores, catalog, instance_ids=ids, as_of=at),
            key="restoring-cancel-fresh",
            noun="instances",
            words="Bringing them back",
        )
        st.session_state[_FRESH] = (question, made)
        st.rerun()


def _chosen(catalog: Catalog) -> Catalog:
    """Definitions of the components that are chosen in the sidebar."""
    chosen = state.components()
    return Catalog(component for component in catalog if component.name in chosen) if chosen else catalog


def _look_at(made: FreshRuntime) -> None:
    """What lives in it, with a button to let it go on, and one to throw it away."""
    st.markdown(f"**{markdown_escape(views.fresh_text(made, state.zone()))}**")
    waiting = views.waiting_text(made)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        if waiting and st.button("Let it go on", key="restoring-go-on", help=waiting):
            made.go_on()
            st.session_state.pop(_ROWS, None)
            st.rerun()
        if st.button("Throw it away", key="restoring-discard"):
            st.session_state.pop(_FRESH, None)
            st.session_state.pop(_ROWS, None)
            st.rerun()
        if waiting:
            st.caption(markdown_escape(waiting))
    for problem in made.problems[:PROBLEMS]:
        st.caption(markdown_escape(f"▲ {problem}", 400))
    if made.problem_count > PROBLEMS:
        st.caption(f"shown {PROBLEMS} of {count_text(made.problem_count, 'problem')}")
    if _ROWS not in st.session_state:
        # Looking copies what lives; a page that is drawn again need not do so.
        st.session_state[_ROWS] = views.population_rows(made), views.living_rows(views.living(made))
    population, living = st.session_state[_ROWS]
    tables.show(
        population, key="restoring-population", alt="What lives, by state", height=tables.tall(min(len(population), 12))
    )
    total = sum(row["instances"] for row in population)
    st.caption(
        f"shown {len(living):,} of {count_text(total, 'living instance')}, in order of creation in each component"
    )
    tables.show(
        living,
        key="restoring-living",
        alt="Instances that live in the fresh runtime",
        height=tables.tall(min(len(living), 10)),
        widths={"pending": 260, "values": 320},
    )
