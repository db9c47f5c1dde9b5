"""The Replay page in a real browser: it plays and steps without the server, and the address follows where one rests."""

from __future__ import annotations

import re
import statistics
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.browser.reading import APP, WAIT_MS, Demo, go, make_demo, on_page, ready, table, text
from tests.factories import event
from tests.pages.conftest import HOSTILE
from xcstore.model.history import CREATION
from xcstore.store.opening import open_stores

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect

LOST = "ORD-00123"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return make_demo(tmp_path_factory)


@pytest.fixture
def start(serve: Callable[..., str], demo: Demo) -> str:
    """Address of the Overview."""
    return serve(APP, **demo.environment)


@pytest.fixture(scope="session")
def long_key(demo: Demo) -> str:
    """The order with most events of its own, over all components."""
    keys = {}
    for one in demo.events:
        initial = one.payload.get("initialContext") if isinstance(one.payload, dict) else None
        if one.event_type == CREATION and isinstance(initial, dict) and "orderId" in initial:
            keys[one.instance_id] = str(initial["orderId"])
    return Counter(keys[one.instance_id] for one in demo.events if one.instance_id in keys).most_common(1)[0][0]


class Runs:
    """The script runs that a page asks its server for: 'fragment', or 'full'."""

    def __init__(self, page: Any) -> None:
        self.asked: list[str] = []
        page.on("websocket", lambda socket: socket.on("framesent", self._sent))

    def _sent(self, frame: str | bytes) -> None:
        from streamlit.proto.BackMsg_pb2 import BackMsg

        message = BackMsg.FromString(frame if isinstance(frame, bytes) else frame.encode())
        if message.WhichOneof("type") == "rerun_script":
            self.asked.append("fragment" if message.rerun_script.fragment_id else "full")


def player(page: Any) -> Any:
    return page.locator(".player")


def shown(page: Any, step: int) -> None:
    """Wait until the pictures and words of that step are there."""
    expect(player(page)).to_have_attribute("data-shown", str(step), timeout=WAIT_MS)


def at_rest(page: Any, step: int) -> None:
    """Wait until the address says where the cursor is."""
    expect(page).to_have_url(re.compile(rf"[?&]step={step}(&|$)"), timeout=WAIT_MS)
    ready(page)


def focus(page: Any) -> None:
    player(page).get_by_role("slider").focus()


def mark_pictures(page: Any) -> int:
    """Remember the root of every diagram; how many there are."""
    return int(
        player(page).evaluate(
            "root => { root.kept = [...root.querySelectorAll('.panel-body > svg')]; return root.kept.length }"
        )
    )


def kept_pictures(page: Any) -> int:
    """How many of them are the same nodes, still shown."""
    return int(
        player(page).evaluate(
            "root => [...root.querySelectorAll('.panel-body > svg')].filter((svg, n) => svg === root.kept[n]).length"
        )
    )


def lit(page: Any) -> list[str]:
    """The names of the states that are lit as the current one."""
    return ["".join(player(page).locator(".node.current .label").all_text_contents())]


def test_sixty_steps_play_over_several_components_in_the_same_pictures_without_a_full_run(
    page: Any, start: str, long_key: str
) -> None:
    runs = Runs(page)
    go(page, f"{start}/replay?key={long_key}&step=0")
    shown(page, 0)
    pictures = mark_pictures(page)
    assert pictures >= 3
    runs.asked.clear()
    player(page).get_by_label("Speed").select_option("10")
    player(page).evaluate(
        """root => {
          root.seen = [];
          new MutationObserver(() => root.seen.push(Number(root.dataset.shown)))
            .observe(root, { attributes: true, attributeFilter: ['data-shown'] });
        }"""
    )
    focus(page)
    page.keyboard.press("Space")
    expect(player(page).get_by_role("button", name="Pause")).to_be_visible(timeout=WAIT_MS)
    expect(player(page)).to_have_attribute("data-shown", re.compile(r"^(6[1-9]|[7-9]\d|1\d\d)$"), timeout=60_000)
    page.keyboard.press("Space")
    expect(player(page).get_by_role("button", name="Play", exact=True)).to_be_visible(timeout=WAIT_MS)

    seen = player(page).evaluate("root => root.seen")
    assert [step for step in dict.fromkeys(seen) if step][:60] == list(range(1, 61))
    assert kept_pictures(page) == pictures
    assert "full" not in runs.asked


def test_keys_step_within_what_is_prefetched_without_asking_the_server(page: Any, start: str, long_key: str) -> None:
    runs = Runs(page)
    go(page, f"{start}/replay?key={long_key}&step=10")
    shown(page, 10)
    focus(page)
    runs.asked.clear()
    times = []
    for step in range(11, 51):
        began = time.perf_counter()
        page.keyboard.press("ArrowRight")
        shown(page, step)
        times.append((time.perf_counter() - began) * 1_000)
    # A pause in between may be a rest, which tells the server the address; the steps themselves ask for nothing.
    assert "full" not in runs.asked
    assert len(runs.asked) <= 2
    print(f"median of 40 steps by keyboard: {statistics.median(times):.0f} ms")

    at_rest(page, 50)
    for key, step in (
        ("ArrowLeft", 49),
        ("Shift+ArrowLeft", 39),
        ("Shift+ArrowRight", 49),
        ("Home", 0),
        ("ArrowLeft", 0),
    ):
        page.keyboard.press(key)
        shown(page, step)
    at_rest(page, 0)
    assert "full" not in runs.asked


def test_a_permalink_opens_at_the_exact_step_and_the_tables_follow(
    page: Any, new_page: Callable[..., Any], start: str, demo: Demo
) -> None:
    order = demo.order(LOST)
    stream = demo.of(order)
    go(page, f"{start}/replay?instance={order}")
    shown(page, 0)
    focus(page)
    page.keyboard.press("End")
    shown(page, len(stream))
    at_rest(page, len(stream))
    expect(page.get_by_text(f"as of step {len(stream)}")).to_be_visible(timeout=WAIT_MS)
    beside = page.get_by_role("region", name="Instances as of this step")
    expect(beside).to_contain_text(stream[-1].state_after, timeout=WAIT_MS)  # redrawn a moment after the page
    (row,) = table(page, "Instances as of this step")
    assert row["state"].endswith(stream[-1].state_after)
    assert lit(page) == [stream[-1].state_after]

    other = new_page()
    go(other, page.url)
    shown(other, len(stream))
    assert lit(other) == [stream[-1].state_after]
    assert other.url == page.url


def test_forwards_then_backwards_shows_the_same(page: Any, start: str) -> None:
    go(page, f"{start}/replay?key={LOST}&step=0")
    shown(page, 0)
    focus(page)
    total = int(player(page).get_by_role("slider").get_attribute("aria-valuemax"))

    def look() -> tuple[Any, ...]:
        classes = player(page).evaluate(
            "root => [...root.querySelectorAll('.panel-body > svg .node, .panel-body > svg .edge')]"
            ".map(item => [...item.classList].sort().join(' '))"
        )
        return classes, player(page).locator(".side").inner_text()

    there = []
    for step in range(total + 1):
        shown(page, step)
        there.append(look())
        page.keyboard.press("ArrowRight")
    assert len({str(one) for one in there}) == total + 1
    for step in range(total, -1, -1):
        shown(page, step)
        assert look() == there[step]
        page.keyboard.press("ArrowLeft")


def test_a_breakpoint_stops_playing_and_b_goes_to_it(page: Any, start: str, demo: Demo) -> None:
    order = demo.order(LOST)
    at = next(n for n, one in enumerate(demo.of(order), 1) if one.event_type == "SUBMIT")
    go(page, f"{start}/replay?instance={order}&step=0&stop=event:SUBMIT")
    shown(page, 0)
    focus(page)
    page.keyboard.press("b")
    shown(page, at)
    page.keyboard.press("Home")
    shown(page, 0)
    player(page).get_by_label("Speed").select_option("10")
    focus(page)
    page.keyboard.press("Space")
    shown(page, at)
    expect(player(page).get_by_role("button", name="Play", exact=True)).to_be_visible(timeout=WAIT_MS)
    expect(player(page).locator(".live")).to_contain_text("Stopped at a breakpoint", timeout=WAIT_MS)


def test_an_effect_in_another_component_is_drawn_as_a_crossing(page: Any, start: str, demo: Demo) -> None:
    go(page, f"{start}/replay?key={LOST}&step=0")
    shown(page, 0)
    total = int(player(page).get_by_role("slider").get_attribute("aria-valuemax"))
    focus(page)
    crossed = 0
    for step in range(1, total + 1):
        page.keyboard.press("ArrowRight")
        shown(page, step)
        crossed += player(page).locator(".crossing .line").count()
        expect(player(page).locator(".token.focused")).to_have_count(1)
    assert crossed >= 1


def test_a_jump_in_a_long_history_brings_the_steps_there(page: Any, serve: Callable[..., str], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'long.db'}"
    states = ("One", "Two", "Three")
    with open_stores(url, read_only=False) as stores:
        stores.events.append_many(
            event(
                id=f"n{n:05}",
                instance_id="long",
                event_type=f"TO_{states[n % 3]}" if n else CREATION,
                state_before=states[(n - 1) % 3] if n else "",
                state_after=states[n % 3],
                payload={"n": n},
                persisted_at=1_767_225_600_000 + n * 1_000,
            )
            for n in range(3_000)
        )
    runs = Runs(page)
    go(page, f"{serve(APP, XCSTORE_URL=url, XCSTORE_DEMO='no-such-file.db')}/replay?instance=long&step=1500")
    shown(page, 1_500)
    assert lit(page) == [states[1_499 % 3]]
    runs.asked.clear()
    field = player(page).get_by_label("Go to step")
    field.fill("2,900")
    field.press("Enter")
    shown(page, 2_900)
    assert lit(page) == [states[2_899 % 3]]
    at_rest(page, 2_900)
    page.go_back()
    shown(page, 1_500)
    assert "fragment" in runs.asked


def test_stored_text_stays_text(page: Any, serve: Callable[..., str], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hostile.db'}"
    with open_stores(url, read_only=False) as stores:
        for number, bad in enumerate(HOSTILE):
            common: dict[str, Any] = {"instance_id": f"i{number}", "machine_name": bad, "component_name": bad}
            payload = {bad: bad, "deep": [{bad: [bad, None]}]}
            stores.events.append_many(
                [
                    event(
                        event_type=CREATION,
                        state_before="",
                        state_after=bad,
                        payload={"initialContext": payload},
                        **common,
                    ),
                    event(event_type=bad, state_before=bad, state_after=bad[::-1], payload=payload, **common),
                ]
            )
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog opened: {dialog.message}"))
    start = serve(APP, XCSTORE_URL=url, XCSTORE_DEMO="no-such-file.db")
    with open_stores(url) as stores:
        first, *_, last = (one.persisted_at for one in stores.events.get_all_events())
    go(page, f"{start}/replay?from={first}&to={last}&step=0")
    shown(page, 0)
    focus(page)
    said = set()
    for step in range(1, 2 * len(HOSTILE) + 1):
        page.keyboard.press("ArrowRight")
        shown(page, step)
        said.add(player(page).locator(".side h3").inner_text())
        assert player(page).locator("img, a, script, iframe").count() == 0
    assert HOSTILE[0] in said
    assert HOSTILE[1] in said


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_lies_over_anything_else_in_either_colour_scheme(
    new_page: Callable[..., Any], start: str, long_key: str, scheme: str
) -> None:
    page = new_page(width=1280, height=900, color_scheme=scheme)
    go(page, f"{start}/replay?key={quote(long_key)}&step=9")
    shown(page, 9)
    expect(player(page)).to_have_attribute("data-mode", scheme)
    boxes = [player(page).locator(name).bounding_box() for name in (".controls", ".strip", ".side", ".scene")]
    for upper, lower in pairwise(boxes):
        assert upper["y"] + upper["height"] <= lower["y"] + 1
    wide = player(page).bounding_box()["width"]
    assert all(box["width"] <= wide + 1 for box in boxes)


def test_walk_4_the_system_just_before_the_failure_then_step_by_step_through_it(
    page: Any, start: str, demo: Demo
) -> None:
    order = demo.order(LOST)
    last = demo.of(order)[-1]
    go(page, start)
    page.get_by_role("link", name=f"Replay the lost order {LOST}").click(timeout=WAIT_MS)  # 1
    on_page(page, "Replay")

    # The system just before: the order is where it was, and nobody has asked the warehouse yet.
    expect(player(page)).to_be_visible(timeout=WAIT_MS)
    before = int(player(page).get_attribute("data-shown"))
    rows = {row["machine"]: row["state"] for row in table(page, "Instances as of this step")}
    assert rows["Order"].endswith(last.state_before)
    assert "Reservation" not in rows

    # Step by step through it: the order asks, a reservation is made and checks, and then nothing more is its own.
    focus(page)
    page.keyboard.press("ArrowRight")
    shown(page, before + 1)
    assert lit(page) == [last.state_after]
    expect(player(page).locator(".side h3")).to_have_text(last.event_type)
    page.keyboard.press("ArrowRight")
    shown(page, before + 2)
    expect(player(page).locator(".side")).to_contain_text("Reservation")
    expect(player(page).locator(".side")).to_contain_text(f"Caused by {last.event_type}")
    at_rest(page, before + 2)
    page.keyboard.press("End")
    total = int(player(page).get_by_role("slider").get_attribute("aria-valuemax"))
    at_rest(page, total)
    expect(page.get_by_text(f"as of step {total}")).to_be_visible(timeout=WAIT_MS)
    beside = page.get_by_role("region", name="Instances as of this step")
    expect(beside).to_contain_text("Checking", timeout=WAIT_MS)  # a table is redrawn a moment after the page
    rows = {row["machine"]: row["state"] for row in table(page, "Instances as of this step")}
    assert rows["Order"].endswith("Reserving")
    assert rows["Reservation"].endswith("Checking")

    # The same with one event changed is one click away.
    assert parse_qs(urlsplit(page.url).query)["key"] == [LOST]
    expect(page.get_by_role("link", name="What if from here")).to_be_visible()
    assert "What if from here" in text(page)
