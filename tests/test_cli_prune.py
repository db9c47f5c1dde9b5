"""`python -m xcstore prune`, as a user runs it."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest

from tests.factories import START, event, snapshot
from tests.ops.test_retention import stream
from xcstore.cli import main
from xcstore.jsontext import parse_json
from xcstore.store.base import EventQuery
from xcstore.store.opening import open_stores
from xcstore.units import DAY

SHOP = """
name: Shop
stateMachines:
  - name: Order
    initialState: New
    states: [{name: New, type: entry}, {name: Paid}, {name: Done, type: final}]
    transitions: [{from: New, to: Paid, event: PAY}, {from: Paid, to: Done, event: END}]
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Two orders of January 2026, of which one has ended, and the one with the newest event."""
    (tmp_path / "shop.yaml").write_text(SHOP)
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    with open_stores(url, read_only=False) as stores:
        stores.events.append_many([*stream("ended", "New", "Paid", "Done"), *stream("alive", "New", "Paid")])
        stores.events.append(event(id="new", instance_id="other", state_before="", persisted_at=START + 20 * DAY))
    return url


def run(*arguments: str, **environment: str) -> int:
    return main(["prune", *arguments], environment)


def count(url: str) -> int:
    with open_stores(url) as stores:
        return stores.events.count(EventQuery())[0].count


@pytest.fixture
def shop(tmp_path: Path) -> tuple[str, ...]:
    return "--days", "5", "--definitions", str(tmp_path / "shop.yaml")


def test_it_says_what_would_go_and_changes_nothing(url: str, shop: Any, tmp_path: Path, capsys: Any) -> None:
    before = (tmp_path / "shop.db").read_bytes()

    assert run(url, *shop) == 0

    said = capsys.readouterr().out
    assert re.search(r"events +3 of 6", said)
    assert re.search(r"instances +1 with all they have, 0 lose", said)
    assert "2026-01  3  Shop" in said
    assert "3 of 3  2026-01-03T00:00:00.000Z  ended  Order  Done" in said
    assert "not ended, and there is no snapshot" in said
    assert "--apply" in said
    assert (tmp_path / "shop.db").read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["shop.db", "shop.yaml"]


def test_as_json(url: str, shop: Any, capsys: Any) -> None:
    assert run(url, *shop, "--preview", "--json") == 0

    said: Any = parse_json(capsys.readouterr().out)
    assert (said["events"], said["whole"], said["part"]) == (3, 1, 0)
    assert said["shares"] == [{"component": "Shop", "month": "2026-01", "events": 3}]
    assert said["kept"][-1]["reason"] == "no snapshot"


def test_days_and_definitions_come_from_the_environment_too(url: str, tmp_path: Path, capsys: Any) -> None:
    assert run(url, "--json", EVENT_RETENTION_DAYS="5", XCSTORE_DEFINITIONS=str(tmp_path)) == 0

    assert parse_json(capsys.readouterr().out)["events"] == 3  # type: ignore[index, call-overload]


def test_without_days_it_asks_for_them(url: str, capsys: Any) -> None:
    assert run(url) == 2

    assert "EVENT_RETENTION_DAYS" in capsys.readouterr().err


def test_applied_it_archives_beside_the_file_and_tells(url: str, shop: Any, tmp_path: Path, capsys: Any) -> None:
    assert run(url, *shop, "--apply", "--yes") == 0

    assert "3 events of 1 instance went; archived in archive:///" in capsys.readouterr().out
    assert count(url) == 3
    assert count(f"archive:///{tmp_path / 'shop.archive'}") == 3
    assert run(url, *shop, "--apply", "--yes") == 0
    assert "Nothing goes." in capsys.readouterr().out


def test_what_was_archived_goes_back(url: str, shop: Any, capsys: Any) -> None:
    run(url, *shop, "--apply", "--yes")

    assert run(url, "--undo") == 0

    assert "3 events and 0 snapshots went back" in capsys.readouterr().out
    assert count(url) == 6


def test_two_stores_in_one_folder_keep_apart(url: str, shop: Any, tmp_path: Path, capsys: Any) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    with open_stores(other, read_only=False) as stores:
        stores.events.append_many(stream("ended", "New", "Paid", "Done"))
        stores.events.append(event(id="new", instance_id="other", persisted_at=START + 20 * DAY))
    for each in (url, other):
        assert run(each, *shop, "--apply", "--yes") == 0

    assert run(other, "--undo") == 0
    assert (count(url), count(other)) == (3, 4)
    capsys.readouterr()
    assert run(url, "--undo", XCSTORE_ARCHIVE=f"archive:///{tmp_path / 'other.archive'}") == 2
    assert "other.db" in capsys.readouterr().err
    assert count(url) == 3


def test_all_snapshots_that_are_kept_go_into_the_archive(url: str, shop: Any, tmp_path: Path) -> None:
    with open_stores(url, read_only=False, snapshot_retention=50) as stores:
        stores.snapshots.save_snapshots(
            snapshot(id="ended", current_state="Done", last_event_id="ended-2", snapshot_at=n) for n in range(15)
        )

    assert run(url, *shop, "--apply", "--yes") == 0
    with open_stores(f"archive:///{tmp_path / 'shop.archive'}") as archive:
        assert len(archive.snapshots.list_snapshots("ended")) == 15
    assert run(url, "--undo") == 0
    with open_stores(url) as stores:
        assert [one.snapshot_at for one in stores.snapshots.list_snapshots("ended")] == list(range(15))


def test_no_archive_must_be_said(url: str, shop: Any, tmp_path: Path, capsys: Any) -> None:
    assert run(url, *shop, "--apply", "--yes", "--no-archive", "--json") == 0

    said: Any = parse_json(capsys.readouterr().out)
    assert (said["prune"]["events"], said["prune"]["archive"]) == (3, None)
    assert not (tmp_path / "shop.archive").exists()


def test_a_server_has_no_place_beside_it(capsys: Any) -> None:
    assert run("postgresql://127.0.0.1:1/shop", "--days", "5", "--apply") == 2

    assert "--archive DIR" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "status", "left"), [("3\n", 0, 3), ("y\n", 2, 6), ("", 2, 6)])
def test_at_a_terminal_it_asks(
    url: str, shop: Any, monkeypatch: pytest.MonkeyPatch, typed: str, status: int, left: int
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))

    assert run(url, *shop, "--apply") == status

    assert count(url) == left


def test_where_nobody_can_be_asked_it_wants_to_be_told(
    url: str, shop: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("3\n"))

    assert run(url, *shop, "--apply") == 2

    assert "--yes" in capsys.readouterr().err
    assert count(url) == 6


def test_an_archive_is_never_pruned(url: str, shop: Any, tmp_path: Path, capsys: Any) -> None:
    run(url, *shop, "--apply", "--yes")
    capsys.readouterr()

    assert run(f"archive:///{tmp_path / 'shop.archive'}", *shop, "--apply", "--yes", "--no-archive") == 2

    assert count(f"archive:///{tmp_path / 'shop.archive'}") == 3
    assert capsys.readouterr().err.startswith("xcstore: nothing can be removed from archive:///")
    assert run(f"archive:///{tmp_path / 'shop.archive'}", *shop) == 2
    assert capsys.readouterr().err.startswith("xcstore: nothing can be removed from archive:///")
