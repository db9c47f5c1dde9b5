"""The edits of a fork in words, in an address, and what a person may write into them."""

from __future__ import annotations

import json

import pytest

from tests.factories import START, event
from xcstore.errors import QueryError
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION, Instance
from xcstore.model.loader import parse_component
from xcstore.replay.forks import ChangeDefinition, DropEvent, EditEvent, InsertEvent, MoveEvent
from xcstore.replay.track import InstanceScope, Track, open_track
from xcstore.store.memory import open_memory_stores
from xcstore.views import what_if_definition as definitions
from xcstore.views import what_if_edits as views

SHOP = parse_component(
    """
name: Shop
stateMachines:
  - name: Order
    initialState: Open
    states: [{name: Open}, {name: Paid}, {name: Shut, type: final}]
    transitions:
      - {from: Open, to: Paid, event: PAY, matchingRules: [{eventProperty: order, instanceProperty: id}]}
      - {from: Open, to: Shut, event: CANCEL}
      - {from: Paid, to: Shut, event: SHIP}
"""
)
MACHINE = SHOP.find_machine("Order")


@pytest.fixture
def track() -> Track:
    """An order that was created and paid."""
    stores = open_memory_stores()
    created = event(
        id="a", event_type=CREATION, state_before="", state_after="Open", persisted_at=START,
        payload={"initialContext": {"id": "A-1"}},
    )  # fmt: skip
    paid = event(
        id="b", event_type="PAY", state_before="Open", state_after="Paid", persisted_at=START + 5_000,
        payload={"order": "A-1", "by": "card"},
    )  # fmt: skip
    stores.events.append_many([created, paid])
    return open_track(stores, InstanceScope(instance_id="i1"), catalog=Catalog([SHOP]))


EDITS = (
    EditEvent(event_id="b", event_type="CANCEL"),
    EditEvent(event_id="b", payload={"order": "A-2", "deep": [1, {"x": None}], "text": "\u202e<b>\n"}),
    DropEvent(event_id="b"),
    MoveEvent(event_id="b", after="a"),
    MoveEvent(event_id="b"),
    InsertEvent(after="b", instance_id="i1", event_type="SHIP", payload={}),
    InsertEvent(instance_id="n", event_type=CREATION, payload={"a": 1}, component_name="Shop", machine_name="Order"),
    InsertEvent(after="b", instance_id="i1", event_type="SHIP", payload={"n": 2**60}, at=START),
)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: type(edit).__name__)
def test_an_edit_comes_back_from_the_address_as_it_was(edit):
    texts = views.edits_to_texts((edit,))

    assert texts is not None
    assert texts[0].isascii()
    assert texts[0].isprintable()
    back, wrong = views.edits_from_texts(texts)
    assert back == (edit,)
    assert getattr(back[0], "payload", None) == getattr(edit, "payload", None)
    assert not wrong


def test_what_is_too_long_for_an_address_is_left_out_of_it_whole():
    drop = DropEvent(event_id="b")
    long = EditEvent(event_id="b", payload={"text": "x" * 1_000})

    assert views.edits_to_texts((drop, long)) is None
    assert views.edits_to_texts((drop,) * 100) is None
    assert views.edits_to_texts((ChangeDefinition(component=SHOP),)) is None
    assert views.edits_to_texts((EditEvent(event_id="b", payload={"x": float("nan")}),)) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "drop",
        "[]",
        '["drop"]',
        '["drop", 1]',
        '["erase", "b"]',
        '["change", "b", 1]',
        '["change", "b", null, [1]]',
        '["insert", "b", "i1", "SHIP", {}, true]',
        '["insert", "b", "i1", "SHIP", {}, null, "Shop"]',
        '["insert", "b", "i1", "SHIP", {}, null, "Shop", 3]',
        '["move", "b", 2]',
        '{"drop": "b"}',
        "[" * 900,
    ],
)
def test_what_is_no_edit_is_said_and_left_out(text):
    edits, wrong = views.edits_from_texts((text, '["drop","b"]'))

    assert edits == (DropEvent(event_id="b"),)
    assert len(wrong) == 1
    assert wrong[0].startswith("'edit' in the address is not an edit")


def test_a_payload_that_cannot_be_read_says_where_it_is_wrong():
    with pytest.raises(QueryError, match="line 2, column 7"):
        views.payload_from_text('{"a": 1,\n "b": x}')
    for wrong, why in (
        ("[1]", "a JSON object"),
        ("3", "a JSON object"),
        ('{"a": NaN}', "NaN is no JSON value"),
        ('{"a": ' + "[" * 5_000 + "]" * 5_000 + "}", "nested"),
        ('{"a": ' + "[" * 80 + "]" * 80 + "}", "nested more than"),
        ('{"a": "' + "x" * 200_000 + '"}', "at most 100,000"),
    ):
        with pytest.raises(QueryError, match=why):
            views.payload_from_text(wrong)


def test_an_empty_text_is_an_empty_payload_and_every_other_comes_back():
    assert views.payload_from_text("  ") == {}
    payload = {"a": [1, None, {"b": "é\u202e"}], "n": 1.5}
    assert views.payload_from_text(views.payload_to_text(payload)) == payload


def test_event_types_that_the_state_takes_come_first(track):
    assert views.event_types(track, MACHINE, "Order", "Paid") == ("SHIP", "PAY", "CANCEL")
    assert views.event_types(track, None, "Order", "Paid") == ("PAY",)


def test_a_new_event_begins_with_what_its_matching_rules_ask_for(track):
    instance = Instance(id="i1", machine_name="Order", current_state="Open", context={"id": "A-7"})

    text, note = views.template(track, MACHINE, instance, "Order", "PAY")
    assert json.loads(text) == {"order": "A-7", "by": "card"}
    assert "order" in note
    assert views.template(track, MACHINE, instance, "Order", "CANCEL") == ("{}", "")


def test_each_edit_says_what_it_does_to_which_step(track):
    told = [views.edit_row(edit, track) for edit in EDITS]

    assert told[0] == "✎ step 2, PAY is CANCEL"
    assert told[1].startswith('✎ step 2, PAY has order "A-1" → "A-2", by "card" → (absent), deep (absent) → [1, ')
    assert told[1].endswith("and 1 more")
    assert told[2] == "− step 2, PAY is dropped"
    assert told[3] == "↕ step 2, PAY comes after step 1, INSTANCE_CREATED"
    assert told[4] == "↕ step 2, PAY comes first"
    assert told[5] == "+ SHIP is sent to Order i1 after step 2, PAY"
    assert views.edit_row(DropEvent(event_id="zz"), track) == "− event zz (not in this history) is dropped"
    later = InsertEvent(after="b", instance_id="i1", event_type="SHIP", at=START + 65_000)
    assert views.edit_row(later, track) == "+ SHIP is sent to Order i1 after step 2, PAY, 1 min later"
    assert views.edit_row(ChangeDefinition(component=SHOP), track) == "⚙ Shop has another definition"


def test_marks_name_every_edit_of_an_event():
    edits = (*EDITS[2:3], *EDITS[5:6], *EDITS[7:8])

    assert views.mark_of("b", edits) == "− dropped, + 2 inserted after"
    assert views.mark_of("a", edits) == ""


def test_the_state_at_a_step_is_the_last_one_before_it(track):
    assert [views.state_after(track, "i1", position) for position in (0, 1, 2)] == [None, "Open", "Paid"]


def test_a_definition_as_text_is_read_back_as_the_same():
    odd = parse_component(
        '{"name": "Odd", "stateMachines": [{"name": "M", "initialState": "on", "states": [{"name": "on"}],'
        ' "metadata": {"no": "1e3", "off": "yes", "n": 1.0, "t": "2026-01-01", "x": "a\\tb\\u202e", "0o7": "0o7"}}]}'
    )
    for component in (SHOP, odd):
        assert parse_component(definitions.definition_text(component)).hash == component.hash


def test_what_was_changed_in_a_definition_is_told_by_line():
    text = definitions.definition_text(SHOP)
    other = parse_component(text.replace("event: CANCEL", "event: GIVE_UP"))

    diff = definitions.definition_diff(SHOP, other)
    assert definitions.changed_lines(diff) == 2
    assert "-    event: CANCEL" in diff
    assert "+    event: GIVE_UP" in diff
    assert definitions.definition_diff(SHOP, SHOP) == ""
