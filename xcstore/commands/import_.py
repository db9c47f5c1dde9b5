"""`import`: dumps of events and snapshots into a store of ours."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from xcstore.commands.common import Subparsers, counted, progress, target, tell
from xcstore.config import Settings
from xcstore.errors import QueryError
from xcstore.ops.importing import ImportReport, import_files

__all__ = ["add_to"]


def add_to(commands: Subparsers[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("import", help="put dumps of events and snapshots into a store of your own")
    parser.add_argument("files", nargs="+", metavar="FILE", help="JSON array or NDJSON, of events or snapshots")
    parser.add_argument("--into", required=True, metavar="URL", help="such as sqlite:///history.db")
    parser.set_defaults(command=_import)


def _import(arguments: argparse.Namespace, settings: Settings) -> int:
    for file in arguments.files:
        if not _exists(file):
            raise QueryError(f"there is no file {file!r}; nothing was imported")
        if not Path(file).is_file():
            kind = "a folder; name the files in it" if Path(file).is_dir() else "not a file"
            raise QueryError(f"{file!r} is {kind}; nothing was imported")
    with target(arguments.into, settings) as stores:
        with progress("import", "B") as on_progress:
            report = import_files(arguments.files, stores, on_progress=on_progress)
        tell([str(problem) for problem in report.problems], report.bad + report.conflicts + report.broken)
        print(_summary(report, stores.identity))
    if report.broken:
        return 2
    return 1 if report.bad or report.conflicts else 0


def _summary(report: ImportReport, identity: str) -> str:
    went_in = f"{counted(report.events, 'event')} and {counted(report.snapshots, 'snapshot')}"
    parts = [f"{went_in} went into {identity}"]
    for count, one, many in (
        (report.already_there, "was already there", "were already there"),
        (
            report.odd,
            "has something odd in it and went in as it is",
            "have something odd in them and went in as they are",
        ),
        (report.bad, "bad row was left out", "bad rows were left out"),
        (
            report.conflicts,
            "conflicts with what is stored and was left out",
            "conflict with what is stored and were left out",
        ),
    ):
        if count:
            parts.append(f"{count:,} {one if count == 1 else many}")
    return "; ".join(parts)


def _exists(file: str) -> bool:
    return os.path.exists(file)  # False for what may not be looked at, where Path.exists raises
