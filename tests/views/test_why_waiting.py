from __future__ import annotations

from dataclasses import replace
from datetime import UTC

import pytest

from tests.factories import START, event
from xcstore.analysis.lifecycle import Lifecycle, Move, Sender
from xcstore.queries.why_waiting import Awaited, SeenSender, WaitLevel, WhyWaiting
from xcstore.store.base import InstanceSummary
from xcstore.units import HOUR, EpochMs
from xcstore.views.why_waiting import build

ACTIVE = Lifecycle(status="active", why="")
SENT = EpochMs(START + 1_000)


def level(name: str, state: str, *awaited: Awaited, status: str = "active", **fields) -> WaitLevel:
    summary = InstanceSummary(
        instance_id=name,
        component_name="Stock" if fields.get("sends") else "Shop",
        machine_name="Hold" if fields.get("sends") else "Order",
        state=state,
        created_at=START,
        updated_at=START,
        event_count=1,
        last_event_id="x",
        last_event_type="X",
    )
    return WaitLevel(instance=summary, status=Lifecycle(status=status, why=""), since=START, awaited=awaited, **fields)  # type: ignore[arg-type]


def awaits(event_type: str, *, senders: tuple[Sender, ...] = (), **fields) -> Awaited:
    return Awaited(move=Move(event=event_type, target="T", kind="regular", senders=senders), **fields)


ANSWER = awaits("ANSWER", senders=(Sender(component="Stock", machine="Hold", when="entering Held"),))
SEEN = awaits("FOUND", seen=(SeenSender(component="Far", machine="Shelf", when=("on X",), count=4),), examples=5)
FIRST = level("o1", "Asking", ANSWER)
NEXT = level("h1", "Checking", SEEN, sends=("ANSWER",), linked_by=event(event_type="MADE", persisted_at=SENT))


def said(*levels: WaitLevel, end: str = "outside") -> list[str]:
    found = WhyWaiting(levels=levels, end=end)  # type: ignore[arg-type]
    return [sentence.text for sentence in build(found, as_of=EpochMs(START + 2 * HOUR), zone=UTC)]


def test_a_sentence_says_where_since_when_and_for_what_and_how_each_is_known():
    first, second, _ = said(FIRST, NEXT)

    assert first == (
        "Order o1 waits in Asking since 2026-01-01 00:00:00 (for 2 h) for ANSWER "
        "(by the definition sent by Hold of Stock, entering Held)."
    )
    assert second == (
        "Entering Asking set Hold h1 of Stock in motion (MADE at 2026-01-01 00:00:01); it would send ANSWER, "
        "by the definition. It waits in Checking since 2026-01-01 00:00:00 (for 2 h) for FOUND "
        "(as seen, sent by Shelf of Far in 4 of 5 latest cases)."
    )


def test_a_timer_is_said_to_be_due_and_an_event_from_outside_to_be_sent_by_nobody_here():
    timer, outside = awaits("LATE", due_at=EpochMs(START + HOUR)), awaits("COME", examples=3)

    (first, last) = said(level("o1", "Asking", outside, timer))

    assert "for COME (as seen, sent by no other known instance in 3 latest cases)" in first
    assert "or LATE (by the definition its own timer, due 2026-01-01 01:00:00, overdue)" in first
    assert last == "No other instance is known to send this to Order o1: it is from outside, or from Order o1 itself."
    assert said(level("o1", "Asking", timer))[-1] == "Order o1 waits for its own timer."


def test_one_that_did_what_sends_it_is_said_to_have_done_it_when():
    did = event(event_type="TAKE", state_before="A", state_after="B", persisted_at=SENT)
    acted = level("h1", "B", sends=("ANSWER",), did=did, by_definition=False)

    _, second, last = said(FIRST, acted, end="no answer")

    assert second == (
        "Entering Asking set Hold h1 of Stock in motion. It handled TAKE (A → B) at 2026-01-01 00:00:01, "
        "which as seen in other cases sends ANSWER; it is now in B."
    )
    assert last == "No ANSWER to Order o1 is seen after that, as far as is stored."


def test_one_that_has_ended_is_told_from_one_that_cannot_go_on():
    ended = level("h1", "Gone", sends=("ANSWER",), status="error", linked="cause", others=2)
    dead_end = level("h1", "Gone", sends=("ANSWER",))

    assert said(FIRST, ended, end="ended")[1] == (
        "Hold h1 of Stock led Order o1 into Asking; it would send ANSWER, by the definition, "
        "but it has ended in Gone without doing so; so could 2 others of its machine."
    )
    assert "it is in Gone, from which nothing leads on," in said(FIRST, dead_end, end="ended")[1]


def test_an_answer_that_came_and_moved_nothing_is_told_from_one_that_never_came():
    did = event(event_type="TAKE", state_before="A", state_after="B", persisted_at=SENT)
    came = event(event_type="ANSWER", persisted_at=SENT)
    acted = level("h1", "B", sends=("ANSWER", "NO"), did=did)

    assert said(FIRST, acted, end="no answer")[-1].startswith("No ANSWER or NO to Order o1 is seen after that")
    assert said(FIRST, replace(acted, answered=came), end="no answer")[-1] == (
        "Order o1 handled ANSWER at 2026-01-01 00:00:01, and stayed in Asking."
    )


@pytest.mark.parametrize(
    ("trust", "words"),
    [("inferred", "as a rule infers"), ("as recorded", "by recorded links, which may be wrong here")],
)
def test_what_the_links_are_worth_is_said(trust, words):
    assert (
        f"in motion (MADE at 2026-01-01 00:00:01), {words}; it would send" in said(FIRST, replace(NEXT, trust=trust))[1]
    )


@pytest.mark.parametrize("end", ["not found", "entry not read", "unknown", "repeated", "limit", "outside"])
def test_every_end_is_said(end):
    assert len(said(FIRST, NEXT, end=end)) == 3
    assert said(FIRST, NEXT, end=end)[-1].endswith((".", "them."))


def test_an_answer_that_went_to_another_instance_is_said_to_have_gone_there():
    did = event(event_type="TAKE", state_before="A", state_after="B", persisted_at=SENT)
    went = event(event_type="ANSWER", instance_id="o2", machine_name="Order", persisted_at=EpochMs(START + 2_000))
    acted = level("h1", "B", sends=("ANSWER",), did=did, elsewhere=went)

    assert said(FIRST, acted, end="no answer")[-1] == (
        "It sent ANSWER to another instance, Order o2, at 2026-01-01 00:00:02; "
        "none to Order o1 is seen, as far as is stored."
    )
    doubted = said(FIRST, replace(acted, elsewhere_trust="inferred"), end="no answer")[-1]
    assert "at 2026-01-01 00:00:02, as a rule infers; none" in doubted


def test_where_not_all_linked_events_were_read_that_is_said_and_nothing_is_concluded():
    found = WhyWaiting(levels=(FIRST,), end="not found", linked_read=100)
    ended = level("h1", "Gone", sends=("ANSWER",), status="error", others=2, linked_read=100, newest=500)

    assert build(found, as_of=START, zone=UTC)[-1].text == (
        "Among the 100 linked events read no instance that would send this is reliably linked to Order o1 entering "
        "Asking. There may be more linked events, which were not looked at."
    )
    second, last = said(FIRST, ended, end="ended")[1:]
    assert second.endswith(
        "ended in Gone without doing so in its 500 newest events, which alone were read; "
        "so could at least 2 others of its machine."
    )
    assert last == "Among the 100 linked events read (there may be more), no instance is left that would send it."


def test_a_stay_whose_beginning_is_not_known_is_at_least_as_long_as_is_said():
    timer = awaits("LATE", due_at=EpochMs(START + HOUR), due_earlier=True)

    first = said(level("o1", "Asking", timer, entry_read=False))[0]

    assert "waits in Asking since at least 2026-01-01 00:00:00 (for at least 2 h) for LATE" in first
    assert "due 2026-01-01 01:00:00 at the latest, overdue" in first


def test_an_instance_that_does_not_wait_has_nothing_to_say():
    assert said(replace(FIRST, awaited=()), end="not waiting") == []


def test_each_sentence_leads_to_the_instance_that_it_speaks_of():
    found = build(WhyWaiting(levels=(FIRST, NEXT), end="outside"), as_of=START, zone=UTC)

    assert [(sentence.instance_id, sentence.name) for sentence in found] == [("", ""), ("h1", "Hold h1"), ("", "")]
    assert [text for text, stands_out in found[1].parts if stands_out] == ["Checking", "FOUND"]
