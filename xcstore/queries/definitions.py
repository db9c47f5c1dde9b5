"""Which definitions are known, where each is from, and what could not be read."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from xcstore.errors import DefinitionError
from xcstore.model.catalog import Catalog
from xcstore.model.definition import Component
from xcstore.model.loader import component_from_document, load_folder, parse_components
from xcstore.store.base import DefinitionStore

__all__ = ["Definitions", "stored_definitions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Definitions:
    """A catalog, and what there is to say about it. A document that cannot be read costs only itself."""

    catalog: Catalog = field(default_factory=Catalog)
    sources: tuple[tuple[str, str], ...] = ()
    """(component, where it is from), by component."""
    problems: tuple[str, ...] = ()

    def and_uploads(self, files: Iterable[tuple[str, bytes]]) -> Definitions:
        """With the components in these files, (name, content), which win over those of the same name."""
        found: list[tuple[Component, str]] = []
        problems: list[str] = []
        for name, content in files:
            try:
                found += [(component, name) for component in _parse(content, name)]
            except DefinitionError as error:
                problems.append(str(error))
        return self._with(found, problems)

    def _with(self, found: Iterable[tuple[Component, str]], problems: Iterable[str]) -> Definitions:
        found = list(found)
        sources = dict(self.sources) | {component.name: source for component, source in found}
        return Definitions(
            catalog=self.catalog.merged(component for component, _ in found),
            sources=tuple(sorted(sources.items())),
            problems=(*self.problems, *problems),
        )


def stored_definitions(store: DefinitionStore, folder: Path | str | None = None) -> Definitions:
    """What the folder holds, where there is one, then what is kept in the store beside the events."""
    found: list[tuple[Component, str]] = []
    problems: list[str] = []
    if folder is not None:
        try:
            loaded = load_folder(folder)
            found += [(component, "folder of the settings") for component in loaded.components]
            problems += [str(problem) for problem in loaded.problems]
        except DefinitionError as error:
            problems.append(str(error))
    for item in store.get_all_definitions():
        try:
            found.append((component_from_document(item.document), "kept in the store"))
        except DefinitionError as error:
            problems.append(f"definition of {item.component_name!r} in the store: {error}")
    return Definitions()._with(found, problems)


@functools.lru_cache(maxsize=64)
def _parse(content: bytes, name: str) -> tuple[Component, ...]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DefinitionError(f"not UTF-8 text: {error.reason} at byte {error.start}", file=name) from None
    return parse_components(text, file=name)
