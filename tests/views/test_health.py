"""What the Health page shows of a report."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC

from tests.factories import START
from xcstore.config import Settings
from xcstore.errors import StoreUnavailableError
from xcstore.ops.health import Check, HealthReport, Mark, not_opened
from xcstore.ops.health_snapshots import InstanceLag, MachineAdvice, SnapshotLag
from xcstore.redaction import Redaction
from xcstore.store.base import PoolUse, StoreStatus
from xcstore.store.latency import Timing
from xcstore.units import HOUR, DurationMs, EpochMs
from xcstore.views import health as views

UNESCAPED = re.compile(r"(?<!\\)\]\(|(?<!\\)!\[|(?<!\\)<|https?:/")


def check(name: str, mark: Mark) -> Check:
    return Check(name=name, mark=mark, value="1", sentence="One.")


REPORT = HealthReport(
    identity="sqlite:///a.db",
    asked_at=EpochMs(START + HOUR),
    checks=(check("a", "ok"), check("b", "warning"), check("c", "unknown"), check("d", "critical"), check("e", "ok")),
)


def facts(report: HealthReport) -> dict[str, str]:
    return {fact.label: fact.value for fact in views.facts(report, UTC)}


def test_the_verdict_counts_what_is_not_well_by_mark_and_word() -> None:
    assert views.verdict(REPORT) == "✕ critical: 1 · ▲ warning: 1 · ? unknown: 1 of 5 checks"
    assert views.verdict(replace(REPORT, checks=(check("a", "ok"),))) == "✓ ok: 1 check, all well"


def test_the_worst_checks_come_first_and_the_others_keep_their_order() -> None:
    assert [row["check"] for row in views.check_rows(REPORT)] == ["d", "b", "c", "a", "e"]


def test_sentences_are_shown_as_text() -> None:
    hostile = Check(name="answers", mark="critical", value="[x](y)", sentence="![x](https://evil.example) <b>")

    (row,) = views.check_rows(replace(REPORT, checks=(hostile,)))

    for cell in (str(row["value"]), str(row["what it means"])):
        assert not UNESCAPED.search(cell), cell


def test_what_is_not_known_is_a_dash() -> None:
    found = facts(not_opened("x", StoreUnavailableError("nobody answers")))

    assert found.pop("Answers in") == "no"
    assert set(found.values()) == {"–"}


def test_an_estimate_looks_like_one() -> None:
    status = StoreStatus(
        server="SQLite 3", size_bytes=1_500, event_count=20_000, pool=PoolUse(maximum=20, open=3, in_use=1)
    )
    exact, estimated = replace(REPORT, status=status), replace(status, event_count_is_exact=False)

    assert facts(exact)["Events"] == "20,000"
    assert facts(replace(REPORT, status=estimated))["Events"] == "~20,000"
    assert facts(exact)["Size"] == "1.5 kB"
    assert facts(exact)["Connections"] == "1 of 20"


def test_lags_say_of_how_many_they_are_and_what_was_not_counted() -> None:
    lags = tuple(
        InstanceLag(
            instance_id=f"i{number}",
            component_name="",
            machine_name="Order\u202e",
            state="Paid",
            events=9_000,
            behind=None if number == 0 else number,
            has_snapshot=True,
        )
        for number in range(60)
    )
    lag = SnapshotLag(live=900, snapshots=5, instances=lags)

    rows = views.lag_rows(lag)

    assert len(rows) == 50
    assert views.lag_text(lag).startswith("shown 50 of those looked at: the 60 newest of 900 live instances")
    assert "too many events to count" in views.lag_text(lag)
    assert (rows[0]["events since it"], rows[1]["events since it"]) == (None, 1)
    assert "\u202e" not in str(rows[0]["machine"])
    assert rows[0]["component"] == "(none)"


def test_advice_shows_the_numbers_that_it_rests_on() -> None:
    item = MachineAdvice(
        component_name="Shop",
        machine_name="Order",
        looked_at=100,
        instances=425,
        per_hour=71.617,
        median_ms=DurationMs(5_860),
        median_transitions=4,
        frequency="high",
        is_long_running=False,
        interval=100,
    )

    (row,) = views.advice_rows([item], 10)

    assert (row["advised interval"], row["in force"], row["an hour"], row["life"]) == (100, 10, 71.6, "5.86 s")
    assert row["looked at"] == "100 of 425"
    unmoved = replace(item, per_hour=None, frequency=None, is_long_running=None, interval=None)
    (unknown,) = views.advice_rows([unmoved], 10)
    assert (unknown["an hour"], unknown["advised interval"], unknown["life"]) == (None, None, "–")
    assert unknown["transitions"] == unknown["workflow"] == "not known"


def test_calls_are_questions_or_writes_and_slow_ones_are_newest_first() -> None:
    timings = [
        Timing(at=EpochMs(START), operation="append", ms=120.0),
        Timing(at=EpochMs(START + 500), operation="count", ms=1_500.0),
    ]

    assert views.latency_points(timings, EpochMs(START + 1_000)) == [
        (1.0, "append", "write", 120.0),
        (0.5, "count", "question", 1_500.0),
    ]
    assert [(row["operation"], row["took"]) for row in views.slow_rows(timings, UTC)] == [
        ("count", "1.5 s"),
        ("append", "120 ms"),
    ]


def test_settings_show_neither_passwords_nor_tokens() -> None:
    settings = Settings(
        url="postgresql://ann:s3cret@db/shop",
        mongo_uri="mongodb://ann:s3cret@db/shop",
        api_token="t0ken",
        redact=Redaction.parse("payload.card.number"),
        allow_write=True,
    )

    rows = {str(row["setting"]): row["value"] for row in views.settings_rows(settings)}

    assert "s3cret" not in str(rows)
    assert "t0ken" not in str(rows)
    assert rows["XCSTORE_API_TOKEN"] == "set"
    assert rows["XCSTORE_URL"] == "postgresql://ann:***@db/shop"
    assert rows["XCSTORE_ALLOW_WRITE"] == "true"
    assert rows["XCSTORE_REDACT"] == "card.number"
    assert {row["value"] for row in views.settings_rows(Settings()) if row["setting"] == "XCSTORE_API_TOKEN"} == {
        "not set"
    }
