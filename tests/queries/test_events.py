"""Events by filter, their detail, and the export."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tests.factories import START, event
from xcstore.errors import NotFoundError
from xcstore.queries import events as queries
from xcstore.store.base import EventQuery
from xcstore.store.opening import open_stores


def exported(stores, form, query=None, **kwargs):
    out = io.StringIO(newline="")
    count = queries.export(stores, query or EventQuery(), out, form=form, **kwargs)
    return count, out.getvalue()


def test_options_are_counted_within_the_chosen_components_and_the_most_frequent_comes_first(stores):
    stores.events.append_many(
        [
            event(component_name="A", event_type="PAY"),
            event(component_name="A", event_type="PAY"),
            event(component_name="A", event_type="ABORT"),
            event(component_name="B", event_type="SHIP", machine_name="Parcel"),
        ]
    )

    everything = queries.options(stores)
    assert everything.components == (("A", 3), ("B", 1))
    assert everything.event_types == (("PAY", 2), ("ABORT", 1), ("SHIP", 1))
    within = queries.options(stores, ("B",))
    assert within.event_types == (("SHIP", 1),)
    assert within.machines == (("Parcel", 1),)
    assert within.components == everything.components


def test_counting_since_a_moment_keeps_the_other_conditions(stores):
    stores.events.append_many(
        event(event_type="PAY" if number % 2 else "SHIP", persisted_at=START + number) for number in range(10)
    )

    assert queries.count_since(stores, EventQuery(event_types=("PAY",)), START + 5) == 3
    assert queries.count_since(stores, EventQuery(start=START + 8), START + 5) == 2


def test_a_detail_tells_causes_effects_and_causes_that_are_missing(stores):
    stores.events.append_many(
        [
            event(id="cause"),
            event(id="middle", caused_by=("gone", "cause")),
            event(id="effect", caused_by=("middle",)),
        ]
    )

    detail = queries.detail(stores, "middle")
    assert [item.id for item in detail.causes] == ["cause"]
    assert detail.missing_causes == ("gone",)
    assert [item.id for item in detail.effects] == ["effect"]
    assert json.loads(detail.document)["causedBy"] == ["gone", "cause"]


def test_more_effects_than_shown_are_said_to_be_there(stores):
    stores.events.append_many([event(id="cause"), *(event(caused_by=("cause",)) for _ in range(4))])

    detail = queries.detail(stores, "cause", max_effects=3)
    assert (len(detail.effects), detail.more_effects) == (3, True)


def test_the_detail_of_an_unknown_event_is_an_error_that_names_it(stores):
    with pytest.raises(NotFoundError, match="nobody"):
        queries.detail(stores, "nobody")


def test_text_and_payload_conditions_are_not_cheap_to_count():
    assert queries.is_cheap_to_count(EventQuery(machines=("Order",), start=START))
    assert not queries.is_cheap_to_count(EventQuery(text="x"))
    assert not queries.is_cheap_to_count(EventQuery(payload_path=("a",), payload_value="1"))


def test_a_csv_export_has_every_event_that_fits_newest_first(stores):
    stores.events.append_many(event(id=f"x{number}", persisted_at=START + number) for number in range(2_500))
    told = []

    count, text = exported(stores, "csv", EventQuery(start=START + 500), progress=told.append)

    rows = list(csv.DictReader(io.StringIO(text)))
    assert count == len(rows) == 2_000
    assert (rows[0]["event_id"], rows[-1]["event_id"]) == ("x2499", "x500")
    assert rows[-1]["persisted_at"] == "2026-01-01T00:00:00.500+00:00"
    assert told == [1_000, 2_000]


def test_an_export_stops_at_its_cap(stores):
    stores.events.append_many(event(persisted_at=START + number) for number in range(30))

    assert exported(stores, "csv", cap=12)[0] == 12
    assert len(json.loads(exported(stores, "json", cap=12)[1])) == 12


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", '=HYPERLINK("http://x","y")'])
def test_text_that_a_spreadsheet_would_compute_is_defused_in_csv_and_whole_in_json(stores, text):
    stores.events.append(event(id="e", instance_id=text, event_type=text, payload={"a": text}))

    row = next(csv.DictReader(io.StringIO(exported(stores, "csv")[1])))
    assert row["event_type"] == row["instance_id"] == f"'{text}"
    assert not row["payload"].startswith(("=", "+", "-", "@"))
    assert json.loads(exported(stores, "json")[1])[0]["instanceId"] == text


def test_json_and_ndjson_hold_the_documents_of_the_typescript_runtime(stores):
    stores.events.append_many([event(id="a", persisted_at=START), event(id="b", persisted_at=START + 1)])

    array = json.loads(exported(stores, "json")[1])
    lines = [json.loads(line) for line in exported(stores, "ndjson")[1].splitlines()]
    assert array == lines
    assert [item["id"] for item in array] == ["b", "a"]
    assert array[0]["event"]["type"] == "PAY"
    assert array[0]["stateBefore"] == "Created"


def test_an_export_of_nothing_is_a_valid_file(stores):
    assert exported(stores, "csv")[1].strip() == ",".join(queries.CSV_COLUMNS)
    assert json.loads(exported(stores, "json")[1]) == []
    assert exported(stores, "ndjson") == (0, "")


def test_masked_values_are_masked_in_every_form_of_export(tmp_path):
    from xcstore.redaction import Redaction

    url = f"sqlite:///{tmp_path / 'cards.db'}"
    with open_stores(url, read_only=False) as stores:
        stores.events.append(event(payload={"card": {"number": "4111"}}, context={"card": {"number": "4111"}}))
    with open_stores(url, redact=Redaction.parse("card.number")) as stores:
        for form in ("csv", "json", "ndjson"):
            text = exported(stores, form)[1]
            assert "4111" not in text
            assert "•••" in text
