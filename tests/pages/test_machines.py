"""The Machines page."""

from __future__ import annotations

from pathlib import Path

from tests.factories import event
from tests.pages.conftest import HOSTILE
from xcstore.store.opening import open_stores

DEFINITIONS = Path(__file__).parents[2] / "xcstore" / "demo" / "components"
UNDECLARED = """\
name: Shop
stateMachines:
  - name: Door
    initialState: Open
    states: [{name: Open}]
    transitions:
      - {from: Open, to: Ghost, event: GO}
"""


def table(app, label: str):
    return next((item.value for item in app.dataframe if item.proto.alt == label), None)


def says(app, part: str) -> bool:
    kinds = ("text", "caption", "markdown", "info", "warning")
    return any(part in item.value for kind in kinds for item in app.get(kind))


def leads_to(app, label: str) -> bool:
    return any(label in link.value for link in app.get("page_link"))


def test_a_declared_machine_shows_states_and_transitions_with_what_was_observed(open_page, demo_url, monkeypatch):
    monkeypatch.setenv("XCSTORE_DEFINITIONS", str(DEFINITIONS))

    app = open_page(demo_url, "machines", machine="Order")

    assert not app.exception
    assert says(app, "declared · ")
    states = table(app, "States of Order")
    assert "● Draft" in set(states["state"])
    assert states["instances now"].sum() > 0
    assert says(app, "Durations: ")
    transitions = table(open_page(demo_url, "machines", machine="Order", tab="transitions"), "Transitions of Order")
    assert transitions["observed"].sum() > 0
    assert "triggerable" in set(transitions["type"])


def test_without_a_definition_what_was_observed_is_drawn_and_nothing_is_called_declared(open_page, tmp_path):
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    with open_stores(url, read_only=False) as stores:
        stores.events.append(event(machine_name="Order"))

    app = open_page(url, "machines", machine="Order")

    assert not app.exception
    assert says(app, "observed; no definition is known")
    assert set(table(app, "States of Order")["type"]) == {"not declared"}


def test_a_state_in_the_address_shows_its_numbers_and_ways_on(open_page, demo_url):
    app = open_page(demo_url, "machines", machine="Order", state="Draft")

    assert says(app, "instances now: ")
    assert leads_to(app, "Instances in this state now")
    assert leads_to(app, "Events that led here")


def test_a_transition_in_the_address_shows_its_count_and_leads_to_its_events(open_page, demo_url):
    app = open_page(demo_url, "machines", machine="Order", arrow=["Draft", "SUBMIT", "Reserving"])

    assert says(app, "Draft → Reserving")
    assert says(app, "observed ")
    assert leads_to(app, "These events")


def test_picking_another_machine_forgets_the_state_that_was_clicked(open_page, demo_url):
    app = open_page(demo_url, "machines", machine="Order", state="Draft")
    other = next(option for option in app.selectbox(key="machines-machine").options if "Payment" in option)

    app.selectbox(key="machines-machine").select(other).run()

    assert app.query_params["machine"] == "Payment"
    assert "state" not in app.query_params


def test_a_machine_that_is_not_there_is_said_to_be_missing(open_page, demo_url):
    app = open_page(demo_url, "machines", machine="Nothing")

    assert not app.exception
    assert says(app, "There is no machine")


def test_a_machine_that_is_only_declared_is_all_never_observed(open_page, empty_url, monkeypatch):
    monkeypatch.setenv("XCSTORE_DEFINITIONS", str(DEFINITIONS))

    app = open_page(empty_url, "machines", machine="Order")

    assert not app.exception
    assert set(table(app, "States of Order")["remark"]) == {"never observed"}


def test_what_is_wrong_in_a_definition_is_told_where_it_is_shown(open_page, demo_url, monkeypatch, tmp_path):
    (tmp_path / "shop.yaml").write_text(UNDECLARED)
    (tmp_path / "sound.yaml").write_text(UNDECLARED.replace("Ghost", "Open").replace("Shop", "Sound"))
    monkeypatch.setenv("XCSTORE_DEFINITIONS", str(tmp_path))

    app = open_page(demo_url, "machines", machine="Door", machine_component="Shop")

    assert not app.exception
    assert "shop.yaml:7: machine 'Door': 'to' of the transition for GO" in " ".join(t.value for t in app.main.text)
    assert "shop.yaml:7: " in " ".join(text.value for text in app.sidebar.text)
    states = table(app, "States of Door").set_index("state")
    assert states.loc["? Ghost", "remark"] == "not declared, never observed"

    sound = open_page(demo_url, "machines", machine="Door", machine_component="Sound")

    assert not any("shop.yaml:7: " in text.value for text in sound.main.text)


def test_an_empty_store_says_what_to_do(open_page, empty_url):
    app = open_page(empty_url, "machines")

    assert not app.exception
    assert says(app, "This store holds no events yet")


def test_an_unreachable_store_is_one_sentence_without_the_password(open_page, unreachable_url):
    app = open_page(unreachable_url, "machines")

    assert not app.exception
    assert app.error
    assert not any("s3cret" in item.value for item in app.error)


def test_hostile_names_are_shown_as_text_on_every_machine(open_page, hostile_url):
    for text in HOSTILE:
        app = open_page(hostile_url, "machines", machine=text, state=text)
        assert not app.exception
        for kind in ("markdown", "caption", "info", "warning"):
            for item in app.get(kind):
                assert "<img src=x" not in item.value
                assert "](javascript" not in item.value
                assert "](https://evil" not in item.value
