"""The Events page: rows for the table, an event in full, and what the filters mean in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

import pandas as pd

from xcstore.model.history import PersistedEvent
from xcstore.queries.events import EventDetail
from xcstore.render.labels import count_text, duration_text, moment_text, visible_text
from xcstore.store.base import Page
from xcstore.units import EpochMs, from_utc

__all__ = [
    "ODD",
    "TABLE_COLUMNS",
    "EventView",
    "build_event",
    "moment_in",
    "parse_path",
    "shown_text",
    "table",
    "written_moment",
]

ODD: Final = "▲"
"""The mark of an event with faults, in tables."""

TABLE_COLUMNS: Final = (
    "odd",
    "stored",
    "event",
    "change",
    "machine",
    "component",
    "instance",
    "payload",
    "causes",
    "id",
)
_CELL: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """One event in words."""

    event: PersistedEvent
    title: str
    fields: tuple[tuple[str, str], ...]
    """(name, value), both as plain text."""
    payload: object
    document: str
    causes: tuple[tuple[str, str], ...]
    """(id, what it is)."""
    missing_causes: tuple[str, ...]
    effects: tuple[tuple[str, str], ...]
    more_effects: bool
    faults: tuple[str, ...]


def table(events: Sequence[PersistedEvent], zone: tzinfo) -> pd.DataFrame:
    """`TABLE_COLUMNS`, a row for each event; all text, in which nothing stored can hide or run."""
    rows = [
        (
            ODD if event.faults else "",
            moment_text(event.persisted_at, zone, millis=True),
            visible_text(event.event_type, _CELL),
            visible_text(f"{event.state_before or '·'} → {event.state_after}", _CELL),
            visible_text(event.machine_name, _CELL),
            visible_text(event.component_name, _CELL),
            visible_text(event.instance_id, _CELL),
            _payload_text(event.payload),
            len(event.caused_by),
            visible_text(event.id, _CELL),
        )
        for event in events
    ]
    return pd.DataFrame(rows, columns=list(TABLE_COLUMNS))


def build_event(detail: EventDetail, zone: tzinfo) -> EventView:
    """An event in full."""
    event = detail.event
    fields = [
        ("event id", event.id),
        ("instance id", event.instance_id),
        ("component", event.component_name or "not recorded"),
        ("machine", event.machine_name),
        ("event type", event.event_type),
        ("state", f"{event.state_before or '(created)'} → {event.state_after}"),
        ("stored at", moment_text(event.persisted_at, zone, millis=True)),
        ("as epoch ms", str(event.persisted_at)),
    ]
    if event.timestamp is None:
        fields.append(("made at", "not recorded"))
    else:
        lag = event.persisted_at - event.timestamp
        made = moment_text(event.timestamp, zone, millis=True)
        fields.append(("made at", made + (f", {duration_text(lag)} before" if lag > 0 else "")))
    optional = (
        ("from component", event.source_component_name),
        ("to component", event.target_component_name),
        ("definition", event.definition_hash and f"{event.definition_hash[:16]}…"),
        ("sequence", None if event.seq is None else str(event.seq)),
    )
    fields += [(name, value) for name, value in optional if value]
    return EventView(
        event=event,
        title=f"{visible_text(event.event_type, 80)} · {visible_text(event.machine_name, 80)}",
        fields=tuple((name, visible_text(value, 500)) for name, value in fields),
        payload=event.payload,
        document=detail.document,
        causes=tuple((cause.id, _summary(cause, zone)) for cause in detail.causes),
        missing_causes=tuple(visible_text(cause, 200) for cause in detail.missing_causes),
        effects=tuple((effect.id, _summary(effect, zone)) for effect in detail.effects),
        more_effects=detail.more_effects,
        faults=event.faults,
    )


def shown_text(page: Page[PersistedEvent], before: int, total: int | None, zone: tzinfo) -> str:
    """How much of everything is on the screen: 'shown 101–200 of 20,113 events'.

    `before` is how many newer events are on earlier pages; `total` is None where counting is not cheap.
    """
    shown = len(page.items)
    if total == 0 or (not shown and total is None and page.next is None):
        return "no events fit"
    rows = f"shown {before + 1:,}–{before + shown:,}" if shown else "none found yet"
    if total is not None:
        return f"{rows} of {count_text(total, 'event')}"
    if page.next is None:
        return f"{rows} of {count_text(before + shown, 'event')}"
    back_to = page.searched_to if page.searched_to is not None else (page.items[-1].persisted_at if shown else None)
    return f"{rows} · searched back to {moment_text(back_to, zone)}" if back_to is not None else rows


def parse_path(text: str) -> tuple[str, ...]:
    """Keys from the payload's root out of 'order.lines[0].sku' or 'order.lines.0.sku'."""
    return tuple(part for part in text.replace("[", ".").replace("]", "").split(".") if part)


def _summary(event: PersistedEvent, zone: tzinfo) -> str:
    moved = f"{event.state_before or '(created)'} → {event.state_after}"
    text = f"{event.event_type} · {event.machine_name} · {moved} · {moment_text(event.persisted_at, zone)}"
    return visible_text(text, 300)


def _payload_text(payload: object) -> str:
    """A line of the payload, cut: the table shows what is inside, the panel shows all."""
    if isinstance(payload, dict):
        text = ", ".join(f"{key}: {_scalar(value)}" for key, value in list(payload.items())[:12])
    else:
        text = _scalar(payload)
    return visible_text(text, _CELL)


def _scalar(value: object) -> str:
    if isinstance(value, dict):
        return "{…}" if value else "{}"
    if isinstance(value, list):
        return f"[{len(value)}]"
    if isinstance(value, str):
        return value[:_CELL]
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value)[:_CELL]


def written_moment(moment: EpochMs | None, zone: tzinfo) -> str:
    """A time as a person would write it into a filter: in the zone, without what is zero at the end."""
    if moment is None:
        return ""
    return (
        moment_text(moment, zone, millis=True).removesuffix(".000").removesuffix(" 00:00:00").removeprefix("epoch ms ")
    )


def moment_in(text: str, zone: tzinfo) -> EpochMs | None:
    """The time that a person wrote: ISO 8601, in `zone` where it names none, or epoch milliseconds."""
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and 9 <= len(digits) <= 19:
        return EpochMs(int(text)) if abs(int(text)) < 2**63 else None  # beyond that no store has a place for it
    try:
        found = datetime.fromisoformat(text)
        return from_utc(found if found.tzinfo else found.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        return None
