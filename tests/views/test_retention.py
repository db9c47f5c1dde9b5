"""What the Retention page says."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest

from tests.factories import START
from xcstore.ops.pruning import Prune
from xcstore.ops.retention_plan import Kept, Preview, Share
from xcstore.units import DAY, EpochMs
from xcstore.views import retention as views


def found(**overrides: Any) -> Preview:
    fields: dict[str, Any] = {
        "store": "sqlite:///shop.db",
        "cutoff": START,
        "days": 30,
        "keep_snapshots": 10,
        "stored_events": 9_000,
    }
    return Preview(**{**fields, **overrides})


def run(**overrides: Any) -> Prune:
    fields: dict[str, Any] = {
        "id": "r",
        "store": "sqlite:///shop.db",
        "at": START,
        "cutoff": EpochMs(START - 30 * DAY),
        "days": 30,
        "keep_snapshots": 10,
        "archive": "archive:///old",
    }
    return Prune(**{**fields, **overrides})


def test_months_are_those_of_all_components_together() -> None:
    shares = tuple(
        Share(component=component, month=month, events=events)
        for month, component, events in [("2026-01", "A", 3), ("2026-01", "B", 4), ("2026-02", "A", 5)]
    )

    assert views.months(found(shares=shares)) == [("2026-01", 7), ("2026-02", 5)]


def test_what_is_not_known_is_a_dash_and_no_nought() -> None:
    values = {number.label: number.value for number in views.numbers(found(events=1_200, size_bytes=None, links=None))}

    assert values == {
        "Events": "1,200",
        "Instances": "0",
        "Shortened": "0",
        "Snapshots": "0",
        "Old snapshots": "0",
        "Size": "–",
        "Links": "–",
    }
    assert "not counted" in views.links_text(found(events=1, links=None))
    assert views.links_text(found(links=0)) == ""


def test_every_reason_is_in_words() -> None:
    (row,) = views.kept_rows(found(kept=(Kept(reason="work", instances=2, events=9),)))

    assert row == {"why": "a runtime has still work to do for it", "instances": 2, "events that stay": 9}


def test_a_run_that_was_killed_is_to_be_run_again() -> None:
    rows = views.run_rows([run(events=1), run(events=2, finished=True, archive=None)], UTC)

    assert [(row["events"], row["finished"], row["archive"]) for row in rows] == [
        (2, "yes", "none: they are lost"),
        (1, "no: run it again", "archive:///old"),
    ]


def test_what_a_run_did_is_one_sentence() -> None:
    assert views.run_text(run(events=9, whole=2, part=1)) == (
        "9 events of 3 instances are in the archive archive:///old and no longer in the store."
    )
    assert "1 instance changed meanwhile" in views.run_text(run(moved_on=1))


@pytest.mark.parametrize(
    ("store", "has_archive", "line"),
    [
        ("sqlite:///my shop.db", True, "'sqlite:///my shop.db' --days 30 --snapshots 10 --apply"),
        (
            "postgresql://app:***@db/shop",
            False,
            "'postgresql://app:***@db/shop' --days 30 --snapshots 10 --apply --archive FOLDER",
        ),
    ],
)
def test_the_command_can_be_copied(store: str, has_archive: bool, line: str) -> None:
    assert views.command(store, 30, 10, has_archive=has_archive) == f"python -m xcstore prune {line}"


def test_the_archive_is_where_the_settings_say_or_beside_the_file() -> None:
    assert views.place_of_archive("postgresql://db/shop") is None
    assert views.place_of_archive("postgresql://db/shop", "archive:////old") == "archive:////old"
    assert views.place_of_archive("sqlite:///data/shop.db") == "archive:///data/shop.archive"


def test_the_button_is_offered_only_where_it_can_be_pressed() -> None:
    going = found(events=3)

    assert views.why_not(going, True, "archive:///old") == ""
    assert "XCSTORE_ALLOW_WRITE" in views.why_not(going, False, "archive:///old")
    assert "no place for an archive" in views.why_not(going, True, None)
    assert "nothing to do" in views.why_not(found(), True, "archive:///old")
    for url in ("archive:///old", "redis://h/0", "influxdb://h/db"):
        assert "Nothing can be removed" in views.why_not(found(store=url, events=3), True, None)
