"""A definition that somebody changes: as text or as a file, with its faults shown."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

import streamlit as st

from xcstore.errors import DefinitionError
from xcstore.model.definition import Component
from xcstore.model.loader import parse_component
from xcstore.render.labels import count_text, markdown_escape, visible_text
from xcstore.ui import widgets
from xcstore.views import what_if_definition as views

__all__ = ["edited"]

TALL: Final = 380


def edited(components: Sequence[Component], *, key: str, chosen: str = "", apply: str = "Use it") -> Component | None:
    """The definition that was just given for one of `components`; None unless the button was pressed on a sound one.

    Parameters
    ----------
    key : str
        Beginning of the keys of the widgets.
    chosen : str
        Name of the component that is chosen first.
    """
    names = [component.name for component in components]
    name = st.selectbox(
        "Component",
        names,
        index=names.index(chosen) if chosen in names else 0,
        key=f"{key}-component",
        format_func=lambda value: widgets.shorten(visible_text(value)),
    )
    component = next((item for item in components if item.name == name), None)
    if component is None:
        return None
    own = f"{key}-{zlib.crc32(f'{component.name} {component.hash}'.encode('utf-8', 'replace')):x}"
    given = st.file_uploader("A file with the other definition", type=["yaml", "yml", "json"], key=f"{own}-file")
    present = views.definition_text(component)
    text, problem = present, ""
    if given is not None:
        try:
            text = given.getvalue().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            problem = f"{given.name} is not UTF-8 text: {error.reason} at byte {error.start}"
    written = st.text_area(
        "Definition",
        value=text,
        key=f"{own}-text-{given.file_id if given is not None else ''}",
        height=TALL,
        help="YAML or JSON, as in a component document. Change a transition, a timeout, a rule",
    )
    found = component if written == present else None if problem else _read(written or "", component)
    if isinstance(found, str) or problem:
        st.error(markdown_escape(problem or str(found), 1_000), icon=None)
    elif found is not None:
        widgets.show_faults(found.faults, "Taken, but odd")
        changed = views.definition_diff(component, found)
        if changed:
            with st.expander(f"{count_text(views.changed_lines(changed), 'line')} changed"):
                st.code(changed, language="diff")
        else:
            st.caption("The same as the definition that is known. Change it above, or give a file.")
    usable = isinstance(found, Component)
    pressed = st.button(apply, key=f"{key}-apply", disabled=not usable)
    return found if pressed and isinstance(found, Component) else None


def _read(text: str, component: Component) -> Component | str:
    """The component in the text, or what is wrong with it."""
    try:
        found = parse_component(text, file="definition")
    except DefinitionError as error:
        return str(error)
    if found.name != component.name:
        return f"this defines {found.name!r}, and {component.name!r} is to be changed; give it that name"
    return found
