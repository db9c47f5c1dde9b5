from __future__ import annotations

from tests.factories import START, event
from xcstore.queries.machines import machine_facts, machine_names


def fill(stores) -> None:
    for number in range(6):
        at = START + number * 10_000
        common = {"instance_id": f"i{number}", "machine_name": "Order" if number < 4 else "Cart"}
        stores.events.append(
            event(**common, event_type="INSTANCE_CREATED", state_before="", state_after="Created", persisted_at=at)
        )
        stores.events.append(event(**common, persisted_at=at + 1_000))


def test_machines_are_named_with_their_number_of_events(stores):
    fill(stores)

    assert [(name.component, name.machine, name.events) for name in machine_names(stores)] == [
        ("Shop", "Cart", 4),
        ("Shop", "Order", 8),
    ]


def test_facts_count_transitions_and_instances_exactly_and_sample_the_newest_events(stores):
    fill(stores)

    facts = machine_facts(stores, "Shop", "Order", sample=3)

    assert facts.transitions == ((("", "INSTANCE_CREATED", "Created"), 4), (("Created", "PAY", "Paid"), 4))
    assert [(row.state, row.count) for row in facts.states] == [("Paid", 4)]
    assert facts.event_count == 8
    assert len(facts.sample) == 3
    assert facts.sample["persisted_at_ms"].max() == START + 31_000
    assert set(facts.sample["machine_name"]) == {"Order"}


def test_a_machine_without_events_has_empty_facts(stores):
    facts = machine_facts(stores, "Shop", "Nothing")

    assert (facts.event_count, facts.states, len(facts.sample)) == (0, (), 0)
