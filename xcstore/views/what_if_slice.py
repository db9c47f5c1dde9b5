"""The smallest cause of an event: one sentence, and the inputs that suffice."""

from __future__ import annotations

import json
from datetime import tzinfo
from typing import TYPE_CHECKING, Final

from xcstore.render.labels import count_text, moment_text, short_id, visible_text

if TYPE_CHECKING:
    from xcstore.replay.slicing import Slice
    from xcstore.replay.track import Track

__all__ = ["candidates", "headline", "input_rows", "notes"]

TableRow = dict[str, object]
MAX_CANDIDATES: Final = 500
_KINDS: Final = {
    "outside": "came from outside",
    "code": "sent by code of the application",
    "assumed": "assumed to come from outside",
}


def candidates(track: Track) -> list[tuple[str, str]]:
    """Steps to ask about, the latest first: (event id, how it is named)."""
    told = []
    for position in range(track.length, max(0, track.length - MAX_CANDIDATES), -1):
        event = track.step(position)
        told.append(
            (
                event.id,
                f"step {position:,} · {visible_text(event.machine_name, 40)} {short_id(event.instance_id)} · "
                f"{visible_text(event.event_type, 60)} → {visible_text(event.state_after, 60) or '(none)'}",
            )
        )
    return told


def headline(found: Slice) -> str:
    """The answer in one sentence."""
    event = found.event
    what = f"{visible_text(event.event_type, 60)} → {visible_text(event.state_after, 60) or '(none)'}"
    if not found.reproduces:
        return f"Not found: run anew, what is recorded does not lead to {what}."
    suffice = count_text(len(found.inputs), "input suffices", "inputs suffice")
    return f"{suffice} for {what}, of {count_text(found.considered, 'input')} before it."


def notes(found: Slice) -> tuple[str, ...]:
    """What the answer rests on."""
    told = [] if found.reproduces else [found.reason]
    if found.reproduces:
        told.append(
            "Leaving out any one of them no longer leads there: this was tried."
            if found.minimal
            else "There may be a smaller set: the time ran out before each was tried without."
        )
        told.append(
            f"{count_text(found.tried, 'set')} of inputs run in memory, by the definitions that are known; the store "
            "was only read."
        )
    return (*told, *found.assumptions)


def input_rows(found: Slice, zone: tzinfo) -> list[TableRow]:
    """What suffices, in the order of time."""
    return [
        {
            "step": number,
            "at": moment_text(item.at, zone, millis=True),
            "machine": visible_text(item.machine_name, 60),
            "instance": short_id(item.instance_id),
            "input": visible_text(item.event_type, 60) or "creation",
            "payload": _json(item.payload),
            "is": _KINDS.get(item.kind, item.kind),
        }
        for number, item in enumerate(found.inputs, 1)
    ]


def _json(value: object) -> str:
    try:
        return visible_text(json.dumps(value, ensure_ascii=False, default=str), 200)
    except (RecursionError, ValueError):
        return "(nested too deeply to show)"
