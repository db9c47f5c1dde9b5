"""Walk 5: is this store sound, and could it be restored from what is in it; and the rest of the Restore page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.reading import (
    APP,
    WAIT_MS,
    Demo,
    go,
    lasting_text,
    make_demo,
    on_page,
    pick_row,
    plain,
    ready,
    saved,
    table,
    text,
)
from xcstore.store.opening import open_stores

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect

WORK_MS = 120_000
"""The drill restores the whole demo, on a machine that may be busy."""


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return make_demo(tmp_path_factory)


@pytest.fixture
def start(serve: Callable[..., str], demo: Demo) -> str:
    """Address of the Overview."""
    return serve(APP, **demo.environment)


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_walk_5_is_this_store_sound_and_could_it_be_restored_from_what_is_in_it(
    page: Any, start: str, demo: Demo, new_page: Callable[..., Any], tmp_path: Path
) -> None:
    go(page, start)

    # Could it be restored: one click to the question, one to the answer.
    page.get_by_role("link", name="Could it be restored from what is in it?").click()  # 1
    on_page(page, "Restore")
    expect(page.get_by_role("heading", name="Could it be restored from what is in it?")).to_be_visible()
    press(page, "Run the drill")  # 2
    expect(page.get_by_text(re.compile("✓ PASSED"))).to_be_visible(timeout=WORK_MS)
    ready(page)
    words = text(page)
    assert "this store can be restored from what is in it" in words
    assert f"{len(demo.events):,}" in words
    digests = {row["of"]: row for row in table(page, "Counts and digests")}
    assert digests["events"]["count"].replace(",", "") == str(len(demo.events))
    # What is odd in the demo on purpose is said, and no damage.
    odd = table(page, "Odd, and restored all the same")
    assert "rolled back" in {row["kind"] for row in odd}

    file = saved(page, page.get_by_role("button", name="Download the certificate"), tmp_path)
    certificate = json.loads(file.read_text(encoding="utf-8"))
    assert certificate["passed"] is True
    assert certificate["digest"]["events"]["sha256"] == digests["events"]["SHA-256"]

    # The certificate is what the next one sees too.
    other = new_page()
    go(other, page.url)
    assert lasting_text(other) == lasting_text(page)
    other.close()

    # Is it sound: one click, and one to the answer, which names what is wrong.
    page.get_by_role("link", name="Is it sound? Verify it too").click()  # 3
    on_page(page, "Integrity")
    press(page, "Verify this store")  # 4
    expect(page.get_by_role("button", name="Verify again")).to_be_visible(timeout=WORK_MS)
    ready(page)
    kinds = {row["kind"]: row["findings"] for row in table(page, "Findings by kind")}
    assert kinds["Breaks in a state chain"] != "0"
    page.get_by_role("link", name="Could it be restored from what is in it?").click()
    on_page(page, "Restore")
    expect(page.get_by_text(re.compile("✓ PASSED"))).to_be_visible(timeout=WAIT_MS)


def test_what_comes_back_is_seen_before_it_comes_back_and_is_thrown_away(page: Any, start: str, demo: Demo) -> None:
    go(page, f"{start}/restore?part=restore&clock=now")
    press(page, "Look what would come back")
    expect(page.get_by_text("Every live instance would come back")).to_be_visible(timeout=WORK_MS)
    ready(page)
    shown = table(page, "What would come back of each component")
    created = {event.instance_id for event in demo.events}
    assert sum(int(row["instances"].replace(",", "")) for row in shown) == len(created)

    # Nothing is made before it is confirmed.
    button = page.get_by_role("button", name="Restore into a fresh runtime")
    expect(button).to_be_disabled()
    page.get_by_text(re.compile(r"^Bring [\d,]+ instances back, in memory$")).click()
    expect(button).to_be_enabled(timeout=WAIT_MS)
    button.click()
    expect(page.get_by_role("button", name="Throw it away")).to_be_visible(timeout=WORK_MS)
    ready(page)
    assert re.search(r"[\d,]+ overdue timers would fire, each once", plain(text(page)))
    assert table(page, "Instances that live in the fresh runtime")
    press(page, "Let it go on")
    expect(page.get_by_text("it went on")).to_be_visible(timeout=WAIT_MS)
    ready(page)
    press(page, "Throw it away")
    expect(page.get_by_role("button", name="Throw it away")).to_have_count(0, timeout=WAIT_MS)
    with open_stores(demo.url) as stores:
        assert sum(1 for _ in stores.events.get_all_events()) == len(demo.events)


def test_a_snapshot_leads_to_what_restoring_its_instance_would_do(page: Any, start: str) -> None:
    go(page, f"{start}/restore?standing=behind")
    rows = table(page, "Snapshots, each against the events of its instance")
    assert {row["is"] for row in rows} == {"◔ behind"}
    pick_row(page, "Snapshots, each against the events of its instance", 0)
    expect(page.get_by_role("link", name="What restoring it would do")).to_be_visible(timeout=WAIT_MS)
    ready(page)
    page.get_by_role("link", name="What restoring it would do").click()
    expect(page.get_by_role("heading", name="What a restore would bring back")).to_be_visible(timeout=WAIT_MS)
    ready(page)
    assert f"instance={rows[0]['instance']}" in page.url
    facts = {row["what"]: row["is"] for row in table(page, re.compile("^What would come back of "))}  # type: ignore[arg-type]
    assert facts["as all events say"] == "✓ yes"
    assert "behind the events" in facts["snapshot"]


def test_a_drill_can_be_given_up(page: Any, serve: Callable[..., str], demo: Demo) -> None:
    # The second copy: nobody has drilled it.
    start = serve(APP, **{**demo.environment, "XCSTORE_URL": demo.live_url, "DATABASE_URL": demo.url})
    go(page, f"{start}/restore?part=drill")
    press(page, "Run the drill")
    page.get_by_role("button", name="Cancel").click(timeout=WAIT_MS)
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0, timeout=WAIT_MS)
    ready(page)
    expect(page.get_by_role("button", name="Run the drill", exact=True)).to_be_enabled()
    assert "PASSED" not in text(page)
