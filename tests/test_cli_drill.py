"""`python -m xcstore drill`, as a user and as CI runs it."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.factories import START, event, snapshot
from tests.ops.living import SHOP, backed_up
from xcstore.cli import main
from xcstore.jsontext import parse_json
from xcstore.store.opening import open_stores


def run(*arguments: str, **environment: str) -> int:
    return main(["drill", *arguments], environment)


def test_a_backup_that_can_be_restored_ends_with_status_0(tmp_path: Path, capsys: Any) -> None:
    path, _, _ = backed_up(tmp_path)

    assert run(str(path)) == 0

    said = capsys.readouterr().out
    assert said.startswith(f"PASSED  {path}\n")
    assert "brought back   4 instances, 2 of them from snapshots; ended: 1; " in said
    assert "recovery time  " in said
    assert "recovery point 2026-01-01T00:00:15.000Z: what came later is not in it" in said


def test_a_damaged_one_ends_with_status_1_and_names_the_damage(tmp_path: Path, capsys: Any) -> None:
    path, _, _ = backed_up(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])

    assert run(str(path)) == 1

    said = capsys.readouterr().out
    assert said.startswith("FAILED  ")
    assert "the file ends within it" in said
    assert "recovery time" not in said


def test_what_cannot_be_read_ends_with_status_2(tmp_path: Path, capsys: Any) -> None:
    assert run(str(tmp_path / "none")) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert "there is no file" in captured.err


def test_json_holds_the_certificate(tmp_path: Path, capsys: Any) -> None:
    _, url, _ = backed_up(tmp_path)

    assert run(url, "--json") == 0

    document: Any = parse_json(capsys.readouterr().out)
    assert document["passed"] is True
    assert document["damage_count"] == 0
    assert document["digest"]["events"]["count"] == 15
    assert document["revived"]["instances"] == 4
    assert set(document["phases"]) == {"read", "restore", "bring back", "audit", "causes"}


def test_definitions_are_taken_from_files(tmp_path: Path, capsys: Any) -> None:
    url = f"sqlite:///{tmp_path / 'bare.db'}"
    (tmp_path / "shop.yaml").write_text(SHOP)
    with open_stores(url, read_only=False) as stores:
        stores.events.append(
            event(event_type="INSTANCE_CREATED", state_before="", state_after="New", persisted_at=START)
        )

    assert run(url) == 0
    assert "not brought back, as no definition of 'Shop' is known: 1 of the instances" in capsys.readouterr().out
    assert run(url, "--definitions", str(tmp_path / "shop.yaml")) == 0
    assert "brought back   1 instance," in capsys.readouterr().out


def test_warnings_fail_the_strict(tmp_path: Path, capsys: Any) -> None:
    url = f"sqlite:///{tmp_path / 'odd.db'}"
    with open_stores(url, read_only=False) as stores:
        stores.events.append(
            event(id="\x1b[31m", event_type="INSTANCE_CREATED", state_before="", caused_by=("nobody",))
        )

    assert run(url) == 0
    said = capsys.readouterr().out
    assert "warning: 1" in said
    assert "\x1b" not in said
    assert run(url, "--strict") == 1


def test_what_is_masked_is_compared_and_not_shown(tmp_path: Path, capsys: Any) -> None:
    with open_stores(f"sqlite:///{tmp_path}/shop.db", read_only=False) as stores:
        stores.events.append(event(id="e1", instance_id="i1", event_type="INSTANCE_CREATED", persisted_at=START))
        stores.snapshots.save_snapshot(snapshot(id="i1", last_event_id="e1", context={"card": "4111-1111"}))
    url = f"sqlite:///{tmp_path}/shop.db"

    run(url)
    assert "4111-1111" in capsys.readouterr().out
    status = run(url, XCSTORE_REDACT="card")
    masked = capsys.readouterr().out
    assert status == run(url)
    assert "values are masked" in masked
    assert "4111" not in masked


def test_terminated_it_removes_the_temporary_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, url, _ = backed_up(tmp_path)
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    seen: list[Path] = []

    def terminate(*_: object, **__: object) -> None:
        seen.extend(place.rglob("drill.db"))
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("xcstore.ops.drill.restoration", terminate)
    before = signal.getsignal(signal.SIGTERM)

    with pytest.raises(SystemExit) as ended:
        run(url)

    assert ended.value.code == 128 + signal.SIGTERM
    assert seen
    assert not list(place.iterdir())
    assert signal.getsignal(signal.SIGTERM) is before
