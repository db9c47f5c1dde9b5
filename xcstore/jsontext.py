"""JSON text, exactly: no number is rounded, no value is lost, nothing is nested too deeply to survive.

orjson does the work wherever it is exact; the standard library takes what orjson cannot hold: integers beyond
64 bits, half surrogate pairs, NaN.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Final

import orjson

__all__ = ["NestingError", "canonical_json", "has_long_number", "json_text", "parse_json"]

# Dates come out as Python spells them in both encoders.
_OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
# Every digit to 0, all else to a space: many times faster than a regular expression.
_DIGITS: Final = bytes(ord("0") if chr(code).isdecimal() and code < 128 else ord(" ") for code in range(256))
_LONG: Final = b"0" * 19


class NestingError(ValueError):
    """The value is nested more deeply than can be read or written."""


def json_text(value: object) -> str:
    """Compact JSON, keys in given order. NaN and infinities become null, as in JavaScript; dates and a driver's own
    kinds of value become text.

    Raises
    ------
    NestingError
        Nested more than about a thousand levels.
    """
    try:
        return orjson.dumps(value, _as_json, _OPTIONS).decode()
    except TypeError:  # orjson.JSONEncodeError
        return _plain_text(value, sort_keys=False)


def canonical_json(value: object) -> str:
    """Compact JSON with sorted keys: equal values give equal text, for hashes and digests. Errors as `json_text`."""
    try:
        return orjson.dumps(value, _as_json, _OPTIONS | orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        return _plain_text(value, sort_keys=True)


def parse_json(text: str | bytes) -> object:
    """The value of a JSON text; big integers stay exact, NaN and half surrogate pairs are let through.

    Raises
    ------
    NestingError
        Nested more than about a thousand levels.
    ValueError
        Not JSON (`json.JSONDecodeError`).
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if not has_long_number(raw):
        try:
            return orjson.loads(raw)
        except ValueError:
            pass
    try:
        return json.loads(raw.decode("utf-8", "surrogatepass"))
    except RecursionError:
        raise NestingError("nested more than about a thousand levels") from None


def has_long_number(text: bytes) -> bool:
    """Whether there may be a number in it that 64 bits do not hold, which orjson would round."""
    return _LONG in text.translate(_DIGITS)


def _as_json(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    return value.isoformat() if isinstance(value, date) else str(value)


def _plain_text(value: object, *, sort_keys: bool) -> str:
    def dump(value: object, *, ensure_ascii: bool = False) -> str:
        return json.dumps(
            value,
            sort_keys=sort_keys,
            separators=(",", ":"),
            ensure_ascii=ensure_ascii,
            allow_nan=False,
            default=_as_json,
        )

    try:
        try:
            text = dump(value)
        except ValueError:
            value = json.loads(json.dumps(value, default=_as_json), parse_constant=lambda _: None)
            text = dump(value)
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:  # half a surrogate pair has a form in JSON only as an escape
                text = dump(value, ensure_ascii=True)
    except RecursionError:
        raise NestingError("nested more than about a thousand levels") from None
    return text
