"""Files of components, several at once."""

from __future__ import annotations

import json
import os

import pytest

from tests.ops.examples import SHOP
from xcstore.errors import DefinitionError
from xcstore.ops.definitions import find_faults, load_definitions, read_definitions

DEAD = "name: {name}\nstateMachines:\n  - name: M\n    initialState: S\n    states:\n      - {{name: S}}\n"


def test_a_file_may_hold_several_components(tmp_path):
    (tmp_path / "shop.yaml").write_text(SHOP)

    assert [component.name for component in load_definitions([tmp_path / "shop.yaml"])] == ["Shop", "Post"]
    assert [component.name for component in load_definitions([tmp_path])] == ["Shop", "Post"]


def test_each_file_that_is_wrong_is_a_problem_beside_the_others(tmp_path):
    (tmp_path / "a.yaml").write_text(DEAD.format(name="A"))
    (tmp_path / "b.yaml").write_text("just text")
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00")
    os.mkfifo(tmp_path / "pipe.yaml")

    found = read_definitions([tmp_path, tmp_path / "absent.yaml", tmp_path / "pipe.yaml"])

    assert [component.name for component in found.components] == ["A"]
    assert [os.path.basename(problem.file) for problem in found.problems] == [
        "b.yaml", "c.yaml", "absent.yaml", "pipe.yaml",
    ]  # fmt: skip
    with pytest.raises(DefinitionError, match=r"b\.yaml"):
        load_definitions([tmp_path])


def test_two_different_components_of_one_name_are_a_problem_and_equal_ones_are_one(tmp_path):
    for name, text in (
        ("a", DEAD.format(name="A")),
        ("b", DEAD.format(name="A")),
        ("c", "version: 2\n" + DEAD.format(name="A")),
    ):
        (tmp_path / f"{name}.yaml").write_text(text)

    assert len(load_definitions([tmp_path / "a.yaml", tmp_path / "b.yaml"])) == 1
    (problem,) = read_definitions([tmp_path]).problems
    assert problem.file == str(tmp_path / "c.yaml")
    assert "component 'A' is defined in" in str(problem)
    assert str(tmp_path / "a.yaml") in str(problem)


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_fault_is_told_with_file_and_line(tmp_path, suffix):
    one = {"name": "A", "stateMachines": [{"name": "M", "initialState": "S", "states": [{"name": "S"}]}]}
    texts = {"yaml": DEAD.format(name="A"), "json": json.dumps(one, indent=1)}
    path = tmp_path / f"a.{suffix}"
    path.write_text(texts[suffix])

    ((finding, error),) = find_faults(read_definitions([path]).files)

    assert finding.rule == "dead-end"
    assert (error.file, error.line) == (str(path), {"yaml": 6, "json": 8}[suffix])


@pytest.mark.parametrize("kind", ["list", "mapping"])
def test_the_line_is_that_of_the_component_among_several(tmp_path, kind):
    path = tmp_path / "a.yaml"
    ends = "stateMachines: [{{name: M, initialState: S,\n  states: [{{name: S{0}}}]}}]}}\n"
    first, second = (f"{{name: {name}, " + ends.format(more) for name, more in (("A", ", type: final"), ("B", "")))
    path.write_text(f"- {first}- {second}" if kind == "list" else f"x: {first}y: {second}")

    ((finding, error),) = find_faults(read_definitions([path]).files)

    assert (finding.component, error.line) == ("B", 4)


def test_json_that_is_no_yaml_does_without_the_line(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(
        '{"name": "A",\n\t"stateMachines": [{"name": "M", "initialState": "S", "states": [{"name": "S"}]}]}'
    )

    ((_, error),) = find_faults(read_definitions([path]).files)

    assert error.file == str(path)
    assert "dead-end" not in str(error)
    assert "'S' has no transition out" in str(error)
