"""What tests of the app in a browser share: the demo history, and how to read and use its pages."""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import ROOT, wait_until_ready
from xcstore.demo.generator import generate_demo
from xcstore.demo.report import DemoReport
from xcstore.model.history import PersistedEvent
from xcstore.store.opening import open_stores

APP = ROOT / "app.py"
WAIT_MS = 30_000
ROW = 30
HEADER = 35
SEARCH = "Find an event, an instance, or a business key"


@dataclass(frozen=True)
class Demo:
    """The demo history, its events, and a second copy of it that a test may write to."""

    url: str
    live_url: str
    report: DemoReport
    events: Sequence[PersistedEvent]

    @property
    def environment(self) -> dict[str, str]:
        return {"XCSTORE_URL": self.url, "DATABASE_URL": self.live_url, "XCSTORE_DEMO": "no-such-file.db"}

    def of(self, instance_id: str) -> list[PersistedEvent]:
        return [event for event in self.events if event.instance_id == instance_id]

    def order(self, key: str) -> str:
        """The instance of machine Order that was created with this business key."""
        return next(e.instance_id for e in self.touched(key) if e.machine_name == "Order" and not e.state_before)

    def touched(self, key: str) -> list[PersistedEvent]:
        """The events whose payload mentions the key."""
        return [event for event in self.events if f"'{key}'" in repr(dict(event.payload))]


def make_demo(folders: pytest.TempPathFactory) -> Demo:
    """The demo of this run: made for whichever module asks first."""
    return _make_demo(folders.getbasetemp() / "browser-demo")


@functools.cache
def _make_demo(folder: Path) -> Demo:
    folder.mkdir()
    url = f"sqlite:///{folder / 'demo.db'}"
    with open_stores(url, read_only=False) as stores:
        report = generate_demo(stores)
        events = list(stores.events.get_all_events())
    shutil.copy(folder / "demo.db", folder / "live.db")
    return Demo(url, f"sqlite:///{folder / 'live.db'}", report, events)


def go(page: Any, url: str) -> None:
    """Open an address and wait until everything is there."""
    page.goto(url)
    ready(page)


def ready(page: Any) -> None:
    """Wait for the script, and for what is drawn after it: tables and pictures."""
    from playwright.sync_api import expect

    wait_until_ready(page, WAIT_MS)
    # All at once, not one after the other: a table of another tab may still be there, and then be gone.
    empty = page.locator('[data-testid="stDataFrame"]:visible:not(:has(canvas))')
    expect(empty).to_have_count(0, timeout=WAIT_MS)


def on_page(page: Any, name: str) -> None:
    """Wait until the page of that title is there, whole."""
    from playwright.sync_api import expect

    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible(timeout=WAIT_MS)
    ready(page)


def text(page: Any) -> str:
    """All words of the page, without the invisible characters that keep times from becoming markup."""
    return plain(page.get_by_test_id("stMain").inner_text())


def plain(words: str) -> str:
    return words.replace("\u2060", "")


def lasting_text(page: Any) -> str:
    """The words that do not depend on the moment at which the page was opened."""
    return "\n".join(
        line for line in text(page).splitlines() if line.strip() and not re.search(r"\bago\b|^as of|^\d+/1000", line)
    )


def search(page: Any, words: str) -> None:
    """Type into the search box, and wait for the answer."""
    from playwright.sync_api import expect

    page.get_by_label(SEARCH).fill(words)
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"Found for {words}")).to_be_visible(timeout=WAIT_MS)
    ready(page)


def table(page: Any, name: str) -> list[dict[str, str]]:
    """The rows in view of the table with that accessible name, by column."""
    from playwright.sync_api import expect

    region = page.get_by_role("region", name=name)
    region.scroll_into_view_if_needed(timeout=WAIT_MS)
    expect(region.locator("canvas [role=gridcell]").first).to_be_attached(timeout=WAIT_MS)
    lines = region.locator("canvas table tr").evaluate_all(
        "rows => rows.map(row => [...row.children].map(cell => cell.textContent))"
    )
    # Where rows can be picked the first column is the box for it, which only the rows leave out.
    head, *rest = lines
    return [dict(zip(head[-len(line) :], line, strict=True)) for line in rest]


def pick_row(page: Any, name: str, number: int) -> None:
    """Tick the box in front of a row."""
    grid = page.get_by_role("region", name=name)
    grid.scroll_into_view_if_needed()
    # A layer for scrolling lies over the canvas and takes the click.
    grid.locator("canvas").first.click(position={"x": ROW / 2, "y": HEADER + ROW * (number + 0.5)}, force=True)


def picture(page: Any, label: str) -> Any:
    """The picture with that accessible name, drawn."""
    from playwright.sync_api import expect

    found = page.get_by_role("group", name=label)
    expect(found.locator(".stage").first).to_be_visible(timeout=WAIT_MS)
    return found


def titles(drawn: Any) -> list[str]:
    """What each thing in a picture says it is."""
    return list(
        drawn.locator(".stage").first.evaluate(
            "stage => [...stage.querySelectorAll('[data-title]')].map(item => item.dataset.title)"
        )
    )


def saved(page: Any, button: Any, folder: Path) -> Path:
    """Click a download button; where the file is."""
    with page.expect_download(timeout=WAIT_MS) as started:
        button.click()
    path = folder / str(started.value.suggested_filename)
    started.value.save_as(path)
    return path
