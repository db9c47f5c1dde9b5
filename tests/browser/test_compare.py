"""The Compare page in a browser: one click from a stuck order, pictures and table lead to the same step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.reading import APP, WAIT_MS, Demo, go, make_demo, on_page, pick_row, ready, table, text

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect

ROWS = "Steps of both sides"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return make_demo(tmp_path_factory)


@pytest.fixture
def start(serve: Callable[..., str], demo: Demo) -> str:
    return serve(APP, **demo.environment)


def address(page: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def test_one_click_from_a_stuck_order_says_what_the_others_did_next(page: Any, start: str, demo: Demo) -> None:
    own = demo.order("ORD-00123")
    go(page, f"{start}/instances?instance={own}")
    page.get_by_role("link", name="Compare with a typical one").click()
    on_page(page, "Compare")

    headline = page.get_by_role("heading", name="The same for 4 steps")
    expect(headline).to_contain_text("left has no further event (it has been in Reserving for", timeout=WAIT_MS)
    expect(headline).to_contain_text("where right went to AwaitingPayment by STOCK_RESERVED")
    right = demo.of(address(page)["right"])
    rows = table(page, ROWS)
    assert [row["right"].split(" →")[0].split(",")[0] for row in rows] == [item.event_type for item in right][
        : len(rows)
    ]
    assert [row["compared"] for row in rows[:5]] == ["= same"] * 4 + ["▶ only right, first"]


def test_a_picked_row_is_shown_in_full_and_stays_in_the_address(page: Any, start: str, demo: Demo) -> None:
    go(page, f"{start}/compare?left={demo.order('ORD-00123')}&typical=yes")
    expect(page.get_by_text("First difference · row 5")).to_be_visible(timeout=WAIT_MS)
    pick_row(page, ROWS, 1)

    expect(page.get_by_text("= same · row 2")).to_be_visible(timeout=WAIT_MS)
    ready(page)
    assert address(page)["at"] == "1"
    page.get_by_role("button", name="To the first difference").click()
    expect(page.get_by_text("First difference · row 5")).to_be_visible(timeout=WAIT_MS)


@pytest.mark.parametrize("width", [1280, 1920])
def test_nothing_is_wider_than_the_page_and_every_picture_is_drawn(
    new_page: Callable[..., Any], start: str, demo: Demo, width: int
) -> None:
    left, right = (
        next(item.id for item in demo.of(demo.order(key)) if item.event_type == "SUBMIT")
        for key in ("ORD-00123", "ORD-00001")
    )
    page = new_page(width=width)
    go(page, f"{start}/compare?what=traces&left={left}&right={right}")
    expect(page.get_by_label("Both traces, laid over each other").first).to_be_visible(timeout=WAIT_MS)
    page.get_by_role("tab", name="Over time").click()
    for side in ("left", "right"):
        expect(page.get_by_label(f"The {side} side over time").first).to_be_visible(timeout=WAIT_MS)
    assert "the same on both sides" in text(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
