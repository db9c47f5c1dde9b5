"""A fork travels as JSON, and stays true as a test."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.replay.fork_examples import MONEY, START, at, catalog, lost_order, shop, the, whole
from xcstore.errors import QueryError
from xcstore.model.loader import parse_component
from xcstore.replay.exporting import (
    Taken,
    fork_document,
    fork_from_document,
    fork_from_json,
    fork_json,
    fork_test,
    inputs_test,
)
from xcstore.replay.forks import (
    ChangeDefinition,
    DropEvent,
    EditEvent,
    Fork,
    InsertEvent,
    MoveEvent,
    run_fork,
)
from xcstore.replay.inputs import recording_of
from xcstore.replay.track import ComponentScope, EventsScope, InstanceScope, RangeScope, TraceScope
from xcstore.units import DurationMs

ROOT = Path(__file__).parents[2]
HOSTILE = '"""\'\'\'\\"\n\r\u2028\x00\ud800{{x}}\nimport os; os.abort()  # </script>'


@pytest.fixture(scope="module")
def made():
    return lost_order()


def run_files(folder: Path, texts: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run exported tests, each a file of its own, with nothing but xcstore at hand."""
    for name, text in texts.items():
        (folder / f"test_{name}.py").write_text(text, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "-c", "/dev/null", str(folder)],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def delivered(made):
    track = whole(made)
    sent = the(track, "SEND")
    arrive = InsertEvent(after=sent.id, instance_id=sent.instance_id, event_type="ARRIVE", payload={"to": "door"})
    fork = Fork(scope=track.scope, at=track.position_of(sent.id) - 3, edits=(arrive,))
    return track, fork, run_fork(track, fork, catalog=catalog(made))


@pytest.mark.parametrize(
    "scope",
    [
        InstanceScope(instance_id="i"),
        TraceScope(event_id="e", direction="causes", max_events=7),
        EventsScope(event_ids=("a", "b")),
        ComponentScope(component_name="C", start=at(1)),
        RangeScope(start=at(1), end=at(2), components=("C",)),
    ],
)
def test_a_fork_comes_back_from_its_document_as_it_was(made, scope):
    track = whole(made)
    edits = (
        EditEvent(event_id="e", payload={"a": [1, None]}),
        EditEvent(event_id="e", event_type="X"),
        DropEvent(event_id="e"),
        MoveEvent(event_id="e"),
        InsertEvent(instance_id="i", event_type="X", payload={"t": HOSTILE}, after="e", at=at(3)),
        ChangeDefinition(component=parse_component(MONEY)),
    )
    fork = Fork(scope=scope, at=3, edits=edits, until=at(9))
    assert fork_from_json(fork_json(track, fork)) == fork
    document = fork_document(track, fork)
    assert document["atEvent"] == track.step(3).id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "zip"}, "no fork"),
        ({"version": 2}, "version 2 cannot be read"),
        ({"at": "3"}, "'at' of the fork is '3'; it must be a whole number"),
        ({"at": True}, "whole number"),
        ({"until": 1.5}, "'until'"),
        ({"scope": None}, "the scope is None"),
        ({"scope": {"kind": "moon"}}, "of kind 'moon'"),
        ({"scope": {"kind": "range", "start": 1, "end": None, "components": []}}, "needs both"),
        ({"edits": {}}, "'edits'"),
        ({"edits": [7]}, "edit 1 is 7"),
        ({"edits": [{"kind": "drop"}]}, "'event' of edit 1 is None"),
        ({"edits": [{"kind": "burn"}]}, "of kind 'burn'"),
        ({"edits": [{"kind": "definition", "document": {"name": "x"}}]}, "definition that cannot be used"),
        ({"edits": [{"kind": "edit", "event": "e", "type": None, "payload": [1]}]}, "'payload' of edit 1"),
    ],
)
def test_a_document_that_is_no_fork_is_refused_with_the_place(made, change, message):
    track = whole(made)
    document = {**fork_document(track, Fork(scope=track.scope)), **change}
    with pytest.raises(QueryError, match=message):
        fork_from_document(document)


def test_text_that_is_no_json_is_refused():
    with pytest.raises(QueryError, match="no JSON"):
        fork_from_json("{")


def hostile() -> str:
    """The test of a fork of stored text that would do harm as code."""
    made = shop()
    name = made.runtimes["Orders"].create_instance(
        "Order", {"order": HOSTILE.replace("\x00", "").replace("\ud800", "")}
    )
    made.clock.advance(DurationMs(1_000))
    made.runtimes["Orders"].send(name, "PUT", {"amount": 1})
    track = whole(made)
    put = track.events[-1]
    fork = Fork(scope=track.scope, edits=(EditEvent(event_id=put.id, payload={"note": HOSTILE}),))
    return fork_test(track, fork, run_fork(track, fork, catalog=catalog(made)), catalog(made))


def sends(made, state_after: str) -> str:
    """A test that the order is sent, and so comes to that state: once of whichever instance, and once of the one."""
    track = whole(made)
    recording = recording_of(track, catalog(made))
    taken = Taken(machine_name="Order", event_type="SEND", state_before="Paid", state_after=state_after)
    return inputs_test(
        title='It "sends"\n"""',
        function="it sends; 1",
        components=recording.components,
        inputs=recording.inputs,
        start=recording.start,
        start_at=START,
        until=recording.end,
        recording=recording,
        asserts=[taken, replace(taken, instance_id=the(track, "SEND").instance_id)],
    )


def test_exported_tests_pass(made, tmp_path):
    track, fork, result = delivered(made)
    texts = {"fork": fork_test(track, fork, result, catalog(made)), "hostile": hostile(), "taken": sends(made, "Sent")}
    ran = run_files(tmp_path, texts)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "3 passed" in ran.stdout
    assert "PASSED test_taken.py::test_it_sends_1" in ran.stdout


def test_exported_tests_fail_when_something_else_comes_of_it(made, tmp_path):
    track, fork, result = delivered(made)
    text = fork_test(track, fork, result, catalog(made))
    changed = text.replace('"to": "Done"', '"to": "Lost"')
    assert changed != text
    ran = run_files(tmp_path, {"changed": changed, "taken": sends(made, "Done")})
    assert ran.returncode == 1
    assert "2 failed" in ran.stdout
    assert "ends in Lost, not in Done" in ran.stdout
    assert "does not take Paid -> Done on SEND" in ran.stdout


def test_stored_text_in_a_test_is_data():
    text = hostile()
    assert text.isascii()
    assert "\nimport os" not in text


def test_a_fork_that_was_cut_becomes_no_test(made):
    track, fork, result = delivered(made)
    with pytest.raises(QueryError, match="was cut"):
        fork_test(track, fork, replace(result, cut=True, cut_reason="a loop"), catalog(made))
