from __future__ import annotations

from datetime import UTC

import pytest

from tests.factories import event, snapshot
from xcstore.model.definition import MatchingRule, State, StateMachine, Transition
from xcstore.model.history import PendingTimeout
from xcstore.queries.instances import InstanceHistory, InstancePage
from xcstore.store.base import Count, InstanceSummary, StateCount
from xcstore.units import DurationMs, EpochMs
from xcstore.views import instance_events, instance_list
from xcstore.views import instances as views

T0 = 1_767_225_600_000
RULE = MatchingRule(event_property="a", instance_property="a")
MACHINE = StateMachine(
    name="Order",
    initial_state="Created",
    states=(
        State(name="Created", type="entry"),
        State(name="Paid"),
        State(name="Done", type="final"),
        State(name="Failed", type="error"),
    ),
    transitions=(
        Transition(source="Created", target="Paid", event="PAY"),
        Transition(source="Paid", target="Done", event="SHIP", matching_rules=(RULE,)),
        Transition(source="Paid", target="Failed", event="TIMEOUT", type="timeout", timeout_ms=DurationMs(60_000)),
    ),
)


def no_machine(component: str, machine: str) -> None:
    return None


def the_machine(component: str, machine: str) -> StateMachine:
    return MACHINE


def moved(number: int, before: str, after: str, kind: str = "PAY", **more: object):
    return event(
        id=f"e{number}",
        event_type=kind,
        state_before=before,
        state_after=after,
        persisted_at=T0 + number * 1_000,
        **more,
    )


def created(**payload: object):
    return moved(0, "", "Created", "INSTANCE_CREATED", payload={"initialContext": {"amount": 1}, **payload})


def history(*events, snapshots=(), total: int | None = None) -> InstanceHistory:
    last = events[-1]
    summary = InstanceSummary(
        instance_id="i1",
        component_name="Shop",
        machine_name="Order",
        state=last.state_after,
        created_at=events[0].persisted_at,
        updated_at=last.persisted_at,
        event_count=total or len(events),
        last_event_id=last.id,
        last_event_type=last.event_type,
    )
    return InstanceHistory(summary=summary, events=tuple(events), snapshots=tuple(snapshots))


def build(found: InstanceHistory, machine: StateMachine | None = MACHINE, leaving=(), now: int = T0 + 100_000):
    return views.build(found, leaving, machine, now=EpochMs(now), zone=UTC)


def test_an_instance_shows_its_state_with_mark_status_reason_and_since_when():
    view = build(history(created(), moved(1, "Created", "Paid")))

    assert (view.title, view.status) == ("○ Paid", "▶ active")
    assert view.since == "2026-01-01 00:00:01 (1 min ago)"
    assert not view.ended


def test_what_would_move_it_on_is_declared_with_times_due_and_counts_seen():
    view = build(
        history(created(), moved(1, "Created", "Paid")), leaving=[(("Paid", "SHIP", "Done"), 17)]
    )  # fmt: skip

    assert [(row["event"], row["leads to"], row["kind"], row["seen to happen"]) for row in view.moves] == [
        ("SHIP", "◎ Done", "regular", 17),
        ("TIMEOUT", "✕ Failed", "timeout", 0),
    ]
    assert view.moves[1]["due"] == "after 1 min: 2026-01-01 00:01:01 (39 s ago)"


def test_timers_of_the_snapshot_are_told_with_their_time():
    timer = PendingTimeout(state_key="Paid", event_type="TIMEOUT", remaining_ms=DurationMs(30_000))
    kept = snapshot(
        id="i1", current_state="Paid", snapshot_at=T0 + 1_500, last_event_id="e1", pending_timeouts=(timer,)
    )

    view = build(history(created(), moved(1, "Created", "Paid"), snapshots=[kept]), machine=None)

    assert view.moves[-1]["kind"] == "timer in the snapshot"
    assert view.moves[-1]["due"] == "2026-01-01 00:00:31 (1 min ago)"


def test_an_instance_that_ended_has_nothing_that_would_move_it_on():
    view = build(history(created(), moved(1, "Created", "Paid"), moved(2, "Paid", "Done", "SHIP")))

    assert view.ended
    assert view.moves == ()
    assert "final state of the definition" in view.moves_note


def test_without_a_definition_nothing_is_claimed_that_was_not_observed():
    found = history(created(), moved(1, "Created", "Paid"))

    left = build(found, None, leaving=[(("Paid", "SHIP", "Done"), 3)])
    never = build(found, None)

    assert left.status == "▶ active"
    assert [row["kind"] for row in left.moves] == ["observed"]
    assert never.status == "? unknown"
    assert "no instance was ever seen to leave" in never.status_why
    assert {node.kind for node in left.diagram.nodes} == {"unknown"}


def test_the_diagram_shows_the_path_the_visits_and_the_present_state():
    events = [created(), moved(1, "Created", "Paid"), moved(2, "Paid", "Created", "BACK"), moved(3, "Created", "Paid")]

    view = build(history(*events))

    nodes = {node.label: node for node in view.diagram.nodes}
    assert [(n.count, n.visited, n.current) for n in nodes.values()] == [
        (2, True, False),
        (2, True, True),
        (None, False, False),
        (None, False, False),
    ]
    edges = {edge.label: (edge.kind, edge.count, edge.taken) for edge in view.diagram.edges}
    assert edges["PAY"] == ("declared", 2, True)
    assert edges["SHIP"] == ("declared", None, False)
    assert edges["BACK"] == ("undeclared", 1, True)


def test_a_click_on_a_state_or_arrow_finds_the_last_event_that_led_there():
    events = [
        created(),
        moved(1, "Created", "Paid"),
        moved(2, "Paid", "Paid", "NOTE"),
        moved(3, "Paid", "Done", "SHIP"),
    ]

    view = build(history(*events))

    assert view.last_event(state="Paid") == "e1", "a self-loop did not lead there"
    assert view.last_event(key=("Paid", "NOTE", "Paid")) == "e2"
    assert view.last_event(state="Failed") is None


def test_a_parent_named_by_the_creation_is_shown():
    view = build(history(created(parentInstanceId="p1", parentMachineName="Cart")))

    assert view.parent is not None
    assert (view.parent.instance_id, view.parent.machine_name) == ("p1", "Cart")
    assert build(history(created(parentInstanceId=7))).parent is None


def test_a_selected_event_shows_its_changes_its_values_and_where_they_come_from():
    view = build(history(created(), moved(1, "Created", "Paid", payload={"amount": 5, "by": "Ann"})))

    shown = instance_events.event_view(view, "e1", zone=UTC)

    assert shown is not None
    assert [tuple(row.values()) for row in shown.changes] == [
        ("amount", "± changed", "1", "5"),
        ("by", "+ added", "", '"Ann"'),
    ]
    assert shown.changed_paths == ("amount", "by")
    assert "folded; the payload is merged in" in shown.source
    assert shown.previous_id == "e0"
    assert shown.next_id is None
    assert instance_events.event_view(view, "other", zone=UTC) is None


def test_recorded_values_that_differ_from_the_fold_are_told_side_by_side():
    first = created()
    second = moved(1, "Created", "Paid", payload={}, public_member_snapshot={"amount": 99})

    view = build(history(first, second))

    shown = instance_events.event_view(view, "e1", zone=UTC)
    assert shown is not None
    assert "recorded; differs" in shown.source
    assert [tuple(row.values()) for row in shown.disagreement] == [("amount", "± changed", "1", "99")]
    assert "Values of 1 of 2 events are recorded" in view.values_note


def test_who_set_a_field_is_answered_with_the_event_and_the_place_in_its_payload():
    view = build(history(created(), moved(1, "Created", "Paid", payload={"amount": 5})))

    rows, ids = instance_events.field_rows(instance_events.field_sets(view, ("amount",)), zone=UTC)

    assert ids == ("e1", "e0")
    assert [(row["value"], row["before"], row["set by event"], row["where the value came from"]) for row in rows] == [
        ("5", "1", "PAY", "payload.amount"),
        ("1", "(absent)", "INSTANCE_CREATED", "payload.initialContext.amount"),
    ]
    assert view.paths == ("amount",)


def test_a_break_in_the_chain_is_told_in_words_and_drawn_only_as_far_as_it_is_known():
    view = build(history(created(), moved(5, "Failed", "Paid", "RETRY")))

    assert "the chain breaks" in view.faults[0]
    first = view.timeline.intervals[0]
    assert (first.state, first.end_ms) == ("Created", T0)
    rows, _ = instance_events.event_rows(view, zone=UTC)
    assert rows[0]["remarks"] == "chain breaks"


def test_a_history_that_starts_late_is_odd_but_not_when_older_events_were_not_loaded():
    late = build(history(moved(7, "Created", "Paid"), total=1))
    assert "does not start with a creation" in late.faults[0]


def test_a_cut_history_says_what_is_shown():
    view = build(history(moved(7, "Created", "Paid"), total=8))

    assert view.shown == "shown 1 of 8 events, the latest"
    assert view.faults == (), "that it does not start with a creation is our doing"
    shown = instance_events.event_view(view, "e7", zone=UTC)
    assert shown is not None
    assert shown.position.startswith("event 8 of 8")
    assert shown.changes == (), "what the first loaded event changed is not known"


def test_snapshots_are_compared_with_the_events_in_words():
    kept = snapshot(id="i1", current_state="Created", snapshot_at=T0, last_event_id="e0", context={"amount": 7})

    view = build(history(created(), moved(1, "Created", "Paid"), snapshots=[kept]))

    (row,) = view.snapshots
    assert (row["events since"], row["state as the events say"], row["values as the events say"]) == (
        1,
        "✓ yes",
        "✕ no",
    )
    assert [tuple(row.values()) for row in view.snapshot_differences] == [("amount", "± changed", "1", "7")]


def test_a_snapshot_without_a_recorded_status_is_not_called_active():
    kept = snapshot(id="i1", current_state="Created", last_event_id="", status_recorded=False)

    (row,) = build(history(created(), snapshots=[kept])).snapshots

    assert row["status"] == "not recorded"


def test_the_event_table_is_cut_into_windows_newest_first():
    events = [created(), *(moved(n, "Created", "Created", "NOTE") for n in range(1, 450))]

    view = build(history(*events))

    assert [len(instance_events.event_rows(view, zone=UTC, page=page)[0]) for page in (1, 2, 3, 4)] == [200, 200, 50, 0]
    assert instance_events.event_rows(view, zone=UTC)[1][0] == "e449"
    assert instance_events.page_of(view, "e449") == 1
    assert instance_events.page_of(view, "e0") == 3
    assert instance_events.page_of(view, "nobody") == 1


def test_the_history_of_a_field_that_every_event_sets_is_cut():
    events = [created(), *(moved(n, "Created", "Created", "NOTE", payload={"n": n}) for n in range(1, 700))]

    view = build(history(*events))

    sets = instance_events.field_sets(view, ("n",))
    rows, ids = instance_events.field_rows(sets, zone=UTC)
    assert (len(sets), len(rows), ids[0]) == (699, 500, "e699")


HOSTILE = "<img src=x onerror=alert(1)> [x](javascript:alert(1)) $x$ :material/home: \u202e\x00\ud800"


def test_hostile_text_comes_out_visible_and_encodable():
    first = created(**{HOSTILE: HOSTILE})
    second = event(
        id=HOSTILE,
        event_type=HOSTILE,
        state_before="Created",
        state_after=HOSTILE,
        payload={HOSTILE: [HOSTILE]},
        persisted_at=T0 + 1_000,
    )

    view = build(history(first, second), None)

    shown = instance_events.event_view(view, HOSTILE, zone=UTC)
    assert shown is not None
    texts = [shown.values, shown.payload, *(str(value) for row in shown.changes for value in row.values())]
    texts += [str(value) for row in instance_events.event_rows(view, zone=UTC)[0] for value in row.values()]
    for text in texts:
        text.encode()
        assert "\u202e" not in text
        assert "\x00" not in text


def summary(number: int, state: str, machine: str = "Order") -> InstanceSummary:
    return InstanceSummary(
        instance_id=f"i{number}",
        component_name="Shop",
        machine_name=machine,
        state=state,
        created_at=EpochMs(T0),
        updated_at=EpochMs(T0 + number),
        event_count=number,
        last_event_id="e",
        last_event_type="PAY",
    )


def counted(state: str, count: int, machine: str = "Order") -> StateCount:
    return StateCount(
        component_name="Shop",
        machine_name=machine,
        state=state,
        count=count,
        oldest_updated_at=EpochMs(T0),
        newest_updated_at=EpochMs(T0),
    )


def test_the_list_says_how_many_of_how_many_it_shows():
    page = InstancePage(instances=(summary(3, "Paid"), summary(2, "Done")), next=None, snapshots={})

    view = instance_list.build_list(page, [counted("Paid", 40)], the_machine, before=10, now=EpochMs(T0), zone=UTC)

    assert view.summary.startswith("shown 11 to 12 of 40 instances")
    assert view.ids == ("i3", "i2")
    assert [(row["state"], row["status"]) for row in view.rows] == [("○ Paid", "▶ active"), ("◎ Done", "✓ completed")]


def test_a_status_is_asked_for_by_the_states_that_have_it_in_each_machine():
    other = StateMachine(name="Cart", initial_state="Done", states=(State(name="Done"),))
    options = instance_list.filter_options(
        [counted("Paid", 5), counted("Done", 2), counted("Failed", 1), counted("Done", 4, "Cart")],
        lambda _, machine: other if machine == "Cart" else MACHINE,
    )

    assert options.statuses == (("active", 9), ("completed", 2), ("error", 1))
    assert options.with_status((), (), ()) is None
    assert options.with_status(("active",), (), ()) == (("Shop", "Order", "Paid"), ("Shop", "Cart", "Done"))
    assert options.with_status(("active",), ("Cart",), ()) == (("Shop", "Cart", "Done"),)
    assert options.with_status(("active",), (), ("Paid",)) == (("Shop", "Order", "Paid"),)
    assert options.with_status(("error",), (), ("Paid",)) == ()


def test_the_total_counts_only_what_the_status_keeps():
    page = InstancePage(instances=(summary(3, "Paid"),), next=None, snapshots={})

    view = instance_list.build_list(
        page,
        [counted("Paid", 40), counted("Done", 2)],
        the_machine,
        only=[("Shop", "Order", "Paid")],
        now=EpochMs(T0),
        zone=UTC,
    )

    assert view.summary.startswith("shown 1 to 1 of 40 instances")


def test_without_definitions_a_state_that_was_left_is_active_and_the_others_are_unknown():
    flows = [
        Count(key=("Shop", "Order", "Created", "PAY", "Paid"), bucket=None, count=3),
        Count(key=("Shop", "Order", "Paid", "NOTE", "Paid"), bucket=None, count=3),
    ]

    options = instance_list.filter_options(
        [counted("Created", 5), counted("Paid", 2)], no_machine, instance_list.left_states(flows)
    )

    assert options.statuses == (("active", 5), ("unknown", 2))


@pytest.mark.parametrize("value", [float("nan"), 10**40, {"deep": {}}, None])
def test_any_value_can_be_shown(value):
    view = build(history(created(), moved(1, "Created", "Paid", payload={"v": value})))

    assert instance_events.event_view(view, "e1", zone=UTC) is not None


def test_a_document_nested_too_deeply_is_said_to_be():
    deep: object = 1
    for _ in range(3_000):
        deep = {"k": deep}

    view = build(history(created(), moved(1, "Created", "Paid", payload={"v": deep})))

    shown = instance_events.event_view(view, "e1", zone=UTC)
    assert shown is not None
    assert shown.payload == "(nested too deeply to show)"
