"""Finding definitions by name."""

from __future__ import annotations

from xcstore.model.catalog import Catalog
from xcstore.model.definition import Component, State, StateMachine


def component(name: str, *machines: str, version: str = "") -> Component:
    states = (State(name="Open", type="entry"), State(name="Done", type="final"), State(name="Broken", type="error"))
    return Component(
        name=name,
        version=version,
        machines=tuple(StateMachine(name=machine, initial_state="Open", states=states) for machine in machines),
    )


def test_a_machine_is_found_by_component_and_name() -> None:
    catalog = Catalog([component("Shop", "Order"), component("Bank", "Payment")])

    found = catalog.find_machine("Bank", "Payment")

    assert found is not None
    assert found.name == "Payment"
    assert catalog.find_machine("Shop", "Payment") is None
    assert catalog.find_component("Bank") is not None
    assert catalog.find_component("Nobody") is None


def test_without_a_component_a_machine_is_found_only_if_its_name_is_unique() -> None:
    catalog = Catalog([component("Shop", "Order", "Cart"), component("Bank", "Order")])

    assert catalog.find_machine("", "Cart") is not None
    assert catalog.find_machine("", "Order") is None
    assert catalog.find_machine("", "Nothing") is None


def test_whether_a_state_is_terminal_is_none_where_nothing_is_known() -> None:
    catalog = Catalog([component("Shop", "Order")])

    assert catalog.is_terminal("Shop", "Order", "Open") is False
    assert catalog.is_terminal("Shop", "Order", "Done") is True
    assert catalog.is_terminal("", "Order", "Broken") is True
    assert catalog.is_terminal("Shop", "Order", "Elsewhere") is None
    assert catalog.is_terminal("Shop", "Nothing", "Open") is None
    assert Catalog().is_terminal("Shop", "Order", "Open") is None


def test_merging_gives_a_new_catalog_in_which_the_later_component_counts() -> None:
    before = Catalog([component("Shop", "Order", version="1")])

    after = before.merged([component("Shop", "Cart", version="2"), component("Bank", "Payment")])

    assert [entry.version for entry in before] == ["1"]
    assert [entry.name for entry in after.components] == ["Shop", "Bank"]
    assert after.find_machine("Shop", "Order") is None
    assert after.find_machine("Shop", "Cart") is not None
    assert len(after) == 2
