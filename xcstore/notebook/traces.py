"""What a trace and a business key give: events with the links between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC
from functools import cached_property
from typing import Final

import pandas as pd

from xcstore.analysis.causality import CausalGraph, causal_graph
from xcstore.frames import events_to_frame
from xcstore.model.catalog import Catalog
from xcstore.model.history import PersistedEvent
from xcstore.notebook import html
from xcstore.notebook.frames import (
    LINK_COLUMNS,
    PARTICIPANT_COLUMNS,
    items_to_frame,
)
from xcstore.queries.causality import Neighbourhood
from xcstore.queries.correlation import Correlation
from xcstore.render.labels import count_text, duration_text, moment_text
from xcstore.render.spacetime_svg import MAX_MARKS, spacetime_svg
from xcstore.store.base import Stores
from xcstore.views import spacetime

__all__ = ["EventTrace", "KeyTrace"]

_SHOWN_MARKS: Final = 500
"""Marks of a picture in a notebook, which keeps it in its file; `svg` draws more."""
_LINK_HEAD: Final = ("cause", "effect", "who says so", "after", "evidence", "doubts")


class EventTrace:
    """What caused an event and what it caused; iterates over its events, the one asked for first, nearest first."""

    def __init__(self, found: Neighbourhood, definitions: Catalog, where: str | Stores) -> None:
        self.neighbourhood: Final = found
        self.definitions: Final = definitions
        self.where: Final = where
        """The store, as it was given."""

    @property
    def root(self) -> PersistedEvent:
        """The event that was asked for."""
        return self.neighbourhood.root

    @property
    def graph(self) -> CausalGraph:
        """Events and links, with roots, orphans, missing causes and cycles."""
        return self.neighbourhood.graph

    @property
    def depths(self) -> Mapping[str, int]:
        """Steps from `root` by event id: effects 1, 2, …; causes -1, -2, …"""
        return self.neighbourhood.depths

    @property
    def truncated(self) -> bool:
        """Whether more is connected than was loaded, or may be: rules that infer links look for a bounded time."""
        return self.neighbourhood.truncated

    @property
    def shown(self) -> str:
        """How much this is, and of how much: '500 events of at least 512, 499 links'."""
        return _shown(self.neighbourhood)

    @cached_property
    def events(self) -> pd.DataFrame:
        """A row for each event, with `frames.EVENT_COLUMNS`."""
        return events_to_frame(self)

    @cached_property
    def links(self) -> pd.DataFrame:
        """A row for each link, with `notebook.frames.LINK_COLUMNS`."""
        return items_to_frame(self.graph.links, LINK_COLUMNS)

    def svg(self) -> str:
        """The space-time picture, on its own."""
        return _svg(self.neighbourhood)

    def __iter__(self) -> Iterator[PersistedEvent]:
        return iter(self.graph.events.values())

    def __len__(self) -> int:
        return len(self.graph.events)

    def __repr__(self) -> str:
        return html.plain(self._title, self.shown)

    @property
    def _title(self) -> str:
        root = self.root
        return f"EventTrace of {root.id!r} ({root.event_type} of {root.machine_name}, {_component(root)})"

    def _repr_html_(self) -> str:
        return html.heading(self._title, [self.shown]) + _events_and_links(self.neighbourhood)


class KeyTrace:
    """Everything that a business key touched; iterates over its events by time."""

    def __init__(self, found: Correlation, near: Neighbourhood | None, definitions: Catalog) -> None:
        self.correlation: Final = found
        self.neighbourhood: Final = near
        """Its events with the links between them; None where nothing was found."""
        self.definitions: Final = definitions

    @property
    def graph(self) -> CausalGraph:
        """Events and links, with roots, orphans, missing causes and cycles."""
        return causal_graph((), ()) if self.neighbourhood is None else self.neighbourhood.graph

    @property
    def shown(self) -> str:
        """How much this is, and what was left out."""
        found = self.correlation
        parts = [
            count_text(len(found.events), "event"),
            count_text(len(self.graph.links), "link"),
            count_text(len(found.participants), "instance"),
        ]
        if found.hidden_instances:
            parts.append(f"{count_text(found.hidden_instances, 'more instance')} not shown")
        if found.cut:
            parts.append("the ends of long streams not shown")
        if found.unshown_causes:
            parts.append(f"{count_text(len(found.unshown_causes), 'cause')} of other events not shown")
        if found.searched_to is not None:
            parts.append(f"searched back to {moment_text(found.searched_to)}")
        return ", ".join(parts)

    @cached_property
    def events(self) -> pd.DataFrame:
        """A row for each event, with `frames.EVENT_COLUMNS`."""
        return events_to_frame(self)

    @cached_property
    def links(self) -> pd.DataFrame:
        """A row for each link between them, with `notebook.frames.LINK_COLUMNS`."""
        return items_to_frame(self.graph.links, LINK_COLUMNS)

    @cached_property
    def instances(self) -> pd.DataFrame:
        """A row for each instance, with `notebook.frames.PARTICIPANT_COLUMNS`."""
        rows = self.correlation.participants
        return items_to_frame(rows, PARTICIPANT_COLUMNS, {"event_count": lambda row: len(row.events)})

    def svg(self) -> str:
        """The space-time picture, on its own; '' where nothing was found."""
        return "" if self.neighbourhood is None else _svg(self.neighbourhood)

    def __iter__(self) -> Iterator[PersistedEvent]:
        return iter(self.correlation.events)

    def __len__(self) -> int:
        return len(self.correlation.events)

    def __repr__(self) -> str:
        return html.plain(self._title, self.shown)

    @property
    def _title(self) -> str:
        at = f" at {'.'.join(self.correlation.path)}" if self.correlation.path else ""
        return f"KeyTrace of {self.correlation.key!r}{at}"

    def _repr_html_(self) -> str:
        inner = "" if self.neighbourhood is None else _events_and_links(self.neighbourhood)
        return html.heading(self._title, [self.shown]) + inner


def _component(event: PersistedEvent) -> str:
    return f"component {event.component_name}" if event.component_name else "no component"


def _shown(found: Neighbourhood) -> str:
    count = len(found.graph.events)
    of = f" of at least {count + found.unread:,}" if found.truncated and found.unread else ""
    more = ", there may be more" if found.truncated and not found.unread else ""
    return f"{count_text(count, 'event')}{of}, {count_text(len(found.graph.links), 'link')}{more}"


def _svg(found: Neighbourhood, *, max_marks: int = MAX_MARKS) -> str:
    return spacetime_svg(spacetime.build(found, zone=UTC), max_marks=max_marks)


def _events_and_links(found: Neighbourhood) -> str:
    events, links = found.graph.events, found.graph.links
    rows = (
        (
            html.event_word(events[link.cause_id]) if link.cause_id in events else f"{link.cause_id} (not among these)",
            html.event_word(events[link.effect_id]) if link.effect_id in events else link.effect_id,
            f"{link.provenance}: {link.rule}" if link.rule else link.provenance,
            duration_text(link.gap_ms),
            link.evidence,
            "; ".join(link.doubts),
        )
        for link in links
    )
    return (
        html.picture(_svg(found, max_marks=_SHOWN_MARKS), f"Space-time picture of {count_text(len(events), 'event')}")
        + html.details(len(events), "event", html.event_table(tuple(events.values())))
        + html.details(len(links), "link", html.table(_LINK_HEAD, rows, len(links)))
    )
