from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pygraphviz
import pytest

from tests.browser.examples import HOSTILE
from xcstore.render.labels import visible_text
from xcstore.render.spacetime import ARROW_KINDS, Arrow, Lane, Mark, Order, SpaceTime, legend_kinds, spacetime_dot
from xcstore.render.spacetime_data import browser_data, stamp
from xcstore.render.spacetime_layout import ROW, lay_out
from xcstore.render.spacetime_svg import spacetime_svg
from xcstore.render.theme import EDGE_KINDS
from xcstore.units import DAY, HOUR

T0 = 1_767_225_600_000
LANES = (Lane(id="Shop", label="Shop", accent=0, count=2), Lane(id="Stock", label="Stock", accent=1, count=1))


def mark(name: str, at: int, lane: int = 0, instance: str = "i1", **more: object) -> Mark:
    fields = {"label": name, "instance_id": instance, **more}
    return Mark(id=name, lane=lane, at_ms=T0 + at, **fields)  # type: ignore[arg-type]


def picture(*marks: Mark, arrows: tuple[tuple[int, int], ...] = (), **more: object) -> SpaceTime:
    drawn = tuple(Arrow(source=source, target=target) for source, target in arrows)
    return SpaceTime(**{"lanes": LANES, "marks": marks, "arrows": drawn, **more})  # type: ignore[arg-type]


THREE = picture(
    mark("PAY", 0), mark("RESERVE", 40, lane=1, instance="i2"), mark("SHIP", 90), arrows=((0, 1), (1, 2))
)  # fmt: skip


@pytest.mark.parametrize("order", ["time", "causal"])
def test_time_and_cause_lead_down_the_page(order: Order) -> None:
    y = lay_out(replace(THREE, order=order)).y
    assert y[0] < y[1] < y[2]


@pytest.mark.parametrize("order", ["time", "causal"])
def test_marks_of_one_lane_never_cover_one_another(order: Order) -> None:
    crowd = picture(*(mark(f"e{n}", n // 7, instance=f"i{n}") for n in range(50)), order=order)
    y = sorted(lay_out(crowd).y)
    assert min(after - before for before, after in pairwise(y)) >= ROW


def test_of_events_at_one_moment_the_effect_stands_below_its_cause() -> None:
    y = lay_out(picture(mark("b", 0, lane=1, instance="i2"), mark("a", 0), arrows=((1, 0),))).y
    assert y[1] < y[0]


def test_in_causal_order_an_effect_that_a_wrong_clock_stored_first_stands_below_its_cause() -> None:
    skewed = picture(
        mark("effect", 0, lane=1, instance="i2"), mark("cause", 500), mark("next", 600, lane=1, instance="i2"),
        arrows=((1, 0), (0, 2)),
    )  # fmt: skip
    causal = lay_out(replace(skewed, order="causal"))
    assert causal.y[1] < causal.y[0] < causal.y[2]
    assert causal.steps == (2, 1, 3)
    timed = lay_out(skewed)
    assert timed.y[0] < timed.y[1]


@pytest.mark.parametrize("order", ["time", "causal"])
def test_links_that_lead_round_in_a_circle_are_drawn_and_stop_nothing(order: Order) -> None:
    ring = picture(
        mark("a", 0), mark("b", 10, lane=1, instance="i2"), mark("c", 20), mark("d", 30, lane=1, instance="i2"),
        arrows=((0, 1), (1, 2), (2, 0), (2, 3), (3, 3)), order=order,
    )  # fmt: skip
    y = lay_out(ring).y
    assert y[0] < y[1] < y[2] < y[3]
    assert spacetime_svg(ring).count("<path") >= 5


def test_long_idle_time_is_cut_to_one_height_and_says_how_long_it_was() -> None:
    busy = [mark(f"e{n}", n * 100) for n in range(5)]
    shorter = lay_out(picture(*busy, mark("late", HOUR)))
    longer = lay_out(picture(*busy, mark("late", 2 * DAY + 4 * HOUR + 400)))
    assert [gap.label for gap in longer.breaks] == ["2 d 4 h idle"]
    assert longer.height == shorter.height
    (gap,) = longer.breaks
    assert longer.y[4] < gap.top < gap.bottom < longer.y[5]


def test_a_longer_gap_takes_more_room() -> None:
    y = lay_out(picture(mark("a", 0), mark("b", 1, lane=1, instance="i2"), mark("c", 900))).y
    assert y[2] - y[1] > y[1] - y[0]


def test_equal_pictures_give_equal_text_and_another_picture_another_stamp() -> None:
    assert spacetime_svg(THREE) == spacetime_svg(replace(THREE))
    assert spacetime_dot(THREE) == spacetime_dot(replace(THREE))
    assert browser_data(THREE, lay_out(THREE)) == browser_data(THREE, lay_out(THREE))
    fewer = replace(THREE, arrows=THREE.arrows[:1])
    assert stamp(fewer) == stamp(THREE)
    assert browser_data(fewer, lay_out(fewer))["version"] != browser_data(THREE, lay_out(THREE))["version"]
    assert stamp(THREE) != stamp(replace(THREE, marks=THREE.marks[:2], arrows=()))


def test_arrows_of_two_kinds_between_the_same_marks_stand_beside_one_another() -> None:
    kinds = (Arrow(source=0, target=1, kind="doubtful"), Arrow(source=0, target=1, kind="inferred"))
    both = replace(THREE, arrows=(*kinds, Arrow(source=1, target=2)))
    first, second, alone = lay_out(both).shifts
    assert first != second
    assert alone == 0
    ways = re.findall(r' d="(M[\d. ]+L[\d. ]+)"', spacetime_svg(both))
    assert len(set(ways)) == len(ways) == 3


def test_labels_stand_away_from_the_arrows_to_their_right() -> None:
    assert lay_out(THREE).asides == (-1, 0, 1)


def test_nothing_to_draw_is_drawn_as_nothing() -> None:
    assert lay_out(SpaceTime()).y == ()
    ElementTree.fromstring(spacetime_svg(SpaceTime()))


def test_one_event_without_links_is_a_picture() -> None:
    alone = picture(mark("PAY", 0, root=True), lanes=LANES[:1])
    for order in ("time", "causal"):
        svg = spacetime_svg(replace(alone, order=order))  # type: ignore[arg-type]
        assert "PAY" in "".join(ElementTree.fromstring(svg).itertext())


def test_every_kind_of_link_has_its_own_line_everywhere() -> None:
    arrows = tuple(Arrow(source=0, target=n + 1, kind=kind) for n, kind in enumerate(ARROW_KINDS))
    marks = tuple(mark(f"e{n}", n * 10, lane=n % 2, instance=f"i{n}") for n in range(len(arrows) + 1))
    drawn = SpaceTime(lanes=LANES, marks=marks, arrows=arrows)
    assert legend_kinds(drawn)[1] == ARROW_KINDS
    svg = spacetime_svg(drawn)
    data = browser_data(drawn, lay_out(drawn))
    for kind in ARROW_KINDS:
        assert f'class="s-{kind}"' in svg
        assert f".s-{kind}{{stroke:" in svg
        assert EDGE_KINDS[kind].word in svg
        assert f"edge-{kind}" in spacetime_dot(drawn)
    assert [look[0] for look in data["looks"]] == list(ARROW_KINDS)  # type: ignore[attr-defined]
    assert data["arrows"]["kind"] == list(range(len(ARROW_KINDS)))  # type: ignore[index]
    assert ' stroke-dasharray="1 4"' in svg


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_only_ever_text(text: str) -> None:
    evil = SpaceTime(
        lanes=(Lane(id="x", label=text, sublabel=text),),
        marks=(mark("a", 0, label=text, states=text, place=text, instance=text, root=True), mark("b", 5)),
        arrows=(Arrow(source=0, target=1, tooltip=(text,)), Arrow(source=-1, target=0, tooltip=(text,))),
        name=text,
        notes=(text,),
        zone=text,
    )
    read = ElementTree.fromstring(spacetime_svg(evil))
    assert {one.tag.rpartition("}")[2] for one in read.iter()} <= {
        "svg", "title", "style", "rect", "text", "line", "g", "path", "circle"
    }  # fmt: skip
    assert not [name for one in read.iter() for name in one.attrib if name.startswith(("on", "href"))]
    words = "".join(read.itertext())
    assert len(words) < 20_000
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\ufeff\x00-\x08]", words)
    told = browser_data(evil, lay_out(evil))
    assert max(map(len, told["texts"])) <= 300  # type: ignore[call-overload, arg-type]
    assert visible_text(text, 80) in told["texts"] or not text  # type: ignore[operator]
    with pygraphviz.AGraph(string=spacetime_dot(evil)) as graph:
        assert graph.number_of_edges() == 2
        assert graph.number_of_nodes() == 3


def test_colours_follow_the_mode_that_was_asked_for() -> None:
    light, dark, auto = (spacetime_svg(THREE, mode=mode) for mode in ("light", "dark", "auto"))  # type: ignore[arg-type]
    assert light != dark
    assert "prefers-color-scheme" in auto
    assert "prefers-color-scheme" not in light + dark
    assert "http" not in auto.replace("http://www.w3.org/2000/svg", "")


def test_a_part_of_the_picture_says_of_how_many_it_is() -> None:
    many = picture(*(mark(f"e{n}", n) for n in range(1_200)), arrows=((0, 1_199), (1, 2)))
    svg = spacetime_svg(many, max_marks=1_000)
    assert "shown 1,000 of 1,200 marks" in svg
    assert "shown" not in spacetime_svg(many, max_marks=1_200)


def test_dot_puts_lanes_into_boxes_and_missing_causes_beside_them() -> None:
    missing = replace(THREE, arrows=(*THREE.arrows, Arrow(source=-1, target=0, kind="doubtful", tooltip=("gone-42",))))
    with pygraphviz.AGraph(string=spacetime_dot(missing)) as graph:
        assert graph.number_of_edges() == 3
        assert len(graph.subgraphs()) == 2
        assert any("not in this store" in (node.attr["label"] or "") for node in graph.nodes())


def test_dot_says_how_many_hidden_events_a_way_passes() -> None:
    assert "via 3 hidden events" in spacetime_dot(replace(THREE, arrows=(Arrow(source=0, target=2, via=3),)))


@pytest.mark.parametrize("order", ["time", "causal"])
def test_a_way_within_one_lane_that_passes_hidden_events_has_room_to_say_so(order: Order) -> None:
    marks = (mark("a", 0), mark("b", 1, instance="i2"))
    via = SpaceTime(lanes=LANES, marks=marks, arrows=(Arrow(source=0, target=1, via=3),), order=order)
    y = lay_out(via).y
    assert y[1] - y[0] >= 2 * ROW
    assert "via 3 hidden events" in spacetime_svg(via)


def test_an_arrow_does_not_run_through_an_event_that_it_has_nothing_to_do_with() -> None:
    lanes = tuple(Lane(id=name, label=name) for name in "abc")
    marks = tuple(mark(name, 0, lane=n, instance=name) for n, name in enumerate("abc"))
    links = (Arrow(source=0, target=1), Arrow(source=1, target=2), Arrow(source=0, target=2, kind="doubtful"))
    straight = SpaceTime(lanes=lanes, marks=marks, arrows=links)
    assert [bow > 0 for bow in lay_out(straight).bows] == [False, False, True]
    assert re.search(r"M[\d. ]+Q[\d. ]+", spacetime_svg(straight))
