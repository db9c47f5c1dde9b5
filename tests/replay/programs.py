"""Random programs: what is done to a `Life`, one step after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.runtime.disturbing import Life
from tests.runtime.strategies import EVENTS, data, payloads

__all__ = ["Step", "populated", "programs"]

Step = Callable[[Life], None]

_numbers = st.integers(0, 4)
_sent = st.sampled_from([*EVENTS, "STEP", "GO", "LATE", "NOPE"])


def _create(at: int, values: Any) -> Step:
    return lambda life: life.create(*_place(life, at), values)


def _send(at: int, number: int, event: str, payload: Any) -> Step:
    return lambda life: life.send(_place(life, at)[0], number, event, payload)


def _broadcast(at: int, event: str, payload: Any) -> Step:
    return lambda life: life.broadcast(*_place(life, at), event, payload)


def _advance(duration: int) -> Step:
    return lambda life: life.advance(duration)


def _place(life: Life, at: int) -> tuple[str, str]:
    places = [(component.name, machine.name) for component in life.components for machine in component.machines]
    return places[at % len(places)]


programs = st.lists(
    st.one_of(
        st.builds(_create, _numbers, data),
        st.builds(_send, _numbers, _numbers, _sent, payloads),
        st.builds(_send, _numbers, _numbers, _sent, payloads),
        st.builds(_broadcast, _numbers, _sent, payloads),
        st.builds(_advance, st.sampled_from([0, 40, 100, 260, 700])),
    ),
    min_size=4,
    max_size=16,
)


def populated(life: Life) -> None:
    """One instance of each machine, so that nearly every step meets somebody."""
    for component in life.components:
        for machine in component.machines:
            life.create(component.name, machine.name, {"k": 1, "x": "1"})
