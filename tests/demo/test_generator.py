"""The demo history: large enough, repeatable, true but for what was planted."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise

import pytest

from xcstore.demo import DEMO_END, DemoReport, generate_demo
from xcstore.demo.anomalies import LAGGING_SNAPSHOTS, LOST_SNAPSHOTS
from xcstore.demo.generator import SNAPSHOT_INTERVAL
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.store.base import InstanceQuery, Stores
from xcstore.store.codec import event_to_document, snapshot_to_document
from xcstore.store.opening import open_stores
from xcstore.units import DAY, HOUR, EpochMs, to_utc


@dataclass
class Demo:
    stores: Stores
    report: DemoReport
    events: list[PersistedEvent]
    snapshots: dict[str, InstanceSnapshot]

    def __post_init__(self) -> None:
        self.by_id = {event.id: event for event in self.events}
        self.streams: dict[str, list[PersistedEvent]] = defaultdict(list)
        for event in self.events:
            self.streams[event.instance_id].append(event)

    @property
    def planted_on(self) -> set[str]:
        return {anomaly.instance_id for anomaly in self.report.anomalies}

    def planted(self, kind: str) -> PersistedEvent:
        (anomaly,) = (anomaly for anomaly in self.report.anomalies if anomaly.kind == kind)
        return self.by_id[anomaly.event_id]

    def story(self, name: str):
        return next(story for story in self.report.stories if story.name == name)

    def effects(self, root: PersistedEvent) -> list[PersistedEvent]:
        """Everything that follows from `root` along recorded causes."""
        caused = defaultdict(list)
        for event in self.events:
            for cause in event.caused_by:
                caused[cause].append(event)
        found, open_ends = [], [root]
        while open_ends:
            event = open_ends.pop()
            found.append(event)
            open_ends += caused[event.id]
        return found


def make(**options) -> Demo:
    stores = open_stores("memory://", read_only=False)
    report = generate_demo(stores, **options)
    snapshots = {snapshot.instance.id: snapshot for snapshot in stores.snapshots.get_all_snapshots()}
    return Demo(stores, report, list(stores.events.get_all_events()), snapshots)


@pytest.fixture(scope="module")
def demo() -> Demo:
    return make()


def test_it_has_about_2000_instances_and_20000_events_over_30_days(demo):
    assert 18_000 <= len(demo.events) == demo.report.events <= 22_000
    assert 1_800 <= len(demo.streams) == demo.report.instances <= 2_200
    assert demo.report.end - demo.report.start == 30 * DAY
    assert all(demo.report.start <= event.persisted_at <= demo.report.end for event in demo.events)
    assert sum(count for _, _, count in demo.report.machines) == demo.report.instances


def test_equal_seeds_give_equal_documents(demo):
    again = make()

    assert again.report == demo.report
    assert [event_to_document(e) for e in again.events] == [event_to_document(e) for e in demo.events]
    assert {i: snapshot_to_document(s) for i, s in again.snapshots.items()} == {
        i: snapshot_to_document(s) for i, s in demo.snapshots.items()
    }


def test_other_seeds_and_ends_give_other_histories():
    other = make(seed=8, days=7, end=EpochMs(DEMO_END + DAY))

    assert other.report.end == DEMO_END + DAY
    assert other.report.events > 1_000
    assert {a.kind for a in other.report.anomalies} >= {"unrelated_cause", "two_runtimes", "extra_keys"}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_few_days_are_enough_for_every_planted_fault(seed):
    assert len({anomaly.kind for anomaly in make(seed=seed, days=7).report.anomalies}) == 13


def test_too_few_days_are_refused_before_anything_is_written():
    stores = open_stores("memory://", read_only=False)

    with pytest.raises(ValueError, match="days is 6; the demo needs at least 7"):
        generate_demo(stores, days=6)
    assert list(stores.events.get_all_events()) == []


def test_progress_rises_to_the_end():
    parts = []
    generate_demo(open_stores("memory://", read_only=False), days=7, on_progress=parts.append)

    assert parts == sorted(parts)
    assert parts[-1] == 1


def test_a_trace_from_the_first_order_crosses_all_three_components(demo):
    story = demo.story("first order")
    root = demo.by_id[story.event_id]

    trace = demo.effects(root)

    assert (root.event_type, root.instance_id) == ("SUBMIT", story.instance_id)
    assert {event.component_name for event in trace} == {"OrderComponent", "InventoryComponent", "ShippingComponent"}
    assert {"STOCK_RESERVED", "PAYMENT_CAPTURED", "PACKED", "PARCEL_DELIVERED", "RETURN_WINDOW_CLOSED"} <= {
        event.event_type for event in trace
    }
    assert {event.public_member_snapshot["orderId"] for event in trace if event.machine_name != "StockItem"} == {
        story.business_key
    }


def test_the_lost_order_waits_in_reserving_because_its_reservation_never_heard_from_the_shelf(demo):
    story = demo.story("the lost order")
    stream = demo.streams[story.instance_id]
    reservation = next(
        stream
        for stream in demo.streams.values()
        if stream[0].machine_name == "Reservation" and stream[-1].public_member_snapshot["orderId"] == "ORD-00123"
    )

    assert stream[0].payload["initialContext"]["orderId"] == "ORD-00123" == story.business_key
    assert (stream[-1].event_type, stream[-1].state_after) == ("SUBMIT", "Reserving")
    assert demo.report.end - stream[-1].persisted_at > 10 * DAY
    assert reservation[-1].state_after == "Checking"
    assert reservation[0].caused_by == (stream[-1].id,)


def test_shipments_of_the_outage_wait_and_are_reminded(demo):
    def reminders(stream):
        return sum(event.event_type == "PICKUP_OVERDUE" for event in stream)

    stuck = [s for s in demo.streams.values() if s[-1].state_after == "AwaitingPickup" and reminders(s) >= 2]
    board = demo.streams[demo.story("the carrier outage").instance_id]

    assert len(stuck) >= 10
    assert {s[-1].public_member_snapshot["carrier"] for s in stuck} == {"Northwind"}
    assert "OUTAGE_REPORTED" in {event.event_type for event in board}
    assert max(reminders(stream) for stream in stuck) >= 4


def test_only_the_lost_order_waits_in_reserving(demo):
    found = [s for s in demo.streams.values() if s[-1].state_after == "Reserving"]

    assert [s[0].instance_id for s in found] == [demo.story("the lost order").instance_id]


def test_payments_are_tried_again_and_some_fail(demo):
    types = Counter(event.event_type for event in demo.events)
    ends = Counter((event.machine_name, event.state_after) for event in demo.events)

    assert types["RETRY"] > 30
    assert types["GATEWAY_TIMEOUT"] > 3
    for ended in (("Order", "PaymentFailed"), ("Order", "Cancelled"), ("Order", "Abandoned"), ("Order", "Refunded"),
                  ("Payment", "Refused"), ("Shipment", "Lost"), ("Parcel", "Missing")):  # fmt: skip
        assert ends[ended] > 0, ended


def test_some_instances_are_long(demo):
    assert len(demo.streams[demo.story("the longest instance").instance_id]) > 300
    assert sum(len(stream) > 50 for stream in demo.streams.values()) >= 5


def test_nights_are_quieter_than_evenings(demo):
    hours = Counter(to_utc(e.persisted_at).hour for e in demo.events if e.event_type == "SUBMIT")

    assert hours[20] > 5 * hours[3]


def test_difficult_text_is_stored_as_it_is(demo):
    texts = [str(event.public_member_snapshot) for event in demo.events]

    for part in ("onerror=", "<script>", "javascript:alert", "李伟", "🦊", "DROP TABLE", "=HYPERLINK", "محمد"):
        assert any(part in text for text in texts), part


def test_stock_is_never_negative_and_what_is_held_is_given_back(demo):
    for stream in demo.streams.values():
        if stream[0].machine_name == "StockItem":
            assert min(e.public_member_snapshot["onHand"] for e in stream) >= 0
            assert min(e.public_member_snapshot["held"] for e in stream) >= 0


def test_every_instance_without_a_planted_fault_chains_from_its_creation_to_its_state(demo):
    for instance_id, stream in demo.streams.items():
        if instance_id in demo.planted_on:
            continue
        assert (stream[0].event_type, stream[0].state_before) == ("INSTANCE_CREATED", "")
        for before, after in pairwise(stream):
            assert after.state_before == before.state_after


def test_the_store_says_of_each_instance_the_state_of_its_last_event(demo):
    after, states = None, {}
    while True:
        page = demo.stores.events.instances(InstanceQuery(), after=after, limit=1_000)
        states |= {item.instance_id: item.state for item in page.items}
        if (after := page.next) is None:
            break

    sound = set(demo.streams) - demo.planted_on
    assert {i: states[i] for i in sound} == {i: demo.streams[i][-1].state_after for i in sound}


def test_snapshots_agree_with_the_event_that_they_name(demo):
    checked = 0
    for instance_id, snapshot in demo.snapshots.items():
        if instance_id in demo.planted_on:
            continue
        event = demo.by_id[snapshot.last_event_id]
        recorded = (
            snapshot.instance.context if snapshot.instance.public_member is None else snapshot.instance.public_member
        )
        assert snapshot.instance.current_state == event.state_after
        assert recorded == event.public_member_snapshot
        checked += 1
    assert checked > 1_500


def test_a_snapshot_lags_by_less_than_the_interval_where_no_fault_was_planted(demo):
    for instance_id, snapshot in demo.snapshots.items():
        if instance_id not in demo.planted_on:
            ids = [event.id for event in demo.streams[instance_id]]
            assert len(ids) - 1 - ids.index(snapshot.last_event_id) < SNAPSHOT_INTERVAL


def test_every_cause_is_stored_and_comes_before_its_effect_where_no_fault_was_planted(demo):
    position = {event.id: index for index, event in enumerate(demo.events)}
    for event in demo.events:
        if event.instance_id not in demo.planted_on:
            assert all(position[cause] < position[event.id] for cause in event.caused_by)


def test_every_event_that_came_from_another_component_names_a_cause_in_it(demo):
    crossed = [e for e in demo.events if e.source_component_name and e.instance_id not in demo.planted_on]

    assert len(crossed) > 1_000
    for event in crossed:
        (cause,) = event.caused_by
        assert demo.by_id[cause].component_name == event.source_component_name != event.component_name
        assert event.target_component_name == event.component_name


def test_definitions_are_stored_and_stamped(demo):
    hashes = {d.component_name: d.hash for d in demo.stores.definitions.get_all_definitions()}

    assert len(hashes) == 3
    planted = {anomaly.event_id for anomaly in demo.report.anomalies}
    assert all(e.definition_hash == hashes[e.component_name] for e in demo.events if e.id not in planted)


# The planted faults


def test_one_cause_belongs_to_an_unrelated_instance(demo):
    event = demo.planted("unrelated_cause")
    cause = demo.by_id[event.caused_by[0]]

    def keys(instance_id):
        return {e.public_member_snapshot.get("orderId") for e in demo.streams[instance_id]}

    assert cause.instance_id != event.instance_id
    assert keys(cause.instance_id).isdisjoint(keys(event.instance_id))
    assert cause.persisted_at <= event.persisted_at


def test_one_cause_is_not_in_the_store(demo):
    (cause,) = demo.planted("dangling_cause").caused_by

    assert cause not in demo.by_id


def test_one_event_from_another_component_has_no_cause(demo):
    event = demo.planted("missing_cause")

    assert event.source_component_name
    assert event.caused_by == ()


def test_one_instance_was_rolled_back(demo):
    event = demo.planted("state_chain_break")
    stream = demo.streams[event.instance_id]
    before = stream[stream.index(event) - 1]

    assert before.state_after != event.state_before


def test_one_instance_has_two_histories(demo):
    event = demo.planted("two_runtimes")
    stream = demo.streams[event.instance_id]
    later = stream[stream.index(event) + 1]

    assert event.state_after == "WithCourier"
    assert later.state_before == "Moving"
    assert len({e.id for e in stream}) == len(stream)
    breaks = sum(a.state_after != b.state_before for a, b in pairwise(stream))
    assert breaks == 1


@pytest.mark.parametrize(
    ("kind", "shows"),
    [
        ("persisted_at_text", lambda d: isinstance(d["persistedAt"], str)),
        ("missing_timestamp", lambda d: "timestamp" not in d["event"]),
        ("missing_caused_by", lambda d: "causedBy" not in d and "caused" not in d),
        ("missing_component", lambda d: "componentName" not in d),
        ("extra_keys", lambda d: d["event"]["_sourceComponent"] == "ShippingComponent" and d["shard"] == 3),
    ],
)
def test_one_document_is_odd_in_each_way(demo, kind, shows):
    event = demo.planted(kind)

    assert shows(event_to_document(event))
    assert isinstance(event.persisted_at, int)


def test_some_snapshots_lag_and_some_are_missing(demo):
    lagging = [a.instance_id for a in demo.report.anomalies if a.kind == "lagging_snapshot"]
    lost = [a.instance_id for a in demo.report.anomalies if a.kind == "no_snapshot"]

    assert (len(lagging), len(lost)) == (LAGGING_SNAPSHOTS, LOST_SNAPSHOTS)
    for instance_id in lagging:
        assert demo.snapshots[instance_id].last_event_id != demo.streams[instance_id][-1].id
    assert not set(lost) & set(demo.snapshots)


def test_one_snapshot_has_no_status(demo):
    (anomaly,) = (a for a in demo.report.anomalies if a.kind == "snapshot_without_status")
    snapshot = demo.snapshots[anomaly.instance_id]

    assert "status" not in snapshot_to_document(snapshot)["instance"]


def test_stories_and_the_guided_orders_are_spared(demo):
    for name in ("first order", "the lost order", "a shipment in the outage"):
        assert demo.story(name).instance_id not in demo.planted_on


def test_the_report_reads_as_text(demo):
    text = str(demo.report)

    assert "ORD-00123" in text
    for anomaly in demo.report.anomalies:
        assert anomaly.words in text
    assert f"{demo.report.events:,} events" in text


def test_most_orders_take_hours_not_moments(demo):
    spans = sorted(
        s[-1].persisted_at - s[0].persisted_at for s in demo.streams.values() if s[0].machine_name == "Order"
    )

    assert spans[len(spans) // 2] > 24 * HOUR
