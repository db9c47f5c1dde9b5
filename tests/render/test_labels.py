from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xcstore.render.labels import (
    ago_text,
    clean_zone,
    compact_count,
    count_text,
    duration_text,
    markdown_escape,
    moment_text,
    short_id,
    text_width,
    visible_text,
    wrap_text,
)
from xcstore.units import DAY, HOUR, MAX_UTC, MIN_UTC, MINUTE, SECOND


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (350, "350 ms"),
        (999.4, "999 ms"),
        (1_000, "1 s"),
        (1_250, "1.25 s"),
        (12_340, "12.3 s"),
        (59_999, "60 s"),
        (MINUTE, "1 min"),
        (3 * MINUTE + 20 * SECOND, "3 min 20 s"),
        (HOUR - 1, "1 h"),
        (2 * HOUR + 5 * MINUTE + 59 * SECOND, "2 h 5 min"),
        (2 * DAY + 4 * HOUR, "2 d 4 h"),
        (1_500 * DAY, "1,500 d"),
        (-350, "−350 ms"),
        (None, "–"),
        (float("nan"), "–"),
    ],
)
def test_durations_are_in_at_most_two_units(ms: float | None, text: str) -> None:
    assert duration_text(ms) == text


def test_a_moment_is_shown_in_the_chosen_zone() -> None:
    assert moment_text(1_772_000_000_123) == "2026-02-25 06:13:20"
    assert moment_text(1_772_000_000_123, "Europe/Berlin", millis=True) == "2026-02-25 07:13:20.123"
    assert moment_text(None) == "–"


@pytest.mark.parametrize("ms", [MIN_UTC - 1, MAX_UTC + 1, 10**30, -(10**30)])
def test_a_moment_outside_the_calendar_is_shown_as_the_number_that_is_stored(ms: int) -> None:
    assert moment_text(ms) == f"epoch ms {ms}"


def test_the_last_moment_of_the_calendar_in_a_zone_ahead_does_not_fail() -> None:
    assert moment_text(MAX_UTC, "Asia/Tokyo") == f"epoch ms {MAX_UTC}"
    assert moment_text(MIN_UTC) == "0001-01-01 00:00:00"


@pytest.mark.parametrize("name", ["Nowhere/Town", "", "../../etc/passwd", "\0"])
def test_an_unknown_zone_is_utc(name: str) -> None:
    assert moment_text(0, clean_zone(name)) == "1970-01-01 00:00:00"


def test_ago_is_in_one_unit_and_knows_the_future() -> None:
    now = 10 * DAY
    assert ago_text(now - 3 * HOUR - 59 * MINUTE, now) == "3 h ago"
    assert ago_text(now - 2 * DAY, now) == "2 d ago"
    assert ago_text(now + 5 * MINUTE, now) == "in 5 min"
    assert ago_text(now - 999, now) == "now"
    assert ago_text(None, now) == "–"


def test_counts_have_thousands_apart_and_the_right_noun() -> None:
    assert count_text(12_345) == "12,345"
    assert count_text(1, "event") == "1 event"
    assert count_text(0, "event") == "0 events"
    assert count_text(2, "entry", "entries") == "2 entries"


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0"), (9_999, "9,999"), (12_345, "12.3k"), (999_999, "1000k"), (4_100_000, "4.1M")]
)
def test_counts_on_pictures_are_short(n: int, text: str) -> None:
    assert compact_count(n) == text


def test_ids_are_shortened_to_both_their_ends_so_that_neighbours_in_time_differ() -> None:
    assert short_id("c0ffee42-1111-4222") == "c0ff…-4222"
    assert short_id("01a18aee-6592-7002-b593-c7864149f36f") != short_id("01a18aee-6592-7002-b593-c7864149f370")
    assert short_id("ORD-000123") == "ORD-000123"
    assert short_id("a\u202eb") == "a⟨U+202E⟩b"
    assert short_id("") == ""


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        ("plain text", "plain text"),
        ("a\nb\tc\0\r", "a↵b⇥c␀␍"),
        ("x\u202ey\u200bz\ufeff", "x⟨U+202E⟩y⟨U+200B⟩z⟨U+FEFF⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("\ufffe\uffff", "⟨U+FFFE⟩⟨U+FFFF⟩"),
        ("non\u00a0break", "non break"),
        ("\x7f\x85", "␡⟨U+0085⟩"),
        ("العربية 中文 😀", "العربية 中文 😀"),
    ],
)
def test_nothing_hides_in_visible_text(raw: str, seen: str) -> None:
    assert visible_text(raw) == seen


def test_long_text_is_cut_to_the_limit_with_an_ellipsis() -> None:
    assert visible_text("abcdef", 4) == "abc…"
    assert visible_text("abcd", 4) == "abcd"


@given(st.text(st.characters(codec=None)))
def test_visible_text_can_always_be_written_to_xml_as_utf8(raw: str) -> None:
    seen = visible_text(raw)
    seen.encode("utf-8")
    assert all(unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in seen)
    assert visible_text(seen) == seen


def test_markdown_is_escaped() -> None:
    assert markdown_escape("**a** [b](c)") == r"\*\*a\*\* \[b\]\(c\)"
    assert markdown_escape("<b>&amp;") == r"\<b\>\&amp;"
    assert "http://" not in markdown_escape("http://example.invalid")
    assert ":smile:" not in markdown_escape(":smile:").replace("\\", "")


@given(st.text(), st.integers(4, 30), st.integers(1, 4))
def test_wrapped_text_has_no_more_lines_or_characters_than_asked(raw: str, width: int, lines: int) -> None:
    wrapped = wrap_text(raw, width, lines)
    assert 1 <= len(wrapped) <= lines
    assert all(len(line) <= width for line in wrapped)


def test_text_is_wrapped_at_words_humps_and_underscores() -> None:
    assert wrap_text("EscalatedToManager", 12) == ("EscalatedTo", "Manager")
    assert wrap_text("ESCALATION_ACCEPTED", 15) == ("ESCALATION_", "ACCEPTED")
    assert wrap_text("waits for the payment", 12) == ("waits for", "the payment")
    assert wrap_text("x" * 100, 10, 2) == ("x" * 10, "x" * 9 + "…")
    assert wrap_text("", 10) == (" ",)


def test_wide_characters_are_taken_as_wide() -> None:
    assert text_width("中文", 10) > text_width("ab", 10) > text_width("il", 10)
