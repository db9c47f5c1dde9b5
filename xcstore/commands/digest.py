"""`digest`: what a store, a backup or a dump holds, in counts and digests that can be compared."""

from __future__ import annotations

import argparse
from contextlib import closing

from xcstore.commands.common import Subparsers, one_line, progress
from xcstore.commands.restore import add_json, open_checked, print_digest
from xcstore.config import Settings
from xcstore.jsontext import json_text

__all__ = ["add_to"]


def add_to(commands: Subparsers[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "digest",
        help="counts and digests of what a store or a backup holds",
        description="Counts and digests of everything that a store, a backup or a dump holds. Equal digests mean equal "
        "contents, whatever the backend.",
    )
    parser.add_argument("source", metavar="SOURCE", help="the URL of a store, a file or a folder")
    add_json(parser)
    parser.set_defaults(command=_digest)


def _digest(arguments: argparse.Namespace, settings: Settings) -> int:
    from xcstore.ops.digests import digest_contents

    with closing(open_checked(arguments.source, settings)) as contents:
        with progress("digest", " events") as show:
            digest = digest_contents(contents, on_progress=show)
        name = contents.name
        notes = list(contents.notes)
    if arguments.json:
        print(json_text({"source": name, "notes": notes, **digest.to_document()}))
        return 0
    print(one_line(name))
    for note in notes:
        print(one_line(f"note: {note}"))
    print_digest(digest)
    return 0
