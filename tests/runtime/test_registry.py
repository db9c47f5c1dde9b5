"""Components by name."""

from __future__ import annotations

import pytest

from tests.runtime.helpers import component, world
from xcstore.errors import ConfigError, NotFoundError
from xcstore.runtime import ComponentRegistry, FSMRuntime

ONE = """
name: {name}
stateMachines:
  - name: M
    initialState: A
    states: [{{name: A, type: entry}}]
    transitions: []
"""


def test_an_instance_is_found_wherever_it_lives():
    w = world(ONE.format(name="P"), ONE.format(name="Q"))
    it = w.runtimes["Q"].create_instance("M")

    name, instance = w.registry.find_instance(it)
    assert (name, instance.id) == ("Q", it)
    assert w.registry.find_instance("nobody") is None


def test_a_name_is_registered_once():
    registry = ComponentRegistry()
    registry.register(FSMRuntime(component(ONE.format(name="P"))))

    with pytest.raises(ConfigError, match="component 'P' is registered already"):
        registry.register(FSMRuntime(component(ONE.format(name="P"))))


def test_an_unregistered_component_is_no_longer_reached():
    w = world(ONE.format(name="P"), ONE.format(name="Q"))
    w.registry.unregister("Q")

    with pytest.raises(NotFoundError, match="no component 'Q' is registered; registered: P"):
        w.registry.get_runtime("Q")
    assert w.runtimes["Q"].registry is None
