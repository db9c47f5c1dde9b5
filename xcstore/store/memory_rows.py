"""The form in which the store in memory keeps an event: one tuple of texts and numbers.

The garbage collector visits every object that could be part of a cycle, again and again; of a million events that took
longer than to append them. It lets go of a tuple, and of no other container, once it has seen that nothing in it could.
So rows are plain tuples (not named ones, not objects), and values are the JSON text that checking them made anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Final, cast

import orjson

from xcstore.model.history import PersistedEvent, new_event
from xcstore.store.limits import Labels
from xcstore.units import EpochMs

__all__ = [
    "AFTER",
    "AT",
    "BEFORE",
    "CAUSED_BY",
    "COMPONENT",
    "ID",
    "INSTANCE",
    "LABELS",
    "LABEL_NAMES",
    "MACHINE",
    "SEQ",
    "TYPE",
    "VIEWED",
    "Key",
    "Row",
    "key_of",
    "row_of",
    "unpack",
    "view_of",
    "viewing",
]

Row = tuple[EpochMs, int, str, str, Labels, tuple[str, ...], EpochMs | None, str | PersistedEvent]
"""When it was stored, seq, id, id of the instance, labels, causes, when it was made, and its values: the JSON text
of `[payload]` or `[payload, public_member_snapshot]`, or the event itself where there is more to it than fits here."""

AT: Final = 0
SEQ: Final = 1
ID: Final = 2
INSTANCE: Final = 3
LABELS: Final = 4
CAUSED_BY: Final = 5
MADE_AT: Final = 6
VALUES: Final = 7

LABEL_NAMES: Final = ("machine_name", "component_name", "event_type", "state_before", "state_after")
"""The first of the labels: those that can be counted by."""
MACHINE: Final = 0
COMPONENT: Final = 1
TYPE: Final = 2
BEFORE: Final = 3
AFTER: Final = 4

Key = tuple[int, int]
"""(persisted_at, seq): the order of pages."""

_SLOTS: Final = tuple(
    (getattr(PersistedEvent, field.name).__get__, getattr(PersistedEvent, field.name).__set__)
    for field in fields(PersistedEvent)
    if field.name != "seq"
)


def key_of(row: Row) -> Key:
    """The row's place in pages."""
    return row[:2]


def row_of(event: PersistedEvent, seq: int, labels: Labels, values: str | None) -> Row:
    """The row of an event; labels and values as `limits.pack` gives them."""
    return (
        event.persisted_at,
        seq,
        event.id,
        event.instance_id,
        labels,
        event.caused_by,
        event.timestamp,
        event if values is None or event.caused or event.faults else values,
    )


def unpack(row: Row) -> PersistedEvent:
    """The event, with its place of insertion. Made on reading: most events are appended more often than read."""
    at, seq, event_id, instance_id, labels, caused_by, made_at, values = row
    if not isinstance(values, str):
        return _with_seq(values, seq)
    machine, component, event_type, before, after, source, target, definition_hash = labels
    payload, *members = orjson.loads(values)
    event = new_event(
        event_id,
        instance_id,
        machine,
        component,
        event_type,
        payload,
        cast(EpochMs, made_at),  # or None: an event need not have one, only those made anew do
        before,
        after,
        at,
        caused_by,
        source,
        target,
        members[0] if members else None,
        definition_hash,
    )
    object.__setattr__(event, "seq", seq)
    return event


def _with_seq(event: PersistedEvent, seq: int) -> PersistedEvent:
    if event.seq == seq:
        return event
    # dataclasses.replace does the same in three times the time
    stamped = PersistedEvent.__new__(PersistedEvent)
    for get, set_ in _SLOTS:
        set_(stamped, get(event))
    object.__setattr__(stamped, "seq", seq)
    return stamped


class _View:
    """What searches look at, under the names that it has in an event; values are decoded only when asked for."""

    __slots__ = ("row",)

    row: Row

    @property
    def id(self) -> str:
        return self.row[ID]

    @property
    def instance_id(self) -> str:
        return self.row[INSTANCE]

    @property
    def machine_name(self) -> str:
        return self.row[LABELS][MACHINE]

    @property
    def component_name(self) -> str:
        return self.row[LABELS][COMPONENT]

    @property
    def event_type(self) -> str:
        return self.row[LABELS][TYPE]

    @property
    def state_before(self) -> str:
        return self.row[LABELS][BEFORE]

    @property
    def state_after(self) -> str:
        return self.row[LABELS][AFTER]

    @property
    def persisted_at(self) -> EpochMs:
        return self.row[AT]

    @property
    def timestamp(self) -> EpochMs | None:
        return self.row[MADE_AT]

    @property
    def caused_by(self) -> tuple[str, ...]:
        return self.row[CAUSED_BY]

    @property
    def payload(self) -> object:
        values = self.row[VALUES]
        return orjson.loads(values)[0] if isinstance(values, str) else values.payload


VIEWED: Final = frozenset(name for name, held in vars(_View).items() if isinstance(held, property)) - {"payload"}
"""Fields that `view_of` reads without decoding a value."""


def view_of(row: Row) -> PersistedEvent:
    """In place of the event, for who reads no other fields than `VIEWED` and `payload`."""
    view = _View()
    view.row = row
    return cast(PersistedEvent, view)


def viewing(holds: Callable[[PersistedEvent], bool]) -> Callable[[Row], bool]:
    """A condition on events as one on rows. Not for two threads at once."""
    view = _View()  # moved on from row to row: making one for each would take longer than looking at it
    event = cast(PersistedEvent, view)

    def holds_for(row: Row) -> bool:
        view.row = row
        return holds(event)

    return holds_for
