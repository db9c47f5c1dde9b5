"""Runs without a word in the log: what a run makes of a history is in its answer; a log tells of what happens."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, get_ident
from typing import Final

__all__ = ["quiet"]

_LOGGERS: Final = tuple(logging.getLogger(f"xcstore.runtime.{name}") for name in ("executor", "agenda", "asking"))
_changing: Final = Lock()


@contextmanager
def quiet() -> Iterator[None]:
    """Let this thread log nothing of what runtimes do; others go on."""
    mine = get_ident()

    def is_of_others(record: logging.LogRecord) -> bool:
        return get_ident() != mine

    # New lists, as another thread may just be going through the old ones.
    with _changing:
        for logger in _LOGGERS:
            logger.filters = [*logger.filters, is_of_others]
    try:
        yield
    finally:
        with _changing:
            for logger in _LOGGERS:
                logger.filters = [one for one in logger.filters if one is not is_of_others]
