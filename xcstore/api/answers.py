"""What the routes answer: a store and parameters in, `data` out. Each answer is bounded, and says where it was cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from xcstore.api.json_body import MAX_BYTES, Texts
from xcstore.api.reading import read_events, read_trace
from xcstore.errors import NotFoundError, QueryError
from xcstore.model.catalog import Catalog
from xcstore.model.history import PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.queries.causality import Neighbourhood, neighbourhood
from xcstore.store.base import Cursor, EventQuery, InstanceQuery, InstanceSummary, Stores
from xcstore.store.codec import snapshot_to_document

__all__ = [
    "MAX_INFERRED",
    "Ask",
    "causality",
    "component_list",
    "definition",
    "events",
    "history",
    "instance",
    "instance_list",
    "machine_list",
]

Data = Mapping[str, object]

MAX_INFERRED: Final = 1_000
"""Most events of a trace along inferred links: each step of a chain asks the store several times."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: the store that it chose, and its parameters by name."""

    stores: Stores
    catalog: Callable[[], Catalog]
    given: Mapping[str, Any] = field(hash=False)

    def components(self) -> tuple[str, ...]:
        """The component of the path, else those of the query."""
        found = self.given["component"]
        return found if isinstance(found, tuple) else (found,)

    def named(self) -> str | None:
        """The component of the path; None where the route has none."""
        found = self.given.get("component")
        return found if isinstance(found, str) else None


def causality(ask: Ask) -> Data:
    """The events around one, nearest first, and the links between them."""
    given = ask.given
    if given["mode"] != "recorded" and given["maxEvents"] > MAX_INFERRED:
        raise QueryError(
            f"maxEvents is {given['maxEvents']}; in mode {given['mode']} it must be at most {MAX_INFERRED}, as links "
            "are looked for step by step"
        )

    def trace(max_events: int, max_seconds: float) -> Neighbourhood:
        return neighbourhood(
            ask.stores,
            given["eventId"],
            direction=given["direction"],
            mode=given["mode"],
            max_events=max_events,
            max_depth=given["maxDepth"],
            max_seconds=max_seconds,
            catalog=ask.catalog(),
        )

    traced = read_trace(trace, _nearest_first, max_events=given["maxEvents"], most_bytes=MAX_BYTES)
    found, loaded, texts = traced.found, traced.events, traced.texts
    if ask.named() not in (None, found.root.component_name):
        raise NotFoundError(f"event {given['eventId']!r} is not of component {ask.named()!r}")
    shown = loaded[: len(texts)]
    ids = {event.id for event in shown}
    return {
        "causality": texts,
        "count": len(texts),
        "links": [
            {
                "causeId": link.cause_id,
                "effectId": link.effect_id,
                "provenance": link.provenance,
                "rule": link.rule,
                "evidence": link.evidence,
                "doubts": list(link.doubts),
                "sameInstance": link.same_instance,
                "crossesComponent": link.crosses_component,
                "gapMs": link.gap_ms,
            }
            for link in found.graph.links
            # What was left out for its size takes its links along; a cause that is nowhere keeps its own.
            if link.effect_id in ids and (link.cause_id in ids or link.cause_id not in found.graph.events)
        ],
        "depths": {event.id: found.depths[event.id] for event in shown if event.id in found.depths},
        "missing": list(found.graph.missing),
        "truncated": found.truncated or len(shown) < len(loaded),
        "unread": found.unread + len(loaded) - len(shown),
        "faults": _faults(shown),
    }


def events(ask: Ask) -> Data:
    """A page of events."""
    given = ask.given
    if bool(given["payloadPath"]) != (given["payloadValue"] is not None):
        raise QueryError("payloadPath and payloadValue go together: give both, or none")
    query = EventQuery(
        components=ask.components(),
        machines=given["machine"],
        event_types=given["eventType"],
        instance_ids=given["instanceId"],
        states=given["state"],
        states_before=given["stateBefore"],
        start=given["from"],
        end=given["to"],
        text=given["text"],
        payload_path=given["payloadPath"],
        payload_value=given["payloadValue"] or "",
    )
    data = _page(ask, query, "events", newest_first=given["order"] == "newest")
    if not data["count"] and given["after"] is None:
        _check_component(ask)
    return data


def history(ask: Ask) -> Data:
    """A page of the stream of one instance, oldest first."""
    query = EventQuery(
        instance_ids=(ask.given["instanceId"],), components=() if ask.named() is None else ask.components()
    )
    data = _page(ask, query, "history", newest_first=False)
    if not data["count"] and ask.given["after"] is None:
        raise _no_instance(ask)
    return data


def instance_list(ask: Ask) -> Data:
    """A page of instances."""
    given = ask.given
    query = InstanceQuery(
        components=ask.components(),
        machines=given["machine"],
        states=given["state"],
        id_prefix=given["idPrefix"],
        updated_from=given["updatedFrom"],
        updated_to=given["updatedTo"],
    )
    page = ask.stores.events.instances(
        query, after=given["after"], limit=given["limit"], newest_first=given["order"] == "newest"
    )
    if not page.items and given["after"] is None:
        _check_component(ask)
    return {"instances": [_instance(item) for item in page.items], "count": len(page.items), "next": page.next}


def instance(ask: Ask) -> Data:
    """One instance, and its latest snapshot."""
    instance_id = ask.given["instanceId"]
    query = InstanceQuery(instance_ids=(instance_id,), components=() if ask.named() is None else ask.components())
    found = ask.stores.events.instances(query, limit=1).items
    if not found:
        raise _no_instance(ask)
    snapshot = ask.stores.snapshots.get_snapshot(instance_id)
    return {
        "instance": _instance(found[0]),
        "snapshot": None if snapshot is None else snapshot_to_document(snapshot),
        "faults": [] if snapshot is None else list(snapshot.faults),
    }


def component_list(ask: Ask) -> Data:
    """All components that have events or a definition."""
    counts = {item.key[0]: item.count for item in ask.stores.events.count(EventQuery(), by=("component_name",))}
    defined = {component.name for component in ask.catalog()}
    found = [
        {"name": name, "eventCount": counts.get(name, 0), "defined": name in defined}
        for name in sorted({*counts, *defined})
    ]
    return {"components": found, "count": len(found)}


def machine_list(ask: Ask) -> Data:
    """The machines of one component."""
    (component,) = ask.components()
    counts = {
        item.key[0]: item.count
        for item in ask.stores.events.count(EventQuery(components=(component,)), by=("machine_name",))
    }
    states: dict[str, dict[str, int]] = {}
    for row in ask.stores.events.count_instances(InstanceQuery(components=(component,))):
        states.setdefault(row.machine_name, {})[row.state] = row.count
    known = ask.catalog().find_component(component)
    defined = {machine.name for machine in known.machines} if known is not None else set()
    if not counts and known is None:
        raise _no_component(component)
    found = [
        {
            "name": name,
            "componentName": component,
            "eventCount": counts.get(name, 0),
            "states": states.get(name, {}),
            "defined": name in defined,
        }
        for name in sorted({*counts, *states, *defined})
    ]
    return {"machines": found, "count": len(found)}


def definition(ask: Ask) -> Data:
    """The document of one component."""
    (name,) = ask.components()
    found = ask.catalog().find_component(name)
    if found is None:
        raise NotFoundError(
            f"no definition of component {name!r} is known; there are those in the folder of XCSTORE_DEFINITIONS and "
            "those that are kept in the store"
        )
    return {"component": found.source, "hash": found.hash}


def _nearest_first(found: Neighbourhood) -> Sequence[PersistedEvent]:
    """As the TypeScript runtime answers: at equal distance and time by order of insertion, where it is known."""
    far = len(found.graph.events)
    return sorted(
        found.graph.events.values(),
        key=lambda event: (abs(found.depths.get(event.id, far)), event.persisted_at, event.seq or 0),
    )


def _page(ask: Ask, query: EventQuery, name: str, *, newest_first: bool) -> Mapping[str, object]:
    found = read_events(
        ask.stores.events,
        query,
        after=cast("Cursor | None", ask.given["after"]),
        limit=ask.given["limit"],
        newest_first=newest_first,
        most_bytes=MAX_BYTES,
    )
    items, texts = found.events, found.texts
    if name == "history":
        text_of = dict(zip(map(id, items), texts, strict=True))
        items = order_stream(items)
        texts = [text_of[id(event)] for event in items]
    return {
        name: Texts(texts),
        "count": len(texts),
        "next": found.next,
        "searchedTo": found.searched_to,
        "faults": _faults(items),
    }


def _faults(events: Sequence[PersistedEvent]) -> Mapping[str, Sequence[str]]:
    return {event.id: list(event.faults) for event in events if event.faults}


def _instance(item: InstanceSummary) -> Mapping[str, object]:
    return {
        "id": item.instance_id,
        "machineName": item.machine_name,
        "componentName": item.component_name,
        "currentState": item.state,
        "createdAt": item.created_at,
        "updatedAt": item.updated_at,
        "eventCount": item.event_count,
        "lastEventId": item.last_event_id,
        "lastEventType": item.last_event_type,
    }


def _check_component(ask: Ask) -> None:
    """An empty answer about a component of the path: is there such a one at all?"""
    name = ask.named()
    if name is None or ask.catalog().find_component(name) is not None:
        return
    if not ask.stores.events.find(EventQuery(components=(name,)), limit=1).items:
        raise _no_component(name)


def _no_component(name: str) -> NotFoundError:
    return NotFoundError(f"no component {name!r} in this store; /components lists them")


def _no_instance(ask: Ask) -> NotFoundError:
    of = "" if ask.named() is None else f" of component {ask.named()!r}"
    return NotFoundError(f"no instance {ask.given['instanceId']!r}{of} in this store; it holds no event of it")
