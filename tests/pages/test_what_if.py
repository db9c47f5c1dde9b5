"""The What-if page: choosing, changing, running, and what of it is in the address."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.pages.conftest import OpenPage
from tests.pages.test_overview import UNESCAPED_LINK, all_markdown, table
from xcstore.model.history import PersistedEvent
from xcstore.store.base import EventQuery, InstanceQuery
from xcstore.store.opening import open_stores


@pytest.fixture(scope="module")
def failed(demo_url: str) -> Sequence[PersistedEvent]:
    """The stream of an order whose payment was refused, its payment's last."""
    with open_stores(demo_url) as stores:
        found = stores.events.instances(InstanceQuery(machines=("Order",), states=("PaymentFailed",)), limit=1).items
        return stores.events.get_events_for_instance(found[0].instance_id)


@pytest.fixture(scope="module")
def declined(demo_url: str, failed: Sequence[PersistedEvent]) -> PersistedEvent:
    """The last refusal of the bank that made that order fail."""
    with open_stores(demo_url) as stores:
        cause = failed[-1]
        while cause.event_type != "GATEWAY_DECLINED":
            cause = stores.events.get_event(cause.caused_by[0])
        return cause


def opened(open_page: OpenPage, url: str, **address: str | list[str]) -> Any:
    app = open_page(url, "what_if", **address)
    checked(app)
    return app


def checked(app: Any) -> Any:
    assert not app.exception, [item.value for item in app.exception]
    assert not app.error, [item.value for item in app.error]
    return app


def held(app: Any, name: str) -> list[str]:
    """What the address holds under a name."""
    values = app.query_params.get(name, [])
    return [values] if isinstance(values, str) else list(values)


def button(app: Any, label: str) -> Any:
    return next(item for item in app.button if item.label == label)


def says(app: Any, part: str) -> bool:
    return any(part in text for text in all_markdown(app))


def headline(app: Any) -> str:
    return str(app.subheader[0].value).replace("\\", "")


def approved(declined: PersistedEvent) -> str:
    return json.dumps(["change", declined.id, "GATEWAY_APPROVED"])


def test_without_a_history_some_can_be_picked_and_those_that_wait_come_first(
    open_page: OpenPage, demo_url: str
) -> None:
    app = opened(open_page, demo_url)

    first, second = (item.value for item in app.dataframe)
    assert len(table(app, "waits for"))
    assert "waits for" in first
    assert len(second) == 50
    assert says(app, "Nothing is written")
    assert app.get("file_uploader")  # a fork that somebody sent can be opened without a history of one's own


def test_an_empty_store_says_what_to_do(open_page: OpenPage, empty_url: str) -> None:
    assert says(opened(open_page, empty_url), "This store holds no events yet")


def test_a_history_that_is_not_there_is_said(open_page: OpenPage, demo_url: str) -> None:
    assert says(opened(open_page, demo_url, instance="no-such-instance"), "Nothing in this store has")
    app = opened(open_page, demo_url, trace="no-such-event")
    assert says(app, "no\\-such\\-event")
    button(app, "← Another history").click().run()
    assert "trace" not in checked(app).query_params


def test_a_business_key_that_several_have_lets_one_choose(open_page: OpenPage, demo_url: str) -> None:
    app = opened(open_page, demo_url, instance="ORD-00001")

    assert len(table(app, "business key")) or says(app, "steps")


def test_the_steps_after_the_fork_point_can_be_changed(
    open_page: OpenPage, demo_url: str, failed: Sequence[PersistedEvent]
) -> None:
    app = opened(open_page, demo_url, instance=failed[0].instance_id, step=str(len(failed) - 2))

    rows = table(app, "edit")
    assert list(rows["event"]) == [event.event_type for event in failed[-3:]]
    assert list(rows["edit"]) == ["kept as it was", "", ""]
    assert button(app, "Run the fork").disabled


@pytest.mark.parametrize("step", ["-1", "x", "99999", "9" * 30, "1.5"])
def test_a_step_that_cannot_be_is_no_failure(
    open_page: OpenPage, demo_url: str, failed: Sequence[PersistedEvent], step: str
) -> None:
    app = opened(open_page, demo_url, instance=failed[0].instance_id, step=step)

    assert says(app, "'step' in the address") or says(app, "\\'step\\' in the address")


def test_a_changed_event_is_run_and_the_difference_told(
    open_page: OpenPage, demo_url: str, failed: Sequence[PersistedEvent], declined: PersistedEvent
) -> None:
    app = opened(open_page, demo_url, trace=failed[-1].id, event=declined.id)
    kind = next(item for item in app.selectbox if item.label == "Event type")
    kind.select("GATEWAY_APPROVED")
    button(app, "Change it").click().run()
    checked(app)

    assert json.loads(held(app, "edit")[0]) == ["change", declined.id, "GATEWAY_APPROVED"]
    assert says(app, "GATEWAY\\_DECLINED is GATEWAY\\_APPROVED")
    button(app, "Run the fork").click().run()
    checked(app)
    assert held(app, "run") == ["yes"]
    assert "instead of PaymentFailed" in headline(app)
    assert "instead of Refused" in headline(app)
    rows = table(app, "recorded")
    assert any(text.startswith("≠ changed") for text in rows["is"])
    ends = table(app, "end in the fork")
    assert "PaymentFailed (ended)" in set(ends["recorded end"])


def test_the_address_opens_the_same_fork_with_its_answer(
    open_page: OpenPage, demo_url: str, failed: Sequence[PersistedEvent], declined: PersistedEvent
) -> None:
    app = opened(open_page, demo_url, trace=failed[-1].id, edit=[approved(declined)], run="yes")
    told, rows = headline(app), table(app, "recorded")

    again = opened(open_page, demo_url, **{name: held(app, name) for name in app.query_params})
    assert headline(again) == told
    assert table(again, "recorded").equals(rows)


def test_changes_are_undone_redone_taken_back_and_cleared(
    open_page: OpenPage, demo_url: str, failed: Sequence[PersistedEvent]
) -> None:
    drops = [json.dumps(["drop", event.id]) for event in failed[-2:]]
    app = opened(open_page, demo_url, instance=failed[0].instance_id, edit=drops)

    def edits() -> int:
        checked(app)
        count = len(held(app, "edit"))
        assert says(app, f"**{count} change")
        return count

    assert edits() == 2
    app.button(key="what-if-remove-0").click().run()
    assert edits() == 1
    button(app, "Undo").click().run()
    assert edits() == 2
    button(app, "Redo").click().run()
    assert edits() == 1
    button(app, "Clear").click().run()
    assert edits() == 0
    button(app, "Undo").click().run()
    assert edits() == 1


def test_a_payload_that_is_no_json_is_said_and_changes_nothing(
    open_page: OpenPage, demo_url: str, failed: Sequence[PersistedEvent]
) -> None:
    app = opened(open_page, demo_url, instance=failed[0].instance_id, event=failed[-1].id)
    next(item for item in app.text_area if item.label.startswith("Payload")).set_value('{"a": x}')
    button(app, "Change it").click().run()

    assert "line 1, column 7" in app.error[0].value
    assert "edit" not in app.query_params


def test_an_event_can_be_inserted_with_what_its_rules_ask_for(
    open_page: OpenPage, demo_url: str, failed: Sequence[PersistedEvent]
) -> None:
    submitted = next(event for event in failed if event.event_type == "SUBMIT")
    position = list(failed).index(submitted) + 1
    app = opened(open_page, demo_url, instance=failed[0].instance_id, step=str(position), event=submitted.id)
    button(app, "Insert it").click().run()
    checked(app)

    kind, after, _, event_type, payload, at = json.loads(held(app, "edit")[0])
    assert (kind, after, at) == ("insert", submitted.id, None)
    assert event_type == "STOCK_RESERVED"
    assert payload["orderId"] == failed[0].payload["initialContext"]["orderId"]


def test_an_edit_that_does_not_fit_is_said(
    open_page: OpenPage, demo_url: str, failed: Sequence[PersistedEvent]
) -> None:
    wrong = [json.dumps(["drop", "no-such-event"]), "nonsense"]
    app = open_page(demo_url, "what_if", instance=failed[0].instance_id, edit=wrong, run="yes")

    assert not app.exception
    assert "This fork cannot be run" in app.error[0].value
    assert says(app, "is not an edit")


def test_edits_do_not_follow_to_another_history(
    open_page: OpenPage, demo_url: str, failed: Sequence[PersistedEvent]
) -> None:
    with open_stores(demo_url) as stores:
        other = stores.events.instances(InstanceQuery(machines=("Payment",)), limit=1).items[0].instance_id
    drop = json.dumps(["drop", failed[-1].id])
    app = opened(open_page, demo_url, instance=failed[0].instance_id, edit=[drop])
    button(app, "Another history").click().run()
    app.query_params["instance"] = other
    checked(app.run())

    assert says(app, "**0 changes**")


def test_edits_come_along_from_an_instance_to_its_trace(
    open_page: OpenPage, demo_url: str, failed: Sequence[PersistedEvent]
) -> None:
    drop = json.dumps(["drop", failed[-1].id])
    app = opened(open_page, demo_url, instance=failed[0].instance_id, edit=[drop])
    button(app, "With what it is linked with").click().run()
    checked(app)

    assert held(app, "trace") == [failed[-1].id]
    assert "instance" not in app.query_params
    assert says(app, "**1 change**")


def test_another_definition_can_be_tried_on_one_history(
    open_page: OpenPage, demo_url: str, failed: Sequence[PersistedEvent]
) -> None:
    app = opened(open_page, demo_url, instance=failed[0].instance_id)
    text = next(item for item in app.text_area if item.label == "Definition")
    assert "name: OrderComponent" in text.value
    text.set_value(text.value.replace("event: SUBMIT", "event: SEND_IT")).run()
    checked(app)
    button(app, "Use it in this fork").click().run()
    checked(app)
    assert says(app, "OrderComponent has another definition")
    assert says(app, "too long for the address")
    button(app, "Run the fork").click().run()
    checked(app)
    assert any(text.startswith(("✕ rejected", "? not known", "− gone")) for text in table(app, "recorded")["is"])


def test_a_definition_with_a_fault_says_where(
    open_page: OpenPage, demo_url: str, failed: Sequence[PersistedEvent]
) -> None:
    app = opened(open_page, demo_url, instance=failed[0].instance_id)
    text = next(item for item in app.text_area if item.label == "Definition")
    for wrong, why in (("name: [", "not YAML"), ("name: Other\nstateMachines: []", "OrderComponent"), ("", "name")):
        text.set_value(wrong).run()
        assert not app.exception
        assert why in app.error[0].value
        assert button(app, "Use it in this fork").disabled


def test_the_smallest_cause_is_found_and_told(
    open_page: OpenPage, demo_url: str, failed: Sequence[PersistedEvent]
) -> None:
    app = opened(open_page, demo_url, tab="cause", trace=failed[-1].id, event=failed[-1].id)
    button(app, "Find its smallest cause").click().run()
    checked(app)

    assert "PAYMENT_REFUSED → PaymentFailed" in headline(app)
    rows = table(app, "input")
    assert "GATEWAY_DECLINED" in set(rows["input"])
    assert len(rows) < len(failed) + 20


def test_the_impact_of_the_same_definition_is_nothing_and_of_another_one_is_counted(
    open_page: OpenPage, demo_url: str
) -> None:
    app = opened(open_page, demo_url, tab="impact", component="ShippingComponent")
    app = opened(open_page, demo_url, tab="impact")
    button(app, "Run the stored instances through it").click().run()
    checked(app)
    assert "nothing can change" in headline(app)

    text = next(item for item in app.text_area if item.label == "Definition")
    text.set_value(text.value.replace("event: PAYMENT_REFUSED", "event: PAYMENT_DENIED")).run()
    button(app, "Run the stored instances through it").click().run()
    checked(app)
    assert "would end elsewhere" in headline(app)
    moves = table(app, "would end in")
    assert ("PaymentFailed", "AwaitingPayment") in set(zip(moves["ends now in"], moves["would end in"], strict=True))


def test_without_definitions_the_impact_says_what_to_do(open_page: OpenPage, hostile_url: str) -> None:
    assert says(opened(open_page, hostile_url, tab="impact"), "Add their documents under Definitions")


def test_stored_text_is_shown_as_text(open_page: OpenPage, hostile_url: str) -> None:
    with open_stores(hostile_url) as stores:
        events = list(stores.events.find(EventQuery(), limit=100).items)
    addresses: list[dict[str, Any]] = [{}, {"instance": "[x](javascript:alert(1))"}]
    for event in events:
        drop = [json.dumps(["drop", event.id])]
        addresses.append({"instance": event.instance_id, "event": event.id, "edit": drop, "run": "yes"})
        addresses.append({"trace": event.id, "tab": "cause"})
    for address in addresses:
        app = open_page(hostile_url, "what_if", **address)
        assert not app.exception, (address, [item.value for item in app.exception])
        shown = [text.replace("sqlite:///", "") for text in all_markdown(app)]
        assert not [text for text in shown if UNESCAPED_LINK.search(text)], address
        assert not [text for text in shown if "<img" in text and "\\<img" not in text], address


def test_an_unreachable_store_is_one_sentence(open_page: OpenPage, unreachable_url: str) -> None:
    app = open_page(unreachable_url, "what_if", instance="x")

    assert not app.exception
    assert len(app.error) == 1
    assert "s3cret" not in app.error[0].value
