"""Where a page ended, as opaque text: what every backend hands out and takes back."""

from __future__ import annotations

import base64
import binascii
import json

from xcstore.errors import QueryError
from xcstore.store.base import Cursor

__all__ = ["decode_cursor", "encode_cursor"]

_INT64 = range(-(2**63), 2**63)


def encode_cursor(kind: str, *parts: int | str) -> Cursor:
    """A cursor of this kind. `kind` names the listing and its direction, so that a cursor of another one is refused."""
    text = json.dumps([kind, *parts], separators=(",", ":"))
    return Cursor(base64.urlsafe_b64encode(text.encode()).decode().rstrip("="))


def decode_cursor(cursor: Cursor | str, kind: str, types: tuple[type[int] | type[str], ...]) -> tuple[int | str, ...]:
    """The parts of `cursor`, checked: a cursor comes back through URLs and may be anything.

    Whole numbers fit 64 bits and texts hold no NUL and no lone surrogate: parts can go into a query as they are.

    Raises
    ------
    QueryError
        Not a cursor, or one of another listing or direction.
    """
    refusal = QueryError(f"{cursor!r} is not a page of this list; start again from the first page")
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        decoded = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (AttributeError, TypeError, ValueError, binascii.Error, RecursionError) as error:
        raise refusal from error
    if not isinstance(decoded, list) or len(decoded) != len(types) + 1 or decoded[0] != kind:
        raise refusal
    parts = decoded[1:]
    if not all(_is_part(part, expected) for part, expected in zip(parts, types, strict=True)):
        raise refusal
    return tuple(parts)


def _is_part(part: object, expected: type[int] | type[str]) -> bool:
    if expected is int:
        return type(part) is int and part in _INT64
    return isinstance(part, str) and "\0" not in part and _is_utf8(part)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
