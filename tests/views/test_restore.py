"""The words of the Restore page: what was audited, what would come back, what the drill says, what would be written."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest

from tests.factories import START, snapshot
from xcstore.ops.auditing import STANDINGS, AuditedSnapshot, AuditPage, Standing
from xcstore.ops.drill import Damage, DrillReport, Phase, Revived
from xcstore.ops.recovery import RecoveryPlan, SnapshotRepair
from xcstore.ops.restoration_results import (
    ComponentRestoration,
    InstanceRestoration,
    Problem,
    RestorationReport,
    RestoredTimer,
    SnapshotAudit,
)
from xcstore.store.base import FEATURES, Cursor
from xcstore.units import HOUR, MINUTE, DurationMs, EpochMs
from xcstore.views import drilling, recovering, restore, restoring

HOSTILE = "a\u202eb\n<img src=x>"
CERTIFICATE = DrillReport(
    source="sqlite:///history.db",
    asked_at=START,
    passed=True,
    strict=False,
    phases=(Phase(name="read", seconds=0.25),),
    damages=(),
    damage_count=0,
    warnings=(),
    warning_count=0,
    notes=(),
    digest=None,
    revived=Revived(
        components=1, instances=3, active=3, from_snapshot=2, events=9, ended=4, timers=1, overdue=1, work=0
    ),
    not_revived=0,
    recovery_seconds=1.5,
    recovery_point=START,
    recovery_age_ms=DurationMs(2 * HOUR),
)


def audited(standing: Standing, **fields: object) -> AuditedSnapshot:
    return AuditedSnapshot(snapshot=snapshot(id="one", snapshot_at=START), standing=standing, **fields)  # type: ignore[arg-type]


def page(*, total: int, following: str | None = None, **counts: int) -> AuditPage:
    return AuditPage(
        items=(),
        counts={**dict.fromkeys(STANDINGS, 0), **counts},  # type: ignore[dict-item]
        total=total,
        next=Cursor(following) if following else None,
    )


def test_what_was_audited_is_told_with_how_many_there_are() -> None:
    assert restore.page_text(page(total=3, agrees=2, behind=1), 0) == (
        "audited all 3 of 3 snapshots, by instance id: 2 agrees · 1 behind"
    )
    assert restore.page_text(page(total=120, agrees=50, following="x"), 50).startswith(
        "audited 51 to 100 of 120 snapshots"
    )
    assert restore.page_text(page(total=7), 0) == "none audited of 7 snapshots"


def test_a_snapshot_whose_values_could_not_be_compared_says_that_only_its_state_was() -> None:
    now = EpochMs(START + HOUR)
    row, other = restore.kept_rows(
        [audited("agrees", compared=False, behind=0, events=2), audited("adrift", compared=False)], now=now, zone=UTC
    )

    assert row["is"] == "✓ agrees (state)"
    assert (row["age"], row["behind"]) == ("1 h ago", "0 of 2 events")
    assert (other["is"], other["behind"]) == ("✕ event not known", "not known")


def test_what_is_not_recorded_is_not_shown_as_a_fact() -> None:
    found = audited("agrees", behind=0, events=1)
    odd = replace(found, snapshot=replace(found.snapshot, status_recorded=False, timeouts_recorded=False))
    (row,) = restore.kept_rows([odd], now=START, zone=UTC)

    assert row["status"] == row["timers"] == "not recorded"


def item(**fields: object) -> InstanceRestoration:
    common: dict[str, object] = {
        "instance_id": "one",
        "component_name": "Shop",
        "machine_name": "Order",
        "outcome": "restored",
        "base": "snapshot_and_events",
        "events": 5,
        "folded": 2,
        "state": "Paid",
        "agrees": True,
        "snapshot": SnapshotAudit(state="behind", behind=2, behind_ms=DurationMs(MINUTE)),
    }
    return InstanceRestoration(**{**common, **fields})  # type: ignore[arg-type]


def facts(one: InstanceRestoration) -> dict[object, object]:
    return {row["what"]: row["is"] for row in restoring.fact_rows(one, UTC)}


def test_one_instance_tells_from_what_it_comes_and_when_its_timers_fire() -> None:
    running = RestoredTimer(
        event_type="LATE", due=EpochMs(START + HOUR), remaining_ms=DurationMs(HOUR), overdue=False, cause=""
    )
    overdue = RestoredTimer(event_type="DUE", due=START, remaining_ms=DurationMs(0), overdue=True, cause="")
    told = facts(item(timers=(running, overdue)))

    assert told["from"] == "its snapshot and the events after it: 2 events folded"
    assert str(told["timer LATE"]).startswith("runs for another 1 h")
    assert str(told["timer DUE"]).endswith("would fire once")
    assert "2 events and 1 min behind" in str(told["snapshot"])


def test_what_does_not_come_back_says_why_and_stored_text_shows_what_is_in_it() -> None:
    lost = item(
        outcome="not_restored",
        base="none",
        state=HOSTILE,
        agrees=None,
        problems=(Problem(kind="no_machine", text=HOSTILE),),
    )
    told = facts(lost)

    assert told["would come back"] == "✕ does not come back"
    assert told["as all events say"] == "cannot be told"
    assert "\u202e" not in str(told["in state"]) + str(told["problem"])
    assert "↵" in str(told["problem"])


def report(*, restored: int, lost: int, told_of: int = 0) -> RestorationReport:
    part = ComponentRestoration(
        component_name="Shop",
        instances=restored + lost + 1,
        restored=restored,
        from_snapshot=1,
        ended=1,
        not_restored=lost,
        timers=0,
        overdue=0,
        work=0,
        problems={},
        snapshots={},
    )
    return RestorationReport(
        store="memory://", as_of=START, asked_at=START, seconds=1.0, components=(part,), told=(), told_of=told_of
    )


def test_the_verdict_of_a_dry_run_says_first_what_is_lost() -> None:
    assert restoring.verdict(report(restored=3, lost=2)) == "✕ 2 instances would not come back, 3 would"
    assert restoring.verdict(report(restored=3, lost=0)).startswith("✓ Every live instance would come back: 3")
    assert restoring.verdict(report(restored=0, lost=0)).startswith("✓ No instance lives")
    assert restoring.told_text(report(restored=3, lost=2, told_of=9)).startswith("shown 0 of 9 instances")


def test_a_certificate_says_passed_or_failed_and_shows_nothing_that_it_did_not_come_to() -> None:
    damage = Damage(kind="chain_break", where="event x", text=HOSTILE)
    failed = replace(
        CERTIFICATE,
        passed=False,
        damages=(damage,),
        damage_count=120,
        revived=None,
        recovery_seconds=None,
        recovery_age_ms=None,
    )

    assert drilling.verdict(CERTIFICATE).startswith("✓ PASSED")
    assert drilling.verdict(failed) == "✕ FAILED: not all of this store can be restored as it was · 120 damages"
    assert {number.value for number in drilling.numbers(failed, UTC)} == {"–"}
    assert drilling.damages_text(1, 120, "damage") == "shown 1 of 120 damages"
    assert "\u202e" not in str(drilling.damage_rows(failed.damages))
    values = {number.label: number.value for number in drilling.numbers(CERTIFICATE, UTC)}
    assert (values["Live again"], values["Recovery time"], values["Recovery point"]) == ("3", "1.5 s", "2 h")


def test_the_name_of_a_certificate_says_when_it_is_of_and_what_it_says() -> None:
    assert drilling.file_name(CERTIFICATE, UTC) == "drill-passed-2026-01-01-000000.json"


def test_a_plan_is_counted_by_what_is_new_and_what_is_replaced() -> None:
    new = SnapshotRepair(
        instance_id="a", component_name="Shop", machine_name="Order", reason="missing", state="Paid", last_event_id="e1"
    )
    plan = RecoveryPlan(
        store="sqlite:///a.db",
        source=None,
        asked_at=START,
        snapshots=(new, replace(new, instance_id="b", reason="behind", replaces="fp")),
    )

    assert {number.label: number.value for number in recovering.numbers(plan)} == {
        "New": "1",
        "Replaced": "1",
        "Left alone": "0",
    }
    assert [row["snapshots"] for row in recovering.reason_rows(plan)] == [1, 1]
    assert recovering.verdict(replace(plan, snapshots=())).startswith("✓ There is nothing to write")


@pytest.mark.parametrize(
    ("layout", "declares", "masked", "said"),
    [
        ("ours", FEATURES, False, ""),
        ("ours", FEATURES, True, "masked"),
        ("shipped", FEATURES, False, "another writer"),
        ("documents", FEATURES - {"delete"}, False, "cannot take back"),
    ],
)
def test_what_may_not_be_written_is_said(layout: str, declares: frozenset[str], masked: bool, said: str) -> None:
    answer = recovering.cannot_recover(layout, declares, masked=masked)
    assert (said in answer) if said else not answer


def test_the_log_lies_beside_the_file_of_the_store() -> None:
    path = recovering.log_path("sqlite:////srv/history.db?mode=rw", START, UTC)
    assert path == Path("/srv/history.db.recovery-2026-01-01-000000.jsonl")
    assert "'/a b'" in recovering.undo_command("sqlite:///x.db", Path("/a b"))
