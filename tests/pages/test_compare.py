"""The Compare page: who is meant, what is said, what is kept in the address."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from tests.pages.conftest import HOSTILE, OpenPage
from tests.pages.test_overview import UNESCAPED_LINK, all_markdown, table
from xcstore.model.history import PersistedEvent
from xcstore.store.base import InstanceQuery
from xcstore.store.opening import open_stores


@pytest.fixture(scope="module")
def orders(demo_url: str) -> dict[str, Sequence[PersistedEvent]]:
    """Streams of the demo's orders: the longest one of each state that they are in now."""
    with open_stores(demo_url) as stores:
        found = stores.events.instances(InstanceQuery(machines=("Order",)), limit=1_000).items
        longest = {item.state: item.instance_id for item in sorted(found, key=lambda item: item.event_count)}
        return {state: stores.events.get_events_for_instance(name) for state, name in longest.items()}


def ids(app: Any) -> tuple[str, ...]:
    return tuple("".join(app.query_params.get(name, [""])) for name in ("left", "right"))


def says(app: Any, part: str) -> bool:
    return any(part in item.value for kind in ("caption", "markdown", "info", "warning") for item in app.get(kind))


def opened(open_page: OpenPage, url: str, **address: str) -> Any:
    app = open_page(url, "compare", **address)
    assert not app.exception, [item.value for item in app.exception]
    assert not app.error, [item.value for item in app.error]
    return app


def picked(app: Any, key: str, row: int) -> Any:
    """The rows of tables cannot be clicked here; what the click leads to is the address."""
    app.query_params[key] = str(row)
    return app.run()


def test_without_sides_the_latest_instances_can_be_picked(open_page: OpenPage, demo_url: str) -> None:
    app = opened(open_page, demo_url)

    assert len(table(app, "business key")) == 50
    assert says(app, "Select an instance for the left side")
    assert app.button(key="compare-swap").disabled


def test_with_one_side_the_others_of_its_machine_can_be_picked(open_page: OpenPage, demo_url: str, orders: Any) -> None:
    app = opened(open_page, demo_url, left=orders["Completed"][0].instance_id)

    assert set(table(app, "business key")["machine"]) == {"Order"}
    assert says(app, "Select an instance for the right side")


def test_one_click_sets_a_typical_one_beside_it_and_says_how_it_was_chosen(
    open_page: OpenPage, demo_url: str, orders: Any
) -> None:
    failed = orders["PaymentFailed"]
    app = opened(open_page, demo_url, left=failed[0].instance_id)
    app.button(key="compare-typical").click().run()

    assert not app.exception
    left, right = ids(app)
    assert left == failed[0].instance_id
    assert right not in ("", left)
    assert says(app, "Right was chosen as typical")
    assert "then left went to PaymentFailed by PAYMENT\\_REFUSED where right went to" in app.subheader[0].value


def test_the_rows_are_the_two_streams_with_their_true_durations(
    open_page: OpenPage, demo_url: str, orders: Any
) -> None:
    left, right = orders["PaymentFailed"], orders["Completed"]
    app = opened(open_page, demo_url, left=left[0].instance_id, right=right[0].instance_id)

    rows = table(app, "compared")
    for name, stream in (("left", left), ("right", right)):
        told = [text for text in rows[name] if text]
        assert [text.partition(" → ")[0].partition(", stays ")[0] for text in told] == [
            event.event_type for event in stream
        ]
    waits = {two.persisted_at - one.persisted_at for one, two in pairwise(left)}
    shown = {text for text in rows["left after"] if text not in ("", "–")}
    assert {f"{wait} ms" for wait in waits if wait < 1_000} <= shown
    first = next(n for n, text in enumerate(rows["compared"]) if text.endswith("first"))
    assert all(text == "= same" for text in rows["compared"][:first])
    assert app.subheader[0].value.startswith(f"The same for {first} step")


def test_swapping_keeps_the_comparison_and_turns_it_round(open_page: OpenPage, demo_url: str, orders: Any) -> None:
    one, two = (orders[state][0].instance_id for state in ("PaymentFailed", "Completed"))
    app = opened(open_page, demo_url, left=one, right=two)
    counts = [item.value for item in app.caption if "only left" in item.value and "only right" in item.value]
    app.button(key="compare-swap").click().run()

    assert not app.exception
    assert ids(app) == (two, one)
    assert "then left went to Paid by" in app.subheader[0].value
    assert counts


def test_a_row_of_the_address_is_shown_in_full(open_page: OpenPage, demo_url: str, orders: Any) -> None:
    one, two = (orders[state][0].instance_id for state in ("PaymentFailed", "Completed"))
    app = opened(open_page, demo_url, left=one, right=two, at="0")

    assert says(app, "= same · row 1 of")
    app.button(key="compare-first").click().run()
    assert says(app, "First difference · row")
    for wrong in ("99999", "x", "-1", "9" * 400):
        app.query_params["at"] = wrong
        app.run()
        assert not app.exception
        assert says(app, "First difference · row")


def test_only_what_differs_can_be_asked_for(open_page: OpenPage, demo_url: str, orders: Any) -> None:
    one, two = (orders[state][0].instance_id for state in ("PaymentFailed", "Completed"))
    app = opened(open_page, demo_url, left=one, right=two, only="differences")

    assert "= same" not in set(table(app, "compared")["compared"])
    app.toggle(key="compare-only").set_value(False).run()
    assert "= same" in set(table(app, "compared")["compared"])
    assert "only" not in app.query_params


def test_a_business_key_of_several_instances_asks_which_and_takes_the_answer(
    open_page: OpenPage, demo_url: str, orders: Any
) -> None:
    context: Any = orders["Completed"][0].payload["initialContext"]
    app = opened(open_page, demo_url, left=context["orderId"])

    assert says(app, "several instances may be meant")
    own = orders["Completed"][0].instance_id
    app.button(key=f"compare-left-{own}").click().run()
    assert not app.exception
    assert ids(app)[0] == own


def test_unknown_ids_and_the_same_id_twice_are_said(open_page: OpenPage, demo_url: str, orders: Any) -> None:
    own = orders["Completed"][0].instance_id
    app = opened(open_page, demo_url, left="no such thing", right=own)
    assert says(app, "Left: nothing in this store has **no such thing** as its id")

    app = opened(open_page, demo_url, left=own, right=own)
    assert says(app, "Both sides are the same instance")


def test_an_instance_of_which_no_other_ended_has_nothing_typical(open_page: OpenPage, demo_url: str) -> None:
    with open_stores(demo_url) as stores:
        desk = stores.events.instances(InstanceQuery(machines=("OrderDesk",)), limit=1).items[0].instance_id
    app = opened(open_page, demo_url, left=desk, typical="yes")

    assert says(app, "Nothing typical to compare it with")
    assert ids(app) == (desk, "")


def test_the_effects_of_two_events_are_laid_over_each_other(open_page: OpenPage, demo_url: str, orders: Any) -> None:
    one, two = (
        next(event.id for event in orders[state] if event.event_type == "SUBMIT")
        for state in ("PaymentFailed", "Completed")
    )
    for links in ("recorded", "repaired", "both"):
        app = opened(open_page, demo_url, what="traces", left=one, right=two, links=links)
        assert "The first difference\\: left \\(Payment\\) went to RetryWait by" in app.subheader[0].value
        rows = table(app, "compared")
        assert (rows["machine"][0], rows["left"][0]) == ("Order", "SUBMIT → Reserving")
        assert rows["machine"][1] == "\u2002Reservation"
    app = opened(open_page, demo_url, what="traces", left=one, typical="yes")
    assert says(app, "Right was chosen as typical\\: the latest such event of another instance")


def test_an_instance_stands_for_its_first_event_where_traces_are_compared(
    open_page: OpenPage, demo_url: str, orders: Any
) -> None:
    one, two = (orders[state][0].instance_id for state in ("PaymentFailed", "Completed"))
    app = opened(open_page, demo_url, what="traces", left=one, right=two)

    assert table(app, "compared")["left"][0] == "INSTANCE_CREATED → Draft"


def test_stored_text_is_shown_as_text(open_page: OpenPage, hostile_url: str) -> None:
    with open_stores(hostile_url) as stores:
        names = [item.instance_id for item in stores.events.instances(InstanceQuery(), limit=20).items]
        first = [stores.events.get_events_for_instance(name)[0].id for name in names]
    addresses: list[dict[str, str]] = [{}, {"left": HOSTILE[1]}]
    addresses += [{"left": one, "right": two} for one, two in pairwise(names)]
    addresses += [{"left": one, "right": two, "what": "traces"} for one, two in pairwise(first)]
    for address in addresses:
        app = opened(open_page, hostile_url, **address)
        shown = [text.replace("sqlite:///", "") for text in all_markdown(app)]
        assert not [text for text in shown if UNESCAPED_LINK.search(text)], address
        assert not [text for text in shown if "<img" in text and "\\<img" not in text], address


def test_the_page_of_an_instance_leads_here(open_page: OpenPage, demo_url: str, orders: Any) -> None:
    own = orders["PaymentFailed"][0].instance_id
    app = open_page(demo_url, "instances", instance=own)

    links = [item.proto for item in app.get("page_link") if item.proto.page.endswith("compare")]
    assert ["Compare with a typical one" in link.label for link in links] == [True]
    assert f"left={own}" in links[0].query_string
    assert "typical=yes" in links[0].query_string
