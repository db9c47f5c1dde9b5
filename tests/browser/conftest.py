"""Browser tests: a real server, a real Chromium, and no request to anywhere else.

Run with `--browser` (CI does; the switch is in tests/conftest.py), else they skip. Chromium is found on PATH or named
by XCSTORE_CHROMIUM; where it is missing they skip at a desk and fail in CI.

    serve(script, **environment) -> str       starts `streamlit run script`, once per script and environment; its URL
    page                                      a Playwright page that fails its test on an off-host request or an error
    new_page(width=, height=, color_scheme=)  the same of another size or in dark; takes options of new_context too
    wait_until_ready(page)                    after opening, or after anything that runs the script again
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
START_S = 60
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what lies in this folder unless asked for; keep it together where pytest runs in several processes."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("browser"))
            if not config.getoption("--browser"):
                item.add_marker(pytest.mark.skip(reason="tests in a real browser run with --browser"))


def find_chromium() -> str | None:
    """Where Chromium is, or None."""
    named = os.environ.get("XCSTORE_CHROMIUM")
    return named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One Chromium for all tests."""
    sync_api = pytest.importorskip("playwright.sync_api")
    path = find_chromium()
    if path is None:
        message = "no Chromium on PATH; name one with XCSTORE_CHROMIUM"
        required = os.environ.get("CI") or "browser" in os.environ.get("XCSTORE_TEST_REQUIRE", "").split(",")
        pytest.fail(message) if required else pytest.skip(message)
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Start `streamlit run script` with the given environment; the same pair is started once."""
    running: dict[tuple[str, ...], tuple[str, subprocess.Popen[bytes]]] = {}

    def start(script: str | Path, **environment: str) -> str:
        identity = (str(script), *(f"{key}={value}" for key, value in sorted(environment.items())))
        if identity not in running:
            log = tmp_path_factory.mktemp("server") / "log.txt"
            running[identity] = _start(Path(script), environment, log)
        return running[identity][0]

    yield start
    for _, process in running.values():
        process.terminate()
    for _, process in running.values():
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _start(script: Path, environment: dict[str, str], log: Path) -> tuple[str, subprocess.Popen[bytes]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(script), f"--server.port={port}"]
    command += ["--server.address=127.0.0.1", "--server.headless=true", "--server.fileWatcherType=none"]
    command += ["--browser.gatherUsageStats=false"]
    # A file, not a pipe: nobody reads a pipe, and a full one stops the server.
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return url, process
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    process.kill()
    process.wait()
    pytest.fail(f"{script} did not start on {url}:\n{log.read_text(errors='replace')[-3000:]}")


@pytest.fixture
def new_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open pages of a given size and colour scheme; at the end, fail on off-host requests and console errors."""
    contexts: list[Any] = []
    faults: list[str] = []

    def open_page(*, width: int = 1280, height: int = 900, color_scheme: str = "light", **options: Any) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=color_scheme, reduced_motion="reduce", **options
        )
        contexts.append(context)
        opened = context.new_page()
        opened.on("request", lambda request: _check_host(request.url, faults))
        opened.on("console", lambda said: _check_console(said, faults))
        opened.on("pageerror", lambda error: faults.append(f"page error: {error}"))
        return opened

    yield open_page
    for context in contexts:
        context.close()
    assert not faults, "\n".join(faults)


def _check_console(said: Any, faults: list[str]) -> None:
    # At a deep link, Streamlit's own script tries the folder of the page before the root to find its server.
    path = urlsplit(said.location.get("url", "")).path
    tried = path.count("/") > 2 and path.endswith(("/_stcore/health", "/_stcore/host-config"))
    if said.type == "error" and not tried:
        faults.append(f"console: {said.text} ({path})")


def _check_host(url: str, faults: list[str]) -> None:
    parts = urlsplit(url)
    if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in ("127.0.0.1", "localhost"):
        faults.append(f"off-host request: {url}")


@pytest.fixture
def page(new_page: Callable[..., Any]) -> Any:
    """A page of 1280 × 900 in light colours."""
    return new_page()


def wait_until_ready(page: Any, timeout_ms: int = 30_000) -> None:
    """Wait until the script has run to its end and nothing on the page is stale or still loading."""
    from playwright.sync_api import expect

    app = page.locator('[data-testid="stApp"]')
    expect(app).to_have_attribute("data-test-connection-state", "CONNECTED", timeout=timeout_ms)
    expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=timeout_ms)
    unfinished = '[data-stale="true"], [data-testid="stSkeleton"], [data-testid="stAppSkeleton"]'
    expect(page.locator(unfinished)).to_have_count(0, timeout=timeout_ms)


@pytest.fixture(name="wait_until_ready")
def _wait_until_ready() -> Callable[..., None]:
    """The function as a fixture: with importlib mode a test cannot import its conftest."""
    return wait_until_ready
