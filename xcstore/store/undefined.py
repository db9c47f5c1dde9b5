"""Definitions in stores that keep none."""

from __future__ import annotations

from collections.abc import Sequence

from xcstore.errors import ReadOnlyStoreError
from xcstore.store.base import StoredDefinition

__all__ = ["NoDefinitionStore"]


class NoDefinitionStore:
    """Empty, and read-only."""

    def __init__(self, identity: str) -> None:
        self._identity = identity

    def save_definition(self, definition: StoredDefinition) -> None:
        raise ReadOnlyStoreError(f"{self._identity} keeps no definitions; nothing was written")

    def get_all_definitions(self) -> Sequence[StoredDefinition]:
        return ()
