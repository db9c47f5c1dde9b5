"""`run`: components through the steps of a file."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xcstore.commands.common import (
    SEEDED_START,
    Subparsers,
    add_files,
    add_target,
    counted,
    progress,
    target,
    tell,
    time_text,
)
from xcstore.commands.playing import print_run, run_document, run_status, stage_on, start_of
from xcstore.config import Settings
from xcstore.errors import QueryError
from xcstore.jsontext import json_text
from xcstore.model.definition import Component
from xcstore.units import EpochMs

if TYPE_CHECKING:
    from xcstore.ops.steps import Advance, At, Plan

__all__ = ["add_to"]


def add_to(commands: Subparsers[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "run",
        help="run components through the steps of a file",
        description="Run components through the steps of a file, on a simulated clock. Methods that the documents name "
        "are not run. The steps are described in README.md.",
    )
    add_files(parser)
    parser.add_argument(
        "--events", required=True, metavar="FILE", help="the steps: JSON array or NDJSON; - reads stdin"
    )
    add_target(parser)
    parser.add_argument("--start", metavar="TIME", help=f"ISO 8601; default: now, with --seed {SEEDED_START}")
    parser.add_argument(
        "--until", metavar="TIME", help="let time pass at the end: until ISO 8601, or for such as 30s, 2d"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="equal seeds give equal ids, and so equal histories")
    parser.add_argument(
        "--restore", action="store_true", help="go on with the instances that live in the store; steps name them by id"
    )
    parser.add_argument(
        "--real-time", action="store_true", help="on the clock of this machine: 'advance' and 'at' wait"
    )
    parser.add_argument("--stop-on-error", action="store_true", help="stop at the first step that is refused")
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    from xcstore.ops.definitions import load_definitions  # the runtime is not needed by the other commands
    from xcstore.ops.running import play
    from xcstore.ops.steps import At

    if arguments.real_time and arguments.start is not None:
        raise QueryError("--start sets the simulated clock, and --real-time uses the real one; give one of the two")
    seeded = SEEDED_START if arguments.seed is not None and not arguments.restore else None
    start = None if arguments.real_time else start_of(arguments.start or seeded)
    until = _until(arguments.until)
    components = load_definitions(arguments.files)
    plan = _read_plan(arguments.events, components, start)
    name = "stdin" if arguments.events == "-" else arguments.events
    if plan.bad:
        tell([f"{name}, {bad}" for bad in plan.bad], len(plan.bad))
        raise QueryError(f"{counted(len(plan.bad), 'bad step')} in {name}; nothing was run")
    if isinstance(until, At) and plan.end is not None and until.moment < plan.end:
        raise QueryError(f"--until is {arguments.until}, but the steps end at {time_text(plan.end)}; time only goes on")
    with target(arguments.into, settings) as stores:
        stage = stage_on(components, stores, settings, start, arguments.seed, restore=arguments.restore)
        with progress("run", " steps") as show:
            report = play(stage, plan.steps, until=until, stop_on_error=arguments.stop_on_error, on_progress=show)
        tell([f"{name}, {refusal}" for refusal in report.refusals], report.refused)
        identity = stores.identity
    if arguments.json:
        print(json_text(run_document(report, identity, len(plan.steps))))
    else:
        print(f"{report.steps:,} of {counted(len(plan.steps), 'step')} played, {report.refused:,} refused")
        print_run(report, identity)
    return run_status(report)


def _until(text: str | None) -> Advance | At | None:
    from xcstore.ops.steps import Advance, At, parse_duration, parse_moment

    if text is None:
        return None
    duration, moment = parse_duration(text), parse_moment(text)
    if duration is not None:
        return Advance(duration)
    if moment is not None:
        return At(moment)
    raise QueryError(
        f"--until is {text[:40]!r}; it must be a time such as {SEEDED_START}, or a duration such as 30s, 2d"
    )


def _read_plan(file: str, components: Sequence[Component], start: EpochMs | None) -> Plan:
    """The steps of a file or of stdin."""
    from xcstore.ops.steps import read_steps

    if file != "-":
        if not Path(file).is_file():
            raise QueryError(f"{file!r} is not a file with steps; nothing was run")
        try:
            return read_steps(Path(file), components, start=start)
        except OSError as error:
            raise QueryError(f"{file!r} cannot be read: {error.strerror}; nothing was run") from None
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "steps.json"
        with copy.open("wb") as target:
            shutil.copyfileobj(sys.stdin.buffer, target)
        return read_steps(copy, components, start=start)
