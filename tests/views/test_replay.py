from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC
from itertools import pairwise
from typing import Any

import pytest

from tests.factories import START, event
from xcstore.analysis.causality import Link
from xcstore.model.catalog import Catalog
from xcstore.model.definition import Component, State, StateMachine, Transition
from xcstore.model.history import CREATION
from xcstore.replay.controller import ReplayController
from xcstore.replay.track import EventsScope, InstanceScope, RangeScope, Track, open_track
from xcstore.store.base import Stores
from xcstore.store.memory import open_memory_stores
from xcstore.units import HOUR, EpochMs
from xcstore.views import replay, replay_data, replay_steps, replay_strip

ORDER = StateMachine(
    name="Order",
    initial_state="New",
    states=(State(name="New", type="entry"), State(name="Paid"), State(name="Done", type="final")),
    transitions=(
        Transition(source="New", target="Paid", event="PAY"),
        Transition(source="New", target="Paid", event="PAY_LATER"),
        Transition(source="Paid", target="Done", event="CLOSE"),
    ),
)
CATALOG = Catalog([Component(name="Shop", machines=(ORDER,))])


def order(instance_id: str, *, at: int = 0, caused_by: tuple[str, ...] = ()) -> list[Any]:
    """An order that is created, paid and closed, a second apart."""
    common = {"instance_id": instance_id, "machine_name": "Order", "component_name": "Shop"}
    moves = [(CREATION, "", "New"), ("PAY", "New", "Paid"), ("CLOSE", "Paid", "Done")]
    payloads = [{"initialContext": {"orderId": f"K-{instance_id}", "total": 5}}, {"total": 7, "card": "x"}, {}]
    return [
        event(
            id=f"{instance_id}-{number}",
            event_type=kind,
            state_before=before,
            state_after=after,
            payload=payloads[number],
            persisted_at=START + at + number * 1_000,
            caused_by=caused_by if not number else (f"{instance_id}-{number - 1}",),
            **common,
        )
        for number, (kind, before, after) in enumerate(moves)
    ]


def stores_of(*events: Any) -> Stores:
    stores = open_memory_stores()
    stores.events.append_many(events)
    return stores


def of_instance(*events: Any, catalog: Catalog = CATALOG) -> Track:
    return open_track(stores_of(*events), InstanceScope(instance_id=events[0].instance_id), catalog=catalog)


def window(track: Track, **options: Any) -> dict[str, Any]:
    """The whole track as the player gets it, with numbers of texts put back."""
    scene = replay.build(track)
    moments = ReplayController(track).moments(0, track.length + 1)
    links = options.pop("links", None) or replay_steps.Links(track, None, CATALOG)
    return replay_steps.window(track, scene, moments, zone=UTC, links=links, **options)


def said(data: dict[str, Any], step: int, name: str) -> str:
    return str(data["texts"][data["steps"][step][name]])


def held(data: dict[str, Any], step: int) -> dict[str, str]:
    """What the instance of a step holds, as the player is told."""
    _, _, *pairs = data["contexts"][data["steps"][step]["x"]]
    words = [data["texts"][number] for number in pairs]
    return dict(zip(words[::2], words[1::2], strict=True))


def test_a_step_says_what_happened_and_what_it_changed() -> None:
    data = window(of_instance(*order("a")))

    assert [step["p"] for step in data["steps"]] == [0, 1, 2, 3]
    assert "i" not in data["steps"][0]  # before the first step nobody has moved
    assert (said(data, 2, "e"), said(data, 2, "f"), said(data, 2, "t")) == ("PAY", "s:New", "s:Paid")
    assert [[change[0], *(data["texts"][n] for n in change[1:])] for change in data["steps"][2]["c"]] == [
        ["~", "total", "5", "7"],
        ["+", "card", "null", '"x"'],
    ]
    assert held(data, 2) == {"orderId": '"K-a"', "total": "7", "card": '"x"'}
    assert held(data, 1) == {"orderId": '"K-a"', "total": "5"}
    json.dumps(data)  # the browser gets it as JSON


def test_equal_contexts_and_texts_are_sent_once() -> None:
    data = window(of_instance(*order("a")))

    assert data["steps"][2]["x"] == data["steps"][3]["x"]
    assert len(data["texts"]) == len(set(data["texts"]))


def test_who_is_where_follows_from_the_base_and_the_steps_alone() -> None:
    """The player has nothing else; events in between that are no steps count too."""
    first, second = order("a"), order("b", at=500)
    stores = stores_of(*first, *second)
    track = open_track(stores, EventsScope(event_ids=("a-0", "a-2", "b-1")), catalog=CATALOG)
    scene = replay.build(track)
    controller = ReplayController(track)
    data = window(track)

    states = dict(data["base"])
    for step, moment in zip(data["steps"], controller.moments(0, track.length + 1), strict=True):
        states |= dict(step.get("s", []))
        if "i" in step:
            states[step["i"]] = step["t"]
        seen = {scene.instances[n].instance_id: data["texts"][state] for n, state in states.items()}
        assert seen == {name: f"s:{one.current_state}" for name, one in moment.instances.items()}


def test_a_window_in_the_middle_begins_with_who_was_where() -> None:
    track = of_instance(*order("a"))
    scene = replay.build(track)
    moments = ReplayController(track).moments(2, 4)

    data = replay_steps.window(track, scene, moments, zone=UTC, links=replay_steps.Links(track))

    assert data["start"] == 2
    assert [[n, data["texts"][state]] for n, state in data["base"]] == [[0, "s:Paid"]]


def test_causes_and_effects_name_their_step_and_doubtful_ones_say_why() -> None:
    events = [*order("a"), *order("b", at=1_500, caused_by=("a-1", "gone"))]
    track = open_track(stores_of(*events), RangeScope(start=START, end=EpochMs(START + HOUR)), catalog=CATALOG)
    doubtful = Link(cause_id="a-0", effect_id="a-2", doubts=("it cannot be",))
    links = replay_steps.Links(track, [Link(cause_id="a-1", effect_id="b-0"), doubtful])

    recorded, given = window(track), window(track, links=links)
    born = track.position_of("b-0") or 0
    closed = track.position_of("a-2") or 0

    cause, missing = recorded["steps"][born]["ca"]
    assert (cause[0], recorded["texts"][cause[1]]) == (track.position_of("a-1"), "PAY · Order A")
    assert (missing[0], recorded["texts"][missing[1]]) == (0, "event gone")
    effects = recorded["steps"][track.position_of("a-1") or 0]["ef"]
    assert sorted(effect[0] for effect in effects) == sorted([born, closed])
    assert len(given["steps"][born]["ca"]) == 1
    *_, standing, why = given["steps"][closed]["ca"][0]
    assert (standing, given["texts"][why]) == ("doubtful", "it cannot be")


def test_what_is_cut_says_how_much_there_is() -> None:
    events = order("a")
    events[1] = replace(events[1], payload={f"field{n:03}": "x" * 300 for n in range(100)})

    data = window(of_instance(*events))
    step = data["steps"][2]

    assert len(step["c"]) < step["cm"] == 100
    assert "of " in said(data, 2, "y")
    assert "characters; see the whole event" in said(data, 2, "y")
    assert data["contexts"][step["x"]][0] == 1  # there are more fields than are shown
    assert {path for _, path, *_ in step["c"]} <= set(data["contexts"][step["x"]][2::2])


def test_breakpoints_and_verdicts_are_told_at_their_step() -> None:
    data = window(of_instance(*order("a")), breaks={2: "event PAY"}, verdicts={3: "goes to Lost there"})

    assert said(data, 2, "b") == "event PAY"
    assert said(data, 3, "v") == "goes to Lost there"
    assert "b" not in data["steps"][3]


def test_a_machine_is_drawn_as_declared_and_without_a_definition_as_it_was_seen() -> None:
    known = replay.build(of_instance(*order("a"))).machines[0]
    unknown = replay.build(of_instance(*order("a"), catalog=Catalog())).machines[0]

    assert [node.label for node in known.diagram.nodes] == ["New", "Paid", "Done"]
    assert len(known.diagram.edges) == 3
    assert {node.label for node in unknown.diagram.nodes} == {"New", "Paid", "Done"}
    assert {node.kind for node in unknown.diagram.nodes} == {"unknown"}
    assert all(node.visited is None and node.count is None and not node.current for node in known.diagram.nodes)


def test_the_arrow_of_a_step_is_in_the_diagram_also_where_words_are_left_out() -> None:
    track = of_instance(*order("a"))
    cast = replay.build(track).machines[0]
    arrow = cast.arrow_id(track.step(2))
    small, aliases = replay.compact(cast.diagram)
    later = next(edge.id for edge in cast.diagram.edges if edge.label == "PAY_LATER")

    assert {edge.id: edge.label for edge in cast.diagram.edges}[arrow] == "PAY"
    assert cast.arrow_id(track.step(1)) == ""  # a creation takes no arrow
    drawn = {edge.id for edge in small.edges}
    assert len(drawn) == 2
    assert {edge.label for edge in small.edges} == {""}
    assert aliases == {later: arrow}
    assert arrow in drawn


def test_instances_are_named_by_letters_and_keys_in_the_order_of_their_first_event() -> None:
    events = [*order("b"), *order("a", at=100)]
    scene = replay.build(open_track(stores_of(*events), RangeScope(start=START, end=EpochMs(START + HOUR))))

    assert [(actor.instance_id, actor.letter, actor.key) for actor in scene.instances] == [
        ("b", "A", "K-b"),
        ("a", "B", "K-a"),
    ]
    assert [replay.letter(n) for n in (0, 25, 26, 27, 702)] == ["A", "Z", "AA", "AB", "AAA"]


def test_of_many_machines_those_that_act_near_the_step_are_drawn() -> None:
    events = [
        event(instance_id=f"i{n}", machine_name=f"M{n}", component_name="C", persisted_at=START + n * 10)
        for n in range(20)
    ]
    track = open_track(stores_of(*events), RangeScope(start=START, end=EpochMs(START + HOUR)))
    scene = replay.build(track)

    near = replay.nearest(track, scene, 10, most=3)

    assert {scene.machines[n].machine for n in near} == {"M8", "M9", "M10"}


def bands(strip: replay_strip.Strip, lane: int = 0) -> list[tuple[int, int, str, str]]:
    return [(band.start, band.stop, band.state, band.kind) for band in strip.lanes[lane].bands]


def test_a_lane_says_after_which_step_a_state_holds() -> None:
    track = of_instance(*order("a"))
    strip = replay_strip.build(track, replay.build(track), zone=UTC)

    assert bands(strip) == [(1, 2, "New", "entry"), (2, 3, "Paid", "regular"), (3, 4, "Done", "final")]
    assert strip.owners == (0, 0, 0)
    assert strip.note == ""


def test_events_that_are_no_steps_count_at_the_next_step_and_after_the_last_not_at_all() -> None:
    track = open_track(stores_of(*order("a")), EventsScope(event_ids=("a-1",)), catalog=CATALOG)
    strip = replay_strip.build(track, replay.build(track), zone=UTC)

    assert bands(strip) == [(0, 1, "New", "entry"), (1, 2, "Paid", "regular")]


@pytest.mark.parametrize("length", [401, 1_000, 25_000])
def test_a_long_history_is_drawn_in_bins_that_say_where_there_were_several_states(length: int) -> None:
    """First one long stay, then a change with every event."""
    half = length // 2
    events = [
        event(
            id=f"n{n:06}",
            instance_id="a",
            event_type="GO",
            state_before="One" if n < half or n % 2 else "Two",
            state_after="One" if n < half or not n % 2 else "Two",
            persisted_at=START + n * 1_000,
        )
        for n in range(length)
    ]
    track = of_instance(*events, catalog=Catalog())
    strip = replay_strip.build(track, replay.build(track), notes=replay_strip.event_notes(track), zone=UTC)
    drawn = bands(strip)

    assert len(drawn) <= 402
    assert drawn[0][2:] == ("One", "unknown")
    assert drawn[-1][3] == replay_strip.MIXED or length == 401
    assert all(one[1] == two[0] for one, two in pairwise(drawn))
    assert drawn[-1][1] == length + 1
    assert "steps" in strip.note


def test_marks_that_fall_together_are_one_with_their_number() -> None:
    notes = [replay_strip.Note(n, "odd", f"fault {n % 2}") for n in range(1, 100_001)]

    marks = replay_strip.only(notes, 100_000)

    assert len(marks) <= 400
    assert sum(mark[2] for mark in marks) == 100_000
    assert marks[0][3].splitlines() == ["fault 1", "fault 0"]


def test_odd_steps_are_marked_and_a_long_wait_is_told() -> None:
    events = order("a")
    events[2] = replace(events[2], state_before="New", persisted_at=EpochMs(START + 5 * HOUR))
    events.insert(
        1, replace(events[1], id="a-1b", event_type="NOTE", state_before="New", state_after="New", payload={})
    )
    track = of_instance(*events)
    strip = replay_strip.build(track, replay.build(track), notes=replay_strip.event_notes(track), zone=UTC)

    last = track.position_of("a-2")
    assert [(position, kind) for position, kind, _, _ in strip.marks] == [(last, "odd")]
    assert "leaves New, where its instance was in Paid" in strip.marks[0][3]
    assert strip.gaps == ((last, "4 h 59 min"),)


def test_the_rows_beside_hold_every_instance_as_of_the_step_and_the_mover_first() -> None:
    events = [*order("a"), *order("b", at=500)]
    track = open_track(stores_of(*events), RangeScope(start=START, end=EpochMs(START + HOUR)), catalog=CATALOG)
    scene = replay.build(track)
    moment = ReplayController(track).seek(event_id="b-1")

    rows, ids, total = replay_steps.as_of_rows(scene, moment)

    assert (ids, total) == (("b", "a"), 2)
    assert [(row["token"], row["state"], row["status"]) for row in rows] == [
        ("B", "○ Paid", "▶ active"),
        ("A", "○ Paid", "▶ active"),
    ]
    assert rows[0]["values"] == '{"orderId": "K-b", "total": 7, "card": "x"}'


def test_a_step_of_an_instance_that_no_diagram_shows_says_itself_whose_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_steps, "MOST_ACTORS", 1)
    stores = stores_of(*order("a"), *order("b", at=500))
    track = open_track(stores, RangeScope(start=START, end=EpochMs(START + HOUR)), catalog=CATALOG)

    told = {track.step(step["p"]).instance_id: step.get("a") for step in window(track)["steps"] if "i" in step}
    assert told == {"a": None, "b": [0, "B", "K-b"]}


def test_the_data_of_a_track_without_steps_can_be_made() -> None:
    track = open_track(stores_of(*order("a")), RangeScope(start=EpochMs(0), end=EpochMs(1)), catalog=CATALOG)
    scene = replay.build(track)
    strip = replay_strip.build(track, scene, zone=UTC)

    still = replay_data.still(scene, [], strip, total=0, label="nothing")

    assert (still["total"], still["instances"], strip.lanes) == (0, [], ())
    assert [step["p"] for step in window(track)["steps"]] == [0]


@pytest.mark.parametrize(("position", "block"), [(0, 0), (199, 0), (200, 1), (1_000, 5)])
def test_the_window_around_a_step_is_the_same_for_a_whole_block(position: int, block: int) -> None:
    found, start, stop = replay_data.blocks(position, 1_000, 200)

    assert found == block
    assert (start, stop) == replay_data.blocks(block * 200, 1_000, 200)[1:]
    assert position - start >= min(position, 200)
    assert stop > min(position + 200, 1_000)
