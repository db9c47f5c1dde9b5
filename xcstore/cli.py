"""`python -m xcstore`: import dumps, make the demo, check definitions, look into a store.

Exit status: 0 done; 1 done, but rows were left out (each is reported); 2 not done, or not to the end, for the reason
that is given in one sentence.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from xcstore.config import Settings
from xcstore.errors import DefinitionError, QueryError, XcstoreError
from xcstore.model.definition import Component
from xcstore.model.loader import load_component, load_folder
from xcstore.ops.importing import ImportReport, import_files
from xcstore.store.base import EventQuery, InstanceQuery, Stores
from xcstore.store.opening import open_stores, sqlite_file
from xcstore.units import EpochMs, to_utc

__all__ = ["main"]

SHOWN_PROBLEMS = 20


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """Run one command; returns the exit status."""
    parsed = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace, Settings], int] = parsed.command
    try:
        return command(parsed, Settings.from_mapping(environment))
    except XcstoreError as error:
        print(f"xcstore: {_one_line(' '.join(str(error).split()))}", file=sys.stderr)
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

    validate = commands.add_parser("validate", help="check component definitions")
    validate.add_argument(
        "files", nargs="+", metavar="FILE", help="YAML or JSON, or a folder of them; each that is wrong is reported"
    )
    validate.set_defaults(command=_validate)

    info = commands.add_parser("info", help="say what a store holds")
    info.add_argument("url", nargs="?", metavar="URL", help="default: the first store of the settings")
    info.set_defaults(command=_info)
    return parser


def _import(arguments: argparse.Namespace, settings: Settings) -> int:
    for file in arguments.files:
        if not _exists(file):
            raise QueryError(f"there is no file {file!r}; nothing was imported")
        if not Path(file).is_file():
            kind = "a folder; name the files in it" if Path(file).is_dir() else "not a file"
            raise QueryError(f"{file!r} is {kind}; nothing was imported")
    with _import_target(arguments.into, settings) as stores:
        with _progress("import", "B") as on_progress:
            report = import_files(arguments.files, stores, on_progress=on_progress)
        for problem in report.problems[:SHOWN_PROBLEMS]:
            print(_one_line(str(problem)), file=sys.stderr)
        more = report.bad + report.conflicts + report.broken - min(len(report.problems), SHOWN_PROBLEMS)
        if more > 0:
            print(f"… and {more:,} more", file=sys.stderr)
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
def _import_target(url: str, settings: Settings) -> Iterator[Stores]:
    """The stores to import into. A new file of SQLite that nothing went into is removed again."""
    file = sqlite_file(url)
    is_new = file is not None and not file.exists()
    is_empty = False
    try:
        # Nothing is masked here: a dump goes in as it is, and is compared with what is stored as it is.
        with open_stores(url, read_only=False, statement_timeout_ms=settings.statement_timeout_ms) as stores:
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
    refused = 0
    for file in arguments.files:
        components, problems = _components(file)
        refused += len(problems)
        for problem in problems:
            print(f"xcstore: {_one_line(' '.join(str(problem).split()))}", file=sys.stderr)
        for component in components:
            machines = ", ".join(machine.name for machine in component.machines)
            print(_one_line(f"{file}: component {component.name} is valid; machines: {machines}"))
    return 2 if refused else 0


def _components(file: str) -> tuple[Sequence[Component], Sequence[XcstoreError]]:
    """What a file or folder defines, and what is wrong in it."""
    try:
        if Path(file).is_dir():
            found = load_folder(file)
            if not found.components and not found.problems:
                raise DefinitionError("holds no components in .yaml, .yml or .json files", file=file)
            return found.components, found.problems
        if _exists(file) and not Path(file).is_file():
            raise DefinitionError("not a file", file=file)  # a pipe or device could be waited for
        return [load_component(file)], []
    except XcstoreError as error:
        return [], [error]


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
