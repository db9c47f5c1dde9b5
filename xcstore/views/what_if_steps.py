"""The steps of a history of which a fork can be made, in rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Final

from xcstore.render.labels import moment_text, short_id, visible_text
from xcstore.views.what_if_edits import mark_of, touches

if TYPE_CHECKING:
    from xcstore.model.history import PersistedEvent
    from xcstore.replay.forks import Edit
    from xcstore.replay.track import Track

__all__ = ["WINDOW", "change_text", "fork_point", "step_rows"]

TableRow = dict[str, object]

WINDOW: Final = 200
"""Rows of a table that are shown at a time."""


def fork_point(track: Track, edits: Sequence[Edit], wanted: int | None) -> int:
    """The step up to which everything is as recorded: as asked, else just before the first event that is edited."""
    if wanted is not None:
        return max(0, min(wanted, track.length))
    return min((_from(track, edit) for edit in edits), default=0)


def _from(track: Track, edit: Edit) -> int:
    places = []
    touched = touches(edit)
    if touched is not None:
        places.append((track.position_of(touched) or 1) - 1)
    after = getattr(edit, "after", None)
    if after is not None:
        places.append(track.position_of(after) or 0)
    return min(places, default=0)


def change_text(event: PersistedEvent) -> str:
    """'Draft → Reserving'; a creation has no state before."""
    return f"{visible_text(event.state_before, 60) or '(new)'} → {visible_text(event.state_after, 60) or '(none)'}"


def step_rows(
    track: Track, edits: Sequence[Edit], *, at: int, zone: tzinfo, keys: Mapping[str, str], page: int = 1
) -> tuple[list[TableRow], list[str], int]:
    """The steps from the fork point on, the ids of their events, and how many pages of `WINDOW` rows there are.

    The first row is the step of the fork point itself: something can be inserted after it.
    """
    positions = range(max(1, at), track.length + 1)
    shown = positions[(page - 1) * WINDOW : page * WINDOW]
    several = len(track.instance_ids) > 1
    rows: list[TableRow] = []
    for position in shown:
        event = track.step(position)
        mark = mark_of(event.id, edits)
        if position == at:
            mark = f"{mark} · kept" if mark else "kept as it was"
        rows.append(
            {
                "step": position,
                **({"instance": _whose(event, keys)} if several else {}),
                "event": visible_text(event.event_type, 60),
                "edit": mark,
                "state": change_text(event),
                "stored at": moment_text(event.persisted_at, zone, millis=True),
            }
        )
    return rows, [track.step(position).id for position in shown], max(1, -(-len(positions) // WINDOW))


def _whose(event: PersistedEvent, keys: Mapping[str, str]) -> str:
    name = keys.get(event.instance_id) or short_id(event.instance_id)
    return f"{visible_text(event.machine_name, 40)} {visible_text(name, 40)}"
