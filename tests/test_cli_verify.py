"""`python -m xcstore verify`, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.factories import START, event
from xcstore.cli import main
from xcstore.model.history import CREATION
from xcstore.store.opening import open_stores


def stored(file: Path, *, broken: bool = False, doubtful: bool = False) -> str:
    """One instance that is made and paid; `broken`: paid from a state it was not in."""
    url = f"sqlite:///{file}"
    with open_stores(url, read_only=False) as stores:
        stores.events.append_many(
            [
                event(id="made", event_type=CREATION, state_before="", state_after="Created", persisted_at=START),
                event(
                    id="paid",
                    state_before="Shipped" if broken else "Created",
                    persisted_at=START + 1_000,
                    caused_by=("made",),
                ),
                event(
                    id="other",
                    instance_id="\x1b[31mi2\u202e",
                    event_type=CREATION,
                    state_before="",
                    state_after="Created",
                    payload={"parentInstanceId": "nobody"},
                    persisted_at=START + 2_000,
                    caused_by=("paid",) if doubtful else (),
                ),
            ]
        )
    return url


def run(*arguments: str, **environment: str) -> int:
    return main(["verify", *arguments], environment)


def test_a_sound_store_ends_with_status_0_and_a_line_for_each_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(stored(tmp_path / "a.db")) == 0

    captured = capsys.readouterr()
    assert "looked at   3 events, 2 instances, 1 link, 0 snapshots" in captured.out
    assert "✓ none              0  Breaks in a state chain (chain_break)" in captured.out
    # Its machine has no definition, so its states could not be judged.
    assert "◌ in part           0  Unknown states (unknown_state)" in captured.out
    assert "nothing was found, but not all could be checked" in captured.out
    assert "note: the states of 3 of 3 events were not checked" in captured.out
    assert captured.err == ""


def test_an_error_ends_with_status_1_and_is_told_with_its_evidence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(stored(tmp_path / "a.db", broken=True)) == 1

    printed = capsys.readouterr().out
    assert "✕ error             1  Breaks in a state chain" in printed
    assert "PAY of Order starts in 'Shipped', but the event before it ended in 'Created'." in printed
    assert "id paid" in printed


def test_a_warning_alone_ends_with_status_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(stored(tmp_path / "a.db", doubtful=True)) == 0

    printed = capsys.readouterr().out
    assert "▲ warning           1  Doubtful causes" in printed
    assert "sound: nothing was found" not in printed


def test_nothing_stored_moves_the_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(stored(tmp_path / "a.db", doubtful=True))

    printed = capsys.readouterr().out
    assert "i2" in printed
    assert not {"\x1b", "\u202e"} & set(printed)


def test_json_holds_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(stored(tmp_path / "a.db", broken=True), "--json") == 1

    report = json.loads(capsys.readouterr().out)
    assert report["worst"] == "error"
    assert report["counts"]["chain_break"] == report["shown"]["chain_break"] == 1
    (finding,) = report["findings"]
    assert (finding["kind"], finding["event_id"], finding["instance_id"]) == ("chain_break", "paid", "i1")
    assert (finding["page"], finding["params"]) == ("instances", {"instance": "i1"})


def test_only_the_kinds_that_are_named_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = stored(tmp_path / "a.db", broken=True)

    assert run(url, "--kind", "causal_cycle", "--kind", "dangling_cause") == 0
    assert "chain_break" not in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        run(url, "--kind", "nonsense")
    assert stopped.value.code == 2


def test_what_is_left_out_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with open_stores(url, read_only=False) as stores:
        stores.events.append_many(event(instance_id=f"i{n}", caused_by=("nowhere",)) for n in range(5))

    assert run(url, "--limit", "2") == 1
    assert "shown 2 of 5" in capsys.readouterr().out


def test_a_store_that_cannot_be_read_ends_with_status_2_without_its_password(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("postgresql://app:s3cret@127.0.0.1:1/history") == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert "s3cret" not in captured.err
