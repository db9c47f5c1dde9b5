"""Long work beside the page, with its progress and a button that ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar, cast

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from xcstore.ui import loading, waiting

__all__ = ["Note", "StoppedError", "work"]

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
