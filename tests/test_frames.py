"""Frames keep the contract of their column tables."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from tests.factories import START, event, snapshot
from xcstore.errors import QueryError
from xcstore.frames import (
    EVENT_COLUMNS,
    INSTANCE_COLUMNS,
    SNAPSHOT_COLUMNS,
    Column,
    events_frame,
    events_to_frame,
    instances_to_frame,
    snapshots_to_frame,
)
from xcstore.model.history import PendingTimeout
from xcstore.store.base import EventQuery, InstanceQuery, Stores
from xcstore.store.memory import open_memory_stores
from xcstore.units import MAX_UTC, MIN_UTC, DurationMs


def contract(columns: tuple[Column, ...]) -> dict[str, str]:
    return {column.name: column.dtype for column in columns}


def shape(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


@pytest.mark.parametrize(
    ("frame", "columns"),
    [
        (lambda: events_to_frame([]), EVENT_COLUMNS),
        (lambda: events_to_frame([event()]), EVENT_COLUMNS),
        (lambda: events_frame(open_memory_stores().events, EventQuery()), EVENT_COLUMNS),
        (lambda: instances_to_frame([]), INSTANCE_COLUMNS),
        (lambda: snapshots_to_frame([]), SNAPSHOT_COLUMNS),
        (lambda: snapshots_to_frame([snapshot()]), SNAPSHOT_COLUMNS),
    ],
)
def test_a_frame_has_the_columns_and_types_of_its_table(frame, columns) -> None:  # type: ignore[no-untyped-def]
    assert shape(frame()) == contract(columns)


def test_the_frame_has_the_same_columns_and_types_on_each_backend(stores: Stores) -> None:
    assert shape(events_frame(stores.events, EventQuery())) == contract(EVENT_COLUMNS)
    stores.events.append_many(
        event(timestamp=START if n % 2 else None, source_component_name="Depot" if n % 2 else None) for n in range(3)
    )
    frame = events_frame(stores.events, EventQuery())
    assert shape(frame) == contract(EVENT_COLUMNS)
    assert frame["timestamp_ms"].isna().tolist() == [True, False, True]
    assert frame["source_component_name"].tolist()[1] == "Depot"
    assert shape(instances_to_frame(stores.events.instances(InstanceQuery()).items)) == contract(INSTANCE_COLUMNS)


def test_a_frame_says_what_the_events_say(stores: Stores) -> None:
    stored = [
        event(id="a", payload={"n": 1, "ü": "\"'"}, caused_by=("x", "y"), timestamp=START - 1, component_name=""),
        event(id="b", public_member_snapshot={"p": 1}, context={"c": None}, state_before="", definition_hash="h"),
    ]
    stores.events.append_many(stored)

    frame = events_frame(stores.events, EventQuery())

    assert frame["id"].tolist() == ["a", "b"]
    assert [json.loads(text) for text in frame["payload"]] == [one.payload for one in stored]
    assert list(frame["caused_by"].iloc[0]) == ["x", "y"]
    assert list(frame["caused_by"].iloc[1]) == []
    assert frame["persisted_at_ms"].tolist() == [one.persisted_at for one in stored]
    assert frame["persisted_at"].tolist() == [pd.Timestamp(one.persisted_at, unit="ms", tz="UTC") for one in stored]
    assert frame["component_name"].tolist() == ["", "Shop"]
    assert json.loads(frame["context"].iloc[1]) == {"c": None}
    assert pd.isna(frame["context"].iloc[0])
    assert frame["definition_hash"].astype(object).where(frame["definition_hash"].notna(), None).tolist() == [None, "h"]
    assert frame["seq"].dropna().is_monotonic_increasing
    assert len(frame["seq"].dropna()) in (0, 2)  # some backends number nothing
    assert not frame["out_of_range"].any()


@pytest.mark.parametrize("moment", [MAX_UTC + 1, MIN_UTC - 1, 2**63 - 1, -(2**63)])
@pytest.mark.needs("any_time")
def test_a_moment_beyond_the_calendar_is_missing_and_flagged_and_its_number_stays(stores: Stores, moment: int) -> None:
    stores.events.append_many([event(id="odd", persisted_at=moment), event(id="plain")])

    frame = events_frame(stores.events, EventQuery()).set_index("id")

    assert pd.isna(frame.loc["odd", "persisted_at"])
    assert frame.loc["odd", "persisted_at_ms"] == moment
    assert frame["out_of_range"].to_dict() == {"odd": True, "plain": False}


@pytest.mark.parametrize("moment", [MAX_UTC, MIN_UTC, -1, 0])
def test_a_moment_within_the_calendar_is_shown(moment: int) -> None:
    frame = events_to_frame([event(persisted_at=moment, timestamp=moment)])

    assert not frame["out_of_range"].any()
    assert frame["persisted_at"].dt.as_unit("ms").astype("int64").tolist() == [moment]
    assert frame["timestamp"].equals(frame["persisted_at"])


def test_a_time_of_making_beyond_the_calendar_flags_the_row() -> None:
    frame = events_to_frame([event(timestamp=MAX_UTC + 1), event(timestamp=None)])

    assert frame["out_of_range"].tolist() == [True, False]
    assert frame["timestamp_ms"].tolist() == [MAX_UTC + 1, pd.NA]


def test_a_frame_that_was_cut_says_so() -> None:
    stores = open_memory_stores()
    stores.events.append_many(event(id=f"e{n}") for n in range(5))

    cut = events_frame(stores.events, EventQuery(), limit=3, newest_first=True)
    whole = events_frame(stores.events, EventQuery(), limit=5)

    assert cut["id"].tolist() == ["e4", "e3", "e2"]
    assert cut.attrs["truncated"] is True
    assert whole.attrs["truncated"] is False
    assert len(events_frame(stores.events, EventQuery(), limit=None)) == 5


@pytest.mark.needs("any_time")
def test_columns_come_as_asked(stores: Stores) -> None:
    stores.events.append(event(id="a", persisted_at=MAX_UTC + 1))

    frame = events_frame(stores.events, EventQuery(), columns=["persisted_at_ms", "out_of_range", "id"])

    assert list(frame.columns) == ["persisted_at_ms", "out_of_range", "id"]
    assert frame.iloc[0].tolist() == [MAX_UTC + 1, True, "a"]
    assert list(events_frame(stores.events, EventQuery(), columns=["out_of_range"])["out_of_range"]) == [True]
    with pytest.raises(QueryError, match="colour"):
        events_frame(stores.events, EventQuery(), columns=["colour"])


def test_words_are_sorted_categories_and_keep_the_empty_one() -> None:
    frame = events_to_frame([event(machine_name=name) for name in ["b", "", "é", "a", "b"]])

    assert frame["machine_name"].cat.categories.tolist() == ["", "a", "b", "é"]
    assert frame["machine_name"].tolist() == ["b", "", "é", "a", "b"]


def test_many_batches_join_into_one_frame() -> None:
    stored = [event(id=f"e{n}", machine_name=f"M{n % 3 if n < 60_000 else n % 5}") for n in range(110_000)]

    frame = events_to_frame(stored)

    assert frame["machine_name"].tolist() == [one.machine_name for one in stored]
    assert frame["id"].tolist() == [one.id for one in stored]


def test_instances_tell_their_state_and_times() -> None:
    stores = open_memory_stores()
    stores.events.append_many(
        [event(persisted_at=START), event(persisted_at=START + 5, state_after="Sent"), event(instance_id="i2")]
    )

    frame = instances_to_frame(stores.events.instances(InstanceQuery()).items).set_index("instance_id")

    assert frame.loc["i1", "state"] == "Sent"
    assert frame.loc["i1", "event_count"] == 2
    assert (frame.loc["i1", "updated_at"] - frame.loc["i1", "created_at"]).total_seconds() == 0.005


def test_snapshots_tell_only_what_is_recorded() -> None:
    timer = PendingTimeout(state_key="Paid", event_type="EXPIRE", remaining_ms=DurationMs(5))
    frame = snapshots_to_frame(
        [
            snapshot(id="a", status="error", pending_timeouts=(timer,), parent_instance_id="p", context={"x": "ü"}),
            snapshot(id="b", status_recorded=False, created_at=None, updated_at=None, public_member={}),
        ]
    ).set_index("instance_id")

    assert frame.loc["a", "status"] == "error"
    assert frame.loc["a", "context"] == '{"x":"ü"}'
    assert frame.loc["a", "pending_timeouts"] == '[{"state_key":"Paid","event_type":"EXPIRE","remaining_ms":5}]'
    assert pd.isna(frame.loc["b", "status"])
    assert pd.isna(frame.loc["b", "created_at"])
    assert pd.isna(frame.loc["b", "parent_instance_id"])
    assert frame["public_member"].isna().tolist() == [True, False]
