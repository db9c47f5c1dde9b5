"""The space-time diagram on a page: a canvas that one can pan, zoom, hover, click and walk by keyboard.

    panel(found, *, key, label, zone, ...) -> str | None
        builds and shows the picture of a neighbourhood; hidden lanes are kept in the address as 'hide'. Gives the
        event that was clicked in this run.
    options(key) -> Options
        what is a lane, what leads downwards, and whether runs are folded; kept in the address.
    show(picture, *, key, label, ...) -> Clicked | None
        the canvas itself, with downloads beneath it.
    expanded(key) -> frozenset[str]
        the runs that the reader has opened in the picture of that key; for `views.spacetime.build`.

Put a table beside it: the picture says nothing that the table of events and that of links do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import streamlit as st

from xcstore.queries.causality import Neighbourhood
from xcstore.render import theme
from xcstore.render.labels import markdown_escape
from xcstore.render.spacetime import Order, SpaceTime, spacetime_dot
from xcstore.render.spacetime_data import browser_data, stamp
from xcstore.render.spacetime_layout import lay_out
from xcstore.render.spacetime_svg import spacetime_svg
from xcstore.ui import state, widgets
from xcstore.views import spacetime as views
from xcstore.views.spacetime import Lanes

__all__ = ["Clicked", "Options", "expanded", "options", "panel", "show"]

LANES: Final[dict[Lanes, str]] = {"machine": "Machine", "component": "Component", "instance": "Instance"}
ORDERS: Final[dict[Order, str]] = {"time": "Time", "causal": "Causal order"}
RUNS: Final = {"folded": "Folded", "all": "Every event"}
HIDE: Final = "hide"
"""Name in the address of the lanes that are left out."""

_HERE: Final = Path(__file__).parent / "components"
_COMPONENT: Final = st.components.v2.component(
    "xcstore_spacetime",
    html='<div class="root"></div>',
    css="\n".join(
        [
            theme.css(),
            (_HERE / "diagram.css").read_text(encoding="utf-8"),
            (_HERE / "viewer" / "viewer.css").read_text(encoding="utf-8"),
            (_HERE / "spacetime" / "spacetime.css").read_text(encoding="utf-8"),
        ]
    ),
    js="".join((_HERE / name).read_text(encoding="utf-8") for name in ("elements.js", "spacetime/spacetime.js")),
)


@dataclass(frozen=True, slots=True)
class Clicked:
    """What the reader just did: one of the two."""

    event_id: str | None = None
    """The event that was clicked."""
    hidden: tuple[str, ...] | None = None
    """All lanes that are to be hidden from now on; () to show all."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the picture is drawn."""

    lanes: Lanes
    order: Order
    collapse: bool


def panel(
    found: Neighbourhood,
    *,
    key: str,
    label: str,
    drawn: Options,
    components: Sequence[str] = (),
    selected: str | None = None,
    height: int | None = None,
) -> str | None:
    """The picture of `found`; the id of the event that was clicked in this run."""
    picture = views.build(
        found,
        zone=state.zone(),
        lanes=drawn.lanes,
        order=drawn.order,
        hidden=state.texts(HIDE),
        collapse=drawn.collapse,
        expanded=expanded(key),
        components=components,
    )
    clicked = show(picture, key=key, label=label, selected=selected, height=height, on_hide=_hide)
    return clicked.event_id if clicked else None


def _hide(lanes: tuple[str, ...]) -> None:
    if len(lanes) > state.MAX_VALUES:
        state.notice(f"At most {state.MAX_VALUES} lanes can be hidden at a time.")
        lanes = lanes[: state.MAX_VALUES]
    state.put(**{HIDE: lanes})


def options(key: str) -> Options:
    """Three choices in a row, kept in the address as 'lanes', 'order' and 'runs'."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        lanes = widgets.choice("Lanes", f"{key}-lanes", "lanes", LANES)
        order = widgets.choice("Down the page", f"{key}-order", "order", ORDERS)
        runs = widgets.choice("Local runs", f"{key}-runs", "runs", RUNS)
    return Options(lanes, order, collapse=runs == "folded")


def expanded(key: str) -> frozenset[str]:
    """The runs that are open in the picture of that `key`, by the id of their first event."""
    opened: frozenset[str] = st.session_state.get(f"{key}@opened", frozenset())
    return opened


def show(
    picture: SpaceTime,
    *,
    key: str,
    label: str,
    selected: str | None = None,
    height: int | None = None,
    on_hide: Callable[[tuple[str, ...]], None] | None = None,
    exports: bool = True,
) -> Clicked | None:
    """Show `picture`; what the reader did just now, else None.

    Parameters
    ----------
    label : str
        The picture's accessible name.
    selected : str, optional
        Event to highlight.
    height : int, optional
        The most it may take in px, legend and tools included (680); less where the picture needs less.
    on_hide : callable, optional
        Called with all lanes that are to be hidden before the script runs again, so that the same run can leave
        them out. Without it, see `Clicked.hidden`.
    exports : bool
        Whether downloads as SVG and DOT stand under the picture. A PNG is made by the browser.
    """
    if not picture.marks:
        st.info("Nothing to draw: no event is in view.")
        return None
    layout = lay_out(picture)
    data = browser_data(picture, layout)
    opened = expanded(key)
    data |= {
        "label": label,
        "name": picture.name,
        "max_height": height,
        "selected": next((number for number, mark in enumerate(picture.marks) if mark.id == selected), -1),
        "opened": len(opened & {mark.id for mark in picture.marks}),
    }
    runs = {number: mark.id for number, mark in enumerate(picture.marks) if mark.kind == "run"}
    version = stamp(picture)
    result = _COMPONENT(key=key, data=data, on_did_change=partial(_did, key, version, runs, on_hide))
    if picture.notes or exports:
        _beneath(picture, key, exports)
    return _clicked(result.did, version, picture)


def _clicked(did: object, version: str, picture: SpaceTime) -> Clicked | None:
    # What the browser sends is checked: it may be a click on a picture that is no longer shown.
    if not isinstance(did, Mapping) or did.get("stamp") != version:
        return None
    value = did.get("value")
    if did.get("what") == "pick" and isinstance(value, int) and 0 <= value < len(picture.marks):
        return Clicked(event_id=picture.marks[value].id)
    if did.get("what") == "hide" and isinstance(value, Sequence):
        return Clicked(hidden=tuple(lane for lane in value if isinstance(lane, str)))
    return None


def _did(key: str, version: str, runs: Mapping[int, str], on_hide: Callable[[tuple[str, ...]], None] | None) -> None:
    """Before the script runs again: open a run, fold all, hide lanes."""
    did = st.session_state[key].get("did")
    if not isinstance(did, Mapping) or did.get("stamp") != version:
        return
    what, value = did.get("what"), did.get("value")
    if what == "fold":
        st.session_state[f"{key}@opened"] = frozenset()
    elif what == "open" and isinstance(value, int) and value in runs:
        st.session_state[f"{key}@opened"] = expanded(key) | {runs[value]}
    elif what == "hide" and isinstance(value, Sequence) and on_hide is not None:
        on_hide(tuple(lane for lane in value if isinstance(lane, str)))


def _beneath(picture: SpaceTime, key: str, exports: bool) -> None:
    """What is not drawn, and the picture as files."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if picture.notes:
            st.caption(markdown_escape("; ".join(picture.notes)), width="stretch")
        if exports:
            for name, kind, write in (
                ("SVG", "image/svg+xml", partial(spacetime_svg, picture)),
                ("DOT", "text/vnd.graphviz", partial(spacetime_dot, picture)),
            ):
                st.download_button(
                    f"Download {name}",
                    data=partial(_file, write),
                    file_name=f"{key}.{name.lower()}",
                    mime=kind,
                    key=f"{key}-{name}",
                    on_click="ignore",
                    type="tertiary",
                )


def _file(write: Callable[[], str]) -> bytes:
    return write().encode("utf-8", "replace")  # called on the click
