"""What a request may carry: one row for each parameter, which reads it and describes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

from xcstore.units import EpochMs, from_utc

__all__ = ["MAX_VALUES", "Parameter", "ParameterError", "choice", "cursor", "moment", "names", "number", "read", "text"]

JsonSchema = Mapping[str, object]

MAX_VALUES: Final = 100
"""Most values of one parameter that may be repeated."""
_MAX_FIELDS: Final = 1_000
_SHOWN: Final = 100
_MAX_MS: Final = 2**63 - 1


class ParameterError(ValueError):
    """A parameter cannot be used; the message says which, and what would be right."""


class Parameter(NamedTuple):
    """One parameter of a path or a query."""

    name: str
    meaning: str
    schema: JsonSchema
    read: Callable[[str], object]
    """From text; `ParameterError` with what would be right."""
    place: Literal["path", "query"] = "query"
    default: object = None
    many: bool = False
    """May be given several times; read as a tuple."""
    example: object = None


@dataclass(frozen=True, slots=True)
class _Number:
    least: int
    most: int

    def __call__(self, given: str) -> int:
        digits = given.removeprefix("-")
        if digits.isascii() and digits.isdecimal() and len(digits) < 20 and self.least <= int(given) <= self.most:
            return int(given)
        raise ParameterError(f"a whole number from {self.least} to {self.most}")


@dataclass(frozen=True, slots=True)
class _Choice:
    values: Sequence[str]

    def __call__(self, given: str) -> str:
        if given in self.values:
            return given
        raise ParameterError(f"one of {', '.join(self.values)}")


def text(name: str, meaning: str, *, place: Literal["path", "query"] = "query", example: object = None) -> Parameter:
    """Any text; '' where a query does not give it."""
    return Parameter(name, meaning, {"type": "string"}, str, place, "", example=example)


def names(name: str, meaning: str, example: object = None) -> Parameter:
    """Any of the names given; none given: no condition."""
    return texts(name, f"{meaning} May be given several times: any of them.", example)


def texts(name: str, meaning: str, example: object = None) -> Parameter:
    """Texts, in the order given."""
    schema = {"type": "array", "items": {"type": "string"}, "maxItems": MAX_VALUES}
    return Parameter(name, meaning, schema, str, default=(), many=True, example=example)


def number(name: str, meaning: str, *, default: int | None, most: int, least: int = 1) -> Parameter:
    """A whole number; `default` where it is not given."""
    schema: dict[str, object] = {"type": "integer", "minimum": least, "maximum": most}
    if default is not None:
        schema["default"] = default
    return Parameter(name, meaning, schema, _Number(least, most), default=default)


def choice(name: str, meaning: str, values: Sequence[str], default: str | None) -> Parameter:
    """One of these words."""
    schema: dict[str, object] = {"type": "string", "enum": list(values)}
    if default is not None:
        schema["default"] = default
    return Parameter(name, meaning, schema, _Choice(values), default=default)


def moment(name: str, meaning: str) -> Parameter:
    """A time, as `EpochMs`."""
    schema = {
        "anyOf": [
            {"type": "integer", "minimum": -_MAX_MS, "maximum": _MAX_MS},
            {"type": "string", "format": "date-time"},
        ]
    }
    meaning = f"{meaning} Milliseconds since 1970, or ISO 8601 (UTC where it names no zone)."
    return Parameter(name, meaning, schema, _moment, example="2026-01-31T12:00:00Z")


def cursor() -> Parameter:
    """Where the page before this one ended; None where a query does not give it."""
    return text("after", "`next` of the page before this one, with the same conditions.")._replace(default=None)


def _moment(given: str) -> EpochMs:
    digits = given.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and len(digits) < 20 and abs(int(given)) <= _MAX_MS:
        return EpochMs(int(given))
    try:
        # In a query `+` stands for a space, which who writes a zone by hand rarely knows.
        found = datetime.fromisoformat(given[:11] + given[11:].replace(" ", "+"))
        return from_utc(found if found.tzinfo else found.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise ParameterError("milliseconds since 1970, or ISO 8601 such as 2026-01-31T12:00:00Z") from None


def read(parameters: Iterable[Parameter], path: Mapping[str, str], query: bytes) -> Mapping[str, object]:
    """The values of all `parameters`, defaults where they are not given.

    Parameters
    ----------
    path : mapping
        What the parts of the path hold, percent-encoded.
    query : bytes
        As it was sent.

    Raises
    ------
    ParameterError
        A value that is not of its kind, a name that this route does not know, one that was given twice, or bytes that
        are no text.
    """
    known = {parameter.name: parameter for parameter in parameters}
    found: dict[str, list[object]] = {}
    for name, given in _given(path, query):
        parameter = known.get(name)
        if parameter is None or (parameter.place == "path") != (name in path):
            queried = [row.name for row in known.values() if row.place == "query"]
            right = f"there are {', '.join(queried)}" if queried else "there is none"
            raise ParameterError(f"this has no parameter {name[:_SHOWN]!r}; {right}")
        held = found.setdefault(name, [])
        if len(held) >= (MAX_VALUES if parameter.many else 1):
            raise ParameterError(f"{name} is given more than {'once' if not parameter.many else f'{MAX_VALUES} times'}")
        try:
            held.append(parameter.read(given))
        except ParameterError as right:
            raise ParameterError(f"{name} is {given[:_SHOWN]!r}; it must be {right}") from None
    return {
        name: (tuple(found[name]) if parameter.many else found[name][0]) if name in found else parameter.default
        for name, parameter in known.items()
    }


def _given(path: Mapping[str, str], query: bytes) -> Iterable[tuple[str, str]]:
    try:
        # Half a surrogate pair is let through: ids that hold one are stored, odd as they are.
        yield from [(name, unquote_to_bytes(value).decode("utf-8", "surrogatepass")) for name, value in path.items()]
        yield from parse_qsl(
            query.decode("latin-1"),
            keep_blank_values=True,
            errors="surrogatepass",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:  # UnicodeDecodeError is one
        raise ParameterError(
            f"the address must be UTF-8, percent-encoded, with at most {_MAX_FIELDS} parameters"
        ) from None
