"""Waiting for a store: the page says so after a moment, and gives up the question when nobody wants the answer.

Streamlit stops a run only where it draws. A run that sits in a driver would keep the reader, who has clicked
elsewhere long since, waiting for an answer that is thrown away. So questions run beside, and the page draws meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Final, TypeVar

from streamlit.delta_generator import DeltaGenerator

from xcstore.store.base import EventStore
from xcstore.store.cancelling import running_for

__all__ = ["run", "shown_in"]

T = TypeVar("T")

QUIET_S: Final = 0.7
EVERY_S: Final = 0.3
_pool: Final = ThreadPoolExecutor(max_workers=32, thread_name_prefix="xcstore-ask")
_place: ContextVar[DeltaGenerator | None] = ContextVar("xcstore_waiting_place", default=None)


@contextmanager
def shown_in(place: DeltaGenerator) -> Iterator[None]:
    """Within the block, say in this empty element that the store is being asked."""
    token = _place.set(place)
    try:
        yield
    finally:
        _place.reset(token)


def run(question: Callable[[], T], store: EventStore) -> T:
    """The answer to `question`, which asks `store`. Should this run of the page be stopped, the query is too."""
    owner = object()

    def ask() -> T:
        with running_for(owner):
            return question()

    future = _pool.submit(copy_context().run, ask)
    place = _place.get()
    started = time.monotonic()
    try:
        return _poll(future, place, started)
    except BaseException:
        if not future.done():
            future.cancel()
            cancel = getattr(store, "cancel_running", None)  # in backends that can
            if cancel is not None:
                cancel(owner)
        raise
    finally:
        if place is not None and time.monotonic() - started > QUIET_S:
            place.empty()


def _poll(future: Future[T], place: DeltaGenerator | None, started: float) -> T:
    pause: float | None = QUIET_S if place is not None else None
    while not wait([future], timeout=pause).done:
        if place is not None:
            place.caption(f"Asking the store, {time.monotonic() - started:.0f} s")  # stops here, if it shall
        pause = EVERY_S
    return future.result()
