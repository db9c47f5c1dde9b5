"""The Overview in words."""

from __future__ import annotations

from datetime import UTC

from tests.factories import START
from xcstore.analysis.stuck import Limit
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION
from xcstore.model.loader import parse_component
from xcstore.queries.overview import Activity, Facts, StuckInstance, Waiting
from xcstore.store.base import Count, InstanceSummary, StateCount
from xcstore.units import DAY, HOUR, MINUTE
from xcstore.views import overview as views

SHOP = parse_component("""
name: Shop
stateMachines:
- name: Order
  initialState: Paid
  states:
  - {name: Paid, type: entry}
  - {name: Waiting, type: regular}
  - {name: Packed, type: final}
  - {name: Lost, type: error}
  transitions:
  - {from: Paid, to: Packed, event: PACK}
  - {from: Paid, to: Waiting, event: HOLD}
  - {from: Waiting, to: Lost, event: TIMEOUT, type: timeout, timeoutMs: 3600000}
""")


def state(name, count=1, machine="Order", component="Shop"):
    return StateCount(
        component_name=component,
        machine_name=machine,
        state=name,
        count=count,
        oldest_updated_at=START,
        newest_updated_at=START + HOUR,
    )


def flow(before, event, after, count=1, machine="Order"):
    return Count(key=("Shop", machine, before, event, after), bucket=None, count=count)


def facts(**overrides):
    fields = {
        "identity": "memory://",
        "layout": "ours",
        "read_only": True,
        "components": (("Shop", 20),),
        "time_range": (START, START + HOUR),
    }
    return Facts(**{**fields, **overrides})


STATES = (state("Paid", 3), state("Waiting", 2), state("Packed", 5), state("Lost", 1))
FLOWS = (flow("", CREATION, "Paid", 11), flow("Paid", "PACK", "Packed", 5), flow("Paid", "HOLD", "Waiting", 3))


def build(catalog=(SHOP,), states=STATES, flows=FLOWS, **kwargs):
    return views.build(facts(), states, flows, Catalog(catalog), START + 2 * HOUR, **kwargs)


def test_the_definition_says_what_is_active_finished_and_in_error():
    headline = build().headline

    assert (headline.active, headline.completed, headline.error, headline.unknown) == (5, 5, 1, 0)
    assert (headline.events, headline.instances, headline.newest_age) == (20, 11, "1 h ago")


def test_without_a_definition_only_states_that_were_left_are_active_and_the_rest_is_unknown():
    headline = build(catalog=(), flows=(*FLOWS, flow("Waiting", "TIMEOUT", "Lost"))).headline

    assert (headline.active, headline.completed, headline.error, headline.unknown) == (5, 0, 0, 6)


def test_events_are_those_of_the_chosen_components():
    view = views.build(
        facts(components=(("Shop", 20), ("Bank", 7))), STATES, FLOWS, Catalog(), START, components=("Bank",)
    )
    assert view.headline.events == 7


def test_only_states_with_a_way_on_are_looked_at_and_their_timers_are_known():
    waiting = {item.state: item for item in build().waiting}

    assert set(waiting) == {"Paid", "Waiting"}
    assert waiting["Paid"].timeout_ms is None
    assert waiting["Waiting"].timeout_ms == HOUR
    assert waiting["Paid"].machine_instances == 11


def stuck(state="Paid", instance_id="o1", waited=DAY, rule="state"):
    return StuckInstance(
        instance=InstanceSummary(
            instance_id=instance_id,
            component_name="Shop",
            machine_name="Order",
            state=state,
            created_at=START,
            updated_at=START,
            event_count=2,
            last_event_id="e",
            last_event_type="HOLD",
        ),
        limit=Limit(rule=rule, limit_ms=3 * HOUR, normal_ms=HOUR, median_ms=10 * MINUTE, stays=40),
        since=START,
        waited_ms=waited,
    )


def test_stuck_instances_are_told_by_state_with_their_rule_and_what_would_move_them_on():
    waiting = Waiting(
        as_of=START + DAY,
        stuck=(stuck("Waiting", rule="timeout"), stuck("Paid", "o2"), stuck("Paid", "o3"), stuck("Paid", "o4")),
        complete=False,
    )
    by_timer, by_numbers = views.stuck_states(waiting, build(), UTC, keys={}, lines=2)

    assert by_timer.ways_on == ("TIMEOUT → Lost (timer, 1 h), never seen",)
    assert by_timer.rule == "its timer should have fired after 1 h; too long after 3 h"
    assert by_numbers.ways_on == ("PACK → Packed, seen 5×", "HOLD → Waiting, seen 3×")
    assert by_numbers.rule == "95 % of 40 stays take at most 1 h, the median 10 min; too long after 3 h"
    assert by_numbers.count == "3+"
    assert [(line.instance_id, line.waited) for line in by_numbers.lines] == [("o2", "1 d"), ("o3", "1 d")]
    assert by_numbers.lines[0].since == "2026-01-01 00:00:00"


def test_stuck_instances_are_called_by_their_business_key_where_they_have_one():
    waiting = Waiting(as_of=START + DAY, stuck=(stuck("Paid", "o2"), stuck("Paid", "o3")))

    lines = views.stuck_states(waiting, build(), UTC, keys={"o2": "ORD-2"})[0].lines

    assert [(line.instance_id, line.key) for line in lines] == [("o2", "ORD-2"), ("o3", "")]
    assert views.named(waiting) == ("o2", "o3")


def test_without_a_definition_what_was_observed_would_move_it_on():
    waiting = Waiting(as_of=START + DAY, stuck=(stuck(),))

    assert views.stuck_states(waiting, build(catalog=()), UTC, keys={})[0].ways_on == (
        "PACK → Packed, seen 5×",
        "HOLD → Waiting, seen 3×",
    )


def test_the_count_of_stuck_instances_says_when_there_are_more():
    assert views.stuck_text(Waiting(as_of=START, stuck=(stuck(),))) == "1"
    assert views.stuck_text(Waiting(as_of=START, stuck=(stuck(),), complete=False)) == "1+"


def test_error_states_with_instances_in_them_are_failures():
    assert [(item.state, item.count) for item in views.failures(build(), UTC)] == [("Lost", 1)]
    assert views.failures(build(catalog=()), UTC) == ()


def test_the_table_of_machines_counts_each_instance_once():
    table = views.machines_table(build(), {("Shop", "Order"): 2}, UTC)

    row = table.iloc[0]
    assert (row["instances"], row["active"], row["stuck"], row["completed"], row["error"]) == (11, 5, 2, 5, 1)
    assert row["states"][0] == "◎ Packed 5"


def test_the_table_of_states_tells_kind_meaning_and_share():
    table = views.states_table(build(), UTC).set_index("state")

    assert table.loc["Packed", "kind"] == "◎ final"
    assert table.loc["Packed", "means"] == "✓ completed"
    assert table.loc["Packed", "share"] == 5 / 11
    assert table["instances"].sum() == 11


def test_the_chart_comes_with_its_numbers_as_a_table():
    counts = tuple(
        Count(key=(component,), bucket=START + hour * HOUR, count=count)
        for component, hour, count in (("A", 1, 3), ("A", 0, 2), ("", 0, 7))
    )
    table = views.activity_table(Activity(bucket_ms=HOUR, counts=counts), UTC)

    assert list(table["from"]) == ["2026-01-01 00:00:00", "2026-01-01 01:00:00"]
    assert list(table["A"]) == [2, 3]
    assert list(table["(none)"]) == [7, 0]


def test_a_store_without_instances_gives_empty_tables():
    view = build(states=(), flows=())

    assert view.headline.instances == 0
    assert len(views.states_table(view, UTC)) == len(views.machines_table(view, {}, UTC)) == 0
    assert views.stuck_states(Waiting(as_of=START), view, UTC, keys={}) == ()


NO_WAY_OUT = parse_component("""
name: Shop
stateMachines:
- name: Order
  initialState: Paid
  states: [{name: Paid, type: entry}, {name: Parked, type: regular}, {name: Sent, type: regular}]
  transitions:
  - {from: Paid, to: Parked, event: PARK}
  - {from: Parked, to: Parked, event: REMIND, type: timeout, timeoutMs: 1000}
  - {from: Paid, to: Sent, event: SEND}
""")


def test_a_state_that_nothing_leaves_is_no_wait_and_is_told_by_itself():
    view = build(catalog=(NO_WAY_OUT,), states=(state("Paid", 3), state("Parked", 2), state("Sent", 4)))

    assert [item.state for item in view.waiting] == ["Paid"]
    assert [(row.state, row.count) for row in views.without_way_on(view)] == [("Sent", 4), ("Parked", 2)]


def test_a_timer_that_leads_back_to_its_state_does_not_end_it():
    machine = NO_WAY_OUT.machines[0]

    assert views.shortest_timer(machine, "Parked") is None
    assert views.shortest_timer(SHOP.machines[0], "Waiting") == HOUR


def test_where_a_state_has_reminders_the_wait_counts_from_what_leads_into_it():
    loops = (*FLOWS, flow("Paid", "REMIND", "Paid", 7), flow("Waiting", "RESUME", "Paid", 1))

    (entered,) = (item.entered_from for item in build(flows=loops).waiting if item.state == "Paid")
    assert entered == ("", "Waiting")
    assert {item.entered_from for item in build().waiting} == {()}
