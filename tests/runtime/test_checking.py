"""What cannot be an event is refused at the entrance, with what would be right."""

from __future__ import annotations

import pytest

from tests.runtime.helpers import world
from xcstore.errors import InvalidEventError
from xcstore.runtime import Event

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
