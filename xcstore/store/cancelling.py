"""Questions that are being asked, so that whoever lost interest can cancel them from another thread."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

__all__ = ["RunningQueries", "running_for"]

_owner: ContextVar[Hashable] = ContextVar("xcstore_query_owner", default=None)


@contextmanager
def running_for(owner: Hashable) -> Iterator[None]:
    """Queries of this thread within the block belong to `owner`, for `cancel_running(owner)` of their store."""
    token = _owner.set(owner)
    try:
        yield
    finally:
        _owner.reset(token)


class RunningQueries:
    """What one store is asked right now, by owner. Safe to share between threads."""

    def __init__(self) -> None:
        self._questions: defaultdict[Hashable, set[_Question]] = defaultdict(set)
        self._lock: Final = threading.Lock()

    @contextmanager
    def cancellable(self, cancel: Callable[[], None]) -> Iterator[None]:
        """Within the block a query runs that `cancel` ends; it is called from another thread.

        The block is left only when no cancel is under way: what it used goes back to a pool, and a cancel that came
        late would end the question of somebody else.
        """
        owner = _owner.get()
        if owner is None:
            yield
            return
        question = _Question(cancel)
        with self._lock:
            self._questions[owner].add(question)
        try:
            yield
        finally:
            with self._lock:
                self._questions[owner].discard(question)
                if not self._questions[owner]:
                    del self._questions[owner]
            question.end()

    def cancel(self, owner: Hashable) -> int:
        """Cancel what runs under `running_for(owner)`; returns how many queries that were."""
        with self._lock:
            questions = list(self._questions.get(owner, ()))
        return sum(question.cancel() for question in questions)


class _Question:
    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel: Final = cancel
        self._lock: Final = threading.Lock()
        self._is_over = False

    def cancel(self) -> bool:
        """Whether it still ran."""
        with self._lock:
            if not self._is_over:
                self._cancel()
            return not self._is_over

    def end(self) -> None:
        with self._lock:
            self._is_over = True
