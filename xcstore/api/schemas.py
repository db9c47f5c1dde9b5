"""The shapes of answers, as JSON Schema; each with an example. Routes name them, the OpenAPI document holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from xcstore.analysis.causality import Provenance

__all__ = ["ERROR", "EXAMPLE_EVENT", "EXAMPLE_LINK", "SCHEMAS", "Schema", "array", "envelope", "obj", "reference"]

Schema = Mapping[str, Any]


def reference(name: str) -> Schema:
    """One of `SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(of: str | Schema, meaning: str = "") -> Schema:
    found: dict[str, Any] = {"type": "array", "items": reference(of) if isinstance(of, str) else of}
    return found | ({"description": meaning} if meaning else {})


def obj(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None, meaning: str = "") -> Schema:
    """An object that may also hold what is not named here."""
    found: dict[str, Any] = {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }
    return found | ({"description": meaning} if meaning else {})


def envelope(data: Schema) -> Schema:
    """What every answer is wrapped in."""
    return obj({"success": {"const": True}, "data": data})


def _text(meaning: str) -> Schema:
    return {"type": "string", "description": meaning}


def _whole(meaning: str) -> Schema:
    return {"type": "integer", "description": meaning}


def _flag(meaning: str) -> Schema:
    return {"type": "boolean", "description": meaning}


def _maybe(kind: str, meaning: str) -> Schema:
    return {"type": [kind, "null"], "description": meaning}


def _any(meaning: str) -> Schema:
    return {"description": meaning}


EXAMPLE_EVENT: Final[Schema] = {
    "id": "c0ffee00-4201-4a11-9b0d-8d2f6c1e0a55",
    "instanceId": "7f3d6a90-11aa-4c0e-8f57-1c2d3e4f5a6b",
    "machineName": "Order",
    "componentName": "Shop",
    "event": {"type": "PAY", "payload": {"orderId": "ORD-123", "amount": 10}, "timestamp": 1767225600000},
    "stateBefore": "Created",
    "stateAfter": "Paid",
    "persistedAt": 1767225600003,
    "causedBy": ["5d2f0b1c-7a44-4d43-8a0f-0a9b8c7d6e5f"],
    "caused": [],
}

EXAMPLE_LINK: Final[Schema] = {
    "causeId": "5d2f0b1c-7a44-4d43-8a0f-0a9b8c7d6e5f",
    "effectId": "c0ffee00-4201-4a11-9b0d-8d2f6c1e0a55",
    "provenance": "recorded",
    "rule": "",
    "evidence": "",
    "doubts": [],
    "sameInstance": False,
    "crossesComponent": True,
    "gapMs": 3,
}

ERROR: Final[Schema] = {
    **obj(
        {
            "success": {"const": False},
            "error": _text("what failed, the value, and what would be right"),
        }
    ),
    "example": {"success": False, "error": "limit is '0'; it must be a whole number from 1 to 1000"},
}

# Of an event only the ids are sure to be there and to be text: the rest is as it was stored, odd or not.
_EVENT: Final[Schema] = {
    **obj(
        {
            "id": _text("of the event"),
            "instanceId": _any("the instance it happened to"),
        },
        {
            "machineName": _any("its state machine"),
            "componentName": _any("its component"),
            "event": _any("`type`, `payload` and, where recorded, `timestamp` (milliseconds since 1970)"),
            "stateBefore": _any("'' for the first event of an instance"),
            "stateAfter": _any("the state that it led to"),
            "persistedAt": _any("when it was stored: milliseconds since 1970; text in some stores of others"),
            "causedBy": _any("ids of its causes as recorded; they may be wrong: see `links`"),
            "caused": _any("ids of its effects as recorded with it; empty in most stores"),
            "sourceComponentName": _any("the component that sent it"),
            "targetComponentName": _any("the component that it was sent to"),
            "publicMemberSnapshot": _any("public member after it, where recorded"),
            "context": _any("context after it, where recorded"),
            "definitionHash": _any("hash of the definition that governed it, where recorded"),
        },
        "An event as the TypeScript runtime writes it, with the keys and values that are stored.",
    ),
    "example": EXAMPLE_EVENT,
}

_LINK: Final[Schema] = {
    **obj(
        {
            "causeId": _text("id of the cause; it may be missing from the store"),
            "effectId": _text("id of the effect"),
            "provenance": {"type": "string", "enum": list(get_args(Provenance)), "description": "who says so"},
            "rule": _text("name of the rule that inferred it; '' where it was recorded"),
            "evidence": _text("what the rule saw, in words"),
            "doubts": array({"type": "string"}, "why it cannot be right; empty does not prove that it is"),
            "sameInstance": _maybe("boolean", "null: the cause is not in the answer"),
            "crossesComponent": _maybe("boolean", "null: the cause is not in the answer"),
            "gapMs": _maybe("integer", "milliseconds from cause to effect; negative when the effect was stored first"),
        },
        meaning="One cause of one event, and who says so.",
    ),
    "example": EXAMPLE_LINK,
}

_INSTANCE: Final[Schema] = {
    **obj(
        {
            "id": _text("of the instance"),
            "machineName": _text("its state machine"),
            "componentName": _text("its component; '' where none is recorded"),
            "currentState": _text("state after its last event"),
            "createdAt": _whole("time of its first event, milliseconds since 1970"),
            "updatedAt": _whole("time of its last event, milliseconds since 1970"),
            "eventCount": _whole("how many events it has"),
            "lastEventId": _text("id of its last event"),
            "lastEventType": _text("type of its last event"),
        },
        meaning="An instance as its events tell it.",
    ),
    "example": {
        "id": "7f3d6a90-11aa-4c0e-8f57-1c2d3e4f5a6b",
        "machineName": "Order",
        "componentName": "Shop",
        "currentState": "Paid",
        "createdAt": 1767225599000,
        "updatedAt": 1767225600003,
        "eventCount": 2,
        "lastEventId": "c0ffee00-4201-4a11-9b0d-8d2f6c1e0a55",
        "lastEventType": "PAY",
    },
}

_MACHINE: Final[Schema] = obj(
    {
        "name": _text("of the machine"),
        "componentName": _text("its component"),
        "eventCount": _whole("events of its instances"),
        "states": {
            "type": "object",
            "additionalProperties": {"type": "integer"},
            "description": "instances by the state that they are in now",
        },
        "defined": _flag("whether a definition of it is known"),
    },
    meaning="A state machine of a component.",
)

_COMPONENT: Final[Schema] = obj(
    {
        "name": _text("'' stands for events that name none"),
        "eventCount": _whole("events that name it"),
        "defined": _flag("whether a definition of it is known"),
    },
    meaning="A component that has events or a definition.",
)

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Error": ERROR,
    "Event": _EVENT,
    "Link": _LINK,
    "Instance": _INSTANCE,
    "Machine": _MACHINE,
    "Component": _COMPONENT,
    "Faults": {
        "type": "object",
        "additionalProperties": array({"type": "string"}),
        "description": "what is odd about stored events, in words, by event id; without the others",
    },
    "Next": _maybe("string", "`after` of the following page; null: there is no more"),
}
