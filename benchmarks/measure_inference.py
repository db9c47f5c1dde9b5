"""How right the rules are, and how wrong what is recorded: the tables of docs/causality.md.

    python -m benchmarks.measure_inference --reference FOLDER

Where our runtime wrote the truth (the demo, and the components of the reference driven at random), `caused_by` is taken
away, every cause is inferred and compared; a second time without `source_component_name` and `definition_hash` as
well, which is how an event of another writer looks. On the reference data, whose truth nobody knows: how many links
each rule finds, how many recorded links are doubtful and why, and how many of these a rule replaces.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from xcstore.analysis.causality import doubts_of
from xcstore.analysis.inference import RULES, Surroundings, infer
from xcstore.demo import generate_demo
from xcstore.demo.simulation import COMPONENT_FILES
from xcstore.model.catalog import Catalog
from xcstore.model.history import PersistedEvent
from xcstore.model.loader import component_from_document, load_component
from xcstore.ops.sources import open_source
from xcstore.runtime import ComponentRegistry, FSMRuntime, PersistenceConfig, SimulatedClock, TimeOrderedIds
from xcstore.store.codec import event_from_document
from xcstore.store.memory import open_memory_stores
from xcstore.units import DurationMs, EpochMs

START = EpochMs(1_767_225_600_000)


@dataclass
class Score:
    """Of one rule: how many causes it named, and how many of them are the true one."""

    named: int = 0
    right: int = 0
    rootless: int = 0
    """Named a cause of an event that came from outside."""


@dataclass
class History:
    events: list[PersistedEvent]
    catalog: Catalog
    planted: frozenset[str] = frozenset()
    """Events with a planted fault, whose recorded cause is not the true one."""


@dataclass
class Outcome:
    events: int = 0
    caused: int = 0
    """Events that have a true cause."""
    rules: dict[str, Score] = field(default_factory=lambda: {name: Score() for name in RULES})
    missed: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    gaps: list[int] = field(default_factory=list)
    """From the true cause to the effect, between instances."""


def measure(history: History, *, bare: bool = False) -> Outcome:
    """Take the causes away, infer them, compare."""
    events = history.events
    outcome = Outcome(events=len(events) - len(history.planted))
    at = {event.id: event for event in events}
    taken = [replace(event, caused_by=(), caused=()) for event in events]
    if bare:
        taken = [replace(event, source_component_name=None, definition_hash=None) for event in taken]
    began = time.perf_counter()
    around = Surroundings(taken)
    for event, truth in zip(taken, events, strict=True):
        if event.id in history.planted:
            continue
        link = infer(event, around, history.catalog)
        outcome.caused += bool(truth.caused_by)
        if truth.caused_by and (cause := at.get(truth.caused_by[0])) and cause.instance_id != truth.instance_id:
            outcome.gaps.append(truth.persisted_at - cause.persisted_at)
        if link is None:
            if truth.caused_by:
                cause = at.get(truth.caused_by[0])
                kind = "lost" if cause is None else "itself" if cause.instance_id == truth.instance_id else "another"
                outcome.missed[f"{truth.machine_name} {truth.event_type} ({kind})"] += 1
            continue
        score = outcome.rules[link.rule]
        score.named += 1
        score.right += link.cause_id in truth.caused_by
        score.rootless += not truth.caused_by
    outcome.seconds = time.perf_counter() - began
    return outcome


def table(title: str, outcome: Outcome) -> str:
    """A markdown table of precision per rule, and recall over all."""
    lines = [f"**{title}**: {outcome.events:,} events, {outcome.caused:,} of them with a cause", ""]
    lines += ["| rule | causes named | right | precision | share of all causes (recall) |", "|---|---:|---:|---:|---:|"]
    strong = [name for name in RULES if name != "succession"]

    def row(name: str, scores: Iterable[Score]) -> str:
        kept = list(scores)
        named, right = sum(one.named for one in kept), sum(one.right for one in kept)
        precision = f"{right / named:.1%}" if named else "–"
        return f"| {name} | {named:,} | {right:,} | {precision} | {right / max(1, outcome.caused):.1%} |"

    lines += [row(name, [outcome.rules[name]]) for name in RULES if outcome.rules[name].named]
    lines.append(row("all but succession", [outcome.rules[name] for name in strong]))
    wrong = sum(outcome.rules[name].rootless for name in strong)
    lines += ["", f"{wrong:,} of the causes that were named wrongly belong to events that came from outside."]
    return "\n".join(lines)


# Histories whose truth is known


def demo() -> History:
    with open_memory_stores() as stores:
        report = generate_demo(stores)
        events = list(stores.events.get_all_events())
    planted = frozenset(anomaly.event_id for anomaly in report.anomalies) & {event.id for event in events}
    return History(events, Catalog(load_component(path) for path in COMPONENT_FILES), planted)


KEYS = ("orderId", "Id", "OrderId", "productId", "ProductId", "customerId", "trackingNumber")


def played(folder: Path, *, seed: int = 1, steps: int = 12_000) -> History:
    """The components of the reference on our runtime, many cases at once, driven at random."""
    logging.getLogger("xcstore").setLevel(logging.ERROR)  # that several transitions fit is no news here
    documents = json.loads((folder / "components.json").read_text(encoding="utf-8"))
    components = [component_from_document(document) for document in documents.values()]
    rng, clock, registry, stores = random.Random(seed), SimulatedClock(START), ComponentRegistry(), open_memory_stores()
    ids = TimeOrderedIds(seed)
    runtimes = []
    for component in components:
        config = PersistenceConfig(event_sourcing=True, event_store=stores.events)
        runtime = FSMRuntime(component, clock=clock, ids=ids, persistence=config)
        registry.register(runtime)
        runtimes.append((component, runtime))
    sending = [one for one in runtimes if any(state.cascading_rules for m in one[0].machines for state in m.states)]
    for number in range(steps):
        component, runtime = rng.choice(sending if number % 2 else runtimes)
        machine = rng.choice(component.machines)
        live = [one for one in runtime.instances(machine.name) if one.status == "active"]
        key = f"K-{rng.randrange(number // 20, number // 20 + 12)}"
        values = {"amount": rng.randrange(100), **dict.fromkeys(KEYS, key)}
        if not live or (len(live) < 25 and rng.random() < 0.2):
            runtime.create_instance(machine.name, values)
        else:
            one = rng.choice(live)
            held = one.public_member if one.public_member is not None else one.context
            moves = [move.event for move in machine.transitions if move.source == one.current_state]
            payload = {name: held[name] for name in KEYS if name in held} if rng.random() < 0.7 else {}
            runtime.send(one.id, rng.choice(moves or ["NOTHING"]), payload)
        if rng.random() < 0.6:
            clock.advance(DurationMs(rng.choice([1, 3, 40, 2_000, 90_000])))
    return History(list(stores.events.get_all_events()), Catalog(components))


# Histories whose truth nobody knows


def stated(title: str, events: Sequence[PersistedEvent], catalog: Catalog) -> str:
    """What the rules find, and what speaks against the recorded links."""
    at = {event.id: event for event in events}
    around = Surroundings(events)
    found: Counter[str] = Counter()
    doubted: Counter[str] = Counter()
    links = dangling = doubtful = replaced = strong = 0
    gaps: Counter[str] = Counter()
    for event in events:
        link = infer(event, around, catalog)
        if link is not None:
            found[link.rule] += 1
            if link.rule not in ("timer", "succession"):
                gaps[link.rule] = max(gaps[link.rule], link.gap_ms or 0)
        reasons = []
        for cause_id in dict.fromkeys(event.caused_by):
            links += 1
            cause = at.get(cause_id)
            dangling += cause is None
            if cause is not None and (reason := doubts_of(cause, event, catalog)):
                reasons.append(cause_id)
                doubted.update(reason.keys())
                doubtful += 1
        if reasons and link is not None and link.cause_id not in reasons:
            replaced += len(reasons)
            strong += len(reasons) if link.rule != "succession" else 0
    lines = [
        f"**{title}**: {len(events):,} events, {links:,} recorded links, {dangling:,} to a cause that is not stored",
        "",
    ]
    lines += ["| rule | links it finds | longest time between |", "|---|---:|---:|"]
    lines += [
        f"| {name} | {found[name]:,} | {f'{gaps[name]:,} ms' if name in gaps else '–'} |"
        for name in RULES
        if found[name]
    ]
    share = f"{doubtful:,} recorded links are doubtful ({doubtful / max(1, links):.0%})"
    lines += ["", f"{share}; a rule replaces {replaced:,} of them, {strong:,} by another rule than succession:", ""]
    lines += ["| reason | links |", "|---|---:|", *(f"| {kind} | {count:,} |" for kind, count in doubted.most_common())]
    return "\n".join(lines)


def reference(folder: Path) -> Iterator[tuple[str, list[PersistedEvent]]]:
    """The memory dump, and both dumps of PostgreSQL."""
    documents = json.loads((folder / "memory_events.json").read_text(encoding="utf-8"))
    yield "memory dump", [event_from_document(document) for document in documents]
    for title, name in (("documented layout", "documented_layout.sql"), ("shipped layout", "shipped_layout.sql")):
        with closing(open_source(str(folder / name))) as contents:
            yield title, [event_from_document(row.document) for row in contents.events()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--missed", type=int, default=0, metavar="N", help="also the N most frequent causes not found")
    arguments = parser.parse_args()
    for title, history in (
        ("demo", demo()),
        ("components of the reference, played on our runtime", played(arguments.reference)),
    ):
        for bare in (False, True):
            told = f"{title}, also without source component and definition" if bare else f"{title}, causes taken away"
            outcome = measure(history, bare=bare)
            print(table(told, outcome), end="\n\n")
            if not bare:
                longest = max(outcome.gaps, default=0)
                print(f"From a true cause to an effect in another instance: at most {longest:,} ms.", end="\n\n")
            for missed, count in outcome.missed.most_common(arguments.missed):
                print(f"    missed: {missed} {count:,}")
            print(f"    {len(history.events) / outcome.seconds:,.0f} events/s", file=sys.stderr)
    documents = json.loads((arguments.reference / "components.json").read_text(encoding="utf-8"))
    catalog = Catalog(component_from_document(document) for document in documents.values())
    for title, events in reference(arguments.reference):
        print(stated(title, events, catalog), end="\n\n")


if __name__ == "__main__":
    main()
