"""Shared fixtures: the same empty stores on each backend in turn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends import BACKENDS, empty_place, open_writable
from xcstore.store.base import Stores

pytest_plugins = [f"tests.servers.{name}" for name in ("postgresql", "mongodb", "influxdb", "redis")]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Here, as pytest reads options from the conftest of the folder it starts in."""
    parser.addoption("--browser", action="store_true", default=False, help="run the tests that need Chromium")
    parser.addoption(
        "--backend", action="append", choices=list(BACKENDS), help="run on this backend only; may be given again"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*features): left out where the backend does not declare these")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `--backend`, leave out the same test on the others."""
    chosen = config.getoption("--backend")
    if not chosen:
        return
    unchosen = set(BACKENDS) - set(chosen)
    others = [item for item in items if unchosen & _parameters(item)]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if not unchosen & _parameters(item)]


def _parameters(item: pytest.Item) -> set[str]:
    callspec = getattr(item, "callspec", None)
    return {value for value in callspec.params.values() if isinstance(value, str)} if callspec else set()


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Name of the backend; a test that asks for it, or for what is built on it, runs once on each."""
    name: str = request.param
    needed = {feature for mark in request.node.iter_markers("needs") for feature in mark.args}
    if missing := needed - BACKENDS[name].offers:
        pytest.skip(f"{name} does not declare {', '.join(sorted(missing))}")
    return name


@pytest.fixture
def store_url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """URL of a place where nothing is stored yet."""
    return empty_place(backend, tmp_path, request)


@pytest.fixture
def stores(store_url: str) -> Iterator[Stores]:
    """Empty stores, open for writing."""
    with open_writable(store_url) as opened:
        yield opened
