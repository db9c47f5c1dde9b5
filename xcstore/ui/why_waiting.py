"""The panel of an instance that says why it waits."""

from __future__ import annotations

import streamlit as st

from xcstore.queries import why_waiting as queries
from xcstore.render.labels import markdown_escape
from xcstore.ui import loading, state, widgets
from xcstore.views import why_waiting as views

__all__ = ["show"]


def show(instance_id: str) -> None:
    """What it waits for, sentence by sentence, with links to the instances that hold it up; nothing where it has
    ended."""
    found = loading.ask(queries.why_waiting, instance_id, catalog=loading.catalog())
    sentences = views.build(found, as_of=loading.as_of(), zone=state.zone())
    if not sentences:
        return
    with st.container(border=True, gap="xsmall", key="instances-why"):
        st.markdown("**Why it waits**")
        for sentence in sentences:
            words = "".join(_part(text, name=name) for text, name in sentence.parts)
            left, right = st.columns([4, 1], vertical_alignment="center")
            left.markdown(words)
            if sentence.instance_id:
                with right:
                    event = sentence.event_id or None
                    widgets.link("instances", sentence.name, instance=sentence.instance_id, event=event)


def _part(text: str, *, name: bool) -> str:
    # Space at the ends belongs to the sentence, and bold text must not begin or end with it.
    inner = markdown_escape(text.strip(), 600)
    if not inner:
        return text
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{before}**{inner}**{after}" if name else f"{before}{inner}{after}"
