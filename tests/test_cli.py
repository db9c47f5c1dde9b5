"""The commands, run as a user runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import xcstore.demo
from tests.factories import START, event, snapshot
from xcstore.cli import main
from xcstore.store.base import EventQuery
from xcstore.store.codec import event_to_document, snapshot_to_document
from xcstore.store.opening import open_stores

ROOT = Path(__file__).parent.parent


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    path = tmp_path / "events.json"
    path.write_text(json.dumps([event_to_document(event(id=f"e{n}", persisted_at=START + n)) for n in range(5)]))
    return path


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'history.db'}"


def run(*arguments: object, **environment: str) -> int:
    return main([str(argument) for argument in arguments], environment)


def one_sentence(capsys: pytest.CaptureFixture[str]) -> str:
    """What is on stderr, which must be one line without a traceback."""
    captured = capsys.readouterr().err
    assert captured.startswith("xcstore: ")
    assert captured.count("\n") == 1
    return captured


def test_import_puts_dumps_into_a_new_store_and_says_what_went_in(
    dump: Path, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshots = tmp_path / "snapshots.ndjson"
    snapshots.write_text(json.dumps(snapshot_to_document(snapshot())))

    assert run("import", dump, snapshots, "--into", url) == 0

    assert capsys.readouterr().out == f"5 events and 1 snapshot went into {url}\n"
    with open_stores(url) as stores:
        assert stores.events.count(EventQuery())[0].count == 5
        assert stores.snapshots.count() == 1


def test_importing_again_changes_nothing_and_says_so(dump: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    run("import", dump, "--into", url)

    assert run("import", dump, "--into", url) == 0
    assert "0 events and 0 snapshots went into" in (out := capsys.readouterr().out)
    assert "5 were already there" in out


def test_bad_rows_are_named_and_the_status_says_that_rows_were_left_out(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dump.ndjson"
    path.write_text("\n".join([json.dumps(event_to_document(event())), '{"id": 1', *['{"id": "x\\u001b[2J"}'] * 30]))

    assert run("import", path, "--into", url) == 1

    captured = capsys.readouterr()
    assert f"{path}, row 2, line 2: not JSON" in captured.err
    assert "… and 11 more" in captured.err
    assert "\x1b" not in captured.err
    assert "1 event and 0 snapshots" in captured.out
    assert "31 bad rows were left out" in captured.out


def test_a_truncated_file_keeps_what_was_whole_says_so_and_has_status_2(
    dump: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dump.write_text(dump.read_text()[:-50])

    assert run("import", dump, "--into", url) == 2

    captured = capsys.readouterr()
    assert f"{dump}, row 5, line 1: the file ends within the row; the 4 rows before it are in the store" in captured.err
    assert captured.out.startswith("4 events")


def test_a_file_that_is_not_there_is_told_before_anything_is_made(
    dump: Path, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("import", dump, tmp_path / "absent.json", "--into", url) == 2

    assert "there is no file" in one_sentence(capsys)
    assert not (tmp_path / "history.db").exists()


def test_a_folder_or_a_pipe_is_called_so_before_anything_is_made(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)

    assert run("import", tmp_path, "--into", url) == 2
    assert "is a folder; name the files in it" in one_sentence(capsys)
    assert run("import", pipe, "--into", url) == 2
    assert "is not a file" in one_sentence(capsys)
    assert not (tmp_path / "history.db").exists()


def test_one_of_each_is_said_in_the_singular(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dump.json"
    known, changed = event(id="e1"), event(id="e2", state_after="Elsewhere")
    path.write_text(json.dumps([event_to_document(entry) for entry in (known, event(id="e2"))]))
    run("import", path, "--into", url)
    capsys.readouterr()
    odd = {**event_to_document(event(id="odd")), "persistedAt": "soon"}
    path.write_text(json.dumps([event_to_document(known), event_to_document(changed), odd, {"id": "x"}]))

    assert run("import", path, "--into", url) == 1
    assert capsys.readouterr().out == (
        f"1 event and 0 snapshots went into {url}; 1 was already there; "
        "1 has something odd in it and went in as it is; 1 bad row was left out; "
        "1 conflicts with what is stored and was left out\n"
    )


def test_a_new_file_that_nothing_went_into_is_not_left_behind(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "components.json"
    path.write_text(json.dumps({"A": {"name": "A", "stateMachines": []}}))

    assert run("import", path, "--into", url) == 1

    told = capsys.readouterr().err
    assert "neither an event (id, instanceId, event, …) nor a snapshot (instance, …): a component definition" in told
    assert "history.db was not made, as nothing went into it" in told
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_was_there_before_stays_though_nothing_went_into_it(url: str, tmp_path: Path) -> None:
    open_stores(url, read_only=False).close()
    path = tmp_path / "empty.json"
    path.write_text("[]")

    assert run("import", path, "--into", url) == 0
    assert (tmp_path / "history.db").exists()


@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("postgresql://u:SEC/RET#x@127.0.0.1:1/doc", "SEC/RET#x"),
        ("postgresql://u:p@ss-Qzz9@127.0.0.1:1/doc", "p@ss-Qzz9"),
        ("postgresql://u:Zx/Yw0?q@127.0.0.1:1/doc", "Zx/Yw0?q"),
        ("postgresql://u:SEC/RET", "SEC/RET"),
        ("u:SECRET@127.0.0.1/doc", "SECRET"),
        ("u:S3CR3T://x@127.0.0.1/doc", "S3CR3T"),
        ("sqlite://u:S3CR3T@127.0.0.1/doc", "S3CR3T"),
    ],
)
@pytest.mark.parametrize("way", ["argument", "setting"])
def test_no_piece_of_a_badly_written_password_is_printed(
    url: str, password: str, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (run("info", url) if way == "argument" else run("info", XCSTORE_URL=url)) == 2

    told = one_sentence(capsys)
    assert [piece for n in range(len(password) - 2) if (piece := password[n : n + 3]) in told] == []


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("carrier-pigeon://coop", "carrier-pigeon"),
        ("no url", "not the URL of a store"),
        ("postgresql://ann:S3CRET@127.0.0.1:1/shop", "127.0.0.1"),
        ("sqlite:///absent/folder/x.db", "absent/folder/x.db"),
    ],
)
def test_a_store_that_cannot_be_opened_is_one_sentence_without_password_and_status_2(
    address: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("info", address) == 2

    message = one_sentence(capsys)
    assert words in message
    assert "S3CRET" not in message


def test_a_database_without_our_tables_is_one_sentence_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import sqlite3

    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.commit()
    connection.close()

    assert run("info", f"sqlite:///{path}") == 2
    assert "other.db" in one_sentence(capsys)


def test_a_wrong_setting_is_one_sentence_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", XCSTORE_STATEMENT_TIMEOUT_MS="soon") == 2
    assert "XCSTORE_STATEMENT_TIMEOUT_MS is 'soon'" in one_sentence(capsys)


def test_info_says_what_a_store_holds(dump: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    run("import", dump, "--into", url)
    capsys.readouterr()

    assert run("info", url) == 0

    out = capsys.readouterr().out
    assert re.search(r"^events +5$", out, re.MULTILINE)
    assert re.search(r"^layout +SQLite, ours$", out, re.MULTILINE)
    assert re.search(r"^instances +1$", out, re.MULTILINE)
    assert "2026-01-01T00:00:00.000Z, 2026-01-01T00:00:00.004Z" in out
    assert re.search(r"^ +1 Shop/Order: Paid$", out, re.MULTILINE)


def test_info_without_url_opens_the_store_of_the_settings(
    dump: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run("import", dump, "--into", url)
    capsys.readouterr()

    assert run("info", XCSTORE_URL=url) == 0
    assert url in capsys.readouterr().out


def test_info_on_an_empty_store_says_zero(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    open_stores(url, read_only=False).close()

    assert run("info", url) == 0
    assert re.search(r"^events +0$", capsys.readouterr().out, re.MULTILINE)


def test_the_demo_is_not_mixed_into_a_store_that_holds_events_unless_asked_to(
    dump: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run("import", dump, "--into", url)
    capsys.readouterr()

    assert run("demo", "--into", url) == 2
    assert "holds 5 events already" in one_sentence(capsys)


def test_the_module_runs_as_a_program_with_its_exit_status(tmp_path: Path) -> None:
    def program(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "xcstore", *arguments],
            cwd=ROOT,
            env={key: value for key, value in os.environ.items() if not key.startswith("XCSTORE_")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert program("info", f"sqlite:///{tmp_path}/absent.db").returncode == 2
    assert program().returncode == 2
    helped = program("--help")
    assert helped.returncode == 0
    assert all(command in helped.stdout for command in ("import", "demo", "info"))


def test_valid_definitions_are_said_to_be_so(capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(xcstore.demo.__file__ or "").parent / "components"

    assert main(["validate", *map(str, sorted(folder.glob("*.yaml")))], {}) == 0
    assert "component OrderComponent is valid; machines: " in capsys.readouterr().out


def test_a_yaml_file_that_is_no_component_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong, right = tmp_path / "list.yaml", tmp_path / "right.yaml"
    wrong.write_text("- just\n- a list\n", encoding="utf-8")
    right.write_text(
        "name: A\nstateMachines:\n  - name: M\n    initialState: S\n    states: [{name: S}]\n    transitions: []\n",
        encoding="utf-8",
    )

    assert main(["validate", str(wrong), str(right)], {}) == 2
    told = capsys.readouterr()
    assert told.err.startswith(f"xcstore: {wrong}:1: ")
    assert len(told.err.splitlines()) == 1
    assert "component A is valid" in told.out


def test_a_folder_is_validated_file_by_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = "stateMachines:\n  - {name: M, initialState: S, states: [{name: S}], transitions: []}\n"
    for number, suffix in enumerate(("yaml", "yml")):
        (tmp_path / f"c{number}.{suffix}").write_text(f"name: C{number}\n{machine}", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("not looked at")
    os.mkfifo(tmp_path / "pipe.yaml")

    assert run("validate", tmp_path) == 0
    told = capsys.readouterr().out
    assert "component C0 is valid" in told
    assert "component C1 is valid" in told

    (tmp_path / "wrong.json").write_text("[1]")
    assert run("validate", tmp_path) == 2
    assert "wrong.json" in one_sentence(capsys)


def test_a_folder_without_definitions_and_a_pipe_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)

    assert run("validate", tmp_path) == 2
    assert "holds no components" in one_sentence(capsys)
    assert run("validate", pipe) == 2
    assert "not a file" in one_sentence(capsys)
