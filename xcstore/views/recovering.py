"""What the Restore page shows of a recovery: what would be written, and how it is taken back."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Final

from xcstore.ops.recovery import RecoveryReport, UndoReport
from xcstore.ops.recovery_plan import REASONS, RecoveryPlan, Skipped, SnapshotRepair
from xcstore.render.labels import count_text, moment_text, short_id, visible_text
from xcstore.units import EpochMs
from xcstore.views.integrity import Number

__all__ = [
    "SHOWN",
    "cannot_recover",
    "command",
    "done_text",
    "log_path",
    "numbers",
    "reason_rows",
    "repair_rows",
    "shown_text",
    "skipped_rows",
    "undo_command",
    "undone_text",
    "verdict",
]

Row = dict[str, object]

SHOWN: Final = 500
"""Rows that are shown of what would be written."""
_NEEDED: Final = frozenset(("append", "expected_last_id", "delete", "snapshots"))
"""What a store must keep of the contract, so that what was written can be taken back."""


def cannot_recover(layout: str, declares: Collection[str], *, masked: bool) -> str:
    """Why nothing can be recovered into this store; '' where it can."""
    if _NEEDED - set(declares):
        return "A store of this kind cannot take back what is written, so nothing is recovered into it."
    if layout != "ours":
        return "This is a store of another writer, which is never written to."
    if masked:
        return "Parts of the data are masked here (XCSTORE_REDACT), and would be written masked. Use the command:"
    return ""


def verdict(plan: RecoveryPlan) -> str:
    """The plan in one line."""
    if plan.is_empty:
        return "✓ There is nothing to write: no snapshot is missing, behind, or disagrees, as far as the events tell"
    return f"▲ {count_text(len(plan.snapshots), 'snapshot')} would be written, each from the events of its instance"


def numbers(plan: RecoveryPlan) -> tuple[Number, ...]:
    """What would be written, in figures."""
    replaced = sum(1 for one in plan.snapshots if one.replaces)
    return (
        Number(label="New", value=f"{len(plan.snapshots) - replaced:,}", meaning="Instances that have no snapshot yet"),
        Number(label="Replaced", value=f"{replaced:,}", meaning="The log keeps what they replace"),
        Number(
            label="Left alone",
            value=f"{len(plan.skipped):,}",
            meaning="Their events do not tell for certain what they hold; why is below",
        ),
    )


def reason_rows(plan: RecoveryPlan) -> list[Row]:
    """Why snapshots would be written, the most frequent reason first."""
    counts = Counter(one.reason for one in plan.snapshots)
    return [{"because": REASONS[reason], "snapshots": count} for reason, count in counts.most_common()]


def repair_rows(repairs: Sequence[SnapshotRepair]) -> list[Row]:
    """A row for each snapshot that would be written, the first `SHOWN`."""
    return [
        {
            "instance": visible_text(one.instance_id, 80),
            "machine": visible_text(one.machine_name, 80),
            "state": visible_text(one.state, 60),
            "because": REASONS[one.reason],
            "as of event": short_id(one.last_event_id),
            "differs": visible_text(one.text, 300),
            "component": visible_text(one.component_name, 80) or "(none)",
        }
        for one in repairs[:SHOWN]
    ]


def skipped_rows(skipped: Sequence[Skipped]) -> list[Row]:
    """A row for each instance that is left alone, the first `SHOWN`."""
    return [
        {"instance": visible_text(one.instance_id, 80), "because": visible_text(one.reason, 300)}
        for one in skipped[:SHOWN]
    ]


def shown_text(count: int, noun: str) -> str:
    """How many there are, and how many of them are told."""
    return f"shown {SHOWN:,} of {count_text(count, noun)}" if count > SHOWN else count_text(count, noun)


def done_text(report: RecoveryReport) -> str:
    """What a recovery did."""
    said = f"{count_text(report.snapshots, 'snapshot')} written"
    if report.skipped:
        said += f"; {count_text(len(report.skipped), 'instance')} changed meanwhile and left alone"
    return f"{said}. The log is {visible_text(str(report.log), 300)}"


def undone_text(report: UndoReport) -> str:
    """What was taken back."""
    said = f"Taken back: {count_text(report.snapshots, 'snapshot')}."
    if not report.left:
        return f"{said} The store is as it was before."
    shown = "; ".join(visible_text(one, 100) for one in report.left[:3])
    more = f"; shown 3 of {len(report.left):,}" if len(report.left) > 3 else ""
    return f"{said} Left, as changed since: {shown}{more}."


def log_path(url: str, now: EpochMs, zone: tzinfo) -> Path:
    """Where the log goes: beside the file of the store, else where the app was started."""
    name = f"recovery-{moment_text(now, zone).replace(' ', '-').replace(':', '')}.jsonl"
    if url.startswith("sqlite:///"):
        file = Path(url.removeprefix("sqlite:///").partition("?")[0])
        return file.with_name(f"{file.name}.{name}")
    return Path.cwd() / name


def command(identity: str) -> str:
    """The line that does it at a shell. `identity` is without its password, which has to be put in."""
    return f"XCSTORE_ALLOW_WRITE=true python -m xcstore recover {shlex.quote(visible_text(identity, 300))}"


def undo_command(identity: str, log: Path) -> str:
    """The line that takes it back."""
    return f"{command(identity)} --undo {shlex.quote(visible_text(str(log), 300))}"
