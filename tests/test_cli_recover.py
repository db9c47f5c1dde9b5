"""`python -m xcstore recover`, as a user runs it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.ops.living import backed_up
from xcstore.cli import main
from xcstore.jsontext import parse_json
from xcstore.ops.digests import StoreDigest, digest_store
from xcstore.ops.recovery_log import read_log
from xcstore.store.opening import open_stores
from xcstore.units import EpochMs


def run(*arguments: str, allow: bool = True) -> int:
    return main(["recover", *arguments], {"XCSTORE_ALLOW_WRITE": "true"} if allow else {})


@pytest.fixture
def shop(tmp_path: Path) -> tuple[str, Path]:
    """A shop, three of whose snapshots are missing or behind, and its backup."""
    path, url, _ = backed_up(tmp_path)
    return url, path


def held(url: str) -> StoreDigest:
    with open_stores(url) as stores:
        return digest_store(stores)


def lose(url: str, *event_types: str) -> None:
    with open_stores(url, read_only=False) as stores:
        stores.events.delete_events([one.id for one in stores.events.get_all_events() if one.event_type in event_types])


def test_a_dry_run_says_what_would_be_written_and_writes_nothing(shop: Any, tmp_path: Path, capsys: Any) -> None:
    url, _ = shop
    before = (tmp_path / "shop.db").read_bytes()

    assert run(url, "--dry-run", allow=False) == 0

    said = capsys.readouterr().out
    assert "snapshots  3 would be made from the events:" in said
    assert "in 'Shipped'; its snapshot is older than its last event" in said
    assert (tmp_path / "shop.db").read_bytes() == before


def test_it_is_not_written_where_the_settings_do_not_allow_it(shop: Any, capsys: Any) -> None:
    url, _ = shop
    digest = held(url)

    assert run(url, "--yes", allow=False) == 2

    assert "set XCSTORE_ALLOW_WRITE=true" in capsys.readouterr().err
    assert held(url) == digest


def test_nothing_is_written_without_confirmation(
    shop: Any, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _ = shop
    digest, log = held(url), tmp_path / "log"

    assert run(url, "--log", str(log)) == 2
    assert "give --yes" in capsys.readouterr().err
    answers = io.StringIO("no\n")
    monkeypatch.setattr(answers, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", answers)
    assert run(url, "--log", str(log)) == 2

    assert "Type 3 to go on" in capsys.readouterr().out
    assert held(url) == digest
    assert not log.exists()


def test_what_is_confirmed_is_written_and_taken_back_by_the_log(
    shop: Any, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _ = shop
    digest, log = held(url), tmp_path / "log"
    answers = io.StringIO("3\n")
    monkeypatch.setattr(answers, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", answers)

    assert run(url, "--log", str(log)) == 0
    said = capsys.readouterr().out
    assert "written: 0 events and 3 snapshots" in said
    assert f"--undo {log}" in said
    assert held(url).snapshots.count == digest.snapshots.count + 2
    assert run(url, "--dry-run") == 0
    assert "Nothing is to be put right." in capsys.readouterr().out
    assert run(url, "--undo", str(log), "--yes") == 0

    assert "taken back: 0 events, and the snapshots of 3 instances" in capsys.readouterr().out
    assert held(url) == digest


def test_events_of_a_backup_that_the_store_lacks_come_back(shop: Any, tmp_path: Path, capsys: Any) -> None:
    url, path = shop
    whole = held(url)
    lose(url, "SHIP", "ARRIVE")

    assert run(url, "--from", str(path), "--yes", "--json", "--log", str(tmp_path / "log")) == 0

    document: Any = parse_json(capsys.readouterr().out)
    assert document["plan"]["event_count"] == document["recovery"]["events"] == 3
    found = held(url)
    assert found.events.count == whole.events.count
    with open_stores(url) as stores:
        assert {one.event_type for one in stores.events.get_all_events()} >= {"SHIP", "ARRIVE"}


def test_only_what_is_asked_for_is_put_right(shop: Any, capsys: Any) -> None:
    url, _ = shop

    assert run(url, "--dry-run", "--json", "--only", "behind") == 0

    document: Any = parse_json(capsys.readouterr().out)
    assert [one["reason"] for one in document["plan"]["snapshots"]] == ["behind"]


def test_a_backup_that_is_damaged_is_not_taken_from(shop: Any, capsys: Any) -> None:
    url, path = shop
    path.write_bytes(path.read_bytes()[:-100])
    digest = held(url)

    assert run(url, "--from", str(path), "--yes") == 2

    assert "is damaged" in capsys.readouterr().err
    assert held(url) == digest


def test_what_cannot_be_taken_back_is_named_and_the_status_says_so(shop: Any, tmp_path: Path, capsys: Any) -> None:
    url, _ = shop
    log = tmp_path / "log"
    assert run(url, "--yes", "--log", str(log)) == 0
    with open_stores(url, read_only=False) as stores:
        mine = {one.instance_id for one in read_log(log).snapshots}
        latest = next(one for one in stores.snapshots.get_all_snapshots() if one.instance.id in mine)
        stores.snapshots.save_snapshot(replace(latest, snapshot_at=EpochMs(latest.snapshot_at + 1), original=None))
    capsys.readouterr()

    assert run(url, "--undo", str(log), "--yes") == 1

    said = capsys.readouterr().out
    assert "the snapshots of 2 instances" in said
    assert f"left as it is, changed since: the snapshots of '{latest.instance.id}'" in said
