"""What a page shows is in its address, as plain text: names, ids, times. Never a URL of a store, never code.

Anybody can write anything into an address. A value that cannot be right is left out and said so once
(`notices`), never raised.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import Final
from unicodedata import category
from zoneinfo import ZoneInfo

import streamlit as st

from xcstore.units import EpochMs, to_utc
from xcstore.views.events import moment_in

__all__ = [
    "NONE",
    "SHARED",
    "ZONE",
    "announce",
    "components",
    "current",
    "from_text",
    "moment",
    "notice",
    "put",
    "shared",
    "sync",
    "synced",
    "take_notices",
    "text",
    "texts",
    "to_text",
    "zone",
    "zone_name",
]

SHARED: Final = ("store", "tz", "component")
"""Kept from page to page."""

ZONE: Final = "state-zone"
"""Session key of the zone that times are in where the address names none; the shell sets it from the settings."""

NONE: Final = "(none)"
"""How the address and the pickers write the name ''."""

MAX_CHARS: Final = 1_000
MAX_VALUES: Final = 50
_NOTICES: Final = "state-notices"
_ANNOUNCED: Final = "state-announced"


def text(name: str) -> str:
    """The value of `name` in the address; '' where it is absent or cannot be right."""
    values = texts(name)
    return values[0] if values else ""


def texts(name: str) -> tuple[str, ...]:
    """All values of `name` in the address that can be right."""
    given = st.query_params.get_all(name)
    if len(given) > MAX_VALUES:
        notice(f"The address holds {len(given)} values of '{name}'; the first {MAX_VALUES} are used.")
    return tuple(value for value in given[:MAX_VALUES] if value and _is_plain(name, value))


def moment(name: str) -> EpochMs | None:
    """The time in the address under `name`: ISO 8601, or milliseconds since 1970; None where absent or unreadable."""
    value = text(name)
    if not value:
        return None
    found = from_text(value)
    if found is None:
        notice(f"'{name}' in the address is not a time; give ISO 8601 such as 2026-01-31T12:00:00Z. It was ignored.")
    return found


def announce(page: str) -> None:
    """Tell the browser the address: where a link leads to the page that is open, Streamlit leaves the old one there."""
    address = {name: st.query_params.get_all(name) for name in st.query_params}
    last = st.session_state.get(_ANNOUNCED)
    st.session_state[_ANNOUNCED] = (page, address)
    if last is not None and last[0] == page and last[1] != address:
        st.query_params.from_dict(address)


def put(**values: str | Iterable[str] | None) -> None:
    """Write into the address, at once; '', None and empty lists take the name out of it.

    One write is one entry in the browser's history, so that one step back undoes it whole.
    """
    address = {name: st.query_params.get_all(name) for name in st.query_params}
    changed = dict(address)
    for name, value in values.items():
        wanted = [item for item in ([value] if isinstance(value, str) else list(value or ())) if item]
        if wanted:
            changed[name] = wanted
        else:
            changed.pop(name, None)
    if changed != address:
        st.query_params.from_dict(changed)


def components() -> tuple[str, ...]:
    """The components that every page is limited to; () for all. '' finds what names none."""
    return tuple("" if name == NONE else name for name in texts("component"))


def shared() -> dict[str, list[str]]:
    """The part of the address that every link inside the app carries along."""
    return {name: list(values) for name in SHARED if (values := texts(name))}


def current() -> dict[str, list[str]]:
    """Everything the address says, for a link that changes one thing only."""
    return {name: list(values) for name in st.query_params if (values := texts(name))}


def sync(key: str, address: object, value: object) -> None:
    """Before a widget of that `key` is drawn: let the address decide, where it changed or the widget is new.

    `address` is what the address says now, `value` what that is as the widget's value. After the widget is drawn
    call `put`, then `synced`.
    """
    if key not in st.session_state or st.session_state.get(f"{key}@address") != address:
        st.session_state[key] = value


def synced(key: str, address: object) -> None:
    """Remember what the address says for the widget of that `key`, so that a later change of it is noticed."""
    st.session_state[f"{key}@address"] = address


def to_text(value: EpochMs | None) -> str:
    """A time as the address holds it: ISO 8601 in UTC, or digits where no calendar reaches."""
    if value is None:
        return ""
    shown = to_utc(value)
    return str(int(value)) if shown is None else shown.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_text(value: str) -> EpochMs | None:
    """The time that `to_text`, or a person, wrote; None where it is none. Without a zone it is UTC."""
    return moment_in(value.strip(), UTC)


def zone_name() -> str:
    """The chosen time zone: 'UTC', 'local', or an IANA name that this machine knows."""
    default: str = st.session_state.get(ZONE, "UTC")
    name = text("tz")
    if not name or name in ("UTC", "local"):
        return name or default
    if _find_zone(name) is None:
        notice(f"'tz' in the address names no time zone that is known here ({name!r}); times are in {default}.")
        return default
    return name


def zone() -> ZoneInfo:
    """The time zone to show times in."""
    name = zone_name()
    if name == "local":
        name = st.context.timezone or "UTC"
    return _find_zone(name) or ZoneInfo("UTC")


def notice(sentence: str) -> None:
    """Tell the reader, once, above the page."""
    notices: list[str] = st.session_state.setdefault(_NOTICES, [])
    if sentence not in notices:
        notices.append(sentence)


def take_notices() -> Sequence[str]:
    """What `notice` collected since the last call."""
    taken: list[str] = st.session_state.pop(_NOTICES, [])
    return taken


def _is_plain(name: str, value: str) -> bool:
    if len(value) > MAX_CHARS:
        notice(f"'{name}' in the address has {len(value):,} characters; at most {MAX_CHARS} are read. It was ignored.")
        return False
    if any(category(char) in ("Cc", "Cs") for char in value):  # controls, lone surrogates
        notice(f"'{name}' in the address holds characters that cannot be shown. It was ignored.")
        return False
    return True


def _find_zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (LookupError, OSError, ValueError):  # unknown, or a path that leads elsewhere
        return None
