"""The three documents of the demo: readable, consistent with each other, and showing what components can do."""

from __future__ import annotations

import pytest

from xcstore.demo.simulation import COMPONENT_FILES
from xcstore.model.loader import load_component


@pytest.fixture(scope="module")
def components():
    return {component.name: component for component in map(load_component, COMPONENT_FILES)}


def test_there_are_three_with_several_machines_each(components):
    assert {name: [m.name for m in c.machines] for name, c in components.items()} == {
        "OrderComponent": ["OrderDesk", "Order", "Payment"],
        "InventoryComponent": ["Warehouse", "StockItem", "Reservation"],
        "ShippingComponent": ["CarrierBoard", "Shipment", "Parcel"],
    }


def targets(components):
    """Every (component, machine, state or None, event or None) that some transition or cascade is aimed at."""
    for component in components.values():
        for machine in component.machines:
            for t in machine.transitions:
                if t.target_machine:
                    yield t.target_component or component.name, t.target_machine, None, t.target_event
            for state in machine.states:
                for rule in state.cascading_rules:
                    yield rule.target_component or component.name, rule.target_machine, rule.target_state, rule.event


def test_what_one_component_sends_another_one_understands(components):
    found = list(targets(components))
    assert len(found) > 20
    for component_name, machine_name, state, event in found:
        machine = components[component_name].find_machine(machine_name)
        assert machine is not None, machine_name
        if event is not None:
            assert any(t.event == event and state in (None, t.source) for t in machine.transitions), (
                machine_name,
                event,
            )


def test_every_kind_of_state_and_nearly_every_kind_of_transition_is_there(components):
    machines = [machine for component in components.values() for machine in component.machines]

    assert {state.type for machine in machines for state in machine.states} == {"entry", "regular", "final", "error"}
    assert {t.type for machine in machines for t in machine.transitions} == {
        "inter_machine", "cross_component", "timeout", "internal", "triggerable", "auto",
    }  # fmt: skip
    assert [m.name for m in machines if m.public_member_type] == ["Parcel"]
    assert any(not t.reset_on_transition for m in machines for t in m.transitions)
