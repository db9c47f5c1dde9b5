"""Giving up a question from another thread."""

from __future__ import annotations

import threading

from xcstore.store.cancelling import RunningQueries, running_for


def test_what_runs_for_an_owner_is_cancelled_and_nothing_else() -> None:
    running = RunningQueries()
    cancelled: list[str] = []
    with (
        running_for("page 1"),
        running.cancellable(lambda: cancelled.append("first")),
        running.cancellable(lambda: cancelled.append("second")),
        running_for("page 2"),
        running.cancellable(lambda: cancelled.append("third")),
    ):
        assert running.cancel("page 1") == 2
        assert running.cancel("nobody") == 0

    assert sorted(cancelled) == ["first", "second"]
    assert running.cancel("page 1") == 0


def test_what_nobody_owns_cannot_be_cancelled() -> None:
    running = RunningQueries()
    with running.cancellable(lambda: None):
        assert running.cancel(None) == 0


def test_a_question_is_over_only_when_nobody_is_about_to_cancel_it() -> None:
    """Its connection goes back to a pool: a cancel that comes late would end the question of somebody else."""
    running = RunningQueries()
    cancelling, go_on = threading.Event(), threading.Event()
    order: list[str] = []

    def cancel() -> None:
        cancelling.set()
        go_on.wait(10)
        order.append("cancelled")

    def ask() -> None:
        with running_for("page 1"), running.cancellable(cancel):
            cancelling.wait(10)
        order.append("over")

    asking = threading.Thread(target=ask)
    asking.start()
    canceller = threading.Thread(target=lambda: running.cancel("page 1"))
    while not cancelling.is_set():
        if not canceller.is_alive():
            canceller = threading.Thread(target=lambda: running.cancel("page 1"))
            canceller.start()
        cancelling.wait(0.01)
    asking.join(timeout=0.2)
    assert order == []
    go_on.set()
    asking.join()
    canceller.join()

    assert order == ["cancelled", "over"]
