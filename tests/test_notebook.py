"""`xcstore.trace` and its friends, as a notebook calls them."""

from __future__ import annotations

import base64
import doctest
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import xcstore
from tests.factories import START, event, snapshot
from xcstore.errors import NotFoundError, QueryError, StoreUnavailableError
from xcstore.frames import EVENT_COLUMNS, SNAPSHOT_COLUMNS
from xcstore.model.history import CREATION
from xcstore.notebook import asking
from xcstore.notebook.frames import FINDING_COLUMNS, LINK_COLUMNS, PARTICIPANT_COLUMNS, SEGMENT_COLUMNS
from xcstore.notebook.html import MAX_ROWS
from xcstore.notebook.traces import EventTrace
from xcstore.redaction import Redaction
from xcstore.store.base import Stores
from xcstore.store.opening import open_stores

HOSTILE = '<img src=x onerror="alert(1)">\u202e\x1b[31m'
EVENTS = (
    event(id="a", instance_id="o1", event_type=CREATION, state_before="", state_after="Created", persisted_at=START,
          payload={"initialContext": {"orderId": "ORD-1"}}),
    event(id="b", instance_id="o1", persisted_at=START + 1_000, caused_by=("a",)),
    event(id="c", instance_id="s1", component_name="Shipping", machine_name="Parcel", event_type=CREATION,
          state_before="", state_after="Packed", persisted_at=START + 2_000, caused_by=("b", "gone"),
          payload={"orderId": "ORD-1", "parentInstanceId": "o1"}),
)  # fmt: skip


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with open_stores(url, read_only=False) as stores:
        stores.events.append_many(EVENTS)
        stores.snapshots.save_snapshot(snapshot(id="o1", last_event_id="b"))
    return url


@pytest.fixture
def hostile() -> Iterator[Stores]:
    """One name of everything, and all of them hostile; more events than a table shows."""
    names = dict.fromkeys(("machine_name", "component_name", "event_type", "state_after"), HOSTILE[:50])
    with open_stores("memory://") as stores:
        stores.events.append_many(
            event(id=f"{HOSTILE[:40]}{number}", instance_id=HOSTILE[:50], persisted_at=START + number,
                  caused_by=(f"{HOSTILE[:40]}{number - 1}",), payload={"key": HOSTILE}, **names)
            for number in range(MAX_ROWS + 5)
        )  # fmt: skip
        yield stores


def columns(frame: Any) -> dict[str, str]:
    return {name: str(dtype) for name, dtype in frame.dtypes.items()}


def contract(table: Any) -> dict[str, str]:
    return {column.name: column.dtype for column in table}


def test_a_trace_of_which_nobody_knows_how_much_more_there_is_says_no_number(url: str) -> None:
    found = xcstore.trace(url, "b")
    cut = replace(found.neighbourhood, truncated=True, unread=0)
    more = replace(cut, unread=2)

    assert EventTrace(cut, found.definitions, url).shown == "3 events, 3 links, there may be more"
    assert EventTrace(more, found.definitions, url).shown == "3 events of at least 5, 3 links"


def test_a_trace_has_events_and_links_as_frames(url: str) -> None:
    found = xcstore.trace(url, "b")

    assert [one.id for one in found] == ["b", "a", "c"]
    assert len(found) == 3
    assert columns(found.events) == contract(EVENT_COLUMNS)
    assert list(found.events["id"]) == ["b", "a", "c"]
    assert columns(found.links) == contract(LINK_COLUMNS)
    assert set(zip(found.links["cause_id"], found.links["effect_id"], strict=True)) >= {("a", "b"), ("b", "c")}
    assert found.root.id == "b"
    assert found.depths == {"b": 0, "a": -1, "c": 1}
    assert found.graph.missing == ("gone",)
    assert not found.truncated


def test_a_trace_goes_where_and_as_far_as_was_asked_and_says_what_is_left_out(url: str) -> None:
    assert [one.id for one in xcstore.trace(url, "b", direction="causes")] == ["b", "a"]
    cut = xcstore.trace(url, "a", max_depth=1)
    assert [one.id for one in cut] == ["a", "b"]
    cut = xcstore.trace(url, "a", max_events=2)
    assert cut.truncated
    assert cut.shown.startswith("2 events of at least 3, ")
    assert "2 events of at least 3" in repr(cut)
    assert "2 events of at least 3" in cut._repr_html_()


def test_inferred_links_say_by_which_rule_and_why() -> None:
    child = event(
        id="c",
        instance_id="s1",
        machine_name="Parcel",
        event_type=CREATION,
        state_before="",
        persisted_at=START + 1_002,
        payload={"parentInstanceId": "o1", "parentMachineName": "Order"},
    )
    with open_stores("memory://") as stores:
        stores.events.append_many([*EVENTS[:2], child])
        links = xcstore.trace(stores, "c", mode="repaired").links

    (link,) = links[links["effect_id"] == "c"].to_dict("records")
    assert (link["cause_id"], link["provenance"], link["rule"]) == ("b", "inferred", "parent")
    assert "parentInstanceId" in link["evidence"]


def test_a_url_is_opened_for_reading_and_closed_again_and_a_store_stays_open(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Stores] = []
    closed: list[str] = []

    def spied(url: str, **options: Any) -> Stores:
        assert options == {"read_only": True}
        stores = open_stores(url, **options)
        opened.append(stores)
        close = stores.events.close
        monkeypatch.setattr(type(stores), "close", lambda self: (closed.append(url), close()))
        return stores

    monkeypatch.setattr(asking, "open_stores", spied)
    with pytest.raises(NotFoundError):
        xcstore.trace(url, "nix")
    xcstore.history(url, "o1")
    assert (len(opened), len(closed)) == (2, 2)

    monkeypatch.undo()
    with open_stores(url) as stores:
        xcstore.trace(stores, "b")
        xcstore.correlate(stores, "ORD-1")
        assert stores.events.get_event("a").id == "a"


def test_a_history_has_the_stream_and_its_snapshots(url: str) -> None:
    found = xcstore.history(url, "o1")

    assert [one.id for one in found] == ["a", "b"]
    assert columns(found.events) == contract(EVENT_COLUMNS)
    assert columns(found.snapshots) == contract(SNAPSHOT_COLUMNS)
    assert found.instance.state == "Paid"
    assert found.shown == "2 events, 1 snapshot"
    assert xcstore.history(url, "o1", max_events=1).shown == "1 event of 2, the newest, 1 snapshot"


def test_a_business_key_brings_together_what_it_touched(url: str) -> None:
    found = xcstore.correlate(url, "ORD-1")

    assert [one.id for one in found] == ["a", "b", "c"]
    assert columns(found.instances) == contract(PARTICIPANT_COLUMNS)
    assert list(found.instances["event_count"]) == [2, 1]
    assert columns(found.links) == contract(LINK_COLUMNS)
    assert ("b", "c") in set(zip(found.links["cause_id"], found.links["effect_id"], strict=True))
    assert [one.id for one in xcstore.correlate(url, "ORD-1", ["orderId"])] == ["a", "b", "c"]
    assert [one.id for one in xcstore.correlate(url, "ORD-1", "orderId")] == ["a", "b", "c"]


def test_a_key_that_nobody_knows_gives_empty_frames(url: str) -> None:
    found = xcstore.correlate(url, "nix")

    assert len(found) == 0
    for frame, table in (
        (found.events, EVENT_COLUMNS),
        (found.links, LINK_COLUMNS),
        (found.instances, PARTICIPANT_COLUMNS),
    ):
        assert columns(frame) == contract(table)
        assert len(frame) == 0
    assert found.svg() == ""
    assert "0 events" in found._repr_html_()


def test_a_critical_path_adds_up(url: str) -> None:
    found = xcstore.critical_path(xcstore.trace(url, "c", direction="causes"))

    assert [one.id for one in found] == list(found.path.event_ids)
    assert found.path.event_ids[-1] == "c"
    assert columns(found.segments) == contract(SEGMENT_COLUMNS)
    assert found.segments["duration_ms"].sum() == found.path.elapsed_ms
    with pytest.raises(NotFoundError):
        xcstore.critical_path(xcstore.trace(url, "b"), "nix")


def test_a_critical_path_knows_what_an_instance_waited_for() -> None:
    """An event from outside has no cause, so no trace of causes holds it."""
    waited = event(id="w", instance_id="o1", event_type="APPROVE", state_before="Created", state_after="Approved",
                   persisted_at=START + 60_000)  # fmt: skip
    late = event(id="l", instance_id="o1", state_before="Approved", persisted_at=START + 61_000, caused_by=("a",))
    with open_stores("memory://") as stores:
        stores.events.append_many([EVENTS[0], waited, late])
        found = xcstore.trace(stores, "l", direction="causes")
        assert [one.id for one in xcstore.critical_path(found)] == ["a", "w", "l"]
        assert [one.id for one in xcstore.critical_path(found, streams=False)] == ["a", "l"]


def test_a_business_key_has_a_critical_path_too(url: str) -> None:
    found = xcstore.critical_path(xcstore.correlate(url, "ORD-1"))
    assert found.path.event_ids[-1] == "c"
    assert len(xcstore.critical_path(xcstore.correlate(url, "nix"))) == 0


def test_verify_tells_what_is_wrong(url: str) -> None:
    found = xcstore.verify(url)

    assert columns(found.findings) == contract(FINDING_COLUMNS)
    assert "gone" in " ".join(found.findings["evidence"] + found.findings["what"])
    assert len(found) == len(found.findings) == len(found.report.findings)
    assert "finding" in repr(found)


def test_a_store_without_events_is_sound() -> None:
    with open_stores("memory://") as stores:
        found = xcstore.verify(stores)
    assert found.sound
    assert found.shown == "0 findings"
    assert len(found.findings) == 0


def test_results_show_themselves_with_a_picture_and_tables(url: str) -> None:
    found = xcstore.trace(url, "b")

    (picture,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', found._repr_html_())
    assert base64.b64decode(picture).decode() == found.svg()
    assert found.svg().startswith("<svg")
    assert "<details><summary>3 events</summary>" in found._repr_html_()
    assert "gone (not among these)" in found._repr_html_()


def test_hostile_text_is_text_in_every_representation(hostile: Stores) -> None:
    first = f"{HOSTILE[:40]}0"
    traced = xcstore.trace(hostile, first)
    results = (
        traced,
        xcstore.critical_path(traced),
        xcstore.history(hostile, HOSTILE[:50]),
        xcstore.correlate(hostile, HOSTILE),
        xcstore.verify(hostile),
    )
    for result in results:
        for text in (result._repr_html_(), getattr(result, "svg", str)()):
            assert "<img src=x" not in text
            assert "\u202e" not in text
            assert "\x1b" not in text
        assert "\x1b" not in repr(result)
        assert "\u202e" not in repr(result)
        assert len(repr(result).splitlines()) < 20


def test_tables_are_bounded_and_say_so_and_frames_are_not(hostile: Stores) -> None:
    found = xcstore.history(hostile, HOSTILE[:50])

    assert found._repr_html_().count("<tr>") == MAX_ROWS + 1
    assert f"shown {MAX_ROWS} of {MAX_ROWS + 5}; the frame holds all" in found._repr_html_()
    assert len(found.events) == MAX_ROWS + 5


def test_a_picture_in_a_notebook_is_bounded_and_says_so() -> None:
    with open_stores("memory://") as stores:
        stores.events.append_many(
            event(id=f"e{number}", instance_id=f"i{number % 2}", persisted_at=START + number,
                  caused_by=(f"e{number - 1}",) if number else ())
            for number in range(600)
        )  # fmt: skip
        found = xcstore.trace(stores, "e0")

    (picture,) = re.findall(r'base64,([^"]+)"', found._repr_html_())
    assert "shown 500 of 600 marks" in base64.b64decode(picture).decode()
    assert "shown 500" not in found.svg()


def test_what_is_masked_stays_masked() -> None:
    with open_stores("memory://", redact=Redaction.parse("card")) as stores:
        stores.events.append(event(id="a", payload={"card": "4242", "orderId": "ORD-1"}, persisted_at=START))
        found = xcstore.trace(stores, "a")
        assert "4242" not in found.events["payload"].iloc[0]
        assert len(xcstore.correlate(stores, "4242")) == 0


def test_mistakes_are_told_in_one_sentence(url: str) -> None:
    with pytest.raises(NotFoundError, match="nix"):
        xcstore.trace(url, "nix")
    with pytest.raises(NotFoundError, match="nix"):
        xcstore.history(url, "nix")
    with pytest.raises(QueryError):
        xcstore.trace(url, "a", mode="true")  # type: ignore[arg-type]
    with pytest.raises(QueryError):
        xcstore.verify(url, kinds=["nix"])
    with pytest.raises(StoreUnavailableError) as refused:
        xcstore.verify("postgresql://app:s3cret@127.0.0.1:1/history")
    assert "s3cret" not in str(refused.value)


def test_the_examples_run() -> None:
    assert doctest.testmod(asking).failed == 0
    assert doctest.testmod(asking).attempted > 20
