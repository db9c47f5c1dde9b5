"""The backends that the tests run on, what each of them declares, and how its stores are opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.contract import others
from xcstore.store.base import FEATURES, Stores
from xcstore.store.opening import open_stores

__all__ = ["BACKENDS", "EVERYTHING", "Backend", "empty_place", "open_writable"]

EVERYTHING: Final[frozenset[str]] = frozenset(FEATURES)
"""What `@pytest.mark.needs(...)` can name, and `seq`: pages go by the order of appending, not by id."""


@dataclass(frozen=True)
class Backend:
    """What the contract promises on this one. A store cannot declare less unless this table says so."""

    database: str | None = None
    """Fixture with the URL of an empty database; None where a folder will do."""
    declares: frozenset[str] = EVERYTHING
    seq: bool = True
    """Whether events of one moment are in the order in which they were appended; by id where not."""
    layout: str = "documents"

    @property
    def offers(self) -> frozenset[str]:
        return self.declares | {"seq"} if self.seq else self.declares


BACKENDS: Final = {
    "memory": Backend(),
    "sqlite": Backend(layout="ours"),
    "postgresql": Backend("postgresql_database", layout="ours"),
    "mongodb": Backend("mongodb_database", layout="ours"),
    "archive": Backend(declares=EVERYTHING - {"outbox", "delete"}),
    "influxdb": Backend("influxdb_database", declares=frozenset({"append", "snapshots", "large_values"}), seq=False),
    "redis": Backend("redis_database", declares=frozenset({"any_time", "large_values"}), seq=False),
}


def empty_place(backend: str, folder: Path, request: pytest.FixtureRequest) -> str:
    """URL of a place of that backend where nothing is stored yet; a folder is used where it needs no server."""
    if fixture := BACKENDS[backend].database:
        url: str = request.getfixturevalue(fixture)
        return url
    return {
        "memory": "memory://",
        "sqlite": f"sqlite:///{folder / 'events.db'}",
        "archive": f"archive:///{folder / 'archive'}",
    }[backend]


def open_writable(url: str, **options: Any) -> Stores:
    """The stores of an empty place, opened so that tests can fill them: ours to write, or with a writer of others."""
    if url.startswith("redis"):
        return others.open_redis(url, **options)
    return open_stores(url, read_only=False, **options)
