"""The scrubber of a replay: who was in which state over the steps, marks, times, and where nothing happened for long.

    build(track, scene, marks=..., zone=...) -> Strip

Steps stand side by side at equal distances, so that a burst can be walked through; the time between them is told by
labels, and long gaps are marked. A long history is drawn in bins: a bin with several states says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final, Literal

from xcstore.render.labels import count_text, duration_text, moment_text, visible_text
from xcstore.units import DAY, MINUTE, EpochMs, to_utc
from xcstore.views.machines import state_kind

if TYPE_CHECKING:
    from datetime import tzinfo

    from xcstore.model.history import PersistedEvent
    from xcstore.replay.track import Track
    from xcstore.views.replay import Scene

__all__ = ["MIXED", "Band", "Lane", "MarkKind", "Note", "Strip", "build", "event_notes", "only"]

MOST_CELLS: Final = 400
"""Positions that can be told apart on a screen."""
MOST_LANES: Final = 8
MOST_DOTS: Final = 200
MOST_MARKS: Final = 400
MOST_GAPS: Final = 12
LONG: Final = 20
"""A gap is long when it is so many times the usual distance between two steps, …"""
LEAST_GAP_MS: Final = 10_000
"""… and not shorter than this."""
TICKS: Final = 7
MIXED: Final = "mixed"
"""Kind of a band that stands for several states."""

MarkKind = Literal["odd", "divergence", "snapshot", "break"]


@dataclass(frozen=True, slots=True)
class Note:
    """Something to mark on the scrubber: at this step."""

    position: int
    kind: MarkKind
    text: str


@dataclass(frozen=True, slots=True)
class Band:
    """From step `start` until before step `stop` the instance was in this state."""

    start: int
    stop: int
    state: str
    kind: str
    """Key of `theme.STATE_KINDS`, or MIXED."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One instance over the steps."""

    instance: int
    """Its place in `Scene.instances`."""
    bands: tuple[Band, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Everything on the scrubber."""

    lanes: tuple[Lane, ...]
    marks: tuple[tuple[int, MarkKind, int, str], ...]
    """(step, kind, how many, words)."""
    ticks: tuple[tuple[int, str], ...]
    """Times: (step, text)."""
    gaps: tuple[tuple[int, str], ...]
    """(the step before which nothing happened, for how long)."""
    owners: tuple[int, ...] = ()
    """The lane of each step, -1 for none; empty where steps cannot be told apart."""
    note: str = field(default="")
    """What is not shown."""


def build(track: Track, scene: Scene, *, notes: Sequence[Note] = (), zone: tzinfo) -> Strip:
    """The scrubber of `track`."""
    lanes, left_out = _lanes(track, scene)
    shown = only(notes, track.length)
    words = []
    if left_out:
        words.append(f"lanes of {len(lanes)} of {count_text(len(lanes) + left_out, 'instance')}, those with most steps")
    if track.length > MOST_CELLS:
        words.append(f"one column is {_width(track.length):,} steps")
    return Strip(
        lanes=lanes,
        marks=shown,
        ticks=_ticks(track, zone),
        gaps=_gaps(track),
        owners=_owners(track, scene, lanes),
        note="; ".join(words),
    )


def event_notes(track: Track) -> tuple[Note, ...]:
    """Steps that are stored in an odd form, or do not go on from where their instance was."""
    found = []
    was = {instance_id: folded.instance.current_state for instance_id, folded in track.before.items()}
    for position, event in _placed(track):
        last = was.get(event.instance_id)
        if last is not None and event.state_before and event.state_before != last:
            before, after = visible_text(event.state_before, 60), visible_text(last, 60)
            found.append(Note(position, "odd", f"leaves {before}, where its instance was in {after}"))
        found += [Note(position, "odd", visible_text(fault, 200)) for fault in event.faults]
        was[event.instance_id] = event.state_after
    return tuple(found)


def only(notes: Iterable[Note], length: int) -> tuple[tuple[int, MarkKind, int, str], ...]:
    """The notes as marks: those of one kind that fall together are one, with their number."""
    width = _width(length, MOST_MARKS // 4)
    bins: dict[tuple[str, int], list[Note]] = defaultdict(list)
    for note in notes:
        bins[note.kind, note.position // width].append(note)
    marks = []
    for group in bins.values():
        texts = list(dict.fromkeys(note.text for note in group if note.text))
        more = [f"and {len(texts) - 3} more"] if len(texts) > 3 else []
        marks.append((group[0].position, group[0].kind, len(group), "\n".join([*texts[:3], *more])))
    return tuple(sorted(marks))


def _placed(track: Track) -> Iterator[tuple[int, PersistedEvent]]:
    """Each event with the position at which it is folded: its own step, or as no step that of the next one.

    What comes after the last step is never folded.
    """
    steps = track.steps
    if not steps:
        return
    first, position = steps[0], 0
    for index, event in enumerate(track.events[: steps[-1] + 1]):
        yield position + (index >= first), event
        if steps[position] == index:
            position += 1


def _width(length: int, cells: int = MOST_CELLS) -> int:
    return max(1, -(-length // cells))


def _lanes(track: Track, scene: Scene) -> tuple[tuple[Lane, ...], int]:
    moving = [number for number, actor in enumerate(scene.instances) if actor.steps]
    chosen = sorted(sorted(moving, key=lambda number: -scene.instances[number].steps)[:MOST_LANES])
    width = _width(track.length)
    rows: dict[str, _Row] = {}
    for number in chosen:
        instance_id = scene.instances[number].instance_id
        folded = track.before.get(instance_id)
        rows[instance_id] = _Row(width, folded.instance.current_state if folded else None)
    for position, event in _placed(track):
        row = rows.get(event.instance_id)
        if row is not None:
            row.move(position, event.state_after)
    lanes = []
    for number in chosen:
        actor = scene.instances[number]
        definition = scene.machines[actor.cast].definition
        bands = tuple(
            Band(start, stop, state, MIXED if mixed else state_kind(definition, state))
            for start, stop, state, mixed in rows[actor.instance_id].close(track.length + 1)
        )
        lanes.append(Lane(number, bands))
    return tuple(lanes), len(moving) - len(chosen)


def _owners(track: Track, scene: Scene, lanes: Sequence[Lane]) -> tuple[int, ...]:
    if track.length > MOST_DOTS:
        return ()
    lane_of = {lane.instance: number for number, lane in enumerate(lanes)}
    steps = (track.step(position) for position in range(1, track.length + 1))
    return tuple(lane_of.get(scene.number[event.instance_id], -1) for event in steps)


class _Row:
    """Collects the bands of one instance; of several changes within one bin it keeps that there were several."""

    def __init__(self, width: int, state: str | None) -> None:
        self._width = width
        self._state = state
        self._since = 0
        self._changes = 0
        self._done: list[tuple[int, int, str, bool]] = []

    def move(self, position: int, state: str) -> None:
        if state == self._state:
            return
        at = position - position % self._width
        if self._state is not None and at > self._since:
            self._end(at)
        elif self._state is not None:
            self._changes += self._width > 1  # of one step only what holds after it counts
        else:
            self._since = at
        self._state = state

    def close(self, end: int) -> list[tuple[int, int, str, bool]]:
        if self._state is not None:
            self._end(end)
        return self._done

    def _end(self, at: int) -> None:
        state = self._state or ""
        if self._changes:
            # Only the first bin held several states; then the last of them went on.
            first = min(self._since + self._width, at)
            self._add(self._since, first, "", mixed=True)
            if first < at:
                self._add(first, at, state, mixed=False)
        else:
            self._add(self._since, at, state, mixed=False)
        self._since, self._changes = at, 0

    def _add(self, start: int, stop: int, state: str, *, mixed: bool) -> None:
        if self._done and self._done[-1][2:] == (state, mixed) and self._done[-1][1] == start:
            start = self._done.pop()[0]
        self._done.append((start, stop, state, mixed))


def _ticks(track: Track, zone: tzinfo) -> tuple[tuple[int, str], ...]:
    length = track.length
    if not length:
        return ()
    positions = sorted({1 + round((length - 1) * part / (TICKS - 1)) for part in range(TICKS)})
    times = [track.step(position).persisted_at for position in positions]
    span = max(times) - min(times)
    ticks: list[tuple[int, str]] = []
    for position, at in zip(positions, times, strict=True):
        text = _short_time(at, span, zone)
        if not ticks or ticks[-1][1] != text:
            ticks.append((position, text))
    return tuple(ticks)


def _short_time(at: int, span: int, zone: tzinfo) -> str:
    text = moment_text(at, zone, millis=True)
    if to_utc(EpochMs(at)) is None:
        return text
    day, clock = text[5:10], text[11:]
    if span < MINUTE:
        return clock
    if span < DAY:
        return clock[:8]
    return f"{day} {clock[:5]}" if span < 300 * DAY else text[:10]


def _gaps(track: Track) -> tuple[tuple[int, str], ...]:
    times = [track.step(position).persisted_at for position in range(1, track.length + 1)]
    waits = [later - earlier for earlier, later in pairwise(times)]
    if not waits:
        return ()
    least = max(LONG * median(waits), LEAST_GAP_MS)
    long = sorted(((wait, number) for number, wait in enumerate(waits) if wait > least), reverse=True)[:MOST_GAPS]
    return tuple(sorted((number + 2, duration_text(wait)) for wait, number in long))
