"""What the Retention page shows of a preview, and of the runs that are noted."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from xcstore.errors import ConfigError
from xcstore.ops.health_checks import bytes_text
from xcstore.ops.pruning import Prune, archive_url
from xcstore.ops.retention_plan import Preview
from xcstore.render.labels import count_text, moment_text, visible_text

__all__ = [
    "Number",
    "cannot_delete",
    "command",
    "example_rows",
    "kept_rows",
    "links_text",
    "months",
    "numbers",
    "place_of_archive",
    "rules_text",
    "run_rows",
    "run_text",
    "share_rows",
    "span_text",
    "why_not",
]

Row = dict[str, object]

_UNDELETABLE = ("archive://", "influxdb://", "redis://", "rediss://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number at the top, and what it means."""

    label: str
    value: str
    meaning: str


def numbers(found: Preview) -> tuple[Number, ...]:
    """What would go, in figures; '–' for what is not known."""
    return (
        Number(
            label="Events", value=f"{found.events:,}", meaning=f"That would go, of {found.stored_events:,} in the store"
        ),
        Number(
            label="Instances", value=f"{found.whole:,}", meaning="That go whole: ended, and all of their events are old"
        ),
        Number(label="Shortened", value=f"{found.part:,}", meaning="Not ended: they lose old events that nobody needs"),
        Number(
            label="Snapshots",
            value=f"{found.snapshots:,}",
            meaning="Of the whole instances; they go to the archive too",
        ),
        Number(
            label="Old snapshots",
            value=f"{found.old_snapshots:,}",
            meaning=f"Beyond the last {found.keep_snapshots:,} of an instance; they are not archived",
        ),
        Number(
            label="Size",
            value=_size_text(found.size_bytes),
            meaning="By the share of the events; the database may keep the room for what comes",
        ),
        Number(
            label="Links",
            value="–" if found.links is None else f"{found.links:,}",
            meaning="Causes of events that stay, which lead into the archive afterwards",
        ),
    )


def _size_text(size: int | None) -> str:
    if size is None:
        return "–"
    return f"~{bytes_text(size)}" if size else bytes_text(0)


def rules_text(found: Preview, zone: tzinfo) -> str:
    """By which rules, in one line."""
    return (
        f"Events from before {moment_text(found.cutoff, zone)}, which is {count_text(found.days, 'day')} ago; "
        f"{count_text(found.keep_snapshots, 'snapshot')} of each instance stay."
    )


def span_text(found: Preview, zone: tzinfo) -> str:
    """From when to when the events are that go."""
    return f"from {moment_text(found.first_at, zone)} to {moment_text(found.last_at, zone)}"


def links_text(found: Preview) -> str:
    """What becomes of causes that go; '' where none does."""
    if found.links is None:
        return "The store is large, so causes that would lead into the archive were not counted."
    if not found.links:
        return ""
    return (
        f"{count_text(found.links, 'cause')} of events that stay would be in the archive: "
        "their traces end there, and say so."
    )


def months(found: Preview) -> list[tuple[str, int]]:
    """Events that go, by month."""
    counts: Counter[str] = Counter()
    for share in found.shares:
        counts[share.month] += share.events
    return sorted(counts.items())


def share_rows(found: Preview) -> list[Row]:
    """A row for each month and component."""
    return [
        {
            "month (UTC)": share.month,
            "component": visible_text(share.component, 80) or "(none)",
            "events": share.events,
        }
        for share in found.shares
    ]


def kept_rows(found: Preview) -> list[Row]:
    """Why instances stay though they have old events."""
    return [{"why": kept.words, "instances": kept.instances, "events that stay": kept.events} for kept in found.kept]


def example_rows(found: Preview, zone: tzinfo) -> list[Row]:
    """The first instances of which something goes."""
    return [
        {
            "instance": visible_text(one.instance_id, 60),
            "machine": visible_text(one.machine, 60),
            "component": visible_text(one.component, 60) or "(none)",
            "state": visible_text(one.state, 60),
            "last event": moment_text(one.updated_at, zone),
            "events that go": one.events,
            "it has": one.of,
        }
        for one in found.examples
    ]


def run_rows(runs: Sequence[Prune], zone: tzinfo) -> list[Row]:
    """Runs that are noted, the latest first."""
    return [
        {
            "at": moment_text(run.at, zone),
            "events from before": moment_text(run.cutoff, zone),
            "events": run.events,
            "whole instances": run.whole,
            "shortened": run.part,
            "archive": "none: they are lost" if run.archive is None else visible_text(run.archive, 120),
            "finished": "yes" if run.finished else "no: run it again",
        }
        for run in reversed(runs)
    ]


def run_text(run: Prune) -> str:
    """What a run did, in one sentence."""
    parts = [f"{count_text(run.events, 'event')} of {count_text(run.whole + run.part, 'instance')} are in the archive"]
    parts[0] += f" {visible_text(run.archive or '', 120)} and no longer in the store"
    if run.moved_on:
        parts.append(f"{count_text(run.moved_on, 'instance')} changed meanwhile and stayed as they are")
    return "; ".join(parts) + "."


def command(store: str, days: int, snapshots: int, *, has_archive: bool = True) -> str:
    """The line that does it at a shell. `store` is without its password, which has to be put in."""
    archive = "" if has_archive else " --archive FOLDER"
    url = shlex.quote(visible_text(store))
    return f"python -m xcstore prune {url} --days {days} --snapshots {snapshots} --apply{archive}"


def place_of_archive(store: str, named: str | None = None) -> str | None:
    """Where the page would put what goes, by the settings or beside the file; None where nothing says so."""
    try:
        return archive_url(store, named)
    except ConfigError:
        return None


def cannot_delete(store: str) -> str:
    """Why nothing can be deleted from a store of this kind; '' where it can."""
    scheme = next((scheme for scheme in _UNDELETABLE if store.startswith(scheme)), "")
    if not scheme:
        return ""
    return f"Nothing can be removed from a store of {scheme}: a store of its kind keeps every event."


def why_not(found: Preview, allow_write: bool, place: str | None) -> str:
    """Why the page cannot do it; '' where it can."""
    if text := cannot_delete(found.store):
        return text
    if found.is_empty:
        return "There is nothing to do."
    if not allow_write:
        return "This app only reads, as XCSTORE_ALLOW_WRITE is not true. At a shell, this line does it:"
    if place is None:
        return "There is no place for an archive: set XCSTORE_ARCHIVE. At a shell, this line does it:"
    return ""
