from __future__ import annotations

import pytest

from tests.factories import event
from xcstore.errors import NotFoundError
from xcstore.queries.causality import neighbourhood, recent_events, records_true_causes


def test_a_neighbourhood_is_what_the_store_traces(stores):
    stores.events.append(event(id="a"))
    stores.events.append(event(id="b", caused_by=("a",)))

    assert [(link.cause_id, link.effect_id) for link in neighbourhood(stores, "a").graph.links] == [("a", "b")]
    with pytest.raises(NotFoundError):
        neighbourhood(stores, "nobody")


def test_recent_events_come_newest_first_and_can_be_limited_to_components(stores):
    for number in range(3):
        stores.events.append(event(id=f"x{number}", component_name="Shop" if number else "Stock"))

    assert [item.id for item in recent_events(stores)] == ["x2", "x1", "x0"]
    assert [item.id for item in recent_events(stores, ("Stock",))] == ["x0"]


def test_only_events_stamped_with_a_definition_are_known_to_have_true_causes():
    stamped, other = event(definition_hash="abc"), event()

    assert records_true_causes([stamped])
    assert not records_true_causes([stamped, other]), "an import into a store of ours brings events of others"
