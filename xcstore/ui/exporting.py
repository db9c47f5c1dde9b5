"""The filtered events as a file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from io import TextIOWrapper
from typing import IO, Final

import streamlit as st

from xcstore.queries import events as queries
from xcstore.render.labels import count_text
from xcstore.store.base import EventQuery
from xcstore.ui import loading

__all__ = ["export"]

_FORMS: Final = {"csv": ("CSV", "text/csv"), "json": ("JSON", "application/json"), "ndjson": ("NDJSON", "text/plain")}
_READY: Final = "exporting-ready"


@dataclass(frozen=True, slots=True)
class _Ready:
    """A finished file. It lives on disk and goes with the session."""

    question: object
    file: IO[bytes]
    count: int


def export(query: EventQuery, total: int | None) -> None:
    """A choice of form, a button that writes the file with its progress, then the download."""
    form = st.segmented_control(
        "As", list(_FORMS), format_func=lambda name: _FORMS[name][0], default="csv", key="events-export-form"
    )
    form = form or "csv"
    cap = queries.EXPORT_CAP
    if total is None:
        st.caption(f"Everything that fits the filters, up to {cap:,} events, newest first.")
    elif total > cap:
        st.caption(f"Exporting {cap:,} of {total:,} events, the newest ones. Narrow the filters for the others.")
    else:
        st.caption(f"Exporting {count_text(total, 'event')}, newest first.")
    question = (loading.store_name(), query, form)
    ready: _Ready | None = st.session_state.get(_READY)
    if st.button("Prepare the file", key="events-export-prepare", width="stretch", disabled=total == 0):
        ready = _write(question, query, form, cap, min(total, cap) if total is not None else None)
        st.session_state[_READY] = ready
    if ready is not None and ready.question == question:
        st.download_button(
            f"Download {count_text(ready.count, 'event')}",
            data=_reader(ready),
            file_name=f"events.{form}",
            mime=_FORMS[form][1],
            key="events-export-download",
            on_click="ignore",
            type="primary",
            width="stretch",
        )


def _write(question: object, query: EventQuery, form: str, cap: int, expected: int | None) -> _Ready:
    file = tempfile.TemporaryFile(prefix="xcstore-")  # noqa: SIM115  # it outlives this run
    bar = st.progress(0.0, text="Reading events")

    def progress(done: int) -> None:
        share = min(1.0, done / expected) if expected else 0.0
        bar.progress(share, text=f"{done:,} of {expected:,} events" if expected else count_text(done, "event"))

    # Half a surrogate pair has no UTF-8; it is written as its number.
    text = TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
    count = queries.export(loading.stores(), query, text, form=form, cap=cap, progress=progress)
    text.flush()
    text.detach()
    bar.empty()
    return _Ready(question, file, count)


def _reader(ready: _Ready) -> Callable[[], bytes]:
    def read() -> bytes:
        ready.file.seek(0)
        return ready.file.read()

    return read  # called on the click: until then the file stays on disk
