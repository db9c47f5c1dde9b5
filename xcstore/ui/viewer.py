"""Pictures on a page: a diagram or timeline that one can pan, zoom, hover, click and walk by keyboard.

    diagram(diagram, *, key, label, selected=None, height=None, time_limit_s=5.0) -> str | None
        lays out, caches, shows; says why when it cannot be drawn. Gives the own id that was clicked in this run.
    show(drawing, *, key, label, selected=None, height=None) -> str | None
        the same for a `Drawing` that is there already, such as `render.timeline.draw_timeline(...)`.
    svg_viewer(svg, *, key, label, ids, height=None, selected=None, legend=(), fit='contain', ...)
        the component itself: any SVG, `ids` maps element ids in it to own ids.

`height` is the most it may take, in px. `label` is the picture's accessible name. Put a table beside every picture.
The click is a trigger: it holds for one run of the script, so write what follows from it (`st.query_params`,
`st.session_state`) at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import streamlit as st

from xcstore.render import theme
from xcstore.render.diagram import LAYOUT_LIMIT, Diagram, LegendItem, node_count
from xcstore.render.dot import to_dot
from xcstore.render.drawing import Drawing
from xcstore.render.labels import count_text, visible_text
from xcstore.ui.layout import TIME_LIMIT_S, draw_diagram

__all__ = ["diagram", "show", "svg_viewer"]

Fit = Literal["contain", "width"]

_HERE: Final = Path(__file__).parent / "components"

_COMPONENT: Final = st.components.v2.component(
    "xcstore_viewer",
    html='<div class="root"></div>',
    css=theme.css()
    + "".join((_HERE / name).read_text(encoding="utf-8") for name in ("diagram.css", "viewer/viewer.css")),
    js="".join(
        (_HERE / name).read_text(encoding="utf-8") for name in ("elements.js", "sanitise.js", "viewer/viewer.js")
    ),
)


def svg_viewer(
    svg: str,
    *,
    key: str,
    label: str,
    ids: Mapping[str, str],
    height: int | None = None,
    selected: str | None = None,
    legend: Sequence[LegendItem] = (),
    fit: Fit = "contain",
    name: str = "picture",
    alternatives: Sequence[str] = (),
) -> str | None:
    """Show `svg`; the own id that was clicked just now, else None.

    Parameters
    ----------
    ids : mapping
        Id of an SVG element -> own id. Only these elements can be clicked and reached by keyboard.
    height : int, optional
        The most it may take in px, legend and tools included (680); less where the picture needs less.
    selected : str, optional
        Own id to highlight.
    fit : {'contain', 'width'}
        The whole picture in view, or its width (timelines).
    name : str
        File name, without ending, of downloads.
    alternatives : sequence of str
        The picture in narrower shapes; the first that can be read in the width there is gets shown.
    """
    result = _COMPONENT(
        key=key,
        data={
            "pictures": [svg, *alternatives],
            "ids": dict(ids),
            "selected": selected,
            "label": visible_text(label, 200),
            "fit": fit,
            "name": name,
            "height": height,
            "legend": [[item.shape, item.name, visible_text(item.word, 100)] for item in legend],
        },
        on_clicked_change=_ignore,
    )
    clicked = result.clicked
    # What the browser sends is checked: it may be a click on a picture that is no longer shown.
    return clicked if isinstance(clicked, str) and clicked in set(ids.values()) else None


def _ignore() -> None:
    """Streamlit gives a result the attribute `clicked` only where a callback is named."""


def show(
    drawing: Drawing,
    *,
    key: str,
    label: str,
    selected: str | None = None,
    height: int | None = None,
    fit: Fit = "contain",
    name: str = "picture",
) -> str | None:
    """Show a finished drawing, as high as it needs to be and at most `height` px (680)."""
    return svg_viewer(
        drawing.svg,
        key=key,
        label=label,
        ids=drawing.ids,
        height=height,
        selected=selected,
        legend=drawing.legend,
        fit=fit,
        name=name,
        alternatives=drawing.alternatives,
    )


def diagram(
    diagram: Diagram,
    *,
    key: str,
    label: str,
    selected: str | None = None,
    height: int | None = None,
    time_limit_s: float = TIME_LIMIT_S,
    dot: bool = False,
) -> str | None:
    """Lay out and show `diagram`; where that cannot be, say so (the table beside it has all of it).

    With `dot`, its DOT text can be downloaded, also where it is too large to be drawn here.
    """
    clicked = _laid_out(diagram, key, label, selected, height, time_limit_s)
    if dot and diagram.nodes:
        st.download_button(
            "Download DOT",
            data=lambda: to_dot(diagram).encode("utf-8", "replace"),
            file_name=f"{key}.dot",
            mime="text/vnd.graphviz",
            key=f"{key}-DOT",
            on_click="ignore",
            type="tertiary",
        )
    return clicked


def _laid_out(
    diagram: Diagram, key: str, label: str, selected: str | None, height: int | None, time_limit_s: float
) -> str | None:
    nodes = node_count(diagram)
    if not nodes:
        st.info("Nothing to draw: no states were found.")
        return None
    if nodes > LAYOUT_LIMIT:
        st.info(
            f"Not drawn: {count_text(nodes, 'node')}, and pictures stay legible up to {LAYOUT_LIMIT}. See the table."
        )
        return None
    drawing = draw_diagram(diagram, time_limit_s=time_limit_s)
    if drawing is None:
        st.warning(f"Not drawn: the layout took longer than {time_limit_s:g} s. See the table.")
        return None
    return show(drawing, key=key, label=label, selected=selected, height=height, name=diagram.name)
