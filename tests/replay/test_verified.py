"""Verified replay: what our runtime wrote goes as its definitions say, and each planted change is told where it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant

from tests.factories import START, event
from tests.runtime.helpers import World, component, world
from tests.runtime.test_stateful import _Program
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION, Instance, InstanceSnapshot, PersistedEvent
from xcstore.redaction import Redaction
from xcstore.replay import origins, timing
from xcstore.replay.origins import Past, find_origin
from xcstore.replay.reasons import same_values
from xcstore.replay.rollback import origin_words
from xcstore.replay.tables import Tables
from xcstore.replay.timing import Activity
from xcstore.replay.track import InstanceScope, RangeScope, open_track
from xcstore.replay.verified import KINDS, VerifiedStep, governing, verified, verify_stream
from xcstore.units import DurationMs, EpochMs

HOUR = 3_600_000

SHOP = """
name: Shop
stateMachines:
  - name: Order
    initialState: Created
    states:
      - {name: Created, type: entry}
      - {name: Paid}
      - {name: Packed}
      - {name: Held}
      - {name: Sent, type: final}
    transitions:
      - {from: Created, to: Paid, event: PAY}
      - {from: Paid, to: Paid, event: NOTE}
      - {from: Paid, to: Packed, event: PACK}
      - {from: Packed, to: Paid, event: UNPACK}
      - {from: Packed, to: Sent, event: SEND}
      - from: Created
        to: Held
        event: CHECK
        matchingRules: [{eventProperty: limit, instanceProperty: amount, operator: ">"}]
      - {from: Created, to: Paid, event: CHECK}
      - {from: Held, to: Created, event: EXPIRE, type: timeout, timeoutMs: 7200000}
      - {from: Held, to: Held, event: NOTE}
"""


def shop(text: str = SHOP) -> Tables:
    return Tables(Catalog([component(text)]))


def stream(*steps: tuple[Any, ...], initial: Mapping[str, object] | None = None) -> list[PersistedEvent]:
    """A creation and then (type, before, after, payload, hours since the event before), with recorded values."""
    values: dict[str, object] = dict(initial or {"amount": 10})
    at = START
    made = [
        event(
            id="s1",
            event_type=CREATION,
            payload={"initialContext": dict(values)},
            state_before="",
            state_after="Created",
            persisted_at=at,
            public_member_snapshot=dict(values),
        )
    ]
    for number, (kind, before, after, *more) in enumerate(steps, 2):
        payload: dict[str, object] = more[0] if more else {}
        hours = more[1] if len(more) > 1 else 1
        at = EpochMs(at + hours * HOUR)
        if kind != "CHECK" or after == "Paid":
            values = {**values, **payload}
        made.append(
            event(
                id=f"s{number}",
                event_type=kind,
                payload=payload,
                state_before=before,
                state_after=after,
                persisted_at=at,
                public_member_snapshot=dict(values),
            )
        )
    return made


def told(events: Iterable[PersistedEvent], tables: Tables | None = None, **more: Any) -> list[VerifiedStep]:
    table_of, has_machine = governing(tables or shop())
    return list(verify_stream(events, table_of, has_machine=has_machine, **more))


def kinds(steps: Iterable[VerifiedStep]) -> list[tuple[int, str]]:
    """What there is to say, and where."""
    return [(step.position, step.kind) for step in steps if step.kind]


GOOD = (
    ("PAY", "Created", "Paid", {"paid": 1}),
    ("NOTE", "Paid", "Paid", {"note": "a"}),
    ("PACK", "Paid", "Packed", {"box": 3}),
    ("UNPACK", "Packed", "Paid", {"note": "b"}),
    ("PACK", "Paid", "Packed"),
    ("SEND", "Packed", "Sent", {"van": "V1"}),
)


def test_a_history_that_goes_as_defined_is_the_same_at_every_step() -> None:
    steps = told(stream(*GOOD), as_of=EpochMs(START + 1_000 * HOUR))

    assert [(step.position, step.verdict, step.kind) for step in steps] == [(n, "same", "") for n in range(1, 8)]
    assert [step.expected_state for step in steps[1:]] == ["Paid", "Paid", "Packed", "Paid", "Packed", "Sent"]


# Planted changes


def test_an_edited_state_is_told_once_where_it_stands() -> None:
    events = stream(*GOOD)
    events[3] = replace(events[3], state_after="Held")

    (step,) = [step for step in told(events) if step.kind]
    assert (step.position, step.verdict, step.kind, step.expected_state) == (4, "different", "state", "Packed")
    assert step.reason == "goes to Packed here, to Held there: no transition on PACK leads from Paid to Held"


def test_an_edited_value_is_told_once_with_the_field() -> None:
    events = stream(*GOOD)
    # It is edited, and all that was recorded later went on from it.
    events[3:] = [
        replace(e, public_member_snapshot={**(e.public_member_snapshot or {}), "amount": 99}) for e in events[3:]
    ]

    (step,) = [step for step in told(events) if step.kind]
    assert (step.position, step.kind) == (4, "values")
    assert [(change.path, change.old, change.new) for change in step.changes] == [(("amount",), 10, 99)]


@pytest.mark.parametrize(
    ("dropped", "position", "kind"),
    [
        (0, 1, "starts_late"),
        (1, 2, "gap"),
        (2, 3, "values"),
        (3, 4, "gap"),
        # After the last event nothing is left that could tell.
        (6, None, ""),
    ],
)
def test_a_dropped_event_is_told_at_the_one_after_it(dropped: int, position: int | None, kind: str) -> None:
    events = stream(*GOOD)
    del events[dropped]

    assert kinds(told(events)) == ([] if position is None else [(position, kind)])


def test_a_gap_names_the_event_that_would_explain_it() -> None:
    events = stream(*GOOD)
    del events[1]

    assert told(events)[1].reason == (
        "was in Created, and starts in Paid; one PAY or CHECK that is not recorded would explain it"
    )


def test_an_inserted_event_is_told_where_it_stands_and_not_again() -> None:
    events = stream(*GOOD)
    odd = event(
        id="odd",
        event_type="REFUND",
        state_before="Paid",
        state_after="Paid",
        payload={},
        persisted_at=events[2].persisted_at + 1,
        public_member_snapshot=events[2].public_member_snapshot,
    )
    events.insert(3, odd)

    (step,) = [step for step in told(events) if step.kind]
    assert (step.event, step.verdict, step.kind) == (odd, "ignored_here", "no_transition")
    assert step.reason == "REFUND is ignored in Paid here: it takes NOTE, PACK there"


@pytest.mark.parametrize(
    ("old", "new", "at", "kind"),
    [
        ("to: Packed, event: PACK}", "to: Held, event: PACK}", [4, 6], "state"),
        ("{from: Packed, to: Paid, event: UNPACK}", "{from: Created, to: Paid, event: UNPACK}", [5], "no_transition"),
        ("initialState: Created", "initialState: Held", [1], "state"),
        ("{name: Packed}", "{name: Packed, type: final}", [5, 7], "ended"),
        (
            "event: NOTE}\n      - {from: Paid,",
            "event: NOTE, matchingRules: [{eventProperty: a, instanceProperty: b}]}\n      - {from: Paid,",
            [3],
            "values",
        ),
    ],
)
def test_an_altered_definition_is_told_wherever_it_matters(old: str, new: str, at: list[int], kind: str) -> None:
    assert old in SHOP
    found = kinds(told(stream(*GOOD), shop(SHOP.replace(old, new))))

    assert found == [(position, kind) for position in at]


def test_the_choice_of_a_transition_is_told_with_what_its_rules_compared() -> None:
    good = stream(("CHECK", "Created", "Held", {"limit": 5}))
    assert kinds(told(good)) == []

    (step,) = [step for step in told(stream(("CHECK", "Created", "Paid", {"limit": 5}))) if step.kind]
    assert (step.verdict, step.kind, step.expected_state) == ("different", "state", "Held")
    assert step.reason == (
        "goes to Held here, to Paid there: to Held, amount > limit of the event (10 > 5) holds; "
        "to Paid, it has no matching rules"
    )


def test_what_the_settings_mask_decides_nothing() -> None:
    masked = Redaction.parse("limit, amount").event
    events = [masked(e) for e in stream(("CHECK", "Created", "Held", {"limit": 5}))]

    (step,) = [step for step in told(events) if step.kind]
    assert (step.verdict, step.kind) == ("not_replayable", "unreadable")


def test_an_instance_that_has_ended_takes_nothing() -> None:
    events = stream(*GOOD, ("UNPACK", "Sent", "Paid"))

    assert [(s.verdict, s.kind) for s in told(events) if s.kind] == [("ignored_here", "ended")]


def test_a_second_creation_is_told_and_followed() -> None:
    events = [*stream(*GOOD[:2]), *stream(*GOOD[:1])]

    assert kinds(told(events)) == [(4, "second_creation")]


# Rolled back


def rolled_back() -> list[PersistedEvent]:
    events = stream(*GOOD[:3])
    at, values = events[-1].persisted_at, events[1].public_member_snapshot or {}
    return [
        *events,
        event(
            id="again",
            event_type="PACK",
            payload={"box": 4},
            state_before="Paid",
            state_after="Packed",
            persisted_at=at + HOUR,
            public_member_snapshot={**values, "box": 4},
        ),
    ]


def test_a_rolled_back_instance_is_told_with_the_event_it_went_back_to() -> None:
    (step,) = [step for step in told(rolled_back()) if step.kind]

    assert (step.position, step.verdict, step.kind) == (5, "different", "rolled_back")
    # After s3 it was in the same state, but with a note that is gone.
    assert (step.origin_id, step.undone) == ("s2", 2)
    assert "the 2 events since are undone" in step.reason


@pytest.mark.parametrize("named", [True, False])
def test_it_names_the_snapshot_that_was_taken_then(named: bool) -> None:
    values = {"amount": 10, "paid": 1}
    taken = InstanceSnapshot(
        instance=Instance(id="i1", machine_name="Order", current_state="Paid", context=values),
        snapshot_at=EpochMs(START + 2 * HOUR - 1),
        last_event_id="s2" if named else "",
    )
    asked: list[str] = []

    def snapshots_of(instance_id: str) -> Sequence[InstanceSnapshot]:
        asked.append(instance_id)
        return [replace(taken, last_event_id="s9"), taken]

    (step,) = [step for step in told(rolled_back(), snapshots_of=snapshots_of) if step.kind]

    assert "the snapshot of 2026-01-01 01:59:59 UTC is of that moment" in step.reason
    assert asked == ["i1"]


def test_values_that_go_back_while_the_state_goes_on_are_told_too() -> None:
    events = stream(*GOOD[:1], ("NOTE", "Paid", "Paid", {"note": "a"}))
    last = replace(
        events[-1],
        id="later",
        payload={"x": 1},
        persisted_at=EpochMs(events[-1].persisted_at + HOUR),
        public_member_snapshot={**(events[1].public_member_snapshot or {}), "x": 1},
    )

    (step,) = [step for step in told([*events, last]) if step.kind]
    assert (step.kind, step.origin_id, step.undone) == ("values_rolled_back", "s2", 1)


def test_where_a_method_may_have_made_them_too_both_are_told() -> None:
    text = SHOP.replace(
        "{from: Paid, to: Paid, event: NOTE}", "{from: Paid, to: Paid, event: NOTE, triggeredMethod: tidy}"
    )
    events = stream(*GOOD[:1], ("NOTE", "Paid", "Paid", {"note": "a"}), ("NOTE", "Paid", "Paid", {"x": 1}))
    held = {**(events[1].public_member_snapshot or {}), "x": 1}
    events[-1] = replace(events[-1], public_member_snapshot=held)

    (step,) = [step for step in told(events, shop(text)) if step.kind]
    assert (step.verdict, step.kind, step.origin_id, step.undone) == ("not_replayable", "user_code", "s2", 1)
    assert "tidy may have changed the values" in step.reason
    assert "or the event since was undone: they are as after PAY" in step.reason


def test_a_public_member_that_a_restart_lost_is_told() -> None:
    text = SHOP.replace("    initialState", "    publicMemberType: Order\n    initialState")
    events = stream(*GOOD[:2], ("NOTE", "Paid", "Paid", {"x": 1}))
    events[-1] = replace(events[-1], public_member_snapshot={"paid": 1, "note": "a", "x": 1})

    (step,) = [step for step in told(events, shop(text)) if step.kind]
    assert (step.verdict, step.kind, step.origin_id, step.undone) == ("different", "public_lost", "s3", 0)
    assert kinds(told(events)) == [(4, "values")]


def test_a_state_taken_up_with_other_values_is_a_gap() -> None:
    events = rolled_back()
    events[-1] = replace(events[-1], public_member_snapshot={"amount": 0, "box": 4})

    (step,) = [step for step in told(events) if step.kind]
    assert (step.kind, step.origin_id) == ("gap", None)
    assert step.reason.endswith("where it was before, but with other values")


def broken(count: int) -> list[PersistedEvent]:
    """Every event starts elsewhere than the one before it ended, with values that were never there."""
    made = stream(*GOOD[:1])
    ways = [("Packed", "Paid", "UNPACK"), ("Packed", "Sent", "SEND"), ("Paid", "Packed", "PACK")]
    for number in range(count):
        before, after, kind = ways[number % 3]
        made.append(
            event(
                id=f"b{number}", event_type=kind, payload={}, state_before=before, state_after=after,
                persisted_at=EpochMs(START + (number + 2) * HOUR), public_member_snapshot={"n": number},
            )
        )  # fmt: skip
    return made


@pytest.mark.parametrize("method", ["", ", triggeredMethod: tidy"])
def test_a_history_that_breaks_at_every_event_costs_no_more_than_its_length(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A method that changes values at each step is as bad: each may be those of an earlier event."""
    compared = 0

    def counting(one: Any, two: Any) -> bool:
        nonlocal compared
        compared += 1
        return same_values(one, two)

    monkeypatch.setattr(origins, "same_values", counting)
    events = broken(3_000)
    if method:
        note = events[1]
        events = [
            *events[:2],
            *(
                replace(note, id=f"n{number}", event_type="NOTE", state_before="Paid", state_after="Paid", payload={},
                        persisted_at=EpochMs(note.persisted_at + number), public_member_snapshot={"n": number})
                for number in range(3_000)
            ),
        ]  # fmt: skip

    steps = told(events, shop(SHOP.replace("to: Paid, event: NOTE", f"to: Paid, event: NOTE{method}")))

    assert sum(step.kind in ("user_code", "gap", "values") for step in steps) >= 2_900
    assert compared < 5 * len(events)


def test_an_instance_that_went_far_back_is_told_with_the_event_it_went_back_to() -> None:
    notes = [("NOTE", "Paid", "Paid", {"n": number}, 0) for number in range(12_000)]
    events = stream(*GOOD[:1], *notes, ("PACK", "Paid", "Packed", {}))
    wanted = events[1].public_member_snapshot or {}
    again = replace(
        events[-1], id="again", payload={"box": [1.0]}, public_member_snapshot={**wanted, "box": [1]},
        persisted_at=EpochMs(events[-1].persisted_at + 1),
    )  # fmt: skip

    (step,) = [step for step in told([*events, again]) if step.kind]

    assert (step.kind, step.origin_id, step.undone) == ("rolled_back", "s2", 12_001)


def test_with_more_sets_of_payload_keys_than_are_indexed_the_latest_places_are_gone_through() -> None:
    events = stream(*GOOD[:1])
    for number in range(20):
        held = events[-1].public_member_snapshot or {}
        odd = replace(
            events[1], id=f"odd{number}", event_type="NOTE", state_before="Paid", payload={f"k{number}": 1},
            persisted_at=EpochMs(events[-1].persisted_at + 1),
            public_member_snapshot={**held, f"k{number}": 1, "odd": number},
        )  # fmt: skip
        events.append(odd)
    last = replace(
        events[-1], id="last", payload={"new": 1}, persisted_at=EpochMs(events[-1].persisted_at + 1),
        public_member_snapshot={**(events[5].public_member_snapshot or {}), "new": 1},
    )  # fmt: skip

    step = told([*events, last])[-1]

    assert (step.kind, step.origin_id) == ("values_rolled_back", events[5].id)


def test_a_value_that_is_no_number_is_the_same_as_itself() -> None:
    nan = float("nan")
    events = stream(*GOOD[:1], ("NOTE", "Paid", "Paid", {"rate": [nan]}), ("NOTE", "Paid", "Paid", {"x": 1}))
    other = {key: [float("nan")] if key == "rate" else value for key, value in held_by(events[-1]).items()}
    events[-1] = replace(events[-1], public_member_snapshot=other)

    assert kinds(told(events)) == []
    # It is found again among earlier places, too.
    back = replace(
        events[-1], id="back", event_type="PACK", state_after="Packed", payload={"box": 1},
        persisted_at=EpochMs(events[-1].persisted_at + 1),
    )  # fmt: skip
    again = replace(
        back, id="again", persisted_at=EpochMs(back.persisted_at + 1), public_member_snapshot={**other, "box": 1}
    )
    back = replace(back, public_member_snapshot={**other, "box": 1})
    assert [(step.kind, step.origin_id) for step in told([*events, back, again]) if step.kind] == [
        ("rolled_back", events[-1].id)
    ]


def held_by(one: PersistedEvent) -> Mapping[str, object]:
    return one.public_member_snapshot or {}


@pytest.mark.parametrize("left_out", [2, 3])
def test_it_may_have_gone_back_to_before_the_beginning(left_out: int) -> None:
    steps = told(rolled_back()[left_out:])

    assert kinds(steps) == [(1, "starts_late"), (5 - left_out, "gap")]
    assert steps[-1].reason.endswith("what was before the beginning of this replay may explain it")


# What cannot be replayed


def test_without_a_definition_it_says_so_and_still_tells_a_break_in_the_chain() -> None:
    events = stream(*GOOD[:2])
    found = told([*events, replace(events[1], id="x", persisted_at=EpochMs(START + 9 * HOUR))], Tables(Catalog()))

    assert [(step.verdict, step.kind) for step in found] == [
        *[("not_replayable", "no_definition")] * 3,
        ("different", "gap"),
    ]
    assert found[0].reason == "no definition of Shop.Order is known"


def test_another_version_does_not_speak_for_one_that_is_not_known() -> None:
    events = [replace(e, definition_hash="f" * 64) for e in stream(*GOOD[:1])]

    assert [step.kind for step in told(events)] == ["no_definition"] * 2
    assert "(ffffffffffff) is not known" in told(events)[0].reason


def test_values_that_a_method_may_have_changed_are_not_judged_and_the_state_is() -> None:
    text = SHOP.replace("event: PACK}", "event: PACK, triggeredMethod: weigh}")
    events = stream(*GOOD[:3])
    events[-1] = replace(events[-1], public_member_snapshot={"weight": 3})

    (step,) = [step for step in told(events, shop(text)) if step.kind]
    assert (step.verdict, step.kind) == ("not_replayable", "user_code")
    assert step.reason == "the state is the same; weigh may have changed the values"
    events[-1] = replace(events[-1], state_after="Created")
    assert kinds(told(events, shop(text))) == [(4, "state")]


def test_what_a_method_left_unrecorded_leaves_a_choice_open() -> None:
    text = SHOP.replace("{name: Created, type: entry}", "{name: Created, type: entry, onEntry: price}")
    events = [replace(e, public_member_snapshot=None) for e in stream(("CHECK", "Created", "Paid", {"limit": 5}))]

    assert [step.kind for step in told(events, shop(text))] == ["state_only", "user_code"]
    assert [step.kind for step in told(events)] == ["state_only", "state"]


def test_a_stream_that_starts_late_says_so_and_is_compared_from_there() -> None:
    events = stream(*GOOD)[2:]

    assert kinds(told(events)) == [(1, "starts_late")]
    events[2] = replace(events[2], public_member_snapshot={})
    assert kinds(told(events))[:2] == [(1, "starts_late"), (3, "values")]


# Timers


def held(*more: tuple[Any, ...]) -> list[PersistedEvent]:
    return stream(("CHECK", "Created", "Held", {"limit": 5}), *more)


FIRED = {"reason": "timeout"}


def test_a_timer_that_comes_when_it_is_due_or_later_is_the_same() -> None:
    for hours in (2, 40):
        assert kinds(told(held(("EXPIRE", "Held", "Created", FIRED, hours)), as_of=EpochMs(START + 99 * HOUR))) == []


def test_a_timer_that_comes_too_early_is_different_unless_sent_by_hand() -> None:
    (step,) = [step for step in told(held(("EXPIRE", "Held", "Created", FIRED, 1))) if step.kind]

    assert (step.position, step.verdict, step.kind) == (3, "different", "timer_early")
    assert step.reason.startswith("EXPIRE came 1 h before its time: in Held it is due at 2026-01-01 03:00:00 UTC")
    assert kinds(told(held(("EXPIRE", "Held", "Created", {"by": "hand"}, 1)))) == []


def test_a_timer_that_a_self_loop_did_not_restart_is_a_note() -> None:
    events = held(("NOTE", "Held", "Held", {}, 1), ("EXPIRE", "Held", "Created", FIRED, 1))

    (step,) = [step for step in told(events) if step.kind]
    assert (step.verdict, step.kind) == ("same", "timer_kept")
    kept = SHOP.replace("timeoutMs: 7200000}", "timeoutMs: 7200000, resetOnTransition: false}")
    assert kinds(told(events, shop(kept))) == []


def test_a_timer_that_never_came_is_told_where_its_component_was_at_work() -> None:
    at_work = Activity([("Shop", EpochMs(START + 5 * HOUR))], DurationMs(60_000)).seen
    idle = Activity([("Shop", EpochMs(START + 2 * HOUR))], DurationMs(60_000)).seen
    as_of = EpochMs(START + 9 * HOUR)

    (step,) = [step for step in told(held(), as_of=as_of, alive=at_work) if step.kind]
    assert (step.position, step.event, step.instance_id) == (2, None, "i1")
    assert (step.verdict, step.kind) == ("ignored_there", "timer")
    assert step.reason.startswith("EXPIRE fell due in Held at 2026-01-01 03:00:00 UTC and is not recorded")
    assert kinds(told(held(), as_of=as_of, alive=idle)) == []
    assert kinds(told(held(), as_of=EpochMs(START + 2 * HOUR))) == []


def test_a_timer_that_another_event_overtook_is_told_before_that_event() -> None:
    at_work = Activity([("Shop", EpochMs(START + 5 * HOUR))], DurationMs(60_000)).seen

    assert kinds(told(held(("NOTE", "Held", "Held", {}, 8)), alive=at_work)) == [(3, "timer")]
    # While nobody was at work nothing could fire: a restart comes before what it does.
    back = Activity([("Shop", EpochMs(START + 9 * HOUR))], DurationMs(60_000)).seen
    assert kinds(told(held(("NOTE", "Held", "Held", {}, 8)), alive=back)) == []


def test_an_instance_that_ended_by_making_another_of_no_machine_awaits_no_timer() -> None:
    text = SHOP.replace(
        "        event: CHECK\n        matching",
        "        event: CHECK\n        type: inter_machine\n        targetMachine: Gone\n        matching",
    )

    assert kinds(told(held(), shop(text), as_of=EpochMs(START + 9 * HOUR))) == []


# Our own runtime


def test_a_track_gives_its_steps_and_breaks_where_it_diverges() -> None:
    played = world(SHOP)
    one = played.runtime.create_instance("Order", {"amount": 10})
    other = played.runtime.create_instance("Order", {"amount": 1})
    for kind in ("PAY", "NOTE", "PACK"):
        played.clock.advance(DurationMs(1_000))
        for instance_id in (one, other):
            played.runtime.send(instance_id, kind, {"x": kind})
    sound = open_track(played.stores, RangeScope(start=EpochMs(0), end=played.clock.now()))
    assert [(step.position, step.verdict) for step in verified(sound)] == [(n, "same") for n in range(1, 9)]

    damaged = damage(played, other, 3)
    track = open_track(played.stores, InstanceScope(instance_id=other))
    assert [(s.position, s.kind) for s in verified(track) if s.diverges] == [(4, "state")]
    assert damaged.id == track.step(4).id


def damage(played: World, instance_id: str, index: int) -> PersistedEvent:
    """Let the event of that index say that it went elsewhere."""
    events = played.stores.events.get_events_for_instance(instance_id)
    played.stores.events.delete_events([events[index].id])
    damaged = replace(events[index], id="damaged", state_after="Held", seq=None)
    played.stores.events.append(damaged)
    return damaged


class Replayed(_Program):
    """Random components under random events, failing stores and restarts."""

    @invariant()
    def they_replay_without_a_divergence(self) -> None:
        for life, patient in ((self.subject, True), (self.twin, False)):
            table_of, has_machine = governing(Tables(Catalog(self.components)))
            before = timing.GRACE_MS, timing.EARLY_MS
            if not patient:
                # Nothing disturbs the twin: its timers fire at their millisecond.
                timing.GRACE_MS, timing.EARLY_MS = 1, 0  # type: ignore[misc]
            try:
                for instance_id in {e.instance_id for e in life.all_events()}:
                    events = life.events.get_events_for_instance(instance_id)
                    steps = list(verify_stream(events, table_of, as_of=life.clock.now(), has_machine=has_machine))
                    assert [s for s in steps if s.diverges] == []
                    assert {s.kind for s in steps} <= {"", "user_code"}
                    assert [s.event for s in steps] == list(events)
            finally:
                timing.GRACE_MS, timing.EARLY_MS = before  # type: ignore[misc]


TestReplayed = Replayed.TestCase
TestReplayed.settings = settings(
    max_examples=60,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


names = st.sampled_from(["", "Created", "Paid", "Packed", "Held", "Sent", "Nowhere", "\x00"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 12) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["amount", "limit", "x"]), inner),
    max_leaves=4,
)
objects = st.none() | st.dictionaries(st.sampled_from(["amount", "limit", "x"]), anything)
odd_events = st.builds(
    lambda **fields: event(**fields),
    event_type=st.sampled_from([CREATION, "PAY", "NOTE", "CHECK", "PACK", "EXPIRE", "WHAT"]),
    payload=anything | st.just({"reason": "timeout"}),
    state_before=names,
    state_after=names,
    persisted_at=st.sampled_from([0, START, START + HOUR, START + 9 * HOUR, 10**17]).map(EpochMs),
    public_member_snapshot=objects,
    context=objects,
    definition_hash=st.sampled_from([None, "f" * 64]),
)


@given(st.lists(odd_events, max_size=8), st.sampled_from(["", "    publicMemberType: Order\n"]))
@settings(max_examples=150, deadline=None)
def test_odd_data_is_a_verdict_and_never_an_exception(events: list[PersistedEvent], public: str) -> None:
    text = SHOP.replace("    initialState", f"{public}    initialState")
    ordered = sorted(events, key=lambda e: e.persisted_at)

    steps = told(ordered, shop(text), as_of=EpochMs(START + 99 * HOUR))

    assert [step.event for step in steps if step.event is not None] == ordered
    meant = None
    for before, step in zip([None, *steps], steps, strict=False):
        if before is None or before.event is None or step.event is None or step.event.event_type == CREATION:
            meant = step.expected_state if step.kind == "state" else None
            continue
        chained = step.event.state_before in (before.event.state_after, meant)
        assert chained or step.kind in ("rolled_back", "gap")
        meant = step.expected_state if step.kind == "state" else None


def test_every_kind_has_words() -> None:
    assert all(kind.title and kind.meaning.endswith(".") for kind in KINDS.values())


def test_where_several_earlier_events_fit_none_is_told_as_certain() -> None:
    past = Past()
    for position in (1, 2):
        past.add(position, event(id=f"e{position}", state_after="Open", persisted_at=START + position), {"a": 1}, {})
    later = event(id="l", state_before="Open", payload={}, public_member_snapshot={"a": 1}, persisted_at=START + 9)

    place = find_origin(past, later, None, 4)

    assert place is not None
    assert (place.event_id, place.fitting) == ("e2", 2)
    assert "the last of 2 events that fit, if it is that one" in origin_words(place, 1, None)
