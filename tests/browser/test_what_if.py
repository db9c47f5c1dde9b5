"""What if, in a browser: walk 4 of the design, second half; a fork that is kept, opened again, and run as a test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.browser.conftest import ROOT
from tests.browser.reading import (
    APP,
    WAIT_MS,
    Demo,
    go,
    make_demo,
    on_page,
    pick_row,
    picture,
    ready,
    saved,
    table,
    text,
)
from xcstore.model.history import PersistedEvent

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect

STEPS, ROWS, ENDS = "Steps that can be changed", "Steps on both sides", "Ends of the instances"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return make_demo(tmp_path_factory)


@pytest.fixture
def start(serve: Callable[..., str], demo: Demo) -> str:
    return serve(APP, **demo.environment)


@pytest.fixture
def failure(demo: Demo) -> Sequence[PersistedEvent]:
    """What led to the failure of an order, in order: the bank's last refusal first, the order's failure last."""
    last = next(event for event in demo.events if event.state_after == "PaymentFailed")
    by_id = {event.id: event for event in demo.events}
    chain = [last]
    while chain[0].event_type != "GATEWAY_DECLINED":
        chain.insert(0, by_id[chain[0].caused_by[0]])
    return chain


def address(page: Any) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def main(page: Any) -> Any:
    return page.get_by_test_id("stMain")


def told(page: Any) -> str:
    """The sentence."""
    heading = main(page).get_by_role("heading").filter(has_text="With this change")
    expect(heading).to_be_visible(timeout=WAIT_MS)
    ready(page)
    return str(heading.inner_text())


def approved(start: str, failure: Sequence[PersistedEvent]) -> str:
    """Address of the fork in which the bank approves."""
    edit = json.dumps(["change", failure[0].id, "GATEWAY_APPROVED"])
    return f"{start}/what_if?trace={failure[-1].id}&edit={quote(edit)}&run=yes"


def test_walk_4_the_step_before_the_failure_then_the_same_with_one_event_changed(
    page: Any, new_page: Callable[..., Any], start: str, demo: Demo, failure: Sequence[PersistedEvent]
) -> None:
    go(page, f"{start}/what_if?trace={failure[-1].id}&event={failure[0].id}")
    assert table(page, STEPS)[1]["event"] == "GATEWAY_DECLINED"
    expect(main(page).get_by_text("recorded Processing → Refused")).to_be_visible(timeout=WAIT_MS)

    # The bank approves, instead of refusing for the last time.
    kind = main(page).get_by_role("combobox", name="Event type")
    kind.click()
    page.get_by_role("option", name="GATEWAY_APPROVED").click()
    main(page).get_by_role("button", name="Change it").click()
    expect(main(page).get_by_text("GATEWAY_DECLINED is GATEWAY_APPROVED")).to_be_visible(timeout=WAIT_MS)
    ready(page)
    main(page).get_by_role("button", name="Run the fork").click()
    sentence = told(page)

    assert "ends in Captured instead of Refused" in sentence
    assert "gets as far as Paid instead of PaymentFailed" in sentence
    rows = table(page, ROWS)
    assert any(row["is"].startswith("≠ changed") for row in rows)
    assert any(row["is"] == "− gone" and "PaymentFailed" in row["recorded"] for row in rows)
    assert any(row["is"] == "+ new" and row["in the fork"].endswith("→ Paid") for row in rows)
    # What the shop would have done with the paid order is nobody's knowledge, and said so.
    assert "What this rests on" in text(page)
    assert "PaymentFailed (ended)" in {row["recorded end"] for row in table(page, ENDS)}
    for side in ("recorded", "in the fork"):
        picture(page, f"The way of Payment {key_of(demo, failure[0])}, {side}")

    # The link opens the same, with its answer, for somebody else.
    other = new_page()
    go(other, page.url)
    assert told(other) == sentence
    assert table(other, ROWS) == rows


def key_of(demo: Demo, event: PersistedEvent) -> str:
    created = next(one for one in demo.of(event.instance_id) if not one.state_before)
    return str(created.payload["initialContext"]["orderId"])


def test_the_lost_order_goes_on_once_its_answer_is_sent(page: Any, start: str, demo: Demo) -> None:
    go(page, f"{start}/what_if")
    assert table(page, "Instances that wait for too long")[0]["business key"] == "ORD-00123"
    pick_row(page, "Instances that wait for too long", 0)
    expect(main(page).get_by_text("Order ORD-00123")).to_have_count(2, timeout=WAIT_MS)
    ready(page)
    assert address(page)["instance"] == [demo.order("ORD-00123")]

    main(page).get_by_text("Insert", exact=True).click()
    expect(main(page).get_by_text("Its matching rules ask for orderId.")).to_be_visible(timeout=WAIT_MS)
    ready(page)
    main(page).get_by_role("button", name="Insert it").click()
    expect(main(page).get_by_text("STOCK_RESERVED is sent to Order")).to_be_visible(timeout=WAIT_MS)
    ready(page)
    main(page).get_by_role("button", name="Run the fork").click()
    assert "Order ORD-00123 gets as far as AwaitingPayment instead of Reserving" in told(page)

    main(page).get_by_role("button", name="Undo").click()
    expect(main(page).get_by_text("0 changes in this fork")).to_be_visible(timeout=WAIT_MS)
    ready(page)
    assert "edit" not in address(page)


def test_a_fork_is_kept_as_a_file_that_opens_again_and_as_a_test_that_runs(
    page: Any, start: str, failure: Sequence[PersistedEvent], tmp_path: Path
) -> None:
    go(page, approved(start, failure))
    sentence = told(page)
    fork = saved(page, main(page).get_by_role("button", name="Download the fork (JSON)"), tmp_path)
    test = saved(page, main(page).get_by_role("button", name="Download it as a test (pytest)"), tmp_path)

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", str(test)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout[-2_000:]

    go(page, f"{start}/what_if?instance={failure[-1].instance_id}")
    main(page).get_by_role("button", name="Open a fork").click()
    page.locator('input[type="file"][accept*="json"]').last.set_input_files(fork)
    expect(main(page).get_by_text("GATEWAY_DECLINED is GATEWAY_APPROVED")).to_be_visible(timeout=WAIT_MS)
    ready(page)
    assert address(page)["trace"] == [failure[-1].id]
    page.keyboard.press("Escape")
    main(page).get_by_role("button", name="Run the fork").click()
    assert told(page) == sentence


def test_the_smallest_cause_is_found_from_the_page(
    page: Any, start: str, failure: Sequence[PersistedEvent], tmp_path: Path
) -> None:
    go(page, f"{start}/what_if?tab=cause&trace={failure[-1].id}&event={failure[-1].id}")
    main(page).get_by_role("button", name="Find its smallest cause").click()
    heading = main(page).get_by_role("heading", name="PAYMENT_REFUSED → PaymentFailed")
    expect(heading).to_be_visible(timeout=WAIT_MS)
    ready(page)
    assert "GATEWAY_DECLINED" in {row["input"] for row in table(page, "Inputs that suffice")}
    test = saved(page, main(page).get_by_role("button", name="Download it as a test (pytest)"), tmp_path)
    assert "def test_" in test.read_text(encoding="utf-8")


def test_an_example_of_an_impact_opens_where_the_two_definitions_part(page: Any, start: str) -> None:
    go(page, f"{start}/what_if?tab=impact")
    area = main(page).get_by_role("textbox", name="Definition")
    area.fill(area.input_value().replace("event: PAYMENT_REFUSED", "event: PAYMENT_DENIED"))
    page.keyboard.press("Control+Enter")
    expect(main(page).get_by_text("lines changed")).to_be_visible(timeout=WAIT_MS)
    ready(page)
    main(page).get_by_role("button", name="Run the stored instances through it").click()
    expect(main(page).get_by_role("heading", name="would end elsewhere")).to_be_visible(timeout=WAIT_MS)
    ready(page)
    assert "PaymentFailed" in {row["ends now in"] for row in table(page, "Where the ends move")}
    pick_row(page, "Instances that would end elsewhere", 0)
    main(page).get_by_role("link", name="What if, there").click()
    on_page(page, "What if")
    expect(main(page).get_by_text("Kept as recorded up to step")).to_be_visible(timeout=WAIT_MS)
    assert "instance" in address(page)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1920, "dark")])
def test_nothing_is_wider_than_the_page(
    new_page: Callable[..., Any], start: str, failure: Sequence[PersistedEvent], width: int, scheme: str
) -> None:
    page = new_page(width=width, color_scheme=scheme)
    go(page, approved(start, failure))
    told(page)
    picture(page, "over time, recorded and in the fork")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
