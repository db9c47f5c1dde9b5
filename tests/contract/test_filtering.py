"""What the conditions of an `EventQuery` find, on every backend."""

from __future__ import annotations

import pytest

from tests.contract.helpers import ids
from tests.factories import START, event
from xcstore.errors import QueryError
from xcstore.store.base import EventQuery, Stores


def found(stores: Stores, query: EventQuery) -> str:
    """Ids of what is found, joined; `find` and `count` must agree."""
    page = stores.events.find(query, limit=1000)
    assert page.next is None
    assert stores.events.count(query)[0].count == len(page.items)
    return " ".join(ids(page.items))


@pytest.fixture
def shop(stores: Stores) -> Stores:
    stores.events.append_many(
        [
            event(id="a", component_name="Shop", machine_name="Order", instance_id="i1", state_after="New"),
            event(id="b", component_name="Shop", machine_name="Cart", instance_id="i2", event_type="ADD"),
            event(id="c", component_name="", machine_name="Order", instance_id="i3", state_before=""),
            event(id="d", component_name="Depot", machine_name="order", instance_id="i1", state_after="Sent"),
        ]
    )
    return stores


CONDITIONS = [
    (EventQuery(), "a b c d"),
    (EventQuery(components=("Shop",)), "a b"),
    (EventQuery(components=("",)), "c"),
    (EventQuery(components=("", "Depot")), "c d"),
    (EventQuery(components=("shop",)), ""),
    (EventQuery(machines=("Order",)), "a c"),
    (EventQuery(machines=("Cart", "order")), "b d"),
    (EventQuery(event_types=("ADD",)), "b"),
    (EventQuery(instance_ids=("i1",)), "a d"),
    (EventQuery(instance_ids=("i3", "i1", "nobody", "i1")), "a c d"),
    (EventQuery(states=("New", "Sent")), "a d"),
    (EventQuery(states_before=("",)), "c"),
    (EventQuery(components=("Shop",), machines=("Order",)), "a"),
    (EventQuery(components=("Shop",), instance_ids=("i3",)), ""),
    (EventQuery(machines=("a'b", 'a"b', "a\\b", "a\0b", "\ud800")), ""),
]


def test_conditions_hold_together_and_any_value_of_one_will_do(shop: Stores, subtests: pytest.Subtests) -> None:
    for query, expected in CONDITIONS:
        with subtests.test(repr(query)):
            assert found(shop, query) == expected


def test_times_include_both_ends(stores: Stores) -> None:
    stores.events.append_many(event(id=f"{n}", persisted_at=START + n) for n in range(5))

    assert found(stores, EventQuery(start=START + 3)) == "3 4"
    assert found(stores, EventQuery(end=START + 1)) == "0 1"
    assert found(stores, EventQuery(start=START + 1, end=START + 2)) == "1 2"
    assert found(stores, EventQuery(start=START + 2, end=START + 2)) == "2"
    assert found(stores, EventQuery(start=START + 2, end=START + 1)) == ""
    assert found(stores, EventQuery(start=START + 4, instance_ids=("i1",))) == "4"
    assert found(stores, EventQuery(start=-(10**30), end=10**30)) == "0 1 2 3 4"  # type: ignore[arg-type]
    assert found(stores, EventQuery(start=10**30)) == ""  # type: ignore[arg-type]


TEXTS = [
    ("order-77", "in-value"),
    ("ORDER-77", "in-value"),
    ("sku", "in-key"),
    ("in-id", "in-id"),
    ("IN-", "in-id in-value in-key in-type"),
    ("special", "in-type"),
    ("case-9", "in-id"),
    ("100%", "percent"),
    ("%", "percent"),
    ("1_0", "underscore"),
    ("_", "in-type underscore"),
    ('"quoted"', "quotes"),
    ("it's", "quotes"),
    ("c:\\temp", "backslash"),
    ("\\", "backslash"),
    ("é", "unicode"),
    ("É", "unicode"),
    ("zoë", "unicode"),
    ("日本", "unicode"),
    ("💥", "unicode"),
    ("two\nlines", "newline"),
    ("\n", "newline"),
    ("nlines", ""),
    ("12.5", "numbers"),
    ("4711", "numbers"),
    ("true", "words"),
    ("null", "words"),
    ("deep", "nested"),
    ("<script>", "script"),
    ("{", ""),
    (":", "backslash"),
    ('":', ""),
    ('","', ""),
    ('amount":', ""),
    ("u00", ""),
    ("nothing like this", ""),
]


def test_text_is_found_in_ids_types_and_each_key_and_value(stores: Stores, subtests: pytest.Subtests) -> None:
    blank = {"payload": {}, "instance_id": "x", "event_type": "T"}
    stores.events.append_many(
        [
            event(**{**blank, "id": "in-id", "instance_id": "case-9"}),
            event(**{**blank, "id": "in-value", "payload": {"order": "Order-77", "amount": "a"}}),
            event(**{**blank, "id": "in-key", "payload": {"SKU": 1}}),
            event(**{**blank, "id": "in-type", "event_type": "SPECIAL_EVENT"}),
            event(**{**blank, "id": "percent", "payload": {"v": "100% sure"}}),
            event(**{**blank, "id": "underscore", "payload": {"v": "1_0"}}),
            event(**{**blank, "id": "quotes", "payload": {"v": 'it\'s "quoted"'}}),
            event(**{**blank, "id": "backslash", "payload": {"v": "C:\\temp"}}),
            event(**{**blank, "id": "unicode", "payload": {"v": "Café Zoë 日本 💥"}}),
            event(**{**blank, "id": "newline", "payload": {"v": "two\nlines"}}),
            event(**{**blank, "id": "numbers", "payload": {"v": 12.5, "w": [4711]}}),
            event(**{**blank, "id": "words", "payload": {"v": [True, None]}}),
            event(**{**blank, "id": "nested", "payload": {"a": [{"b": {"c": ["DEEP"]}}]}}),
            event(**{**blank, "id": "script", "payload": {"v": "<script>alert(1)</script>"}}),
        ]
    )

    for text, expected in TEXTS:
        with subtests.test(text):
            assert found(stores, EventQuery(text=text)) == expected


@pytest.mark.parametrize("payload", ["a plain word", 42, None, True, ["list", 42], []])
def test_a_payload_that_is_no_object_can_be_searched(stores: Stores, payload: object) -> None:
    stores.events.append_many([event(id="odd", payload=payload), event(id="even", payload={"x": "y"})])

    assert found(stores, EventQuery(text="odd")) == "odd"
    if payload not in (None, True, []):
        assert found(stores, EventQuery(text="word" if isinstance(payload, str) else "42")) == "odd"
    assert found(stores, EventQuery(payload_path=("x",), payload_value="y")) == "even"


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_text_that_nothing_can_hold_finds_nothing(stores: Stores, text: str) -> None:
    stores.events.append(event(payload={"a": "b"}))

    assert found(stores, EventQuery(text=text)) == ""
    assert found(stores, EventQuery(payload_path=("a",), payload_value=text)) == ""
    assert found(stores, EventQuery(payload_path=(text,), payload_value="b")) == ""


PAYLOAD = {
    "id": "ORD-1",
    "n": 42,
    "text": "42",
    "price": 12.5,
    "whole": 7.0,
    "big": 12345678901234567890123,
    "yes": True,
    "no": False,
    "none": None,
    "empty": "",
    "a.b": {"c'd": 'q"r'},
    "0": "zero",
    "list": ["first", {"k": "second"}, ["x", "y"]],
    "object": {"0": "key zero", "k": {"deep": "down"}},
    "$x": "dollar",
    "ключ": "значение",
    "back\\slash": "c:\\",
    "": "no name",
    "x{y,z}": "braces",
}


PATHS = [
    (("id",), "ORD-1", True),
    (("id",), "ord-1", False),
    (("id",), "ORD", False),
    (("ID",), "ORD-1", False),
    (("n",), "42", True),
    (("text",), "42", True),
    (("n",), "42.0", True),
    (("text",), "42.0", False),
    (("n",), "4", False),
    (("n",), " 42", False),
    (("n",), "0x2a", False),
    (("n",), "1e999", False),
    (("price",), "12.5", True),
    (("price",), "12.50", True),
    (("whole",), "7", True),
    (("whole",), "7.0", True),
    (("big",), "12345678901234567890123", True),
    (("big",), "12345678901234567890124", False),
    (("yes",), "true", True),
    (("yes",), "True", False),
    (("yes",), "1", False),
    (("no",), "false", True),
    (("no",), "0", False),
    (("none",), "null", True),
    (("none",), "", False),
    (("empty",), "", True),
    (("id",), "", False),
    (("missing",), "null", False),
    (("missing",), "", False),
    (("a.b", "c'd"), 'q"r', True),
    (("a", "b"), 'q"r', False),
    (("0",), "zero", True),
    (("list", "0"), "first", True),
    (("list", "1", "k"), "second", True),
    (("list", "2", "1"), "y", True),
    (("list", "-1"), "first", False),
    (("list", "-3"), "first", False),
    (("list", "00"), "first", False),
    (("list", "3"), "first", False),
    (("list", "99999999999999999999"), "first", False),
    (("list", "x"), "first", False),
    (("list",), "first", False),
    (("object", "0"), "key zero", True),
    (("object", "k", "deep"), "down", True),
    (("object", "k"), "down", False),
    (("id", "0"), "O", False),
    (("$x",), "dollar", True),
    (("ключ",), "значение", True),
    (("back\\slash",), "c:\\", True),
    (("",), "no name", True),
    (("x{y,z}",), "braces", True),
]


def test_a_payload_path_finds_its_scalar(stores: Stores, subtests: pytest.Subtests) -> None:
    stores.events.append_many([event(id="e", payload=PAYLOAD), event(id="other", payload={"unrelated": 1})])

    for path, value, matches in PATHS:
        with subtests.test(f"{path} {value!r}"):
            assert found(stores, EventQuery(payload_path=path, payload_value=value)) == ("e" if matches else "")


def test_conditions_on_columns_text_and_payload_hold_together(shop: Stores) -> None:
    shop.events.append(event(id="e", component_name="Shop", payload={"ref": "X-1", "note": "urgent"}))
    shop.events.append(event(id="f", component_name="Depot", payload={"ref": "X-1", "note": "urgent"}))

    query = EventQuery(components=("Shop",), text="URGENT", payload_path=("ref",), payload_value="X-1")

    assert found(shop, query) == "e"


def test_a_payload_value_without_a_path_cannot_be_asked_for(stores: Stores) -> None:
    with pytest.raises(QueryError, match="path"):
        stores.events.find(EventQuery(payload_value="42"))
    with pytest.raises(QueryError, match="path"):
        stores.events.count(EventQuery(payload_value="42"))


@pytest.mark.parametrize("text", ["05", "-05", "-0", "+16", "16", "+300", "5", "7"])
def test_numbers_are_searched_as_python_writes_them_however_they_are_stored(stores: Stores, text: str) -> None:
    numbers = {"a": 1e-05, "b": 1e16, "c": 1.5e20, "d": 2.5e-7, "e": 123_456_789_012_345_678, "f": 1e300}
    stores.events.append_many(event(id=name, payload={"v": number}) for name, number in numbers.items())

    found = stores.events.find(EventQuery(text=text)).items

    assert {each.id for each in found} == {name for name, number in numbers.items() if text in str(number)}
