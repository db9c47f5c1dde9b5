"""What one business key touched, as one picture and as rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xcstore.analysis.intervals import state_history
from xcstore.analysis.lifecycle import lifecycle
from xcstore.render.labels import count_text, duration_text, moment_text, short_id, visible_text
from xcstore.render.theme import STATUSES, accents, find_look
from xcstore.render.timeline import Interval, Link, Point, Timeline
from xcstore.views.events import parse_path
from xcstore.views.machines import state_kind, state_text

if TYPE_CHECKING:
    from datetime import tzinfo

    from xcstore.model.definition import StateMachine
    from xcstore.queries.correlation import Correlation, Participant, Path
    from xcstore.units import EpochMs

__all__ = ["CorrelationView", "build", "path_from_text", "path_text"]

Row = dict[str, object]
FindMachine = Callable[[str, str], "StateMachine | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelationView:
    """Everything the page shows of one key."""

    summary: str
    where: str
    """Which part of the payloads was looked at, and where in them the key stands."""
    paths: tuple[str, ...]
    """The latter, each as `path_text` writes it."""
    notes: tuple[str, ...]
    """What is not shown, and why."""
    timeline: Timeline
    instances: tuple[Row, ...] = field(hash=False)
    instance_ids: tuple[str, ...]
    """Instance of each row of `instances`."""
    events: tuple[Row, ...] = field(hash=False)
    event_ids: tuple[str, ...]
    """Event of each row of `events`."""


def build(
    found: Correlation, find_machine: FindMachine, *, now: EpochMs, zone: tzinfo, components: Sequence[str] = ()
) -> CorrelationView:
    """The view of what was found; empty rows where nothing was.

    What has not ended is drawn up to `now`. `components` are all of the store, for the colours.
    """
    lanes = {p.instance_id: _lane(p) for p in found.participants}
    machines = {p.instance_id: find_machine(p.component_name, p.machine_name) for p in found.participants}
    by_event = {event.id: p for p in found.participants for event in p.events}
    every = [(event, by_event[event.id]) for event in found.events]
    return CorrelationView(
        summary=_summary(found),
        where=_where(found),
        paths=tuple(path_text(path) for path, _ in found.paths),
        notes=_notes(found, zone),
        timeline=_timeline(found, lanes, machines, now, components),
        instances=tuple(_instance_row(p, machines[p.instance_id], zone) for p in found.participants),
        instance_ids=tuple(p.instance_id for p in found.participants),
        events=tuple(
            {
                "Stored at": moment_text(event.persisted_at, zone, millis=True),
                "Component": visible_text(p.component_name, 80),
                "Machine": visible_text(p.machine_name, 80),
                "Event": visible_text(event.event_type, 80),
                "From": visible_text(event.state_before, 80),
                "To": visible_text(event.state_after, 80),
                "Mentions it": event.id in p.mentions,
                "Instance": visible_text(p.instance_id, 80),
            }
            for event, p in every
        ),
        event_ids=tuple(event.id for event, _ in every),
    )


def path_text(path: Path) -> str:
    """`path` as people write it, 'items.0.sku'; as JSON where a key would be misread, or hides something."""
    plain = ".".join(path)
    readable = plain == visible_text(plain) == plain.strip() and parse_path(plain) == path
    return plain if readable and not plain.startswith("[") else json.dumps(path)


def path_from_text(text: str) -> Path:
    """The path that `path_text`, or a person, wrote; () where there is none."""
    if text.startswith('["'):
        try:
            keys = json.loads(text)
        except ValueError:
            keys = None
        if isinstance(keys, list) and all(isinstance(key, str) for key in keys):
            return tuple(keys)
    return parse_path(text)


def _where(found: Correlation) -> str:
    if not found.participants:
        return ""
    looked = f"looked for at {path_text(found.path)}" if found.path else "looked for anywhere in payloads"
    places = [f"{path_text(path)} ({count_text(count, 'event')})" for path, count in found.paths[:5]]
    more = f" and {len(found.paths) - 5} more places" if len(found.paths) > 5 else ""
    return visible_text(f"{looked}; found at {', '.join(places)}{more}", 500)


def _lane(participant: Participant) -> str:
    return f"{participant.machine_name} {short_id(participant.instance_id)}"


def _summary(found: Correlation) -> str:
    if not found.participants:
        return ""
    events = [event for p in found.participants for event in p.events]
    span = max(event.persisted_at for event in events) - min(event.persisted_at for event in events)
    return " · ".join(
        [
            count_text(len(found.participants), "instance"),
            count_text(len({p.component_name for p in found.participants}), "component"),
            count_text(len(events), "event"),
            f"over {duration_text(span)}",
        ]
    )


def _notes(found: Correlation, zone: tzinfo) -> tuple[str, ...]:
    notes = []
    if found.searched_to is not None:
        notes.append(f"Searched back to {moment_text(found.searched_to, zone)}; older events were not looked at.")
    if found.hidden_instances:
        total = found.hidden_instances + len(found.participants)
        notes.append(f"Shown {len(found.participants):,} of {total:,} instances found, the earliest.")
    if found.cut:
        notes.append("Some of these histories are longer than what is drawn; open an instance for all of it.")
    if found.unshown_causes:
        causes = count_text(len(found.unshown_causes), "event is", "events are")
        notes.append(f"{causes} named as a cause by what is shown, but not shown: the key does not touch them.")
    passing = sum(not p.belongs for p in found.participants)
    if passing:
        touched = count_text(passing, "instance")
        notes.append(f"Of {touched} whose creation does not mention it, only the events that do are shown.")
    return tuple(notes)


def _timeline(
    found: Correlation,
    lanes: dict[str, str],
    machines: dict[str, StateMachine | None],
    now: EpochMs,
    components: Sequence[str],
) -> Timeline:
    colours = accents((p.component_name for p in found.participants), components)
    intervals, points = [], []
    going_on = False
    for p in found.participants:
        machine = machines[p.instance_id]
        active = p.belongs and lifecycle(p.events[-1].state_after, machine=machine).status == "active"
        going_on = going_on or active
        for stay in state_history(p.events).intervals if p.belongs else ():
            last = None if active and stay.end == "open" else stay.last_seen_at
            intervals.append(
                Interval(
                    lane=lanes[p.instance_id],
                    state=stay.state,
                    start_ms=stay.entered_at,
                    end_ms=stay.left_at if stay.end == "left" else last,
                    kind=state_kind(machine, stay.state),
                    id=stay.entered_by,
                    accent=colours[p.component_name],
                    group=p.component_name,
                    tooltip=f"{p.component_name} · {p.machine_name}",
                )
            )
        points += [
            Point(
                id=event.id,
                label=event.event_type,
                at_ms=event.persisted_at,
                lane=lanes[p.instance_id],
                tooltip=f"{p.component_name} · {event.state_before or '(new)'} → {event.state_after}",
            )
            for event in p.events
        ]
    return Timeline(
        lanes=tuple(lanes.values()),
        intervals=tuple(intervals),
        points=tuple(points),
        now_ms=now if going_on else None,
        links=tuple(Link(source=cause, target=effect) for cause, effect in found.links),
        name=f"everything that {found.key} touched",
    )


def _instance_row(participant: Participant, machine: StateMachine | None, zone: tzinfo) -> Row:
    last = participant.events[-1]
    row: Row = {
        "Component": visible_text(participant.component_name, 80),
        "Machine": visible_text(participant.machine_name, 80),
        "State": "",
        "Status": "",
        "Events": len(participant.events),
        "First": moment_text(participant.events[0].persisted_at, zone),
        "Last": moment_text(last.persisted_at, zone),
        "Instance": visible_text(participant.instance_id, 80),
    }
    if participant.belongs:
        status = find_look(STATUSES, lifecycle(last.state_after, machine=machine).status)
        row["State"] = state_text(machine, last.state_after)
        row["Status"] = f"{status.mark} {status.word}"
    return row
