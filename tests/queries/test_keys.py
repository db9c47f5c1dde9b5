"""Business keys of instances."""

from tests.factories import event
from xcstore.model.history import CREATION
from xcstore.queries.keys import business_keys
from xcstore.store.base import Stores


def test_each_instance_is_called_by_what_its_creation_holds(stores: Stores) -> None:
    def created(name: str, initial: object) -> None:
        payload = {"triggerEvent": "manual create", "initialContext": initial}
        stores.events.append(event(event_type=CREATION, state_before="", instance_id=name, payload=payload))

    created("a", {"orderId": "ORD-1", "customerId": "C1"})
    created("b", {"note": "nothing to call it by"})
    stores.events.append(event(instance_id="c", payload={"orderId": "ORD-3"}))

    assert business_keys(stores, ["a", "b", "c", "unknown"]) == {"a": "ORD-1"}
    assert business_keys(stores, []) == {}
