"""The viewer in a real browser: what it shows, what a click gives, and that stored text stays text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.examples import HOSTILE
from xcstore.render.labels import visible_text

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect

APP = Path(__file__).with_name("viewer_app.py")


@pytest.fixture
def visit(serve: Callable[..., str], wait_until_ready: Callable[..., None]) -> Callable[[Any, str], None]:
    """Open one example of the app."""

    def go(page: Any, which: str) -> None:
        page.goto(f"{serve(APP)}/?show={which}")
        wait_until_ready(page)
        expect(page.locator(".canvas .stage").first).to_be_visible()

    return go


def place(page: Any) -> str:
    return str(page.locator(".stage").first.get_attribute("transform"))


def scale(page: Any) -> float:
    found = re.search(r"scale\(([\d.]+)\)", place(page))
    assert found is not None
    return float(found.group(1))


def test_a_click_on_a_state_gives_its_id_once_and_marks_it(page: Any, visit: Any, wait_until_ready: Any) -> None:
    visit(page, "machine")
    state = page.get_by_role("button", name=re.compile("^FinanceReview"))
    state.click()
    expect(page.get_by_text("clicked: FinanceReview")).to_be_visible()
    expect(state).to_have_attribute("aria-pressed", "true")

    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_text("clicked: None")).to_be_visible()
    expect(page.get_by_text("clicks: 1", exact=True)).to_be_visible()
    expect(state).to_have_class(re.compile("selected"))


def test_a_click_on_a_transition_gives_its_id(page: Any, visit: Any) -> None:
    visit(page, "machine")
    page.get_by_text("MANAGER_REJECT").first.click()
    expect(page.get_by_text("clicked: ManagerReview→Rejected")).to_be_visible()


def test_the_whole_picture_is_in_view_at_first(page: Any, visit: Any) -> None:
    visit(page, "machine")
    view = page.locator(".view").bounding_box()
    for node in page.locator(".stage .node").all():
        box = node.bounding_box()
        assert view["x"] <= box["x"]
        assert box["x"] + box["width"] <= view["x"] + view["width"] + 1
        assert view["y"] <= box["y"]
        assert box["y"] + box["height"] <= view["y"] + view["height"] + 1


def test_a_wide_page_shows_the_wide_shape_and_a_narrow_one_the_tall_shape(new_page: Any, visit: Any) -> None:
    ratios = []
    for width in (1920, 1000):
        opened = new_page(width=width)
        visit(opened, "machine")
        box = opened.locator(".stage").bounding_box()
        ratios.append(box["width"] / box["height"])
    assert ratios[0] > 2 > ratios[1]


def test_keys_zoom_pan_and_fit(page: Any, visit: Any) -> None:
    visit(page, "machine")
    fitted, first = scale(page), place(page)
    page.locator(".view").focus()
    page.keyboard.press("+")
    assert scale(page) == pytest.approx(fitted * 1.25)
    page.keyboard.press("-")
    assert scale(page) == pytest.approx(fitted)
    page.keyboard.press("ArrowRight")
    assert place(page) != first
    page.keyboard.press("0")
    assert place(page) == first


def test_the_wheel_zooms_with_ctrl_and_scrolls_the_page_without(page: Any, visit: Any) -> None:
    visit(page, "machine")
    box = page.locator(".view").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    before = scale(page)
    page.mouse.wheel(0, -100)
    assert scale(page) == before
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    page.wait_for_function(
        "([root, before]) => !root.getAttribute('transform').includes(`scale(${before})`)",
        arg=[page.locator(".stage").first.element_handle(), before],
    )
    assert scale(page) > before


def test_dragging_pans_selects_nothing_and_lasts_over_a_rerun(page: Any, visit: Any, wait_until_ready: Any) -> None:
    visit(page, "machine")
    first = place(page)
    box = page.get_by_role("button", name=re.compile("^FinanceReview")).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 40, steps=5)
    page.mouse.up()
    moved = place(page)
    assert moved != first
    page.get_by_role("button", name="Run again").click()
    wait_until_ready(page)
    expect(page.get_by_text("clicks: 0", exact=True)).to_be_visible()
    assert place(page) == moved


def test_one_tab_stop_then_arrows_walk_and_enter_selects(page: Any, visit: Any) -> None:
    visit(page, "machine")
    page.locator(".view").focus()
    page.keyboard.press("Tab")
    focused = page.locator(".node:focus, .edge:focus")
    expect(focused).to_have_attribute("aria-label", re.compile("^Draft"))
    expect(page.locator(".tip")).to_contain_text("Draft")
    page.keyboard.press("ArrowDown")
    expect(focused).not_to_have_attribute("aria-label", re.compile("^Draft"))
    name = focused.get_attribute("aria-label").split(",")[0]
    page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile("clicks: 1"))).to_be_visible()
    assert name


def test_hovering_shows_the_facts_of_a_state(page: Any, visit: Any) -> None:
    visit(page, "machine")
    page.get_by_role("button", name=re.compile("^Escalated")).hover()
    expect(page.locator(".tip")).to_be_visible()
    expect(page.locator(".tip")).to_contain_text("never reached")


def test_the_legend_says_in_words_what_is_drawn(page: Any, visit: Any) -> None:
    visit(page, "machine")
    words = page.locator(".legend li span").all_inner_texts()
    assert {"entry", "final", "error", "not declared", "timeout", "observed, not declared"} <= set(words)


def test_dark_pages_have_dark_pictures_with_the_colours_for_dark_grounds(new_page: Any, visit: Any) -> None:
    strokes = {}
    for mode in ("light", "dark"):
        opened = new_page(color_scheme=mode)
        visit(opened, "machine")
        expect(opened.locator(".canvas")).to_have_attribute("data-mode", mode)
        strokes[mode] = opened.locator(".node .stripe").first.evaluate("part => getComputedStyle(part).fill")
    assert strokes["light"] != strokes["dark"]


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("which", ["machine", "path", "causes", "timeline"])
def test_every_text_in_a_picture_can_be_read(new_page: Any, visit: Any, which: str, mode: str) -> None:
    opened = new_page(color_scheme=mode)
    visit(opened, which)
    measured = opened.locator(".canvas").first.evaluate(CONTRAST)
    assert measured
    low = [(text, ratio) for text, ratio in measured if ratio < 3]
    assert not low


# Each label against what it stands on: the box of its node, else the page. Faded things count as they are seen.
CONTRAST = """canvas => {
  const parse = text => {
    const parts = text.match(/[\\d.]+/g).map(Number);
    const unit = text.startsWith('color(') ? 255 : 1;
    return parts.slice(0, 3).map(part => part * unit);
  };
  const lum = rgb => {
    const [r, g, b] = rgb.map(p => p / 255).map(p => p <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const mix = (a, b, part) => a.map((value, at) => value * part + b[at] * (1 - part));
  const paper = parse(getComputedStyle(canvas).backgroundColor);
  return [...canvas.querySelectorAll('.stage text')].map(text => {
    const style = getComputedStyle(text);
    const node = text.closest('.node');
    const box = node && node.querySelector(text.classList.contains('count') ? '.pill' : '.box');
    const opacity = Number(style.opacity);
    const ground = box ? mix(parse(getComputedStyle(box).fill), paper, opacity) : paper;
    const ink = mix(parse(style.fill), ground, opacity);
    const [low, high] = [lum(ink), lum(ground)].sort((a, b) => a - b);
    return [text.textContent, (high + 0.05) / (low + 0.05)];
  });
}"""


def test_hostile_text_is_text_and_runs_nothing(page: Any, visit: Any) -> None:
    visit(page, "hostile")
    assert page.title() == "viewer"
    assert page.locator(".canvas img, .canvas script, .canvas a, .canvas foreignObject, .canvas image").count() == 0
    labels = (
        page.locator(".canvas")
        .first.locator(".stage .node")
        .evaluate_all("nodes => nodes.map(node => node.dataset.title.split('\\n')[0])")
    )
    assert labels == [visible_text(text, 1_000) or "(no name)" for text in HOSTILE]


def test_hostile_text_in_markdown_is_neither_link_nor_picture_nor_formula(page: Any, visit: Any) -> None:
    visit(page, "hostile")
    words = page.locator('[data-testid="stMarkdownContainer"]', has_text="start")
    expect(words).to_contain_text("<img src=x")
    expect(words).to_contain_text("**bold**")
    expect(words).to_contain_text(":material/home:".replace(":", ":\u2060", 1))
    assert words.locator("a, img, code, strong, em, .katex, span[style], [data-testid=stIconMaterial]").count() == 0


def test_a_click_on_a_hostile_node_gives_its_whole_own_id(page: Any, visit: Any) -> None:
    visit(page, "hostile")
    page.locator("#n1").first.click()
    expect(page.get_by_text(f"clicked: h1{HOSTILE[1][:50]}")).to_be_visible()


def test_what_may_run_or_load_is_taken_out_of_a_foreign_svg(page: Any, visit: Any) -> None:
    visit(page, "raw")
    assert page.title() == "viewer"
    names = page.locator(".canvas .stage").evaluate("s => [...s.querySelectorAll('*')].map(e => e.localName)")
    assert set(names) == {"g", "rect", "text"}
    attributes = page.locator(".canvas .stage").evaluate(
        "s => [...s.querySelectorAll('*')].flatMap(e => [...e.attributes].map(a => `${a.name}=${a.value}`))"
    )
    assert not [text for text in attributes if re.match(r"on|style|.*href", text) or "url(" in text]


def test_each_of_several_loops_at_one_state_can_be_clicked(page: Any, visit: Any) -> None:
    visit(page, "loops")
    page.get_by_role("button", name=re.compile("^EVENT_2,")).click()
    expect(page.get_by_text("clicked: loop 2")).to_be_visible()


def test_a_picture_that_is_not_shown_whole_says_so_and_can_be(page: Any, visit: Any) -> None:
    visit(page, "large")
    more = page.get_by_role("button", name="Show all")
    more.click()
    expect(more).to_be_hidden()
    page.get_by_role("button", name=re.compile("^Zoom in")).click()
    expect(more).to_be_visible()


def test_a_picture_in_a_closed_expander_is_drawn_when_it_opens(
    page: Any, serve: Any, wait_until_ready: Callable[..., None]
) -> None:
    page.goto(f"{serve(APP)}/?show=hidden")
    wait_until_ready(page)
    page.get_by_text("Later").click()
    state = page.get_by_role("button", name=re.compile("^Shipped,"))
    expect(state).to_be_visible()
    assert page.locator(".canvas").bounding_box()["height"] > 150


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_charts_draw_a_bar_for_each_value(
    new_page: Any, serve: Any, wait_until_ready: Callable[..., None], mode: str
) -> None:
    opened = new_page(color_scheme=mode)
    opened.goto(f"{serve(APP)}/?show=charts")
    wait_until_ready(opened)
    first, second = opened.get_by_test_id("stVegaLiteChart").all()
    expect(first.locator('path[aria-roledescription="rect mark"]')).to_have_count(96)
    tall = first.locator('path[aria-roledescription="rect mark"]').evaluate_all(
        "all => all.map(p => p.getBBox().height)"
    )
    assert min(tall) > 1
    expect(second.locator("path[aria-roledescription=bar]")).to_have_count(3)
    expect(second).to_contain_text("✕ error")
    expect(second).to_contain_text("<x>'")


def test_a_timeline_fills_the_width_and_an_event_can_be_clicked(page: Any, visit: Any) -> None:
    visit(page, "timeline")
    view = page.locator(".view").first.bounding_box()
    stage = page.locator(".stage").first.bounding_box()
    assert stage["width"] > 0.9 * view["width"]
    page.get_by_role("button", name=re.compile("^SHIP,")).click()
    expect(page.get_by_text("clicked: ship")).to_be_visible()


@pytest.mark.parametrize("kind", ["SVG", "PNG"])
def test_a_picture_can_be_downloaded_and_stands_alone(page: Any, visit: Any, kind: str, tmp_path: Path) -> None:
    visit(page, "machine")
    with page.expect_download() as started:
        page.get_by_role("button", name=f"Download {kind}").click()
    download = started.value
    assert download.suggested_filename == f"ExpenseRequest.{kind.lower()}"
    download.save_as(tmp_path / "picture")
    content = (tmp_path / "picture").read_bytes()
    if kind == "PNG":
        assert content.startswith(b"\x89PNG")
        width, height = int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
        assert math.isclose(width / height, 1.4, rel_tol=0.5)
    else:
        text = content.decode()
        assert "ManagerReview" in text
        assert "var(--" not in text
        assert "<title>Escalated" in text
