"""Steps of a replay as compact data for the player, a window at a time, and one step as rows for the tables beside.

window(track, scene, moments, ...) -> dict     steps with what each changed; equal texts are sent once
causes(track, event, links)                    what is known of why a step happened, and what it led to
as_of_rows(scene, moment, ...)                 every instance as it was then
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from xcstore.analysis.causality import SUCCESSION, Link, recorded_link
from xcstore.analysis.context import leaf_paths, path_text, value_at
from xcstore.render.labels import count_text, duration_text, moment_text, short_id, visible_text
from xcstore.render.theme import STATUSES, find_look
from xcstore.views.machines import state_kind, state_text
from xcstore.views.replay import state_id

if TYPE_CHECKING:
    from datetime import tzinfo

    from xcstore.analysis.context import Change, Path
    from xcstore.model.catalog import Catalog
    from xcstore.model.history import Instance, PersistedEvent
    from xcstore.replay.controller import Moment
    from xcstore.replay.track import Track
    from xcstore.views.replay import Scene

__all__ = ["MOST_ACTORS", "Links", "as_of_rows", "window"]

MOST_FIELDS: Final = 60
MOST_CHANGES: Final = 40
MOST_LINKS: Final = 6
MOST_PAYLOAD: Final = 1_000
MOST_VALUE: Final = 120
MOST_ACTORS: Final = 2_000
"""Instances that the diagrams show; of others a step itself says whose it is."""
MOST_ROWS: Final = 500
SIGNS: Final = {"added": "+", "removed": "−", "changed": "~"}

Row = dict[str, object]


class Links:
    """Who led to whom among the events of a track: given links where there are some, else those recorded.

    Recorded links are judged one by one when they are asked for: a long history has many.
    """

    def __init__(self, track: Track, given: Iterable[Link] | None = None, catalog: Catalog | None = None) -> None:
        self._events = {event.id: event for event in track.events}
        self._catalog = catalog
        self._into: dict[str, list[Link]] | None = None
        self._out: dict[str, str | list[str]] = {}  # a list only where there are several: a history may be long
        if given is not None:
            self._into = defaultdict(list)
            for link in given:
                if link.rule != SUCCESSION:  # what only came after is no effect
                    self._into[link.effect_id].append(link)
                    self._note(link.cause_id, link.effect_id)
            return
        for event in track.events:
            for cause in event.caused_by:
                self._note(cause, event.id)

    def _note(self, cause: str, effect: str) -> None:
        known = self._out.setdefault(cause, effect)
        if isinstance(known, list):
            known.append(effect)
        elif known != effect:
            self._out[cause] = [known, effect]

    def into(self, event: PersistedEvent) -> list[Link]:
        """The causes of an event."""
        if self._into is not None:
            return self._into.get(event.id, [])
        return [
            recorded_link(cause, event.id, self._events.get(cause), event, self._catalog)
            for cause in dict.fromkeys(event.caused_by)
        ]

    def out(self, event: PersistedEvent) -> list[str]:
        """The ids of its effects, as far as they are in the track."""
        known = self._out.get(event.id, [])
        return [known] if isinstance(known, str) else list(dict.fromkeys(known))

    def event(self, event_id: str) -> PersistedEvent | None:
        return self._events.get(event_id)


class _Texts:
    """Each text once; the rest says its number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._paths: dict[Path, int] = {}

    def __call__(self, text: str) -> int:
        return self._numbers.setdefault(text, len(self._numbers))

    def path(self, path: Path) -> int:
        """The number of a path's text."""
        number = self._paths.get(path)
        if number is None:
            number = self._paths[path] = self(visible_text(path_text(path), 100) or "(all)")
        return number

    def all(self) -> list[str]:
        return list(self._numbers)


def window(
    track: Track,
    scene: Scene,
    moments: Sequence[Moment],
    *,
    zone: tzinfo,
    links: Links,
    breaks: Mapping[int, str] | None = None,
    verdicts: Mapping[int, str] | None = None,
) -> dict[str, object]:
    """The data of consecutive `moments` for the player.

    Parameters
    ----------
    breaks, verdicts : mapping of step to words, optional
        Where a breakpoint holds; what verified replay says of a step.
    """
    text = _Texts()
    contexts: dict[tuple[int, ...], int] = {}
    steps = []
    for number, moment in enumerate(moments):
        step = _step(track, scene, moment, text, zone, links)
        if moment.silent and number:
            step["s"] = _silent(track, scene, moment.position, text)
        step["x"] = _context(moment.after, moment.changes, text, contexts)
        if breaks and moment.position in breaks:
            step["b"] = text(visible_text(breaks[moment.position], 120))
        if verdicts and moment.position in verdicts:
            step["v"] = text(visible_text(verdicts[moment.position], 300))
        steps.append(step)
    start = moments[0].position if moments else 0
    return {
        "start": start,
        "base": [[number, text(state_id(state))] for number, state in _states(track, scene, start).items()],
        "steps": steps,
        "contexts": [list(context) for context in contexts],
        "texts": text.all(),
    }


def _step(track: Track, scene: Scene, moment: Moment, text: _Texts, zone: tzinfo, links: Links) -> dict[str, object]:
    event = moment.event
    if event is None:
        return {"p": moment.position, "n": [text(visible_text(note, 300)) for note in moment.notes]}
    number = scene.number[event.instance_id]
    cast = scene.machines[scene.instances[number].cast]
    position = moment.position
    step: dict[str, object] = {
        "p": position,
        "i": number,
        "e": text(visible_text(event.event_type, 100)),
        "f": text(state_id(event.state_before)) if event.state_before else -1,
        "t": text(state_id(event.state_after)),
        "fw": text(state_text(cast.definition, event.state_before) if event.state_before else "(new)"),
        "tw": text(state_text(cast.definition, event.state_after)),
        "k": text(state_kind(cast.definition, event.state_after)),
        "at": event.persisted_at,
        "w": text(moment_text(event.persisted_at, zone, millis=True)),
        "y": text(_json(event.payload)),
    }
    if number >= MOST_ACTORS:
        actor = scene.instances[number]
        step["a"] = [actor.cast, actor.letter, actor.name]
    if arrow := cast.arrow_id(event):
        step["r"] = text(arrow)
    if position > 1:
        gap = event.persisted_at - track.step(position - 1).persisted_at
        later = f"{duration_text(gap)} after" if gap >= 0 else f"{duration_text(-gap)} before"
        step["d"] = text(f"{later} the step before" if gap else "at the same time as the step before")
    if moment.changes:
        step["c"] = [
            [SIGNS[change.kind], text.path(change.path), text(_value(change.old)), text(_value(change.new))]
            for change in moment.changes[:MOST_CHANGES]
        ]
        if len(moment.changes) > MOST_CHANGES:
            step["cm"] = len(moment.changes)
    if not moment.is_known:
        step["u"] = 1
    notes = [*moment.notes, *event.faults]
    if moment.silent:
        notes.append(f"{count_text(moment.silent, 'event')} in between, of these instances, that are no steps here")
    if notes:
        step["n"] = [text(visible_text(note, 300)) for note in notes[:8]]
    into = links.into(event)
    if into:
        step["ca"] = [_cause(track, scene, links, link, text) for link in into[:MOST_LINKS]]
        step["cn"] = len(into)
    out = links.out(event)
    if out:
        step["ef"] = [_other(track, scene, links, effect, text) for effect in out[:MOST_LINKS]]
        step["en"] = len(out)
    return step


def _cause(track: Track, scene: Scene, links: Links, link: Link, text: _Texts) -> list[object]:
    doubts = "; ".join(link.doubts)
    return [*_other(track, scene, links, link.cause_id, text), link.standing, text(visible_text(doubts, 200))]


def _other(track: Track, scene: Scene, links: Links, event_id: str, text: _Texts) -> list[object]:
    """An event by its step (0: not a step here), words, and the instance it belongs to (-1: not known here)."""
    event = links.event(event_id)
    if event is None:
        return [0, text(f"event {short_id(event_id)}"), -1, -1]
    actor = scene.number.get(event.instance_id, -1)
    words = visible_text(event.event_type, 60)
    who = scene.instances[actor].letter if actor >= 0 else ""
    name = visible_text(event.machine_name, 40)
    label = f"{words} · {name} {who}".rstrip()
    return [track.position_of(event_id) or 0, text(label), actor, text(state_id(event.state_after))]


def _states(track: Track, scene: Scene, position: int) -> dict[int, str]:
    """The state of each instance that is there at `position`; of very many, the first ones."""
    states = {name: folded.instance.current_state for name, folded in track.before.items()}
    for event in islice(track.events, _until(track, position)):
        states[event.instance_id] = event.state_after
    numbers = ((scene.number.get(name), state) for name, state in states.items())
    return {number: state for number, state in numbers if number is not None and number < MOST_ACTORS}


def _silent(track: Track, scene: Scene, position: int, text: _Texts) -> list[list[int]]:
    """[instance, state] after each event between this step and the one before that is no step."""
    end = _until(track, position) - 1
    found = []
    for event in track.events[_until(track, position - 1) : end]:
        number = scene.number[event.instance_id]
        if number < MOST_ACTORS:
            found.append([number, text(state_id(event.state_after))])
    return found


def _until(track: Track, position: int) -> int:
    """How many events were folded at `position`."""
    if position:
        return track.steps[position - 1] + 1
    return track.steps[0] if track.length else 0


def _context(
    after: Instance | None, changes: Sequence[Change], text: _Texts, contexts: dict[tuple[int, ...], int]
) -> int:
    """The number of what the instance holds: path, value, path, value, …; what just changed is always among them."""
    if after is None:
        return -1
    values = after.context if after.public_member is None else after.public_member
    paths = leaf_paths([values], MOST_FIELDS + 1)
    shown = dict.fromkeys(paths[:MOST_FIELDS])
    shown.update(dict.fromkeys(change.path for change in changes[:MOST_CHANGES] if change.kind != "removed"))
    row: list[int] = [int(len(paths) > MOST_FIELDS), int(after.public_member is not None)]
    for path in shown:
        row += [text.path(path), text(_value(value_at(values, path)))]
    return contexts.setdefault(tuple(row), len(contexts))


def _value(value: object) -> str:
    if type(value) is int:
        return str(value) if -(10**18) < value < 10**18 else visible_text(str(value), MOST_VALUE)
    try:
        return visible_text(json.dumps(value, ensure_ascii=False, default=str), MOST_VALUE)
    except (RecursionError, ValueError):
        return "(nested too deeply to show)"


def _json(value: object) -> str:
    """Indented JSON, cut; a lone empty object is nothing to read."""
    if value == {}:
        return ""
    try:
        written = json.dumps(value, ensure_ascii=False, indent=2, default=str)
    except (RecursionError, ValueError):
        return "(nested too deeply to show)"
    shown = "\n".join(visible_text(line) for line in written[:MOST_PAYLOAD].split("\n"))
    if len(written) > MOST_PAYLOAD:
        shown += f"\n… shown {MOST_PAYLOAD:,} of {len(written):,} characters; see the whole event"
    return shown


def as_of_rows(scene: Scene, moment: Moment) -> tuple[tuple[Row, ...], tuple[str, ...], int]:
    """Every instance as of this step: rows, their instance ids, and how many there are; the mover first.

    At most `MOST_ROWS` rows.
    """
    own = moment.event.instance_id if moment.event else ""
    ids = sorted(moment.instances, key=lambda name: (name != own, scene.number.get(name, len(scene.number))))
    rows: list[Row] = []
    for instance_id in ids[:MOST_ROWS]:
        instance = moment.instances[instance_id]
        number = scene.number.get(instance_id)
        actor = scene.instances[number] if number is not None else None
        definition = scene.machines[actor.cast].definition if actor else None
        values = instance.context if instance.public_member is None else instance.public_member
        rows.append(
            {
                "": "▶" if instance_id == own else "",
                "token": actor.letter if actor else "",
                "component": visible_text(instance.component_name, 80) or "(none)",
                "machine": visible_text(instance.machine_name, 80),
                "key": visible_text(actor.key, 40) if actor else "",
                "state": state_text(definition, instance.current_state),
                "status": find_look(STATUSES, instance.status if definition else "unknown").text,
                "values": _value(values),
                "instance": visible_text(instance_id, 80),
            }
        )
    return tuple(rows), tuple(ids[:MOST_ROWS]), len(ids)
