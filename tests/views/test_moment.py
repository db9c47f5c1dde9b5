from __future__ import annotations

from datetime import UTC

from tests.factories import START, event
from xcstore.queries.moment import InstancesThen, InstanceThen, StatesThen, StateThen
from xcstore.replay.cuts import Consistency, Crossing
from xcstore.units import EpochMs
from xcstore.views.moment import beyond_text, crossing_rows, cut_view, instance_rows, state_rows, states_note


def cut(**fields: object) -> Consistency:
    return Consistency(**{"at": START, "looked_from": START - 1_000, "looked_to": START + 1_000, **fields})  # type: ignore[arg-type]


def test_a_moment_is_called_quiet_only_where_most_recorded_causes_can_be_relied_on() -> None:
    quiet = cut_view(cut(links=8, doubtful={"unjudged": 8}), UTC)
    doubtful = cut_view(cut(links=8, doubtful={"unjudged": 6, "source": 3}), UTC)
    silent = cut_view(cut(), UTC)

    assert (quiet.level, quiet.verdict[:20]) == ("success", "Consistent and quiet")
    assert (doubtful.level, "9 of 17 recorded causes" in doubtful.verdict) == ("info", True)
    assert ("no causes are recorded" in silent.verdict, silent.level) == (True, "info")
    assert any("9 recorded causes left out" in note and "source 3, unjudged 6" in note for note in doubtful.notes)


def test_a_cut_names_the_moments_that_are_better_and_says_where_there_is_none() -> None:
    torn = cut_view(cut(cut_count=2, links=5, before=EpochMs(START - 5), quiet_after=EpochMs(START + 7)), UTC)
    lost = cut_view(cut(cut_count=2, links=5), UTC)

    assert torn.level == "warning"
    assert [(way.label, way.at) for way in torn.ways] == [
        ("Consistent, before: 2025-12-31 23:59:59.995", START - 5),
        ("Quiet, after: 2026-01-01 00:00:00.007", START + 7),
    ]
    assert "No consistent moment in what was looked at." in lost.notes
    assert lost.ways == ()


def test_causes_that_were_not_believed_make_a_moment_doubtful_and_are_counted() -> None:
    between = cut_view(cut(links=9, not_believed=2, in_flight_count=1, doubtful={"before": 3}), UTC)
    elsewhere = cut_view(cut(links=9, doubtful={"before": 1}), UTC)

    assert (between.level, between.verdict[:8]) == ("info", "Doubtful")
    assert "2 recorded causes would" in between.verdict
    assert any("3 recorded causes lie after their effect and were not believed" in note for note in between.notes)
    assert elsewhere.level == "success"
    assert any("1 recorded cause lies after its effect and was not believed" in note for note in elsewhere.notes)


def test_how_far_was_looked_is_told_with_what_that_leaves_unseen() -> None:
    notes = cut_view(cut(links=1), UTC).notes

    first, last = "2025-12-31 23:59:59", "2026-01-01 00:00:01"
    assert any(f"stored from {first} to {last}" in note for note in notes)
    assert any(
        f"Not seen: an effect stored before {first}" in note and f"arrived after {last}" in note for note in notes
    )


def test_rows_tell_causes_and_effects_with_their_gap() -> None:
    crossing = Crossing(
        cause=event(id="c", persisted_at=START + 90), effect=event(id="e", persisted_at=START, component_name="")
    )

    row = crossing_rows([crossing], UTC)[0]

    assert (row["cause id"], row["effect id"], row["after"], row["of"], row["in"]) == (
        "c", "e", "-90 ms", "Shop · Order", "Order",
    )  # fmt: skip


def test_counts_that_are_not_exact_say_so() -> None:
    def row(then: int | None) -> StateThen:
        return StateThen(component_name="", machine_name="M", state="A", then=then, at_least=3, now=4)

    exact = StatesThen(at=START, rows=(row(5),), exact=True, created=5)
    rough = StatesThen(at=START, rows=(row(5), row(None)), exact=False, created=5)

    assert [one["then"] for one in state_rows(exact, lambda *_: None)] == [5]
    assert [one["then"] for one in state_rows(rough, lambda *_: None)] == ["about 5", "at least 3"]
    assert states_note(exact) != states_note(rough)


def test_an_instance_that_did_not_go_on_is_said_to_be_unchanged() -> None:
    def one(name: str, updated: int) -> InstanceThen:
        return InstanceThen(instance_id=name, component_name="Shop", machine_name="Order", state="Paid",
                            last=event(persisted_at=START), state_now="Paid", updated_at=EpochMs(updated))  # fmt: skip

    page = InstancesThen(instances=(one("still", START), one("on", START + 99)), next=None)

    rows = instance_rows(page, lambda *_: None, EpochMs(START + 50), UTC)

    assert rows[0]["state now"] == "unchanged since"
    assert rows[1]["state now"] != "unchanged since"
    assert rows[0]["idle then"] == "50 ms"


def test_a_moment_outside_of_the_history_is_said_to_be_outside() -> None:
    bounds = (EpochMs(START), EpochMs(START + 1_000))

    assert "Before the first event of the store" in beyond_text(EpochMs(START - 1), bounds, UTC)
    assert "After the last event of the store" in beyond_text(EpochMs(START + 1_001), bounds, UTC)
    assert {beyond_text(EpochMs(START + ms), bounds, UTC) for ms in (0, 500, 1_000)} == {""}
