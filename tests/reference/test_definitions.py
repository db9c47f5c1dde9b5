"""The real component documents load, from JSON and YAML alike, and cover what the real histories show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION
from xcstore.model.loader import component_from_document, load_folder, parse_component, parse_components


def test_every_definition_loads_with_all_its_parts(reference: Path, reference_json: Any) -> None:
    documents = reference_json("components.json")
    text = (reference / "components.json").read_text(encoding="utf-8")

    components = parse_components(text, file="components.json")

    assert [component.name for component in components] == list(documents)
    for component, document in zip(components, documents.values(), strict=True):
        assert component.source == document
        for machine, source in zip(component.machines, document["stateMachines"], strict=True):
            assert [state.name for state in machine.states] == [state["name"] for state in source["states"]]
            assert [state.type for state in machine.states] == [
                state.get("type", "regular") for state in source["states"]
            ]
            assert [(step.source, step.event, step.target, step.timeout_ms) for step in machine.transitions] == [
                (step["from"], step["event"], step["to"], step.get("timeoutMs")) for step in source["transitions"]
            ]
            assert [len(step.matching_rules) for step in machine.transitions] == [
                len(step.get("matchingRules", ())) for step in source["transitions"]
            ]


def test_every_definition_is_the_same_from_yaml(reference_json: Any) -> None:
    for document in reference_json("components.json").values():
        from_yaml = parse_component(yaml.safe_dump(document, allow_unicode=True, sort_keys=False))
        from_json = parse_component(json.dumps(document))
        assert from_yaml == from_json == component_from_document(document)
        assert from_yaml.hash == from_json.hash


def test_a_folder_of_files_gives_every_definition(reference_json: Any, tmp_path: Path) -> None:
    documents = reference_json("components.json")
    for name, document in documents.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")

    loaded = load_folder(tmp_path)

    assert {component.name for component in loaded.components} == set(documents)
    assert loaded.problems == ()


def test_the_definitions_know_every_machine_and_state_of_the_histories(reference: Path, reference_json: Any) -> None:
    catalog = Catalog(parse_components((reference / "components.json").read_text(encoding="utf-8")))

    for document in reference_json("memory_events.json"):
        machine = catalog.find_machine(document["componentName"], document["machineName"])
        assert machine is not None
        assert machine.find_state(document["stateAfter"]) is not None
        if document["event"]["type"] == CREATION:
            assert document["stateAfter"] == machine.initial_state
