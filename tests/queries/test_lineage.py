from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories import START, event
from xcstore.analysis.context import parse_path, path_text
from xcstore.errors import NotFoundError
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.model.loader import load_component
from xcstore.queries.lineage import Lineage, lineage
from xcstore.redaction import MASK
from xcstore.store.base import Stores
from xcstore.store.opening import open_stores

COMPONENTS = Path(__file__).parents[2] / "xcstore" / "demo" / "components"


@pytest.fixture
def stores() -> Iterator[Stores]:
    with open_stores("memory://") as opened:
        yield opened


def stamped(**fields: object) -> PersistedEvent:
    """An event of a runtime that records true causes."""
    return event(**{"definition_hash": "d" * 64, **fields})  # type: ignore[arg-type]


def created(name: str, at: int, context: object, **fields: object):
    values = {"instance_id": name, "event_type": CREATION, "state_before": "", "state_after": "Created"}
    return stamped(id=f"{name}-0", persisted_at=START + at, payload={"initialContext": context}, **{**values, **fields})


def walked(found: Lineage) -> list[tuple[str, str]]:
    return [(step.event.id, path_text(step.path)) for step in found.steps]


def three_hands(stores: Stores) -> None:
    """A value that comes in with an order, goes on with its shipment under another name, and then with a parcel."""
    stores.events.append_many(
        [
            created("order", 0, {"to": {"city": "Praha"}, "n": 12.5}),
            stamped(id="o1", instance_id="order", payload={"n": 13}, persisted_at=START + 10),
            created("ship", 20, {"town": "Praha", "n": 13}, component_name="Shipping", caused_by=("o1",)),
            stamped(
                id="s1", instance_id="ship", component_name="Shipping", payload={}, persisted_at=START + 30,
                caused_by=("ship-0",),
            ),
            created("parcel", 40, {"town": "Praha", "n": 13, "w": 2}, component_name="Post", caused_by=("s1",)),
        ]
    )  # fmt: skip


def test_a_value_is_followed_to_where_it_came_from_outside_through_other_names_and_components(stores):
    three_hands(stores)

    found = lineage(stores, "parcel-0", ("town",))

    assert walked(found) == [("parcel-0", "town"), ("ship-0", "town"), ("order-0", "to.city")]
    assert found.end == "outside"
    ways = [step.via for step in found.steps]
    assert [via and via.place.how for via in ways] == ["same name", "equal value", None]
    assert [via and (via.link.cause_id, via.link.provenance) for via in ways] == [
        ("s1", "recorded"),
        ("o1", "recorded"),
        None,
    ]


def test_within_an_instance_the_event_that_set_the_value_is_found_and_no_earlier_or_later_one(stores):
    three_hands(stores)
    stores.events.append(stamped(id="o2", instance_id="order", payload={"n": 99}, persisted_at=START + 50))

    found = lineage(stores, "parcel-0", ("n",))

    assert walked(found) == [("parcel-0", "n"), ("ship-0", "n"), ("o1", "n")]
    assert found.steps[-1].value == 13


def test_a_value_that_stands_everywhere_is_not_followed_and_that_is_said(stores):
    three_hands(stores)

    found = lineage(stores, "parcel-0", ("w",))

    assert (walked(found), found.end) == ([("parcel-0", "w")], "too common")


def test_a_value_that_no_cause_holds_came_with_its_event(stores):
    stores.events.append_many([created("a", 0, {"x": "other"}), created("b", 10, {"y": "new one"}, caused_by=("a-0",))])

    assert lineage(stores, "b-0", ("y",)).end == "not in the cause"


def test_a_value_that_is_not_in_the_payload_was_made_there(stores):
    recorded = {"x": "by user code"}
    stores.events.append_many(
        [
            created("a", 0, {}),
            stamped(id="a1", instance_id="a", payload={}, context=recorded, persisted_at=START + 1, caused_by=("a-0",)),
        ]
    )

    found = lineage(stores, "a1", ("x",))

    assert (walked(found), found.end) == ([("a1", "x")], "made here")


def test_a_cause_that_is_not_stored_is_named(stores):
    stores.events.append(created("a", 0, {"x": "value"}, caused_by=("gone",)))

    found = lineage(stores, "a-0", ("x",))

    assert (found.end, found.missing) == ("cause not stored", ("gone",))


def test_a_field_that_is_not_held_has_no_lineage(stores):
    three_hands(stores)

    assert lineage(stores, "order-0", ("nothing",)) == Lineage(steps=(), end="absent")


def test_an_unknown_event_is_said_to_be_unknown(stores):
    with pytest.raises(NotFoundError):
        lineage(stores, "nobody", ("x",))


def test_a_hidden_value_is_not_followed_by_its_mask(stores):
    stores.events.append_many(
        [created("a", 0, {"card": {"n": MASK}}), created("b", 1, {"card": {"n": MASK}}, caused_by=("a-0",))]
    )

    for path in (("card",), ("card", "n")):
        found = lineage(stores, "b-0", path)
        assert (len(found.steps), found.end) == (1, "masked")


def test_causes_that_lead_in_a_circle_end_the_walk(stores):
    stores.events.append_many(
        [
            created("a", 0, {"x": "round"}, caused_by=("b-0",)),
            created("b", 0, {"x": "round"}, caused_by=("c-0",)),
            created("c", 0, {"x": "round"}, caused_by=("a-0",)),
        ]
    )

    found = lineage(stores, "a-0", ("x",))

    assert found.end == "repeated"
    assert len(found.steps) == 3
    assert found.steps[-1].via is None


def test_a_long_row_of_hands_is_followed_as_far_as_asked(stores):
    stores.events.append_many(
        created(f"i{n}", n, {"x": "handed on"}, caused_by=(f"i{n - 1}-0",) if n else ()) for n in range(30)
    )

    assert (lineage(stores, "i29-0", ("x",)).end, len(lineage(stores, "i29-0", ("x",)).steps)) == ("limit", 20)
    whole = lineage(stores, "i29-0", ("x",), max_steps=100)
    assert (whole.end, whole.steps[-1].event.id) == ("outside", "i0-0")


def test_where_the_stored_history_starts_late_the_walk_does_not_make_up_a_beginning(stores):
    stores.events.append(
        stamped(id="late", instance_id="a", payload={}, context={"x": "held before"}, persisted_at=START)
    )

    assert lineage(stores, "late", ("x",)).end == "not loaded"


def test_of_several_causes_the_one_that_holds_the_value_counts(stores):
    stores.events.append_many(
        [
            created("a", 0, {"x": "nothing of it"}),
            created("b", 0, {"x": "the value"}),
            created("c", 10, {"x": "the value"}, caused_by=("a-0", "b-0", "gone")),
        ]
    )

    assert walked(lineage(stores, "c-0", ("x",))) == [("c-0", "x"), ("b-0", "x")]


def test_the_definition_leads_to_the_place_that_it_names_where_others_hold_an_equal_value(stores):
    order = load_component(COMPONENTS / "order.yaml")
    context = {"amount": 40, "paymentMethod": "card", "carrier": "card", "maxAttempts": 3, "other": 3}
    stores.events.append_many(
        [
            created("o", 0, context, component_name="OrderComponent"),
            stamped(
                id="held", instance_id="o", component_name="OrderComponent", event_type="STOCK_RESERVED", payload={},
                state_before="Reserving", state_after="AwaitingPayment", persisted_at=START + 10,
            ),
            created(
                "p", 20, {"method": "card", "maxAttempts": 3}, component_name="OrderComponent",
                machine_name="Payment", caused_by=("held",),
            ),
        ]
    )  # fmt: skip

    known = lineage(stores, "p-0", parse_path("method"), catalog=Catalog([order]))
    assert walked(known) == [("p-0", "method"), ("o-0", "paymentMethod")]
    assert known.steps[0].via is not None
    assert known.steps[0].via.place.how == "declared"
    few = lineage(stores, "p-0", parse_path("maxAttempts"), catalog=Catalog([order]))
    assert walked(few) == [("p-0", "maxAttempts"), ("o-0", "maxAttempts")]
    assert lineage(stores, "p-0", parse_path("maxAttempts")).end == "too common"


def test_a_recorded_cause_that_nothing_explains_is_not_followed_though_it_holds_an_equal_value(stores):
    order = Catalog([load_component(COMPONENTS / "order.yaml")])
    stores.events.append_many(
        [
            created("a", 0, {"x": "by chance"}, component_name="OrderComponent"),
            created("b", 10, {}, component_name="OrderComponent"),
            event(
                id="b1", instance_id="b", component_name="OrderComponent", payload={"x": "by chance"},
                persisted_at=START + 20, caused_by=("a-0",),
            ),
        ]
    )  # fmt: skip

    found = lineage(stores, "b1", ("x",), catalog=order)

    assert (walked(found), found.end) == ([("b1", "x")], "outside")


def test_a_recorded_cause_that_nothing_confirms_is_not_followed_even_where_it_holds_the_value(stores):
    stores.events.append_many(
        [created("a", 0, {"x": "the value"}), created("b", 10, {"x": "the value"}, caused_by=("a-0",))]
    )
    assert walked(lineage(stores, "b-0", ("x",))) == [("b-0", "x"), ("a-0", "x")]

    stores.events.append(created("c", 20, {"x": "the value"}, caused_by=("a-0",), definition_hash=None))
    found = lineage(stores, "c-0", ("x",))

    assert (walked(found), found.end) == ([("c-0", "x")], "doubtful")


def test_what_only_came_before_in_its_instance_handed_nothing_on(stores):
    stores.events.append_many(
        [
            event(id="a", instance_id="o", payload={}, context={"limit": 250}, persisted_at=START),
            event(
                id="b", instance_id="o", payload={"price": 250}, context={"limit": 250, "price": 250},
                persisted_at=START + 1_000, caused_by=("a",),
            ),
        ]
    )  # fmt: skip

    found = lineage(stores, "b", ("price",))

    assert (walked(found), found.end) == ([("b", "price")], "doubtful")


def test_a_walk_that_is_out_of_time_says_so_and_keeps_the_steps_that_it_found(stores):
    three_hands(stores)

    found = lineage(stores, "parcel-0", ("town",), max_seconds=0)

    assert (walked(found), found.end) == ([("parcel-0", "town")], "time")
    assert found.steps[0].via is None
    assert lineage(stores, "parcel-0", ("town",), max_seconds=None).end == "outside"
