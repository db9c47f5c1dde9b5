"""The space-time diagram in a real browser: what it shows, what clicks and keys do, and that stored text stays text."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.examples import HOSTILE

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect

APP = Path(__file__).with_name("spacetime_app.py")
WAIT_MS = 60_000


@pytest.fixture
def visit(serve: Callable[..., str], wait_until_ready: Callable[..., None]) -> Callable[..., None]:
    """Open one example of the app, drawn."""

    def go(page: Any, which: str, **params: str) -> None:
        rest = "".join(f"&{name}={value}" for name, value in params.items())
        page.goto(f"{serve(APP)}/?show={which}{rest}")
        wait_until_ready(page, WAIT_MS)
        expect(page.locator(".spacetime")).to_have_attribute("data-ready", re.compile(".+"), timeout=WAIT_MS)

    return go


def ask(page: Any, script: str) -> Any:
    """The answer of the component's own object `view`."""
    return page.locator(".spacetime").evaluate(f"root => {{ const view = root.spacetime; return {script} }}")


def spot(page: Any, label: str) -> tuple[float, float]:
    """Where on the page the mark with this label is."""
    box = page.locator(".spacetime .view").bounding_box()
    number = ask(page, f"view.data.marks.label.findIndex(text => view.texts[text] === {label!r})")
    assert number >= 0
    x, y = ask(page, f"[view.X(view.lane[{number}]), view.Y(view.y[{number}])]")
    return box["x"] + x, box["y"] + y


def colours(page: Any) -> int:
    """How many different colours the canvas holds: an empty one has one."""
    return int(
        ask(
            page,
            "new Set(new Uint32Array(view.paper.getContext('2d').getImageData(0, 0, view.paper.width, "
            "view.paper.height).data.buffer)).size",
        )
    )


def lanes(page: Any) -> list[str]:
    return [str(name) for name in page.locator(".spacetime .head .name").all_inner_texts()]


def said(page: Any) -> Any:
    return page.locator('.spacetime .live[aria-live="polite"]')


@pytest.mark.parametrize("which", ["one", "few", "order", "500"])
@pytest.mark.parametrize("order", ["time", "causal"])
def test_pictures_of_any_size_are_drawn(page: Any, visit: Any, which: str, order: str) -> None:
    visit(page, which, order=order)
    assert colours(page) > 3
    assert page.locator(".spacetime .legend li").count() >= 1


def test_a_click_on_an_event_gives_its_id_once(page: Any, visit: Any, wait_until_ready: Any) -> None:
    visit(page, "order")
    page.mouse.click(*spot(page, "CAPTURED"))
    expect(page.get_by_text("clicked: captured")).to_be_visible()
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_text("clicked: None")).to_be_visible()
    assert ask(page, "view.texts[view.data.marks.label[view.selected]]") == "CAPTURED"


def test_a_click_beside_all_marks_and_a_drag_give_nothing(page: Any, visit: Any) -> None:
    visit(page, "500")
    box = page.locator(".spacetime .view").bounding_box()
    page.mouse.click(box["x"] + 20, box["y"] + 200)
    before = ask(page, "view.top")
    page.mouse.move(box["x"] + 400, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 200, steps=4)
    page.mouse.up()
    assert ask(page, "view.top") == pytest.approx(before + 100)
    expect(page.get_by_text("clicked: None")).to_be_visible()


def test_hovering_tells_the_facts_of_an_event(page: Any, visit: Any) -> None:
    visit(page, "order")
    page.mouse.move(*spot(page, "SUBMIT"))
    tip = page.locator(".spacetime .tip")
    expect(tip).to_be_visible()
    expect(tip).to_contain_text("SUBMIT")
    expect(tip).to_contain_text("instance Order 1")
    expect(tip).to_contain_text("2026-01-01 00:00:00.000")


def test_keys_walk_from_event_to_event_and_say_where_one_is(page: Any, visit: Any) -> None:
    visit(page, "order")
    page.locator(".spacetime .view").focus()
    page.keyboard.press("Home")
    expect(said(page)).to_contain_text("SUBMIT")
    expect(said(page)).to_contain_text("0 causes, 3 effects; 1 of 2 in lane Order")
    page.keyboard.press("ArrowDown")
    expect(said(page)).to_contain_text("PAID")
    page.keyboard.press("c")
    expect(said(page)).to_contain_text(re.compile(r"cause 1 of \d: "))
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(said(page)).to_contain_text("in lane Payment")
    page.keyboard.press("ArrowLeft")
    expect(said(page)).to_contain_text("in lane Order")
    page.keyboard.press("End")
    expect(said(page)).to_contain_text("PACKED")
    page.keyboard.press("e")
    expect(said(page)).to_have_text("No effect in this picture")
    page.keyboard.press("Enter")
    expect(page.get_by_text("clicked: packed")).to_be_visible()


def test_a_run_opens_on_a_click_and_folds_again(page: Any, visit: Any) -> None:
    visit(page, "order")
    expect(page.get_by_text("marks: 7")).to_be_visible()
    page.mouse.click(*spot(page, "TRY0 … TRY3"))
    expect(page.get_by_text("marks: 10")).to_be_visible()
    page.get_by_role("button", name="Fold the opened runs again").click()
    expect(page.get_by_text("marks: 7")).to_be_visible()


def test_hiding_a_lane_is_in_the_address_and_keeps_what_led_through_it(page: Any, visit: Any) -> None:
    visit(page, "order")
    assert lanes(page) == ["Order", "Payment", "Stock", "Parcel"]
    page.get_by_role("button", name=re.compile("^Hide.*Payment")).click()
    expect(page.locator(".spacetime .head")).to_have_count(3)
    page.wait_for_url(re.compile("hide="))
    assert parse_qs(urlsplit(page.url).query)["hide"] == ["PaymentComponent/Payment"]
    assert "via 6 hidden events" in ask(page, "Object.values(view.data.via)")
    expect(page.get_by_text("1 lane hidden, with 6 events")).to_be_visible()

    page.reload()
    expect(page.locator(".spacetime .head")).to_have_count(3, timeout=WAIT_MS)
    page.get_by_role("button", name="Show all lanes").click()
    expect(page.locator(".spacetime .head")).to_have_count(4)
    page.wait_for_url(lambda url: "hide=" not in url)


def test_a_lane_is_hidden_by_keyboard_too(page: Any, visit: Any) -> None:
    visit(page, "order")
    hide = page.get_by_role("button", name=re.compile("^Hide.*Stock"))
    hide.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".spacetime .head")).to_have_count(3)


def test_both_of_two_causes_can_be_told_apart(page: Any, visit: Any) -> None:
    visit(page, "order")
    words = page.locator(".spacetime .legend li").all_inner_texts()
    assert {"recorded cause", "inferred cause", "followed in its instance", "doubtful cause"} <= set(words)
    assert {"cause not in this store", "idle time, cut"} <= set(words)


def test_other_links_between_the_same_events_are_drawn_anew(page: Any, visit: Any, wait_until_ready: Any) -> None:
    visit(page, "order", runs="all")
    before = ask(page, "view.to.length")

    page.get_by_text("As recorded").click()
    wait_until_ready(page)

    # Three of the links are inferred or doubtful; the marks stay as they are.
    expect(page.locator(".spacetime .legend")).not_to_contain_text("doubtful", timeout=WAIT_MS)
    assert ask(page, "view.to.length") == before - 3


def test_zoom_and_fit_by_keys_buttons_and_wheel(page: Any, visit: Any) -> None:
    visit(page, "500")
    first = ask(page, "view.zoom")
    page.locator(".spacetime .view").focus()
    page.keyboard.press("+")
    assert ask(page, "view.zoom") == pytest.approx(first * 1.4)
    page.get_by_role("button", name=re.compile("^Zoom out")).click()
    assert ask(page, "view.zoom") == pytest.approx(first)
    box = page.locator(".spacetime .view").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 300)
    page.keyboard.down("Control")
    page.mouse.wheel(0, 100)
    page.keyboard.up("Control")
    page.wait_for_function("([root, zoom]) => root.spacetime.zoom < zoom", arg=[handle(page), first])
    page.get_by_role("button", name=re.compile("^Fit to view")).click()
    page.wait_for_function(
        "([root]) => root.spacetime.data.height * root.spacetime.zoom <= root.spacetime.tall + 1", arg=[handle(page)]
    )


def handle(page: Any) -> Any:
    return page.locator(".spacetime").element_handle()


def test_the_picture_comes_as_png_and_svg_and_dot(page: Any, visit: Any) -> None:
    visit(page, "order")
    with page.expect_download() as png:
        page.get_by_role("button", name="Download PNG").click()
    assert Path(png.value.path()).read_bytes().startswith(b"\x89PNG")
    with page.expect_download() as svg:
        page.get_by_role("button", name="Download SVG").click()
    text = Path(svg.value.path()).read_text(encoding="utf-8")
    assert text.startswith("<svg")
    assert "CAPTURED" in text
    with page.expect_download() as dot:
        page.get_by_role("button", name="Download DOT").click()
    assert "digraph" in Path(dot.value.path()).read_text(encoding="utf-8")


def test_a_picture_too_large_for_one_png_says_so(page: Any, visit: Any) -> None:
    visit(page, "3000")
    page.get_by_role("button", name="Download PNG").click()
    expect(page.locator(".spacetime .said")).to_contain_text("Too large for one PNG")


def test_dark_pages_have_dark_pictures(new_page: Any, visit: Any) -> None:
    inks = {}
    for mode in ("light", "dark"):
        opened = new_page(color_scheme=mode)
        visit(opened, "order")
        expect(opened.locator(".spacetime")).to_have_attribute("data-mode", mode)
        inks[mode] = ask(opened, "[view.inks.paper, view.inks.vermilion]")
    assert inks["light"][0] != inks["dark"][0]
    assert inks["light"][1] != inks["dark"][1]


def test_hostile_text_is_text_and_runs_nothing(page: Any, visit: Any) -> None:
    visit(page, "hostile")
    page.locator(".spacetime .view").focus()
    page.keyboard.press("Home")
    for _ in HOSTILE:
        page.keyboard.press("ArrowRight")
    assert page.title() == "space-time"
    assert page.locator(".spacetime").locator("img, script, a, iframe, x, b").count() == 0
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", page.locator(".spacetime").inner_text())
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page.get_by_text("clicked: 0<x>")).to_be_visible()


def test_twenty_thousand_events_are_drawn_and_zoomed_out_as_bands(page: Any, visit: Any) -> None:
    visit(page, "20000")
    expect(page.get_by_text("marks: 20000")).to_be_visible(timeout=WAIT_MS)
    ready = ask(page, "view.stats.ready")
    assert colours(page) > 3
    frames = page.locator(".spacetime").evaluate(FRAMES)
    page.get_by_role("button", name=re.compile("^Fit to view")).click()
    page.wait_for_function("([root]) => root.spacetime.crowded", arg=[handle(page)])
    whole = page.locator(".spacetime").evaluate(FRAMES)
    assert colours(page) > 3
    print(f"20,000 events: {ready:.0f} ms from data to painted; redraw {frames:.1f} ms, of the whole {whole:.1f} ms")


FRAMES = """root => {
  const view = root.spacetime, took = []
  for (let n = 0; n < 21; n++) {
    view.top += 15
    view.paint()
    took.push(view.stats.last)
  }
  return took.sort((a, b) => a - b)[10]
}"""
