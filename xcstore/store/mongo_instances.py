"""Instances as their events tell them, in MongoDB.

In stores of ours from the heads (`mongo_heads`), by an index. Instances whose head does not tell, as they are being
appended to, others wrote into them, or their last moment has to be put in order, are worked out from their events; they
are few. In stores of others one aggregation tells the first and the last event of each instance.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from heapq import nlargest, nsmallest
from typing import Any, Final

from xcstore.model.history import PersistedEvent
from xcstore.redaction import NO_REDACTION
from xcstore.store.base import EventQuery, InstanceQuery, InstanceSummary, StateCount
from xcstore.store.mongo_documents import OURS
from xcstore.store.mongo_heads import STREAM_FIELDS, summary_of_head, summary_of_stream
from xcstore.store.mongo_layout import EVENTS, META, SEQ
from xcstore.store.mongo_pages import Key, MongoEvents, all_of, key_of
from xcstore.store.values import is_encodable
from xcstore.units import EpochMs

__all__ = ["StandingSummary", "count_states", "find_instances"]

StandingSummary = tuple[Key, InstanceSummary]
"""A summary and its place in the list: (`updated_at`, seq and id of the last event)."""
Holds = Callable[[InstanceSummary], bool]

_CHUNK: Final = 500
_ATTEMPTS: Final = 3
_FIRST, _LAST = -(2**63), 2**63 - 1
_LAST_FIELDS: Final = {
    "id": "$_id",
    "own": "$id",
    "at": "$persistedAt",
    "component": "$componentName",
    "machine": "$machineName",
    "state": "$stateAfter",
    "type": "$event.type",
}


def find_instances(
    events: MongoEvents, query: InstanceQuery, holds: Holds, after: Key | None, limit: int, *, newest_first: bool
) -> list[StandingSummary]:
    """The next `limit` instances (fewer: there are no more)."""
    if events.layout.is_ours:
        told, worked_out = _told_by_heads(events, query, after, limit, newest_first=newest_first)
    else:
        told, worked_out = _from_events(events, query)
    standing = {summary.instance_id: (key, summary) for key, summary in told}
    standing.update((one[1].instance_id, one) for one in _worked_out(events, worked_out))
    found = (
        (key, summary)
        for key, summary in standing.values()
        if holds(summary) and (after is None or (key < after if newest_first else key > after))
    )
    return (nlargest if newest_first else nsmallest)(limit, found, key=lambda one: one[0])


def count_states(events: MongoEvents, query: InstanceQuery, holds: Holds) -> list[StateCount]:
    """Instances per component, machine and current state."""
    tally: defaultdict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, _LAST, _FIRST])
    if events.layout.is_ours:
        rows, worked_out = _counted_heads(events, query)
        for row in rows:
            key = row["_id"]
            worked_out.update(row["unsettled"])
            if not row["count"]:
                continue
            known = tally[key["component"], key["machine"], key["state"]]
            known[:] = [known[0] + row["count"], min(known[1], row["oldest"]), max(known[2], row["newest"])]
        summaries: list[StandingSummary] = []
    else:
        summaries, worked_out = _from_events(events, query)
    for _, summary in (*summaries, *_worked_out(events, worked_out)):
        if holds(summary):
            known = tally[summary.component_name, summary.machine_name, summary.state]
            at = summary.updated_at
            known[:] = [known[0] + 1, min(known[1], at), max(known[2], at)]
    return [
        StateCount(
            component_name=component,
            machine_name=machine,
            state=state,
            count=count,
            oldest_updated_at=EpochMs(oldest),
            newest_updated_at=EpochMs(newest),
        )
        for (component, machine, state), (count, oldest, newest) in sorted(tally.items())
    ]


# --- From the heads


def _doubtful(events: MongoEvents, query: InstanceQuery) -> set[str]:
    """Instances whose head does not tell."""
    marked = [{"xcstore.open": {"$exists": True}}, {"xcstore.unsettled": {"$exists": True}}, {"xcstore.seq": None}]
    return _instances_of(events, query, {"$or": marked})


def _instances_of(events: MongoEvents, query: InstanceQuery, condition: Mapping[str, Any]) -> set[str]:
    documents = events.database.find(EVENTS, condition, fields={"instanceId": 1, "xcstore.batch": 1})
    found = {str(one["instanceId"]) for one in events.visible.among(documents) if one.get("instanceId")}
    return found.intersection(query.instance_ids) if query.instance_ids else found


def _told_by_heads(
    events: MongoEvents, query: InstanceQuery, after: Key | None, limit: int, *, newest_first: bool
) -> tuple[list[StandingSummary], set[str]]:
    """Summaries of heads, and the instances whose head does not tell, or was replaced while heads were read."""
    doubtful = _doubtful(events, query)
    for _ in range(_ATTEMPTS):
        last = _last_number(events)
        hidden = events.visible.uncounted()
        told = _from_heads(events, query, doubtful, after, limit, newest_first=newest_first)
        changed = _changed_since(events, query, last, hidden) - doubtful
        if not changed:
            break
        # Where one of these was told, there may be others in its place.
        doubtful |= changed
        if changed.isdisjoint(summary.instance_id for _, summary in told):
            break
    else:  # appended to without end: what was told was so while it was read
        doubtful -= {summary.instance_id for _, summary in told}
    return told, doubtful


def _last_number(events: MongoEvents) -> int:
    document = events.database.find_one(META, {"_id": SEQ})
    return 0 if document is None else int(document["value"])


def _changed_since(events: MongoEvents, query: InstanceQuery, last: int, hidden: Iterable[int]) -> set[str]:
    """Instances with events that came to count since then: the last number that was taken, the batches that did not."""
    appended: dict[str, Any] = {"xcstore.seq": {"$gt": last}}
    committed = set(hidden).difference(events.visible.uncounted())
    if not committed:
        return _instances_of(events, query, appended)
    of_batch = {"xcstore.seq": {"$gt": min(committed)}, "xcstore.batch": {"$in": sorted(committed)}}
    return _instances_of(events, query, {"$or": [appended, of_batch]})


def _from_heads(
    events: MongoEvents,
    query: InstanceQuery,
    doubtful: set[str],
    after: Key | None,
    limit: int,
    *,
    newest_first: bool,
) -> list[StandingSummary]:
    way = -1 if newest_first else 1
    sort = [("xcstore.head.updated", way), ("xcstore.head.seq", way)]
    conditions = list(_head_conditions(query, doubtful))
    found: dict[str, StandingSummary] = {}
    for within in _head_ranges(after, newest_first):
        documents = events.database.find(
            EVENTS, all_of([within, *conditions]), fields={OURS: 1}, sort=sort, batch=limit + 1
        )
        for document in events.visible.among(documents, limit):
            summary = summary_of_head(document[OURS]["head"])
            key = (summary.updated_at, document[OURS]["head"]["seq"], summary.last_event_id)
            known = found.get(summary.instance_id)
            # Of one that was appended to just now there may be two: the later counts.
            if known is None or known[0] < key:
                found[summary.instance_id] = (key, summary)
            if len(found) >= limit:
                return list(found.values())
    return list(found.values())


def _head_ranges(after: Key | None, newest_first: bool) -> Iterator[dict[str, Any]]:
    if after is None:
        yield {"xcstore.head.updated": {"$gte": _FIRST}}
        return
    way = "$lt" if newest_first else "$gt"
    yield {"xcstore.head.updated": after[0], "xcstore.head.seq": {way: after[1]}}
    yield {"xcstore.head.updated": {way: after[0]}}


def _head_conditions(query: InstanceQuery, doubtful: set[str]) -> Iterator[dict[str, Any]]:
    yield {"xcstore.head.settled": True}
    yield from _where(query, doubtful)
    yield from _what(query)


def _where(query: InstanceQuery, doubtful: set[str]) -> Iterator[dict[str, Any]]:
    """What is asked of the fields that a head tells also where it is not settled."""
    if query.instance_ids:
        wanted = {value for value in query.instance_ids if is_encodable(value)} - doubtful
        yield {"xcstore.head.instance": {"$in": sorted(wanted)}}
    elif doubtful:
        yield {"xcstore.head.instance": {"$nin": sorted(doubtful)}}
    if query.id_prefix:
        yield {"xcstore.head.instance": _starting_with(query.id_prefix)}
    if query.updated_from is not None:
        yield _bound("$gte", query.updated_from)
    if query.updated_to is not None:
        yield _bound("$lte", query.updated_to)


def _what(query: InstanceQuery) -> Iterator[dict[str, Any]]:
    for name, values in (("component", query.components), ("machine", query.machines), ("state", query.states)):
        if values:
            yield {f"xcstore.head.{name}": {"$in": [value for value in values if is_encodable(value)]}}


def _bound(way: str, moment: int) -> dict[str, Any]:
    """Beyond 64 bits a number cannot be sent as it is."""
    return {"xcstore.head.updated": {way: moment if _FIRST <= moment <= _LAST else float(moment)}}


def _starting_with(prefix: str) -> dict[str, Any]:
    return {"$gte": prefix, "$lt": prefix + "\U0010ffff"} if is_encodable(prefix) else {"$in": []}


def _counted_heads(events: MongoEvents, query: InstanceQuery) -> tuple[list[dict[str, Any]], set[str]]:
    """Tallies of what heads tell, and the instances whose head does not.

    While heads are read, others append: the new head is put in before the one before it goes, and stands behind it in
    the index. So each instance is met once at least, and the later of two counts.
    """
    doubtful = _doubtful(events, query)
    told = all_of(_what(query))
    for _ in range(_ATTEMPTS):
        asked = [{"xcstore.head.updated": {"$gte": _FIRST}}, *_where(query, doubtful)]
        if told:
            asked.append({"$or": [{"xcstore.head.settled": False}, told]})
        hidden = set(events.visible.uncounted())
        rows = events.aggregate([{"$match": all_of(asked)}, *_TALLY])
        # A batch that came to count meanwhile was left out, while the heads before its own went.
        if hidden <= set(events.visible.uncounted()):
            break
    return rows, doubtful


_NAMES: Final = ("component", "machine", "state")
_TALLY: Final[tuple[dict[str, Any], ...]] = (
    {
        "$group": {
            "_id": "$xcstore.head.instance",
            # Objects compare by their first field first.
            "head": {
                "$max": {
                    "position": "$xcstore.position",
                    **{name: f"$xcstore.head.{name}" for name in (*_NAMES, "updated", "settled")},
                }
            },
        }
    },
    {
        "$group": {
            "_id": {name: f"$head.{name}" for name in _NAMES},
            "count": {"$sum": {"$cond": ["$head.settled", 1, 0]}},
            "oldest": {"$min": {"$cond": ["$head.settled", "$head.updated", None]}},
            "newest": {"$max": {"$cond": ["$head.settled", "$head.updated", None]}},
            "unsettled": {"$push": {"$cond": ["$head.settled", "$$REMOVE", "$_id"]}},
        }
    },
)


# --- From the events themselves


def _from_events(events: MongoEvents, query: InstanceQuery) -> tuple[list[StandingSummary], set[str]]:
    """Summaries of instances with one last event, and the ids of those that must be worked out."""
    asked: list[Mapping[str, Any]] = [events.usable, *events.ordinary]
    if query.instance_ids:
        asked += events.conditions(EventQuery(instance_ids=query.instance_ids))
    if query.id_prefix:
        asked.append({"instanceId": _starting_with(query.id_prefix)})
    last_two = {"$bottomN": {"n": 2, "sortBy": {"persistedAt": 1}, "output": _LAST_FIELDS}}
    stages = [
        {"$match": all_of(asked)},
        {
            "$group": {
                "_id": "$instanceId",
                "first": {"$min": "$persistedAt"},
                "count": {"$sum": 1},
                "last": last_two,
            }
        },
    ]
    # What is odd in any way is worked out by the codec.
    worked_out = {event.instance_id for event in events.odd(EventQuery(instance_ids=query.instance_ids))}
    found: list[StandingSummary] = []
    for row in events.aggregate(stages):
        last = row["last"][-1]
        event_id = last["own"] if isinstance(last.get("own"), str) else last["id"]
        is_tied = len(row["last"]) > 1 and int(row["last"][0]["at"]) == int(last["at"])
        plain = isinstance(row["_id"], str) and isinstance(event_id, str) and isinstance(last["at"], int)
        if is_tied or not plain or not isinstance(row["first"], int) or row["_id"] in worked_out:
            worked_out.add(str(row["_id"]))
            continue
        texts = {name: value if isinstance(value := last.get(name), str) else "" for name in _TEXTS}
        found.append(
            (
                (last["at"], 0, event_id),
                InstanceSummary(
                    instance_id=row["_id"],
                    component_name=texts["component"],
                    machine_name=texts["machine"],
                    state=texts["state"],
                    created_at=EpochMs(row["first"]),
                    updated_at=EpochMs(last["at"]),
                    event_count=row["count"],
                    last_event_id=event_id,
                    last_event_type=texts["type"],
                ),
            )
        )
    return [one for one in found if one[1].instance_id not in worked_out], worked_out


_TEXTS: Final = ("component", "machine", "state", "type")


# --- From the streams of some


def _worked_out(events: MongoEvents, instance_ids: Iterable[str]) -> Iterator[StandingSummary]:
    light = replace(events, redact=NO_REDACTION)
    wanted = sorted(instance_ids)
    for start in range(0, len(wanted), _CHUNK):
        streams: defaultdict[str, list[PersistedEvent]] = defaultdict(list)
        query = EventQuery(instance_ids=tuple(wanted[start : start + _CHUNK]))
        for event in light.select(*events.conditions(query), fields=STREAM_FIELDS):
            streams[event.instance_id].append(event)
        for stream in streams.values():
            last, summary = summary_of_stream(stream)
            yield key_of(last), summary
