"""`validate`: are these component documents sound?"""

from __future__ import annotations

import argparse

from xcstore.commands.common import Subparsers, add_files, complain, one_line
from xcstore.config import Settings

__all__ = ["add_to"]


def add_to(commands: Subparsers[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "validate",
        help="check component definitions",
        description="Check component definitions. What is legal but surely not meant is a warning.",
    )
    add_files(parser)
    parser.add_argument("--strict", action="store_true", help="refuse what is a warning otherwise")
    parser.set_defaults(command=_validate)


def _validate(arguments: argparse.Namespace, _: Settings) -> int:
    from xcstore.ops.definitions import find_faults, read_definitions  # for the graph library that it needs

    found = read_definitions(arguments.files)
    for problem in found.problems:
        complain(problem)
    for file in found.files:
        for component in file.components:
            machines = ", ".join(machine.name for machine in component.machines)
            print(one_line(f"{file.file}: component {component.name} is valid; machines: {machines}"))
    faults = find_faults(found.files)
    for finding, error in faults:
        if arguments.strict:
            complain(f"{error} [{finding.rule}]")
        else:
            print(one_line(f"warning: {error} [{finding.rule}]"))
    return 2 if found.problems or (arguments.strict and faults) else 0
