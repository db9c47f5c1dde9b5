"""What the contract tests share: ids that every layout holds, walking through pages, and the order of these."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from uuid import UUID

from tests.backends import BACKENDS
from xcstore.model.history import PersistedEvent
from xcstore.store.base import Cursor, Page, Stores

T = TypeVar("T")

__all__ = ["ids", "in_page_order", "nested", "uid", "walk"]


def uid(number: int) -> str:
    """An id that is a UUID, as the shipped layout wants them; in order of `number`."""
    return str(UUID(int=number))


def ids(events: Any) -> list[str]:
    return [event.id for event in events]


def in_page_order(stores: Stores, appended: Iterable[PersistedEvent]) -> list[PersistedEvent]:
    """Events in the order in which pages give them: by time, then as they were appended where the store is ours and
    keeps that, else by the bytes of their ids.
    """
    if BACKENDS[stores.identity.partition("://")[0]].seq:
        return sorted(appended, key=lambda event: event.persisted_at)
    return sorted(appended, key=lambda event: (event.persisted_at, event.id.encode()))


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
