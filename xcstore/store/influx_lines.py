"""Points of InfluxDB as text: the line protocol, and where an event and a snapshot stand in it.

    fsm_events      tags component_name, machine_name, event_type, state_before, state_after, stripe (of the instance)
                    fields id, instance_id, document (the whole event, JSON)
    fsm_event_keys  tags role ('id' or 'cause'), stripe (of the value), n (several causes in one stripe)
                    fields value (the id, or the id of a cause), event_id, instance_id
    fsm_event_parts tags stripe, n; field text: a document that one request would not hold, in pieces; the event's own
                    document is then '@' and the stripe
    fsm_snapshots   tag stripe (of the instance); fields instance_id, document

A point that has the measurement, tags and time of another one replaces it without a word. An event's time is therefore
`persisted_at` in ns and an offset below 1 ms: a hash of its id, moved on where another event is stored under that time.
Ids are fields, as each value of a tag takes memory for good; `stripe`, a hash, is the tag that leads near them.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from xcstore.errors import LimitExceededError
from xcstore.jsontext import json_text
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.store.codec import event_to_document, snapshot_to_document
from xcstore.store.limits import NOTHING_WRITTEN

__all__ = [
    "EVENTS",
    "FIRST_MS",
    "KEYS",
    "LAST_MS",
    "NS",
    "PARTS",
    "SNAPSHOTS",
    "check_time",
    "event_points",
    "instance_stripe",
    "key_stripe",
    "offset_of",
    "point",
    "snapshot_point",
    "tag_text",
    "tag_value",
]

EVENTS: Final = "fsm_events"
KEYS: Final = "fsm_event_keys"
PARTS: Final = "fsm_event_parts"
SNAPSHOTS: Final = "fsm_snapshots"
NS: Final = 1_000_000
"""Nanoseconds of a millisecond."""
FIRST_MS: Final = -(2**63) // NS + 1
LAST_MS: Final = (2**63 - 1) // NS - 1
"""Whole milliseconds that 64 bits of nanoseconds hold: years 1677 to 2262."""

_INSTANCE_STRIPES: Final = 64
_KEY_STRIPES: Final = 1024
_PART: Final = 4_000_000
"""Characters; up to 16 MB as they are sent, where a server takes 25 MB in a request if it is not told otherwise."""
_UNWRITABLE: Final = re.compile(r"[%\\\x00-\x1f\x7f]")
_WRITTEN: Final = re.compile("%([0-9A-F]{2})")
_SPECIAL: Final = re.compile("[ ,=]")


def check_time(event: PersistedEvent) -> None:
    """Refuse what nanoseconds cannot hold.

    Raises
    ------
    LimitExceededError
    """
    if not FIRST_MS <= event.persisted_at <= LAST_MS:
        raise LimitExceededError(
            f"persisted_at is {event.persisted_at}; InfluxDB holds {FIRST_MS} to {LAST_MS} ms, "
            f"the years 1677 to 2262{NOTHING_WRITTEN}"
        )


def offset_of(event_id: str) -> int:
    """Where in its millisecond an event is first tried to be stored, ns."""
    return _hash(event_id) % NS


def instance_stripe(instance_id: str) -> str:
    return str(_hash(instance_id) // NS % _INSTANCE_STRIPES)


def key_stripe(value: str) -> str:
    return str(_hash(value) // NS % _KEY_STRIPES)


def event_points(event: PersistedEvent, time_ns: int) -> Iterator[str]:
    """The points of an event: what leads to it from its causes and by its id, the parts of a large one, then itself.

    In this order, so that an event that is listed has all that belongs to it.
    """
    named = {"event_id": event.id, "instance_id": event.instance_id}
    together: Counter[str] = Counter()
    for cause in dict.fromkeys(event.caused_by):
        stripe = key_stripe(cause)
        number = str(together[stripe]) if together[stripe] else ""
        together[stripe] += 1
        yield point(KEYS, {"n": number, "role": "cause", "stripe": stripe}, {**named, "value": cause}, time_ns)
    yield point(KEYS, {"role": "id", "stripe": key_stripe(event.id)}, {**named, "value": event.id}, time_ns)
    stripe = instance_stripe(event.instance_id)
    document = json_text(event_to_document(event))
    if len(document) > _PART:
        for start in range(0, len(document), _PART):
            part = document[start : start + _PART]
            yield point(PARTS, {"n": str(start // _PART), "stripe": stripe}, {"text": part}, time_ns)
        document = f"@{stripe}"
    tags = {
        "component_name": event.component_name,
        "event_type": event.event_type,
        "machine_name": event.machine_name,
        "state_after": event.state_after,
        "state_before": event.state_before,
        "stripe": stripe,
    }
    yield point(EVENTS, tags, {"id": event.id, "instance_id": event.instance_id, "document": document}, time_ns)


def snapshot_point(snapshot: InstanceSnapshot, time_ns: int) -> str:
    instance_id = snapshot.instance.id
    document = json_text(snapshot_to_document(snapshot))
    tags = {"stripe": instance_stripe(instance_id)}
    return point(SNAPSHOTS, tags, {"instance_id": instance_id, "document": document}, time_ns)


def point(measurement: str, tags: Mapping[str, str], fields: Mapping[str, str], time_ns: int) -> str:
    """One line. An empty tag is left out, which reads as ''."""
    named = "".join(
        f",{name}={_SPECIAL.sub(lambda found: chr(92) + found[0], tag_text(value))}"
        for name, value in tags.items()
        if value
    )
    texts = ",".join(f"{name}={_quoted(value)}" for name, value in fields.items())
    return f"{measurement}{named} {texts} {time_ns}"


def tag_text(value: str) -> str:
    """A value as it is kept in a tag, which holds no line break, and ends in no backslash: such are written as %5C."""
    return _UNWRITABLE.sub(lambda found: f"%{ord(found[0]):02X}", value)


def tag_value(text: str) -> str:
    """The value that `tag_text` wrote."""
    return _WRITTEN.sub(lambda found: chr(int(found[1], 16)), text)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")
