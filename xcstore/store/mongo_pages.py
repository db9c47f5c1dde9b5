"""Pages of events by keyset, and the conditions of queries, in MongoDB's language.

Page order is (`persistedAt`, `seq`, `id`) in stores of ours, (`persistedAt`, `id`) elsewhere; events that another
writer put into a store of ours have no `seq` and come first in their moment; while there are such, the store is asked
like one of others. A page is asked for in a few ranges, one
after the other, each of which an index answers in order: an `$or` of them may be, but need not be.

Stores of others have an index on the time alone. There a range is walked by that index, which leaves the order within a
moment open, and the moment in which the page ends is asked for by id. A moment is a whole millisecond: numbers may be
fractions. What no range of times finds, such as a date or no time at all, is rare: its keys are read as they are, with
each page, and put where the time they are read as belongs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import merge
from itertools import islice
from typing import Any, Final

import bson

from xcstore.errors import CorruptEventError, QueryError
from xcstore.model.history import PersistedEvent
from xcstore.redaction import NO_REDACTION, Redaction
from xcstore.store.base import Cursor, EventQuery
from xcstore.store.cursors import decode_cursor, encode_cursor
from xcstore.store.filtering import condition
from xcstore.store.mongo_batches import Visible
from xcstore.store.mongo_database import MongoReader
from xcstore.store.mongo_documents import unpack_event
from xcstore.store.mongo_layout import EVENTS, EXTRA, ODD_IDS, ODD_TIMES, MongoLayout
from xcstore.store.values import is_encodable

__all__ = ["Key", "MongoEvents", "all_of", "cursor_of", "key_of", "key_of_cursor"]

Key = tuple[int, int, str]
"""(`persisted_at`, seq or 0, id): where an event stands in page order."""

_BATCH: Final = 1_000
_MANY: Final = 100
_ATTEMPTS: Final = 5
_FIRST, _LAST, _END = -(2**63), 2**63 - 1, float(2**63)
_NOTHING: Final[dict[str, Any]] = {"_id": {"$in": []}}
_USABLE: Final = ["string", "int", "long"]
_COLUMNS: Final = (
    ("componentName", "components"),
    ("machineName", "machines"),
    ("event.type", "event_types"),
    ("instanceId", "instance_ids"),
    ("stateAfter", "states"),
    ("stateBefore", "states_before"),
)


def key_of(event: PersistedEvent) -> Key:
    return event.persisted_at, event.seq or 0, event.id


def cursor_of(kind: str, key: Key) -> Cursor:
    return encode_cursor(kind, *key)


def key_of_cursor(cursor: Cursor, kind: str) -> Key:
    """The key in a cursor; `QueryError` where it is none of this listing."""
    moment, seq, event_id = decode_cursor(cursor, kind, (int, int, str))
    if not isinstance(moment, int) or not isinstance(seq, int) or not isinstance(event_id, str):
        raise QueryError(f"{cursor!r} is not a page of this list; start again from the first page")
    return moment, seq, event_id


@dataclass(frozen=True, slots=True)
class MongoEvents:
    """The events of one store, decoded."""

    database: MongoReader
    layout: MongoLayout
    visible: Visible
    redact: Redaction = NO_REDACTION

    def at_present(self) -> MongoEvents:
        """These, asked with regard to events that another writer put into a store of ours, where there are such."""
        if not self.layout.is_ours or self.database.find_one(EVENTS, {"xcstore.seq": None}, {"_id": 1}) is None:
            return self
        return replace(self, layout=self.layout.shared())

    # Decoding

    def decoded(self, documents: Iterable[dict[str, Any]]) -> Iterator[PersistedEvent]:
        """Those of the documents that count and can be read as an event."""
        for document in self.visible.among(documents):
            try:
                yield unpack_event(document, self.redact, ours=self.layout.is_ours, read_chunks=self._chunks)
            except CorruptEventError:
                continue  # without an id, or an instance, it has no place anywhere; or it is gone

    def _chunks(self, seq: int, count: int) -> bytes | None:
        wanted = [f"{seq}.{part}" for part in range(count)]
        found = {one["_id"]: bytes(one["data"]) for one in self.database.find(EXTRA, {"_id": {"$in": wanted}}, batch=1)}
        if len(found) == count:
            return b"".join(found[key] for key in wanted)
        if self.database.find_one(EVENTS, {"xcstore.seq": seq}, {"_id": 1}) is None:
            raise CorruptEventError("the event was deleted while it was read")
        return None

    # Conditions

    def conditions(self, query: EventQuery, *, timed: bool = True) -> list[dict[str, Any]]:
        """What `query` asks of fields, for events with an ordinary time; holds for a few more than are asked for.

        `filtering.condition` tells these; text and payload are for it alone.
        """
        found = [self._among(field, getattr(query, name)) for field, name in _COLUMNS if getattr(query, name)]
        if timed and query.start is not None:
            found.append({"persistedAt": {"$gte": max(query.start, _FIRST)}} if query.start <= _LAST else _NOTHING)
        if timed and query.end is not None:
            found.append({"persistedAt": {"$lt": _past(query.end)}} if query.end >= _FIRST else _NOTHING)
        return found

    def _among(self, field: str, values: Sequence[str]) -> dict[str, Any]:
        wanted: list[object] = [value for value in dict.fromkeys(values) if is_encodable(value)]
        if self.layout.is_plain and "" not in wanted:
            return {field: wanted[0]} if len(wanted) == 1 else {field: {"$in": wanted}}
        if field == "instanceId":
            return {field: {"$in": [*wanted, *_numbers(wanted)]}}
        # What is not text is read as ''. To the server a list of texts is text as well.
        among = {field: {"$in": wanted, "$not": {"$type": "array"}}}
        if "" not in wanted:
            return among
        return {"$or": [among, {field: {"$not": {"$type": "string"}}}, {field: {"$type": "array"}}]}

    def by_id(self, ids: Iterable[str]) -> dict[str, Any]:
        """The condition for events with one of these ids."""
        wanted: list[object] = [value for value in dict.fromkeys(ids) if is_encodable(value)]
        if self.layout.is_plain:
            return {"_id": {"$in": wanted}}
        wanted += _numbers(wanted)
        by_key = {"_id": {"$in": [*wanted, *(bson.ObjectId(one) for one in map(str, wanted) if _is_object_id(one))]}}
        if self.layout.key == "_id":
            return by_key
        by_own = {"id": {"$in": wanted}}
        # Of `id` there is no index; ours have the same as key.
        return {"$or": [{**by_own, "xcstore.seq": None} if self.layout.is_ours else by_own, by_key]}

    @property
    def usable(self) -> dict[str, Any]:
        """What documents must have so that they can be read as events at all; nothing to ask for in stores of ours."""
        if self.layout.is_plain:
            return {}
        own = {"$or": [{"_id": {"$type": [*_USABLE, "objectId"]}}, {"id": {"$type": _USABLE}}]}
        return {"instanceId": {"$type": _USABLE, "$ne": ""}, **own}

    @property
    def ordinary(self) -> list[dict[str, Any]]:
        """What holds for all events but those that `odd` finds; nothing need be asked for in stores of ours."""
        if self.layout.is_plain:
            return []
        found: list[dict[str, Any]] = [{"persistedAt": {"$gte": _FIRST, "$lt": _END, "$not": {"$type": "array"}}}]
        if self._tells_odd_ids:
            found.append({"_id": {"$type": "string"}})
        return found

    @property
    def _tells_odd_ids(self) -> bool:
        """Whether the few whose id is no text are kept apart; else the events of each moment are put in order here."""
        return self.layout.key == "_id" and not self.layout.odd_ids

    # Pages

    def page(
        self,
        query: EventQuery,
        after: Key | None,
        limit: int,
        *,
        newest_first: bool,
        narrow: Mapping[str, Any] | None = None,
    ) -> list[PersistedEvent]:
        """Up to `limit` events in page order; text and payload conditions are not looked at.

        `narrow`: a condition that more events may fulfil than are wanted, for the server to leave the others out.
        """
        holds = condition(_without_search(query))
        conditions = [*self.conditions(query), self.usable, narrow or {}]
        streams = [self._ordinary(conditions, after, limit, newest_first)]
        if not self.layout.is_plain:
            streams.append(self._odd(query, after, newest_first))
        found = (event for event in merge(*streams, key=key_of, reverse=newest_first) if holds(event))
        return list(islice(found, limit))

    def all(self, query: EventQuery, *, newest_first: bool) -> Iterator[PersistedEvent]:
        """All of them, page by page."""
        after: Key | None = None
        while True:
            events = self.page(query, after, _BATCH, newest_first=newest_first)
            yield from events
            if len(events) < _BATCH:
                return
            after = key_of(events[-1])

    def _ordinary(
        self, conditions: Conditions, after: Key | None, limit: int, newest_first: bool
    ) -> Iterator[PersistedEvent]:
        """Events whose time is a number, in page order, a few at a time until nobody asks for more."""
        conditions = [*conditions, *self.ordinary]
        while True:
            number = 0
            for event in islice(self._from_ranges(conditions, after, limit, newest_first), limit):
                yield event
                number += 1
                after = key_of(event)
            if number < limit:
                return

    def _from_ranges(
        self, conditions: Conditions, after: Key | None, limit: int, newest_first: bool
    ) -> Iterator[PersistedEvent]:
        """The first `limit` at least, where there are so many."""
        left = limit
        if not self.layout.is_plain:
            if after is not None:
                within = {"persistedAt": {"$gte": after[0], "$lt": _past(after[0])}}
                for event in self._moment([*conditions, within], after, newest_first):
                    yield event
                    left -= 1
            if left > 0:
                yield from self._by_time([*conditions, _beyond(after, newest_first)], left, newest_first)
            return
        way = -1 if newest_first else 1
        sort = [("persistedAt", way), ("xcstore.seq", way), ("_id", way)]
        for within in _ranges(after, newest_first):
            if left > 0:
                events = self._first([*conditions, within], sort, left)
                yield from events
                left -= len(events)

    def _first(self, conditions: Conditions, sort: Sequence[tuple[str, int]], limit: int) -> list[PersistedEvent]:
        asked = all_of(conditions)
        documents = list(self.database.find(EVENTS, asked, sort=sort, limit=limit, batch=limit + 1))
        number = len(documents)
        events = list(self.decoded(documents))
        if len(events) == number or number < limit:
            return events
        # Some do not count: as many more are looked for.
        return list(islice(self.decoded(self.database.find(EVENTS, asked, sort=sort)), limit))

    def _by_time(self, conditions: Conditions, limit: int, newest_first: bool) -> Iterator[PersistedEvent]:
        """By the index on the time, which leaves the order within a moment open."""
        events = self._first(conditions, [("persistedAt", -1 if newest_first else 1)], limit + 1)
        if len(events) <= limit:
            yield from sorted(events, key=key_of, reverse=newest_first)
            return
        last = events[-1].persisted_at
        before = (event for event in events if event.persisted_at != last)
        yield from sorted(before, key=key_of, reverse=newest_first)
        within = {"persistedAt": {"$gte": last, "$lt": _past(last)}}
        yield from self._moment([*conditions, within], None, newest_first)

    def _moment(self, conditions: Conditions, after: Key | None, newest_first: bool) -> Iterator[PersistedEvent]:
        """The events of a moment in order, after one of them."""
        if self.layout.odd_ids:
            events = self.decoded(self.database.find(EVENTS, all_of(conditions)))
            for event in sorted(events, key=key_of, reverse=newest_first):
                if after is None or (key_of(event) < after if newest_first else key_of(event) > after):
                    yield event
            return
        key = self.layout.key
        if after is not None:
            conditions = [*conditions, {key: {"$lt" if newest_first else "$gt": after[2]}}]
        sort = [(key, -1 if newest_first else 1)]
        yield from self.decoded(self.database.find(EVENTS, all_of(conditions), sort=sort, batch=_MANY))

    def _odd(self, query: EventQuery, after: Key | None, newest_first: bool) -> Iterator[PersistedEvent]:
        found = sorted(self.odd(query), key=key_of, reverse=newest_first)
        for event in found:
            if after is None or (key_of(event) < after if newest_first else key_of(event) > after):
                yield event

    def odd(self, query: EventQuery) -> list[PersistedEvent]:
        """Events of others that are not `ordinary`, in no order; text and payload conditions are not looked at."""
        holds = condition(_without_search(query))
        odd: list[dict[str, Any]] = [ODD_TIMES]
        if self._tells_odd_ids:
            odd.append({"_id": {"$type": ODD_IDS}})
        asked = [*self.conditions(query, timed=False), self.usable, {"$or": odd}]
        return [event for event in self.decoded(self.database.find(EVENTS, all_of(asked))) if holds(event)]

    # Whole questions

    def aggregate(self, stages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """What the stages make of the events that count."""
        hidden = self.visible.uncounted()
        for _ in range(_ATTEMPTS):
            counted = [{"$match": {"xcstore.batch": {"$nin": hidden}}}] if hidden else []
            rows = list(self.database.aggregate(EVENTS, [*counted, *stages]))
            known, hidden = set(hidden), self.visible.uncounted()
            if known.issuperset(hidden):
                break
        return rows

    # Others

    def get(self, ids: Iterable[str]) -> dict[str, PersistedEvent]:
        """Those of the ids that are stored, in their order."""
        wanted = list(dict.fromkeys(ids))
        found: dict[str, PersistedEvent] = {}
        for start in range(0, len(wanted), _BATCH):
            asked = self.by_id(wanted[start : start + _BATCH])
            found.update((event.id, event) for event in self.decoded(self.database.find(EVENTS, asked)))
        return {event_id: found[event_id] for event_id in wanted if event_id in found}

    def select(self, *conditions: Mapping[str, Any], fields: Mapping[str, int] | None = None) -> list[PersistedEvent]:
        """Events in no order."""
        return list(self.decoded(self.database.find(EVENTS, all_of([*conditions, self.usable]), fields=fields)))


Conditions = Sequence[Mapping[str, Any]]


def _without_search(query: EventQuery) -> EventQuery:
    return replace(query, text="", payload_path=(), payload_value="")


def _ranges(after: Key | None, newest_first: bool) -> Iterator[dict[str, Any]]:
    """The ranges of page order that follow a key in a store of ours, one after the other."""
    if after is not None:
        at, seq, event_id = after
        # Within a moment: what others put in, by id, then ours by seq; the other way round where the newest come first.
        theirs = {"persistedAt": at, "xcstore.seq": None}
        if seq:
            yield {"persistedAt": at, "xcstore.seq": {"$lt" if newest_first else "$gt": seq}}
            if newest_first:
                yield theirs
        else:
            yield {**theirs, "_id": {"$lt" if newest_first else "$gt": event_id}}
            if not newest_first:
                yield {"persistedAt": at, "xcstore.seq": {"$gt": 0}}
    yield _beyond(after, newest_first)


def _beyond(after: Key | None, newest_first: bool) -> dict[str, Any]:
    """All moments after that of the key."""
    if after is None:
        return {"persistedAt": {"$gte": _FIRST, "$lt": _END}}
    if newest_first:
        return {"persistedAt": {"$gte": _FIRST, "$lt": after[0]}}
    return {"persistedAt": {"$gte": _past(after[0]), "$lt": _END}}


def all_of(conditions: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """All of the conditions in one; simple ones side by side, as the server's planner likes them."""
    found: dict[str, Any] = {}
    rest: list[Mapping[str, Any]] = []
    for one in conditions:
        if len(one) == 1 and not next(iter(one)).startswith("$") and next(iter(one)) not in found:
            found.update(one)
        elif one:
            rest.append(one)
    return {**found, "$and": rest} if rest else found


def _past(moment: int) -> int | float:
    """The end of the millisecond."""
    return moment + 1 if moment < _LAST else _END


def _numbers(values: Iterable[object]) -> list[int]:
    """A foreign writer's numeric ids, which are read as text."""
    texts = (value for value in values if isinstance(value, str) and len(value) < 19)
    return [
        int(value)
        for value in texts
        if value.removeprefix("-").isdecimal() and value.isascii() and str(int(value)) == value
    ]


def _is_object_id(value: str) -> bool:
    return len(value) == 24 and bson.ObjectId.is_valid(value)
