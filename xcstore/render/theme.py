"""The one table of colour, shape, mark and word: the same thing looks the same on every page.

    STATE_KINDS[kind]      a state's type: entry, regular, final, error, unknown (seen, but in no definition), event
    STATUSES[status]       an instance: active, completed, error, unknown, stuck
    PROVENANCES[name]      a causal link: recorded, inferred, followed, doubtful
    SPENT[kind]            what time on a critical path was spent on: working, timer, event, unknown
    EDGE_KINDS[kind]       a transition or link on a diagram: its word and its dash pattern
    accents(names)         {name: number of its colour in ACCENTS}, for components
    css()                  the same as CSS custom properties and classes, light and dark
    find_look(table, key)  the row, or the row of 'unknown' for a key that is not in the table

A `Look` has `word` and `mark` for text (`look.text` is both), `light` and `dark` colours, and `badge`, the colour's
name in Streamlit's own palette. Colours are Okabe and Ito's set for colour-blind readers, darkened for a light
ground and lightened for a dark one until both pass 4.5 : 1 as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

__all__ = [
    "ACCENTS",
    "EDGE_KINDS",
    "PROVENANCES",
    "SPENT",
    "STATE_KINDS",
    "STATUSES",
    "EdgeKind",
    "EdgeLook",
    "Look",
    "StateKind",
    "accents",
    "css",
    "find_look",
]

StateKind = Literal["entry", "regular", "final", "error", "unknown", "event"]
EdgeKind = Literal[
    "declared",
    "observed",
    "undeclared",
    "timeout",
    "auto",
    "internal",
    "triggerable",
    "inter_machine",
    "cross_component",
    "recorded",
    "inferred",
    "followed",
    "doubtful",
]


@dataclass(frozen=True, slots=True)
class Look:
    """How one thing looks and what it is called."""

    word: str
    mark: str
    light: str
    dark: str
    badge: str

    @property
    def text(self) -> str:
        """Mark and word, for tables: '✓ completed'."""
        return f"{self.mark} {self.word}"


@dataclass(frozen=True, slots=True)
class EdgeLook:
    """A line: its word, the table row that gives its colour, and its dashes ('' is solid)."""

    word: str
    colour: str
    dash: str = ""


_BLUE: Final = ("#0069A6", "#62B9EC", "blue")
_GREEN: Final = ("#00735A", "#35C9A0", "green")
_VERMILION: Final = ("#B34700", "#FF9556", "red")
_AMBER: Final = ("#8F6000", "#EBB04A", "orange")
_PURPLE: Final = ("#8E4585", "#E3A0D6", "violet")
_SLATE: Final = ("#4A6078", "#A3B8CE", "gray")
_CYAN: Final = ("#0F7285", "#6FD3E3", "blue")
_INDIGO: Final = ("#4A4FA8", "#AEB2FA", "violet")
_OLIVE: Final = ("#686400", "#D9D060", "yellow")

STATE_KINDS: Final[Mapping[str, Look]] = {
    "entry": Look("entry", "●", *_BLUE),
    "regular": Look("regular", "○", *_SLATE),
    "final": Look("final", "◎", *_GREEN),
    "error": Look("error", "✕", *_VERMILION),
    "unknown": Look("not declared", "?", *_PURPLE),
    "event": Look("event", "◆", *_SLATE),
}

STATUSES: Final[Mapping[str, Look]] = {
    "active": Look("active", "▶", *_BLUE),
    "completed": Look("completed", "✓", *_GREEN),
    "error": Look("error", "✕", *_VERMILION),
    "stuck": Look("stuck", "■", *_AMBER),
    "unknown": Look("unknown", "?", *_SLATE),
}

PROVENANCES: Final[Mapping[str, Look]] = {
    "recorded": Look("recorded", "—", *_SLATE),
    "inferred": Look("inferred", "┄", *_PURPLE),
    "followed": Look("followed", "⋯", *_SLATE),
    "doubtful": Look("doubtful", "⚠", *_VERMILION),
    "unknown": Look("unknown", "?", *_SLATE),
}

SPENT: Final[Mapping[str, Look]] = {
    "working": Look("working", "▶", *_BLUE),
    "timer": Look("waiting for a timer", "◷", *_AMBER),
    "event": Look("waiting for an event", "◌", *_SLATE),
    "unknown": Look("not known", "?", *_PURPLE),
}

EDGE_KINDS: Final[Mapping[str, EdgeLook]] = {
    "declared": EdgeLook("declared", "slate"),
    "observed": EdgeLook("observed", "slate"),
    "undeclared": EdgeLook("observed, not declared", "purple", "5 3"),
    "timeout": EdgeLook("timeout", "amber", "7 3"),
    "auto": EdgeLook("automatic", "cyan", "2 3"),
    "internal": EdgeLook("internal", "slate", "1 3"),
    "triggerable": EdgeLook("triggerable", "slate"),
    "inter_machine": EdgeLook("to another machine", "indigo", "12 4"),
    "cross_component": EdgeLook("to another component", "indigo", "9 3 2 3 2 3"),
    "recorded": EdgeLook("recorded cause", "slate"),
    "inferred": EdgeLook("inferred cause", "purple", "6 4"),
    "followed": EdgeLook("followed in its instance", "slate", "1 4"),
    "doubtful": EdgeLook("doubtful cause", "vermilion", "2 4"),
}

ACCENTS: Final = (
    Look("accent 1", "◆", *_BLUE),
    Look("accent 2", "●", *_AMBER),
    Look("accent 3", "▲", *_GREEN),
    Look("accent 4", "■", *_PURPLE),
    Look("accent 5", "▼", *_CYAN),
    Look("accent 6", "★", *_VERMILION),
    Look("accent 7", "◐", *_INDIGO),
    Look("accent 8", "◇", *_OLIVE),
)

_HUES: Final = {
    "blue": _BLUE,
    "green": _GREEN,
    "vermilion": _VERMILION,
    "amber": _AMBER,
    "purple": _PURPLE,
    "slate": _SLATE,
    "cyan": _CYAN,
    "indigo": _INDIGO,
    "olive": _OLIVE,
}


def find_look(table: Mapping[str, Look], key: str | None) -> Look:
    """The row of `key`, or that of 'unknown': stored text may hold any status."""
    return table.get(key or "unknown") or table["unknown"]


def accents(names: Iterable[str], every: Iterable[str] = ()) -> dict[str, int]:
    """A colour number for each name. `every` are all that the store knows: given these, every page gives the same.

    Numbers count on past the eight colours; `ACCENTS[number % 8]` is the colour. The empty name comes last, so that
    events without a component take no colour away from the others.
    """
    return {name: n for n, name in enumerate(sorted({*names, *every}, key=lambda name: (not name, name)))}


def css() -> str:
    """Custom properties and classes under `.canvas`, light by default, dark where `data-mode="dark"`.

    A class sets `--hue`; what is drawn takes its fill and stroke from that.
    """
    light = "".join(f"--{name}:{hue[0]};" for name, hue in _HUES.items())
    dark = "".join(f"--{name}:{hue[1]};" for name, hue in _HUES.items())
    names = {hue[0]: name for name, hue in _HUES.items()}
    lines = [f".canvas{{{light}}}", f'.canvas[data-mode="dark"]{{{dark}}}']
    lines += [f".state-{kind}{{--hue:var(--{names[look.light]})}}" for kind, look in STATE_KINDS.items()]
    lines += [f".status-{name}{{--hue:var(--{names[look.light]})}}" for name, look in STATUSES.items()]
    lines += [f".accent-{number}{{--accent:var(--{names[look.light]})}}" for number, look in enumerate(ACCENTS)]
    for kind, edge in EDGE_KINDS.items():
        dash = f";--dash:{edge.dash}" if edge.dash else ""
        lines.append(f".edge-{kind}{{--hue:var(--{edge.colour}){dash}}}")
    return "\n".join(lines) + "\n"
