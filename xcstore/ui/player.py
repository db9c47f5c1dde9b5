"""The player on a page: diagrams, scrubber, context and controls in one component that steps without asking anybody.

    player(data, *, key, on_move) -> None

It sends where the cursor rests, and when it comes near the end of the steps it holds: `on_move(position)` is called
before the fragment runs again. Within the steps it holds, nothing is sent at all while it moves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import streamlit as st

from xcstore.render import theme

__all__ = ["BLOCK", "heard", "player"]

BLOCK: Final = 200
"""History is cut into blocks of so many steps; the player holds the one it is in, the one before, and the one ahead."""

_HERE: Final = Path(__file__).parent / "components"
_CSS: Final = ("diagram.css", "player/player.css")
_JS: Final = (
    "elements.js",
    "sanitise.js",
    "player/scene.js",
    "player/strip.js",
    "player/side.js",
    "player/player.js",
)
_COMPONENT: Final = st.components.v2.component(
    "xcstore_player",
    html='<div class="root"></div>',
    css="\n".join([theme.css(), *((_HERE / name).read_text(encoding="utf-8") for name in _CSS)]),
    js="".join((_HERE / name).read_text(encoding="utf-8") for name in _JS),
)


def player(data: Mapping[str, object], *, key: str, on_move: Callable[[int], None]) -> None:
    """Show the player with `data` (see `views.replay_data`); `on_move` gets every step that the cursor rests on."""
    total = data["total"]
    assert isinstance(total, int)
    _COMPONENT(
        key=key,
        data={**data, "heard": heard(key)},
        on_did_change=partial(_did, key, data["stamp"], total, on_move),
    )


def heard(key: str) -> int:
    """The number of the last message that came from the player: what it says later counts more than the address."""
    number: int = st.session_state.get(f"{key}@heard", 0)
    return number


def _did(key: str, stamp: object, total: int, on_move: Callable[[int], None]) -> None:
    did = st.session_state[key].get("did")
    # What the browser sends is checked: it may be from a history that is no longer shown.
    if not isinstance(did, Mapping) or did.get("stamp") != stamp:
        return
    number, position = did.get("n"), did.get("position")
    if isinstance(number, int) and isinstance(position, int) and 0 <= position <= total:
        st.session_state[f"{key}@heard"] = number
        on_move(position)
