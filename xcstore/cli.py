"""`python -m xcstore`: the commands, see `xcstore.commands`.

Exit status: 0 done; 1 done, but rows or steps were left out (each is reported); 2 not done, or not to the end, for
the reason that is given in one sentence.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from xcstore.commands import (
    backup,
    demo,
    digest,
    drill,
    health,
    import_,
    info,
    prune,
    recover,
    replay,
    restore,
    run,
    serve_demo,
    simulate,
    validate,
    verify,
)
from xcstore.commands.common import complain, one_line
from xcstore.config import Settings
from xcstore.errors import XcstoreError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """Run one command; returns the exit status."""
    parsed = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace, Settings], int] = parsed.command
    try:
        with _warnings_on_stderr():
            return command(parsed, Settings.from_mapping(environment))
    except XcstoreError as error:
        complain(error)
        return 2
    except KeyboardInterrupt:
        print("xcstore: interrupted; what was written whole is kept, and the command can be run again", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # Python flushes it at exit
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m xcstore", description="Read, trace, replay and restore the event histories of state machines."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (
        import_,
        demo,
        validate,
        run,
        simulate,
        info,
        health,
        serve_demo,
        prune,
        backup,
        restore,
        digest,
        verify,
        drill,
        recover,
        replay,
    ):
        command.add_to(commands)
    return parser


class _PlainFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(one_line, super().format(record).splitlines()))


@contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    """What the package logs, from warnings on; of the runtime errors alone, as a run sums up the rest itself."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(_PlainFormatter("xcstore: %(message)s"))
    package, runtime = logging.getLogger("xcstore"), logging.getLogger("xcstore.runtime")
    level = runtime.level
    package.addHandler(handler)
    runtime.setLevel(logging.ERROR)
    try:
        yield
    finally:
        package.removeHandler(handler)
        runtime.setLevel(level)
