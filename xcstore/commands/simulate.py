"""`simulate`: machines tried out at random, or along one path."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from xcstore.commands.common import (
    SEEDED_START,
    Subparsers,
    add_files,
    add_target,
    complain,
    counted,
    one_line,
    positive_count,
    progress,
    target,
)
from xcstore.commands.playing import print_run, run_document, run_status, stage_on, start_of
from xcstore.config import Settings
from xcstore.errors import QueryError
from xcstore.jsontext import json_text
from xcstore.model.definition import Component, StateMachine

if TYPE_CHECKING:
    from xcstore.ops.running import Stage
    from xcstore.ops.simulating import Coverage

__all__ = ["add_to"]


def add_to(commands: Subparsers[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "simulate",
        help="try machines out at random, or along one path",
        description="Walk through machines at random, and say which states and transitions were reached; with --path, "
        "lead one instance along the events given.",
    )
    add_files(parser)
    parser.add_argument("--machine", metavar="NAME", help="only this one; default: all")
    parser.add_argument("--component", metavar="NAME", help="whose --machine is meant, where several have it")
    parser.add_argument("--steps", type=positive_count, default=1_000, metavar="N", help="default: 1000")
    parser.add_argument(
        "--instances", type=positive_count, default=10, metavar="K", help="of each machine; default: 10"
    )
    parser.add_argument("--path", metavar="EVENTS", help="comma-separated, or a JSON array of names or {type, payload}")
    add_target(parser)
    parser.add_argument("--start", default=SEEDED_START, metavar="TIME", help=f"ISO 8601; default: {SEEDED_START}")
    parser.add_argument("--seed", type=int, default=7, metavar="S", help="another makes another walk (default: 7)")
    parser.set_defaults(command=_simulate)


def _simulate(arguments: argparse.Namespace, settings: Settings) -> int:
    from xcstore.ops.definitions import load_definitions
    from xcstore.ops.simulating import find_machine, parse_path

    start = start_of(arguments.start)
    components = load_definitions(arguments.files)
    machine = None
    if arguments.machine is not None:
        machine = find_machine(components, arguments.machine, arguments.component)
    elif arguments.component is not None:
        raise QueryError("--component says whose --machine is meant; give that too")
    path = None if arguments.path is None else parse_path(arguments.path)
    with target(arguments.into, settings) as stores:
        stage = stage_on(components, stores, settings, start, arguments.seed)
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

    with progress("simulate", " steps") as show:
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
        print(json_text({**run_document(report.run, identity, arguments.steps), "machines": machines}))
    else:
        print(f"{counted(report.run.steps, 'step')} with seed {arguments.seed}")
        for coverage in report.machines:
            _print_coverage(coverage)
        print_run(report.run, identity)
    return run_status(report.run)


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
        print(json_text({**run_document(report.run, identity, len(path)), **document}))
    else:
        print(one_line(" -> ".join(report.states)))
        print(f"{report.done} of {counted(len(path), 'event')} led on")
        print_run(report.run, identity)
    if report.stopped is not None:
        complain(f"the path ends after {counted(report.done, 'event')}: {report.stopped}")
    return max(run_status(report.run), 0 if report.stopped is None else 1)


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


def _print_coverage(coverage: Coverage) -> None:
    states, arrows = coverage.states, coverage.transitions
    reached = len(states) - len(coverage.unreached_states)
    taken = len(arrows) - len(coverage.untaken_transitions)
    who = f"{coverage.component}/{coverage.machine}"
    print(one_line(f"{who}: {reached} of {len(states)} states, {taken} of {len(arrows)} transitions"))
    for state in coverage.unreached_states:
        print(one_line(f"  never reached: {state}"))
    for before, event, after in coverage.untaken_transitions:
        print(one_line(f"  never taken: {before} -> {after} ({event})"))
    for state, count in coverage.dead_ends.items():
        print(one_line(f"  dead end: {state}, {counted(count, 'instance')}"))
