"""Components for the tests of the commands that run them: a shop with orders, and the parcels that follow."""

from __future__ import annotations

from xcstore.model.definition import Component
from xcstore.model.loader import parse_components

__all__ = ["SHOP", "components"]

SHOP = """
Shop:
  name: Shop
  stateMachines:
    - name: Order
      initialState: New
      states:
        - {name: New, type: entry}
        - {name: Paid}
        - {name: Done, type: final}
        - {name: Late, type: error}
      transitions:
        - {from: New, to: Paid, event: PAY, type: triggerable}
        - {from: New, to: Late, event: WAITED, type: timeout, timeoutMs: 60000}
        - from: Paid
          to: Paid
          event: SHIP
          type: cross_component
          targetComponent: Post
          targetMachine: Parcel
          contextMapping: {orderId: orderId}
        - from: Paid
          to: Done
          event: ARRIVED
          matchingRules: [{eventProperty: orderId, instanceProperty: orderId}]
Post:
  name: Post
  entryMachine: Desk
  stateMachines:
    - name: Desk
      initialState: Open
      states: [{name: Open, type: entry}]
      transitions: [{from: Open, to: Open, event: STAMP}]
    - name: Parcel
      initialState: Packed
      states:
        - {name: Packed, type: entry}
        - name: Here
          type: final
          cascadingRules:
            - targetComponent: Shop
              targetMachine: Order
              targetState: Paid
              event: ARRIVED
              matchingRules: [{eventProperty: orderId, instanceProperty: orderId}]
              payload: {orderId: "{{orderId}}"}
      transitions:
        - {from: Packed, to: Here, event: CARRIED, type: auto, timeoutMs: 5000}
"""


def components(text: str = SHOP) -> tuple[Component, ...]:
    return parse_components(text)
