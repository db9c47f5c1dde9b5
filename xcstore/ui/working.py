"""Long work beside the page, with its progress and a button that ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from xcstore.model.catalog import Catalog
from xcstore.ui import loading, waiting

__all__ = ["Note", "StoppedError", "kept", "work"]

T = TypeVar("T")

Note = Callable[[int, int], None]
"""Takes (done, total) from the work; raises `StoppedError` in it once nobody waits any more."""

WIDTH: Final = 460


class StoppedError(Exception):
    """Nobody waits for the answer any more."""


def work(question: Callable[[Note], T], *, key: str, noun: str, words: str = "Working") -> T:
    """What `question` answers, asked in a thread of its own while the page shows how far it is.

    Whoever leaves the page, clicks anything, or presses Cancel ends it: then the run of the page ends too.

    Parameters
    ----------
    question : callable
        Gets the function to tell its progress to.
    key : str
        Key of the Cancel button.
    noun : str
        What is counted: '12 of 40 events'.
    words : str
        What is said before anything was counted.
    """
    place = st.empty()
    with place.container(horizontal=True, vertical_alignment="center"):
        watch = _Watch(st.empty(), noun, words)
        # Any click runs the page again, which ends this run where it draws next.
        st.button("Cancel", key=key)
    try:
        with waiting.shown_in(cast(DeltaGenerator, watch)):
            return waiting.run(lambda: question(watch.note), loading.stores().events)
    finally:
        watch.stopped = True
        place.empty()


def kept(what: str, catalog: Catalog, part: tuple[str, ...] = ()) -> dict[str, Any]:
    """Where the last result of long work on the chosen store stays, for everybody in this process.

    Parameters
    ----------
    what : str
        The work.
    catalog : Catalog
        What it was done with: definitions that somebody uploaded are his, and so is what was found with them.
    part : tuple of str
        The part of the store that it was done on.
    """
    known = tuple(sorted(component.hash for component in catalog))
    return _kept(what, loading.stores().identity, repr(loading.settings().redact), known, part)


@st.cache_resource(max_entries=96, show_spinner=False)
def _kept(what: str, identity: str, redact: str, definitions: tuple[str, ...], part: tuple[str, ...]) -> dict[str, Any]:
    return {}


class _Watch:
    """Takes the progress in one thread and shows it in that of the page, in place of the words of `waiting`."""

    def __init__(self, place: DeltaGenerator, noun: str, words: str) -> None:
        self._place = place
        self._noun = noun
        self._words = words
        self._seen = (0, 0)
        self.stopped = False

    def note(self, done: int, total: int) -> None:
        if self.stopped:
            raise StoppedError
        self._seen = (done, total)

    def caption(self, words: str) -> None:
        done, total = self._seen
        seconds = words.rpartition(", ")[2]
        text = f"{done:,} of {total:,} {self._noun}, {seconds}" if total else f"{self._words}, {seconds}"
        self._place.progress(min(1.0, done / total) if total else 0.0, text, width=WIDTH)

    def empty(self) -> None:
        self._place.empty()
