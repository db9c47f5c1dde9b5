from __future__ import annotations

import re

import pytest

from xcstore.render.theme import (
    ACCENTS,
    EDGE_KINDS,
    PROVENANCES,
    STATE_KINDS,
    STATUSES,
    Look,
    accents,
    css,
    find_look,
)

LOOKS = [*STATE_KINDS.values(), *STATUSES.values(), *PROVENANCES.values(), *ACCENTS]
LIGHT_GROUNDS = ("#ffffff", "#f3f5f7")
DARK_GROUNDS = ("#14181e", "#1e242c", "#0e1117")


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.text)
def test_every_colour_can_be_read_as_text_on_light_and_dark_grounds(look: Look) -> None:
    assert min(contrast(look.light, ground) for ground in LIGHT_GROUNDS) >= 4.5
    assert min(contrast(look.dark, ground) for ground in DARK_GROUNDS) >= 4.5


@pytest.mark.parametrize("table", [STATE_KINDS, STATUSES, PROVENANCES], ids=["states", "statuses", "provenances"])
def test_nothing_is_told_by_colour_alone(table: dict[str, Look]) -> None:
    assert len({look.mark for look in table.values()}) == len(table)
    assert len({look.word for look in table.values()}) == len(table)


def test_accents_differ_in_colour_and_in_mark() -> None:
    assert len({accent.light for accent in ACCENTS}) == len(ACCENTS)
    assert len({accent.dark for accent in ACCENTS}) == len(ACCENTS)
    assert len({accent.mark for accent in ACCENTS}) == len(ACCENTS)


def test_links_of_each_provenance_have_their_own_dashes() -> None:
    assert len({EDGE_KINDS[kind].dash for kind in ("recorded", "inferred", "doubtful")}) == 3


def test_a_component_keeps_its_number_whatever_the_order_of_names() -> None:
    assert accents(["b", "a", "b"]) == accents(["a", "b"]) == {"a": 0, "b": 1}


def test_one_component_has_one_colour_whatever_else_a_picture_shows():
    store = ("Shop", "Stock", "")

    assert accents(["Stock"], store)["Stock"] == accents(["", "Shop", "Stock"], store)["Stock"] == 1
    assert accents(store)[""] == 2, "what has no component takes no colour away"


def test_an_unknown_status_looks_unknown() -> None:
    assert find_look(STATUSES, "exploded") is STATUSES["unknown"]
    assert find_look(STATUSES, None) is STATUSES["unknown"]
    assert find_look(STATUSES, "error").word == "error"


def test_the_style_sheet_has_every_kind_and_uses_only_colours_that_it_defines() -> None:
    text = css()
    for kind in STATE_KINDS:
        assert f".state-{kind}{{" in text
    for kind in EDGE_KINDS:
        assert f".edge-{kind}{{" in text
    defined = set(re.findall(r"--(\w+):#", text))
    used = set(re.findall(r"var\(--(\w+)\)", text))
    assert used <= defined
