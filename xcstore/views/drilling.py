"""What the Restore page shows of a drill: the certificate."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import tzinfo
from typing import Final

from xcstore.ops.drill import Damage, DrillReport
from xcstore.render.labels import count_text, duration_text, moment_text, visible_text
from xcstore.views.integrity import Number

__all__ = [
    "command",
    "damage_rows",
    "damages_text",
    "digest_rows",
    "file_name",
    "left_out_text",
    "numbers",
    "phase_rows",
    "verdict",
]

Row = dict[str, object]

_PASSED: Final = "✓ PASSED: this store can be restored from what is in it"
_FAILED: Final = "✕ FAILED: not all of this store can be restored as it was"


def verdict(found: DrillReport) -> str:
    """The certificate in one line."""
    parts = [_PASSED if found.passed else _FAILED]
    if found.damage_count:
        parts.append(count_text(found.damage_count, "damage"))
    if found.warning_count:
        parts.append(f"▲ {count_text(found.warning_count, 'warning')}")
    return " · ".join(parts)


def numbers(found: DrillReport, zone: tzinfo) -> tuple[Number, ...]:
    """What was restored, and how long it took; '–' for what it did not come to."""
    events = found.digest.parts()["events"].count if found.digest is not None else None
    revived = found.revived
    point = "" if found.recovery_point is None else f". It was stored {moment_text(found.recovery_point, zone)}"
    return (
        Number(label="Events", value=_count(events), meaning="Read, restored into a temporary store, and compared"),
        Number(
            label="Live again",
            value=_count(None if revived is None else revived.instances),
            meaning="Instances brought back",
        ),
        Number(
            label="By snapshots",
            value=_count(None if revived is None else revived.from_snapshot),
            meaning="Of these, from a snapshot and the events after it",
        ),
        Number(
            label="Ended",
            value=_count(None if revived is None else revived.ended),
            meaning="Instances that have ended, and stay so",
        ),
        Number(
            label="Overdue",
            value=_count(None if revived is None else revived.overdue),
            meaning="Timers that would fire once on going on",
        ),
        Number(
            label="Recovery time",
            value="–" if found.recovery_seconds is None else duration_text(found.recovery_seconds * 1_000),
            meaning="To read, check, restore and bring back, on this machine (RTO)",
        ),
        Number(
            label="Recovery point",
            value=duration_text(found.recovery_age_ms),
            meaning=f"Age of the newest event: what happened later is not in it (RPO){point}",
        ),
    )


def _count(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"


def left_out_text(found: DrillReport) -> str:
    """Instances that were not tried, and why; '' where there are none."""
    if not found.not_revived:
        return ""
    return (
        f"◌ {count_text(found.not_revived, 'instance')} could not be brought to life: no definition of the component "
        "is known here. Upload it in the sidebar, or set XCSTORE_DEFINITIONS."
    )


def damage_rows(damages: Sequence[Damage]) -> list[Row]:
    """A row for each damage, or each warning."""
    return [
        {
            "kind": visible_text(one.kind.replace("_", " "), 60),
            "where": visible_text(one.where, 200),
            "what": visible_text(one.text, 400),
        }
        for one in damages
    ]


def damages_text(shown: int, count: int, noun: str) -> str:
    """How many there are, and how many of them are told."""
    return f"shown {shown:,} of {count_text(count, noun)}" if shown < count else count_text(count, noun)


def phase_rows(found: DrillReport) -> list[Row]:
    """A row for each phase, and how long it took."""
    return [
        {"phase": visible_text(phase.name, 60), "took": duration_text(phase.seconds * 1_000)} for phase in found.phases
    ]


def digest_rows(found: DrillReport) -> list[Row]:
    """Counts and digests: what came out of the drill is what went in."""
    if found.digest is None:
        return []
    return [
        {"of": name.replace("_", " "), "count": part.count, "SHA-256": part.sha256}
        for name, part in found.digest.parts().items()
    ]


def command(identity: str) -> str:
    """The line that does the same at a shell, such as in CI. `identity` is without its password."""
    return f"python -m xcstore drill {shlex.quote(visible_text(identity, 300))} --json"


def file_name(found: DrillReport, zone: tzinfo) -> str:
    """Of the certificate as a download."""
    when = moment_text(found.asked_at, zone).replace(" ", "-").replace(":", "")
    return f"drill-{'passed' if found.passed else 'failed'}-{when}.json"
