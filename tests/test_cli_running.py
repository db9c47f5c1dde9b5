"""The commands that run definitions, as a user runs them: `run`, `simulate`, `validate --strict`."""

from __future__ import annotations

import io
import json
import logging
import re
import sqlite3
from pathlib import Path

import pytest

import xcstore.demo
from tests.ops.examples import SHOP
from xcstore.cli import main
from xcstore.model.linting import RULES
from xcstore.store.base import EventQuery
from xcstore.store.opening import open_stores
from xcstore.units import EpochMs

DEMO = Path(xcstore.demo.__file__ or "").parent / "components"
README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")

STEPS = [
    {"create": "Order", "as": "one", "context": {"orderId": "o1"}},
    {"send": "one", "event": "PAY", "payload": {"by": "card"}},
    {"send": "one", "event": "SHIP"},
    {"send": "one", "event": "STAMP"},
    {"advance": "10s"},
]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(SHOP, encoding="utf-8")
    return path


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'history.db'}"


@pytest.fixture
def events(tmp_path: Path):
    """A function from steps to the file that holds them."""

    def write(steps: object) -> Path:
        path = tmp_path / "events.json"
        path.write_text(json.dumps(steps), encoding="utf-8")
        return path

    return write


def run(*arguments: object, **environment: str) -> int:
    return main([str(argument) for argument in arguments], environment)


def history(url: str) -> list[object]:
    with open_stores(url) as stores:
        return list(stores.events.get_all_events())


# run


def test_a_run_appends_to_a_store_and_sums_up(shop, events, url, capsys):
    assert run("run", shop, "--events", events(STEPS), "--into", url) == 0

    out = capsys.readouterr().out
    assert out.startswith("5 of 5 steps played, 0 refused\n")
    assert re.search(rf"^store +{re.escape(url)}$", out, re.MULTILINE)
    assert re.search(r"^events written +7$", out, re.MULTILINE)
    assert re.search(r"^ +1 Shop/Order: STAMP in Paid$", out, re.MULTILINE)
    assert re.search(r"^pending timers +0$", out, re.MULTILINE)
    assert re.search(r"^ +1 Post/Parcel: Here$", out, re.MULTILINE)
    with open_stores(url) as stores:
        assert stores.events.count(EventQuery())[0].count == 7
        assert stores.snapshots.count() == 2  # of those that have ended
        (last,) = (event for event in stores.events.get_all_events() if event.event_type == "ARRIVED")
        trace = stores.events.trace(last.id)
        assert {event.component_name for event in trace.events} == {"Shop", "Post"}


def test_without_a_store_the_summary_is_all_there_is(shop, events, tmp_path, capsys):
    path = events(STEPS)

    assert run("run", shop, "--events", path) == 0
    assert "memory://" in capsys.readouterr().out
    assert sorted(tmp_path.iterdir()) == [path, shop]


def test_equal_seeds_write_equal_histories(shop, events, tmp_path):
    urls = [f"sqlite:///{tmp_path / name}.db" for name in "abc"]
    for url, seed in zip(urls, (5, 5, 6), strict=True):
        assert run("run", shop, "--events", events(STEPS), "--into", url, "--seed", seed) == 0

    assert history(urls[0]) == history(urls[1])
    assert history(urls[0]) != history(urls[2])


def test_a_seed_that_is_in_the_store_already_is_told_and_nothing_is_written(shop, events, url, capsys):
    run("run", shop, "--events", events(STEPS), "--into", url, "--seed", 5)
    before = history(url)
    capsys.readouterr()

    assert run("run", shop, "--events", events(STEPS), "--into", url, "--seed", 5) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "Is a run with this seed in the store already?" in told
    assert history(url) == before


def test_another_run_is_appended_and_shares_the_entry_instance(shop, events, url):
    assert run("run", shop, "--events", events(STEPS), "--into", url) == 0
    assert run("run", shop, "--events", events(STEPS), "--into", url) == 0

    machines = [event.machine_name for event in history(url) if event.state_before == ""]
    assert sorted(machines) == ["Desk", "Order", "Order", "Parcel", "Parcel"]


def test_a_run_goes_on_with_what_lives_in_the_store(shop, events, url, capsys):
    assert run("run", shop, "--events", events(STEPS[:2]), "--into", url, "--start", "2026-01-01") == 0
    order = next(event.instance_id for event in history(url) if event.machine_name == "Order")
    capsys.readouterr()

    more = events([{"send": order, "event": "SHIP"}, {"advance": "10s"}])
    assert run("run", shop, "--events", more, "--into", url, "--start", "2026-01-02", "--restore") == 0
    assert "Shop/Order: Done" in capsys.readouterr().out
    assert len(history(url)) == 7


def test_a_refused_step_is_told_with_its_place_and_the_status_is_1(shop, events, url, capsys):
    path = events([*STEPS, {"send": "one", "event": "PAY"}, {"create": "Order"}])

    assert run("run", shop, "--events", path, "--into", url) == 1

    told = capsys.readouterr()
    assert told.err == (f"{path}, step 6, line 1: 'PAY' was sent to an instance of 'Order' that has ended in 'Done'\n")
    assert told.out.startswith("7 of 7 steps played, 1 refused\n")
    assert len(history(url)) == 8


def test_a_run_stops_where_asked_to(shop, events, capsys):
    path = events([{"send": "i7", "event": "PAY"}, {"create": "Order"}])

    assert run("run", shop, "--events", path, "--stop-on-error") == 2

    told = capsys.readouterr()
    assert told.out.startswith("1 of 2 steps played, 1 refused\n")
    assert told.err.endswith("xcstore: stopped at step 1, as it was refused\n")


def test_a_typo_anywhere_is_told_before_anything_is_done(shop, events, url, tmp_path, capsys):
    path = events([*STEPS, *[{"advance": 1}] * 200, {"sned": "one"}, {"send": "two", "event": "E"}])

    assert run("run", shop, "--events", path, "--into", url) == 2

    told = capsys.readouterr()
    assert f"{path}, step 206, line 1: it has the keys 'sned'" in told.err
    assert "Did you mean 'send'?" in told.err
    assert "step 207" in told.err
    assert told.err.endswith(f"xcstore: 2 bad steps in {path}; nothing was run\n")
    assert told.out == ""
    assert not (tmp_path / "history.db").exists()


def test_many_bad_steps_are_counted(shop, events, capsys):
    assert run("run", shop, "--events", events([{}] * 50)) == 2
    assert "… and 30 more" in capsys.readouterr().err


def test_steps_come_from_stdin_too(shop, url, monkeypatch, capsys):
    text = "\n".join(map(json.dumps, STEPS))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    assert run("run", shop, "--events", "-", "--into", url) == 0
    assert len(history(url)) == 7

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"advance": -1}')))
    assert run("run", shop, "--events", "-") == 2
    assert "stdin, step 1, line 1: 'advance' is -1" in capsys.readouterr().err


def test_the_summary_is_json_where_asked_for(shop, events, capsys):
    path = events([{"create": "Order"}, {"send": "i9", "event": "E"}, {"send": "i2", "event": "E"}])

    assert run("run", shop, "--events", path, "--start", "2026-03-01", "--json") == 1

    summary = json.loads(capsys.readouterr().out)
    assert summary["steps"] == summary["total"] == 3
    assert summary["refusals"] == [
        {"step": 2, "line": 1, "reason": "there is no i9 yet; 2 instances were created so far"}
    ]
    assert summary["written"] == 2
    assert summary["ignored"] == [{"component": "Shop", "machine": "Order", "state": "New", "event": "E", "count": 1}]
    assert {"component": "Shop", "machine": "Order", "state": "New", "count": 1} in summary["states"]
    assert (summary["now"], summary["pending_timers"]) == ("2026-03-01T00:00:00.000Z", 1)
    assert summary["next_timer"] == "2026-03-01T00:01:00.000Z"


@pytest.mark.parametrize("until", ["61s", "2026-01-01T00:01:01Z"])
def test_time_passes_at_the_end(shop, events, until, capsys):
    path = events([{"create": "Order"}])

    assert run("run", shop, "--events", path, "--start", "2026-01-01", "--until", until) == 0
    assert "Shop/Order: Late" in (out := capsys.readouterr().out)
    assert re.search(r"^clock +2026-01-01T00:01:01.000Z$", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--start", "noon"], "--start is 'noon'; it must be a time such as"),
        (["--until", "later"], "--until is 'later'; it must be a time such as"),
        (["--start", "2026-01-02", "--until", "2026-01-01"], "the steps end at 2026-01-02T00:00:00.000Z"),
        (["--start", "2026-01-02", "--real-time"], "give one of the two"),
        (["--events", "absent.json"], "'absent.json' is not a file with steps"),
        (["--into", "pigeon://coop"], "pigeon"),
    ],
)
def test_a_wrong_option_is_one_sentence_and_nothing_is_run(shop, events, options, words, capsys):
    assert run("run", shop, "--events", events([]) if "--events" not in options else "x", *options) == 2

    told = capsys.readouterr()
    assert told.err.startswith("xcstore: ")
    assert told.err.count("\n") == 1
    assert words in told.err
    assert told.out == ""


def test_an_empty_run_leaves_no_file_behind(tmp_path, events, url, capsys):
    path = tmp_path / "a.yaml"
    path.write_text("name: A\nstateMachines: [{name: M, initialState: S, states: [{name: S}]}]")

    assert run("run", path, "--events", events([]), "--into", url) == 0
    assert not (tmp_path / "history.db").exists()
    assert "was not made, as nothing went into it" in capsys.readouterr().err


def test_a_store_of_another_writer_is_never_written(shop, events, tmp_path, url, capsys):
    connection = sqlite3.connect(tmp_path / "history.db")
    connection.execute(
        "CREATE TABLE fsm_events (id TEXT PRIMARY KEY, instance_id TEXT, machine_name TEXT, component_name TEXT,"
        " event_type TEXT, event_payload TEXT, state_before TEXT, state_after TEXT, persisted_at INTEGER,"
        " caused_by TEXT, caused TEXT)"
    )
    connection.commit()
    connection.close()
    before = (tmp_path / "history.db").read_bytes()

    assert run("run", shop, "--events", events(STEPS), "--into", url) == 2
    assert "is a store of another writer, and is never written" in capsys.readouterr().err
    assert (tmp_path / "history.db").read_bytes() == before


def test_hostile_names_do_not_reach_the_terminal(tmp_path, events, capsys):
    evil = "\x1b[2J<script>"
    machine = {
        "name": evil,
        "initialState": evil,
        "states": [{"name": evil}],
        "transitions": [{"from": evil, "to": evil, "event": evil}, {"from": evil, "to": evil, "event": evil}],
    }
    path = tmp_path / "evil.json"
    path.write_text(json.dumps({"name": evil, "stateMachines": [machine]}))
    steps = events([{"create": evil, "as": evil}, {"send": evil, "event": evil}, {"send": evil, "event": "\x1b]0;x"}])

    statuses = [
        run("validate", path),
        run("validate", path, "--strict"),
        run("run", path, "--events", steps),
        run("simulate", path, "--steps", 3),
        run("simulate", path, "--machine", evil, "--path", evil),
        run("run", path, "--events", events([{"create": "\x1b[2J"}, {"send": "\x1b[2J", "event": "x"}])),
    ]

    told = capsys.readouterr()
    assert statuses == [0, 2, 0, 0, 0, 2]
    assert re.search(r"^ambiguous +1$", told.out, re.MULTILINE)
    assert "\x1b" not in told.out + told.err
    assert "�[2J<script>" in told.out


def test_what_the_package_logs_is_plain_text_too(tmp_path, events, monkeypatch, capsys):
    path = tmp_path / "a.yaml"
    path.write_text("name: A\nstateMachines: [{name: M, initialState: S, states: [{name: S}]}]")

    def start(text):
        logging.getLogger("xcstore.store").warning("odd value %s", "\x1b[2J")
        return EpochMs(0)

    monkeypatch.setattr("xcstore.commands.run.start_of", start)

    assert run("run", path, "--events", events([])) == 0

    assert capsys.readouterr().err == "xcstore: odd value �[2J\n"


# simulate


def test_a_walk_says_what_was_reached_and_what_was_not(tmp_path, url, capsys):
    path = tmp_path / "a.yaml"
    path.write_text(
        "name: A\nstateMachines:\n  - name: M\n    initialState: S\n    states: [{name: S}, {name: T}, {name: U}]\n"
        "    transitions: [{from: S, to: T, event: E}, {from: U, to: T, event: F}]\n"
    )

    assert run("simulate", path, "--steps", 50, "--into", url) == 0

    out = capsys.readouterr().out
    assert "50 steps with seed 7\nA/M: 2 of 3 states, 1 of 2 transitions\n" in out
    assert "  never reached: U\n  never taken: U -> T (F)\n  dead end: T, " in out
    assert len(history(url)) == int(re.search(r"^events written +(\d+)$", out, re.MULTILINE)[1])


def test_equal_seeds_walk_alike_into_a_store(shop, tmp_path):
    urls = [f"sqlite:///{tmp_path / name}.db" for name in "abc"]
    for url, seed in zip(urls, (5, 5, 6), strict=True):
        assert run("simulate", shop, "--steps", 60, "--seed", seed, "--into", url) == 0

    assert history(urls[0]) == history(urls[1])
    assert history(urls[0]) != history(urls[2])


def test_a_walk_is_json_where_asked_for(shop, capsys):
    assert run("simulate", shop, "--machine", "Parcel", "--steps", 20, "--json") == 0

    summary = json.loads(capsys.readouterr().out)
    (machine,) = summary["machines"]
    assert (machine["component"], machine["machine"]) == ("Post", "Parcel")
    assert set(machine["states"]) == {"Packed", "Here"}
    (arrow,) = machine["transitions"]
    assert (arrow["from"], arrow["event"], arrow["to"]) == ("Packed", "CARRIED", "Here")
    assert arrow["count"] > 0
    assert machine["dead_ends"] == {}


def test_a_path_is_followed_as_far_as_it_leads(shop, url, capsys):
    assert run("simulate", shop, "--machine", "Order", "--path", "PAY,SHIP,ARRIVED", "--into", url) == 0
    assert capsys.readouterr().out.startswith("New -> Paid -> Paid -> Done\n3 of 3 events led on\n")
    assert len(history(url)) == 6


def test_a_path_that_ends_early_says_where_and_the_status_is_1(shop, capsys):
    assert run("simulate", shop, "--machine", "Order", "--path", "PAY,PAY") == 1

    told = capsys.readouterr()
    assert told.out.startswith("New -> Paid\n1 of 2 events led on\n")
    assert told.err == "xcstore: the path ends after 1 event: 'Paid' does not know 'PAY'; it knows SHIP, ARRIVED\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--path", "PAY"], "say which with --machine"),
        (["--component", "Shop"], "give that too"),
        (["--machine", "Ordre"], "there is no machine 'Ordre'; there is Shop/Order, Post/Desk, Post/Parcel"),
        (["--machine", "Order", "--path", "A,,B"], "has an empty name in it"),
    ],
)
def test_a_wrong_option_of_simulate_is_one_sentence(shop, options, words, capsys):
    assert run("simulate", shop, *options) == 2

    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert words in told


@pytest.mark.parametrize("steps", ["0", "-1", "many", "1e3"])
def test_a_number_of_steps_is_a_number(shop, steps, capsys):
    with pytest.raises(SystemExit) as ended:
        run("simulate", shop, f"--steps={steps}")
    assert ended.value.code == 2


# validate


def test_what_is_surely_not_meant_is_a_warning_and_refused_when_strict(tmp_path, capsys):
    path = tmp_path / "a.yaml"
    path.write_text("name: A\nstateMachines:\n  - name: M\n    initialState: S\n    states:\n      - name: S\n")

    assert run("validate", path) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert f"warning: {path}:6: machine 'M': 'S' has no transition out" in told.out
    assert told.out.endswith("[dead-end]\n")

    assert run("validate", path, "--strict") == 2
    told = capsys.readouterr()
    assert told.err.startswith(f"xcstore: {path}:6: machine 'M': 'S' has no transition out")
    assert "component A is valid" in told.out


def test_a_transition_to_an_undeclared_state_is_a_warning_with_its_line_and_refused_when_strict(tmp_path, capsys):
    path = tmp_path / "door.yaml"
    path.write_text(
        "name: A\nstateMachines:\n  - name: M\n    initialState: S\n    states: [{name: S}]\n    transitions:\n"
        "      - from: S\n        to: Ghost\n        event: GO\n"
    )

    assert run("validate", path) == 0
    assert f"warning: {path}:8: machine 'M': 'to' of S -> Ghost (GO) names no state" in capsys.readouterr().out

    assert run("validate", path, "--strict") == 2
    assert f"xcstore: {path}:8: machine 'M': 'to' of S -> Ghost (GO)" in capsys.readouterr().err


def test_the_demo_stands_up_to_strict_validation_as_a_whole(capsys):
    assert run("validate", DEMO, "--strict") == 0

    assert run("validate", DEMO / "order.yaml", "--strict") == 2
    assert "[unknown-component]" in capsys.readouterr().err


def test_one_file_may_hold_several_components(shop, capsys):
    assert run("validate", shop, "--strict") == 0

    out = capsys.readouterr().out
    assert "component Shop is valid; machines: Order" in out
    assert "component Post is valid; machines: Desk, Parcel" in out


def test_the_readme_names_every_rule_and_every_step():
    assert [rule for rule in RULES if f"`{rule}`" not in README] == []
    assert [key for key in ("create", "send", "broadcast", "advance", "at") if f'{{"{key}": ' not in README] == []
