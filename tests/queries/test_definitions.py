"""Which definitions are known, and what could not be read."""

from __future__ import annotations

from xcstore.queries.definitions import Definitions, stored_definitions
from xcstore.store.base import StoredDefinition
from xcstore.store.opening import open_stores

GOOD = """name: {name}
stateMachines:
- name: M
  initialState: A
  states: [{{name: A, type: entry}}]
  transitions: []
"""


def document(name):
    return {
        "name": name,
        "stateMachines": [
            {"name": "M", "initialState": "A", "states": [{"name": "A", "type": "entry"}], "transitions": []}
        ],
    }


def test_folder_store_and_uploads_come_together_and_the_latter_win(tmp_path):
    folder = tmp_path / "definitions"
    folder.mkdir()
    (folder / "shop.yaml").write_text(GOOD.format(name="Shop"))
    with open_stores("memory://") as stores:
        stores.definitions.save_definition(StoredDefinition(hash="h", component_name="Bank", document=document("Bank")))
        found = stored_definitions(stores.definitions, folder)
    found = found.and_uploads([("mine.yaml", GOOD.format(name="Bank").encode())])

    assert found.problems == ()
    assert found.sources == (("Bank", "mine.yaml"), ("Shop", "folder of the settings"))
    assert found.catalog.find_machine("Bank", "M") is not None


def test_a_document_that_cannot_be_read_costs_only_itself(tmp_path):
    with open_stores("memory://") as stores:
        stores.definitions.save_definition(StoredDefinition(hash="b", component_name="Bad", document={"name": "Bad"}))
        stores.definitions.save_definition(StoredDefinition(hash="g", component_name="Good", document=document("Good")))
        found = stored_definitions(stores.definitions, tmp_path / "nowhere")

    assert [name for name, _ in found.sources] == ["Good"]
    assert len(found.problems) == 2
    assert "nowhere" in found.problems[0]
    assert "'Bad' in the store" in found.problems[1]


def test_a_bad_upload_is_told_with_file_and_line_and_bytes_that_are_no_text_too():
    found = Definitions().and_uploads(
        [
            ("bad.yaml", b"name: X\nstateMachines: [\n"),
            ("image.json", b"\x89PNG\xff"),
            ("ok.yaml", GOOD.format(name="Y").encode()),
        ]
    )

    assert [name for name, _ in found.sources] == ["Y"]
    assert found.problems[0].startswith("bad.yaml:")
    assert found.problems[1].startswith("image.json: not UTF-8")
