from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import get_args

import pytest

from tests.factories import START, event
from xcstore.analysis.causality import Link
from xcstore.analysis.context import Origin, field_history, fold
from xcstore.analysis.lineage import Place
from xcstore.model.history import CREATION
from xcstore.queries.lineage import End, Lineage, LineageStep, Via
from xcstore.views.lineage import build

BROUGHT = event(
    id="o1",
    instance_id="order",
    event_type=CREATION,
    state_before="",
    state_after="Draft",
    payload={"initialContext": {"city": "Praha"}},
    persisted_at=START,
)
MADE = event(
    id="p1",
    instance_id="parcel",
    component_name="Post",
    machine_name="Parcel",
    event_type=CREATION,
    state_before="",
    state_after="New",
    payload={"initialContext": {"town": "Praha"}},
    persisted_at=START + 5,
)


def step(brought, field: str, **fields) -> LineageStep:
    setting = field_history(fold([brought]), (field,))[0]
    values = {"event": brought, "path": (field,), "value": "Praha", "origin": setting.origin, "setting": setting}
    return LineageStep(**{**values, **fields})


def walk(link: Link | None = None, how: str = "equal value", others: int = 0, end: End = "outside") -> Lineage:
    link = link or Link(cause_id="o1", effect_id="p1")
    via = Via(link=link, cause=BROUGHT, place=Place(within="values", path=("city",), how=how, others=others))  # type: ignore[arg-type]
    return Lineage(steps=(step(MADE, "town", via=via), step(BROUGHT, "city")), end=end)


def test_the_steps_say_what_is_exact_and_what_is_only_likely():
    view = build(walk(), zone=UTC)

    first, last = view.steps
    assert "set by INSTANCE_CREATED: (new) → New at " in first.setting
    assert first.setting.endswith("exact: from payload.initialContext.town")
    assert first.handed_on.startswith(
        "by causal link and equal value: caused by INSTANCE_CREATED of Order order (Shop)"
    )
    assert first.handed_on.endswith("city holds an equal value")
    assert (first.crosses, last.crosses, last.handed_on) == (True, False, "")
    assert (last.place, last.value) == ("city", '"Praha"')
    assert view.summary == "2 steps back through 2 instances of 2 components"
    assert (
        view.end == "The value came from outside with INSTANCE_CREATED of Order order: no cause of that event is known."
    )


def test_a_link_says_who_says_so():
    inferred = Link(cause_id="o1", effect_id="p1", provenance="inferred", rule="parent", evidence="created by it")
    doubtful = Link(cause_id="o1", effect_id="p1", doubts=("it cannot be",))

    assert "recorded link" in build(walk(), zone=UTC).steps[0].handed_on
    assert "inferred link: created by it" in build(walk(inferred), zone=UTC).steps[0].handed_on
    assert "doubtful link: it cannot be" in build(walk(doubtful), zone=UTC).steps[0].handed_on


def test_what_speaks_for_a_place_is_said_and_how_many_others_there_are():
    assert "the definition takes it from city" in build(walk(how="declared"), zone=UTC).steps[0].handed_on
    assert build(walk(others=2), zone=UTC).steps[0].handed_on.endswith("; so do 2 other places")


def test_the_table_has_the_same_steps():
    rows = build(walk(), zone=UTC).rows

    assert [(row["step"], row["component"], row["field"], row["value"], row["event id"]) for row in rows] == [
        (1, "Post", "town", '"Praha"', "p1"),
        (2, "Shop", "city", '"Praha"', "o1"),
    ]
    assert rows[0]["equal value in"] == "city holds an equal value"


def test_a_value_that_only_the_event_carries_and_one_that_user_code_made_are_told_apart():
    carried = step(
        MADE, "town", path=(), setting=None, origin=Origin(path=("initialContext", "town"), how="same place")
    )
    made = step(MADE, "town", origin=None)

    assert build(Lineage(steps=(carried,), end="outside"), zone=UTC).steps[0].place == "payload.initialContext.town"
    assert "carried by" in build(Lineage(steps=(carried,), end="outside"), zone=UTC).steps[0].setting
    assert "user code made it" in build(Lineage(steps=(made,), end="made here"), zone=UTC).steps[0].setting


@pytest.mark.parametrize("end", get_args(End))
def test_every_end_is_one_sentence(end):
    said = build(replace(walk(end=end), missing=("gone",)), zone=UTC).end

    assert said[0].isupper() or said.startswith("INSTANCE_CREATED")
    assert said.endswith(".")


def test_no_stored_text_hides_in_the_table():
    hostile = replace(BROUGHT, machine_name="\u202emachine\n", payload={"initialContext": {"city": "\u200b"}})
    rows = build(Lineage(steps=(step(hostile, "city", value="\u200b"),), end="outside"), zone=UTC).rows

    assert all(str(value).isprintable() for row in rows for value in row.values())
