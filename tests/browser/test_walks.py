"""The walks that must feel effortless, from the Overview, by somebody who has never seen the tool."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC
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
    picture,
    plain,
    ready,
    search,
    table,
    text,
    titles,
)
from xcstore.render.labels import moment_text, short_id

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect

LOST, GUIDED = "ORD-00123", "ORD-00001"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return make_demo(tmp_path_factory)


@pytest.fixture
def start(serve: Callable[..., str], demo: Demo) -> str:
    """Address of the Overview."""
    return serve(APP, **demo.environment)


@pytest.fixture
def reopens(new_page: Callable[..., Any]) -> Callable[[Any], None]:
    """Check that the address of a page, opened by somebody else, shows the same."""

    def check(page: Any) -> None:
        other = new_page()
        go(other, page.url)
        expect(other.get_by_test_id("stMain").locator(".canvas .stage")).to_have_count(
            page.get_by_test_id("stMain").locator(".canvas .stage").count(), timeout=WAIT_MS
        )
        assert lasting_text(other) == lasting_text(page)
        assert other.url == page.url
        other.close()

    return check


def test_walk_1_an_order_is_stuck_which_since_when_why_and_what_would_have_moved_it_on(
    page: Any, start: str, demo: Demo, reopens: Any
) -> None:
    lost = demo.order(LOST)
    since = moment_text(demo.of(lost)[-1].persisted_at, UTC)
    go(page, start)

    # Which one and since when: on the Overview, without a click.
    line = page.locator(f'a[href*="instance={lost}"]').first
    expect(line).to_be_visible(timeout=WAIT_MS)
    assert f"since {since}" in plain(line.inner_text())
    assert "in Reserving" in text(page)

    line.click()  # 1
    on_page(page, "Instances")
    picture(page, "States of this instance over time")
    words = text(page)
    assert "Reserving" in words
    assert f"since {since}" in words
    assert re.search(r"Here for 21 d 3 h .*Normally 1\.5 s \(median\)", words)
    ways = table(page, "What would move this instance on")
    assert {row["event"] for row in ways} == {"STOCK_RESERVED", "STOCK_SHORT"}
    expect(page.get_by_role("heading", name=f"{LOST} · ○ Reserving")).to_be_visible()
    reopens(page)

    # Why: what entering the state set in motion waits as well, for an answer that never came.
    motion = table(page, "Instances set in motion")
    pick_row(page, "Instances set in motion", [row["machine"] for row in motion].index("Reservation"))  # 2
    expect(page.get_by_role("heading", name=re.compile("○ Checking$"))).to_be_visible(timeout=WAIT_MS)
    ready(page)
    ways_on = page.get_by_role("region", name="What would move this instance on")
    expect(ways_on).to_contain_text("STOCK_HELD", timeout=WAIT_MS)  # a table is redrawn a moment after the page
    assert "STOCK_HELD" in {row["event"] for row in table(page, "What would move this instance on")}
    assert lost not in page.url
    reopens(page)


@pytest.mark.parametrize(
    ("key", "components"), [(LOST, {"Order", "Inventory"}), (GUIDED, {"Order", "Inventory", "Shipping"})]
)
def test_walk_2_everything_that_a_business_key_touched_in_one_picture(
    page: Any, start: str, demo: Demo, reopens: Any, key: str, components: set[str]
) -> None:
    touched = {event.instance_id: event for event in demo.touched(key)}
    assert {event.component_name for event in touched.values()} == {f"{name}Component" for name in components}
    go(page, start)

    search(page, key)
    page.get_by_role("link", name="Everything it touched, in one picture").click()
    on_page(page, "Causality")

    drawn = titles(picture(page, "Instances and events that this business key touched"))
    for event in touched.values():
        assert f"{event.machine_name} {short_id(event.instance_id)}" in drawn
        assert any(event.component_name in title for title in drawn)
    listed = table(page, "Instances that this business key touched")
    assert len(listed) == len(touched)
    assert {row[name] for row in listed for name in row if name.lower() == "machine"} == {
        event.machine_name for event in touched.values()
    }
    assert f"{len(touched)} instances · {len(components)} components" in text(page)
    reopens(page)

    pick_row(page, "Instances that this business key touched", 0)
    on_page(page, "Instances")
    assert any(f"instance={name}" in page.url for name in touched)


def test_walk_3_who_set_this_field_to_this_value_and_from_which_event_it_came(
    page: Any, start: str, demo: Demo, reopens: Any
) -> None:
    order = demo.order(GUIDED)
    setter = next(event for event in demo.of(order) if event.event_type == "ITEM_CHANGED")
    amount = setter.payload["amount"]
    go(page, start)
    search(page, GUIDED)

    page.get_by_test_id("stMain").locator(f'a[href*="instance={order}"]').first.click()
    on_page(page, "Instances")
    page.get_by_role("tab", name="Who set a field").click()
    field = page.get_by_role("combobox", name="Field", exact=True)
    field.click()
    page.keyboard.type("amount")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Every event that set it")).to_be_visible(timeout=WAIT_MS)
    ready(page)

    newest, first = table(page, "Events that set amount")
    assert (newest["value"], newest["set by event"], newest["event id"]) == (str(amount), "ITEM_CHANGED", setter.id)
    assert newest["where the value came from"] == "payload.amount"
    assert newest["before"] == first["value"] != newest["value"]
    assert first["set by event"] == "INSTANCE_CREATED"
    reopens(page)

    pick_row(page, "Events that set amount", 0)
    expect(page.get_by_text("ITEM_CHANGED: Draft → Draft", exact=True)).to_be_visible(timeout=WAIT_MS)
    ready(page)
    assert f"event={setter.id}" in page.url
    reopens(page)

    page.get_by_role("link", name="Whole event").click()
    on_page(page, "Events")
    expect(page.get_by_test_id("stCode").filter(has_text=setter.id).first).to_be_visible()
    expect(page.get_by_test_id("stJson")).to_contain_text(f'"amount":{amount:g}')
    reopens(page)


def test_walk_3_crosses_components_to_the_event_that_brought_the_value_from_outside(
    page: Any, start: str, demo: Demo, reopens: Any
) -> None:
    made = {event.machine_name: event for event in demo.touched(GUIDED) if event.event_type == "INSTANCE_CREATED"}
    parcel, shipment, order = made["Parcel"], made["Shipment"], made["Order"]
    city = order.payload["initialContext"]["address"]["city"]
    go(page, start)
    search(page, GUIDED)

    page.get_by_test_id("stMain").locator(f'a[href*="instance={parcel.instance_id}"]').first.click()
    on_page(page, "Instances")
    page.get_by_role("tab", name="Who set a field").click()
    page.get_by_role("combobox", name="Field", exact=True).click()
    page.keyboard.type("city")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Where this value came from")).to_be_visible(timeout=WAIT_MS)
    ready(page)

    # From the parcel to its shipment, and from there to the order in another component, where it has another name.
    words = text(page)
    assert "3 steps back through 3 instances of 2 components" in words
    assert "caused by PACKED of Shipment" in words
    assert re.search(
        r"crosses a component · by causal link and equal value: caused by BOOK_SHIPMENT of Order .*recorded link · "
        r"the definition takes it from address\.city, which holds an equal value",
        words,
    )
    assert words.count(f'city = "{city}"') == 3
    assert f"The value came from outside with INSTANCE_CREATED of Order {short_id(order.instance_id)}" in words
    reopens(page)

    page.get_by_text("The same as a table").click()
    steps = table(page, "Where this value came from")
    assert [(row["component"], row["machine"], row["field"]) for row in steps] == [
        ("ShippingComponent", "Parcel", "city"),
        ("ShippingComponent", "Shipment", "city"),
        ("OrderComponent", "Order", "address.city"),
    ]
    assert [row["set by event"] for row in steps] == ["INSTANCE_CREATED"] * 3
    page.get_by_text("The same as a table").click()
    # It folds up slowly, and what is above moves on a page that was scrolled to its end: a click would miss the link.
    expect(page.locator("details", has_text="The same as a table")).to_have_js_property("open", False, timeout=WAIT_MS)

    # Each step is a link to the field of that instance, at the event that set it.
    page.get_by_role("link", name=f"Order {short_id(order.instance_id)}").first.click()
    page.wait_for_url(f"**instance={order.instance_id}**", timeout=WAIT_MS)
    expect(page.get_by_text("1 step back through 1 instance of 1 component")).to_be_visible(timeout=WAIT_MS)
    ready(page)
    assert "field=address.city" in page.url
    assert f"event={order.id}" in page.url
    assert shipment.instance_id not in page.url
    reopens(page)

    page.go_back()
    expect(page.get_by_text("3 steps back through 3 instances of 2 components")).to_be_visible(timeout=WAIT_MS)
    ready(page)
    assert f"instance={parcel.instance_id}" in page.url


COUNT_CLICKS = """
addEventListener("click", event => {
  if (event.isTrusted) sessionStorage.clicks = Number(sessionStorage.clicks || 0) + 1
}, true)
"""


def test_why_a_given_order_is_stuck_is_found_from_the_overview_in_at_most_four_clicks(
    page: Any, start: str, demo: Demo, reopens: Any
) -> None:
    page.add_init_script(COUNT_CLICKS)
    lost = demo.order(LOST)
    touched = {event.machine_name: event for event in demo.touched(LOST)}
    reservation, shelf = touched["Reservation"], touched["StockItem"]
    checking = demo.of(reservation.instance_id)[-1]
    go(page, start)

    page.locator(f'a[href*="instance={lost}"]').first.click()
    on_page(page, "Instances")

    # What it waits for, who should send that, what that one waits for in turn, and where the trail ends.
    panel = page.locator(".st-key-instances-why")
    expect(panel).to_contain_text("Why it waits", timeout=WAIT_MS)
    words = plain(panel.inner_text())
    since = moment_text(demo.of(lost)[-1].persisted_at, UTC)
    assert f"Order {short_id(lost)} waits in Reserving since {since}" in words
    assert "for STOCK_RESERVED (by the definition sent by Reservation of InventoryComponent, entering Held)" in words
    name = f"Reservation {short_id(reservation.instance_id)}"
    asked = moment_text(checking.persisted_at, UTC)
    assert f"Entering Reserving set {name} of InventoryComponent in motion" in words
    assert f"It waits in Checking since {asked}" in words
    assert "for STOCK_HELD (as seen, sent by StockItem of InventoryComponent in 5 of 5 latest cases)" in words
    assert f"Entering Checking set StockItem {short_id(shelf.instance_id)} of InventoryComponent in motion" in words
    assert re.search(r"It handled RESERVE_UNITS .* which as seen in other cases sends STOCK_HELD", words)
    assert f"No STOCK_HELD to {name} is seen after that, as far as is stored." in words
    reopens(page)

    panel.get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", name=re.compile("○ Checking$"))).to_be_visible(timeout=WAIT_MS)
    ready(page)
    assert f"{name} waits in Checking since {asked}" in plain(panel.inner_text())
    assert int(page.evaluate("sessionStorage.clicks")) <= 4
