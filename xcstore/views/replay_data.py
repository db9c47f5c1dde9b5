"""A replay as the player in the browser takes it: what stands still, and the window of steps around the cursor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xcstore.render.labels import visible_text
from xcstore.views.replay_steps import MOST_ACTORS

if TYPE_CHECKING:
    from xcstore.render.drawing import Drawing
    from xcstore.views.replay import Scene
    from xcstore.views.replay_strip import Strip

__all__ = ["Drawn", "blocks", "still"]


@dataclass(frozen=True, slots=True)
class Drawn:
    """One machine to show, by its number in the scene; `why` there is no picture."""

    machine: int
    drawing: Drawing | None = field(hash=False)
    why: str = ""
    aliases: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Arrows that are not drawn themselves, and which one stands for them."""


def still(scene: Scene, drawn: Sequence[Drawn], strip: Strip, *, total: int, label: str) -> dict[str, object]:
    """What does not change from step to step."""
    return {
        "total": total,
        "label": visible_text(label, 200),
        "casts": [
            {
                "name": visible_text(cast.machine, 80) or "(none)",
                "component": visible_text(cast.component, 80),
                "accent": cast.accent,
            }
            for cast in scene.machines
        ],
        "machines": [_machine(scene, item) for item in drawn],
        "instances": [[actor.cast, actor.letter, actor.name] for actor in scene.instances[:MOST_ACTORS]],
        "strip": _strip(strip),
    }


def blocks(position: int, total: int, size: int) -> tuple[int, int, int]:
    """The block that `position` is in, and the positions from and before which steps are held around it."""
    block = position // size
    return block, max(0, (block - 1) * size), min(total + 1, (block + 2) * size)


def _machine(scene: Scene, item: Drawn) -> Mapping[str, object]:
    cast = scene.machines[item.machine]
    drawing = item.drawing
    return {
        "n": item.machine,
        "name": visible_text(cast.machine, 80) or "(none)",
        "component": visible_text(cast.component, 80),
        "accent": cast.accent,
        "instances": cast.instances,
        "pictures": [] if drawing is None else [drawing.svg, *drawing.alternatives],
        "ids": {} if drawing is None else dict(drawing.ids),
        "aliases": dict(item.aliases),
        "why": item.why,
    }


def _strip(strip: Strip) -> Mapping[str, object]:
    return {
        "lanes": [
            [lane.instance, [[band.start, band.stop, visible_text(band.state, 60), band.kind] for band in lane.bands]]
            for lane in strip.lanes
        ],
        "owners": list(strip.owners),
        "marks": [list(mark) for mark in strip.marks],
        "ticks": [list(tick) for tick in strip.ticks],
        "gaps": [list(gap) for gap in strip.gaps],
        "note": strip.note,
    }
