"""`restore`: a backup, a dump or another store into an empty store."""

from __future__ import annotations

import argparse
import dataclasses
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xcstore.commands.common import Subparsers, counted, one_line, progress, target, tell, time_text
from xcstore.config import Settings, hide_password
from xcstore.errors import QueryError
from xcstore.jsontext import json_text

if TYPE_CHECKING:
    from xcstore.ops.contents import Contents
    from xcstore.ops.copying import CopyReport
    from xcstore.ops.digests import StoreDigest

__all__ = ["add_json", "add_to", "copy", "open_checked", "patient", "print_digest", "print_not_taken"]

_PATIENCE_MS: Final = 600_000
_ALL_SNAPSHOTS: Final = 1_000_000
"""More than any store keeps of one instance: all that were kept go in, and stay until the next is saved."""


def add_to(commands: Subparsers[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "restore",
        help="put a backup, a dump or another store into an empty store",
        description="Put everything into an empty store, and compare. Taken are backups of xcstore, what pg_dump and "
        "mongodump write, packed by gzip or not, and stores, such as an archive.",
    )
    parser.add_argument("source", metavar="SOURCE", help="a file, a folder, or the URL of a store")
    parser.add_argument("target", metavar="URL", help="an empty store, such as sqlite:///new.db")
    parser.add_argument("--resume", action="store_true", help="go on with a restore that was interrupted")
    parser.add_argument("--dry-run", action="store_true", help="say what would be restored, and write nothing")
    parser.add_argument("--salvage", action="store_true", help="take what can be read of a damaged file")
    add_json(parser)
    parser.set_defaults(command=_restore)


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def _restore(arguments: argparse.Namespace, settings: Settings) -> int:
    with closing(open_checked(arguments.source, settings, salvage=arguments.salvage)) as contents:
        if not arguments.dry_run:
            return copy(contents, arguments.target, settings, arguments, "restore")
        from xcstore.ops.copying import survey_contents

        with progress("read", " events") as show:
            report = survey_contents(contents, on_progress=show)
        return _tell(contents, report, arguments, f"would go into {hide_password(arguments.target)}")


def open_checked(source: str, settings: Settings, *, salvage: bool = False) -> Contents:
    """The contents of a source, after all of it was read where it says itself what it should hold."""
    from xcstore.ops.backup_file import BackupFile
    from xcstore.ops.sources import open_source

    size = Path(source).stat().st_size if Path(source).is_file() else 0
    done = 0
    with progress("read", "B") as show:

        def count(read: int) -> None:
            nonlocal done
            done += read
            show(done, max(size, done))

        contents = open_source(
            source, salvage=salvage, statement_timeout_ms=patient(settings).statement_timeout_ms, on_bytes=count
        )
    if isinstance(contents, BackupFile):
        with progress("check", " events") as show:
            contents.check(show)
    return contents


def copy(contents: Contents, url: str, settings: Settings, arguments: argparse.Namespace, what: str) -> int:
    """Copy into the store of a URL, and say what became of it; the exit status."""
    from xcstore.ops.copying import copy_contents

    if url.partition(":")[0] == "memory":
        raise QueryError("a store in memory ends with this command; name a target that stays")
    with target(url, patient(settings), snapshot_retention=_ALL_SNAPSHOTS) as stores:
        with progress(what, " events") as show:
            report = copy_contents(contents, stores, resume=arguments.resume, on_progress=show)
        identity = stores.identity
    return _tell(contents, report, arguments, f"is in {identity}")


def patient(settings: Settings) -> Settings:
    """What reads or writes a whole store may take longer than a page."""
    return dataclasses.replace(settings, statement_timeout_ms=max(settings.statement_timeout_ms, _PATIENCE_MS))


def _tell(contents: Contents, report: CopyReport, arguments: argparse.Namespace, words: str) -> int:
    assert report.digest is not None
    notes = list(contents.notes)
    if arguments.json:
        document = {
            "source": contents.name,
            "already_there": report.already_there,
            "left_out": report.left_out,
            "problems": report.problems,
            "not_kept": report.losses,
            "appended_meanwhile": report.appended_meanwhile,
            "missing": report.missing,
            "notes": notes,
            "damages": list(contents.damages),
            "digest": report.digest.to_document(),
        }
        print(json_text(document))
    else:
        print(one_line(f"{contents.name} {words}"))
        if report.already_there:
            print(f"{counted(report.already_there, 'event')} of it were there from before, and are the same")
        for note in notes:
            print(one_line(f"note: {note}"))
        for damage in contents.damages:
            print(one_line(f"left out: {damage}"))
        for loss in report.losses:
            print(one_line(f"not kept by the target: {loss}"))
        if report.left_out:
            print(f"{counted(report.left_out, 'row')} left out, as they cannot be stored")
        print_not_taken(report.appended_meanwhile, report.missing)
        print_digest(report.digest)
    tell([f"{contents.name}, {problem}" for problem in report.problems], report.left_out)
    return 1 if report.left_out or report.losses or report.missing or contents.damages else 0


def print_not_taken(appended_meanwhile: int, missing: int) -> None:
    """Which events of a store are not in a copy of it."""
    if missing:
        was = "was" if missing == 1 else "were"
        print(
            f"not in it: {counted(missing, 'event')} that {was} counted when it began, and then not given by the store"
        )
    if appended_meanwhile:
        print(f"came while it was made, and not in it: at least {counted(appended_meanwhile, 'event')}")


def print_digest(digest: StoreDigest) -> None:
    for name, part in digest.parts().items():
        print(f"{name.replace('_', ' '):<15}{part.count:>11,}  sha256 {part.sha256}")
    if digest.first_at is not None and digest.last_at is not None:
        print(f"{'from, to':<15}{time_text(digest.first_at)}, {time_text(digest.last_at)}")
    for component, count in sorted(digest.components.items()):
        print(f"{'':<15}{count:>11,}  {one_line(component) or '(no component)'}")
