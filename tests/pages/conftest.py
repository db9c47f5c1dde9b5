"""The app on a store of its own, without a browser: `open_page(url, "events", machine="Order")`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from tests.factories import event
from xcstore.demo.generator import generate_demo
from xcstore.model.history import CREATION
from xcstore.store.opening import open_stores

APP = Path(__file__).parents[2] / "app.py"

OpenPage = Callable[..., AppTest]

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "$\\frac{a}{b}$ :red[x] :material/home:",
    "=HYPERLINK(1)",
    "'; DROP TABLE x; --",
    "\u202etxet \u200b",
    "a\nb\tc",
    "{{7*7}} %s ${x}",
    "https://evil.example www.evil.example",
)
"""Text that does something where it is not shown as text; each fits the limits on writing."""


@pytest.fixture(scope="session")
def demo_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A week of the demo history."""
    url = f"sqlite:///{tmp_path_factory.mktemp('demo') / 'demo.db'}"
    with open_stores(url, read_only=False) as stores:
        generate_demo(stores, days=7)
    return url


@pytest.fixture
def empty_url(tmp_path: Path) -> str:
    """A store of ours in which nothing happened."""
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    open_stores(url, read_only=False).close()
    return url


@pytest.fixture
def hostile_url(tmp_path: Path) -> str:
    """A store whose every text tries something."""
    url = f"sqlite:///{tmp_path / 'hostile.db'}"
    with open_stores(url, read_only=False) as stores:
        for number, text in enumerate(HOSTILE):
            common: dict[str, Any] = {
                "instance_id": f"{text[:40]}{number}",
                "machine_name": text,
                "component_name": text,
                "payload": {text: text, "deep": [{text: [text, None, 2**60]}]},
                "context": {text: text},
            }
            created = event(event_type=CREATION, state_before="", state_after=text, **common)
            moved = event(event_type=text, state_before=text, state_after=text[::-1], caused_by=(created.id,), **common)
            stores.events.append_many([created, moved])
    return url


@pytest.fixture
def unreachable_url() -> str:
    """Nobody listens at port 1."""
    return "postgresql://app:s3cret@127.0.0.1:1/history"


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OpenPage]:
    """A function that runs the app on a store and gives the page after its first run."""
    for name in ("DATABASE_URL", "MONGO_URI", "XCSTORE_DEFINITIONS", "XCSTORE_REDACT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XCSTORE_DEMO", str(tmp_path / "no-demo.db"))

    # AppTest forgets before every run that `st.navigation` was called, and would run files in `pages` by themselves.
    made = PagesManager.__init__

    def without_pages_folder(self: PagesManager, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", without_pages_folder)

    def open_page(url: str, page: str = "overview", **params: str | list[str]) -> AppTest:
        monkeypatch.setenv("XCSTORE_URL", url)
        app = AppTest.from_file(APP, default_timeout=60)
        if page != "overview":
            app.run()
            app.switch_page(f"pages/{page}.py")
        for name, value in params.items():
            app.query_params[name] = value
        return app.run()

    yield open_page
    st.cache_data.clear()
    st.cache_resource.clear()  # closes the stores
