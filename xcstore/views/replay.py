"""What stands still while a history is replayed: the machines' diagrams, the instances and their names.

    build(track, catalog=..., shown=()) -> Scene
    Scene.machines, .instances      in the order in which they appear in the replay
    state_id(state), Cast.arrow_id(event)   what the pictures call a state and a transition

What moves is in `views.replay_steps`, the scrubber in `views.replay_strip`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from xcstore.analysis.business_key import business_key
from xcstore.analysis.lifecycle import observed_machine
from xcstore.model.history import CREATION
from xcstore.render.labels import count_text, short_id, visible_text
from xcstore.render.theme import accents
from xcstore.views.machines import arrows, state_diagram

if TYPE_CHECKING:
    from xcstore.model.definition import StateMachine
    from xcstore.model.history import PersistedEvent
    from xcstore.render.diagram import Diagram, Edge
    from xcstore.replay.track import Track

__all__ = ["MOST_DIAGRAMS", "WORDED", "Actor", "Cast", "Scene", "build", "compact", "letter", "nearest", "state_id"]

MOST_DIAGRAMS: Final = 6
"""Diagrams that one can follow at a time."""
WORDED: Final = 2
"""Up to so many diagrams have words at their arrows; more are drawn without, so that the states can be read."""
NO_NAME: Final = "(none)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """One machine: its diagram, and what the picture calls its transitions."""

    component: str
    machine: str
    definition: StateMachine | None
    diagram: Diagram
    accent: int
    """Number of its component's colour."""
    instances: int
    """How many of its instances take part."""
    ids: Mapping[tuple[str, str, str], str] = field(hash=False)
    """(from, event, to) -> id of the arrow in the diagram."""

    def arrow_id(self, event: PersistedEvent) -> str:
        """The arrow that the event took; '' where there is none, as for a creation."""
        return self.ids.get((event.state_before, event.event_type, event.state_after), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """One instance, and the letter by which the pictures know it."""

    instance_id: str
    cast: int
    """Number of its machine in `Scene.machines`."""
    letter: str
    key: str
    """Its business key; '' where none is known."""
    steps: int
    """How many steps are its own."""

    @property
    def name(self) -> str:
        """What people call it, as short as can be."""
        return visible_text(self.key, 24) if self.key else short_id(self.instance_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everybody who takes part."""

    machines: tuple[Cast, ...]
    instances: tuple[Actor, ...]
    number: Mapping[str, int] = field(hash=False)
    """Instance id -> its place in `instances`."""

    @property
    def summary(self) -> str:
        """Who takes part, counted."""
        components = {cast.component for cast in self.machines}
        parts = [count_text(len(self.instances), "instance"), count_text(len(self.machines), "machine")]
        if len(components) > 1:
            parts.append(count_text(len(components), "component"))
        return " · ".join(parts)


def state_id(state: str) -> str:
    """What the diagrams of `views.machines` call a state."""
    return f"s:{state}"


def build(track: Track, *, components: Sequence[str] = ()) -> Scene:
    """The scene of `track`; `components` are all of the store, for their colours.

    A machine without a definition is drawn from the transitions that were seen in the track.
    """
    places = _places(track)
    seen: dict[tuple[str, str], Counter[tuple[str, str, str]]] = {}
    keys: dict[str, str] = {}
    for event in track.events:
        place = places[event.instance_id]
        counts = seen.get(place)
        if counts is None:
            counts = seen[place] = Counter()
        counts[event.state_before, event.event_type, event.state_after] += 1
        if event.event_type == CREATION and event.instance_id not in keys:
            keys[event.instance_id] = business_key(event.payload, event.machine_name) or ""
    for instance_id, folded in track.before.items():
        instance = folded.instance
        counts = seen.setdefault(places[instance_id], Counter())
        counts["", CREATION, instance.current_state] += 0
        if instance_id not in keys:
            created = folded.created
            keys[instance_id] = (created and business_key(created.payload, created.machine_name)) or ""
    own = Counter(track.step(position).instance_id for position in range(1, track.length + 1))
    colours = accents((component for component, _ in seen), components)
    people = Counter(places.values())
    order = {place: number for number, place in enumerate(seen)}
    machines = tuple(
        _cast(
            component,
            machine,
            track.tables.machine(component, machine),
            counts,
            colours[component],
            people[component, machine],
        )
        for (component, machine), counts in seen.items()
    )
    instances = tuple(
        Actor(
            instance_id=instance_id,
            cast=order[places[instance_id]],
            letter=letter(number),
            key=keys.get(instance_id, ""),
            steps=own[instance_id],
        )
        for number, instance_id in enumerate(track.instance_ids)
    )
    return Scene(
        machines=machines,
        instances=instances,
        number={actor.instance_id: number for number, actor in enumerate(instances)},
    )


def compact(diagram: Diagram) -> tuple[Diagram, Mapping[str, str]]:
    """The diagram with one arrow without words between two states, and which arrow stands for each that was left out.

    The words stay in the tooltips; what the step was is said beside.
    """
    kept: dict[tuple[str, str], list[Edge]] = {}
    for edge in diagram.edges:
        kept.setdefault((edge.source, edge.target), []).append(edge)
    edges = tuple(
        replace(group[0], label="", tooltip="\n".join(f"{edge.label}: {edge.tooltip}" for edge in group))
        for group in kept.values()
    )
    aliases = {edge.id: group[0].id for group in kept.values() for edge in group[1:]}
    return replace(diagram, edges=edges), aliases


def nearest(track: Track, scene: Scene, position: int, most: int = MOST_DIAGRAMS) -> tuple[int, ...]:
    """The machines whose steps are nearest to `position`, in the order of the scene."""
    if len(scene.machines) <= most:
        return tuple(range(len(scene.machines)))
    found: dict[int, None] = {}
    for distance in range(track.length + 1):
        for near in {position + distance, position - distance}:
            if 1 <= near <= track.length:
                found.setdefault(scene.instances[scene.number[track.step(near).instance_id]].cast)
        if len(found) >= most:
            break
    return tuple(sorted(list(found)[:most]))


def letter(number: int) -> str:
    """A, B, … Z, AA, AB, … as columns of a spreadsheet are named."""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def _places(track: Track) -> dict[str, tuple[str, str]]:
    """Component and machine of each instance: as its first event says that names a component, else as its first."""
    places: dict[str, tuple[str, str]] = {}
    for event in track.events:
        place = places.get(event.instance_id)
        if place is None or (not place[0] and event.component_name):
            places[event.instance_id] = (event.component_name, event.machine_name)
    for instance_id, folded in track.before.items():
        place = places.get(instance_id)
        if place is None or not place[0]:
            places[instance_id] = (folded.instance.component_name, folded.instance.machine_name)
    return places


def _cast(
    component: str,
    machine: str,
    definition: StateMachine | None,
    counts: Mapping[tuple[str, str, str], int],
    accent: int,
    instances: int,
) -> Cast:
    observed = observed_machine(counts.items())
    along = arrows(definition, observed)
    drawn = state_diagram(definition, observed, name=f"{component or NO_NAME}.{machine}", counts={}, visits={})
    # No counts and no path: where somebody is and has been is lit by the player, step by step.
    nodes = tuple(replace(node, visited=None, count=None) for node in drawn.nodes)
    edges = tuple(
        replace(edge, count=None, taken=None, weight=0.0, tooltip=_without_count(edge.tooltip)) for edge in drawn.edges
    )
    return Cast(
        component=component,
        machine=machine,
        definition=definition,
        diagram=replace(drawn, nodes=nodes, edges=edges),
        accent=accent,
        instances=instances,
        ids={arrow.key: f"t:{number}" for number, arrow in enumerate(along)},
    )


def _without_count(tooltip: str) -> str:
    """'observed 3 times' counts the track, which is not what one expects beside a machine."""
    return "\n".join(line for line in tooltip.splitlines() if not line.startswith("observed "))
