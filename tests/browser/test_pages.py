"""The whole app in a real browser: what the pages promise wherever they are opened."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from tests.browser.reading import (
    APP,
    SEARCH,
    WAIT_MS,
    Demo,
    go,
    make_demo,
    on_page,
    picture,
    ready,
    saved,
    search,
    table,
    text,
)
from xcstore.render.labels import moment_text
from xcstore.store.base import InstanceQuery
from xcstore.store.opening import open_stores
from xcstore.ui import widgets
from xcstore.units import EpochMs

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect

PAGES = ("", *(name for name in widgets.PAGES if name != "overview"))
HOSTILE = "<img src=x onerror"
KEY = "ORD-00123"
TABLE = "Events, newest first"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return make_demo(tmp_path_factory)


@pytest.fixture
def start(serve: Callable[..., str], demo: Demo) -> str:
    """Address of the Overview."""
    return serve(APP, **demo.environment)


def count_on(page: Any) -> int:
    """N of "shown 1-100 of N events"."""
    found = re.search(r"shown 1–\d+ of ([\d,]+) event", text(page))
    assert found, text(page)
    return int(found.group(1).replace(",", ""))


def test_search_works_by_keyboard_alone(page: Any, start: str) -> None:
    go(page, start)
    _tab_to(page, SEARCH)
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"Found for {KEY}")).to_be_visible(timeout=WAIT_MS)
    ready(page)

    _tab_to(page, "Everything it touched, in one picture")
    page.keyboard.press("Enter")

    on_page(page, "Causality")
    picture(page, "Instances and events that this business key touched")


def _tab_to(page: Any, name: str, most: int = 60) -> None:
    """Press Tab until what has that name has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "() => document.activeElement.getAttribute('aria-label') || document.activeElement.innerText || ''"
        )
        if name in focused:
            return
    pytest.fail(f"{name!r} was not reached by {most} presses of Tab")


@pytest.mark.parametrize("where", PAGES)
def test_every_page_is_dark_where_the_browser_is(new_page: Any, start: str, where: str) -> None:
    page = new_page(color_scheme="dark")
    go(page, f"{start}/{where}")
    ground, ink = page.get_by_test_id("stApp").evaluate(
        "app => [getComputedStyle(app).backgroundColor, getComputedStyle(app).color]"
        ".map(colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number))"
    )
    assert max(ground) < 64
    assert min(ink) > 160
    for canvas in page.locator(".canvas").all():
        expect(canvas).to_have_attribute("data-mode", "dark")


def test_hostile_text_in_the_history_stays_text_on_every_page(page: Any, start: str, demo: Demo) -> None:
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog opened: {dialog.message}"))
    note = next(e for e in demo.events if HOSTILE in repr(dict(e.payload)) and e.event_type == "NOTE_ADDED")
    places = {
        f"events?event={note.id}": "Payload",
        f"instances?instance={note.instance_id}&event={note.id}": "NOTE_ADDED",
        f"causality?event={note.id}": "NOTE_ADDED",
        f"causality?key={note.payload['note']}": HOSTILE,
        f"instances?instance={note.instance_id}&field=note": "Every event that set it",
    }
    for place, words in places.items():
        go(page, f"{start}/{place}")
        expect(page.get_by_test_id("stMain").get_by_text(words).first).to_be_visible(timeout=WAIT_MS)
        _check_nothing_ran(page)
    go(page, start)
    search(page, HOSTILE)
    _check_nothing_ran(page)

    go(page, f"{start}/events?text={HOSTILE}")
    assert count_on(page) == sum(HOSTILE in json.dumps(dict(e.payload), ensure_ascii=False) for e in demo.events)
    _check_nothing_ran(page)


def _check_nothing_ran(page: Any) -> None:
    assert page.title() != "owned"
    assert page.locator("img[src=x], img[src$='/x'], [onerror]").count() == 0


@pytest.mark.parametrize("form", ["CSV", "JSON", "NDJSON"])
def test_an_export_holds_the_filtered_events_and_no_others(
    page: Any, start: str, demo: Demo, tmp_path: Path, form: str
) -> None:
    wanted = {e.id for e in demo.events if e.event_type == "SUBMIT" and e.component_name == "OrderComponent"}
    go(page, f"{start}/events?type=SUBMIT&component=OrderComponent")
    assert count_on(page) == len(wanted)

    page.get_by_role("button", name="Export").click()
    page.get_by_role("radio", name=form, exact=True).or_(page.get_by_role("button", name=form, exact=True)).click()
    ready(page)
    page.get_by_role("button", name="Prepare the file").click()
    download = page.get_by_role("button", name=f"Download {len(wanted)} events")
    expect(download).to_be_visible(timeout=WAIT_MS)
    path = saved(page, download, tmp_path)

    assert path.name == f"events.{form.lower()}"
    key = "event_id" if form == "CSV" else "id"
    assert {row[key] for row in _rows(path)} == wanted
    assert len(_rows(path)) == len(wanted)


def _rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            return list(csv.DictReader(file))
        return json.load(file) if path.suffix == ".json" else [json.loads(line) for line in file]


def test_a_filter_picked_on_the_page_is_in_its_address_and_in_its_count(page: Any, start: str, demo: Demo) -> None:
    go(page, f"{start}/events")
    assert count_on(page) == len(demo.events)

    box = page.get_by_role("combobox", name="Event type")
    box.click()
    page.keyboard.type("SUBMIT")
    page.get_by_role("option", name=re.compile("^SUBMIT ")).click()
    page.keyboard.press("Escape")

    page.wait_for_url("**type=SUBMIT**", timeout=WAIT_MS)
    ready(page)
    assert count_on(page) == sum(event.event_type == "SUBMIT" for event in demo.events)
    assert {row["event"] for row in table(page, TABLE)} == {"SUBMIT"}


def test_following_shows_new_events_until_it_is_paused(page: Any, start: str, demo: Demo) -> None:
    newest = max(demo.events, key=lambda event: event.persisted_at)
    go(page, f"{start}/events?store=database")
    before = count_on(page)
    follow = page.get_by_role("switch", name="Follow").or_(page.get_by_role("checkbox", name="Follow"))
    page.get_by_text("Follow", exact=True).click()
    expect(follow).to_be_checked()
    expect(page.get_by_text("nothing new at")).to_be_visible(timeout=WAIT_MS)

    _append(demo, replace(newest, id="came-later", caused_by=(), persisted_at=newest.persisted_at + 1_000))
    expect(page.get_by_text(f"of {before + 1:,} events")).to_be_visible(timeout=WAIT_MS)
    ready(page)
    assert table(page, TABLE)[0]["stored"] == moment_text(EpochMs(newest.persisted_at + 1_000), UTC, millis=True)

    page.get_by_text("Follow", exact=True).click()
    expect(follow).not_to_be_checked()
    expect(page.get_by_text(re.compile("^as of [0-9]"))).to_be_visible(timeout=WAIT_MS)
    _append(demo, replace(newest, id="came-last", caused_by=(), persisted_at=newest.persisted_at + 2_000))
    page.wait_for_timeout(6_000)  # longer than it waits between two looks: the pause is what is tested
    assert count_on(page) == before + 1


def _append(demo: Demo, event: Any) -> None:
    with open_stores(demo.live_url, read_only=False) as stores:
        stores.events.append(event)


def test_a_click_on_a_state_leads_to_the_instances_in_it(page: Any, start: str, demo: Demo) -> None:
    go(page, f"{start}/machines?machine_component=OrderComponent&machine=Order")
    with open_stores(demo.url) as stores:
        query = InstanceQuery(components=("OrderComponent",), machines=("Order",), states=("Shipped",))
        now = sum(row.count for row in stores.events.count_instances(query))

    picture(page, "States of Order").get_by_role("button", name=re.compile("^Shipped,")).click()
    link = page.get_by_role("link", name="Instances in this state now")
    expect(link).to_be_visible(timeout=WAIT_MS)
    ready(page)
    assert f"instances now: {now}" in text(page)
    assert "state=Shipped" in page.url

    link.click()
    on_page(page, "Instances")
    assert f"{now} instances" in text(page)
    assert {row["state"].split()[-1] for row in table(page, "Instances, latest first")} == {"Shipped"}


def test_a_click_on_an_arrow_leads_to_the_events_that_took_it(page: Any, start: str, demo: Demo) -> None:
    go(page, f"{start}/machines?machine_component=OrderComponent&machine=Order")
    taken = sum(
        (e.machine_name, e.event_type, e.state_before, e.state_after) == ("Order", "CANCEL", "Backordered", "Cancelled")
        for e in demo.events
    )
    assert taken

    arrow = re.compile("^CANCEL, .*Backordered → Cancelled")
    picture(page, "States of Order").get_by_role("button", name=arrow).dispatch_event("click")
    expect(page.get_by_text(f"observed {taken} times")).to_be_visible(timeout=WAIT_MS)
    page.get_by_role("link", name="These events").click()

    on_page(page, "Events")
    assert count_on(page) == taken


@pytest.mark.parametrize("other", ["Overview", "Instances", "Machines", "Causality"])
def test_one_step_back_in_the_browser_shows_the_page_before(page: Any, start: str, other: str) -> None:
    go(page, f"{start}/events?type=SUBMIT")
    submits = count_on(page)
    page.get_by_role("region", name="Sidebar").get_by_role("link", name=other).click()
    on_page(page, other)

    page.go_back()

    on_page(page, "Events")
    assert page.url == f"{start}/events?type=SUBMIT"
    assert count_on(page) == submits


def test_a_store_file_that_is_read_only_has_nothing_beside_it_afterwards(page: Any, start: str, demo: Demo) -> None:
    path = Path(demo.url.removeprefix("sqlite:///"))
    for where in PAGES:
        go(page, f"{start}/{where}")
    assert sorted(item.name for item in path.parent.iterdir() if item.name.startswith("demo.db")) == ["demo.db"]
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        assert connection.execute("SELECT count(*) FROM fsm_events").fetchone() == (len(demo.events),)
    connection.close()
