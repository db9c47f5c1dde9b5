"""`to_arrow` gives what `find` gives, as columns, on every backend."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from tests.contract.helpers import ids
from tests.factories import START, event
from xcstore.errors import QueryError
from xcstore.store.arrow_tables import EVENT_SCHEMA
from xcstore.store.base import EventQuery, Stores

JSON_COLUMNS = ("payload", "public_member_snapshot", "context")


def plain(kind: pa.DataType) -> pa.DataType:
    """The type without dictionary encoding: whether a word is encoded is the backend's choice."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


@pytest.fixture
def filled(stores: Stores) -> Stores:
    stores.events.append_many(
        event(
            id=f"e{n * 7 % 40:02}",
            instance_id=f"i{n % 4}",
            component_name=["Shop", "", "Dépôt"][n % 3],
            machine_name=f"M{n % 2}",
            payload={"n": n, "ü": ["'", '"']} if n % 5 else "plain",
            timestamp=START + n if n % 2 else None,
            caused_by=tuple(f"c{i}" for i in range(n % 3)),
            caused=("x",) if n % 4 == 0 else (),
            source_component_name="Depot" if n % 7 == 0 else None,
            target_component_name="Shop" if n % 6 == 0 else None,
            public_member_snapshot={"m": n} if n % 3 == 0 else None,
            context={"c": n} if n % 4 == 0 else None,
            definition_hash="h" if n % 2 else None,
            persisted_at=START + n // 3,
        )
        for n in range(40)
    )
    return stores


def test_the_columns_are_those_of_the_schema_also_when_there_is_nothing(stores: Stores) -> None:
    table = stores.events.to_arrow(EventQuery())

    assert table.num_rows == 0
    assert table.schema.names == EVENT_SCHEMA.names
    assert [plain(kind) for kind in table.schema.types] == [plain(kind) for kind in EVENT_SCHEMA.types]


@pytest.mark.parametrize("newest_first", [False, True])
def test_each_row_holds_what_the_event_holds(filled: Stores, newest_first: bool) -> None:
    events = filled.events.find(EventQuery(), limit=1000, newest_first=newest_first).items

    table = filled.events.to_arrow(EventQuery(), newest_first=newest_first)

    assert [plain(kind) for kind in table.schema.types] == [plain(kind) for kind in EVENT_SCHEMA.types]
    for row, stored in zip(table.to_pylist(), events, strict=True):
        expected: dict[str, Any] = {name: getattr(stored, name) for name in EVENT_SCHEMA.names}
        expected["caused_by"], expected["caused"] = list(stored.caused_by), list(stored.caused)
        for name in JSON_COLUMNS:
            row[name] = None if row[name] is None else json.loads(row[name])
        assert row == expected


@pytest.mark.parametrize(
    "query",
    [
        EventQuery(machines=("M1",)),
        EventQuery(instance_ids=("i2", "i1")),
        EventQuery(start=START + 2, end=START + 5),
        EventQuery(text="Ü"),
        EventQuery(payload_path=("n",), payload_value="7"),
        EventQuery(components=("",), text="plain"),
        EventQuery(machines=("nobody",)),
    ],
    ids=repr,
)
def test_the_conditions_mean_what_they_mean_in_find(filled: Stores, query: EventQuery) -> None:
    table = filled.events.to_arrow(query)

    assert table["id"].to_pylist() == ids(filled.events.find(query, limit=1000).items)


def test_columns_and_limit_are_obeyed(filled: Stores) -> None:
    table = filled.events.to_arrow(EventQuery(), columns=["payload", "id", "seq"], limit=3, newest_first=True)

    assert table.column_names == ["payload", "id", "seq"]
    assert table["id"].to_pylist() == ids(filled.events.find(EventQuery(), limit=3, newest_first=True).items)
    assert filled.events.to_arrow(EventQuery(text="plain"), columns=["id"], limit=2).num_rows == 2
    assert filled.events.to_arrow(EventQuery(), columns=["id"], limit=0).num_rows == 0


def test_an_unknown_column_is_refused(filled: Stores) -> None:
    with pytest.raises(QueryError, match="colour"):
        filled.events.to_arrow(EventQuery(), columns=["id", "colour"])
