"""Lines, tables and pictures for notebooks.

All stored text is made visible and escaped; nothing runs, and nothing is fetched.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice
from typing import Final

from xcstore.model.history import PersistedEvent
from xcstore.render.labels import count_text, moment_text, short_id, visible_text

__all__ = ["MAX_ROWS", "details", "event_table", "event_word", "heading", "picture", "plain", "table"]

MAX_ROWS: Final = 200
"""Rows of a table that are shown; frames hold all."""
_CELL: Final = 200
_EVENT_HEAD: Final = ("at (UTC)", "event", "state", "machine", "component", "instance", "event id")
_CELL_STYLE: Final = "text-align:left;vertical-align:top;padding:2px 12px 2px 0;white-space:nowrap"


def heading(title: str, lines: Iterable[str]) -> str:
    """What it is, and how much of it is shown."""
    rest = "".join(f"<div>{_text(line, 1_000)}</div>" for line in lines if line)
    return f"<div><strong>{_text(title, 500)}</strong></div>{rest}"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], total: int) -> str:
    """The first `MAX_ROWS` of `total` rows; nothing where there are none."""
    if not total:
        return ""
    head = "".join(_cell("th", name) for name in columns)
    body = "".join(f"<tr>{''.join(_cell('td', value) for value in row)}</tr>" for row in islice(rows, MAX_ROWS))
    cut = f"<div>shown {MAX_ROWS:,} of {total:,}; the frame holds all</div>" if total > MAX_ROWS else ""
    return f'<div style="overflow-x:auto"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{cut}'


def details(count: int, noun: str, inner: str, *, opened: bool = False) -> str:
    """Something that is unfolded by a click."""
    return f"<details{' open' if opened else ''}><summary>{count_text(count, noun)}</summary>{inner}</details>"


def picture(svg: str, name: str) -> str:
    """A drawing as an image: its styles stay its own, and no script in it could run."""
    data = base64.b64encode(svg.encode("utf-8", "replace")).decode()
    return f'<img alt="{_text(name)}" style="max-width:100%" src="data:image/svg+xml;base64,{data}">'


def plain(*lines: str) -> str:
    """For a terminal, which obeys some of what may be stored."""
    return "\n".join(visible_text(line, 1_000) for line in lines if line)


def event_table(events: Sequence[PersistedEvent]) -> str:
    """A row for each event."""
    rows = (
        (
            moment_text(event.persisted_at, millis=True),
            event.event_type,
            f"{event.state_before or '·'} → {event.state_after}",
            event.machine_name,
            event.component_name,
            short_id(event.instance_id),
            event.id,
        )
        for event in events
    )
    return table(_EVENT_HEAD, rows, len(events))


def event_word(event: PersistedEvent) -> str:
    """An event in a cell."""
    return f"{event.event_type} · {event.machine_name} {short_id(event.instance_id)}"


def _cell(kind: str, value: object) -> str:
    return f'<{kind} style="{_CELL_STYLE}">{_text(value)}</{kind}>'


def _text(value: object, limit: int = _CELL) -> str:
    return escape(visible_text(str(value), limit))
