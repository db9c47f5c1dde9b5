"""Running a fork, and what becomes of it beside what was recorded."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Final

import streamlit as st

from xcstore.errors import QueryError
from xcstore.model.catalog import Catalog
from xcstore.model.definition import StateMachine
from xcstore.render.labels import count_text, markdown_escape, short_id, visible_text
from xcstore.render.timeline import draw_timeline
from xcstore.replay.exporting import fork_from_json, fork_json, fork_test
from xcstore.replay.forks import ChangeDefinition, Fork, ForkInstance, ForkResult, InsertEvent, run_fork
from xcstore.replay.track import InstanceScope, TraceScope, Track
from xcstore.ui import state, tables, viewer, what_if_draft, working
from xcstore.views import what_if as views
from xcstore.views import what_if_edits as edits_views
from xcstore.views import what_if_pictures as pictures
from xcstore.views.what_if_steps import change_text

__all__ = ["show", "upload"]

MAX_SECONDS: Final = 10.0
MAX_UPLOAD: Final = 5_000_000
SHOWN_NOTES: Final = 4
_RESULT: Final = "what-if-result"
_UPLOADED: Final = "what-if-uploaded"
WIDTHS: Final = {"row": 42, "is": 98, "instance": 140, "recorded": 245, "in the fork": 245, "later by": 72, "why": 420}
INSTANCE_WIDTHS: Final = {
    "is": 98,
    "machine": 95,
    "instance": 95,
    "recorded end": 145,
    "end in the fork": 135,
    "took": 108,
    "takes in the fork": 112,
    "values differ": 50,
}

Keys = Mapping[str, str]


def show(track: Track, fork: Fork, keys: Keys) -> None:
    """The button that runs it; then the answer, in words, in rows, in pictures, and as files."""
    kept: tuple[Track, Fork, ForkResult] | None = st.session_state.get(_RESULT)
    result = kept[2] if kept is not None and kept[0] is track and kept[1] == fork else None
    asked = state.text("run") == "yes"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Run again" if asked and fork.edits else "Run the fork",
            key="what-if-run",
            type="secondary" if asked and fork.edits else "primary",
            disabled=not fork.edits,
            on_click=_run,
        )
        if not fork.edits:
            st.caption("Change a step first. The run is in memory: the store is only read.")
    if not asked or not fork.edits:
        return
    catalog = track.tables.catalog
    if result is None:
        try:
            result = working.work(
                lambda note: run_fork(track, fork, catalog=catalog, max_seconds=MAX_SECONDS, on_progress=note),
                key="what-if-cancel",
                noun="events at most",
                words="Running the fork",
            )
        except QueryError as error:
            st.error(f"This fork cannot be run: {markdown_escape(str(error), 600)}", icon=None)
            return
        st.session_state[_RESULT] = (track, fork, result)
    _said(track, fork, result, keys)
    selected = _rows(result, keys)
    _step(result, selected, keys)
    _instances(track, fork, result, keys)
    _files(track, fork, result, catalog)


def _run() -> None:
    st.session_state.pop(_RESULT, None)
    state.put(run="yes")


def _preferred(track: Track, fork: Fork) -> str:
    """The instance that one looks at: that of the page, else that of the first edit."""
    if isinstance(track.scope, InstanceScope):
        return track.scope.instance_id
    for edit in fork.edits:
        touched = edits_views.touches(edit)
        position = track.position_of(touched) if touched else None
        if position:
            return track.step(position).instance_id
        if isinstance(edit, InsertEvent):
            return edit.instance_id
    return ""


def _said(track: Track, fork: Fork, result: ForkResult, keys: Keys) -> None:
    st.subheader(markdown_escape(views.headline(result, _preferred(track, fork), keys), 900), anchor=False)
    for note in views.notes(result, state.zone()):
        st.caption(markdown_escape(note, 600))
    if result.assumptions:
        with st.expander(
            f"What this rests on: {len(result.assumptions):,}",
            expanded=len(result.assumptions) <= SHOWN_NOTES or result.counts.get("unknown", 0) > 0,
        ):
            for text in result.assumptions[:50]:
                st.markdown(f"- {markdown_escape(text[:1].upper() + text[1:], 500)}")
            if len(result.assumptions) > 50:
                st.caption(f"shown 50 of {len(result.assumptions):,}")


def _rows(result: ForkResult, keys: Keys) -> int:
    """Both sides, step by step; gives the number of the picked row."""
    first = views.first_difference(result)
    wanted = state.text("row")
    selected = int(wanted) if wanted.isdecimal() and len(wanted) < 9 and int(wanted) < len(result.steps) else first or 0
    told, few = views.verdicts(result)
    if not told:
        st.caption("Nothing was recorded after the fork point, and nothing happens in the fork.")
        return selected
    own = zlib.crc32(" ".join((*told.values(), *few)).encode())
    kinds = st.segmented_control(
        f"{count_text(len(result.steps), 'event')} of these instances after the fork point, recorded or in the fork",
        list(told),
        selection_mode="multi",
        default=few,
        format_func=told.__getitem__,
        key=f"what-if-kinds-{own:x}",
        help="Which of them the table shows",
    )
    rows, ids, pages = views.result_rows(result, keys=keys, kinds=kinds)
    if pages > 1:
        page = st.pagination(pages, key=f"what-if-result-page-{own:x}-{len(kinds)}")
        rows, ids, _ = views.result_rows(result, keys=keys, kinds=kinds, page=page)
    tables.pick(
        rows,
        ids,
        key="what-if-rows",
        alt="Steps on both sides",
        on_pick=lambda number: state.put(row=number),
        selected=str(selected),
        height=tables.tall(min(len(rows), 14)),
        widths=WIDTHS,
    )
    if len(rows) < len(result.steps):
        st.caption(f"shown {len(rows):,} of {count_text(len(result.steps), 'event')}")
    words = " · ".join(
        f"**{mark.text}**: {mark.meaning[:1].lower()}{mark.meaning[1:]}"
        for kind, mark in views.MARKS.items()
        if result.counts.get(kind) and kind != "same"
    )
    if words:
        st.caption(words)
    return selected


def _step(result: ForkResult, number: int, keys: Keys) -> None:
    """One row in full."""
    if number >= len(result.steps):
        return
    step = result.steps[number]
    with st.container(border=True):
        st.markdown(
            f"**Row {number + 1:,} · {views.MARKS[step.verdict].text}** · {markdown_escape(views.named(step))} of "
            f"{markdown_escape(views.whose(step, keys))}"
        )
        if step.reason:
            st.markdown(markdown_escape(step.reason[:1].upper() + step.reason[1:], 600))
        for name, side, cell in zip(
            ("Recorded", "In the fork"), (step.recorded, step.forked), st.columns(2), strict=True
        ):
            with cell:
                if side is None:
                    st.caption(f"{name}: no such step")
                else:
                    st.caption(f"{name}: {markdown_escape(change_text(side), 140)}")
                    st.code(views.payload_text(side), language="json", height=140)
        rows, shown = views.change_rows(step.changes)
        tables.show(rows, key="what-if-step-changes", alt="What differs after this step")
        if shown:
            st.caption(shown)


def _instances(track: Track, fork: Fork, result: ForkResult, keys: Keys) -> None:
    """What became of each instance; one of them in pictures."""
    st.subheader("Where the instances end", anchor=False)
    rows, ids = views.instance_rows(result, keys)
    main = views.main_instance(result, _preferred(track, fork))
    first = (main.recorded_id or main.forked_id or "") if main else ""
    selected = state.text("whose") if state.text("whose") in ids else first
    tables.pick(
        rows,
        ids,
        key="what-if-instances",
        alt="Ends of the instances",
        on_pick=lambda name: state.put(whose=name),
        selected=selected,
        height=tables.tall(min(len(rows), 10)),
        widths=INSTANCE_WIDTHS,
    )
    item = next((item for item in result.instances if selected in (item.recorded_id, item.forked_id)), None)
    if item is None:
        return
    name = f"{visible_text(item.machine_name, 60)} {keys.get(selected) or short_id(selected)}"
    changed, shown = views.change_rows(item.changes)
    if changed:
        st.caption(f"What {markdown_escape(name)} holds at the end, where that differs:")
        tables.show(changed, key="what-if-changes", alt="Values at the end that differ")
        if shown:
            st.caption(shown)
    _pictures(track, fork, result, item, name)


def _pictures(track: Track, fork: Fork, result: ForkResult, item: ForkInstance, name: str) -> None:
    left = pictures.recorded(track, item)
    right = pictures.in_fork(track, item, result, fork.at)
    before = track.tables.machine(item.component_name, item.machine_name)
    after = _changed_machine(fork, item) or before
    viewer.show(
        draw_timeline(
            pictures.both_over_time(
                left,
                right,
                before,
                after,
                ended=(item.recorded_ended, item.forked_ended),
                now=(result.end, result.until),
            ),
            zone=state.zone(),
        ),
        key="what-if-timeline",
        label=f"{name} over time, recorded and in the fork",
        fit="width",
    )
    cells = st.columns(2, border=True)
    for cell, events, machine, title in zip(
        cells, (left, right), (before, after), ("Recorded", "In the fork"), strict=True
    ):
        with cell:
            st.markdown(f"**{title}**")
            if not events:
                st.caption("It is not there.")
                continue
            own = zlib.crc32(title.encode())
            viewer.diagram(
                pictures.way(events, machine, name=f"{item.machine_name}-{title}"),
                key=f"what-if-diagram-{own:x}",
                label=f"The way of {name}, {title.lower()}",
                height=520,
            )


def _changed_machine(fork: Fork, item: ForkInstance) -> StateMachine | None:
    for edit in fork.edits:
        if isinstance(edit, ChangeDefinition) and edit.component.name == item.component_name:
            return edit.component.find_machine(item.machine_name)
    return None


def _files(track: Track, fork: Fork, result: ForkResult, catalog: Catalog) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "Download the fork (JSON)",
            data=lambda: fork_json(track, fork).encode("utf-8", "backslashreplace"),
            file_name="fork.json",
            mime="application/json",
            key="what-if-json",
            on_click="ignore",
        )
        st.download_button(
            "Download it as a test (pytest)",
            data=lambda: _test(track, fork, result, catalog),
            file_name="test_fork.py",
            mime="text/x-python",
            key="what-if-test",
            on_click="ignore",
            disabled=result.cut,
        )
        st.caption(
            "No test of a run that was cut: its end is not known."
            if result.cut
            else "The JSON opens here again; the test runs wherever xcstore is installed, and needs no store."
        )


def _test(track: Track, fork: Fork, result: ForkResult, catalog: Catalog) -> bytes:
    try:
        text = fork_test(track, fork, result, catalog)
    except QueryError as error:  # a definition that was never a document
        text = f"raise NotImplementedError({str(error)!r})\n"
    return text.encode("utf-8", "backslashreplace")


def upload() -> None:
    """A fork that was downloaded, opened again."""
    with st.popover("Open a fork", key="what-if-upload-popover", width=160):
        given = st.file_uploader("A fork that was downloaded here", type=["json"], key="what-if-upload")
        if given is None or st.session_state.get(_UPLOADED) == given.file_id:
            return
        st.session_state[_UPLOADED] = given.file_id
        problem = _take(given.getvalue())
        if problem:
            st.error(markdown_escape(problem, 600), icon=None)
        else:
            st.rerun()


def _take(content: bytes) -> str:
    """Put the fork of a file in place of the present one; what is wrong with it, else ''."""
    if len(content) > MAX_UPLOAD:
        return f"The file has {len(content):,} bytes; a fork has at most {MAX_UPLOAD:,}."
    try:
        fork = fork_from_json(content)
    except (ValueError, RecursionError) as error:
        return f"Not a fork: {error}"
    except QueryError as error:
        return str(error)
    if isinstance(fork.scope, InstanceScope):
        state.put(instance=fork.scope.instance_id, trace=None, step=str(fork.at), event=None, row=None)
    elif isinstance(fork.scope, TraceScope):
        state.put(trace=fork.scope.event_id, instance=None, step=str(fork.at), event=None, row=None)
    else:
        return "This fork is of a component or a range of time; this page opens those of an instance or a trace."
    what_if_draft.keep(fork.edits)
    return ""
