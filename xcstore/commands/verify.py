"""`verify`: is what a store holds sound?

Exit status: 0 sound, there may be warnings; 1 there are findings of severity error; 2 it cannot be read.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from xcstore.commands.common import Subparsers, counted, one_line, positive_count, progress, time_text
from xcstore.config import Settings
from xcstore.jsontext import json_text
from xcstore.store.opening import open_stores

if TYPE_CHECKING:
    from xcstore.analysis.integrity import Report

__all__ = ["add_to"]

_MARKS: Final = {"error": "✕ error", "warning": "▲ warning", "info": "○ info"}
_TIMEOUT_MS: Final = 600_000
"""A piece of a large store may take longer than a page would wait."""


def add_to(commands: Subparsers[argparse.ArgumentParser]) -> None:
    from xcstore.analysis.integrity_kinds import KINDS

    parser = commands.add_parser(
        "verify",
        help="check that what a store holds is sound",
        description="Read a whole store and say what is wrong with its history; nothing is written. Exit status: 0 "
        "sound, there may be warnings; 1 there are findings of severity error; 2 it cannot be read.",
    )
    parser.add_argument("url", nargs="?", metavar="URL", help="default: the first store of the settings")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    parser.add_argument(
        "--kind",
        action="append",
        default=[],
        choices=list(KINDS),
        metavar="KIND",
        help=f"look for this kind alone; may be given again: {', '.join(KINDS)}",
    )
    parser.add_argument(
        "--limit", type=positive_count, default=20, metavar="N", help="findings of each kind to tell; default: 20"
    )
    parser.set_defaults(command=_verify)


def _verify(arguments: argparse.Namespace, settings: Settings) -> int:
    from xcstore.ops.verifying import verify
    from xcstore.queries.definitions import stored_definitions

    url = arguments.url or next(iter(settings.store_urls().values()))
    with open_stores(
        url,
        read_only=True,
        redact=settings.redact,
        statement_timeout_ms=max(_TIMEOUT_MS, settings.statement_timeout_ms),
        latency_alert_ms=None,
    ) as stores:
        known = stored_definitions(stores.definitions, settings.definitions)
        with progress("verify", " rows") as show:
            report = verify(stores, known.catalog, kinds=arguments.kind, limit=arguments.limit, on_progress=show)
    if arguments.json:
        print(json_text({**report.document(), "problems": list(known.problems)}))
    else:
        _print(report, known.problems)
    return 1 if report.severities["error"] else 0


def _print(report: Report, problems: tuple[str, ...]) -> None:
    from xcstore.analysis.integrity_kinds import KINDS

    print(f"store       {one_line(report.store)}")
    print(f"as of       {time_text(report.asked_at)}, in {report.seconds:.1f} s")
    looked = ", ".join(
        counted(report.checked[name], name.removesuffix("s")) for name in ("events", "instances", "links")
    )
    print(f"looked at   {looked}, {counted(report.checked['snapshots'], 'snapshot')}")
    print()
    for name, count in report.counts.items():
        kind = KINDS[name]
        none = "◌ in part" if name in report.partly else "✓ none"
        print(f"{_MARKS[kind.severity] if count else none:<11} {count:>9,}  {kind.title} ({name})")
    for name in report.counts:
        findings = [finding for finding in report.findings if finding.kind == name]
        if not findings:
            continue
        print()
        print(f"{KINDS[name].title}: {KINDS[name].meaning}")
        if len(findings) < report.counts[name]:
            print(f"shown {len(findings):,} of {report.counts[name]:,}")
        for finding in findings:
            place = "/".join(filter(None, (finding.component_name, finding.machine_name)))
            print(one_line(f"{_MARKS[finding.severity]:<11} {place} · instance {finding.instance_id}"))
            print(one_line(f"            {finding.what}"))
            print(one_line(f"            likely: {finding.reason}"))
            for label, text in finding.evidence:
                print(one_line(f"            {label}: {text}"))
    print()
    for note in (*report.notes, *problems):
        print(one_line(f"note: {note}"))
    if not report.total and report.partly:
        print("nothing was found, but not all could be checked: see the notes")
    elif not report.total:
        print("sound: nothing was found")
