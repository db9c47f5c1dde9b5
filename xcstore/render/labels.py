"""Stored values as text for people: ids, durations, moments, counts, and text that may be hostile.

short_id(id)                              'c0ff…e4201'
duration_text(ms)                         '2 d 4 h', '3 min 20 s', '1.25 s', '350 ms'
moment_text(ms, zone, *, millis=False)    '2026-03-01 14:05:09'; out of range: 'epoch ms 9999…'
ago_text(ms, now_ms)                      '3 h ago', 'in 5 min'
count_text(n, noun=None, plural=None)     '12,345', '1 event', '12,345 events'
compact_count(n)                          '987', '12.3k', '4.1M'
visible_text(s, limit=None)               no control, bidi or zero-width character hides; cut with '…'
markdown_escape(s)                        the text itself where Streamlit renders markdown
wrap_text(s, width, lines)                at most `lines` lines for a box
text_width(s, size)                       about how wide it is drawn, in px
clean_zone(name)                          a ZoneInfo, or UTC where the name is unknown
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from xcstore.units import DAY, HOUR, MINUTE, SECOND, EpochMs, to_utc

__all__ = [
    "ago_text",
    "clean_zone",
    "compact_count",
    "count_text",
    "duration_text",
    "markdown_escape",
    "moment_text",
    "short_id",
    "text_width",
    "visible_text",
    "wrap_text",
]

SHORT_ID: Final = (4, 5)
ELLIPSIS: Final = "…"


def short_id(full: str) -> str:
    """Both ends, made visible: the one way an id is shortened.

    The beginning alone would not do: ids that are ordered by time share it with their neighbours.
    """
    head, tail = SHORT_ID
    return visible_text(full if len(full) <= head + tail + 1 else f"{full[:head]}{ELLIPSIS}{full[-tail:]}")


def duration_text(ms: int | float | None) -> str:
    """A length of time in at most two units; '–' for None."""
    if ms is None or ms != ms:  # NaN, from a frame
        return "–"
    if ms < 0:
        return f"−{duration_text(-ms)}"
    if ms < SECOND:
        return f"{round(ms)} ms"
    if ms < MINUTE:
        return f"{_trimmed(ms / SECOND)} s"
    ms = round(ms / SECOND) * SECOND
    for unit, name, part, part_name in (
        (DAY, "d", HOUR, "h"),
        (HOUR, "h", MINUTE, "min"),
        (MINUTE, "min", SECOND, "s"),
    ):
        if ms >= unit:
            whole, rest = divmod(ms, unit)
            fraction = int(rest // part)
            return f"{int(whole):,} {name} {fraction} {part_name}" if fraction else f"{int(whole):,} {name}"
    return f"{_trimmed(ms / SECOND)} s"


def _trimmed(value: float) -> str:
    text = f"{value:.2f}" if value < 10 else f"{value:.1f}"
    return text.rstrip("0").rstrip(".")


def clean_zone(name: str | tzinfo) -> tzinfo:
    """The time zone of that name; UTC where there is none, as the name may come from a URL."""
    if isinstance(name, tzinfo):
        return name
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


def moment_text(ms: int | None, zone: str | tzinfo = "UTC", *, millis: bool = False) -> str:
    """A moment in `zone`; '–' for None, 'epoch ms N' where no calendar reaches."""
    if ms is None:
        return "–"
    moment = to_utc(EpochMs(ms))
    if moment is not None:
        try:
            local = moment.astimezone(clean_zone(zone))
        except OverflowError:  # year 1 or 9999, shifted over the edge
            pass
        else:
            text = local.strftime("%m-%d %H:%M:%S")
            return f"{local.year:04}-{text}" + (f".{local.microsecond // 1000:03}" if millis else "")
    return f"epoch ms {ms}"


def ago_text(ms: int | None, now_ms: int) -> str:
    """How long before (or after) `now_ms`, in one unit."""
    if ms is None:
        return "–"
    distance = abs(now_ms - ms)
    if distance < SECOND:
        return "now"
    unit, name = next(
        ((unit, name) for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")) if distance >= unit), (SECOND, "s")
    )
    text = f"{distance // unit:,} {name}"
    return f"{text} ago" if ms < now_ms else f"in {text}"


def count_text(n: int, noun: str | None = None, plural: str | None = None) -> str:
    """A number with thousands apart, and the noun in the right form."""
    if noun is None:
        return f"{n:,}"
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def compact_count(n: int) -> str:
    """A number in at most five characters, for pictures; the exact one belongs in the tooltip."""
    for size, name in ((1_000_000_000, "G"), (1_000_000, "M"), (10_000, "k")):
        if n >= size:
            scaled = n / (1_000 if name == "k" else size)
            return f"{scaled:.1f}{name}" if scaled < 100 else f"{scaled:.0f}{name}"
    return f"{n:,}"


def visible_text(text: object, limit: int | None = None) -> str:
    """`text` with nothing hidden in it, at most `limit` characters.

    Line ends and tabs become ↵ and ⇥, other control characters their pictures (␀); characters that steer
    direction, have no width or cannot be written as UTF-8 become their number (⟨U+202E⟩): what is stored is
    what one sees.
    """
    raw = str(text)
    cut = limit is not None and len(raw) > limit
    if cut and limit is not None:
        raw = raw[: max(limit - 1, 0)]
    if not raw.isprintable():  # most text is; this also leaves the plain space alone
        raw = "".join(_visible(character) for character in raw)
    return raw + ELLIPSIS if cut else raw


def _visible(character: str) -> str:
    code = ord(character)
    if character in "\n\t":
        return "↵" if character == "\n" else "⇥"
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    category = unicodedata.category(character)
    if category == "Zs":
        return " "
    if category in ("Cc", "Cf", "Cs", "Zl", "Zp") or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:
        return f"⟨U+{code:04X}⟩"
    return character


_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:<>&=^\"'])")
# Links without brackets, e-mail addresses and :shortcodes: are found in the text after backslashes are gone, so a
# backslash does not stop them; a word joiner (no width, no break) does.
_AUTOLINK: Final = re.compile(r"(?<=:)(?=\S)|(?<=www)(?=\.)|(?<=@)", re.IGNORECASE)
_JOINER: Final = "\u2060"


def markdown_escape(text: object, limit: int | None = None) -> str:
    """`text` so that Streamlit's markdown shows it as it is: no link, image, colour, emoji or formula."""
    joined = _AUTOLINK.sub(_JOINER, visible_text(text, limit))
    return _MARKDOWN.sub(r"\\\1", joined)


_BREAK: Final = re.compile(r"(?<=[\s_\-./:])(?=\S)|(?<=[a-z0-9])(?=[A-Z])")


def wrap_text(text: str, width: int, lines: int = 2) -> tuple[str, ...]:
    """`text` in at most `lines` lines of `width` characters, broken at words, humps, '_', '-' or '.'.

    What does not fit ends in '…'. Always at least one line.
    """
    rest = visible_text(text, width * lines * 4).strip() or " "
    out: list[str] = []
    while rest and len(out) < lines:
        if len(rest) <= width:
            out.append(rest)
            return tuple(out)
        if len(out) == lines - 1:
            break
        breaks = [match.start() for match in _BREAK.finditer(rest, 0, width + 1) if match.start() > 0]
        at = breaks[-1] if breaks and breaks[-1] >= width // 3 else width
        out.append(rest[:at].rstrip())
        rest = rest[at:].lstrip()
    out.append(rest[: width - 1].rstrip() + ELLIPSIS)
    return tuple(out)


_NARROW: Final = frozenset("ijl.,:;|!'`()[]{}/\\ftI \"")
_BROAD: Final = frozenset("mwMW@%…—")


def text_width(text: str, size: float) -> float:
    """About how many px `text` takes in a sans-serif font of `size` px; errs on the wide side."""
    total = 0.0
    for character in text:
        if character in _NARROW:
            total += 0.33
        elif character in _BROAD:
            total += 0.9
        elif character.isascii():
            total += 0.66 if character.isupper() else 0.56
        elif unicodedata.east_asian_width(character) in "WF":
            total += 1.05
        elif not unicodedata.combining(character):
            total += 0.7
    return total * size
