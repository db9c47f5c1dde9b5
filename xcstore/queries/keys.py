"""Business keys of instances, for lists that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xcstore.analysis.business_key import business_key
from xcstore.model.history import CREATION
from xcstore.store.base import EventQuery, Stores

__all__ = ["business_keys"]

MAX_INSTANCES = 500


def business_keys(stores: Stores, instance_ids: Sequence[str]) -> Mapping[str, str]:
    """The key of each instance whose creation holds one; at most the first `MAX_INSTANCES` are looked at."""
    ids = tuple(instance_ids[:MAX_INSTANCES])
    if not ids:
        return {}
    # Twice as many, as an instance that two runtimes held was created twice.
    query = EventQuery(instance_ids=ids, event_types=(CREATION,))
    found: dict[str, str] = {}
    for event in stores.events.find(query, limit=2 * len(ids)).items:
        key = business_key(event.payload, event.machine_name)
        if key is not None:
            found.setdefault(event.instance_id, key)
    return found
