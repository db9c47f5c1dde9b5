"""`replay --verify`: does a stored history go as its definitions say?

Exit status: 0 no divergence; 1 there are divergences; 2 it cannot be read.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from xcstore.commands.common import Subparsers, complain, counted, one_line, positive_count, progress, time_text
from xcstore.config import Settings
from xcstore.jsontext import json_text
from xcstore.store.base import EventQuery, Stores
from xcstore.store.opening import open_stores

if TYPE_CHECKING:
    from xcstore.replay.divergence_results import DivergenceMap
    from xcstore.replay.verdicts import Verdict

__all__ = ["add_to"]

_TIMEOUT_MS: Final = 600_000
"""A piece of a large store may take longer than a page would wait."""
_SHOWN_NAMES: Final = 30
_MARKS: Final[Mapping[Verdict, str]] = {
    "same": "✓ same",
    "different": "✕ different",
    "ignored_here": "✕ ignored here",
    "ignored_there": "✕ ignored there",
    "not_replayable": "◌ not replayable",
}


def add_to(commands: Subparsers[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "replay",
        help="execute a stored history once more and say where it does not go as its definitions say",
        description="With --verify: execute every stored event through the definition of its machine and compare state "
        "and values with what is recorded; nothing is written. Exit status: 0 no divergence; 1 there are divergences; "
        "2 it cannot be read.",
    )
    parser.add_argument("url", nargs="?", metavar="URL", help="default: the first store of the settings")
    parser.add_argument("--verify", action="store_true", help="verify the whole store")
    parser.add_argument("--json", action="store_true", help="print the map as one JSON object")
    parser.add_argument(
        "--limit",
        type=positive_count,
        default=20,
        metavar="N",
        help="instances to tell of each kind of first divergence; default: 20",
    )
    parser.add_argument(
        "--component",
        action="append",
        default=[],
        metavar="NAME",
        help="look at this component alone; may be given again",
    )
    parser.set_defaults(command=_replay)


def _replay(arguments: argparse.Namespace, settings: Settings) -> int:
    from xcstore.queries.definitions import stored_definitions
    from xcstore.replay.divergence import divergence_map

    if not arguments.verify:
        complain(
            "replay --verify executes a stored history once more and compares it with what is recorded; to go through "
            "a history step by step, open the page Replay of the app"
        )
        return 2
    url = arguments.url or next(iter(settings.store_urls().values()))
    with open_stores(
        url,
        read_only=True,
        redact=settings.redact,
        statement_timeout_ms=max(_TIMEOUT_MS, settings.statement_timeout_ms),
        latency_alert_ms=None,
    ) as stores:
        unknown = _unknown_components(stores, arguments.component)
        if unknown:
            complain(unknown)
            return 2
        known = stored_definitions(stores.definitions, settings.definitions)
        with progress("replay", " events") as show:
            found = divergence_map(
                stores, known.catalog, limit=arguments.limit, on_progress=show, components=arguments.component
            )
    if arguments.json:
        print(json_text({**found.document(), "problems": list(known.problems)}))
    else:
        _print(found, known.problems)
    return 1 if found.diverging else 0


def _unknown_components(stores: Stores, asked: Sequence[str]) -> str:
    """What is wrong with the components that are asked for; '' where events of each are stored."""
    if not asked:
        return ""
    there = sorted(str(row.key[0]) for row in stores.events.count(EventQuery(), by=("component_name",)))
    lacking = [name for name in dict.fromkeys(asked) if name not in there]
    if not lacking:
        return ""
    what = one_line(", ".join(map(repr, lacking)))
    shown = one_line(", ".join(name or "(none)" for name in there[:_SHOWN_NAMES])) or "no events at all"
    more = f" and {len(there) - _SHOWN_NAMES:,} more" if len(there) > _SHOWN_NAMES else ""
    return f"the store has no event of component {what}; there are {shown}{more}"


def _machine_text(component_name: str, machine_name: str) -> str:
    return f"{component_name or '(no component)'}/{machine_name}"


def _print(found: DivergenceMap, problems: tuple[str, ...]) -> None:
    from xcstore.replay.verdicts import KINDS

    print(f"store       {one_line(found.store)}")
    print(f"as of       {time_text(found.asked_at)}, in {found.seconds:.1f} s")
    if found.components:
        print(one_line(f"components  {', '.join(found.components)}"))
    print(f"replayed    {counted(found.events, 'event')} of {counted(found.instances, 'instance')}")
    print()
    for verdict, mark in _MARKS.items():
        print(f"{mark:<17} {found.verdicts.get(verdict, 0):>9,}")
        for name, count in found.kinds.items():
            if KINDS[name].verdict == verdict:
                print(f"  of these        {count:>9,}  {KINDS[name].title} ({name}): {KINDS[name].meaning}")
    print()
    print("diverging instances by machine and version of its definition")
    for row in found.rows:
        name = _machine_text(row.component_name, row.machine_name)
        version = f" {row.definition_hash[:12]}" if row.definition_hash else ""
        unknown = "" if row.known else ", definition not known"
        print(
            one_line(
                f"  {name}{version}: {row.diverging:,} of {counted(row.instances, 'instance')}, "
                f"{counted(row.events, 'event')}{unknown}"
            )
        )
    for kind, count in found.first_kinds.items():
        print()
        print(f"{KINDS[kind].title}, first of {counted(count, 'instance')}")
        if found.shown(kind) < count:
            print(f"shown {found.shown(kind):,} of {count:,}")
        for one in found.examples:
            if one.kind == kind:
                name = _machine_text(one.component_name, one.machine_name)
                event = f"event {one.event_id} ({one.event_type})" if one.event_id else "no event"
                print(one_line(f"  {name} · instance {one.instance_id} · step {one.position:,} · {event}"))
                print(one_line(f"      {one.reason}"))
    print()
    for note in (*found.notes, *problems):
        print(one_line(f"note: {note}"))
    if not found.diverging:
        unable = found.verdicts.get("not_replayable", 0)
        rest = f"; {counted(unable, 'event')} could not be compared in full" if unable else ""
        print(f"no divergence{rest}")
