"""What is masked is masked everywhere, and nothing else is."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories import event, snapshot
from xcstore.jsontext import json_text
from xcstore.redaction import MASK, Redaction
from xcstore.store.codec import (
    event_from_document,
    event_from_documented_row,
    event_from_shipped_row,
    event_to_document,
    event_to_documented_row,
    snapshot_extra_text,
    snapshot_from_document,
    snapshot_from_documented_row,
    snapshot_from_shipped_row,
    snapshot_to_document,
    snapshot_to_documented_row,
)

DOCUMENT = {**event_to_document(event(id="e1")), "caused": []}
leaves = st.none() | st.booleans() | st.integers() | st.text()


CARD = "4111"


def redacted(paths: str, payload: object) -> object:
    return event_from_document(
        {**DOCUMENT, "event": {"type": "PAY", "payload": payload}}, redact=Redaction.parse(paths)
    ).payload


@pytest.mark.parametrize(
    "payload",
    [
        {"card": {"number": CARD, "holder": "Ann"}},
        {"initialContext": {"card": {"number": CARD}}},
        {"order": {"card": {"number": {"digits": CARD}}}},
        {"cards": [1], "card": [{"number": CARD}, {"number": [CARD]}]},
        [{"card": {"number": CARD}}],
    ],
)
def test_a_masked_path_is_masked_wherever_the_business_data_has_it(payload: object) -> None:
    for paths in ("card.number", "payload.card.number", " context.card.number ,other", "card.number,card.number"):
        shown = json_text(redacted(paths, payload))
        assert CARD not in shown
        assert MASK in shown


def test_what_is_not_named_is_left_as_it_is_and_the_source_is_not_changed() -> None:
    payload = {"card": {"number": CARD, "holder": "Ann"}, "number": 7}

    assert redacted("card.number", payload) == {"card": {"number": MASK, "holder": "Ann"}, "number": 7}
    assert payload["card"] == {"number": CARD, "holder": "Ann"}


def test_a_star_is_any_one_key() -> None:
    assert redacted("secrets.*.value", {"secrets": {"a": {"value": 1, "kind": 2}}}) == {
        "secrets": {"a": {"value": MASK, "kind": 2}}
    }


def test_masking_reaches_members_contexts_the_document_and_unknown_keys() -> None:
    secret = {"card": {"number": CARD}}
    document = {
        **DOCUMENT,
        "event": {"type": "PAY", "payload": secret, "extra": secret},
        "publicMemberSnapshot": secret,
        "context": secret,
        "unknown": [secret],
    }
    hidden = Redaction.parse("card.number")

    read = event_from_document(document, redact=hidden)
    row = event_to_documented_row(event_from_document(document))
    from_row = event_from_documented_row(row, extra=json_text(document), redact=hidden)
    from_columns = event_from_documented_row(row, redact=hidden)
    shipped = {"id": "e1", "instance_id": "i1", "event_payload": secret, "context": secret, "persisted_at": 1}
    from_shipped = event_from_shipped_row(shipped, redact=hidden)

    for shown in (read, from_row, from_columns, from_shipped):
        assert CARD not in repr(dataclasses.asdict(shown))
        assert CARD not in json_text(event_to_document(shown))
        assert MASK in json_text(event_to_document(shown))
    assert read.id == "e1"
    assert list(event_to_document(read)) == list(document)


def test_masking_reaches_snapshots_in_every_layout() -> None:
    secret = {"card": {"number": CARD}}
    made = snapshot(context=secret, public_member=secret, internal_member=secret)
    hidden = Redaction.parse("card.number")

    for shown in (
        snapshot_from_document(snapshot_to_document(made), redact=hidden),
        snapshot_from_documented_row(snapshot_to_documented_row(made), redact=hidden),
        snapshot_from_documented_row({}, extra=snapshot_extra_text(made), redact=hidden),
        snapshot_from_shipped_row({**snapshot_to_documented_row(made), "updated_at": 1}, redact=hidden),
    ):
        assert CARD not in repr(dataclasses.asdict(shown))
        assert CARD not in json_text(snapshot_to_document(shown))
        assert shown.instance.context == {"card": {"number": MASK}}


def test_masking_never_changes_ids_even_when_a_path_is_called_so() -> None:
    read = event_from_document(DOCUMENT, redact=Redaction.parse("id"))

    assert read.id == event_to_document(read)["id"] == "e1"


def test_a_payload_that_could_not_be_read_is_masked_whole() -> None:
    row = {**event_to_documented_row(event()), "event_payload": '{"card": {"number": "4111"'}

    read = event_from_documented_row(row, redact=Redaction.parse("card.number"))

    assert read.payload == MASK
    assert CARD not in repr(dataclasses.asdict(read))


@settings(deadline=None)
@given(st.lists(st.sampled_from(["card", "number", "0", "x"]), max_size=5), leaves)
def test_what_covers_says_is_what_mask_does(path: list[str], leaf: object) -> None:
    hidden = Redaction.parse("card.number")
    value: Any = "found" if leaf == MASK else leaf
    for key in reversed(path):
        value = [value] if key == "0" else {key: value}

    shown: Any = hidden.mask(value)
    for key in path:
        if shown == MASK:
            break
        shown = shown[0] if key == "0" else shown[key]

    assert (shown == MASK) is hidden.covers(path) or not path
