"""The columns of a whole history that the checks need: numbers for what repeats, no payloads.

Events come as Arrow tables, a piece at a time, in page order. An event is named by its position in that order; about
100 bytes are kept of each, most of it its id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xcstore.analysis.integrity_kinds import Severity
from xcstore.jsontext import NestingError, parse_json
from xcstore.model.history import CREATION, PersistedEvent, new_event

__all__ = ["COLUMNS", "VALUES", "History", "Hit", "Ints", "Words", "light_events", "look_up", "whole"]

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
COLUMNS: Final = (
    "id",
    "instance_id",
    "component_name",
    "machine_name",
    "event_type",
    "state_before",
    "state_after",
    "persisted_at",
    "caused_by",
    "caused",
    "payload",
    "source_component_name",
    "public_member_snapshot",
    "context",
    "definition_hash",
)
"""What a table has to hold; `VALUES` may be left out."""
VALUES: Final = ("public_member_snapshot", "context")
"""Slow to read in stores of ours, where they have no column; only what definitions explain depends on them."""
_LIGHT: Final = (
    "id",
    "instance_id",
    "machine_name",
    "component_name",
    "event_type",
    "payload",
    "persisted_at",
    "state_before",
    "state_after",
    "source_component_name",
    "public_member_snapshot",
    "context",
    "definition_hash",
)
"""In the order in which they are unpacked."""
_KEPT: Final = ("at", "instance", "component", "machine", "before", "after", "definition", "creation", "sent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """Something that was found, told by positions: `ops.verifying` reads the events, and puts it into words."""

    kind: str
    at: tuple[int, ...]
    """The events that it is about, the one to show first."""
    case: str = ""
    """Which of several forms of the kind."""
    facts: Mapping[str, int] = field(default_factory=dict, hash=False)
    severity: Severity | None = None
    """Where it is less than that of its kind."""


class Words:
    """Names by number, in order of first sight."""

    def __init__(self) -> None:
        self.names: list[str | None] = []
        self._codes: dict[str | None, int] = {}

    def code(self, name: str | None) -> int:
        found = self._codes.get(name)
        if found is None:
            found = self._codes[name] = len(self.names)
            self.names.append(name)
        return found

    def codes(self, column: pa.ChunkedArray) -> Codes:
        """The number of each row's word."""
        found = []
        for chunk in column.chunks:
            encoded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
            numbers = [self.code(word) for word in encoded.dictionary.to_pylist()]
            if encoded.null_count:
                numbers.append(self.code(None))
            indices = encoded.indices.fill_null(len(numbers) - 1)
            found.append(np.array(numbers, np.int32)[indices.to_numpy(zero_copy_only=False)])
        return np.concatenate(found) if found else np.empty(0, np.int32)


class History:
    """All events of a store in page order, column by column. Fill it with `add`, then call `finish`."""

    def __init__(self) -> None:
        self.words = Words()
        """Components, machines, types and states."""
        self.definitions = Words()
        self.instances = Words()
        self.ids: list[pa.Array] = []
        """A piece at a time; `starts` says where each begins."""
        self.starts: list[int] = []
        self.size = 0
        self.at: Ints = np.empty(0, np.int64)
        self.instance: Codes = np.empty(0, np.int32)
        self.component: Codes = self.instance
        self.machine: Codes = self.instance
        self.before: Codes = self.instance
        self.after: Codes = self.instance
        self.definition: Codes = self.instance
        self.creation: npt.NDArray[np.bool_] = np.empty(0, np.bool_)
        self.sent: npt.NDArray[np.bool_] = self.creation
        """Whether it names the component that sent it."""
        self._pieces: list[tuple[npt.NDArray[np.generic], ...]] = []

    def add(self, table: pa.Table) -> int:
        """The next events; returns the position of the first."""
        start = self.size
        kinds = self.words.codes(table["event_type"])
        before = self.words.codes(table["state_before"])
        self._pieces.append(
            (
                np.asarray(table["persisted_at"], np.int64),
                self.instances.codes(table["instance_id"]),
                self.words.codes(table["component_name"]),
                self.words.codes(table["machine_name"]),
                before,
                self.words.codes(table["state_after"]),
                self.definitions.codes(table["definition_hash"]),
                (kinds == self.words.code(CREATION)) & (before == self.words.code("")),
                np.asarray(pc.is_valid(table["source_component_name"])),
            )
        )
        self.ids.append(whole(table["id"]))
        self.starts.append(start)
        self.size += table.num_rows
        return start

    def finish(self) -> None:
        """Nothing comes any more."""
        if not self._pieces:
            return
        columns: list[npt.NDArray[np.generic]] = []
        for number in range(len(self._pieces[0])):
            columns.append(np.concatenate([piece[number] for piece in self._pieces]))
        self._pieces.clear()
        for name, column in zip(_KEPT, columns, strict=True):
            setattr(self, name, column)

    def instances_of(self, start: int) -> Codes:
        """The numbers of the instances of the piece that begins there. Before `finish` only."""
        found: Codes = self._pieces[self.starts.index(start)][1]  # type: ignore[assignment]
        return found

    def word(self, code: int) -> str:
        return self.words.names[code] or ""

    def event_ids(self, positions: Sequence[int]) -> list[str]:
        """The ids of these events, in their order."""
        found = []
        for position in positions:
            piece = int(np.searchsorted(self.starts, position, "right")) - 1
            found.append(str(self.ids[piece][int(position) - self.starts[piece]].as_py()))
        return found

    def positions(self, ids: pa.Array) -> Ints:
        """Where the events of these ids are; -1 for those that are not there."""
        found = np.full(len(ids), -1, np.int64)
        for start, piece in zip(self.starts, self.ids, strict=True):
            left = np.flatnonzero(found < 0)
            if not len(left):
                break
            inside = look_up(ids.take(pa.array(left)), piece)
            found[left[inside >= 0]] = inside[inside >= 0] + start
        return found


def look_up(ids: pa.Array, among: pa.Array) -> Ints:
    """The place of each id in `among`; -1 for none."""
    return np.asarray(pc.index_in(ids, value_set=among).fill_null(-1), np.int64)


def light_events(table: pa.Table, rows: Ints) -> list[PersistedEvent]:
    """Rows of a table of `COLUMNS` as events, without their causes, times of making and faults."""
    if not len(rows):
        return []
    there = [name for name in _LIGHT if name in table.column_names]
    columns = {name: [None] * len(rows) for name in VALUES}
    columns.update(table.select(there).take(pa.array(rows)).to_pydict())
    events = []
    for values in zip(*(columns[name] for name in _LIGHT), strict=True):
        event_id, instance_id, machine, component, kind, payload, at, before, after, sender, *rest = values
        member, context, definition = rest
        event = new_event(
            event_id, instance_id, machine, component, kind, _json(payload), at, before, after, at, (), sender, None,
            _object(member), definition,
        )  # fmt: skip
        events.append(event if context is None else replace(event, context=_object(context)))
    return events


def _json(text: object) -> object:
    try:
        return parse_json(text) if isinstance(text, str) else {}
    except (ValueError, NestingError):  # said where events are decoded
        return {}


def _object(text: object) -> dict[str, object] | None:
    value = _json(text) if isinstance(text, str) else None
    return value if isinstance(value, dict) else None


def whole(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array."""
    combined = column.combine_chunks()
    return combined.combine_chunks() if isinstance(combined, pa.ChunkedArray) else combined
