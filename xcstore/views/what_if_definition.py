"""A definition as text that a person can change, and what was changed in it."""

from __future__ import annotations

import difflib
import functools
import json
from typing import TYPE_CHECKING, Final

import yaml

from xcstore.errors import DefinitionError
from xcstore.model.loader import parse_component
from xcstore.render.labels import visible_text

if TYPE_CHECKING:
    from xcstore.model.definition import Component

__all__ = ["changed_lines", "definition_diff", "definition_text"]

MAX_DIFF: Final = 400
"""Lines of a difference that are shown."""


@functools.lru_cache(maxsize=64)
def definition_text(component: Component) -> str:
    """The document as YAML; as JSON where YAML would be read back as something else."""
    try:
        text = yaml.safe_dump(_plain(component.source), sort_keys=False, allow_unicode=True, width=110)
        if parse_component(text).hash == component.hash:
            return text
    except (yaml.YAMLError, DefinitionError, RecursionError):
        pass
    return json.dumps(_plain(component.source), indent=2, ensure_ascii=False)


def _plain(value: object) -> object:
    return json.loads(json.dumps(value, default=dict))


def definition_diff(before: Component, after: Component) -> str:
    """What differs, line by line; '' where nothing does. Comments and the order of writing do not count."""
    one, two = (definition_text(component).splitlines() for component in (before, after))
    lines = list(difflib.unified_diff(one, two, "known", "changed", lineterm="", n=2))
    if not lines:
        return ""
    more = [f"... shown {MAX_DIFF:,} of {len(lines):,} lines"] if len(lines) > MAX_DIFF else []
    return "\n".join([*(visible_text(line, 300) for line in lines[:MAX_DIFF]), *more])


def changed_lines(diff: str) -> int:
    """How many lines a difference adds or takes away."""
    return sum(line[:1] in ("+", "-") and line[:3] not in ("+++", "---") for line in diff.splitlines())
