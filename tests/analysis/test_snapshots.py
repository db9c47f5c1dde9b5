from __future__ import annotations

from xcstore.analysis.context import fold
from xcstore.analysis.snapshots import compare_snapshot
from xcstore.model.history import Instance, InstanceSnapshot
from xcstore.units import EpochMs


def snapshot(state: str, at: int, last: str, context: dict[str, object], **more: object) -> InstanceSnapshot:
    instance = Instance(id="i1", machine_name="M", current_state=state, context=context, **more)  # type: ignore[arg-type]
    return InstanceSnapshot(instance=instance, snapshot_at=EpochMs(at), last_event_id=last)


def stream(event):
    return fold(
        [
            event("e1", 10, ">A", payload={"initialContext": {"n": 1}}),
            event("e2", 20, "A>B", payload={"n": 2}),
            event("e3", 50, "B>C", payload={"m": 3}),
        ]
    )


def test_a_snapshot_is_compared_with_the_event_it_names(event):
    facts = compare_snapshot(snapshot("B", 21, "e2", {"n": 2}), stream(event))

    assert (facts.anchor, facts.event_id, facts.events_behind, facts.behind_ms) == ("last event id", "e2", 1, 30)
    assert facts.state_agrees is True
    assert facts.changes == ()


def test_where_it_names_none_the_last_event_up_to_its_time_counts(event):
    facts = compare_snapshot(snapshot("A", 30, "", {"n": 1}), stream(event))

    assert (facts.anchor, facts.event_id, facts.state_agrees) == ("time", "e2", False)
    assert [(change.path, change.old, change.new) for change in facts.changes or ()] == [(("n",), 2, 1)]


def test_an_event_that_is_not_there_leaves_everything_unknown(event):
    facts = compare_snapshot(snapshot("A", 30, "lost", {}), stream(event))

    assert (facts.event_id, facts.events_behind, facts.state_agrees, facts.changes) == ("", None, None, None)


def test_a_snapshot_older_than_all_events_has_nothing_to_be_compared_with(event):
    assert compare_snapshot(snapshot("A", 5, "", {}), stream(event)).anchor == "none"


def test_the_public_member_is_what_counts_where_there_is_one(event):
    facts = compare_snapshot(snapshot("B", 21, "e2", {}, public_member={"n": 2}), stream(event))

    assert facts.changes == ()
