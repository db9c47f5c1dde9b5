"""Long work beside a page: its progress is shown, and it ends when nobody waits any more."""

from __future__ import annotations

import threading

import pytest

from xcstore.store.memory import open_memory_stores
from xcstore.ui import loading, working


class Stopped(BaseException):
    """As Streamlit's own when a run of the page is given up."""


class Place:
    """An element of a page; remembers what was drawn into it."""

    def __init__(self):
        self.drawn = []

    def progress(self, share, text, **_):
        self.drawn.append((share, text))

    def empty(self):
        self.drawn.append(None)


@pytest.fixture(autouse=True)
def stores(monkeypatch):
    opened = open_memory_stores()
    monkeypatch.setattr(loading, "stores", lambda: opened)
    return opened


def test_the_answer_comes_back_and_so_does_an_error():
    assert working.work(lambda note: 42, key="k", noun="events") == 42

    def fail(note):
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        working.work(fail, key="k", noun="events")


def test_it_is_said_how_far_the_work_is():
    place = Place()
    watch = working._Watch(place, "events", "Reading")
    watch.caption("Asking the store, 1 s")
    watch.note(300, 1_200)
    watch.caption("Asking the store, 2 s")
    watch.note(1_300, 1_200)  # a store that goes on may hold more than was counted
    watch.caption("Asking the store, 3 s")

    assert place.drawn == [
        (0.0, "Reading, 1 s"),
        (0.25, "300 of 1,200 events, 2 s"),
        (1.0, "1,300 of 1,200 events, 3 s"),
    ]


def test_work_ends_at_its_next_step_when_the_page_is_given_up(monkeypatch):
    begun, ended = threading.Event(), threading.Event()

    def draw(self, words):
        assert begun.wait(30)
        raise Stopped

    monkeypatch.setattr(working._Watch, "caption", draw)

    def endless(note):
        try:
            while True:
                note(1, 2)
                begun.set()
        except working.StoppedError:
            ended.set()
            raise

    with pytest.raises(Stopped):
        working.work(endless, key="k", noun="events")
    assert ended.wait(30)
