"""One table of values that are hard to keep: each comes back exactly, or is refused, and alike on every backend.

`KEPT` and `REFUSED` are the verdicts of decision 13. What others wrote under no such table: test_foreign_values.py.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from tests.backends import BACKENDS
from tests.contract.helpers import in_page_order, nested
from tests.factories import START, event, snapshot
from xcstore.errors import LimitExceededError
from xcstore.jsontext import json_text, parse_json
from xcstore.model.history import PersistedEvent
from xcstore.store.base import EventQuery, InstanceQuery, Stores
from xcstore.store.codec import event_from_document, event_to_document

MB = 1024 * 1024


class Colour(Enum):
    """JSON has none."""

    RED = "red"


KEPT, REFUSED = "kept", "refused"

NFC, NFD = unicodedata.normalize("NFC", "Zoë"), unicodedata.normalize("NFD", "Zoë")
YEAR_1 = -62_135_596_800_000
YEAR_292_000_000 = 9_214_590_000_000_000_000


def objects(levels: int) -> object:
    """An object in an object …"""
    value: object = {}
    for _ in range(levels - 1):
        value = {"k": value}
    return value


# Fields of an event: what is given, and the verdict. A callable makes what is too large to keep about.
FIELDS: dict[str, tuple[str, dict[str, Any] | Callable[[], dict[str, Any]], str]] = {}


def row(name: str, fields: dict[str, Any] | Callable[[], dict[str, Any]], verdict: str, needs: str = "") -> None:
    assert name not in FIELDS
    FIELDS[name] = (needs, fields, verdict)


# Ids and names
for what, text, verdict in [
    ("50 characters", "x" * 50, KEPT),
    ("51 characters", "x" * 51, REFUSED),
    ("50 emoji", "💥" * 50, KEPT),
    ("51 emoji", "💥" * 51, REFUSED),
    ("empty", "", REFUSED),
    ("NUL", "a\0b", REFUSED),
    ("high surrogate", "a\ud800", REFUSED),
    ("low surrogate", "\udfffa", REFUSED),
    ("surrogates apart", "\udc00\ud800", REFUSED),
    ("right-to-left marks", "\u202eabc\u200f\u2066", KEPT),
    ("zero width", "a\u200b\ufeffb", KEPT),
    ("composed", NFC, KEPT),
    ("decomposed", NFD, KEPT),
    ("upper case", "ZOË", KEPT),
    ("trailing space", "a ", KEPT),
    ("one space", " ", KEPT),
    ("line break", "a\r\nb\tc", KEPT),
    ("line separator", "a\u2028b\u0085", KEPT),
    ("control characters", "\x01\x1f\x7f", KEPT),
    ("last of the plane", "\uffff\U0010ffff", KEPT),
    ("quotes", "a'b\"c`", KEPT),
    ("backslash at the end", "a\\", KEPT),
    ("escape spelled out", "\\u0000\\x00", KEPT),
    ("line protocol", "a,b=c d", KEPT),
    ("a dollar and dots", "$a.b..", KEPT),
    ("up two folders", "../../x", KEPT),
    ("here", ".", KEPT),
    ("a device", "NUL", KEPT),
    ("percent and underscore", "100%_", KEPT),
    ("a template", "{{7*7}} ${x} %s", KEPT),
    ("markup", "<img src=x onerror=alert(1)>", KEPT),
    ("a prototype", "__proto__", KEPT),
    ("a number", "007", KEPT),
    ("null", "null", KEPT),
    ("an object", '{"$oid":"1"}', KEPT),
    ("a wildcard", "*?[a]", KEPT),
    ("colons", "a:b::", KEPT),
    ("number", 42, REFUSED),
    ("nothing", None, REFUSED),
    ("bytes", b"abc", REFUSED),
    ("a list", ["a"], REFUSED),
]:
    if verdict == KEPT:
        everywhere = {"id": text, "instance_id": text, "component_name": text, "machine_name": text}
        row(f"texts: {what}", {**everywhere, "state_after": text, "event_type": text, "caused_by": ("a", text)}, KEPT)
        continue
    row(f"texts: id, {what}", {"id": text}, REFUSED)
    row(f"texts: instance_id, {what}", {"instance_id": text}, REFUSED)
    row(f"texts: caused_by, {what}", {"caused_by": ("a", text)}, REFUSED)
    row(f"texts: state_after, {what}", {"state_after": text}, KEPT if text == "" else REFUSED)
    is_name = isinstance(text, str) and len(text) in (0, 51)  # a name may be empty, and longer than an id
    row(f"texts: component_name, {what}", {"component_name": text}, KEPT if is_name else REFUSED)
for name in ("component_name", "machine_name"):
    row(f"{name}: 100 characters", {name: "日" * 100}, KEPT)
    row(f"{name}: 101 characters", {name: "日" * 101}, REFUSED)
row("event_type: 50 characters", {"event_type": "é" * 50}, KEPT)
row("event_type: 51 characters", {"event_type": "é" * 51}, REFUSED)
row("source_component_name: 101 characters", {"source_component_name": "x" * 101}, REFUSED)
row("definition_hash: 65 characters", {"definition_hash": "x" * 65}, REFUSED)
row("caused_by: a thousand", {"caused_by": tuple(f"c{n}" for n in range(1000))}, KEPT)
row("caused_by: one twice", {"caused_by": ("a", "a", "b", "a")}, KEPT)
row("caused_by: an empty id", {"caused_by": ("",)}, REFUSED)

# Times
for what, at, verdict, needs in [
    ("zero", 0, KEPT, ""),
    ("before the epoch", -1, KEPT, ""),
    ("year 1", YEAR_1, KEPT, "any_time"),
    ("year 0", YEAR_1 - 1, KEPT, "any_time"),
    ("beyond what a double holds", 2**53 + 1, KEPT, "any_time"),
    ("year 292,000,000", YEAR_292_000_000, KEPT, "any_time"),
    ("the last", 2**63 - 1, KEPT, "any_time"),
    ("the first", -(2**63), KEPT, "any_time"),
    ("after the last", 2**63, REFUSED, ""),
    ("before the first", -(2**63) - 1, REFUSED, ""),
    ("a half", 0.5, REFUSED, ""),
    ("a whole float", 1.0, REFUSED, ""),
    ("NaN", math.nan, REFUSED, ""),
    ("infinity", math.inf, REFUSED, ""),
    ("text", "2026-01-01T00:00:00Z", REFUSED, ""),
    ("digits", "1767225600000", REFUSED, ""),
    ("true", True, REFUSED, ""),
    ("a datetime", datetime(2026, 1, 1, tzinfo=UTC), REFUSED, ""),
]:
    row(f"persisted_at: {what}", {"persisted_at": at}, verdict, needs)
    row(f"timestamp: {what}", {"timestamp": at}, verdict)
row("persisted_at: nothing", {"persisted_at": None}, REFUSED)
row("timestamp: nothing", {"timestamp": None}, KEPT)

# Payloads
for what, value, verdict in [
    ("nothing", None, KEPT),
    ("true", True, KEPT),
    ("false", False, KEPT),
    ("one", 1, KEPT),
    ("one as a float", 1.0, KEPT),
    ("one, one and true", [1, 1.0, True, "1", "true", "True", 0, 0.0, False, None, "null", ""], KEPT),
    ("minus zero", [-0.0, 0.0, 0, {"z": -0.0}], KEPT),
    ("empty list", [], KEPT),
    ("empty object", {}, KEPT),
    ("empties within", [[], {}, [None], {"a": {}}, {"b": []}, ""], KEPT),
    ("text", "plain", KEPT),
    ("empty text", "", KEPT),
    ("JSON as text", '{"a": [1, null]}', KEPT),
    ("null as text", "null", KEPT),
    ("a number as text", "42", KEPT),
    ("quotes", '"\'`\\"', KEPT),
    ("64 bits", [2**63 - 1, -(2**63), 2**53, 2**53 + 1, 2**31, -(2**31) - 1], KEPT),
    ("unsigned 64 bits", [2**63, 2**64 - 1], KEPT),
    ("beyond 64 bits", [2**64, 2**70, -(2**64), {"n": 10**40}], KEPT),
    ("300 digits", 10**300 + 7, KEPT),
    ("4,000 digits", 10**3999 + 7, KEPT),
    ("4,301 digits", 10**4300, REFUSED),
    ("doubles", [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, 1e16, 1e22, 123456789012345680.0, 1e-7], KEPT),
    ("float that is whole", [3.0, 1e15, 1e20, -5.0], KEPT),
    ("1e400 as text", ["1e400", "-1e400", "Infinity", "NaN", "-0", "0x1F"], KEPT),
    ("NaN", math.nan, REFUSED),
    ("NaN within", {"a": [1, {"b": math.nan}]}, REFUSED),
    ("infinity", [math.inf], REFUSED),
    ("minus infinity", {"a": -math.inf}, REFUSED),
    ("1e400", {"a": float("1e400")}, REFUSED),
    ("empty key", {"": 1, "a": {"": {"": None}}}, KEPT),
    ("dotted keys", {"a.b": {"c.d.": 1}, ".": 2, "..": 3, ".a": 4, "a.": 5}, KEPT),
    ("a key and its path", {"a.b": 1, "a": {"b": 2}}, KEPT),
    ("dollar keys", {"$x": 1, "$": 2, "a$b": 3, "$a.b": {"$c": 4}, "$set": {"a": 1}}, KEPT),
    ("operators", {"$where": "1", "$expr": {"$gt": [1, 0]}, "$ne": None}, KEPT),
    ("an ObjectId of extended JSON", {"$oid": "5f5e5d5c5b5a595857565554"}, KEPT),
    ("numbers of extended JSON", {"a": {"$numberLong": "1"}, "b": {"$numberDouble": "NaN"}}, KEPT),
    ("a date of extended JSON", {"a": {"$date": {"$numberLong": "0"}}, "b": {"$date": "2026-01-01T00:00:00Z"}}, KEPT),
    ("a reference", {"a": {"$ref": "events", "$id": "e1", "$db": "x"}}, KEPT),
    ("binary of extended JSON", {"$binary": {"base64": "AA==", "subType": "00"}}, KEPT),
    ("keys of ours", {"_id": 1, "id": 2, "xcstore": {"seq": 3}, "seq": 4, "faults": [5], "original": 6}, KEPT),
    ("prototypes", {"__proto__": {"a": 1}, "constructor": {"prototype": 2}, "toString": 3, "__class__": 4}, KEPT),
    ("keys that differ by case", {"a": 1, "A": 2, "ä": 3, "Ä": 4, "ß": 5, "SS": 6, "İ": 7, "i": 8}, KEPT),
    ("composed and decomposed keys", {NFC: 1, NFD: 2, "v": [NFC, NFD]}, KEPT),
    ("keys out of order", {"b": 1, "a": 2, "10": 3, "9": 4, "Z": 5, "é": 6}, KEPT),
    ("numbers as keys", {"0": "a", "1": "b", "-1": "c", "1.5": "d", "00": "e"}, KEPT),
    ("a long key", {"k" * 10_000: 1}, KEPT),
    ("right-to-left marks", {"\u202eyek\u2066": "\u202etxet \u200f\u061c"}, KEPT),
    ("emoji", {"💥👩‍👩‍👧": "🏳️‍🌈", "flags": ["🇫🇷", "👍🏽"]}, KEPT),
    ("last of the plane", {"\uffff": "\U0010ffff", "\ufffd": "\ufffe"}, KEPT),
    ("control characters", {"\x01\x1f\x7f\x80": "\x00".replace("\x00", "\x1b[31m") + "\r\n\t\b\f"}, KEPT),
    ("separators", {"\u2028": "\u2029\ufeff\u200b\u00a0\u0085"}, KEPT),
    ("escapes spelled out", {"\\u0000": "\\u0000 \\ud800 \\x00 \\", "\\": "\\\\"}, KEPT),
    ("markup", {"<script>": "</script><img src=x onerror=alert(1)>", "{{7*7}}": "${x} %s %(a)s"}, KEPT),
    ("SQL", {"'; DROP TABLE fsm_events; --": "\\'; DROP TABLE x; --", "\\N": "\\.", "a\tb": "\\t"}, KEPT),
    ("line protocol", {"a,b=c d": 'x\\",y="\\\nz\\', "i": "1i", "t": "t"}, KEPT),
    ("NUL in a value", {"a": "b\0"}, REFUSED),
    ("NUL in a key", {"a\0": 1}, REFUSED),
    ("NUL deep within", {"a": [{"b": ["c", "\0"]}]}, REFUSED),
    ("a lone surrogate", {"a": "\ud83d"}, REFUSED),
    ("a lone surrogate in a key", {"\udca5": 1}, REFUSED),
    ("surrogates apart", ["\ud83d", "\udca5"], REFUSED),
    ("a key that is a number", {1: "a"}, REFUSED),
    ("a key that is nothing", {None: "a"}, REFUSED),
    ("a key that is a pair", {("a", "b"): 1}, REFUSED),
    ("bytes", {"a": b"abc"}, REFUSED),
    ("a set", {"a": {1}}, REFUSED),
    ("a date", {"a": date(2026, 1, 1)}, REFUSED),
    ("a datetime", {"a": datetime(2026, 1, 1, tzinfo=UTC)}, REFUSED),
    ("a decimal", {"a": Decimal("1.10")}, REFUSED),
    ("an object of Python", {"a": object()}, REFUSED),
    ("a complex number", {"a": 1j}, REFUSED),
    ("a UUID", {"a": UUID(int=1)}, REFUSED),
    ("a member of an enumeration", {"a": Colour.RED}, REFUSED),
]:
    row(f"payload: {what}", {"payload": value}, verdict)
    if isinstance(value, dict):
        row(f"context: {what}", {"context": value}, verdict)
for what, levels, verdict in [("100", 100, KEPT), ("101", 101, REFUSED), ("10,000", 10_000, REFUSED)]:
    row(f"payload: {what} lists deep", {"payload": nested(levels)}, verdict)
    row(f"payload: {what} objects deep", {"payload": objects(levels)}, verdict)
    row(f"context: {what} objects deep", {"context": objects(levels)}, verdict)
    row(f"public_member_snapshot: {what} objects deep", {"public_member_snapshot": objects(levels)}, verdict)
for what, make, verdict in [
    ("8 MB of text", lambda: "x" * (8 * MB - 2), KEPT),
    ("8 MB of text and a byte", lambda: "x" * (8 * MB - 1), REFUSED),
    ("8 MB of small numbers", lambda: [0] * (4 * MB - 10), KEPT),
    ("20,000 keys", lambda: {f"k{n}": n for n in range(20_000)}, KEPT),
    ("20 MB of text", lambda: "x" * (20 * MB), REFUSED),
    ("20 MB of small numbers", lambda: [0] * (10 * MB), REFUSED),
]:
    row(f"payload: {what}", lambda make=make: {"payload": make()}, verdict, "large_values" if verdict == KEPT else "")
row(
    "8 MB of payload, of context and of member",
    lambda: {
        "payload": "p" * (8 * MB - 2),
        "context": {"c": "c" * (8 * MB - 8)},
        "public_member_snapshot": {"m": "m" * (8 * MB - 8)},
    },
    KEPT,
    "large_values",
)
row("context: a list", {"context": [1]}, REFUSED)
row("caused: 51 characters", {"caused": ("x" * 51,)}, REFUSED)
row("machine_name: NUL", {"machine_name": "a\0"}, REFUSED)
row("event_type: a surrogate", {"event_type": "a\ud800"}, REFUSED)
row("original: NUL", {"original": {"id": "e1", "instanceId": "i1", "odd": "a\0"}}, REFUSED)
row("public_member_snapshot: text", {"public_member_snapshot": "text"}, REFUSED)


def exact(value: object) -> object:
    """A form in which 1, 1.0 and True differ, and -0.0 and 0.0, and the order of keys."""
    if isinstance(value, Mapping):
        return "object", [(key, exact(inner)) for key, inner in value.items()]
    if isinstance(value, (list, tuple)):
        kinds = {type(inner) for inner in value}
        return ("list", list(value)) if kinds == {int} else ("list", [exact(inner) for inner in value])
    return type(value).__name__, repr(value)


def alike(left: object, right: object) -> bool:
    """Equal as JSON: whatever the order of keys, and however a number is written."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(alike(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        if {*map(type, left), *map(type, right)} == {int}:
            return left == right
        return len(left) == len(right) and all(map(alike, left, right))
    if isinstance(left, float) is not isinstance(right, float) and bool not in (type(left), type(right)):
        return isinstance(left, (int, float)) and isinstance(right, (int, float)) and float(left) == float(right)
    return type(left) is type(right) and left == right


def contents(event: PersistedEvent) -> object:
    """All that an event says, exactly."""
    values = (event.payload, event.context, event.public_member_snapshot)
    return event, [exact(value) for value in values], event.timestamp, type(event.persisted_at)


def of_the_table(fields: dict[str, Any] | Callable[[], dict[str, Any]]) -> PersistedEvent:
    """An event with these fields, of an instance of its own if they name none."""
    given = fields() if callable(fields) else fields
    one = event()
    return replace(one, **{"instance_id": f"of-{one.id}", "caused_by": (f"cause-of-{one.id}",), **given})


def verdict_on(stores: Stores, one: PersistedEvent) -> str:
    """What becomes of an event: 'kept' only if every way out gives it back exactly."""
    try:
        stores.events.append(one)
    except LimitExceededError:
        with pytest.raises(LimitExceededError):
            stores.events.append_many([event(), one])
        return REFUSED
    expected = contents(one)
    query = EventQuery(instance_ids=(one.instance_id,), event_types=(one.event_type,), states=(one.state_after,))
    ways = {
        "get_event": lambda: stores.events.get_event(one.id),
        "find": lambda: stores.events.find(query).items[0],
        "get_events": lambda: stores.events.get_events([one.id])[one.id],
        "get_events_for_instance": lambda: stores.events.get_events_for_instance(one.instance_id)[0],
        "get_streams": lambda: stores.events.get_streams([one.instance_id])[one.instance_id][0],
        "get_caused_events": lambda: next(
            found for found in stores.events.get_caused_events(one.caused_by[-1]) if found.id == one.id
        ),
        "trace": lambda: stores.events.trace(one.id).events[0],
    }
    if len(json_text(one.payload)) > MB:
        ways = {name: ways[name] for name in ("get_event", "find")}
    wrong = [name for name, way in ways.items() if contents(way()) != expected]
    (line,) = stores.events.to_arrow(query, columns=["id", "payload", "persisted_at"]).to_pylist()
    if (line["id"], line["persisted_at"]) != (one.id, one.persisted_at) or (
        # By value: columns of PostgreSQL hold JSON without the order of keys, and numbers without their notation.
        not alike(parse_json(line["payload"]), one.payload)
    ):
        wrong.append("to_arrow")
    (summary,) = stores.events.instances(
        InstanceQuery(instance_ids=(one.instance_id,), components=(one.component_name,), states=(one.state_after,))
    ).items
    if (summary.last_event_id, summary.updated_at) != (one.id, one.persisted_at):
        wrong.append("instances")
    return f"otherwise by {', '.join(wrong)}" if wrong else KEPT


def total(stores: Stores) -> int:
    return stores.events.count(EventQuery())[0].count


GROUPS = sorted({name.partition(":")[0] for name in FIELDS})


@pytest.mark.needs("append")
@pytest.mark.parametrize("group", GROUPS)
def test_each_value_is_kept_exactly_or_refused_alike_on_every_backend(backend: str, stores: Stores, group: str) -> None:
    wrong, kept = {}, 0
    for name, (needs, fields, expected) in FIELDS.items():
        if name.partition(":")[0] != group:
            continue
        expected = REFUSED if needs and needs not in BACKENDS[backend].declares else expected
        try:
            found = verdict_on(stores, of_the_table(fields))
        except Exception as error:
            found = f"{type(error).__name__}: {error}"[:200]
        kept += expected == KEPT
        if found == expected and total(stores) != kept:
            found = f"{found}, but then {total(stores)} events are stored instead of {kept}"
        if found != expected:
            wrong[name] = f"{found}; should be {expected}"
            kept = total(stores)
    assert wrong == {}


def test_what_is_kept_goes_in_as_one_batch_as_well(backend: str, stores: Stores) -> None:
    batch = [
        of_the_table(fields)
        for needs, fields, verdict in FIELDS.values()
        if verdict == KEPT and not callable(fields) and (not needs or needs in BACKENDS[backend].declares)
    ]
    assert stores.events.append_many(batch) == len(batch)

    found = stores.events.get_events([one.id for one in batch])
    assert [one.id for one in batch if contents(found[one.id]) != contents(one)] == []
    assert [stored.id for stored in stores.events.get_all_events()] == [one.id for one in in_page_order(stores, batch)]


def test_contexts_of_snapshots_are_kept_exactly_too(stores: Stores) -> None:
    contexts = [
        fields["context"]
        for _, fields, verdict in FIELDS.values()
        if verdict == KEPT and not callable(fields) and isinstance(fields.get("context"), dict)
    ]
    saved = [snapshot(context=context, public_member=context) for context in contexts]
    stores.snapshots.save_snapshots(saved)

    for one in saved:
        found = stores.snapshots.get_snapshot(one.instance.id)
        assert found == one
        assert exact(found.instance.context) == exact(one.instance.context)
        assert exact(found.instance.public_member) == exact(one.instance.public_member)


# Documents as others write them, copied into a store: they come out as they went in, whatever is odd about them


def document(**changes: Any) -> dict[str, Any]:
    """A camelCase document; `...` takes a key out."""
    whole = {
        "id": "e1",
        "instanceId": "i1",
        "machineName": "Order",
        "componentName": "Shop",
        "event": {"type": "PAY", "payload": {"amount": 1}, "timestamp": START},
        "stateBefore": "New",
        "stateAfter": "Paid",
        "persistedAt": START,
        "causedBy": ["e0"],
        "caused": [],
    }
    return {key: value for key, value in {**whole, **changes}.items() if value is not ...}


ODD_DOCUMENTS: dict[str, dict[str, Any]] = {
    "nothing odd": document(),
    "only ids": {"id": "e1", "instanceId": "i1"},
    "no event": document(event=...),
    "event is nothing": document(event=None),
    "event is text": document(event="PAY"),
    "event is a list": document(event=[1]),
    "no type": document(event={"payload": {}}),
    "type is a number": document(event={"type": 7, "payload": {}}),
    "no payload": document(event={"type": "PAY"}),
    "payload is nothing": document(event={"type": "PAY", "payload": None}),
    "payload is text": document(event={"type": "PAY", "payload": "x"}),
    "payload is a list": document(event={"type": "PAY", "payload": [1, {"a": None}]}),
    "more keys": document(extra={"a": 1}, _v=2, event={"type": "PAY", "payload": {}, "_sourceComponent": "Depot"}),
    "keys in another order": dict(reversed(document().items())),
    "time is text": document(persistedAt="2026-01-01T00:00:00.000Z"),
    "time is digits": document(persistedAt=str(START)),
    "time is words": document(persistedAt="yesterday"),
    "time is a whole float": document(persistedAt=float(START)),
    "time is a fraction": document(persistedAt=START + 0.5),
    "time is nothing": document(persistedAt=None),
    "time is missing": document(persistedAt=...),
    "time is an object": document(persistedAt={"$date": "2026-01-01T00:00:00Z"}),
    "time is true": document(persistedAt=True),
    "time is beyond 64 bits": document(persistedAt=2**70),
    "timestamp is text": document(event={"type": "PAY", "payload": {}, "timestamp": "2026-01-01T00:00:00Z"}),
    "timestamp is an object": document(event={"type": "PAY", "payload": {}, "timestamp": {}}),
    "component is missing": document(componentName=...),
    "component is nothing": document(componentName=None),
    "component is a number": document(componentName=7),
    "machine is nothing": document(machineName=None),
    "machine is an object": document(machineName={"a": 1}),
    "states are nothing": document(stateBefore=None, stateAfter=None),
    "states are missing": document(stateBefore=..., stateAfter=...),
    "states are numbers": document(stateBefore=1, stateAfter=2.5),
    "causes are missing": document(causedBy=..., caused=...),
    "causes are nothing": document(causedBy=None, caused=None),
    "causes are text": document(causedBy="e0"),
    "causes are numbers": document(causedBy=[1, 2]),
    "causes hold nothing": document(causedBy=["e0", None, {}]),
    "causes are an object": document(causedBy={"id": "e0"}),
    "context is a list": document(context=[1]),
    "context is text": document(publicMemberSnapshot="x"),
    "id is a number": document(id=42),
    "instance is a number": document(instanceId=7),
}
"""What can be read, though with a remark where it is odd."""


@pytest.mark.needs("append")
def test_a_document_that_was_read_elsewhere_comes_out_as_it_went_in(stores: Stores, subtests: pytest.Subtests) -> None:
    for number, (name, changed) in enumerate(ODD_DOCUMENTS.items()):
        given = {**changed, "id": number if isinstance(changed["id"], int) else f"n{number}"}
        with subtests.test(name):
            read = event_from_document(given)
            stores.events.append(read)

            stored = stores.events.get_event(read.id)
            assert stored == read
            assert stored.faults == read.faults
            assert exact(event_to_document(stored)) == exact(given)
