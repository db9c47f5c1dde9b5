"""The Restore page: writing anew what is missing of the snapshots, with a preview, a confirmation, and a way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from xcstore.ops.pruning import ALL_SNAPSHOTS
from xcstore.ops.recovery import recover, undo
from xcstore.ops.recovery_plan import RecoveryPlan, plan_recovery
from xcstore.render.labels import ago_text, markdown_escape
from xcstore.store.base import Stores
from xcstore.store.opening import open_stores
from xcstore.ui import loading, state, tables, working
from xcstore.views import recovering as views

__all__ = ["show"]

_PLAN: Final = "recovering-plan"
_DONE: Final = "recovering-done"
_UNDONE: Final = "recovering-undone"
WIDTHS: Final = {"because": 270, "state": 110, "machine": 110, "as of event": 130, "differs": 240, "snapshots": 80}


def show() -> None:
    """What would be written, the button, and how it is taken back."""
    st.subheader("Write snapshots anew from the events", anchor=False)
    st.caption(
        "Where a snapshot is missing, behind, or disagrees, one is made from the events of its instance. No event "
        "changes. What is replaced is written to a log first, and the log takes everything back."
    )
    _last()
    stores, settings = loading.stores(), loading.settings()
    identity = stores.identity
    refused = views.cannot_recover(stores.events.layout, stores.events.declares, masked=bool(settings.redact))
    if refused:
        st.info(refused)
        if stores.events.layout == "ours":
            st.code(views.command(identity), language="bash", wrap_lines=True)
        return
    plan = _plan(stores)
    if plan is not None:
        _preview(plan)
    if plan is None or not plan.is_empty:
        if settings.allow_write:
            if plan is not None:
                _write(plan)
        else:
            st.caption("This app only reads, as XCSTORE\\_ALLOW\\_WRITE is not true. At a shell, this line does it:")
            st.code(views.command(identity), language="bash", wrap_lines=True)
    st.caption(
        "What a backup has and this store lacks is put back by `recover URL --from BACKUP`, logged the same way."
    )


def _plan(stores: Stores) -> RecoveryPlan | None:
    """The plan that this session looks at; None before it asked for one."""
    made_for: tuple[str, RecoveryPlan] | None = st.session_state.get(_PLAN)
    plan = made_for[1] if made_for is not None and made_for[0] == loading.store_name() else None
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        pressed = st.button(
            "Look again" if plan else "Look what would be written",
            key="recovering-run",
            type="secondary" if plan else "primary",
        )
        if plan is not None:
            st.caption(f"looked {ago_text(plan.asked_at, loading.now())}; nothing was written")
    if pressed:
        catalog = loading.catalog()
        plan = working.work(
            lambda note: plan_recovery(stores, catalog, on_progress=note),
            key="recovering-cancel",
            noun="instances",
            words="Looking",
        )
        st.session_state[_PLAN] = (loading.store_name(), plan)
        st.rerun()  # the button says something else now
    return plan


def _preview(plan: RecoveryPlan) -> None:
    st.markdown(f"**{markdown_escape(views.verdict(plan))}**")
    with st.grid(min_column_width=104, gap="small"):
        for number in views.numbers(plan):
            st.metric(number.label, number.value, help=number.meaning)
    for note in plan.notes:
        st.caption(markdown_escape(note, 600))
    if plan.snapshots:
        reasons = views.reason_rows(plan)
        tables.show(
            reasons,
            key="recovering-reasons",
            alt="Why snapshots would be written",
            height=tables.tall(len(reasons)),
            widths=WIDTHS,
        )
        st.caption(views.shown_text(len(plan.snapshots), "snapshot"))
        tables.show(
            views.repair_rows(plan.snapshots),
            key="recovering-snapshots",
            alt="Snapshots that would be written",
            height=tables.tall(min(len(plan.snapshots), 10)),
            widths=WIDTHS,
        )
    if plan.skipped:
        with st.expander(f"Left alone: {views.shown_text(len(plan.skipped), 'instance')}"):
            tables.show(
                views.skipped_rows(plan.skipped),
                key="recovering-skipped",
                alt="Instances that are left alone",
                widths={"because": 640},
            )


def _write(plan: RecoveryPlan) -> None:
    """The button; it works once the number of writes is typed."""
    log = views.log_path(loading.settings().store_urls()[loading.store_name()], loading.now(), state.zone())
    st.caption(markdown_escape(f"The log goes to {log.parent}; it is what takes everything back.", 400))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        typed = st.text_input(
            f"To go on, type the number of snapshots: {plan.writes:,}",
            key="recovering-confirm",
            max_chars=20,
            width=330,
        )
        confirmed = (typed or "").replace(",", "").strip() == str(plan.writes)
        pressed = st.button(
            "Write the snapshots",
            key="recovering-apply",
            type="primary",
            disabled=not confirmed,
            help=None if confirmed else "Type the number first",
        )
    if not (pressed and confirmed):
        return
    catalog = loading.catalog()
    # Known before anything is written, so that a run that is broken off can be taken back too.
    st.session_state[_DONE] = (loading.store_name(), log, None)
    bar = st.progress(0.0, "Writing")
    with _writable() as stores:
        done = recover(stores, catalog, plan, log, on_progress=_drawn(bar))
    _changed()
    st.session_state[_DONE] = (loading.store_name(), log, done)
    st.rerun()


def _last() -> None:
    """What the last recovery of this session wrote, and the button that takes it back."""
    if undone := st.session_state.pop(_UNDONE, None):
        st.success(markdown_escape(undone, 400))
    name, log, done = st.session_state.get(_DONE, (None, None, None))
    if name != loading.store_name() or log is None or not log.exists():
        return
    identity = loading.stores().identity
    with st.container(border=True):
        if done is None:
            st.warning(markdown_escape(f"A recovery was broken off. What it wrote is in the log {log}.", 400))
        else:
            st.success(markdown_escape(views.done_text(done), 600))
        st.caption("At a shell, also later, this line takes it back:")
        st.code(views.undo_command(identity, log), language="bash", wrap_lines=True)
        sure = st.checkbox("Take it back: the snapshots become what they were", key="recovering-sure")
        if st.button("Take it back", key="recovering-undo", disabled=not sure) and sure:
            bar = st.progress(0.0, "Taking back")
            with _writable() as stores:
                taken = undo(stores, log, on_progress=_drawn(bar))
            _changed()
            st.session_state.pop(_DONE, None)
            st.session_state[_UNDONE] = views.undone_text(taken)
            st.rerun()


def _changed() -> None:
    """What was asked before no longer holds."""
    loading.forget()
    st.session_state.pop(_PLAN, None)


def _drawn(bar: DeltaGenerator) -> Callable[[int, int], None]:
    # Drawing is where a reader who has left ends this: between two batches, where nothing is half done.
    def draw(done: int, total: int) -> None:
        bar.progress(min(1.0, done / max(1, total)), f"{done:,} of {total:,}")

    return draw


@contextmanager
def _writable() -> Iterator[Stores]:
    """The chosen store, opened anew for writing; nothing is masked."""
    settings = loading.settings()
    with open_stores(
        settings.store_urls()[loading.store_name()],
        read_only=False,
        statement_timeout_ms=settings.statement_timeout_ms,
        snapshot_retention=ALL_SNAPSHOTS,
    ) as stores:
        yield stores
