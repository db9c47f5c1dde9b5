"""What the contract tests share: ids that every layout holds, and walking through pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from xcstore.store.base import Cursor, Page

T = TypeVar("T")

__all__ = ["ids", "nested", "uid", "walk"]


def uid(number: int) -> str:
    """An id that is a UUID, as the shipped layout wants them; in order of `number`."""
    return str(UUID(int=number))


def ids(events: Any) -> list[str]:
    return [event.id for event in events]


def walk(page: Callable[..., Page[T]], *args: Any, **options: Any) -> list[T]:
    """All items, page by page."""
    items: list[T] = []
    after: Cursor | None = None
    while True:
        found = page(*args, after=after, **options)
        assert len(found.items) <= options.get("limit", 100)
        items += found.items
        after = found.next
        if after is None:
            return items


def nested(levels: int) -> object:
    """A list in a list in a list …, `levels` deep."""
    value: object = []
    for _ in range(levels - 1):
        value = [value]
    return value
