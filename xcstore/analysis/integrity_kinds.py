"""Every kind of finding in one table.

Severities
----------
*error*    The history contradicts itself: what is derived from it (a trace, a state, a restore) can be untrue.
*warning*  Something is probably not as it was, or cannot be followed, but there is an ordinary reason for it.
*info*     Worth knowing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

__all__ = ["KINDS", "SEVERITIES", "Kind", "Severity"]

Severity = Literal["error", "warning", "info"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
"""The worst first."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding."""

    name: str
    severity: Severity
    """What it usually is; a single finding may be less."""
    title: str
    meaning: str


KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind(
            "damaged_file",
            "error",
            "Damaged files",
            "A file of an archive that is not what was written, or a SQLite file whose pages or indexes contradict "
            "each other. Servers look after their own files.",
        ),
        Kind(
            "chain_break",
            "error",
            "Breaks in a state chain",
            "An event starts in another state than the event before it, of the same instance, ended in.",
        ),
        Kind(
            "duplicate_instance",
            "error",
            "Duplicate instances",
            "One instance id in two machines or components, or created twice. A warning where two lines of events are "
            "mixed, as of two runtimes.",
        ),
        Kind(
            "unknown_state",
            "error",
            "Unknown states",
            "A state that the definition of the machine does not have; one finding for each such state. An event "
            "stamped with a version that is not known is not judged by another.",
        ),
        Kind(
            "dangling_cause",
            "error",
            "Dangling causes",
            "A recorded cause that is not in the store. A warning where retention has removed events from it.",
        ),
        Kind("causal_cycle", "error", "Causal cycles", "Events that cause each other, or themselves."),
        Kind(
            "effect_before_cause",
            "error",
            "Effects before causes",
            "An effect stored before its cause, by more than clocks that differ explain.",
        ),
        Kind(
            "snapshot_disagrees",
            "error",
            "Snapshots that disagree",
            "A snapshot that says something else than the events up to the one that it was taken after. "
            "A warning where user code or unknown matching rules may explain the values.",
        ),
        Kind(
            "clock_skew",
            "warning",
            "Clock skew",
            "Effects stored before their causes in another component by what differing clocks explain; "
            "one finding for each pair of components.",
        ),
        Kind(
            "asymmetric_link",
            "warning",
            "Asymmetric links",
            "An event that records its effects, but not the same ones that name it as their cause.",
        ),
        Kind(
            "doubtful_cause",
            "warning",
            "Doubtful causes",
            "A recorded cause that cannot be right, or that nothing explains.",
        ),
        Kind(
            "missing_cause",
            "warning",
            "Missing causes",
            "An event that was sent by another component, but records no cause.",
        ),
        Kind(
            "snapshot_orphan",
            "warning",
            "Snapshots of unknown instances",
            "A snapshot of an instance that has no events.",
        ),
        Kind(
            "snapshot_stale",
            "warning",
            "Snapshots left behind",
            "An instance has ended, but its latest snapshot is from before its end, which always makes one.",
        ),
        Kind(
            "odd_document",
            "warning",
            "Odd documents",
            "An event or snapshot stored in a form that could only be read by leaving out or assuming something.",
        ),
        Kind(
            "snapshot_missing",
            "info",
            "Ended without a snapshot",
            "An instance has ended and has no snapshot, where most of its machine have one.",
        ),
    )
}
"""Every kind, the worst first. The order is that of reports."""
