"""Which definition speaks for an event that is verified."""

from __future__ import annotations

from xcstore.errors import DefinitionError
from xcstore.model.catalog import Catalog
from xcstore.model.definition import Component, StateMachine
from xcstore.model.loader import component_from_document
from xcstore.store.base import Stores

__all__ = ["Definitions"]


class Definitions:
    """Those that are given and those kept in the store.

    Parameters
    ----------
    stores : Stores
    catalog : Catalog, optional
        What is known by name; where not given, what the store keeps.
    """

    def __init__(self, stores: Stores, catalog: Catalog | None) -> None:
        self.unusable: list[str] = []
        """Of those in the store, what is wrong with each that cannot be read."""
        stored: dict[str, Component] = {}
        for item in stores.definitions.get_all_definitions():
            try:
                stored[item.hash] = component_from_document(item.document)
            except DefinitionError as error:
                self.unusable.append(f"the definition of {item.component_name!r} in the store cannot be used: {error}")
        self.catalog = Catalog(stored.values()) if catalog is None else catalog
        self._by_hash = {component.hash: component for component in self.catalog if component.hash} | stored

    def knows(self, definition: str) -> bool:
        """Whether the version of that hash is known."""
        return definition in self._by_hash

    def machine(self, definition: str, component: str, machine: str) -> StateMachine | None:
        """That of the version which an event is stamped with; of one that is not stamped, the one known by name.

        No other version speaks for one that is not known: its states may have had other names.
        """
        if not definition:
            return self.catalog.find_machine(component, machine)
        governed = self._by_hash.get(definition)
        return governed.find_machine(machine) if governed is not None else None
