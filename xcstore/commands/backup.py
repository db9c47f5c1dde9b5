"""`backup`: everything that a store holds, into one file or into another store."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from xcstore.commands.common import Subparsers, counted, one_line, progress
from xcstore.commands.restore import add_json, copy, patient, print_digest, print_not_taken
from xcstore.config import Settings
from xcstore.jsontext import json_text
from xcstore.store.opening import open_stores

__all__ = ["add_to"]


def add_to(commands: Subparsers[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "backup",
        help="write everything that a store holds into a file, or into another store",
        description="Write everything that a store holds into one compressed file, or into an empty store. The file "
        "is read back and compared before it gets its name. Nothing is masked in it.",
    )
    parser.add_argument("source", metavar="URL", help="the store; it is opened for reading")
    parser.add_argument(
        "target", metavar="TARGET", help="a new file, or the URL of an empty store such as archive:////dir"
    )
    parser.add_argument("--resume", action="store_true", help="go on with a backup that was interrupted")
    add_json(parser)
    parser.set_defaults(command=_backup)


def _backup(arguments: argparse.Namespace, settings: Settings) -> int:
    from xcstore.ops.backup import write_backup
    from xcstore.ops.contents import OTHER_KINDS, StoreContents

    if settings.redact:
        print("note: what is masked on pages is not masked in a backup", file=sys.stderr)
    with open_stores(
        arguments.source, read_only=True, statement_timeout_ms=patient(settings).statement_timeout_ms
    ) as stores:
        if "://" in arguments.target:
            return copy(StoreContents(stores), arguments.target, settings, arguments, "backup")
        with progress("backup", " events") as show:
            report = write_backup(stores, Path(arguments.target), resume=arguments.resume, on_progress=show)
        identity = stores.identity
    if arguments.json:
        document = {
            "source": identity,
            "target": str(report.path),
            "size_bytes": report.size_bytes,
            "resumed_after": report.resumed_after,
            "appended_meanwhile": report.appended_meanwhile,
            "missing": report.missing,
            "other_kinds": report.other_kinds,
            "digest": report.digest.to_document(),
        }
        print(json_text(document))
        return 1 if report.missing else 0
    print(one_line(f"{identity} is in {report.path} ({report.size_bytes:,} bytes)"))
    if report.resumed_after:
        print(f"{counted(report.resumed_after, 'event')} of it were there from a backup that was interrupted")
    print_not_taken(report.appended_meanwhile, report.missing)
    if report.other_kinds:
        print(f"note: {OTHER_KINDS}: {report.other_kinds:,}")
    print_digest(report.digest)
    return 1 if report.missing else 0
