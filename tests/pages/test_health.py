"""The Health page."""

from __future__ import annotations

import re
import time
from typing import Any

from streamlit.testing.v1 import AppTest

from tests.factories import event, snapshot
from xcstore.model.history import CREATION
from xcstore.store.base import EventQuery
from xcstore.store.opening import open_stores
from xcstore.units import DAY, EpochMs

UNESCAPED_LINK = re.compile(r"(?<!\\)\]\(|(?<!\\)!\[|(?<!\\)\$|(?<!\\)<|https?:/")


def metric(app: AppTest, label: str) -> str:
    return next(item.value for item in app.metric if item.label == label)


def table(app: AppTest, column: str) -> Any:
    """The table that has this column."""
    return next(frame.value for frame in (*app.table, *app.dataframe) if column in frame.value)


def words(app: AppTest) -> list[str]:
    return [item.value for kind in ("markdown", "caption", "error", "warning", "info") for item in app.get(kind)]


def plain(markdown: str) -> str:
    """Without what keeps it from being read as markup."""
    return re.sub(r"\\(?=[^\w\s])", "", markdown)


def marks(app: AppTest) -> dict[str, str]:
    checks = table(app, "check").map(spaced)
    return dict(zip(checks["check"], checks["is"], strict=True))


def spaced(cell: str) -> str:
    """Names in the table do not wrap."""
    return cell.replace("\N{NO-BREAK SPACE}", " ")


def test_the_numbers_are_those_of_the_store(open_page, demo_url):
    app = open_page(demo_url, "health")

    with open_stores(demo_url) as stores:
        events = stores.events.count(EventQuery())[0].count
        snapshots = stores.snapshots.count()
    assert not app.exception
    assert metric(app, "Events").removeprefix("~") == f"{events:,}"
    assert metric(app, "Snapshots") == f"{snapshots:,}"
    assert metric(app, "Size").endswith("MB")
    assert metric(app, "Answers in").endswith("ms")


def test_every_check_is_a_row_with_a_mark_and_a_word(open_page, demo_url, monkeypatch):
    monkeypatch.setenv("XCSTORE_LATENCY_ALERT_MS", "60000")
    app = open_page(demo_url, "health")

    assert set(marks(app)) >= {"answers", "page of events", "trace", "counts", "connections", "size", "retention"}
    assert set(marks(app).values()) == {"✓ ok"}
    assert any("✓ ok: 14 checks, all well" in plain(text) for text in words(app))


def test_a_warning_comes_first_and_is_counted_in_the_verdict(open_page, demo_url, monkeypatch):
    monkeypatch.setenv("XCSTORE_LATENCY_ALERT_MS", "60000")
    monkeypatch.setenv("EVENT_RETENTION_DAYS", "1")
    app = open_page(demo_url, "health")

    first = table(app, "check").map(spaced).iloc[0]
    assert (first["check"], first["is"]) == ("retention", "▲ warning")
    assert "Events are kept for 1 day," in first["what it means"]
    assert "No run of prune is noted" in plain(first["what it means"])
    assert any("▲ warning: 1 of 14 checks" in plain(text) for text in words(app))


def test_latency_tells_of_this_process_by_operation(open_page, demo_url):
    app = open_page(demo_url, "health")

    operations = table(app, "95 % within")
    assert {"find", "trace", "count", "status"} <= set(operations["operation"])
    assert (operations["calls"] > 0).all()
    assert any("calls. Dashed: 100 ms" in text for text in words(app))


def test_growth_is_in_a_table_too(open_page, demo_url):
    app = open_page(demo_url, "health")

    days = table(app, "day (UTC)")
    assert len(days) == 31
    assert days["events"].sum() > 0
    assert metric(app, "Connections").endswith(" of 20")


def test_advice_rests_on_the_numbers_beside_it(open_page, demo_url):
    app = open_page(demo_url, "health")

    advice = table(app, "advised interval").set_index("machine")
    assert advice.loc["Order", "advised interval"] == 10
    assert advice.loc["Order", "workflow"] == "long-running"
    assert (advice["in force"] == 10).all()


def test_a_lag_names_the_instance_and_leads_to_it(open_page, tmp_path):
    url = f"sqlite:///{tmp_path / 'lag.db'}"
    now = time.time_ns() // 1_000_000
    with open_stores(url, read_only=False) as stores:
        events = [
            event(
                id=f"e{number}",
                instance_id="order-7",
                persisted_at=EpochMs(now - DAY + number),
                event_type=CREATION if number == 0 else "PAY",
                state_before="" if number == 0 else "AB"[number % 2],
                state_after="BA"[number % 2],
            )
            for number in range(150)
        ]
        stores.events.append_many(events)
        stores.snapshots.save_snapshot(snapshot(id="order-7", last_event_id="e10", snapshot_at=now - DAY + 10))

    app = open_page(url, "health")

    assert marks(app)["snapshots behind"] == "▲ warning"
    row = table(app, "events since it").iloc[0]
    assert (row["instance"], row["events since it"], row["snapshot"]) == ("order-7", 139, "yes")
    assert any("the 1 newest of 1 live instance" in text for text in words(app))


def test_an_empty_store_says_what_to_do_and_is_well(open_page, empty_url, monkeypatch):
    monkeypatch.setenv("XCSTORE_LATENCY_ALERT_MS", "60000")
    app = open_page(empty_url, "health")

    assert not app.exception
    assert set(marks(app).values()) == {"✓ ok"}
    assert any("holds no events yet" in text for text in words(app))
    assert metric(app, "Newest") == "–"


def test_an_unreachable_store_is_one_sentence_with_a_way_to_try_again(open_page, unreachable_url):
    app = open_page(unreachable_url, "health")

    assert not app.exception
    assert ["cannot be reached" in error.value for error in app.error] == [True]
    assert "s3cret" not in str(words(app))
    assert {button.label for button in app.button} >= {"Try again", "Refresh"}
    assert app.header[0].value == "Health"
    assert marks(app) == {"answers": "✕ critical"}
    assert any("✕ critical: 1 of 1 check" in plain(text) for text in words(app))


def test_settings_in_force_show_no_secret(open_page, demo_url, monkeypatch):
    monkeypatch.setenv("XCSTORE_API_TOKEN", "t0psecret")
    monkeypatch.setenv("DATABASE_URL", "postgresql://app:s3cret@127.0.0.1:1/history")
    monkeypatch.setenv("XCSTORE_REDACT", "payload.card.number")
    app = open_page(demo_url, "health")

    settings = table(app, "setting").set_index("setting")["value"]
    assert settings["XCSTORE_API_TOKEN"] == "set"
    assert settings["DATABASE_URL"] == "postgresql://app:***@127.0.0.1:1/history"
    assert settings["XCSTORE_REDACT"] == "card.number"
    assert settings["SNAPSHOT_INTERVAL"] == "10"
    assert settings["EVENT_RETENTION_DAYS"] == "not set"
    assert "t0psecret" not in settings.to_string()
    assert "s3cret" not in settings.to_string()


def test_a_store_in_memory_is_not_measured_and_says_so(open_page):
    app = open_page("memory://", "health")

    assert not app.exception
    assert any("Nothing was measured" in text for text in words(app))


def test_hostile_text_is_shown_as_text(open_page, hostile_url):
    app = open_page(hostile_url, "health")

    assert not app.exception
    assert not [text for text in words(app) if UNESCAPED_LINK.search(text.replace("sqlite:///", ""))]
    advice = table(app, "advised interval")
    assert len(advice) == 10
    assert not advice.astype(str).map(lambda cell: "\u202e" in cell or "\n" in cell).any().any()
