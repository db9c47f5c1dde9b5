"""What a run shall do, step by step: a JSON array or NDJSON, checked whole before the first step is done.

Each step does one thing:

    {"create": "Order", "component": "Shop", "as": "order1", "context": {"amount": 12}}
    {"send": "order1", "event": "PAY", "payload": {"by": "card"}}
    {"broadcast": "Order", "component": "Shop", "event": "CLOSE", "payload": {}, "state": "Paid"}
    {"advance": "1h30m"}                    or whole milliseconds
    {"at": "2026-01-31T08:00:00Z"}          let time pass until then

`component` may be left out where only one has that machine. `as` names the instance for later steps. Every instance,
also one that a transition made, has a name i1, i2 … in order of creation besides, and can be named by its id.

The steps of the reference's recorded runs are taken too: `op` is create, send, sendAll, broadcast, advance or register.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

from xcstore.model.catalog import Catalog
from xcstore.model.definition import Component
from xcstore.ops.json_rows import RowFault, TruncatedFileError, read_rows
from xcstore.units import DAY, HOUR, MINUTE, SECOND, DurationMs, EpochMs, from_utc

__all__ = [
    "Advance",
    "At",
    "BadStep",
    "Broadcast",
    "Create",
    "Plan",
    "Register",
    "Send",
    "Step",
    "is_given_name",
    "is_id",
    "parse_duration",
    "parse_moment",
    "read_steps",
]

_GIVEN_NAME: Final = re.compile(r"i[1-9][0-9]{0,8}")
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_UNITS: Final[Mapping[str, int]] = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_DURATION: Final = re.compile(r"(?:[0-9]{1,15}(?:\.[0-9]{1,9})?(?:ms|[smhd]))+")
_PART: Final = re.compile(r"([0-9.]+)(ms|[smhd])")
_LONGEST: Final = 1_000_000 * DAY

# The keys that a step of each kind may have; the first says which kind it is.
_KEYS: Final[Mapping[str, Sequence[str]]] = {
    "create": ("create", "component", "as", "context"),
    "send": ("send", "event", "payload"),
    "broadcast": ("broadcast", "component", "event", "payload", "state"),
    "advance": ("advance",),
    "at": ("at",),
}


@dataclass(frozen=True, slots=True)
class Create:
    component: str
    machine: str
    context: Mapping[str, object] = field(hash=False)
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Send:
    to: str
    event: str
    payload: Mapping[str, object] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Broadcast:
    component: str
    machine: str
    event: str
    payload: Mapping[str, object] = field(hash=False)
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Advance:
    duration: DurationMs


@dataclass(frozen=True, slots=True)
class At:
    moment: EpochMs


@dataclass(frozen=True, slots=True)
class Register:
    """Make the components known to each other, and start entry machines, here rather than at the beginning."""


Action = Create | Send | Broadcast | Advance | At | Register


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do, and where it stands. `number` counts from 1."""

    number: int
    line: int
    action: Action


@dataclass(frozen=True, slots=True)
class BadStep:
    """A step that cannot be done, and what would be right. Number and line are 0 for the whole file."""

    number: int
    line: int
    reason: str

    def __str__(self) -> str:
        if not self.number:
            return self.reason
        return f"step {self.number}, line {self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Plan:
    """All the steps of a file. With `bad` ones none should be done."""

    steps: tuple[Step, ...] = ()
    bad: tuple[BadStep, ...] = ()
    end: EpochMs | None = None
    """What a simulated clock shows after the last step."""


def read_steps(path: Path, components: Sequence[Component], *, start: EpochMs | None = None) -> Plan:
    """The steps in a file, checked against the components that they are for.

    Parameters
    ----------
    path : Path
        A JSON array, or NDJSON.
    components : sequence of Component
        Those that will run.
    start : EpochMs, optional
        What the simulated clock begins with, so that a step into the past is found. None: a real clock.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    reader = _Reader(components, start)
    steps: list[Step] = []
    bad: list[BadStep] = []
    try:
        for row in read_rows(path):
            if isinstance(row.value, RowFault):
                bad.append(BadStep(row.number, row.line, row.value.reason))
                continue
            try:
                steps += [Step(row.number, row.line, action) for action in reader.read(row.value)]
            except _BadStepError as error:
                bad.append(BadStep(row.number, row.line, str(error)))
    except TruncatedFileError as error:
        bad.append(BadStep(error.number, error.line, str(error)))
    return Plan(tuple(steps), tuple(bad), reader.now)


def parse_duration(value: object) -> DurationMs | None:
    """Milliseconds, or text such as '30s', '1h30m', '1.5d'; None for anything else.

    >>> parse_duration("1h30m"), parse_duration(250), parse_duration("soon")
    (5400000, 250, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        if not _DURATION.fullmatch(value):
            return None
        value = round(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value)))
    if not isinstance(value, int | float) or not 0 <= value <= _LONGEST or value != value // 1:
        return None
    return DurationMs(int(value))


def parse_moment(text: object) -> EpochMs | None:
    """The moment that an ISO 8601 text names, UTC where it has no zone; None for anything else.

    >>> parse_moment("2026-01-01"), parse_moment("2026-01-01T01:00+01:00"), parse_moment("later")
    (1767225600000, 1767225600000, None)
    """
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
        return from_utc(found if found.tzinfo else found.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


def is_given_name(name: str) -> bool:
    """Whether it is one of i1, i2 …, which instances get in order of creation."""
    return _GIVEN_NAME.fullmatch(name) is not None


def is_id(name: str) -> bool:
    """Whether it looks like the id of an instance, as a run makes them."""
    return _ID.fullmatch(name) is not None


class _BadStepError(Exception):
    pass


class _Reader:
    """Reads one step after the other, and remembers the names that were given."""

    def __init__(self, components: Sequence[Component], now: EpochMs | None) -> None:
        self.catalog = Catalog(components)
        self.now = now
        self.names: set[str] = set()
        self.has_registered = False

    def read(self, value: object) -> Sequence[Action]:
        if not isinstance(value, dict):
            raise _BadStepError(f"{_show(value)} is no step; a step is an object such as {{'send': …, 'event': …}}")
        if "op" in value:
            return self._recorded(value)
        kinds = [kind for kind in _KEYS if kind in value]
        if not kinds:
            found = f"has the keys {', '.join(map(repr, value))}" if value else "is empty"
            raise _BadStepError(f"it {found}; a step has one of {', '.join(_KEYS)}{_meant(value, _KEYS)}")
        if len(kinds) > 1:
            raise _BadStepError(f"it does {' and '.join(kinds)} at once; make a step of each")
        kind = kinds[0]
        for key in value:
            if key not in _KEYS[kind]:
                known = ", ".join(_KEYS[kind])
                raise _BadStepError(f"{kind!r} has no {_show(key)}; it has {known}{_meant([key], _KEYS[kind])}")
        readers: Mapping[str, Callable[[dict[str, object]], Action]] = {
            "create": self._create,
            "send": self._send,
            "broadcast": self._broadcast,
            "advance": lambda step: self._advance(step["advance"], "advance"),
            "at": self._at,
        }
        return [readers[kind](value)]

    def _create(self, step: dict[str, object]) -> Create:
        component, machine = self._machine(step, "create")
        context = _object(step, "context")
        name = step.get("as")
        if name is None:
            return Create(component, machine, context)
        name = _text(step, "as")
        if is_given_name(name) or is_id(name):
            raise _BadStepError(f"'as' is {name!r}; names such as i1, and ids, are given by themselves; choose another")
        if name in self.names:
            raise _BadStepError(f"'as' is {name!r}, the name of an instance before; names must differ")
        self.names.add(name)
        return Create(component, machine, context, name)

    def _send(self, step: dict[str, object]) -> Send:
        to = _text(step, "send")
        self._check_name(to)
        return Send(to, _text(step, "event"), _object(step, "payload"))

    def _check_name(self, name: str) -> None:
        if name in self.names or is_given_name(name) or is_id(name):
            return
        raise _BadStepError(
            f"no step before this one creates {_show(name)}; "
            f"name an instance by 'as', as i1, i2 … in order of creation, or by its id{_meant([name], self.names)}"
        )

    def _broadcast(self, step: dict[str, object]) -> Broadcast:
        component, machine = self._machine(step, "broadcast")
        event, payload = _text(step, "event"), _object(step, "payload")
        state = None if step.get("state") is None else _text(step, "state")
        return Broadcast(component, machine, event, payload, self._state(component, machine, state))

    def _state(self, component: str, machine: str, state: str | None) -> str | None:
        if state is None or state == "*":
            return None
        found = self.catalog.find_machine(component, machine)
        assert found is not None  # _machine has found it
        names = [other.name for other in found.states]
        if state not in names:
            raise _BadStepError(
                f"{machine!r} has no state {_show(state)}; it has {', '.join(names)}{_meant([state], names)}"
            )
        return state

    def _advance(self, value: object, key: str) -> Advance:
        duration = parse_duration(value)
        if duration is None:
            raise _BadStepError(
                f"{key!r} is {_show(value)}; it must be whole milliseconds, 0 or more, or text such as '30s' or '1h30m'"
            )
        if self.now is not None:
            self.now = EpochMs(self.now + duration)
        return Advance(duration)

    def _at(self, step: dict[str, object]) -> At:
        moment = parse_moment(step["at"])
        if moment is None:
            raise _BadStepError(f"'at' is {_show(step['at'])}; it must be a time such as '2026-01-31T08:00:00Z'")
        if self.now is not None:
            if moment < self.now:
                raise _BadStepError(f"'at' is {step['at']!r}, but the clock is further by then; time only goes on")
            self.now = moment
        return At(moment)

    def _machine(self, step: Mapping[str, object], key: str) -> tuple[str, str]:
        name = _text(step, key)
        homes = [component.name for component in self.catalog if component.find_machine(name) is not None]
        if step.get("component") is not None:
            wanted = _text(step, "component")
            component = self.catalog.find_component(wanted)
            known = [other.name for other in self.catalog]
            if component is None:
                raise _BadStepError(
                    f"no component {_show(wanted)} is given; there is {', '.join(known)}{_meant([wanted], known)}"
                )
            homes = [home for home in homes if home == wanted]
            if not homes:
                names = [machine.name for machine in component.machines]
                raise _BadStepError(
                    f"{wanted!r} has no machine {_show(name)}; it has {', '.join(names)}{_meant([name], names)}"
                )
        if len(homes) > 1:
            raise _BadStepError(f"{name!r} is a machine of {' and of '.join(homes)}; say which with 'component'")
        if not homes:
            names = [machine.name for component in self.catalog for machine in component.machines]
            raise _BadStepError(
                f"no component has a machine {_show(name)}; there is {', '.join(names)}{_meant([name], names)}"
            )
        return homes[0], name

    # The steps of recorded runs

    def _recorded(self, step: dict[str, object]) -> Sequence[Action]:
        op = step["op"]
        if op == "create":
            component, machine = self._machine(step, "machine")
            return [Create(component, machine, _object(step, "context"))]
        if op == "send":
            return [self._recorded_send(step)]
        if op == "sendAll":
            sends = step.get("sends")
            if not isinstance(sends, list) or not all(isinstance(one, dict) for one in sends):
                raise _BadStepError(f"'sends' is {_show(sends)}; it must be a list of objects with 'to' and 'event'")
            return [self._recorded_send(one) for one in sends]
        if op == "broadcast":
            component, machine = self._machine(step, "machine")
            state = None if step.get("currentState") is None else _text(step, "currentState")
            return [Broadcast(component, machine, *_event(step), self._state(component, machine, state))]
        if op == "advance":
            return [self._advance(step.get("ms"), "ms")]
        if op == "register":
            if self.has_registered:
                raise _BadStepError("a second 'register'; components are registered once")
            self.has_registered = True
            return [Register()]
        raise _BadStepError(f"'op' is {_show(op)}; known are create, send, sendAll, broadcast, advance, register")

    def _recorded_send(self, step: dict[str, object]) -> Send:
        to = _text(step, "to")
        self._check_name(to)
        return Send(to, *_event(step))


def _event(step: Mapping[str, object]) -> tuple[str, Mapping[str, object]]:
    event = step.get("event")
    if not isinstance(event, dict):
        raise _BadStepError(f"'event' is {_show(event)}; it must be an object with 'type' and 'payload'")
    return _text(event, "type"), _object(event, "payload")


def _text(step: Mapping[str, object], key: str) -> str:
    value = step.get(key)
    if not isinstance(value, str) or not value:
        what = "missing" if value is None else _show(value)
        raise _BadStepError(f"{key!r} is {what}; it must be text")
    return value


def _object(step: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = step.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _BadStepError(f"{key!r} is {_show(value)}; it must be an object")
    return cast("Mapping[str, object]", value)


def _meant(given: Iterable[str], known: Iterable[str]) -> str:
    known = tuple(known)
    for word in given:
        close = difflib.get_close_matches(word, known, n=1)
        if close:
            return f". Did you mean {close[0]!r}?"
    return ""


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}…"
