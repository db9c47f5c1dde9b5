"""What the Replay page replays: which events, read once and kept for everybody while it is in use."""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import streamlit as st

from xcstore.analysis.causality import CausalGraph
from xcstore.errors import NotFoundError, XcstoreError
from xcstore.model.catalog import Catalog
from xcstore.queries import causality, correlation, overview
from xcstore.replay.breakpoints import Breakpoint
from xcstore.replay.controller import Moment, ReplayController
from xcstore.replay.track import EventsScope, InstanceScope, RangeScope, Scope, Track, open_track, uncollected
from xcstore.replay.verified import DIVERGING, VerifiedStep, verified
from xcstore.store.base import Stores
from xcstore.ui import loading, state, working
from xcstore.units import EpochMs
from xcstore.views import replay as views
from xcstore.views.replay_steps import MOST_ACTORS, Links
from xcstore.views.replay_strip import Note, event_notes

__all__ = ["VERIFIED_AT_ONCE", "Chosen", "Opened", "chosen", "open_chosen"]

MAX_TRACE: Final = 500
MAX_EVENTS: Final = 100_000
VERIFIED_AT_ONCE: Final = 5_000
"""Events that are compared with the definition without being asked."""
MOST_TRACKS: Final = 24
MOST_HELD: Final = 250_000
"""Events of all tracks that are kept, together; 100,000 plain ones take about 230 MB."""
MOST_WINDOWS: Final = 8
UNCOMPARED: Final = ("no_definition", "starts_late", "unreadable")
MOST_SNAPSHOTS: Final = 50
"""Instances whose snapshots are marked."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the address asks for: one of instance, trace, business key, and range of time."""

    instance_id: str = ""
    event_id: str = ""
    key: str = ""
    start: EpochMs | None = None
    end: EpochMs | None = None
    components: tuple[str, ...] = ()

    @property
    def address(self) -> dict[str, str]:
        """The same for a link to another page of the same history."""
        if self.instance_id:
            return {"instance": self.instance_id}
        if self.event_id:
            return {"trace": self.event_id}
        if self.key:
            return {"key": self.key}
        return {"from": state.to_text(self.start), "to": state.to_text(self.end)}


@dataclass(eq=False)
class Opened:
    """A track with everything the page says of it. Shared: whoever asks takes the lock."""

    chosen: Chosen
    track: Track
    controller: ReplayController
    scene: views.Scene
    links: Links
    notes: list[Note]
    said: tuple[str, ...]
    """What there is to say about how it was read."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    verdicts: Mapping[int, str] | None = None
    """Why a step differs from its definition; None: not compared yet."""
    compared: int = 0
    """Steps that could be compared with a definition."""
    kept: OrderedDict[object, object] = field(default_factory=OrderedDict)
    """Windows and scrubbers that were asked for lately."""

    def moments(self, start: int, stop: int) -> Sequence[Moment]:
        """The moments of a window; the controller goes nowhere."""
        with self.lock:
            return self.controller.moments(start, stop)

    def moment(self, position: int) -> Moment:
        return self.moments(position, position + 1)[0]

    def keep(self, key: object, make: Callable[[], object]) -> object:
        """The value of that key, made once."""
        with self.lock:
            if key not in self.kept:
                self.kept[key] = make()
                while len(self.kept) > MOST_WINDOWS:
                    self.kept.popitem(last=False)
            self.kept.move_to_end(key)
            return self.kept[key]

    def breaks(self, points: Sequence[Breakpoint]) -> Mapping[int, str]:
        """The steps at which a breakpoint holds, and which one, in words."""
        if not points:
            return {}
        found = {}
        for position in range(1, self.track.length + 1):
            event = self.track.step(position)
            for point in points:
                if point.holds(position, event):
                    found[position] = str(point)
                    break
        return found

    def verify(self) -> Mapping[int, str]:
        """Compare every step with its definition, once."""
        with self.lock:
            if self.verdicts is None:
                judged = verified(self.track)
                without = {step.position for step in judged if step.kind in UNCOMPARED}
                self.compared = self.track.length - len(without - {0})
                self.verdicts = _diverging(judged)
            return self.verdicts


def chosen() -> Chosen | None:
    """What the address asks for; None: nothing yet."""
    if instance_id := state.text("instance"):
        return Chosen(instance_id=instance_id)
    if event_id := state.text("trace"):
        return Chosen(event_id=event_id)
    if key := state.text("key"):
        return Chosen(key=key)
    start, end = state.moment("from"), state.moment("to")
    if start is not None and end is not None:
        return Chosen(start=start, end=end, components=state.components())
    return None


def open_chosen(wanted: Chosen) -> Opened:
    """The track, from memory or read now with its progress on the page.

    Raises
    ------
    NotFoundError, QueryError
        As `open_track`.
    """
    stores, catalog = loading.stores(), loading.catalog()
    facts = loading.ask(overview.facts)
    known = tuple(sorted((component.name, component.hash) for component in catalog))
    # A store that grew is another history: what was opened before it grew is not shown as if it were all.
    question = (stores.identity, repr(loading.settings().redact), known, wanted, facts.events, facts.time_range)
    opened = _tracks().get(question)
    if opened is None:
        graph, said = _connected(wanted, catalog)
        scope = _scope(wanted, graph)
        names = loading.component_names()
        opened = working.work(
            lambda note: _open(stores, wanted, scope, catalog, names, graph, said, note),
            key="replay-cancel",
            noun="events",
            words="Reading the history",
        )
        _tracks().put(question, opened)
    return opened


class _Tracks:
    """The tracks that were opened lately, for everybody in this process, bounded by all their events together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: OrderedDict[object, Opened] = OrderedDict()

    def get(self, question: object) -> Opened | None:
        with self._lock:
            if question in self._opened:
                self._opened.move_to_end(question)
            return self._opened.get(question)

    def put(self, question: object, opened: Opened) -> None:
        """Keep it, and let go of those that nobody asked for the longest."""
        with self._lock:
            self._opened[question] = opened
            while len(self._opened) > 1 and (
                len(self._opened) > MOST_TRACKS
                or sum(len(one.track.events) for one in self._opened.values()) > MOST_HELD
            ):
                self._opened.popitem(last=False)


@st.cache_resource(show_spinner=False)
def _tracks() -> _Tracks:
    return _Tracks()


def _scope(wanted: Chosen, graph: CausalGraph | None) -> Scope:
    if graph is not None:
        return EventsScope(event_ids=tuple(graph.events))
    if wanted.instance_id:
        return InstanceScope(instance_id=wanted.instance_id)
    assert wanted.start is not None  # as one of the three was chosen
    assert wanted.end is not None
    return RangeScope(start=wanted.start, end=wanted.end, components=wanted.components)


def _connected(wanted: Chosen, catalog: Catalog) -> tuple[CausalGraph | None, tuple[str, ...]]:
    """The events that are steps, with who led to whom, and what there is to say; None where a scope finds them."""
    if wanted.event_id:
        found = loading.ask(
            causality.neighbourhood,
            wanted.event_id,
            direction="both",
            mode="repaired",
            max_events=MAX_TRACE,
            catalog=catalog,
        )
        more = f"at least {found.unread:,} more are" if found.unread else "more may be"
        cut = f"the {len(found.graph.events):,} nearest events of the trace are steps; {more} connected"
        return found.graph, (cut,) if found.truncated else ()
    if wanted.key:
        return _touched(wanted.key, catalog)
    return None, ()


def _touched(key: str, catalog: Catalog) -> tuple[CausalGraph, tuple[str, ...]]:
    """What a business key touched, as the Causality page finds it."""
    found = loading.ask(correlation.correlation, key)
    if not found.participants:
        raise NotFoundError(f"no event of this store mentions {key!r}")
    said = []
    if found.searched_to is not None:
        said.append("the search for the key stopped at a limit: older events were not all looked at")
    if found.hidden_instances:
        shown = len(found.participants)
        said.append(f"the events of {shown:,} instances are steps; {found.hidden_instances:,} more mention the key")
    if found.cut:
        said.append("some of these instances have more events than were read")
    around = loading.ask_now(correlation.as_neighbourhood, found, mode="repaired", catalog=catalog)
    assert around is not None  # as there are events
    return around.graph, tuple(said)


def _open(
    stores: Stores,
    wanted: Chosen,
    scope: Scope,
    catalog: Catalog,
    components: Sequence[str],
    graph: CausalGraph | None,
    said: tuple[str, ...],
    note: working.Note,
) -> Opened:
    with uncollected():
        track = open_track(
            stores,
            scope,
            catalog=catalog,
            max_events=MAX_EVENTS,
            on_progress=lambda done, total: note(done, total or 0),
        )
        given = graph.links if graph is not None else None
        opened = Opened(
            chosen=wanted,
            track=track,
            controller=ReplayController(track),
            scene=views.build(track, components=components),
            links=Links(track, given, catalog),
            notes=[*event_notes(track), *_snapshots(stores, track)],
            said=(*said, *track.notes, *_unmarked(track)),
        )
        if len(track.events) > VERIFIED_AT_ONCE:
            gc.freeze()  # else every collection goes through a long history; it goes when nobody refers to it
    if len(track.events) <= VERIFIED_AT_ONCE:
        opened.verify()
    return opened


def _snapshots(stores: Stores, track: Track) -> list[Note]:
    """Steps after which a snapshot was taken, as far as snapshots say so."""
    found = []
    try:
        for instance_id in track.instance_ids[:MOST_SNAPSHOTS]:
            for snapshot in stores.snapshots.list_snapshots(instance_id):
                position = track.position_of(snapshot.last_event_id) if snapshot.last_event_id else None
                if position:
                    found.append(Note(position, "snapshot", ""))
    except XcstoreError:
        return []  # the history can be replayed all the same; Restore says what is wrong with snapshots
    return found


def _unmarked(track: Track) -> list[str]:
    many = len(track.instance_ids)
    if many <= MOST_SNAPSHOTS:
        return []
    said = [f"snapshots of the first {MOST_SNAPSHOTS} of {many:,} instances are marked"]
    if many > MOST_ACTORS:
        said.append(f"the diagrams show the first {MOST_ACTORS:,} of {many:,} instances")
    return said


def _diverging(steps: Sequence[VerifiedStep]) -> dict[int, str]:
    found: dict[int, str] = {}
    for step in steps:
        if step.verdict in DIVERGING and step.position:
            found.setdefault(step.position, step.reason)
    return found
