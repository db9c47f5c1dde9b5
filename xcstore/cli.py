"""`python -m xcstore`: import dumps, make the demo, check, run and try out definitions, look into a store.

Exit status: 0 done; 1 done, but rows or steps were left out (each is reported); 2 not done, or not to the end, for
the reason that is given in one sentence.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tqdm import tqdm

from xcstore.config import Settings
from xcstore.errors import QueryError, ReadOnlyStoreError, XcstoreError
from xcstore.jsontext import json_text
from xcstore.model.definition import Component, StateMachine
from xcstore.ops.importing import ImportReport, import_files
from xcstore.store.base import EventQuery, InstanceQuery, Stores
from xcstore.store.opening import open_stores, sqlite_file
from xcstore.units import EpochMs, to_utc

if TYPE_CHECKING:
    from xcstore.ops.running import RunReport, Stage
    from xcstore.ops.simulating import Coverage
    from xcstore.ops.steps import Advance, At, Plan

__all__ = ["main"]

SHOWN_PROBLEMS = 20
SEEDED_START: Final = "2026-01-01T00:00:00Z"
"""When a seeded run begins unless told: histories are equal only if their times are."""


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """Run one command; returns the exit status."""
    parsed = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace, Settings], int] = parsed.command
    try:
        with _warnings_on_stderr():
            return command(parsed, Settings.from_mapping(environment))
    except XcstoreError as error:
        _complain(error)
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

    importing = commands.add_parser("import", help="put dumps of events and snapshots into a store of your own")
    importing.add_argument("files", nargs="+", metavar="FILE", help="JSON array or NDJSON, of events or snapshots")
    importing.add_argument("--into", required=True, metavar="URL", help="such as sqlite:///history.db")
    importing.set_defaults(command=_import)

    demo = commands.add_parser("demo", help="make the demo history")
    demo.add_argument("--into", required=True, metavar="URL", help="such as sqlite:///data/demo.db")
    demo.add_argument("--seed", type=int, default=7, help="another number makes another history (default: 7)")
    demo.add_argument(
        "--force",
        action="store_true",
        help="also into a store that holds events; needs another --seed if the demo is in it already",
    )
    demo.set_defaults(command=_demo)

    validate = commands.add_parser(
        "validate",
        help="check component definitions",
        description="Check component definitions. What is legal but surely not meant is a warning.",
    )
    _add_files(validate)
    validate.add_argument("--strict", action="store_true", help="refuse what is a warning otherwise")
    validate.set_defaults(command=_validate)

    run = commands.add_parser(
        "run",
        help="run components through the steps of a file",
        description="Run components through the steps of a file, on a simulated clock. Methods that the documents name "
        "are not run. The steps are described in README.md.",
    )
    _add_files(run)
    run.add_argument("--events", required=True, metavar="FILE", help="the steps: JSON array or NDJSON; - reads stdin")
    _add_target(run)
    run.add_argument("--start", metavar="TIME", help=f"ISO 8601; default: now, with --seed {SEEDED_START}")
    run.add_argument("--until", metavar="TIME", help="let time pass at the end: until ISO 8601, or for such as 30s, 2d")
    run.add_argument("--seed", type=int, metavar="N", help="equal seeds give equal ids, and so equal histories")
    run.add_argument(
        "--restore", action="store_true", help="go on with the instances that live in the store; steps name them by id"
    )
    run.add_argument("--real-time", action="store_true", help="on the clock of this machine: 'advance' and 'at' wait")
    run.add_argument("--stop-on-error", action="store_true", help="stop at the first step that is refused")
    run.set_defaults(command=_run)

    simulate = commands.add_parser(
        "simulate",
        help="try machines out at random, or along one path",
        description="Walk through machines at random, and say which states and transitions were reached; with --path, "
        "lead one instance along the events given.",
    )
    _add_files(simulate)
    simulate.add_argument("--machine", metavar="NAME", help="only this one; default: all")
    simulate.add_argument("--component", metavar="NAME", help="whose --machine is meant, where several have it")
    simulate.add_argument("--steps", type=_count, default=1_000, metavar="N", help="default: 1000")
    simulate.add_argument("--instances", type=_count, default=10, metavar="K", help="of each machine; default: 10")
    simulate.add_argument(
        "--path", metavar="EVENTS", help="comma-separated, or a JSON array of names or {type, payload}"
    )
    _add_target(simulate)
    simulate.add_argument("--start", default=SEEDED_START, metavar="TIME", help=f"ISO 8601; default: {SEEDED_START}")
    simulate.add_argument("--seed", type=int, default=7, metavar="S", help="another makes another walk (default: 7)")
    simulate.set_defaults(command=_simulate)

    info = commands.add_parser("info", help="say what a store holds")
    info.add_argument("url", nargs="?", metavar="URL", help="default: the first store of the settings")
    info.set_defaults(command=_info)
    return parser


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="components in YAML or JSON, one or several each; or a folder of them"
    )


def _add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--into", default="memory://", metavar="URL", help="store to append to; default: memory, gone afterwards"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 10**9:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number from 1 to 999999999")
    return int(text)


def _import(arguments: argparse.Namespace, settings: Settings) -> int:
    for file in arguments.files:
        if not _exists(file):
            raise QueryError(f"there is no file {file!r}; nothing was imported")
        if not Path(file).is_file():
            kind = "a folder; name the files in it" if Path(file).is_dir() else "not a file"
            raise QueryError(f"{file!r} is {kind}; nothing was imported")
    with _target(arguments.into, settings) as stores:
        with _progress("import", "B") as on_progress:
            report = import_files(arguments.files, stores, on_progress=on_progress)
        _tell([str(problem) for problem in report.problems], report.bad + report.conflicts + report.broken)
        print(_summary(report, stores.identity))
    if report.broken:
        return 2
    return 1 if report.bad or report.conflicts else 0


def _summary(report: ImportReport, identity: str) -> str:
    went_in = f"{_counted(report.events, 'event')} and {_counted(report.snapshots, 'snapshot')}"
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


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun if count == 1 else noun + 's'}"


@contextmanager
def _target(url: str, settings: Settings) -> Iterator[Stores]:
    """The stores to write into. A new file of SQLite that nothing went into is removed again."""
    file = sqlite_file(url)
    is_new = file is not None and not file.exists()
    is_empty = False
    try:
        # Nothing is masked here: what comes goes in as it is, and is compared with what is stored as it is.
        with open_stores(url, read_only=False, statement_timeout_ms=settings.statement_timeout_ms) as stores:
            if stores.events.read_only:
                raise ReadOnlyStoreError(
                    f"{stores.identity} is a store of another writer, and is never written; name one of your own"
                )
            try:
                yield stores
            finally:
                # Asked of the store: what somebody else wrote meanwhile stays.
                is_empty = is_new and not _count_events(stores) and not stores.snapshots.count()
    finally:
        if is_empty and file is not None:
            for suffix in ("", "-wal", "-shm"):
                file.with_name(file.name + suffix).unlink(missing_ok=True)
            print(f"{_one_line(str(file))} was not made, as nothing went into it", file=sys.stderr)


def _demo(arguments: argparse.Namespace, settings: Settings) -> int:
    from xcstore.demo.generator import generate_demo  # it imports the runtime, which the other commands do not need

    with open_stores(arguments.into, read_only=False, statement_timeout_ms=settings.statement_timeout_ms) as stores:
        held = _count_events(stores)
        if held and not arguments.force:
            raise QueryError(
                f"{stores.identity} holds {_counted(held, 'event')} already; "
                "name a new store, or add the demo with --force"
            )
        with _progress("demo", "%") as show:
            report = generate_demo(stores, seed=arguments.seed, on_progress=lambda part: show(int(100 * part), 100))
        print(f"{_counted(_count_events(stores) - held, 'event')} went into {stores.identity}")
        for story in report.stories:
            print(f"  {story.name} ({story.business_key or story.instance_id}): {story.words}")
        print(f"  and {len(report.anomalies)} planted faults of {len({a.kind for a in report.anomalies})} kinds")
    return 0


def _validate(arguments: argparse.Namespace, _: Settings) -> int:
    from xcstore.ops.definitions import find_faults, read_definitions  # for the graph library that it needs

    found = read_definitions(arguments.files)
    for problem in found.problems:
        _complain(problem)
    for file in found.files:
        for component in file.components:
            machines = ", ".join(machine.name for machine in component.machines)
            print(_one_line(f"{file.file}: component {component.name} is valid; machines: {machines}"))
    faults = find_faults(found.files)
    for finding, error in faults:
        if arguments.strict:
            _complain(f"{error} [{finding.rule}]")
        else:
            print(_one_line(f"warning: {error} [{finding.rule}]"))
    return 2 if found.problems or (arguments.strict and faults) else 0


def _tell(lines: Sequence[str], total: int) -> None:
    """The first of `total` lines, and how many more there are."""
    for line in lines[:SHOWN_PROBLEMS]:
        print(_one_line(line), file=sys.stderr)
    if total > (shown := min(len(lines), SHOWN_PROBLEMS)):
        print(f"… and {total - shown:,} more", file=sys.stderr)


def _complain(problem: object) -> None:
    print(f"xcstore: {_one_line(' '.join(str(problem).split()))}", file=sys.stderr)


def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    from xcstore.ops.definitions import load_definitions  # the runtime is not needed by the other commands
    from xcstore.ops.running import play
    from xcstore.ops.steps import At

    if arguments.real_time and arguments.start is not None:
        raise QueryError("--start sets the simulated clock, and --real-time uses the real one; give one of the two")
    seeded = SEEDED_START if arguments.seed is not None and not arguments.restore else None
    start = None if arguments.real_time else _start(arguments.start or seeded)
    until = _until(arguments.until)
    components = load_definitions(arguments.files)
    plan = _read_plan(arguments.events, components, start)
    name = "stdin" if arguments.events == "-" else arguments.events
    if plan.bad:
        _tell([f"{name}, {bad}" for bad in plan.bad], len(plan.bad))
        raise QueryError(f"{_counted(len(plan.bad), 'bad step')} in {name}; nothing was run")
    if isinstance(until, At) and plan.end is not None and until.moment < plan.end:
        raise QueryError(f"--until is {arguments.until}, but the steps end at {_time(plan.end)}; time only goes on")
    with _target(arguments.into, settings) as stores:
        stage = _stage(components, stores, settings, start, arguments.seed, restore=arguments.restore)
        with _progress("run", " steps") as show:
            report = play(stage, plan.steps, until=until, stop_on_error=arguments.stop_on_error, on_progress=show)
        _tell([f"{name}, {refusal}" for refusal in report.refusals], report.refused)
        identity = stores.identity
    if arguments.json:
        print(json_text(_run_document(report, identity, len(plan.steps))))
    else:
        print(f"{report.steps:,} of {_counted(len(plan.steps), 'step')} played, {report.refused:,} refused")
        _print_run(report, identity)
    return _run_status(report)


def _run_status(report: RunReport) -> int:
    _tell(report.failures, report.failed)
    if report.stopped is not None:
        _complain(report.stopped)
        return 2
    return 1 if report.refused or report.failed else 0


def _simulate(arguments: argparse.Namespace, settings: Settings) -> int:
    from xcstore.ops.definitions import load_definitions
    from xcstore.ops.simulating import find_machine, parse_path

    start = _start(arguments.start)
    components = load_definitions(arguments.files)
    machine = None
    if arguments.machine is not None:
        machine = find_machine(components, arguments.machine, arguments.component)
    elif arguments.component is not None:
        raise QueryError("--component says whose --machine is meant; give that too")
    path = None if arguments.path is None else parse_path(arguments.path)
    with _target(arguments.into, settings) as stores:
        stage = _stage(components, stores, settings, start, arguments.seed)
        if path is None:
            return _walk(arguments, stage, stores.identity, components, machine)
        if machine is None:
            raise QueryError("--path leads along one machine; say which with --machine")
        return _follow_path(arguments, stage, stores.identity, machine, path)


def _walk(
    arguments: argparse.Namespace,
    stage: Stage,
    identity: str,
    components: Sequence[Component],
    machine: tuple[Component, StateMachine] | None,
) -> int:
    from xcstore.ops.simulating import walk

    with _progress("simulate", " steps") as show:
        report = walk(
            stage,
            components,
            machine=machine,
            steps=arguments.steps,
            seed=arguments.seed,
            instances=arguments.instances,
            on_progress=show,
        )
    if arguments.json:
        machines = [_coverage_document(coverage) for coverage in report.machines]
        print(json_text({**_run_document(report.run, identity, arguments.steps), "machines": machines}))
    else:
        print(f"{_counted(report.run.steps, 'step')} with seed {arguments.seed}")
        for coverage in report.machines:
            _print_coverage(coverage)
        _print_run(report.run, identity)
    return _run_status(report.run)


def _follow_path(
    arguments: argparse.Namespace,
    stage: Stage,
    identity: str,
    machine: tuple[Component, StateMachine],
    path: Sequence[tuple[str, Mapping[str, object] | None]],
) -> int:
    from xcstore.ops.simulating import follow_path

    report = follow_path(stage, machine, path, seed=arguments.seed)
    if arguments.json:
        document = {"path": report.states, "stopped_because": report.stopped}
        print(json_text({**_run_document(report.run, identity, len(path)), **document}))
    else:
        print(_one_line(" -> ".join(report.states)))
        print(f"{report.done} of {_counted(len(path), 'event')} led on")
        _print_run(report.run, identity)
    if report.stopped is not None:
        _complain(f"the path ends after {_counted(report.done, 'event')}: {report.stopped}")
    return max(_run_status(report.run), 0 if report.stopped is None else 1)


def _stage(
    components: Sequence[Component],
    stores: Stores,
    settings: Settings,
    start: EpochMs | None,
    seed: int | None,
    *,
    restore: bool = False,
) -> Stage:
    from xcstore.ops.running import Stage

    interval = settings.snapshot_interval if settings.snapshots_enabled else None
    return Stage(components, stores, start=start, seed=seed, snapshot_interval=interval, restore=restore)


def _start(text: str | None) -> EpochMs:
    from xcstore.ops.steps import parse_moment

    if text is None:
        return EpochMs(time.time_ns() // 1_000_000)
    moment = parse_moment(text)
    if moment is None:
        raise QueryError(f"--start is {text[:40]!r}; it must be a time such as {SEEDED_START}")
    return moment


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


def _run_document(report: RunReport, identity: str, total: int) -> dict[str, object]:
    return {
        "store": identity,
        "total": total,
        **dataclasses.asdict(report),
        "now": _time(report.now),
        "next_timer": None if report.next_timer is None else _time(report.next_timer),
    }


def _coverage_document(coverage: Coverage) -> dict[str, object]:
    return {
        "component": coverage.component,
        "machine": coverage.machine,
        "states": coverage.states,
        "transitions": [
            {"from": before, "event": event, "to": after, "count": count}
            for (before, event, after), count in coverage.transitions.items()
        ],
        "dead_ends": coverage.dead_ends,
    }


def _print_run(report: RunReport, identity: str) -> None:
    print(f"store           {identity}")
    print(f"clock           {_time(report.now)}")
    print(f"events written  {report.written:,}")
    print(f"ignored         {report.all_ignored:,}")
    for row in report.ignored[:SHOWN_PROBLEMS]:
        print(_one_line(f"{row.count:>15,} {row.component}/{row.machine}: {row.event} in {row.state}"))
    if len(report.ignored) > SHOWN_PROBLEMS:
        print(f"              … and {len(report.ignored) - SHOWN_PROBLEMS:,} kinds more")
    print(f"ambiguous       {report.ambiguous:,}")
    print(f"failed          {report.failed:,}")
    waiting = "" if report.next_timer is None else f", the next due {_time(report.next_timer)}"
    print(f"pending timers  {report.pending_timers:,}{waiting}")
    print(f"instances       {sum(total.count for total in report.states):,}")
    for total in report.states:
        print(_one_line(f"{total.count:>15,} {total.component}/{total.machine}: {total.state}"))


def _print_coverage(coverage: Coverage) -> None:
    states, arrows = coverage.states, coverage.transitions
    reached = len(states) - len(coverage.unreached_states)
    taken = len(arrows) - len(coverage.untaken_transitions)
    who = f"{coverage.component}/{coverage.machine}"
    print(_one_line(f"{who}: {reached} of {len(states)} states, {taken} of {len(arrows)} transitions"))
    for state in coverage.unreached_states:
        print(_one_line(f"  never reached: {state}"))
    for before, event, after in coverage.untaken_transitions:
        print(_one_line(f"  never taken: {before} -> {after} ({event})"))
    for state, count in coverage.dead_ends.items():
        print(_one_line(f"  dead end: {state}, {_counted(count, 'instance')}"))


def _exists(file: str) -> bool:
    return os.path.exists(file)  # False for what may not be looked at, where Path.exists raises


def _info(arguments: argparse.Namespace, settings: Settings) -> int:
    url = arguments.url or next(iter(settings.store_urls().values()))
    with open_stores(
        url, read_only=True, redact=settings.redact, statement_timeout_ms=settings.statement_timeout_ms
    ) as stores:
        events = stores.events
        span = events.time_range()
        states = events.count_instances(InstanceQuery())
        print(f"store       {stores.identity}")
        print(f"layout      {events.layout}")
        print(f"events      {_count_events(stores):,}")
        if span is not None:
            print(f"from, to    {_time(span[0])}, {_time(span[1])}")
        print(f"snapshots   {stores.snapshots.count():,}")
        print(f"instances   {sum(row.count for row in states):,}")
        for row in states:
            machine = "/".join(filter(None, (row.component_name, row.machine_name)))
            print(f"{row.count:>11,} {_one_line(machine)}: {_one_line(row.state)}")
    return 0


def _count_events(stores: Stores) -> int:
    return sum(row.count for row in stores.events.count(EventQuery()))


def _time(moment: EpochMs) -> str:
    date = to_utc(moment)
    return f"{moment} ms" if date is None else date.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _PlainFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(_one_line, super().format(record).splitlines()))


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


def _one_line(text: str) -> str:
    # Stored text may hold what would move the cursor of a terminal.
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


@contextmanager
def _progress(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr where that is a terminal; called with (done, total)."""
    with tqdm(desc=what, unit=unit, unit_scale=True, disable=None, leave=False, file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
