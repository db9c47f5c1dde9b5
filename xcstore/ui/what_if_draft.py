"""The edits of the fork that is being made: kept in the session with undo and redo, and in the address where short.

The address decides: where it holds other edits than were put there, they are taken from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import streamlit as st

from xcstore.replay.forks import ChangeDefinition, Edit
from xcstore.ui import loading, state
from xcstore.views import what_if_edits as texts

__all__ = [
    "Draft",
    "add",
    "change",
    "clear",
    "current",
    "in_address",
    "keep",
    "redo",
    "remove",
    "subject",
    "undo",
]

MAX_STEPS: Final = 100
_DRAFT: Final = "what-if-draft"
_ADDRESS: Final = "what-if-draft@address"

Edits = tuple[Edit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Edits, those before them and those that were undone."""

    subject: str
    edits: Edits = ()
    past: tuple[Edits, ...] = ()
    future: tuple[Edits, ...] = ()


def subject() -> str:
    """What the edits are of: they do not follow to another history."""
    return "\n".join((loading.store_name(), state.text("instance"), state.text("trace")))


def current() -> Draft:
    """The draft of what the address names."""
    address = state.texts("edit")
    kept: Draft | None = st.session_state.get(_DRAFT)
    if kept is None or kept.subject != subject() or st.session_state.get(_ADDRESS) != address:
        edits, wrong = texts.edits_from_texts(address)
        for sentence in wrong:
            state.notice(sentence)
        kept = Draft(subject=subject(), edits=edits)
        _set(kept, address)
    return kept


def in_address(edits: Edits) -> bool:
    """Whether the address holds all of these edits."""
    return texts.edits_to_texts(edits) is not None


def change(edits: Edits) -> None:
    """Have these edits from now on; what was can be had back."""
    draft = current()
    if edits != draft.edits:
        past = (*draft.past, draft.edits)[-MAX_STEPS:]
        _put(replace(draft, edits=edits, past=past, future=()))


def add(edit: Edit) -> None:
    """One more edit. One of the same kind about the same event, or about the same component, gives way."""
    change((*(other for other in current().edits if not _same_thing(other, edit)), edit))


def _same_thing(one: Edit, other: Edit) -> bool:
    if isinstance(one, ChangeDefinition) and isinstance(other, ChangeDefinition):
        return one.component.name == other.component.name
    return type(one) is type(other) and texts.touches(one) is not None and texts.touches(one) == texts.touches(other)


def remove(number: int) -> None:
    """Without the edit of that number."""
    edits = current().edits
    change((*edits[:number], *edits[number + 1 :]))


def clear() -> None:
    """No edits."""
    change(())


def undo() -> None:
    """As before the last change."""
    draft = current()
    if draft.past:
        *past, last = draft.past
        _put(replace(draft, edits=last, past=tuple(past), future=(draft.edits, *draft.future)))


def redo() -> None:
    """As before the last undo."""
    draft = current()
    if draft.future:
        first, *rest = draft.future
        _put(replace(draft, edits=first, past=(*draft.past, draft.edits), future=tuple(rest)))


def keep(edits: Edits) -> None:
    """Take these edits along to what the address names now."""
    _put(Draft(subject=subject(), edits=edits))


def _put(draft: Draft) -> None:
    address = texts.edits_to_texts(draft.edits) or ()
    state.put(edit=address or None, run=None)
    _set(draft, address)


def _set(draft: Draft, address: tuple[str, ...]) -> None:
    st.session_state[_DRAFT] = draft
    st.session_state[_ADDRESS] = address
