"""`demo`: the demo history."""

from __future__ import annotations

import argparse

from xcstore.commands.common import Subparsers, count_events, counted, progress
from xcstore.config import Settings
from xcstore.errors import QueryError
from xcstore.store.opening import open_stores

__all__ = ["add_to"]


def add_to(commands: Subparsers[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("demo", help="make the demo history")
    parser.add_argument("--into", required=True, metavar="URL", help="such as sqlite:///data/demo.db")
    parser.add_argument("--seed", type=int, default=7, help="another number makes another history (default: 7)")
    parser.add_argument(
        "--force",
        action="store_true",
        help="also into a store that holds events; needs another --seed if the demo is in it already",
    )
    parser.set_defaults(command=_demo)


def _demo(arguments: argparse.Namespace, settings: Settings) -> int:
    from xcstore.demo.generator import generate_demo  # it imports the runtime, which the other commands do not need

    with open_stores(
        arguments.into,
        read_only=False,
        statement_timeout_ms=settings.statement_timeout_ms,
        latency_alert_ms=None,  # as in `target`
    ) as stores:
        held = count_events(stores)
        if held and not arguments.force:
            raise QueryError(
                f"{stores.identity} holds {counted(held, 'event')} already; "
                "name a new store, or add the demo with --force"
            )
        with progress("demo", "%") as show:
            report = generate_demo(stores, seed=arguments.seed, on_progress=lambda part: show(int(100 * part), 100))
        print(f"{counted(count_events(stores) - held, 'event')} went into {stores.identity}")
        for story in report.stories:
            print(f"  {story.name} ({story.business_key or story.instance_id}): {story.words}")
        print(f"  and {len(report.anomalies)} planted faults of {len({a.kind for a in report.anomalies})} kinds")
    return 0
