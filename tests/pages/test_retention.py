"""The Retention page: what would go, why the rest stays, and the button."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.factories import event, snapshot
from tests.pages.conftest import HOSTILE
from tests.pages.test_overview import UNESCAPED_LINK, all_markdown, metric, table
from xcstore.model.history import CREATION
from xcstore.store.base import StoredDefinition
from xcstore.store.opening import open_stores
from xcstore.units import DAY, EpochMs

SHOP = {
    "name": "Shop",
    "stateMachines": [
        {
            "name": "Order",
            "initialState": "New",
            "states": [{"name": "New", "type": "entry"}, {"name": "Paid"}, {"name": "Done", "type": "final"}],
            "transitions": [
                {"from": "New", "to": "Paid", "event": "PAY"},
                {"from": "Paid", "to": "Done", "event": "END"},
            ],
        }
    ],
}


@pytest.fixture
def old_url(tmp_path: Path) -> str:
    return filled(f"sqlite:///{tmp_path / 'old.db'}")


def filled(url: str) -> str:
    """Three orders that ended a hundred days ago, one that lives without a snapshot, and one of today."""
    now = time.time_ns() // 1_000_000
    with open_stores(url, read_only=False) as stores:
        stores.definitions.save_definition(StoredDefinition(hash="h", component_name="Shop", document=SHOP))
        for name, states in {"a": "NPD", "b": "NPD", "c": "NPD", "d": "NP"}.items():
            words = {"N": "New", "P": "Paid", "D": "Done"}
            stores.events.append_many(
                event(
                    id=f"{name}-{number}",
                    instance_id=name,
                    event_type="PAY" if number else CREATION,
                    state_before=words[states[number - 1]] if number else "",
                    state_after=words[letter],
                    persisted_at=now - 100 * DAY + number * 1_000,
                )
                for number, letter in enumerate(states)
            )
        stores.snapshots.save_snapshot(
            snapshot(id="a", status="completed", current_state="Done", last_event_id="a-2", snapshot_at=EpochMs(now))
        )
        stores.events.append(
            event(id="new", instance_id="today", state_before="", caused_by=("a-2",), persisted_at=now)
        )
    return url


def confirm(app: AppTest, number: str) -> AppTest:
    return app.text_input(key="retention-confirm").set_value(number).run()


def test_the_figures_and_the_reasons_are_those_of_the_command(open_page: Any, old_url: str, capsys: Any) -> None:
    from xcstore.cli import main
    from xcstore.jsontext import parse_json

    app = open_page(old_url, "retention", days="30")
    main(["prune", old_url, "--days", "30", "--json"], {})
    said: Any = parse_json(capsys.readouterr().out)

    assert not app.exception
    assert metric(app, "Events") == str(said["events"]) == "9"
    assert metric(app, "Instances") == str(said["whole"]) == "3"
    assert metric(app, "Links") == str(said["links"]) == "1"
    kept = table(app, "why")
    assert list(kept["instances"]) == [row["instances"] for row in said["kept"]] == [1]
    assert "no snapshot" in kept["why"][0]
    assert set(table(app, "events that go")["instance"]) == {"a", "b", "c"}
    assert table(app, "month (UTC)")["events"].sum() == 9


def test_without_a_number_of_days_it_says_what_to_set(open_page: Any, old_url: str) -> None:
    app = open_page(old_url, "retention")

    assert not app.exception
    assert "EVENT_RETENTION_DAYS" in app.info[0].value
    assert not app.metric


def test_the_setting_is_taken_and_what_is_tried_out_is_in_the_address(
    open_page: Any, old_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENT_RETENTION_DAYS", "200")
    app = open_page(old_url, "retention")
    assert metric(app, "Events") == "0"
    assert "days" not in app.query_params

    app.number_input(key="retention-days").set_value(50).run()

    assert app.query_params["days"] == "50"
    assert metric(app, "Events") == "9"


def test_reading_only_it_says_why_and_gives_the_command(open_page: Any, old_url: str) -> None:
    app = open_page(old_url, "retention", days="30")

    assert not [button for button in app.button if button.label == "Archive and delete"]
    assert any("XCSTORE\\_ALLOW\\_WRITE" in text for text in all_markdown(app))
    assert app.code[0].value == f"python -m xcstore prune {old_url} --days 30 --snapshots 10 --apply"


def test_what_goes_is_archived_and_removed_once_its_number_is_typed(
    open_page: Any, old_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XCSTORE_ALLOW_WRITE", "true")
    app = open_page(old_url, "retention", days="30")
    assert app.button(key="retention-apply").disabled
    assert confirm(app, "8").button(key="retention-apply").disabled

    confirm(app, "9").button(key="retention-apply").click().run()

    assert not app.exception
    assert "9 events of 3 instances" in app.success[0].value
    assert metric(app, "Events") == "0"
    assert list(table(app, "finished")["events"]) == [9]
    with open_stores(old_url) as stores, open_stores(f"archive:///{tmp_path / 'old.archive'}") as archive:
        assert {found.id for found in stores.events.get_all_events()} == {"d-0", "d-1", "new"}
        assert {found.instance_id for found in archive.events.get_all_events()} == {"a", "b", "c"}
        assert archive.snapshots.get_snapshot("a") is not None
    assert not app.run().success


def test_a_server_is_archived_where_the_settings_say(
    open_page: Any, postgresql_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(postgresql_database)
    monkeypatch.setenv("XCSTORE_ALLOW_WRITE", "true")
    assert open_page(postgresql_database, "retention", days="30").code[0].value.endswith("--apply --archive FOLDER")
    monkeypatch.setenv("XCSTORE_ARCHIVE", str(tmp_path / "kept"))
    app = open_page(postgresql_database, "retention", days="30")

    confirm(app, "9").button(key="retention-apply").click().run()

    assert not app.exception
    assert metric(app, "Events") == "0"
    with open_stores(f"archive:///{tmp_path / 'kept'}") as archive:
        assert {found.instance_id for found in archive.events.get_all_events()} == {"a", "b", "c"}


def test_a_large_store_is_looked_through_when_it_is_asked_for(
    open_page: Any, old_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xcstore.ui import retention

    monkeypatch.setattr(retention, "AT_ONCE", 5)
    app = open_page(old_url, "retention", days="30")
    assert not app.metric

    app.button(key="retention-look-now").click().run()

    assert metric(app, "Events") == "9"
    assert metric(app.run(), "Events") == "9"


@pytest.mark.parametrize("days", ["0", "-1", "x", "1e3", "9999999", "٣"])
def test_a_number_in_the_address_that_cannot_be_is_said_and_ignored(open_page: Any, old_url: str, days: str) -> None:
    app = open_page(old_url, "retention", days=days)

    assert not app.exception
    assert any("'days' in the address" in text.replace("\\", "") for text in all_markdown(app))


def test_an_empty_store_says_what_to_do(open_page: Any, empty_url: str) -> None:
    app = open_page(empty_url, "retention", days="30")

    assert not app.exception
    assert "holds no events yet" in app.info[0].value


def test_hostile_texts_stay_texts(open_page: Any, hostile_url: str) -> None:
    with open_stores(hostile_url, read_only=False) as stores:
        stores.events.append(
            event(id="new", instance_id=HOSTILE[0], state_before="", persisted_at=time.time_ns() // 10**6)
        )

    app = open_page(hostile_url, "retention", days="1")

    assert not app.exception
    assert not [text for text in all_markdown(app) if UNESCAPED_LINK.search(text)]
