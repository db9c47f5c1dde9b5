from __future__ import annotations

from tests.factories import START, event
from xcstore.queries.machines import machine_facts, stays_of


def fill(stores) -> None:
    for number in range(6):
        at = START + number * 10_000
        common = {"instance_id": f"i{number}", "machine_name": "Order" if number < 4 else "Cart"}
        stores.events.append(
            event(**common, event_type="INSTANCE_CREATED", state_before="", state_after="Created", persisted_at=at)
        )
        stores.events.append(event(**common, persisted_at=at + 1_000))


def test_facts_count_transitions_and_instances_exactly_and_sample_the_latest_instances(stores):
    fill(stores)

    facts = machine_facts(stores, "Shop", "Order", sample=3)

    assert facts.transitions == ((("", "INSTANCE_CREATED", "Created"), 4), (("Created", "PAY", "Paid"), 4))
    assert [(row.state, row.count) for row in facts.states] == [("Paid", 4)]
    assert (facts.event_count, facts.instance_count) == (8, 4)
    assert facts.sample.instances == 3
    assert set(facts.sample.events["instance_id"]) == {"i1", "i2", "i3"}
    assert facts.sample.events["persisted_at_ms"].max() == START + 31_000


def test_stays_are_measured_on_the_latest_instances(stores):
    fill(stores)

    stays = stays_of(stores, "Shop", "Order", sample=2)

    assert stays.instances == 2
    assert stays.table[["state", "median_ms", "n"]].to_numpy().tolist() == [["Created", 1_000.0, 2]]


def test_a_machine_without_events_has_empty_facts(stores):
    facts = machine_facts(stores, "Shop", "Nothing")

    assert (facts.event_count, facts.states, len(facts.sample.events)) == (0, (), 0)
    assert len(stays_of(stores, "Shop", "Nothing").table) == 0
