"""Searching through text and payloads in MongoDB: a walk along page order that can stop anywhere.

The server cannot look into keys and values that nobody names: events are looked at here. A value at a path it can look
for, in a way that finds too much but never too little; `filtering` has the last word, after redaction.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from xcstore.store.base import EventQuery
from xcstore.store.filtering import condition, number_of
from xcstore.store.mongo_layout import EVENTS
from xcstore.store.mongo_pages import Key, MongoEvents, all_of, key_of
from xcstore.store.searching import Searched
from xcstore.store.values import is_encodable
from xcstore.units import EpochMs

__all__ = ["search"]

_FIRST_PIECE: Final = 4_000
_LARGEST_PIECE: Final = 256_000
_PIECE_SECONDS: Final = 0.4
_PAGE: Final = 1_000
_BEHIND_ALL: Final = (2**63 - 1, "\U0010ffff" * 50)
"""The seq and the id that no event of a moment comes after."""


def search(events: MongoEvents, query: EventQuery, *, after: Key | None, newest_first: bool) -> Iterator[Searched[Key]]:
    """Found events in page order, and after each piece of the way how far it is searched."""
    narrow = _narrowed(query)
    if narrow is None:
        yield from _looked_through(events, query, after, newest_first, None)
        return
    size = _FIRST_PIECE
    while True:
        started = time.monotonic()
        end = _piece_end(events, query, after, size, newest_first)
        if end is None:
            yield from _looked_through(events, query, after, newest_first, narrow)
            return
        piece = replace(query, start=end) if newest_first else replace(query, end=end)
        yield from _looked_through(events, piece, after, newest_first, narrow)
        after = (end, 0, "") if newest_first else (end, *_BEHIND_ALL)
        yield Searched(after, None)
        quick = time.monotonic() - started < _PIECE_SECONDS
        size = min(_LARGEST_PIECE, size * 2) if quick else max(_FIRST_PIECE, size // 2)


def _looked_through(
    events: MongoEvents, query: EventQuery, after: Key | None, newest_first: bool, narrow: dict[str, Any] | None
) -> Iterator[Searched[Key]]:
    holds = condition(query)
    while True:
        found = events.page(query, after, _PAGE, newest_first=newest_first, narrow=narrow)
        for event in found:
            if holds(event):
                yield Searched(key_of(event), event)
        if len(found) < _PAGE:
            return
        after = key_of(found[-1])
        yield Searched(after, None)


def _piece_end(
    events: MongoEvents, query: EventQuery, after: Key | None, size: int, newest_first: bool
) -> EpochMs | None:
    """The moment of the event `size` events further on; None where there are not so many left."""
    if query.instance_ids:
        return None
    conditions = events.conditions(EventQuery(start=query.start, end=query.end))
    if after is not None:
        conditions.append({"persistedAt": {"$lte" if newest_first else "$gte": after[0]}})
    conditions += events.ordinary
    sort = [("persistedAt", -1 if newest_first else 1)]
    # Skipping within an index on the time, and never more than one piece.
    found = events.database.find(EVENTS, all_of(conditions), fields={"persistedAt": 1}, sort=sort, skip=size, limit=1)
    document = next(found, None)
    return None if document is None else EpochMs(int(document["persistedAt"]))


def _narrowed(query: EventQuery) -> dict[str, Any] | None:
    """Holds for every event with the value at the path, and for some others; None where nothing can be said.

    To the server a path goes through lists too, with or without positions.
    """
    if not query.payload_path or not all(
        key and not {".", "\0"}.intersection(key) and not key.startswith("$") and is_encodable(key)
        for key in query.payload_path
    ):
        return None
    if not is_encodable(query.payload_value):
        return None
    values: list[Any] = [query.payload_value]
    number = number_of(query.payload_value)
    if number is not None:
        values.append(float(number))
        if number == number.to_integral_value() and -(2**63) <= number < 2**63:
            values.append(int(number))
    values += [
        value for text, value in (("true", True), ("false", False), ("null", None)) if text == query.payload_value
    ]
    path = ".".join(("event.payload", *query.payload_path))
    # What BSON cannot hold is in the exact text.
    beside = [{"xcstore.text": {"$exists": True}}, {"xcstore.extra": {"$exists": True}}]
    return {"$or": [{path: {"$in": values}}, *beside]}
