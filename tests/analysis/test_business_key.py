"""The name by which people know an instance."""

import pytest

from xcstore.analysis.business_key import business_key


@pytest.mark.parametrize(
    ("initial", "machine", "key"),
    [
        ({"customerId": "C7", "orderId": "ORD-1", "amount": 3}, "Order", "ORD-1"),
        ({"Id": 4711, "Quantity": 3, "AssetName": "Gold"}, "Order", "4711"),
        ({"qty": 1, "sku": "SKU13"}, "Cart", "SKU13"),
        ({"customerId": "C7", "subscriptionId": "SUB-1"}, "Subscription", "SUB-1"),
        ({"orderId": "ORD-1", "paymentMethod": "visa"}, "Payment", "ORD-1"),
        ({"sku": "SKU-1", "orderId": "ORD-1"}, "Reservation", "ORD-1"),
        ({"parcelId": "8c1d47a0-1111-4222-8333-444455556666", "trackingCode": "NW1"}, "Parcel", "NW1"),
        ({"paid": True, "valid": "yes", "pep": "no"}, "Order", None),
        ({"orderId": ""}, "Order", None),
        ({"orderId": "•••"}, "Order", None),
        ({"orderId": True}, "Order", None),
        ({"orderId": "x" * 100}, "Order", None),
        ({}, "Order", None),
    ],
)
def test_the_key_is_the_value_whose_name_says_so(initial: dict[str, object], machine: str, key: str | None) -> None:
    assert business_key({"initialContext": initial}, machine) == key
    assert business_key({"initialContext": dict(reversed(initial.items()))}, machine) == key


@pytest.mark.parametrize("payload", [None, 3, "text", [], {"initialContext": 3}, {"initialContext": ["orderId"]}])
def test_odd_payloads_have_no_key(payload: object) -> None:
    assert business_key(payload, "Order") is None
