"""What the Divergence page says of a map."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from tests.factories import START
from xcstore.analysis.context import Change
from xcstore.replay.divergence_results import DivergenceMap, InstanceDivergence, MachineDivergence
from xcstore.replay.verdicts import KINDS, Verdict
from xcstore.units import EpochMs
from xcstore.views import divergence as views

UTC = ZoneInfo("UTC")


def example(instance_id: str = "i1", **overrides: Any) -> InstanceDivergence:
    fields: dict[str, Any] = {
        "instance_id": instance_id,
        "component_name": "Shop",
        "machine_name": "Order",
        "definition_hash": "abcdef0123456789",
        "kind": "values",
        "verdict": "different",
        "reason": "the values are not what the payload makes of those before",
        "position": 3,
        "event_id": "e3",
        "event_type": "PAY",
        "at": START,
        "events": 5,
        "counts": {"same": 4, "different": 1},
    }
    return InstanceDivergence(**{**fields, **overrides})


def found(*examples: InstanceDivergence, diverging: int = 0, **verdicts: int) -> DivergenceMap:
    counts: dict[Verdict, int] = {name: verdicts[name] for name in views.MARKS if name in verdicts}
    row = MachineDivergence(
        component_name="Shop",
        machine_name="Order",
        definition_hash="abcdef0123456789",
        known=True,
        instances=9,
        diverging=diverging,
        events=40,
        verdicts=counts,
        kinds={"values": diverging, "user_code": 2} if diverging else {},
    )
    return DivergenceMap(
        store="memory://",
        asked_at=START,
        as_of=EpochMs(START + 1),
        seconds=0.1,
        components=(),
        events=40,
        instances=9,
        diverging=diverging,
        rows=(row,),
        first_kinds={"values": diverging} if diverging else {},
        examples=examples,
    )


def test_the_verdict_never_says_more_than_was_compared() -> None:
    assert views.verdict(found(same=40)) == "✓ Everything goes as defined"
    assert views.verdict(found(same=38, not_replayable=2)) == (
        "◌ No divergence was found; 2 events could not be compared in full"
    )
    assert views.verdict(found(diverging=1, same=39, different=1)) == "✕ 1 instance of 9 does not go as defined"
    assert views.verdict(found(diverging=2, same=38, different=2)) == "✕ 2 instances of 9 do not go as defined"


def test_a_list_that_was_cut_says_so() -> None:
    some = found(example("i1"), example("i2"), diverging=5)

    assert views.shown_text(some, some.examples, "", "").startswith("shown 2 of 5 diverging instances")
    assert views.shown_text(some, some.examples, "", "values").startswith("shown 2 of 5")
    machine = views.machine_id(some.rows[0])
    assert views.shown_text(some, some.examples, machine, "") == (
        "2 instances of the chosen machine, among the 2 of 5 that are kept; pick one to see what differs"
    )


def test_a_machine_and_a_kind_choose_instances() -> None:
    other = example("i2", machine_name="Payment", kind="gap")
    both = found(example("i1"), other, diverging=2)

    assert views.chosen(both, "", "") == [*both.examples]
    assert views.chosen(both, "", "gap") == [other]
    assert [one.instance_id for one in views.chosen(both, views.machine_id(both.rows[0]), "")] == ["i1"]
    assert views.chosen(both, views.machine_id(both.rows[0]), "gap") == []


def test_divergences_come_before_what_could_not_be_compared() -> None:
    some = found(diverging=1)

    assert [row["kind"] for row in views.kind_rows(some)] == [KINDS["values"].title, KINDS["user_code"].title]
    assert [row["is"] for row in views.kind_rows(some)] == ["✕ different", "◌ not replayable"]


def test_values_that_differ_stand_side_by_side_and_what_is_absent_says_so() -> None:
    changes = (
        Change(path=("a", "b"), kind="changed", old=1, new="\u202e"),
        Change(path=("c",), kind="removed", old=None),
        Change(path=("d",), kind="added", new=None),
    )
    one = example(changes=changes, change_count=9)

    assert views.changes_text(one) == "shown 3 of 9 values that differ"
    assert views.change_rows(one) == [
        {"field": "a.b", "by the definition": "1", "recorded": '"⟨U+202E⟩"'},
        {"field": "c", "by the definition": "null", "recorded": "(absent)"},
        {"field": "d", "by the definition": "(absent)", "recorded": "null"},
    ]


def test_a_timer_that_never_came_has_no_event() -> None:
    (row,) = views.instance_rows([example(kind="timer", verdict="ignored_there", event_id="", event_type="")], UTC)

    assert (row["is"], row["event"], row["event id"]) == ("✕ ignored there", "(not recorded)", "")
