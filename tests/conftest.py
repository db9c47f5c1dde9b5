"""Shared fixtures: the same empty stores on each backend in turn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from xcstore.store.base import Stores
from xcstore.store.opening import open_stores

pytest_plugins = ["tests.servers.postgresql"]

BACKENDS = ("memory", "sqlite", "postgresql")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The switch for tests/browser. Here, as pytest reads options from the conftest of the folder it starts in."""
    parser.addoption("--browser", action="store_true", default=False, help="run the tests that need Chromium")


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Name of the backend; a test that asks for it, or for what is built on it, runs once on each."""
    name: str = request.param
    return name


@pytest.fixture
def store_url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """URL of a place where nothing is stored yet."""
    if backend == "memory":
        return "memory://"
    if backend == "sqlite":
        return f"sqlite:///{tmp_path / 'events.db'}"
    url: str = request.getfixturevalue("postgresql_database")
    return url


@pytest.fixture
def stores(store_url: str) -> Iterator[Stores]:
    """Empty stores of ours, open for writing."""
    with open_stores(store_url, read_only=False) as opened:
        yield opened
