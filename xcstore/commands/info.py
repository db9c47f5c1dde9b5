"""`info`: what a store holds."""

from __future__ import annotations

import argparse

from xcstore.commands.common import Subparsers, count_events, one_line, time_text
from xcstore.config import Settings
from xcstore.store.base import InstanceQuery
from xcstore.store.kinds import kind_text
from xcstore.store.opening import open_stores

__all__ = ["add_to"]


def add_to(commands: Subparsers[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("info", help="say what a store holds")
    parser.add_argument("url", nargs="?", metavar="URL", help="default: the first store of the settings")
    parser.set_defaults(command=_info)


def _info(arguments: argparse.Namespace, settings: Settings) -> int:
    url = arguments.url or next(iter(settings.store_urls().values()))
    with open_stores(
        url, read_only=True, redact=settings.redact, statement_timeout_ms=settings.statement_timeout_ms
    ) as stores:
        events = stores.events
        span = events.time_range()
        states = events.count_instances(InstanceQuery())
        print(f"store       {stores.identity}")
        print(f"layout      {kind_text(stores.identity, events.layout)}")
        print(f"events      {count_events(stores):,}")
        if span is not None:
            print(f"from, to    {time_text(span[0])}, {time_text(span[1])}")
        print(f"snapshots   {stores.snapshots.count():,}")
        print(f"instances   {sum(row.count for row in states):,}")
        for row in states:
            machine = "/".join(filter(None, (row.component_name, row.machine_name)))
            print(f"{row.count:>11,} {one_line(machine)}: {one_line(row.state)}")
    return 0
