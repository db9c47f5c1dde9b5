"""`python -m xcstore health`, as a user runs it."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path

import pytest

from tests.factories import event
from xcstore.cli import main
from xcstore.store.opening import open_stores
from xcstore.units import DAY, EpochMs


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Four events, one of them 100 days old."""
    url = f"sqlite:///{tmp_path / 'history.db'}"
    now = time.time_ns() // 1_000_000
    with open_stores(url, read_only=False) as stores:
        stores.events.append_many(event(persisted_at=EpochMs(now - days * DAY)) for days in (1, 2, 3, 100))
    return url


def run(*arguments: str, **environment: str) -> int:
    return main(["health", *arguments], environment)


def test_a_store_that_is_well_ends_with_status_0_and_a_line_for_each_check(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(url, "--latency-ms", "60000") == 0

    printed = capsys.readouterr().out
    assert f"store       {url}\n" in printed
    for name in ("answers", "page of events", "trace", "counts", "connections", "size", "retention"):
        assert f"✓ ok        {name} " in printed
    assert "long-running" in printed


def test_a_warning_ends_with_status_1(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(url, "--latency-ms", "60000", EVENT_RETENTION_DAYS="90") == 1

    assert "▲ warning   retention" in capsys.readouterr().out


def test_a_store_that_cannot_be_reached_ends_with_status_2_without_its_password(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("postgresql://app:s3cret@127.0.0.1:1/history") == 2

    captured = capsys.readouterr()
    assert "✕ critical  answers" in captured.out
    assert "s3cret" not in captured.out + captured.err


def test_a_database_without_a_store_answers_and_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE something (x)")
    other.close()

    assert run(f"sqlite:///{tmp_path / 'other.db'}") == 1

    printed = capsys.readouterr().out
    assert "✓ ok        answers" in printed
    assert "▲ warning   history" in printed


def test_a_url_of_no_store_is_one_sentence_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("nonsense://x") == 2

    captured = capsys.readouterr()
    assert captured.err.startswith("xcstore: no store is known")
    assert captured.out == ""


def test_the_report_comes_as_one_json_object(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(url, "--json", "--latency-ms", "60000") == 0

    document = json.loads(capsys.readouterr().out)
    assert document["worst"] == "ok"
    assert document["identity"] == url
    assert document["status"]["event_count"] == 4
    assert {check["name"] for check in document["checks"]} >= {"answers", "retention"}


def test_json_is_given_of_a_store_that_cannot_be_reached_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sqlite:////nowhere/at/all.db", "--json") == 2

    document = json.loads(capsys.readouterr().out)
    assert (document["worst"], document["checks"][0]["name"]) == ("critical", "answers")


def test_what_is_slow_comes_from_the_settings_unless_it_is_given(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(url, XCSTORE_LATENCY_ALERT_MS="250", XCSTORE_URL=url)
    run("--json", XCSTORE_LATENCY_ALERT_MS="250", XCSTORE_URL=url)

    printed = capsys.readouterr().out
    assert "warning over 250 ms, critical over 2.5 s" in printed


def test_a_broken_folder_of_definitions_does_not_keep_the_report_back(url: str) -> None:
    assert run(url, "--latency-ms", "60000", XCSTORE_DEFINITIONS="/nowhere/at/all") == 0


def test_stored_text_cannot_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path / 'history.db'}"
    with open_stores(url, read_only=False) as stores:
        stores.events.append(event(machine_name="\x1b[2J\nroot", component_name="a\rb"))

    run(url, "--latency-ms", "60000")

    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\r" not in printed
    assert "root" in printed
