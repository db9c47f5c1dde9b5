"""`python -m xcstore replay --verify`, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.factories import START, event
from tests.runtime.helpers import component
from xcstore.cli import main
from xcstore.model.history import CREATION
from xcstore.store.base import StoredDefinition
from xcstore.store.opening import open_stores

SHOP = """
name: Shop
stateMachines:
  - name: Order
    initialState: Created
    states: [{name: Created, type: entry}, {name: Paid}, {name: Sent, type: final}]
    transitions:
      - {from: Created, to: Paid, event: PAY}
      - {from: Paid, to: Sent, event: SEND}
"""


def stored(file: Path, *, state: str = "Paid", instances: int = 1) -> str:
    """Instances that are made and paid; `state`: where the payment is recorded to lead."""
    url = f"sqlite:///{file}"
    with open_stores(url, read_only=False) as stores:
        shop = component(SHOP)
        stores.definitions.save_definition(
            StoredDefinition(hash=shop.hash, component_name=shop.name, document=shop.source)
        )
        for number in range(instances):
            name = f"\x1b[31mi{number}\u202e"
            made = event(
                instance_id=name,
                event_type=CREATION,
                state_before="",
                state_after="Created",
                payload={"initialContext": {}},
                persisted_at=START,
            )
            paid = event(instance_id=name, state_after=state, persisted_at=START + 1_000)
            other = event(instance_id=f"w{number}", component_name="Wild", persisted_at=START + 2_000)
            stores.events.append_many([made, paid, other])
    return url


def run(*arguments: str, **environment: str) -> int:
    return main(["replay", *arguments], environment)


def test_a_store_that_goes_as_defined_ends_with_status_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--verify", stored(tmp_path / "a.db")) == 0

    captured = capsys.readouterr()
    assert "replayed    3 events of 2 instances" in captured.out
    assert "Shop/Order: 0 of 1 instance, 2 events" in captured.out
    assert "Wild/Order: 0 of 1 instance, 1 event, definition not known" in captured.out
    assert "no divergence; 1 event could not be compared in full" in captured.out
    assert captured.err == ""


def test_a_divergence_ends_with_status_1_and_is_told_with_its_event(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--verify", stored(tmp_path / "a.db", state="Sent", instances=3), "--limit", "2") == 1

    printed = capsys.readouterr().out
    assert "Another state, first of 3 instances" in printed
    assert "shown 2 of 3" in printed
    assert "goes to Paid here, to Sent there: no transition on PAY leads from Created to Sent" in printed
    assert not {"\x1b", "\u202e"} & set(printed)


def test_json_holds_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--verify", stored(tmp_path / "a.db", state="Sent"), "--json") == 1

    report = json.loads(capsys.readouterr().out)
    assert (report["events"], report["instances"], report["diverging"]) == (3, 2, 1)
    assert report["kinds"]["state"] == report["first_kinds"]["state"] == report["shown"]["state"] == 1
    (example,) = report["examples"]
    assert (example["kind"], example["verdict"], example["position"]) == ("state", "different", 2)
    assert example["counts"] == {"same": 1, "different": 1}
    (row,) = [row for row in report["machines"] if row["component"] == "Shop"]
    assert (row["known"], row["diverging"]) == (True, 1)


def test_only_the_components_that_are_named_are_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = stored(tmp_path / "a.db", state="Sent")

    assert run("--verify", url, "--component", "Wild") == 0
    printed = capsys.readouterr().out
    assert "components  Wild" in printed
    assert "Shop" not in printed


def test_without_verify_it_says_what_it_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(stored(tmp_path / "a.db")) == 2

    captured = capsys.readouterr()
    assert "replay --verify" in captured.err
    assert captured.out == ""


def test_a_store_that_cannot_be_read_ends_with_status_2_without_its_password(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("--verify", "postgresql://app:s3cret@127.0.0.1:1/history") == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert "s3cret" not in captured.err


def test_a_component_that_is_not_there_is_an_error_and_not_a_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--verify", stored(tmp_path / "a.db"), "--component", "Nope") == 2

    captured = capsys.readouterr()
    assert "no event of component 'Nope'; there are Shop, Wild" in captured.err
    assert captured.out == ""
