"""What is said of a fork, its rows, its pictures; of a smallest cause, and of the impact of a definition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC

import pytest

from tests.factories import START, event
from xcstore.analysis.context import diff
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION
from xcstore.model.loader import parse_component
from xcstore.replay.forks import DropEvent, EditEvent, Fork, ForkInstance, ForkResult, ForkStep, InsertEvent, run_fork
from xcstore.replay.impact import definition_impact
from xcstore.replay.slicing import minimal_slice
from xcstore.replay.track import InstanceScope, Track, open_track
from xcstore.store.base import Stores
from xcstore.store.memory import open_memory_stores
from xcstore.views import what_if as views
from xcstore.views import what_if_impact as impacts
from xcstore.views import what_if_pictures as pictures
from xcstore.views import what_if_slice as slices
from xcstore.views import what_if_steps as steps

TEXT = """
name: Shop
stateMachines:
  - name: Order
    initialState: Open
    states: [{name: Open}, {name: Paid}, {name: Shut, type: final}, {name: Sent, type: final}]
    transitions:
      - {from: Open, to: Open, event: NOTE}
      - {from: Open, to: Paid, event: PAY}
      - {from: Open, to: Shut, event: CANCEL}
      - {from: Paid, to: Sent, event: SHIP}
"""
SHOP = parse_component(TEXT)
CATALOG = Catalog([SHOP])
MACHINE = SHOP.find_machine("Order")
WAY = (
    ("a", CREATION, "", "Open", 0),
    ("n", "NOTE", "Open", "Open", 2),
    ("b", "PAY", "Open", "Paid", 5),
    ("c", "SHIP", "Paid", "Sent", 65),
)


@pytest.fixture
def stores() -> Stores:
    """An order that was created, paid and sent."""
    stores = open_memory_stores()
    stores.events.append_many(
        event(
            id=name,
            event_type=kind,
            state_before=before,
            state_after=after,
            persisted_at=START + seconds * 1_000,
            payload={"initialContext": {"id": "A-1"}} if kind == CREATION else {},
        )
        for name, kind, before, after, seconds in WAY
    )
    return stores


@pytest.fixture
def track(stores: Stores) -> Track:
    return open_track(stores, InstanceScope(instance_id="i1"), catalog=CATALOG)


@pytest.fixture
def run(track: Track) -> Callable[..., ForkResult]:
    """Run a fork with these edits."""

    def run(*edits, at=0):
        return run_fork(track, Fork(scope=track.scope, at=at, edits=edits), catalog=CATALOG)

    return run


def ends(was, then, verdict="changed", *, over=(True, True), name="i1", **more):
    return ForkInstance(
        recorded_id=None if was is None else name,
        forked_id=None if then is None else name,
        component_name="Shop",
        machine_name="Order",
        recorded_state=was,
        forked_state=then,
        recorded_ended=over[0],
        forked_ended=over[1],
        verdict=verdict,
        **more,
    )


def said(result, *instances, **more):
    return views.headline(replace(result, instances=instances), **more)


def test_the_sentence_tells_both_ends(run):
    result = run(EditEvent(event_id="b", event_type="CANCEL"))

    assert views.headline(result) == "With this change Order i1 ends in Shut instead of Sent."
    assert views.headline(result, keys={"i1": "A-1"}) == "With this change Order A-1 ends in Shut instead of Sent."
    verdicts = {step.recorded.id: step.verdict for step in result.steps if step.recorded is not None}
    assert verdicts["b"] == "changed"
    assert verdicts["c"] in ("rejected", "unknown")


def test_a_fork_without_effect_says_that_nothing_changes(run):
    assert views.headline(run()) == "Nothing changes: Order i1 ends in Sent, as recorded."


def test_what_is_not_known_is_never_told_as_a_fact(run):
    result = run()
    unknown = ends("Sent", "Shut", "unknown")

    told = said(result, unknown)
    assert "may be in Shut instead of Sent" in told
    assert "assumed" in told
    assert "ends in Shut" not in told
    same = said(replace(result, counts={"same": 1}), ends("Sent", "Sent", "unknown"))
    assert "as recorded, if the others answer as is assumed" in same


def test_what_is_certain_is_told_first_and_no_more_than_three_are_named(run):
    instances = [
        ends("Paid", "Shut", "unknown", name="u"),
        ends("Paid", "Shut", name="c1"),
        ends("Paid", "Shut", name="c2", over=(False, False)),
        ends("Sent", "Sent", "same", name="s"),
        ends("Paid", "Open", name="c3"),
    ]

    told = said(run(), *instances, preferred="c2")
    assert told.startswith(
        "With this change Order c2 gets as far as Shut instead of Paid, Order c1 ends in Shut instead of Paid"
    )
    assert told.endswith("and 1 other instance would be elsewhere too.")


def test_what_is_new_and_what_is_gone_is_told_as_such(run):
    assert said(run(), ends(None, "Open", "new")) == "With this change there is a new Order i1, in Open."
    assert said(run(), ends(None, "Open", "unknown")) == (
        "With this change there may be a new Order i1, in Open, which rests on what is assumed."
    )
    assert said(run(), ends("Sent", None, "gone")) == "With this change there is no Order i1, which ended in Sent."


def test_other_values_at_the_same_end_are_told(run):
    changes = diff({"n": 1}, {"n": 2})

    assert said(run(DropEvent(event_id="n")), ends("Sent", "Sent", changes=changes)).endswith(
        "ends in Sent, as recorded, but with other values."
    )


def test_the_rows_set_both_sides_beside_each_other(run):
    result = run(EditEvent(event_id="b", event_type="CANCEL"))
    rows, ids, pages = views.result_rows(result, keys={})

    assert pages == 1
    assert ids == [str(number) for number in range(len(result.steps))]
    changed = next(row for row in rows if row["is"].startswith("≠"))
    assert changed["is"] == "≠ changed ✎"
    assert changed["recorded"] == "PAY: Open → Paid"
    assert changed["in the fork"] == "CANCEL: Open → Shut"
    assert "instance" not in changed
    only, numbers, _ = views.result_rows(result, keys={}, kinds=["changed"])
    assert only == [changed]
    assert numbers == [str(rows.index(changed))]


def test_an_inserted_event_that_is_not_taken_has_a_row_too(run):
    result = run(InsertEvent(after="c", instance_id="i1", event_type="PAY"))
    rows, _, _ = views.result_rows(result, keys={})

    refused = next(row for row in rows if row["is"].startswith("✕"))
    assert refused["recorded"] == ""
    assert refused["in the fork"] == "PAY: not taken"
    number = rows.index(refused)
    assert (views.named(result.steps[number]), views.whose(result.steps[number], {})) == ("PAY", "Order i1")


def test_many_rows_that_are_the_same_or_not_known_are_left_out_at_first(run):
    result = run()
    counts = {"same": 900, "changed": 1, "unknown": 300, "rejected": 0, "new": 0, "gone": 2}

    told, shown = views.verdicts(replace(result, counts=counts))
    assert told == {"same": "= 900 same", "changed": "≠ 1 changed", "unknown": "? 300 not known", "gone": "− 2 gone"}
    assert shown == ["changed", "gone"]
    assert views.verdicts(replace(result, counts={**counts, "changed": 0, "gone": 0}))[1] == ["same", "unknown"]


def test_every_verdict_has_a_mark_and_a_word_of_its_own():
    assert len({mark.sign for mark in views.MARKS.values()}) == len({m.word for m in views.MARKS.values()}) == 6


def test_long_results_are_paged(run):
    step = ForkStep(verdict="new", forked=event(id="x"), at=START)
    result = replace(run(), steps=(step,) * (steps.WINDOW + 3))

    rows, ids, pages = views.result_rows(result, keys={}, page=2)
    assert (len(rows), ids[0], pages) == (3, str(steps.WINDOW), 2)


def test_a_cut_run_is_said(run):
    result = replace(run(), cut=True, cut_reason="20,000 events")

    assert views.notes(result, UTC)[0] == "The run was cut: 20,000 events. What comes after that is not told."


def test_the_ends_say_how_long_it_took_and_what_goes_on(run):
    item = ends("Sent", "Paid", over=(True, False), recorded_ms=65_000, forked_ms=5_000)
    rows, ids = views.instance_rows(replace(run(), instances=(item,)), {"i1": "A-1"})

    assert ids == ["i1"]
    assert rows[0]["recorded end"] == "Sent (ended)"
    assert rows[0]["end in the fork"] == "Paid"
    assert (rows[0]["took"], rows[0]["takes in the fork"]) == ("1 min 5 s", "5 s so far")
    assert rows[0]["instance"] == "A-1"


def test_fields_that_differ_are_listed_up_to_a_limit_and_that_is_said():
    rows, shown = views.change_rows(diff({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": None}))
    assert rows == [
        {"field": "b", "recorded": "2", "in the fork": "3"},
        {"field": "c", "recorded": "(absent)", "in the fork": "null"},
    ]
    assert shown == ""
    many = diff({}, {str(number): number for number in range(500)})
    assert views.change_rows(many)[1] == "shown 200 of 500 fields"


def test_the_fork_begins_just_before_the_first_edit_unless_asked(track):
    edits = (DropEvent(event_id="c"), InsertEvent(after="n", instance_id="i1", event_type="CANCEL"))

    assert steps.fork_point(track, edits, None) == 2
    assert steps.fork_point(track, edits[:1], None) == 3
    assert steps.fork_point(track, (), None) == 0
    assert steps.fork_point(track, edits, 1) == 1
    assert steps.fork_point(track, edits, 99) == 4


def test_steps_from_the_fork_point_on_are_shown_with_their_edits(track):
    rows, ids, pages = steps.step_rows(track, (DropEvent(event_id="c"),), at=3, zone=UTC, keys={})

    assert (ids, pages) == (["b", "c"], 1)
    assert [(row["step"], row["edit"]) for row in rows] == [(3, "kept as it was"), (4, "− dropped")]
    assert rows[1]["stored at"] == "2026-01-01 00:01:05.000"


def test_the_pictures_show_what_was_kept_and_what_was_run(track, run):
    result = run(EditEvent(event_id="b", event_type="CANCEL"), at=2)
    item = result.instances[0]
    left, right = pictures.recorded(track, item), pictures.in_fork(track, item, result, 2)

    assert [one.event_type for one in left] == [kind for _, kind, *_ in WAY]
    assert [one.event_type for one in right][:3] == [CREATION, "NOTE", "CANCEL"]
    drawn = pictures.both_over_time(left, right, MACHINE, MACHINE, ended=(True, True), now=(result.end, result.until))
    assert drawn.lanes == ("recorded", "in the fork")
    assert {point.lane for point in drawn.points} == set(drawn.lanes)
    shut = next(node for node in pictures.way(right, MACHINE, name="x").nodes if node.label == "Shut")
    assert shut.current
    assert shut.visited


def test_a_smallest_cause_is_told_with_its_inputs(track):
    found = minimal_slice(track, "c", catalog=CATALOG)

    assert slices.headline(found) == "3 inputs suffice for SHIP → Sent, of 4 inputs before it."
    rows = slices.input_rows(found, UTC)
    assert [row["input"] for row in rows] == ["creation", "PAY", "SHIP"]
    assert "Leaving out any one of them no longer leads there: this was tried." in slices.notes(found)
    unproved = replace(found, minimal=False)
    assert any("There may be a smaller set" in note for note in slices.notes(unproved))
    lost = replace(found, reproduces=False, reason="user code decided", inputs=())
    assert slices.headline(lost).startswith("Not found")
    assert slices.notes(lost)[0] == "user code decided"


def test_candidates_are_the_steps_the_latest_first(track):
    assert [event_id for event_id, _ in slices.candidates(track)] == ["c", "b", "n", "a"]


def test_the_impact_is_told_with_its_moves_and_examples(stores):
    candidate = parse_component(TEXT.replace("event: SHIP", "event: SEND"))
    found = definition_impact(stores, candidate, catalog=CATALOG)

    assert impacts.headline(found) == "With this definition: 1 of 1 instance would end elsewhere."
    assert impacts.move_rows(found.machines) == [
        {"machine": "Order", "ends now in": "Sent", "would end in": "Paid", "instances": 1}
    ]
    example = impacts.example_rows(found.machines)[0]
    assert (example.instance_id, example.event_id) == ("i1", "c")
    assert example.cells["parts at"] == "event 4"
    assert {number.label: number.value for number in impacts.numbers(found)}["≠ Elsewhere"] == "1"
    assert impacts.machine_rows(found.machines)[0]["≠ elsewhere"] == 1
    assert impacts.ignored_rows(found.machines)[0]["event"] == "SHIP"


def test_the_impact_of_the_definition_in_force_is_nothing(stores):
    found = definition_impact(stores, SHOP, catalog=CATALOG)

    assert impacts.headline(found) == "This is the definition that is in force: nothing can change for the 1 instance."
    assert impacts.move_rows(found.machines) == []


def test_what_is_not_known_of_every_instance_is_in_the_sentence(run):
    result = run(EditEvent(event_id="b", event_type="CANCEL"))
    steps = (replace(result.steps[0], verdict="unknown"), *(replace(s, verdict="same") for s in result.steps[1:]))

    told = views.headline(replace(result, steps=steps), keys={"i1": "A-1"})

    assert told.endswith(f" Not known: 1 of {len(steps)} events (1 of Order A-1).")
