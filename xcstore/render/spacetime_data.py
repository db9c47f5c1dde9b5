"""A space-time diagram as the browser gets it: columns of numbers, and each text once.

    browser_data(picture, layout) -> dict      what `ui/components/spacetime/spacetime.js` reads
    stamp(picture)                             tells one picture from another, so that a late click is not misread

Ids of events stay here: the browser names a mark by its number.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from xcstore.render.labels import moment_text, visible_text
from xcstore.render.spacetime import ARROW_KINDS, MARK_WORDS, SpaceTime, legend_kinds, mark_lines, via_text
from xcstore.render.spacetime_layout import Layout
from xcstore.render.theme import ACCENTS, EDGE_KINDS

__all__ = ["browser_data", "stamp"]

LABEL: Final = 80
LINE: Final = 300
_MARKS: Final = tuple(MARK_WORDS)


class _Texts:
    """Each text once; a text is named by its number."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self._numbers: dict[tuple[str, int], int] = {}

    def number(self, text: str, limit: int = LINE) -> int:
        found = self._numbers.get((text, limit))
        if found is None:
            found = self._numbers[text, limit] = len(self.shown)
            self.shown.append(visible_text(text, limit))
        return found


def stamp(picture: SpaceTime) -> str:
    """The same for the same marks in the same lanes."""
    digest = blake2b(digest_size=8)
    for lane in picture.lanes:
        digest.update(lane.id.encode("utf-8", "surrogatepass") + b"\0")
    for mark in picture.marks:
        digest.update(mark.id.encode("utf-8", "surrogatepass") + b"\0%d\0" % mark.count)
    return digest.hexdigest()


def browser_data(picture: SpaceTime, layout: Layout) -> dict[str, object]:
    """Everything that is drawn, with control and direction characters made visible and long text cut."""
    texts = _Texts()
    marks = picture.marks
    lines = [mark_lines(mark, picture.zone) for mark in marks]
    instances: dict[str, int] = {}
    kinds, edges = legend_kinds(picture)
    data: dict[str, object] = {
        "stamp": stamp(picture),
        "order": picture.order,
        "zone": visible_text(picture.zone, 40),
        "height": layout.height,
        "lanes": [
            [
                lane.id,
                visible_text(lane.label, LABEL),
                visible_text(lane.sublabel, LABEL),
                None if lane.accent is None else lane.accent % len(ACCENTS),
                lane.count,
            ]
            for lane in picture.lanes
        ],
        "hidden": [lane.id for lane in picture.hidden],
        "marks": {
            "lane": [mark.lane for mark in marks],
            "y": list(layout.y),
            "aside": list(layout.asides),
            "kind": [_MARKS.index(mark.kind) for mark in marks],
            "label": [texts.number(mark.label or "(no type)", LABEL) for mark in marks],
            "states": [texts.number(mark.states, LABEL) for mark in marks],
            "instance": [instances.setdefault(mark.instance_id, len(instances)) for mark in marks],
            "at": [texts.number(moment_text(mark.at_ms, picture.zone, millis=True)) for mark in marks],
            "count": [mark.count for mark in marks],
            "lines": [[texts.number(line) for line in told] for told in lines],
        },
        "root": next((number for number, mark in enumerate(marks) if mark.root), -1),
        "steps": list(layout.steps),
        "arrows": {
            "source": [arrow.source for arrow in picture.arrows],
            "target": [arrow.target for arrow in picture.arrows],
            "kind": [ARROW_KINDS.index(arrow.kind) for arrow in picture.arrows],
            "via": [arrow.via for arrow in picture.arrows],
            "shift": list(layout.shifts),
            "bow": list(layout.bows),
            "lines": [[texts.number(line) for line in arrow.tooltip] for arrow in picture.arrows],
        },
        "looks": [
            [kind, EDGE_KINDS[kind].colour, [int(part) for part in EDGE_KINDS[kind].dash.split()]]
            for kind in ARROW_KINDS
        ],
        "via": {str(number): via_text(number) for number in {arrow.via for arrow in picture.arrows if arrow.via}},
        "breaks": [[gap.top, gap.bottom, gap.label] for gap in layout.breaks],
        "texts": texts.shown,
        "legend": [
            *(["mark", kind, MARK_WORDS[kind]] for kind in kinds),
            *(["arrow", kind, EDGE_KINDS[kind].word] for kind in edges),
            *([["missing", "", "cause not in this store"]] if any(a.source < 0 for a in picture.arrows) else []),
            *([["idle", "", "idle time, cut"]] if layout.breaks else []),
        ],
    }
    # The marks may stay and their links change, as with the mode or the zone: then it is to be drawn anew.
    return {**data, "version": blake2b(repr(data).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()}
