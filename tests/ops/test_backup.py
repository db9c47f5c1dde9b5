"""Backups: whole or refused, gone on with after a kill, and restored to the same digests."""

from __future__ import annotations

import gzip
import json
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from tests.factories import START, event, snapshot
from xcstore.cli import main
from xcstore.errors import QueryError, StoreUnavailableError
from xcstore.ops import backup, copying
from xcstore.ops.backup import part_of, write_backup
from xcstore.ops.backup_file import BackupFile, read_members
from xcstore.ops.contents import DamagedFileError, Row, StoreContents
from xcstore.ops.copying import MismatchError, copy_contents, survey_contents
from xcstore.ops.digests import digest_store
from xcstore.redaction import Redaction
from xcstore.store.base import EventQuery, OutboxChange, StoredDefinition, StoredWork, Stores
from xcstore.store.codec import event_from_document
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores
from xcstore.store.sql_events import SqlEventStore

ROOT = Path(__file__).parents[2]
EVENTS, INSTANCES = 250, 30

HOSTILE: list[Any] = [
    {"<script>": "alert(1)", "é\u2028": "a\nb\r\n\t\\N\\."},
    [2**70, -0.0, 1e300, 5e-324, True, None, "\x7f\x1b[2J"],
    {"": {"a.b": {"$x": {"__proto__": [[], {}]}}}},
    "text alone",
    {"deep": [[[[[[[[[["x"]]]]]]]]]]},
]
ODD = {"id": "odd", "instanceId": "i1", "event": 5, "persistedAt": START, "z": 1, "a": {"y": [1.0]}}


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "PAGE", 40)
    monkeypatch.setattr("xcstore.ops.contents.PAGE", 7)
    monkeypatch.setattr(copying, "BATCH", 30)


def fill(stores: Stores, *, events: int = EVENTS) -> None:
    """Events of few moments, odd and hostile ones, several snapshots of an instance, definitions, and work."""
    stores.events.append_many(
        event(
            id=f"e{number}",
            instance_id=f"i{number % INSTANCES}",
            component_name=("Shop", "Größe", "")[number % 3],
            payload=HOSTILE[number % len(HOSTILE)],
            persisted_at=START + number // 7,
            caused_by=(f"e{number - 1}", "missing") if number else (),
            context={"n": number},
        )
        for number in range(events)
    )
    stores.events.append(event_from_document(ODD))
    stores.snapshots.save_snapshots(
        snapshot(id=f"i{number % INSTANCES}", snapshot_at=START + number, last_event_id=f"e{number}")
        for number in range(3 * INSTANCES)
    )
    for number in range(2):
        stores.definitions.save_definition(
            StoredDefinition(hash=f"h{number}", component_name="Shop", document={"name": "Shop", "n": number})
        )
    stores.events.change_outbox(
        OutboxChange(add=(StoredWork(id="w", position=-4, component_name="Shop", document={"send": "x"}),))
    )


@pytest.fixture
def source(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'source.db'}"
    with open_stores(url, read_only=False) as stores:
        fill(stores)
    return url


@pytest.fixture
def made(source: str, tmp_path: Path) -> Path:
    path = tmp_path / "history.xcb"
    with open_stores(source) as stores:
        write_backup(stores, path)
    return path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments], {})


# Making one


def test_a_backup_is_gzip_that_anybody_can_read(made: Path) -> None:
    lines = [json.loads(line) for line in gzip.decompress(made.read_bytes()).splitlines()]

    assert lines[0]["source"].endswith("source.db")
    assert sum("instanceId" in line for line in lines) == EVENTS + 1
    assert lines[-1]["kind"] == "trailer"
    assert lines[-1]["digest"]["events"]["count"] == EVENTS + 1


def test_a_backup_holds_what_the_store_holds_and_says_so_itself(source: str, made: Path) -> None:
    with open_stores(source) as stores:
        expected = digest_store(stores)

    assert BackupFile(made).check() == expected
    assert expected.kept_snapshots.count > expected.snapshots.count
    assert not part_of(made).exists()


def test_nothing_is_written_over(source: str, made: Path) -> None:
    before = made.read_bytes()
    with open_stores(source) as stores:
        with pytest.raises(QueryError, match="is there already"):
            write_backup(stores, made)
        part_of(made.with_name("other")).write_bytes(b"x")
        with pytest.raises(QueryError, match="--resume"):
            write_backup(stores, made.with_name("other"))
    assert made.read_bytes() == before


def test_a_masked_store_is_not_backed_up(source: str, tmp_path: Path) -> None:
    with (
        open_stores(source, redact=Redaction.parse("card.number")) as stores,
        pytest.raises(QueryError, match="masked"),
    ):
        write_backup(stores, tmp_path / "x")
    assert not (tmp_path / "x.part").exists()


def test_what_is_appended_meanwhile_is_in_it_or_counted(tmp_path: Path) -> None:
    stores = open_memory_stores()
    fill(stores)
    appended = iter([event(id="late", persisted_at=START - 5), event(id="new", persisted_at=START + 10**6)])

    def append(done: int, total: int) -> None:
        for one in appended:
            stores.events.append(one)

    report = write_backup(stores, tmp_path / "x", on_progress=append)

    ids = {row.document["id"] for row in BackupFile(tmp_path / "x").events()}
    assert report.appended_meanwhile == 1
    assert {"new"} == ids - {f"e{number}" for number in range(EVENTS)} - {"odd"}
    assert report.digest.events.count == EVENTS + 2


class Hiding:
    """A store that counts an event that it does not give, as one may that another writer writes too."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def find(self, *given: Any, **named: Any) -> Any:
        page = self._store.find(*given, **named)
        return replace(page, items=tuple(one for one in page.items if one.id != "e100"))

    def get_all_events(self) -> Any:
        return (one for one in self._store.get_all_events() if one.id != "e100")


def test_what_was_there_and_was_not_given_is_no_event_that_came_meanwhile(tmp_path: Path) -> None:
    whole = open_memory_stores()
    fill(whole)
    stores = replace(whole, events=cast(Any, Hiding(whole.events)))

    report = write_backup(stores, tmp_path / "x")
    cut = next(member.end for member in read_members(tmp_path / "x") if member.kind == "events")
    part_of(tmp_path / "y").write_bytes((tmp_path / "x").read_bytes()[:cut])
    again = write_backup(stores, tmp_path / "y", resume=True)
    copied = copy_contents(StoreContents(stores), open_memory_stores(retention=100))

    for told in (report, again, copied):
        assert (told.missing, told.appended_meanwhile) == (1, 0)


def test_a_backup_without_what_the_store_counted_is_not_done(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = SqlEventStore.find

    def find(self: Any, *given: Any, **named: Any) -> Any:
        page = real(self, *given, **named)
        return replace(page, items=tuple(one for one in page.items if one.id != "e100"))

    monkeypatch.setattr(SqlEventStore, "find", find)

    assert run("backup", source, tmp_path / "a.xcb") == 1
    said = capsys.readouterr().out
    assert "not in it: 1 event that was counted when it began" in said
    assert "came while" not in said
    assert run("backup", source, tmp_path / "b.xcb", "--json") == 1
    assert json.loads(capsys.readouterr().out)["missing"] == 1


def test_a_store_that_is_copied_while_it_is_written_has_the_event_of_each_snapshot() -> None:
    stores, target = open_memory_stores(), open_memory_stores(retention=100)
    fill(stores)

    class Live(StoreContents):
        """Somebody goes on writing between each two parts."""

        written = 0

        def write(self) -> None:
            self.written += 1
            name = f"live{self.written}"
            stores.events.append(event(id=name, instance_id="live", persisted_at=START + 10**6))
            stores.snapshots.save_snapshot(snapshot(id="live", last_event_id=name, snapshot_at=START))
            stores.definitions.save_definition(StoredDefinition(hash=name, component_name="Shop", document={}))
            work = StoredWork(id=name, position=self.written, component_name="Shop", document={})
            stores.events.change_outbox(OutboxChange(add=(work,)))

        def definitions(self) -> Any:
            self.write()
            return super().definitions()

        def events(self) -> Any:
            self.write()
            return super().events()

        def snapshots(self) -> Any:
            self.write()
            return super().snapshots()

        def work(self) -> Any:
            self.write()
            return super().work()

    report = copy_contents(Live(stores), target)

    for one in target.snapshots.get_all_snapshots():
        if one.instance.id == "live":
            assert one.last_event_id in target.events.get_events([one.last_event_id])
    missed = stores.events.count(EventQuery())[0].count - target.events.count(EventQuery())[0].count
    assert report.appended_meanwhile == missed > 0
    assert report.missing == 0


def test_what_came_while_a_store_was_copied_is_said(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = StoreContents.work

    def work(self: StoreContents) -> Any:
        with open_stores(source, read_only=False) as stores:
            stores.events.append(event(id="late", persisted_at=START + 10**6))
        return real(self)

    monkeypatch.setattr(StoreContents, "work", work)

    assert run("backup", source, f"sqlite:///{tmp_path / 'target.db'}") == 0
    assert "came while it was made, and not in it: at least 1 event" in capsys.readouterr().out


def test_a_backup_of_another_store_is_not_gone_on_with(source: str, made: Path, tmp_path: Path) -> None:
    part_of(tmp_path / "new").write_bytes(made.read_bytes()[:-1])
    other = open_memory_stores()
    fill(other)

    with pytest.raises(QueryError, match="remove it, or name another"):
        write_backup(other, tmp_path / "new", resume=True)


def test_a_backup_goes_on_from_every_member_and_every_cut(source: str, made: Path, tmp_path: Path) -> None:
    whole = made.read_bytes()
    ends = [member.end for member in read_members(made)]
    random.seed(3)
    cuts = {0, 1, *ends, *(end - 1 for end in ends), *(random.randrange(len(whole)) for _ in range(10))}
    with open_stores(source) as stores:
        expected = digest_store(stores)
        for number, cut in enumerate(sorted(cuts)):
            path = tmp_path / f"cut{number}"
            part_of(path).write_bytes(whole[:cut])

            report = write_backup(stores, path, resume=True)

            assert report.digest == expected, cut
            assert (report.resumed_after > 0) == (cut >= next(m.end for m in read_members(made) if m.kind == "events"))


# Restoring one


@pytest.mark.needs("append", "snapshots")
def test_a_backup_is_restored_to_the_same_digests_on_every_backend(
    stores: Stores, store_url: str, backend: str, made: Path
) -> None:
    if backend == "memory":
        target = open_memory_stores(retention=100)
    else:
        stores.close()
        target = open_stores(store_url, read_only=False, snapshot_retention=100)
    with target:
        report = copy_contents(BackupFile(made), target)

        expected, found = BackupFile(made).check(), digest_store(target)
        assert (report.left_out, report.problems) == (0, [])
        assert found.snapshots == expected.snapshots
        losses = {
            "archive": [("work", "what runtimes have still to do")],
            "influxdb": [
                ("definitions", "stored definitions"),
                ("work", "what runtimes have still to do"),
                ("events", "the order of events of one moment"),
            ],
        }.get(backend, [])
        assert all(any(words in loss for loss in report.losses) for _, words in losses), report.losses
        assert len(report.losses) == len(losses)
        assert replace(found, **{part: getattr(expected, part) for part, _ in losses}) == expected


def test_a_store_that_is_not_empty_is_refused(made: Path) -> None:
    for fill_it in (
        lambda stores: stores.events.append(event()),
        lambda stores: stores.snapshots.save_snapshot(snapshot()),
        lambda stores: stores.definitions.save_definition(StoredDefinition(hash="h", component_name="C", document={})),
    ):
        target = open_memory_stores()
        fill_it(target)
        with pytest.raises(QueryError, match="holds 1 "):
            copy_contents(BackupFile(made), target)


def test_a_restore_goes_on_where_it_stopped(source: str, made: Path) -> None:
    class FailingError(Exception):
        pass

    contents = BackupFile(made)
    for stop in (1, 29, 30, 31, 100, EVENTS):
        target = open_memory_stores(retention=100)

        def fail(done: int, total: int, stop: int = stop) -> None:
            if done >= stop:
                raise FailingError

        with pytest.raises(FailingError):
            copy_contents(contents, target, on_progress=fail)
        report = copy_contents(contents, target, resume=True)

        assert report.already_there >= min(stop, EVENTS)
        assert digest_store(target) == contents.check()


def test_a_restore_goes_on_only_behind_its_own_beginning(made: Path) -> None:
    rows = [event_from_document(row.document) for row in BackupFile(made).events()]

    def resumed(events: list[Any]) -> None:
        target = open_memory_stores()
        target.events.append_many(events)
        try:
            copy_contents(BackupFile(made), target, resume=True)
        finally:
            assert len(list(target.events.get_all_events())) == len(events)

    changed = event_from_document({**rows[40].original, "stateAfter": "Other"})  # type: ignore[dict-item]
    with pytest.raises(MismatchError, match=r"its event 41 is .*other content; nothing was written"):
        resumed([*rows[:40], changed])
    with pytest.raises(MismatchError, match=r"its event 2 is 'e\d+', where event 2 is 'e\d+'"):
        resumed([rows[0], rows[2]])
    with pytest.raises(MismatchError, match="holds more events than"):
        resumed([*rows, event(id="more", persisted_at=rows[-1].persisted_at)])


def test_another_snapshot_in_the_way_is_named(made: Path) -> None:
    target = open_memory_stores()
    target.events.append_many(event_from_document(row.document) for row in BackupFile(made).events())
    target.snapshots.save_snapshot(snapshot(id="i7"))

    with pytest.raises(MismatchError, match="another snapshot of instance 'i7'"):
        copy_contents(BackupFile(made), target, resume=True)


def test_what_cannot_be_stored_is_named_with_its_place_and_the_rest_goes_in(tmp_path: Path) -> None:
    rows = [
        {"id": "good", "instanceId": "i", "persistedAt": 1},
        {"id": "x" * 51, "instanceId": "i", "persistedAt": 2},
        {"id": "nul", "instanceId": "i", "persistedAt": 3, "event": {"type": "A", "payload": "\0"}},
        {"instanceId": "i", "persistedAt": 4},
        {"id": "good", "instanceId": "i", "persistedAt": 5},
        {"id": "last", "instanceId": "i", "persistedAt": 6},
    ]
    target = open_memory_stores()
    contents = Given(rows)

    report = copy_contents(contents, target)

    assert [one.id for one in target.events.get_all_events()] == ["good", "last"]
    assert report.left_out == 4
    assert [problem.partition(": ")[0] for problem in report.problems] == ["event 2", "event 3", "event 4", "event 5"]
    assert "at most 50" in report.problems[0]
    assert "came before" in report.problems[3]
    assert not any("nothing was written" in problem for problem in report.problems)
    again = copy_contents(contents, target, resume=True)
    assert (again.already_there, again.left_out) == (2, 4)
    assert survey_contents(contents).left_out == 3  # that an id came before only the target tells


class Given:
    """Contents that are given."""

    name = "given"
    notes = damages = ()

    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows
        self.event_count = len(rows)

    def events(self) -> Any:
        return (Row(f"event {number}", row) for number, row in enumerate(self.rows, 1))

    def nothing(self) -> Any:
        return iter(())

    definitions = snapshots = work = nothing

    def close(self) -> None:
        pass


def test_what_the_target_changes_is_found_when_it_is_read_back(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = open_memory_stores(retention=100)
    append_many = target.events.append_many

    def lossy(events: Any) -> int:
        return append_many(
            [event_from_document({**one.original, "z": 0}) if one.id == "odd" else one for one in events]
        )

    monkeypatch.setattr(target.events, "append_many", lossy)

    with pytest.raises(MismatchError, match=r"events: as many .*the first that differs is event \d+, 'odd'"):
        copy_contents(BackupFile(made), target)


def test_a_target_that_keeps_fewer_snapshots_is_said_to(made: Path) -> None:
    target = open_memory_stores(retention=1)

    report = copy_contents(BackupFile(made), target)

    assert report.losses == [f"{2 * INSTANCES} earlier snapshots: it keeps fewer of each instance"]


# Damage


def damaged(made: Path, change: Callable[[bytearray], bytes | bytearray]) -> Path:
    path = made.with_name("damaged.xcb")
    path.write_bytes(change(bytearray(made.read_bytes())))
    return path


def test_every_truncation_is_found_and_named(made: Path) -> None:
    ends = {member.end for member in read_members(made)}
    size = made.stat().st_size
    for cut in sorted({1, 40, size // 3, size // 2, size - 1, *(ends - {size})}):
        path = damaged(made, lambda raw, cut=cut: raw[:cut])  # type: ignore[misc]
        words = "not finished" if cut in ends else r"damaged in member \d+, at byte"
        with pytest.raises(DamagedFileError, match=words):
            BackupFile(path).check()


def test_every_changed_byte_is_found(made: Path) -> None:
    random.seed(9)
    size = made.stat().st_size
    for _ in range(40):
        at, bit = random.randrange(size), 1 << random.randrange(8)
        path = damaged(made, lambda raw, at=at, bit=bit: raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :])  # type: ignore[misc]
        try:
            digest = BackupFile(path).check()
        except (DamagedFileError, QueryError):
            continue
        assert digest == BackupFile(made).check()  # in a field of gzip that says nothing: time, system


def test_rows_that_were_exchanged_are_found_by_the_digest(made: Path) -> None:
    members = [made.read_bytes()[start:end] for start, end in spans(made)]
    members[-4], members[-3] = members[-3], members[-4]
    path = made.with_name("exchanged")
    path.write_bytes(b"".join(members))

    with pytest.raises(DamagedFileError, match="does not hold what its trailer says"):
        BackupFile(path).check()


def spans(path: Path) -> list[tuple[int, int]]:
    ends = [member.end for member in read_members(path)]
    return list(zip([0, *ends], ends, strict=False))


def test_a_damaged_backup_is_refused_before_anything_is_written_and_salvaged_when_asked(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = [member.number for member in read_members(made) if member.kind == "events"]
    start, end = spans(made)[numbers[2] - 1]
    path = damaged(made, lambda raw: raw[: (start + end) // 2] + b"\0\0\0\0" + raw[(start + end) // 2 + 4 :])
    file = tmp_path / "target.db"

    assert run("restore", path, f"sqlite:///{file}") == 2
    assert f"damaged in member {numbers[2]}, at byte {start:,}" in capsys.readouterr().err
    assert not file.exists()

    assert run("restore", path, f"sqlite:///{file}", "--salvage") == 1
    assert f"left out: {path} is damaged in member {numbers[2]}" in capsys.readouterr().out
    with open_stores(f"sqlite:///{file}") as stores:
        kept = len(list(stores.events.get_all_events()))
    assert EVENTS + 1 - 40 <= kept < EVENTS + 1


def test_a_backup_of_a_later_version_is_refused(made: Path) -> None:
    raw = gzip.decompress(made.read_bytes()).replace(b'"xcstore_backup":1', b'"xcstore_backup":2', 1)
    path = made.with_name("later")
    path.write_bytes(gzip.compress(raw))

    with pytest.raises(QueryError, match="version 2"):
        BackupFile(path)


# Killed


def kill(what: str, source: object, target: object, point: int) -> bool:
    """Whether it was killed before it was done."""
    command = [sys.executable, "-m", "tests.ops.killing", what, str(source), str(target), str(point)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def test_a_backup_that_is_killed_again_and_again_ends_as_the_whole_one(source: str, tmp_path: Path) -> None:
    path = tmp_path / "killed.xcb"
    random.seed(21)
    kills = 0
    while kill("backup", source, path, random.randrange(2_000, 8_000)):
        kills += 1
        assert not path.exists()

    assert kills >= 2
    with open_stores(source) as stores:
        assert BackupFile(path).check() == digest_store(stores)


@pytest.mark.parametrize("backend", ["sqlite", "postgresql", "mongodb", "archive"])
def test_a_restore_that_is_killed_again_and_again_ends_as_the_whole_one(
    store_url: str, made: Path, backend: str
) -> None:
    random.seed(22)
    kills = 0
    while kill("restore", made, store_url, random.randrange(30, 160)):
        kills += 1

    assert kills >= 2
    with open_stores(store_url) as stores:
        expected, found = BackupFile(made).check(), digest_store(stores)
    assert found == (replace(expected, work=found.work) if backend == "archive" else expected)  # it has no outbox


# The commands


def test_the_commands_say_what_they_did(source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, target = tmp_path / "a.xcb", f"sqlite:///{tmp_path / 'target.db'}"

    assert run("backup", source, path) == 0
    backed_up = capsys.readouterr().out.splitlines()
    assert run("restore", path, target, "--dry-run") == 0
    assert "would go into" in capsys.readouterr().out
    assert not (tmp_path / "target.db").exists()
    assert run("restore", path, target) == 0
    restored = capsys.readouterr().out.splitlines()
    assert run("digest", target) == 0
    digested = capsys.readouterr().out.splitlines()

    assert backed_up[1:] == restored[1:] == digested[1:]
    assert backed_up[0].startswith(f"{source} is in {path} (")
    assert digested[0] == target
    assert any(line.startswith("events") and f"{EVENTS + 1}  sha256 " in line for line in digested)


def test_a_store_is_backed_up_into_a_store(source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = f"sqlite:///{tmp_path / 'target.db'}"

    assert run("backup", source, target, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert run("digest", source, "--json") == 0
    digest = json.loads(capsys.readouterr().out)

    assert document["digest"].items() <= digest.items()
    assert run("backup", source, target) == 2
    assert "name an empty store" in capsys.readouterr().err
    assert run("backup", source, target, "--resume") == 0


def test_a_store_is_no_backup_of_itself_and_memory_is_none(
    source: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    for target in (source, "sqlite:///source.db"):
        assert run("backup", source, target, "--resume") == 2
        assert "both what is copied and where to" in capsys.readouterr().err
    for command in (("backup", source), ("restore", made)):
        assert run(*command, "memory://") == 2
        assert "name a target that stays" in capsys.readouterr().err


def test_passwords_are_in_no_backup(postgresql_database: str, tmp_path: Path) -> None:
    if "@" not in postgresql_database.partition("://")[2].partition("/")[0]:
        head, _, rest = postgresql_database.partition("://")
        url = f"{head}://postgres:s3cretword@{rest.partition('@')[2] or rest}"
    else:
        user = postgresql_database.partition("://")[2].partition("@")[0].partition(":")[0]
        url = postgresql_database.replace(f"{user}@", f"{user}:s3cretword@").replace(f"{user}:@", f"{user}:s3cretword@")
    try:
        with open_stores(url, read_only=False) as stores:
            write_backup(stores, tmp_path / "x")
    except StoreUnavailableError:
        pytest.skip("the server asks for its own password")
    assert "s3cretword" in url
    assert b"s3cretword" not in gzip.decompress((tmp_path / "x").read_bytes())


@pytest.mark.parametrize(
    "content", [b"", b"\x1f\x8b", b"hello", b'[{"id": "a"}]', gzip.compress(b"nothing"), b"\0" * 9]
)
def test_other_files_are_refused_in_one_sentence(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)

    assert run("restore", path, f"sqlite:///{tmp_path / 'target.db'}") == 2

    captured = capsys.readouterr().err
    assert captured.startswith("xcstore: ")
    assert captured.count("\n") == 1
    assert not (tmp_path / "target.db").exists()


def test_a_full_disk_leaves_what_was_written_to_be_gone_on_with(source: str, made: Path) -> None:
    path = made.with_name("full.xcb")
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open_stores(source) as stores:
        resource.setrlimit(resource.RLIMIT_FSIZE, (made.stat().st_size // 2, unlimited[1]))
        try:
            with pytest.raises(QueryError, match="cannot be written: File too large"):
                write_backup(stores, path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        report = write_backup(stores, path, resume=True)

        assert report.resumed_after > 0
        assert report.digest == digest_store(stores)


def test_contents_of_a_store_can_be_read_again(source: str) -> None:
    with open_stores(source) as stores:
        contents = StoreContents(stores)
        assert list(contents.events()) == list(contents.events())
        assert contents.event_count == EVENTS + 1
