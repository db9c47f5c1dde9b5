from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.factories import START, event
from xcstore.errors import NotFoundError
from xcstore.model.catalog import Catalog
from xcstore.model.definition import CascadingRule, Component, State, StateMachine, Transition
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.queries import stay
from xcstore.queries.why_waiting import WhyWaiting, why_waiting
from xcstore.store.base import Stores
from xcstore.store.opening import open_stores
from xcstore.units import DurationMs

ANSWER = CascadingRule(target_component="Shop", target_machine="Order", target_state="Asking", event="ANSWER")
SHOP = Component(
    name="Shop",
    machines=(
        StateMachine(
            name="Order",
            initial_state="Draft",
            states=(State(name="Draft", type="entry"), State(name="Asking"), State(name="Done", type="final")),
            transitions=(
                Transition(source="Draft", target="Asking", event="ASK"),
                Transition(source="Asking", target="Asking", event="NOTE"),
                Transition(source="Asking", target="Done", event="ANSWER"),
            ),
        ),
    ),
)
STOCK = Component(
    name="Stock",
    machines=(
        StateMachine(
            name="Hold",
            initial_state="Checking",
            states=(
                State(name="Checking", type="entry"),
                State(name="Held", cascading_rules=(ANSWER,)),
                State(name="Gone", type="error"),
            ),
            transitions=(
                Transition(source="Checking", target="Held", event="FOUND"),
                Transition(source="Checking", target="Gone", event="GIVE_UP", timeout_ms=DurationMs(5_000)),
            ),
        ),
    ),
)
CATALOG = Catalog([SHOP, STOCK])


@pytest.fixture
def stores() -> Iterator[Stores]:
    with open_stores("memory://") as opened:
        yield opened


def moved(name: str, at: int, move: str, kind: str, *causes: str, instance: str, shop: bool = True) -> PersistedEvent:
    """`move` is 'A>B'; '>A' is a creation."""
    before, _, after = move.partition(">")
    return event(
        id=name,
        instance_id=instance,
        component_name="Shop" if shop else "Stock",
        machine_name="Order" if shop else "Hold",
        event_type=kind,
        payload={},
        state_before=before,
        state_after=after,
        persisted_at=START + at,
        caused_by=causes,
        definition_hash="d" * 64,
    )


def asking(stores: Stores, number: int = 0) -> None:
    """An order that has asked."""
    name = f"o{number}"
    stores.events.append_many(
        [
            moved(f"{name}-new", number * 100, ">Draft", CREATION, instance=name),
            moved(f"{name}-ask", number * 100 + 10, "Draft>Asking", "ASK", instance=name),
        ]
    )


def hold(stores: Stores, number: int = 0) -> None:
    """The hold that it asked for."""
    created = moved(f"h{number}-new", number * 100 + 11, ">Checking", CREATION, f"o{number}-ask", instance=f"h{number}",
                    shop=False)  # fmt: skip
    stores.events.append(created)


def row(found: WhyWaiting) -> list[tuple[str, str, str]]:
    return [(level.instance.instance_id, level.instance.state, " or ".join(level.sends)) for level in found.levels]


def test_the_row_leads_from_what_waits_to_what_should_send_and_on_to_its_own_wait(stores):
    asking(stores)
    hold(stores)

    found = why_waiting(stores, "o0", catalog=CATALOG)

    assert row(found) == [("o0", "Asking", ""), ("h0", "Checking", "ANSWER")]
    first, second = found.levels
    assert [item.move.event for item in first.awaited] == ["ANSWER"]
    assert first.since == START + 10
    assert (second.by_definition, second.linked, second.since) == (True, "set in motion", START + 11)
    assert second.linked_by is not None
    assert second.linked_by.id == "h0-new"
    assert [(item.move.event, item.due_at) for item in second.awaited] == [
        ("FOUND", None),
        ("GIVE_UP", START + 11 + 5_000),
    ]
    assert found.end == "outside"


def test_an_instance_that_has_ended_does_not_wait(stores):
    asking(stores)
    stores.events.append(moved("x", 20, "Asking>Done", "ANSWER", instance="o0"))

    found = why_waiting(stores, "o0", catalog=CATALOG)

    assert (row(found), found.end) == ([("o0", "Done", "")], "not waiting")


def test_one_that_has_ended_without_sending_is_the_end_of_the_row(stores):
    asking(stores)
    hold(stores)
    stores.events.append(
        moved("give", 50, "Checking>Gone", "GIVE_UP", "h0-new", instance="h0", shop=False),
    )

    found = why_waiting(stores, "o0", catalog=CATALOG)

    assert (row(found)[-1], found.end) == (("h0", "Gone", "ANSWER"), "ended")
    assert found.levels[-1].did is None


def test_one_that_should_have_sent_it_is_named_with_the_event_that_sends_it(stores):
    asking(stores)
    hold(stores)
    stores.events.append(moved("found", 50, "Checking>Held", "FOUND", "h0-new", instance="h0", shop=False))

    found = why_waiting(stores, "o0", catalog=CATALOG)

    assert found.end == "no answer"
    assert found.levels[-1].did is not None
    assert (found.levels[-1].did.id, found.levels[-1].sends) == ("found", ("ANSWER",))


def test_where_nothing_that_could_send_it_is_linked_nothing_is_named(stores):
    asking(stores, 0)
    asking(stores, 1)
    hold(stores, 1)

    found = why_waiting(stores, "o0", catalog=CATALOG)

    assert (row(found), found.end) == ([("o0", "Asking", "")], "not found")


def test_of_several_one_that_has_not_ended_is_followed_and_the_others_are_counted(stores):
    asking(stores)
    hold(stores)
    stores.events.append_many(
        [
            moved("give", 50, "Checking>Gone", "GIVE_UP", "h0-new", instance="h0", shop=False),
            moved("again", 60, ">Checking", CREATION, "o0-ask", instance="h9", shop=False),
        ]
    )

    found = why_waiting(stores, "o0", catalog=CATALOG)

    assert row(found)[-1] == ("h9", "Checking", "ANSWER")
    assert found.levels[-1].others == 1


def answered(stores: Stores, number: int) -> None:
    """An order whose hold was found, and answered it."""
    asking(stores, number)
    hold(stores, number)
    at = number * 100
    stores.events.append_many(
        [
            moved(f"h{number}-found", at + 12, "Checking>Held", "FOUND", f"h{number}-new", instance=f"h{number}",
                  shop=False),
            moved(f"o{number}-done", at + 13, "Asking>Done", "ANSWER", f"h{number}-found", instance=f"o{number}"),
        ]
    )  # fmt: skip


def test_without_definitions_other_cases_show_who_sends_and_that_is_said(stores):
    for number in range(1, 8):
        answered(stores, number)
    asking(stores, 20)
    hold(stores, 20)

    found = why_waiting(stores, "o20")

    (awaited,) = found.levels[0].awaited
    assert (awaited.move.kind, awaited.move.event, awaited.examples) == ("observed", "ANSWER", 5)
    assert [(seen.component, seen.machine, seen.when, seen.count) for seen in awaited.seen] == [
        ("Stock", "Hold", ("Checking → Held on FOUND",), 5)
    ]
    assert row(found)[1] == ("h20", "Checking", "ANSWER")
    assert found.levels[1].by_definition is False
    assert found.end == "outside"  # FOUND is sent by nobody else, in all cases that were seen


def test_what_another_instance_was_served_with_is_not_taken_for_an_answer_to_this_one(stores):
    for number in range(1, 4):
        answered(stores, number)
    asking(stores, 20)
    hold(stores, 20)
    # The same hold does later, for somebody else, what sends an answer; nothing links that to this order's wait.
    stores.events.append(moved("other", 9_000, "Checking>Held", "FOUND", instance="h20", shop=False))

    found = why_waiting(stores, "o20")

    assert found.levels[1].did is None


def test_an_event_that_came_after_all_and_did_not_move_it_on_is_named(stores):
    asking(stores)
    hold(stores)
    stores.events.append_many(
        [
            moved("found", 50, "Checking>Held", "FOUND", "h0-new", instance="h0", shop=False),
            moved("came", 60, "Asking>Asking", "ANSWER", "found", instance="o0"),
        ]
    )

    found = why_waiting(stores, "o0", catalog=CATALOG)

    assert found.end == "no answer"
    assert found.levels[-1].answered is not None
    assert found.levels[-1].answered.id == "came"


def test_an_answer_that_went_to_another_instance_is_not_said_to_be_lost(stores):
    asking(stores)
    hold(stores)
    asking(stores, 1)
    stores.events.append_many(
        [
            moved("found", 500, "Checking>Held", "FOUND", "h0-new", instance="h0", shop=False),
            moved("done", 501, "Asking>Done", "ANSWER", "found", instance="o1"),
        ]
    )

    found = why_waiting(stores, "o0", catalog=CATALOG)

    assert found.end == "no answer"
    last = found.levels[-1]
    assert (last.did and last.did.id, last.elsewhere and last.elsewhere.id) == ("found", "done")

    # One that is seen to have gone to nobody is named before those that went to others.
    stores.events.append_many(
        [
            moved("back", 600, "Held>Checking", "NEXT", "found", instance="h0", shop=False),
            moved("again", 700, "Checking>Held", "FOUND", "back", instance="h0", shop=False),
        ]
    )
    last = why_waiting(stores, "o0", catalog=CATALOG).levels[-1]
    assert (last.did and last.did.id, last.elsewhere) == ("again", None)


def test_a_sender_behind_more_effects_than_are_read_is_not_said_to_be_missing(stores):
    asking(stores)
    for number in range(150):
        stores.events.append(moved(f"log{number}", 11, ">L", CREATION, "o0-ask", instance=f"log{number}"))
    stores.events.append(moved("h", 12, ">Checking", CREATION, "o0-ask", instance="h0", shop=False))

    found = why_waiting(stores, "o0", catalog=CATALOG)

    assert (found.end, found.linked_read) == ("not found", 99)


def noted(stores: Stores, count: int) -> None:
    """An order that has asked, with its hold, and notes since then."""
    asking(stores)
    hold(stores)
    stores.events.append_many(
        moved(f"n{number}", 1_000 + number, "Asking>Asking", "NOTE", instance="o0") for number in range(count)
    )


def test_a_stay_with_more_events_than_are_read_at_first_is_read_back_to_its_beginning(stores):
    noted(stores, 600)

    found = why_waiting(stores, "o0", catalog=CATALOG)

    assert row(found) == [("o0", "Asking", ""), ("h0", "Checking", "ANSWER")]
    assert (found.levels[0].since, found.levels[0].entry_read) == (START + 10, True)


def test_where_the_beginning_of_a_stay_is_not_read_nothing_is_said_about_what_it_set_in_motion(stores, monkeypatch):
    monkeypatch.setattr(stay, "FEW", 3)
    monkeypatch.setattr(stay, "MOST", 5)
    noted(stores, 9)

    found = why_waiting(stores, "o0", catalog=CATALOG)

    assert (row(found), found.end) == ([("o0", "Asking", "")], "entry not read")
    assert (found.levels[0].since, found.levels[0].entry_read) == (START + 1_004, False)


@pytest.mark.parametrize(("restarts", "due_at"), [(True, 9_000 + 10_000), (False, 1_000 + 10_000)])
def test_a_timer_counts_from_the_transition_that_started_it_anew(stores, restarts, due_at):
    late = Transition(
        source="Asking", target="Late", event="LATE", type="timeout", timeout_ms=DurationMs(10_000),
        reset_on_transition=restarts,
    )  # fmt: skip
    order = replace(SHOP.machines[0], states=(*SHOP.machines[0].states, State(name="Late", type="final")),
                    transitions=(*SHOP.machines[0].transitions[:2], late))  # fmt: skip
    stores.events.append_many(
        [
            moved("new", 0, ">Draft", CREATION, instance="o0"),
            moved("ask", 1_000, "Draft>Asking", "ASK", instance="o0"),
            moved("note", 9_000, "Asking>Asking", "NOTE", instance="o0"),
        ]
    )

    found = why_waiting(stores, "o0", catalog=Catalog([replace(SHOP, machines=(order,))]))

    (awaited,) = found.levels[0].awaited
    assert (found.levels[0].since, awaited.due_at, awaited.due_earlier) == (START + 1_000, START + due_at, False)


def unstamped(stores: Stores, **payload: str) -> None:
    """An order and a hold as a runtime writes them that names any transition as the cause."""
    for item in (
        moved("o0-new", 0, ">Draft", CREATION, instance="o0"),
        moved("o0-ask", 10, "Draft>Asking", "ASK", instance="o0"),
        replace(moved("h0-new", 11, ">Checking", CREATION, "o0-ask", instance="h0", shop=False), payload=payload),
    ):
        stores.events.append(replace(item, definition_hash=None))


@pytest.mark.parametrize("catalog", [CATALOG, None], ids=["definitions", "no definitions"])
def test_a_recorded_cause_that_nothing_confirms_is_not_followed(stores, catalog):
    for number in range(1, 4):
        answered(stores, number)
    unstamped(stores)

    found = why_waiting(stores, "o0", catalog=catalog)

    assert (row(found), found.end) == ([("o0", "Asking", "")], "not found")


def test_a_creation_that_names_its_parent_confirms_it(stores):
    unstamped(stores, parentInstanceId="o0")

    found = why_waiting(stores, "o0", catalog=CATALOG)

    assert row(found)[1] == ("h0", "Checking", "ANSWER")
    assert found.levels[1].trust == "true"


def test_senders_are_not_told_from_causes_that_nothing_confirms(stores):
    for number in range(1, 4):
        answered(stores, number)
        stores.events.append(
            replace(
                moved(f"t{number}", number, "Asking>Done", "ANSWER", f"h{number}-new", instance=f"t{number}"),
                definition_hash=None,
                persisted_at=START + 90_000 + number,
            )
        )
    asking(stores, 20)

    (awaited,) = why_waiting(stores, "o20").levels[0].awaited

    assert awaited.examples == 5
    assert [(seen.machine, seen.count) for seen in awaited.seen] == [("Hold", 2)]


def test_an_event_that_nobody_sends_and_that_was_never_seen_is_said_to_be_unknown(stores):
    lonely = Component(
        name="Shop",
        machines=(
            StateMachine(
                name="Order",
                initial_state="Draft",
                states=(State(name="Draft", type="entry"), State(name="Asking")),
                transitions=(Transition(source="Draft", target="Asking", event="ASK"),),
            ),
        ),
    )
    stores.events.append(moved("n", 0, ">Draft", CREATION, instance="o0"))

    assert why_waiting(stores, "o0", catalog=Catalog([lonely])).end == "unknown"


def test_instances_that_wait_for_each_other_end_the_row(stores):
    back = CascadingRule(target_component="Stock", target_machine="Hold", target_state="Checking", event="FOUND")
    order = StateMachine(
        name="Order",
        initial_state="Draft",
        states=(State(name="Draft", type="entry"), State(name="Asking"), State(name="Done", cascading_rules=(back,))),
        transitions=(Transition(source="Asking", target="Done", event="ANSWER"),),
    )
    asking(stores)
    hold(stores)

    found = why_waiting(stores, "o0", catalog=Catalog([Component(name="Shop", machines=(order,)), STOCK]))

    assert (row(found), found.end) == ([("o0", "Asking", ""), ("h0", "Checking", "ANSWER")], "repeated")


def test_a_long_row_is_followed_as_far_as_asked(stores):
    machines = []
    for number in range(9):
        rule = CascadingRule(target_component="C", target_machine=f"M{number - 1}", target_state="W", event="GO")
        machines.append(
            StateMachine(
                name=f"M{number}",
                initial_state="W",
                states=(State(name="W", type="entry"), State(name="X", cascading_rules=(rule,) if number else ())),
                transitions=(Transition(source="W", target="X", event="GO"),),
            )
        )
        stores.events.append(
            event(
                id=f"e{number}", instance_id=f"i{number}", component_name="C", machine_name=f"M{number}",
                event_type=CREATION, state_before="", state_after="W", payload={}, persisted_at=START + number,
                caused_by=(f"e{number - 1}",) if number else (), definition_hash="d" * 64,
            )
        )  # fmt: skip
    catalog = Catalog([Component(name="C", machines=tuple(machines))])

    found = why_waiting(stores, "i0", catalog=catalog)

    assert (len(found.levels), found.end) == (5, "limit")
    assert len(why_waiting(stores, "i0", catalog=catalog, max_levels=20).levels) == 9


def test_an_unknown_instance_is_said_to_be_unknown(stores):
    with pytest.raises(NotFoundError, match="no instance 'nobody'"):
        why_waiting(stores, "nobody")
