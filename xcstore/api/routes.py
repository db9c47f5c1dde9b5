"""The table of routes. What serves a request, what reads its parameters, and the document of it all are made of this.

Names are those of the TypeScript runtime's API where it has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, get_args

from xcstore.analysis.causality import MODES
from xcstore.api import answers
from xcstore.api.answers import MAX_INFERRED, Ask
from xcstore.api.parameters import Parameter, choice, cursor, moment, names, number, text, texts
from xcstore.api.schemas import EXAMPLE_EVENT, EXAMPLE_LINK, SCHEMAS, Schema, array, obj, reference
from xcstore.store.base import Direction

__all__ = ["MAX_PAGE", "MAX_TRACE", "ROUTES", "STORE", "STORE_NAMES", "Route"]

MAX_PAGE: Final = 1_000
MAX_TRACE: Final = 10_000
_PAGE: Final = 100
_TRACE: Final = 1_000

STORE_NAMES: Final = ("store", "database", "mongodb", "archive", "demo")
"""What `Settings.store_urls` may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One path, answered with JSON under `data`."""

    path: str
    """With the names of its parameters in braces."""
    name: str
    """Of the operation."""
    summary: str
    meaning: str
    parameters: tuple[Parameter, ...]
    answer: Callable[[Ask], Mapping[str, object]]
    data: Schema
    example: Mapping[str, object] | None = None
    """Of `data`."""


STORE: Final = choice("store", "Which store; the first that is configured unless given.", STORE_NAMES, None)

_COMPONENT: Final = text("component", "Name of the component.", place="path", example="Shop")
_EVENT_ID: Final = text("eventId", "Id of the event.", place="path", example=EXAMPLE_EVENT["id"])
_INSTANCE_ID: Final = text("instanceId", "Id of the instance.", place="path", example=EXAMPLE_EVENT["instanceId"])
_ANY_COMPONENT: Final = names("component", "Name of a component; empty for events that name none.", ["Shop"])
_ORDER: Final = ("oldest", "newest")


def _limit(what: str, default: int = _PAGE) -> Parameter:
    return number("limit", f"Most {what} in the answer.", default=default, most=MAX_PAGE)


_TRACING: Final = (
    choice("direction", "What it caused, what caused it, or both.", get_args(Direction), "effects"),
    choice("mode", "Links as recorded; with doubtful ones replaced by inferred ones; or both.", MODES, "recorded"),
    number(
        "maxEvents",
        f"Most events in the answer, {MAX_INFERRED:,} where links are inferred; what is cut is farthest.",
        default=_TRACE,
        most=MAX_TRACE,
    ),
    number("maxDepth", "Most steps from the event; unless given, any number.", default=None, least=0, most=1_000_000),
    STORE,
)
_FILTERS: Final = (
    names("machine", "Name of a machine.", ["Order"]),
    names("eventType", "Type of an event.", ["PAY"]),
    names("instanceId", "Id of an instance."),
    names("state", "State that the event led to."),
    names("stateBefore", "State that it left."),
    moment("from", "Earliest time of storing, included."),
    moment("to", "Latest time of storing, included."),
    text("text", "Part of an id, an event type, or of a key or value of the payload; upper and lower case alike."),
    texts(
        "payloadPath",
        "Keys from the payload's root, one for each step, as `payloadPath=order&payloadPath=id`; with `payloadValue`.",
    ),
    text("payloadValue", "The value at `payloadPath`, as text.")._replace(default=None),
    choice("order", "Which come first.", _ORDER, "oldest"),
    _limit("events"),
    cursor(),
    STORE,
)
_STREAM: Final = (_limit("events", 1_000), cursor(), STORE)
_INSTANCE_FILTERS: Final = (
    names("machine", "Name of a machine.", ["Order"]),
    names("state", "State that the instance is in now."),
    text("idPrefix", "Beginning of the id."),
    moment("updatedFrom", "Earliest time of the last event, included."),
    moment("updatedTo", "Latest time of the last event, included."),
    choice("order", "Which come first, by the time of the last event.", _ORDER, "newest"),
    _limit("instances"),
    cursor(),
    STORE,
)

_COUNT: Final[Schema] = {"type": "integer", "minimum": 0, "description": "how many are in this answer"}
_NEXT: Final = reference("Next")
_FAULTS: Final = reference("Faults")


def _page_of(name: str) -> Schema:
    return obj(
        {
            name: array("Event"),
            "count": _COUNT,
            "next": _NEXT,
            "searchedTo": {
                "type": ["integer", "null"],
                "description": "a search through text stopped at its time limit: up to this time it has seen all, and "
                "`next` goes on",
            },
            "faults": _FAULTS,
        }
    )


_TRACE_DATA: Final = obj(
    {
        "causality": array("Event", "the event asked for first, then nearest first"),
        "count": _COUNT,
        "links": array("Link", "between these events, and from causes that are not in the store"),
        "depths": {
            "type": "object",
            "additionalProperties": {"type": "integer"},
            "description": "steps from the event asked for, by id: effects 1, 2, …; causes -1, -2, …",
        },
        "missing": array({"type": "string"}, "causes that are named, but are not in the answer"),
        "truncated": {
            "type": "boolean",
            "description": "whether more is connected than is shown, or may be: links are inferred for a bounded time",
        },
        "unread": {"type": "integer", "description": "when truncated: at least so many are not shown; 0: not known"},
        "faults": _FAULTS,
    }
)
_TRACE_EXAMPLE: Final = {
    "causality": [EXAMPLE_EVENT],
    "count": 1,
    "links": [EXAMPLE_LINK],
    "depths": {EXAMPLE_EVENT["id"]: 0},
    "missing": [EXAMPLE_LINK["causeId"]],
    "truncated": False,
    "unread": 0,
    "faults": {},
}
_PAGE_EXAMPLE: Final[Mapping[str, object]] = {"count": 1, "next": None, "searchedTo": None, "faults": {}}
_EVENTS_EXAMPLE: Final = {"events": [EXAMPLE_EVENT], **_PAGE_EXAMPLE}
_HISTORY_EXAMPLE: Final = {"history": [EXAMPLE_EVENT], **_PAGE_EXAMPLE}
_INSTANCES_DATA: Final = obj({"instances": array("Instance"), "count": _COUNT, "next": _NEXT})
_INSTANCES_EXAMPLE: Final = {"instances": [SCHEMAS["Instance"]["example"]], "count": 1, "next": None}
_INSTANCE_DATA: Final = obj(
    {
        "instance": reference("Instance"),
        "snapshot": {"description": "its latest snapshot as it is stored; null: there is none"},
        "faults": array({"type": "string"}, "what is odd about the stored snapshot, in words"),
    }
)
_CAUSES: Final = (
    "Follows causes and effects from one event. A recorded cause can be wrong: each link says who made it, what speaks "
    "for it, and what against it. What is cut is farthest, so that no event is shown without what leads to it."
)
_OLDEST_FIRST: Final = "Oldest first, in the order of the stream; events of equal times are put in order within a page."

ROUTES: Final = (
    Route(
        path="/cross-component/causality/{eventId}",
        name="traceAcrossComponents",
        summary="What an event caused, across all components",
        meaning=_CAUSES,
        parameters=(_EVENT_ID, *_TRACING),
        answer=answers.causality,
        data=_TRACE_DATA,
        example=_TRACE_EXAMPLE,
    ),
    Route(
        path="/cross-component/events",
        name="listEvents",
        summary="Events of all components, page by page",
        meaning="Without conditions and page after page, everything.",
        parameters=(_ANY_COMPONENT, *_FILTERS),
        answer=answers.events,
        data=_page_of("events"),
        example=_EVENTS_EXAMPLE,
    ),
    Route(
        path="/cross-component/instance/{instanceId}/history",
        name="getHistory",
        summary="The events of one instance",
        meaning=_OLDEST_FIRST,
        parameters=(_INSTANCE_ID, *_STREAM),
        answer=answers.history,
        data=_page_of("history"),
        example=_HISTORY_EXAMPLE,
    ),
    Route(
        path="/cross-component/instance/{instanceId}",
        name="getInstance",
        summary="One instance, and its latest snapshot",
        meaning="As its events tell it; the snapshot may lag behind.",
        parameters=(_INSTANCE_ID, STORE),
        answer=answers.instance,
        data=_INSTANCE_DATA,
    ),
    Route(
        path="/instances",
        name="listInstances",
        summary="Instances of all components, page by page",
        meaning="As their events tell them.",
        parameters=(_ANY_COMPONENT, *_INSTANCE_FILTERS),
        answer=answers.instance_list,
        data=_INSTANCES_DATA,
        example=_INSTANCES_EXAMPLE,
    ),
    Route(
        path="/components",
        name="listComponents",
        summary="The components",
        meaning="Those that have events or a definition, by name.",
        parameters=(STORE,),
        answer=answers.component_list,
        data=obj({"components": array("Component"), "count": _COUNT}),
    ),
    Route(
        path="/{component}/events",
        name="listEventsOfComponent",
        summary="Events of one component, page by page",
        meaning="Without conditions and page after page, all of them.",
        parameters=(_COMPONENT, *_FILTERS),
        answer=answers.events,
        data=_page_of("events"),
        example=_EVENTS_EXAMPLE,
    ),
    Route(
        path="/{component}/instances",
        name="listInstancesOfComponent",
        summary="Instances of one component, page by page",
        meaning="As their events tell them.",
        parameters=(_COMPONENT, *_INSTANCE_FILTERS),
        answer=answers.instance_list,
        data=_INSTANCES_DATA,
        example=_INSTANCES_EXAMPLE,
    ),
    Route(
        path="/{component}/machines",
        name="listMachines",
        summary="The machines of one component",
        meaning="Those that have events or a definition, with how many instances are in which state.",
        parameters=(_COMPONENT, STORE),
        answer=answers.machine_list,
        data=obj({"machines": array("Machine"), "count": _COUNT}),
    ),
    Route(
        path="/{component}/definition",
        name="getDefinition",
        summary="The definition of one component",
        meaning="The document, from the folder of XCSTORE_DEFINITIONS or kept in the store, which wins.",
        parameters=(_COMPONENT, STORE),
        answer=answers.definition,
        data=obj(
            {
                "component": {"type": "object", "description": "the document as it was written"},
                "hash": {"type": "string", "description": "SHA-256 over its canonical JSON"},
            }
        ),
    ),
    Route(
        path="/{component}/causality/{eventId}",
        name="traceFromComponent",
        summary="What an event of one component caused",
        meaning=f"{_CAUSES} The event must be of the component; what it caused may be of any.",
        parameters=(_COMPONENT, _EVENT_ID, *_TRACING),
        answer=answers.causality,
        data=_TRACE_DATA,
        example=_TRACE_EXAMPLE,
    ),
    Route(
        path="/{component}/instance/{instanceId}/history",
        name="getHistoryInComponent",
        summary="The events of one instance of one component",
        meaning=_OLDEST_FIRST,
        parameters=(_COMPONENT, _INSTANCE_ID, *_STREAM),
        answer=answers.history,
        data=_page_of("history"),
        example=_HISTORY_EXAMPLE,
    ),
    Route(
        path="/{component}/instance/{instanceId}",
        name="getInstanceOfComponent",
        summary="One instance of one component, and its latest snapshot",
        meaning="As its events tell it; the snapshot may lag behind.",
        parameters=(_COMPONENT, _INSTANCE_ID, STORE),
        answer=answers.instance,
        data=_INSTANCE_DATA,
    ),
)
