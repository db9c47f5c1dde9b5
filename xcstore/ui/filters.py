"""The filters of the Events page. Each one is in the address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import streamlit as st

from xcstore.queries.events import Options
from xcstore.store.base import EventQuery
from xcstore.ui import state, widgets
from xcstore.units import DAY, HOUR, EpochMs
from xcstore.views.events import parse_path, written_moment

__all__ = ["clear", "event_query"]

_RANGES: Final = {"last hour": HOUR, "last day": DAY, "last 7 days": 7 * DAY, "last 30 days": 30 * DAY}
_PARAMS: Final = ("machine", "type", "state", "state_before", "instance", "from", "to", "text", "path", "value")


def event_query(options: Options, time_range: tuple[EpochMs, EpochMs] | None) -> EventQuery:
    """Draw the filters; gives what they say, together with the components of the sidebar."""
    with st.container(key="events-filters"):
        first = st.columns(4)
        with first[0]:
            machines = _named(widgets.choices("Machine", "events-machine", "machine", _shown(options.machines)))
        with first[1]:
            types = _named(widgets.choices("Event type", "events-type", "type", _shown(options.event_types)))
        with first[2]:
            states = _named(
                widgets.choices(
                    "State", "events-state", "state", _shown(options.states), help="The state that the event led to"
                )
            )
        with first[3]:
            text = widgets.line(
                "Text", "events-text", "text", placeholder="in ids, types, payloads", help="Upper and lower case alike"
            )
        second = st.columns(4, vertical_alignment="bottom")
        with second[0]:
            instances = _instance_ids()
        with second[1]:
            start, end = _times(time_range)
        with second[2]:
            path = parse_path(
                widgets.line(
                    "Payload path",
                    "events-path",
                    "path",
                    placeholder="order.customerId",
                    help="Keys joined by dots; list positions as numbers, as in lines.0.sku",
                )
            )
        with second[3]:
            value = widgets.line("is", "events-value", "value", placeholder="value, as in the payload")
        before = _named(state.texts("state_before"))
    if value and not path:
        state.notice("A payload value without a path finds nothing by itself; give the path, or use Text.")
    if start is not None and end is not None and start > end:
        state.notice("The time range ends before it starts, so nothing fits.")
    return EventQuery(
        components=state.components(),
        machines=machines,
        event_types=types,
        instance_ids=instances,
        states=states,
        states_before=before,
        start=start,
        end=end,
        text=text,
        payload_path=path,
        payload_value=value if path else "",
    )


def clear() -> None:
    """Take every filter out of the address; for a button."""
    state.put(**dict.fromkeys(_PARAMS))


def _instance_ids() -> tuple[str, ...]:
    text = widgets.line(
        "Instance", "events-instance", "instance", placeholder="instance id", help="The whole id; several with commas"
    )
    return tuple(part for part in (piece.strip() for piece in text.split(",")) if part)


def _times(time_range: tuple[EpochMs, EpochMs] | None) -> tuple[EpochMs | None, EpochMs | None]:
    start, end = state.moment("from"), state.moment("to")
    ends = (written_moment(moment, state.zone()) or "…" for moment in (start, end))
    label = "Any time" if start is None and end is None else " – ".join(ends)
    with st.popover(label, width="stretch", key="events-time"):
        start = widgets.moment("From", "events-from", "from", start, placeholder="any time")
        end = widgets.moment("To", "events-to", "to", end, placeholder="any time")
        st.caption("Both ends included. 2026-01-31, or 2026-01-31 12:00:05.250, in the chosen time zone.")
        if time_range is not None:
            for name, length in _RANGES.items():
                st.button(
                    f"The {name} in the store",
                    key=f"events-{name.replace(' ', '-')}",
                    on_click=_set_range,
                    args=(EpochMs(time_range[1] - length),),
                    width="stretch",
                )
        st.button("Any time", key="events-any-time", on_click=_set_range, args=(None,), width="stretch")
    return start, end


def _set_range(start: EpochMs | None) -> None:
    state.put(**{"from": state.to_text(start), "to": None})


def _shown(counts: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    return [(name or state.NONE, count) for name, count in counts]


def _named(values: Sequence[str]) -> tuple[str, ...]:
    return tuple("" if value == state.NONE else value for value in values)
