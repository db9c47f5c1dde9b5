"""What callers may hand in. Checked at the entrance, so that nothing else can be in the queue."""

from __future__ import annotations

from collections.abc import Mapping

from xcstore.errors import InvalidEventError
from xcstore.runtime.interpreter import Event

__all__ = ["to_causes", "to_event", "to_mapping", "to_name"]


def to_event(event: object, payload: object = None) -> Event:
    """An `Event`, or one of that type and payload.

    Raises
    ------
    InvalidEventError
        Says which part cannot be used, its value, and what would be right.
    """
    if isinstance(event, Event):
        if payload is not None:
            raise InvalidEventError(f"event {event.type!r} has a payload of its own; give no other beside it")
        to_name(event.type, "the type of the event")
        to_mapping(event.payload)
        if event.timestamp is not None and type(event.timestamp) is not int:
            raise InvalidEventError(f"timestamp is {_short(event.timestamp)}; it must be whole epoch milliseconds")
        return event
    return Event(to_name(event, "the event"), to_mapping(payload))


def to_mapping(value: object, what: str = "payload") -> Mapping[str, object]:
    """A payload, or the data of an instance; None is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidEventError(f"{what} is {_short(value)}; it must be a mapping of names to JSON values")
    return value


def to_causes(value: object) -> tuple[str, ...]:
    """Ids of events; a single one may stand alone."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple) or not all(isinstance(cause, str) for cause in value):
        raise InvalidEventError(f"caused_by is {_short(value)}; it must be ids of events")
    return tuple(value)


def to_name(value: object, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidEventError(f"{what} is {_short(value)}; it must be a name")
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({type(value).__name__})"
