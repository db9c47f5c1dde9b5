"""Stored values can be nested deeper than Python goes when it copies or writes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from xcstore.errors import QueryError

__all__ = ["refusing_depth"]


@contextmanager
def refusing_depth(what: str) -> Iterator[None]:
    """Say so where values are nested too deeply for what is done.

    Raises
    ------
    QueryError
        In place of `RecursionError`.

    Examples
    --------
    >>> with refusing_depth("be run again"):
    ...     raise RecursionError
    Traceback (most recent call last):
    xcstore.errors.QueryError: the recorded values are nested too deeply to be run again
    """
    try:
        yield
    except RecursionError as error:
        raise QueryError(f"the recorded values are nested too deeply to {what}") from error
