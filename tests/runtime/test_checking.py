"""What cannot be an event is refused at the entrance, with what would be right."""

from __future__ import annotations

import math

import pytest

from tests.runtime.helpers import world
from xcstore.errors import ConfigError, InvalidEventError, LimitExceededError
from xcstore.runtime import ComponentRegistry, Event, FSMRuntime, PropertyFilter
from xcstore.store.memory import open_memory_stores

DOOR = """
name: C
stateMachines:
  - name: M
    initialState: A
    states: [{name: A, type: entry}, {name: B}]
    transitions:
      - {from: A, to: B, event: GO, triggeredMethod: ask}
      - {from: B, to: A, event: BACK}
"""


@pytest.mark.parametrize("payload", [[1], "abc", 5, True])
def test_a_payload_that_is_no_mapping_is_refused_and_nothing_happens(payload):
    w = world(DOOR)
    it = w.runtime.create_instance("M")

    with pytest.raises(InvalidEventError, match="must be a mapping"):
        w.runtime.send(it, "GO", payload)
    with pytest.raises(InvalidEventError, match="must be a mapping"):
        w.runtime.send(it, Event("GO", payload))
    with pytest.raises(InvalidEventError, match="must be a mapping"):
        w.runtime.broadcast("M", "GO", payload)
    with pytest.raises(InvalidEventError, match="data of an instance"):
        w.runtime.create_instance("M", payload)
    assert w.history(it) == [("INSTANCE_CREATED", "", "A")]
    assert w.runtime.queued == 0


@pytest.mark.parametrize("event", [None, "", 7, b"GO"])
def test_a_type_that_is_no_name_is_refused(event):
    w = world(DOOR)
    it = w.runtime.create_instance("M")

    with pytest.raises(InvalidEventError, match="must be a name"):
        w.runtime.send(it, event)


def test_an_event_brings_its_own_payload():
    w = world(DOOR)
    it = w.runtime.create_instance("M")

    with pytest.raises(InvalidEventError, match="payload of its own"):
        w.runtime.send(it, Event("GO"), {"a": 1})
    with pytest.raises(InvalidEventError, match="timestamp"):
        w.runtime.send(it, Event("GO", {}, "now"))


@pytest.mark.parametrize("asks", ["send_to_self", "broadcast", "create_instance"])
def test_what_a_method_hands_in_is_its_own_error_and_the_transition_goes_on(asks):
    def ask(event, instance, sender):
        if asks == "broadcast":
            sender.broadcast("M", "BACK", [1])
        elif asks == "create_instance":
            sender.create_instance("M", [1])
        else:
            sender.send_to_self("BACK", [1])

    w = world(DOOR, methods={"ask": ask})
    it = w.runtime.create_instance("M")
    w.runtime.send(it, "GO")

    assert "must be a mapping" in str(w.told("user_code_error")[0]["error"])
    assert w.history(it)[-1] == ("GO", "A", "B")
    assert w.stores.events.get_outbox() == []


@pytest.mark.parametrize(("given", "stored"), [("abc", ("abc",)), (["a", "b"], ("a", "b")), (("a",), ("a",))])
def test_causes_are_ids_also_a_single_one(given, stored):
    w = world(DOOR)
    it = w.runtime.create_instance("M", caused_by=given)
    w.runtime.send(it, "GO", caused_by=given)

    assert [event.caused_by for event in w.stores.events.get_events_for_instance(it)] == [stored, stored]


def test_causes_that_are_no_ids_are_refused():
    w = world(DOOR)
    it = w.runtime.create_instance("M")

    with pytest.raises(InvalidEventError, match="ids of events"):
        w.runtime.send(it, "GO", caused_by=5)


def test_a_broadcast_that_no_store_takes_is_refused_before_it_reaches_anybody():
    w = world(DOOR)
    w.runtime.create_instance("M")

    with pytest.raises(LimitExceededError, match=r"payload\.a is nan"):
        w.runtime.broadcast("M", "GO", {"a": math.nan})


@pytest.mark.parametrize("moment", ["triggeredMethod", "onEntry"])
def test_what_a_method_leaves_and_no_store_holds_is_undone_and_told(moment):
    def ask(event, instance, sender):
        instance.context["left"] = math.nan

    document = DOOR if moment == "triggeredMethod" else DOOR.replace(", triggeredMethod: ask", "")
    document = document if moment == "triggeredMethod" else document.replace("{name: B}", "{name: B, onEntry: ask}")
    w = world(document, methods={"ask": ask})
    it = w.runtime.create_instance("M", {"k": 1})
    w.runtime.send(it, "GO")
    w.runtime.send(it, "BACK")

    assert "context.left is nan" in str(w.told("user_code_error")[0]["error"])
    assert w.runtime.get_instance(it).context == {"k": 1}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda w: FSMRuntime(None), "load_component"),
        (lambda w: FSMRuntime(w.runtime.component, 5), "PersistenceConfig"),
        (lambda w: w.runtime.register_method("ask", 5), "cannot be called"),
        (lambda w: w.runtime.listen(5), "cannot be called"),
        (lambda w: w.runtime.broadcast("M", "GO", filters=[{"property": "a"}]), "PropertyFilter"),
        (lambda w: PropertyFilter("a", 1, "in"), "must be one of"),
        (lambda w: ComponentRegistry().register(w.runtime), "another registry"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_would_be_right(wrong, says):
    with pytest.raises((ConfigError, InvalidEventError), match=says):
        wrong(world(DOOR))


def test_opened_stores_are_a_configuration():
    stores = open_memory_stores()
    runtime = FSMRuntime(world(DOOR).runtime.component, stores)
    it = runtime.create_instance("M")

    assert [event.event_type for event in stores.events.get_events_for_instance(it)] == ["INSTANCE_CREATED"]
