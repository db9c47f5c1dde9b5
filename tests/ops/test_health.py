"""The health report: what is measured, how it is judged, and that nothing of it raises or writes."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.factories import START, event, snapshot
from xcstore.errors import NotAStoreError, StoreTimeoutError, StoreUnavailableError
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION
from xcstore.model.loader import component_from_document
from xcstore.ops import health_checks as checks
from xcstore.ops.health import Check, HealthReport, HealthSettings, check_health, not_opened
from xcstore.ops.health_measures import QueryTime, Watch, growth, stored_delay
from xcstore.ops.health_snapshots import advise, ended_states, machine_advice
from xcstore.store.base import InstanceQuery, PoolUse, Stores, StoreStatus
from xcstore.store.latency import OperationLatency, latency_of
from xcstore.store.memory import InMemoryEventStore, open_memory_stores
from xcstore.store.opening import open_stores
from xcstore.units import DAY, HOUR, MINUTE, EpochMs

NOW = EpochMs(START + 100 * DAY)


def check(report: HealthReport, name: str) -> Check:
    return next(found for found in report.checks if found.name == name)


def marks(report: HealthReport) -> dict[str, str]:
    return {found.name: found.mark for found in report.checks}


def history(instance_id: str, *times: int, **common: Any) -> list[Any]:
    """Created, and moved on at each time after the first."""
    states = ["Created" if number % 2 == 0 else "Paid" for number in range(len(times))]
    return [
        event(
            instance_id=instance_id,
            persisted_at=EpochMs(time),
            event_type=CREATION if number == 0 else "PAY",
            state_before="" if number == 0 else states[number - 1],
            state_after=states[number],
            **common,
        )
        for number, time in enumerate(times)
    ]


# The whole report, on every backend


def test_an_empty_store_is_well(stores: Stores) -> None:
    # A busy machine, and what earlier tests asked of the same server in this process, must not count as slow.
    report = check_health(stores, HealthSettings(latency_ms=60_000), now=NOW)

    assert report.worst == "ok", report.checks
    assert check(report, "newest event").sentence == "No event is stored yet."


def test_a_report_measures_every_question_and_says_it_in_words(stores: Stores) -> None:
    stores.events.append_many(history("i1", NOW - HOUR, NOW - MINUTE))

    report = check_health(stores, HealthSettings(latency_ms=60_000), now=NOW, opened_ms=12)

    assert [time.name for time in report.queries] == ["page of events", "one history", "trace", "counts"]
    assert all(time.median_ms is not None and time.runs == 3 and not time.problem for time in report.queries)
    assert report.worst == "ok", report.checks
    assert report.instances == 1
    assert report.status is not None
    assert report.status.event_count == 2
    assert "opening it took 12 ms" in check(report, "answers").sentence
    assert check(report, "newest event").value == "1 min ago"


def test_a_report_is_json(stores: Stores) -> None:
    stores.events.append_many(history("i1", NOW - HOUR, NOW - MINUTE))

    document = json.loads(json.dumps(check_health(stores, now=NOW).document()))

    assert document["identity"] == stores.identity
    assert {"name", "mark", "value", "threshold", "sentence"} == set(document["checks"][0])
    assert document["worst"] in ("ok", "warning", "critical", "unknown")


def test_a_check_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with open_stores(f"sqlite:///{path}", read_only=False) as stores:
        stores.events.append_many(history("i1", NOW - HOUR, NOW))
    before = path.read_bytes()

    with open_stores(f"sqlite:///{path}") as stores:
        check_health(stores, now=NOW)

    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.db"]


def test_a_store_whose_tables_are_gone_is_reported_and_not_raised(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    open_stores(f"sqlite:///{path}", read_only=False).close()
    with open_stores(f"sqlite:///{path}") as stores:
        with sqlite3.connect(path) as other:
            other.execute("DROP TABLE fsm_events")
            other.execute("DROP TABLE fsm_event_counts")
        other.close()
        report = check_health(stores, now=NOW)

    assert report.worst == "critical"
    assert "fsm_event_counts" in check(report, "answers").sentence


class TimingOut(InMemoryEventStore):
    """Counting takes too long, as in a large store of others."""

    def count(self, *_: Any, **__: Any) -> Any:
        raise StoreTimeoutError("it took longer than 10 s")


def test_a_question_that_times_out_makes_its_check_unknown_for_that_reason_and_spares_the_others() -> None:
    stores = open_memory_stores()
    slow = TimingOut()
    slow.append_many(history("i1", NOW - HOUR, NOW))
    report = check_health(Stores(events=slow, snapshots=stores.snapshots, definitions=stores.definitions), now=NOW)

    assert report.worst == "unknown"
    assert {name for name, mark in marks(report).items() if mark == "unknown"} == {"counts", "size"}
    assert check(report, "counts").sentence == "it took longer than 10 s"
    assert report.growth is None


def test_after_its_time_a_report_asks_nothing_more() -> None:
    moments = iter([0.0, 1.0, 1.1, 30.0])
    watch = Watch(20, clock=lambda: next(moments))

    assert watch.timed(lambda: "answer") == ("answer", pytest.approx(100), "")
    answer, _, problem = watch.timed(lambda: "late")
    assert (answer, problem) == (None, "not asked: what was asked before took longer than 20 s")


def test_a_store_that_cannot_be_opened_is_critical() -> None:
    report = not_opened("postgresql://db/shop", StoreUnavailableError("it cannot be reached"))

    assert report.worst == "critical"
    assert check(report, "answers").sentence == "it cannot be reached"


def test_a_server_that_answers_but_holds_no_store_is_not_taken_for_one_that_is_away() -> None:
    report = not_opened("mongodb://db/shopp", NotAStoreError("it has no collection events"))

    assert marks(report) == {"answers": "ok", "history": "warning"}
    assert "nothing was written yet, or its name is another" in check(report, "history").sentence
    assert "it has no collection events" in check(report, "history").sentence


# Appends


def calls(operation: str, window: int, p50_ms: float, p95_ms: float) -> OperationLatency:
    return OperationLatency(
        operation=operation,
        count=window,
        window=window,
        p50_ms=p50_ms,
        p95_ms=p95_ms,
        p99_ms=p95_ms,
        slowest_ms=p95_ms,
    )


@pytest.mark.parametrize(
    ("seen", "mark"),
    [
        (calls("instances", 30, 592, 1_380), "critical"),
        (calls("instances", 30, 20, 592), "warning"),
        (calls("instances", 30, 20, 90), "ok"),
        (calls("instances", 5, 20, 592), "ok"),
        (calls("instances", 5, 592, 900), "warning"),
        (calls("instances", 2, 5_000, 5_000), "ok"),
        (calls("count", 30, 500, 900), "ok"),
        (calls("count", 30, 500, 1_100), "warning"),
        (calls("append_many", 30, 5_000, 9_000), "ok"),
    ],
)
def test_calls_of_this_process_that_were_slow_are_judged(seen: OperationLatency, mark: str) -> None:
    found = checks.calls_seen([calls("find", 30, 1, 2), seen], 100)

    assert found.mark == mark
    assert (seen.operation in found.sentence) == (mark != "ok")


def test_single_slow_calls_are_told_of_though_no_kind_is_slow() -> None:
    found = checks.calls_seen([calls("find", 30, 1, 2)], 100, 4)

    assert (found.mark, found.value) == ("ok", "4 slow")
    assert "4 single calls of all kinds took over 100 ms" in found.sentence


def test_a_report_is_not_well_where_its_own_process_waited_long(tmp_path: Path) -> None:
    with open_stores(f"sqlite:///{tmp_path / 'a.db'}", read_only=False) as stores:
        stores.events.append_many(history("i1", NOW - HOUR, NOW))
        for _ in range(30):
            latency_of(stores.identity).observe("get_events", 70_000.0)
        report = check_health(stores, HealthSettings(latency_ms=60_000), now=NOW)

    assert check(report, "calls, seen here").mark == "warning"
    assert report.worst == "warning"


def test_appends_are_judged_by_what_this_process_saw(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with open_stores(url, read_only=False) as stores:
        for one in history("i1", *range(NOW - HOUR, NOW, 10 * MINUTE)):
            stores.events.append(one)
        report = check_health(stores, HealthSettings(latency_ms=0.000_001), now=NOW)

    assert report.appends is not None
    assert report.appends.count == 6
    assert check(report, "appends, seen here").mark == "critical"


def test_a_process_that_never_appended_says_so(tmp_path: Path) -> None:
    with open_stores(f"sqlite:///{tmp_path / 'a.db'}", read_only=False) as stores:
        stores.events.append_many(history("i1", NOW))
        report = check_health(stores, now=NOW)

    assert report.appends is None
    assert check(report, "appends, seen here").value == "none"


@pytest.mark.parametrize(("ms", "mark"), [(100, "ok"), (101, "warning"), (1_000, "warning"), (1_001, "critical")])
def test_the_limit_of_latency_warns_and_ten_times_it_is_critical(ms: float, mark: str) -> None:
    seen = OperationLatency(operation="append", count=9, window=9, p50_ms=1, p95_ms=ms, p99_ms=9_999, slowest_ms=9_999)
    assert checks.appends_seen(seen, 100).mark == mark
    assert checks.query(QueryTime(name="trace", median_ms=ms, runs=3), 100).mark == mark
    assert checks.query(QueryTime(name="counts", median_ms=10 * ms, runs=3), 100).mark == mark


def test_what_events_recorded_of_their_own_storing_is_summed_up() -> None:
    delays = [0, 10, 20, 500]
    events = [event(persisted_at=EpochMs(START + delay), timestamp=START) for delay in delays]

    found = stored_delay([*events, event(timestamp=None), event(persisted_at=START, timestamp=EpochMs(START + 9))])

    assert found is not None
    assert (found.events, found.p50_ms, found.p95_ms, found.slowest_ms) == (5, 10, 500, 500)
    assert checks.appends_recorded(found, 100).mark == "warning"
    assert stored_delay([event(timestamp=None)]) is None
    assert checks.appends_recorded(None, 100).mark == "ok"


# Connections, age, size


@pytest.mark.parametrize(
    ("in_use", "waiting", "mark"), [(0, 0, "ok"), (15, 0, "ok"), (16, 0, "warning"), (20, 1, "critical")]
)
def test_connections_warn_before_they_run_out(in_use: int, waiting: int, mark: str) -> None:
    pool = PoolUse(maximum=20, open=in_use, in_use=in_use, waiting=waiting)
    assert checks.connections(pool).mark == mark


def test_an_event_from_the_future_is_a_warning_about_clocks(stores: Stores) -> None:
    stores.events.append_many(history("i1", NOW + HOUR))

    report = check_health(stores, now=NOW)

    assert check(report, "newest event").mark == "warning"
    assert "1 h from now" in check(report, "newest event").sentence


def test_growth_is_counted_by_day_and_goes_on_as_in_the_last_seven(stores: Stores) -> None:
    until = EpochMs(START + 60 * DAY + 12 * HOUR)
    times = [until, until - 7 * DAY, until - 7 * DAY - 1, until - 29 * DAY, until - 31 * DAY, until + 1]
    stores.events.append_many(event(persisted_at=EpochMs(time)) for time in times)

    grown = growth(stores, until)

    assert (grown.week, grown.month) == (2, 4)
    assert grown.per_day_week == 2 / 7
    assert grown.next_month == round(2 / 7 * 30)
    assert len(grown.days) == 31
    assert grown.days[-1] == (START + 60 * DAY, 1)
    assert sum(count for _, count in grown.days) == 4


def test_an_old_dump_grows_until_its_newest_event_and_not_until_today(stores: Stores) -> None:
    stores.events.append_many(history("i1", START, START + DAY))

    grown = check_health(stores, now=NOW).growth

    assert grown is not None
    assert (grown.until, grown.week) == (START + DAY, 2)


def test_size_and_projection_are_in_words() -> None:
    stores = open_memory_stores()
    stores.events.append_many(event(persisted_at=EpochMs(NOW - number)) for number in range(70))
    status = StoreStatus(server="x", size_bytes=70_000, event_count=70, event_count_is_exact=False)

    found = checks.size(status, growth(stores, NOW), "")

    assert found.value == "70.0 kB"
    assert found.sentence == (
        "It holds about 70 events in 70.0 kB. In the 7 days up to its newest event it got 10 events a day, "
        "in the 30 days up to it 2.3 a day; 30 more days like the latest bring 300, about 300.0 kB."
    )


def test_a_store_of_a_few_days_has_the_rate_of_these_days() -> None:
    stores = open_memory_stores()
    stores.events.append_many(event(persisted_at=EpochMs(NOW - day * DAY)) for day in range(3) for _ in range(100))

    grown = growth(stores, NOW, EpochMs(NOW - 2 * DAY))

    assert (grown.per_day_week, grown.per_day_month, grown.next_month) == (150, 150, 4_500)
    assert (
        "In its 2 days so far it got 150 events a day; 30 more days"
        in checks.size(StoreStatus(server="x"), grown, "").sentence
    )


def test_an_empty_store_speaks_of_no_rates(stores: Stores) -> None:
    report = check_health(stores, now=NOW)

    assert check(report, "appends, recorded").sentence == "No event is stored yet."
    assert check(report, "size").sentence.startswith("It holds no event yet")
    assert "a day" not in check(report, "size").sentence


# Snapshots


def component(name: str = "Shop") -> Any:
    return component_from_document(
        {
            "name": name,
            "stateMachines": [
                {
                    "name": "Order",
                    "initialState": "Created",
                    "states": [{"name": "Created", "type": "entry"}, {"name": "Paid", "type": "final"}],
                    "transitions": [{"from": "Created", "to": "Paid", "event": "PAY"}],
                }
            ],
        }
    )


def test_lag_is_counted_in_events_after_the_snapshot(stores: Stores) -> None:
    events = history("i1", *(NOW - HOUR + number for number in range(7)))
    other = history("i2", *(NOW - HOUR + number for number in range(3)))
    bare = history("i3", *(NOW - HOUR + number for number in range(5)))
    stores.events.append_many([*events, *other, *bare])
    stores.snapshots.save_snapshots(
        [
            snapshot(id="i1", last_event_id=events[2].id, snapshot_at=NOW - HOUR + 2),
            snapshot(id="i2", last_event_id=other[-1].id, snapshot_at=NOW - HOUR + 2),
        ]
    )

    lag = check_health(stores, now=NOW).snapshots

    assert lag is not None
    assert {item.instance_id: (item.behind, item.has_snapshot) for item in lag.instances} == {
        "i1": (4, True),
        "i2": (0, True),
        "i3": (5, False),
    }
    assert (lag.live, lag.without, lag.worst, lag.snapshots) == (3, 1, 4, 2)
    assert [item.instance_id for item in lag.instances] == ["i3", "i1", "i2"]


def test_lag_is_by_time_where_the_snapshot_does_not_name_its_event() -> None:
    stores = open_memory_stores()
    stores.events.append_many(history("i1", *(NOW - 10 + number for number in range(5))))
    stores.snapshots.save_snapshot(snapshot(id="i1", last_event_id="", snapshot_at=EpochMs(NOW - 8)))

    lag = check_health(stores, now=NOW).snapshots

    assert lag is not None
    assert lag.worst == 2


def test_instances_that_ended_by_their_definition_need_no_snapshot(stores: Stores) -> None:
    stores.events.append_many([*history("i1", NOW - HOUR, NOW - MINUTE), *history("i2", NOW - HOUR)])

    ended = ended_states(Catalog([component()]))
    lag = check_health(stores, ended=ended, now=NOW).snapshots

    assert ended == (("Shop", "Order", "Paid"),)
    assert lag is not None
    assert [item.instance_id for item in lag.instances] == ["i2"]
    assert lag.live == 1


@pytest.mark.parametrize(("events", "mark"), [(100, "ok"), (101, "warning"), (1_001, "critical")])
def test_snapshots_far_behind_are_a_warning_and_then_critical(events: int, mark: str) -> None:
    stores = open_memory_stores()
    stream = history("i1", *(NOW - HOUR + number for number in range(events)))
    stores.events.append_many([*stream, *history("i2", NOW - HOUR, NOW, NOW + 1)])
    stores.snapshots.save_snapshot(snapshot(id="i1", last_event_id=stream[0].id))

    report = check_health(stores, now=EpochMs(NOW + HOUR))

    assert check(report, "snapshots behind").mark == mark
    assert f"at most {events - 1:,}" in check(report, "snapshots behind").sentence


def test_a_long_history_without_snapshot_is_a_warning() -> None:
    stores = open_memory_stores()
    stores.events.append_many(history("i1", *(NOW - HOUR + number for number in range(101))))

    report = check_health(stores, now=NOW)

    assert check(report, "without snapshot").mark == "warning"
    assert "1 of these have 100 events or more" in check(report, "without snapshot").sentence


@pytest.mark.parametrize(
    ("per_hour", "median_ms", "expected"),
    [
        (59.9, HOUR, ("low", False, 20)),
        (59.9, DAY, ("low", True, 10)),
        (60.0, HOUR, ("high", False, 100)),
        (60.0, DAY, ("high", True, 50)),
    ],
)
def test_the_interval_follows_the_rule_of_the_specification(
    per_hour: float, median_ms: int, expected: tuple[str, bool, int]
) -> None:
    assert advise(per_hour, median_ms) == expected


def test_advice_rests_on_the_rate_and_length_of_the_instances_of_each_machine(stores: Stores) -> None:
    slow = [one for number in range(3) for one in history(f"s{number}", START, START + DAY, START + 2 * DAY)]
    fast = [
        one
        for number in range(3)
        for one in history(f"f{number}", *(START + second * 1_000 for second in range(61)), machine_name="Ticker")
    ]
    stores.events.append_many([*slow, *fast])

    advice = {
        item.machine_name: item for item in machine_advice(stores, stores.events.count_instances(InstanceQuery()))
    }

    order, ticker = advice["Order"], advice["Ticker"]
    assert (order.frequency, order.is_long_running, order.interval) == ("low", True, 10)
    assert order.per_hour == pytest.approx(2 / 48)
    assert (ticker.frequency, ticker.is_long_running, ticker.interval) == ("high", False, 100)
    assert ticker.per_hour == pytest.approx(3_600)
    assert (ticker.looked_at, ticker.instances, ticker.median_ms, ticker.median_transitions) == (3, 3, 60_000, 60)


def test_nothing_is_advised_where_nothing_moved() -> None:
    stores = open_memory_stores()
    stores.events.append_many(one for number in range(3) for one in history(f"i{number}", NOW))

    (item,) = machine_advice(stores, stores.events.count_instances(InstanceQuery()))

    assert (item.interval, item.frequency, item.is_long_running, item.per_hour) == (None, None, None, None)


# Retention


def test_what_is_beyond_retention_is_counted_and_a_warning(stores: Stores) -> None:
    stores.events.append_many(event(persisted_at=EpochMs(NOW - days * DAY)) for days in (1, 89, 90, 91, 92, 200))

    report = check_health(stores, HealthSettings(retention_days=90), now=NOW)

    assert report.retention is not None
    assert report.retention.events_beyond == 3
    assert check(report, "retention").mark == "warning"
    assert check(report, "retention").value == "3 events beyond"


def test_after_a_prune_what_is_still_old_had_to_stay() -> None:
    use = checks.RetentionUse(days=90, events_beyond=3, snapshots_kept=10, snapshots_beyond=0)

    assert checks.retention(use, NOW, "").mark == "warning"
    assert "No run of prune is noted." in checks.retention(use, NOW, "").sentence
    lately = replace(use, pruned_at=EpochMs(NOW - 2 * DAY), pruned_events=40)
    assert checks.retention(lately, NOW, "").mark == "ok"
    assert "The latest prune, 2 d ago, removed 40 events." in checks.retention(lately, NOW, "").sentence
    assert checks.retention(replace(use, pruned_at=EpochMs(NOW - 8 * DAY)), NOW, "").mark == "warning"


def test_without_retention_events_are_kept_for_ever() -> None:
    found = check(check_health(open_memory_stores(), now=NOW), "retention")

    assert found.mark == "ok"
    assert found.sentence.startswith("Events are kept for ever, and 10 snapshots of each instance")
