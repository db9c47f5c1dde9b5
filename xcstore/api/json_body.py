"""Bodies of answers: strict JSON, whatever is stored, and of bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from xcstore.jsontext import NestingError, json_text
from xcstore.model.history import PersistedEvent
from xcstore.store.codec import event_to_document

__all__ = ["MAX_BYTES", "Texts", "body", "event_texts"]

MAX_BYTES: Final = 16 * 2**20
"""Most text of events in one answer, but for a single event that is larger."""


class Texts(list[str]):
    """JSON texts that stand for a list of their values: nothing is written twice to know its size."""

    size: int = 0
    """Bytes of all of them."""


def event_texts(events: Iterable[PersistedEvent], most: int, *, whatever_first: bool = True) -> Texts:
    """The documents of the first events that fit into `most` bytes; of the first one whatever its size, unless told."""
    texts = Texts()
    for event in events:
        text = _event_text(event)
        size = texts.size + len(text.encode())
        if size > most and (texts or not whatever_first):
            break
        texts.append(text)
        texts.size = size
    return texts


def body(data: Mapping[str, object]) -> bytes:
    """The whole answer."""
    parts = (f"{json_text(name)}:{_value_text(value)}" for name, value in data.items())
    return f'{{"success":true,"data":{{{",".join(parts)}}}}}'.encode()


def _value_text(value: object) -> str:
    if isinstance(value, Texts):
        return f"[{','.join(value)}]"
    try:
        return json_text(value)
    except NestingError as error:
        return json_text(f"not shown: {error}")


def _event_text(event: PersistedEvent) -> str:
    document = event_to_document(event)
    # A document of MongoDB may have its id under `_id` alone.
    document.setdefault("id", event.id)
    try:
        return json_text(document)
    except NestingError as error:
        # One event that cannot be written must not cost the others; text that says so stands in for its values.
        return json_text(
            {
                "id": event.id,
                "instanceId": event.instance_id,
                "machineName": event.machine_name,
                "componentName": event.component_name,
                "event": {"type": event.event_type, "payload": f"not shown: {error}", "timestamp": event.timestamp},
                "stateBefore": event.state_before,
                "stateAfter": event.state_after,
                "persistedAt": event.persisted_at,
                "causedBy": list(event.caused_by),
                "caused": list(event.caused),
            }
        )
