"""Can this backup, this dump or this store be restored? Tried out, in a temporary store that is removed afterwards.

What hinders that everything comes back as it was is damage, and fails the drill: what cannot be read, a digest that
does not agree, events that lead nowhere, snapshots that no event explains. What a restart or a second runtime explains
as well is a warning, and so are causes that are not there, as retention removes them too; `strict` fails by these.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from xcstore.config import Settings, hide_password
from xcstore.errors import DefinitionError, QueryError
from xcstore.model.catalog import Catalog
from xcstore.model.definition import Component
from xcstore.model.loader import component_from_document, load_folder
from xcstore.ops.backup_file import BackupFile
from xcstore.ops.contents import Contents, DamagedFileError, StoreContents
from xcstore.ops.copying import CopyReport, MismatchError, copy_contents
from xcstore.ops.digests import differences
from xcstore.ops.drill_report import DAMAGING, Damage, DrillReport, Findings, Phase, Revived, without_values
from xcstore.ops.restoration import InstanceRestoration, restoration
from xcstore.ops.sources import open_source
from xcstore.ops.verifying import verify
from xcstore.runtime.clock import SimulatedClock
from xcstore.runtime.engine import FSMRuntime
from xcstore.runtime.restoring import RestoreReport
from xcstore.store.base import Stores
from xcstore.store.opening import open_stores
from xcstore.units import DurationMs, EpochMs

__all__ = ["Damage", "DrillReport", "Phase", "Revived", "drill"]

TOLD: Final = 100
"""Damages, and warnings, that are told; all are counted."""
_PREFIX: Final = "xcstore-drill-"
_KEPT_S: Final = 86_400
_PATIENCE_MS: Final = 600_000
_ALL_SNAPSHOTS: Final = 1_000_000
_PACKED: Final = 20
"""A packed file is at most about so many times as large in the temporary store, where JSON packs to a tenth."""
_PLAIN: Final = 3
_EVENT_BYTES: Final = 3_000
"""Of an event in the temporary store, with its indexes, where only their number is known."""

Progress = Callable[[str, int, int], None]


def drill(
    source: str,
    settings: Settings,
    *,
    definitions: Iterable[Component] = (),
    strict: bool = False,
    folder: Path | None = None,
    on_progress: Progress = lambda phase, done, total: None,
) -> DrillReport:
    """Restore everything into a temporary SQLite store, compare, bring it to life, and look for damage.

    Parameters
    ----------
    source : str
        A backup, what pg_dump or mongodump wrote, or the URL of a store. Only read.
    settings : Settings
        Their folder of definitions is used, and their time limit where it is longer than ten minutes.
    definitions : iterable of Component
        Besides those in the source and in the folder of the settings; of two of one name, these count.
    strict : bool
        Warnings fail the drill too.
    folder : Path, optional
        Where the temporary store is; the system's place for temporary files where not given.
    on_progress : callable
        Called with (phase, done, total). What it raises ends the drill, and the temporary store is removed.

    Raises
    ------
    QueryError
        The source is nothing that we know, or there is too little space for the temporary store.
    StoreError
        A store cannot be read.
    """
    found = _Drill(source, settings, tuple(definitions), strict, folder, on_progress).run()
    return without_values(found) if settings.redact else found


class _Drill:
    def __init__(
        self,
        source: str,
        settings: Settings,
        definitions: tuple[Component, ...],
        strict: bool,
        folder: Path | None,
        on_progress: Progress,
    ) -> None:
        self._source = source
        self._settings = settings
        self._definitions = definitions
        self._strict = strict
        self._folder = folder
        self._progress = on_progress
        self._timeout = max(_PATIENCE_MS, settings.statement_timeout_ms)
        self._asked_at = EpochMs(time.time_ns() // 1_000_000)
        self._found = Findings(TOLD)
        self._phases: list[Phase] = []
        self._notes: list[str] = []
        self._copied: CopyReport | None = None
        self._revived: Revived | None = None
        self._living = 0
        """Instances that live by their events."""
        self._told: set[str] = set()
        """Instances with problems."""
        self._complaints: list[str] = []
        """What the runtime said of instances, on bringing them back."""
        self._from_end = 0.0

    def run(self) -> DrillReport:
        name = hide_password(self._source)
        try:
            with self._phase("read"):
                contents = open_source(self._source, salvage=True, statement_timeout_ms=self._timeout)
        except DamagedFileError as error:
            self._found.damage("unreadable", name, str(error))
            return self._report(name)
        try:
            name = contents.name
            with self._place(contents) as url:
                self._restore(contents, url)
        except DamagedFileError as error:
            self._found.damage("unreadable", name, str(error))
        finally:
            contents.close()
        return self._report(name)

    # The phases

    def _restore(self, contents: Contents, url: str) -> None:
        expected = None
        if isinstance(contents, BackupFile):
            with self._phase("check") as show:
                expected = contents.check(show)
        else:
            what = "a store" if isinstance(contents, StoreContents) else "a dump"
            self._notes.append(
                f"{what} does not say what it should hold, so only what contradicts itself in it is found"
            )
        with self._opened(url, write=True) as target:
            try:
                with self._phase("restore") as show:
                    self._copied = copied = copy_contents(contents, target, on_progress=show)
            except MismatchError as error:  # what came back is not what went in
                self._found.damage("mismatch", contents.name, str(error))
                self._take_damages(contents)
                return
        self._take_damages(contents)
        self._notes += contents.notes
        self._compare(copied, expected.to_document() if expected is not None else None)
        with self._opened(url, write=False) as restored:
            catalog = self._catalog(restored)
            with self._phase("bring back"):
                self._bring_back(restored, catalog)
            with self._phase("audit") as show:
                restoration(
                    restored, catalog, limit=0, on_progress=show, on_instance=lambda one: self._judge(one, catalog)
                )
                self._hold_against_events()
            with self._phase("causes") as show:
                found = verify(restored, catalog, kinds=["dangling_cause"], limit=TOLD, on_progress=show)
            for finding in found.findings:
                missing = next((text for label, text in finding.evidence if "cause" in label), "")
                self._found.warn("dangling_cause", f"event {finding.event_id}", f"{finding.what} {missing}".rstrip())
            self._found.warned_besides(found.counts["dangling_cause"] - len(found.findings))

    def _take_damages(self, contents: Contents) -> None:
        for damage in contents.damages:
            self._found.damage("unreadable", contents.name, damage)

    def _compare(self, copied: CopyReport, expected: dict[str, object] | None) -> None:
        for problem in copied.problems:
            self._found.damage("not_storable", problem.partition(": ")[0], problem)
        self._found.damaged_besides(copied.left_out - len(copied.problems))
        if copied.missing:
            self._found.damage("missing", "events", f"{copied.missing:,} events were counted, and then not given")
        if copied.appended_meanwhile:
            self._notes.append(
                f"at least {copied.appended_meanwhile:,} events came meanwhile, and were not looked at; what is newer "
                "than the copy was not either"
            )
        assert copied.digest is not None
        if expected is not None and not copied.left_out:
            for difference in differences(expected, copied.digest.to_document()):
                self._found.damage("mismatch", "the restored store", f"source and restored: {difference}")

    def _bring_back(self, restored: Stores, catalog: Catalog) -> None:
        """By the runtime itself, as after an outage; nothing goes on, and nothing is written."""
        clock = SimulatedClock(self._asked_at)
        reports, active = [], 0
        for component in catalog:
            runtime = FSMRuntime(
                component,
                event_store=restored.events,
                snapshot_store=restored.snapshots,
                event_sourcing=True,
                snapshots=True,
                clock=clock,
                environment={},
            )
            reports.append(runtime.restore(resume=False))
            active += sum(one.status == "active" for one in runtime.instances())
            self._take_complaints(reports[-1], len(restored.events.get_outbox(component.name)))
        known = {component.name for component in catalog}
        unknown = sum(one.component_name not in known for one in restored.events.get_outbox())
        if unknown:
            self._notes.append(f"waiting work of components whose definition is not known, not looked at: {unknown:,}")
        self._revived = Revived(
            components=len(reports),
            instances=sum(report.instances for report in reports),
            active=active,
            from_snapshot=sum(report.from_snapshot for report in reports),
            events=sum(report.events for report in reports),
            ended=sum(report.ended for report in reports),
            timers=sum(report.timers for report in reports),
            overdue=sum(report.expired for report in reports),
            work=sum(report.work for report in reports),
        )

    def _take_complaints(self, report: RestoreReport, waiting: int) -> None:
        said = [one for one in report.problems if one.startswith("waiting work ")]
        for problem in said:
            self._found.damage("work", f"component {report.component_name}", problem)
        self._found.damaged_besides(max(0, waiting - report.work - len(said)))
        self._complaints += [one for one in report.problems if not one.startswith("waiting work ")]

    def _hold_against_events(self) -> None:
        """That all came back which live by their events, and that nothing goes unsaid which the runtime said."""
        assert self._revived is not None
        if self._revived.active != self._living:
            self._found.damage(
                "lost",
                "the restored store",
                f"brought back {self._revived.active:,} of {self._living:,} instances that live by their events",
            )
        for text in self._complaints:
            # An id may hold ': ' too.
            ids = {text[:at] for at in range(len(text)) if text.startswith(": ", at)}
            if not ids & self._told:
                self._found.warn("other", "the runtime", text)

    def _judge(self, one: InstanceRestoration, catalog: Catalog) -> None:
        where = f"instance {one.instance_id}"
        self._living += _lives(one, catalog)
        if one.problems:
            self._told.add(one.instance_id)
        for problem in one.problems:
            text = problem.text
            if problem.kind == "late_start" and one.outcome == "restored" and one.base == "events":
                # There is no snapshot that tells what it was before.
                self._found.damage("late_start", where, f"{text}, and no snapshot tells what was before")
            elif problem.kind in DAMAGING:
                self._found.damage(problem.kind, where, text)
            elif problem.kind in ("no_definition", "no_component"):
                self._found.unknown(one.component_name)
            elif problem.kind not in ("no_event_named", "chain_break"):
                self._found.warn(problem.kind, where, text)

    # What it needs

    def _catalog(self, restored: Stores) -> Catalog:
        found: list[Component] = []
        if self._settings.definitions is not None:
            loaded = load_folder(self._settings.definitions)
            found += loaded.components
            self._notes += [str(problem) for problem in loaded.problems]
        for item in restored.definitions.get_all_definitions():
            try:
                read = component_from_document(item.document)
                if read.hash != item.hash:
                    self._found.damage(
                        "definition",
                        f"definition of {item.component_name}",
                        f"it is stored under hash {item.hash[:12]}…, and what it says has hash {read.hash[:12]}…",
                    )
                found.append(read)
            except DefinitionError as error:
                self._found.damage("definition", f"definition of {item.component_name}", str(error))
        return Catalog((*found, *self._definitions))

    @contextmanager
    def _place(self, contents: Contents) -> Iterator[str]:
        """The URL of a SQLite store in a folder that is there until the drill ends."""
        with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=self._folder, ignore_cleanup_errors=True) as place:
            _sweep(Path(place).parent)
            needed, free = _needed(self._source, contents), shutil.disk_usage(place).free
            if needed > free:
                raise QueryError(
                    f"the drill may need {needed / 1e9:,.1f} GB for a temporary store, and {Path(place).parent} has "
                    f"{free / 1e9:,.1f} GB free; set TMPDIR to a larger place"
                )
            yield f"sqlite:///{Path(place).resolve() / 'drill.db'}"

    @contextmanager
    def _opened(self, url: str, *, write: bool) -> Iterator[Stores]:
        with open_stores(
            url,
            read_only=not write,
            statement_timeout_ms=self._timeout,
            snapshot_retention=_ALL_SNAPSHOTS,
            latency_alert_ms=None,
        ) as stores:
            yield stores

    @contextmanager
    def _phase(self, name: str) -> Iterator[Callable[[int, int], None]]:
        began = time.perf_counter()
        self._progress(name, 0, 0)
        try:
            yield lambda done, total: self._progress(name, done, total)
        finally:
            self._phases.append(Phase(name=name, seconds=time.perf_counter() - began))

    def _report(self, name: str) -> DrillReport:
        found = self._found
        digest = self._copied.digest if self._copied is not None else None
        point = digest.last_at if digest is not None else None
        for component, instances in sorted(found.unknown_components.items()):
            why = f"no definition of {component!r} is known" if component else "they name no component"
            self._notes.append(f"not brought back, as {why}: {instances:,} of the instances")
        passed = not found.damage_count and not (self._strict and found.warning_count)
        times = {phase.name: phase.seconds for phase in self._phases}
        complete = self._revived is not None and not found.damage_count
        return DrillReport(
            source=name,
            asked_at=self._asked_at,
            passed=passed,
            strict=self._strict,
            phases=tuple(self._phases),
            damages=tuple(found.damages),
            damage_count=found.damage_count,
            warnings=tuple(found.warnings),
            warning_count=found.warning_count,
            notes=tuple(self._notes),
            digest=digest,
            revived=self._revived,
            not_revived=sum(found.unknown_components.values()),
            recovery_seconds=sum(times.get(one, 0.0) for one in ("read", "check", "restore", "bring back"))
            if complete
            else None,
            recovery_point=point,
            recovery_age_ms=DurationMs(self._asked_at - point) if point is not None else None,
        )


def _sweep(folder: Path) -> None:
    """Remove what own drills left there that were killed, a day ago or longer."""
    until = time.time() - _KEPT_S
    for left in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if left.is_symlink() or not left.is_dir() or left.stat().st_uid != os.getuid():
                continue
            if max(one.stat().st_mtime for one in (left, *left.iterdir())) < until:
                shutil.rmtree(left, ignore_errors=True)


def _lives(one: InstanceRestoration, catalog: Catalog) -> bool:
    """Whether an instance goes on by its events; by its snapshot where no event is left."""
    machine = catalog.find_machine(one.component_name, one.machine_name)
    if machine is None or one.outcome == "ended":  # by the state that its last event led to
        return False
    if not one.events:
        return one.instance is not None and one.instance.status == "active"
    state = machine.find_state(one.state)
    return state is None or not state.is_terminal


def _needed(source: str, contents: Contents) -> int:
    """Bytes that the temporary store may take; generous."""
    if isinstance(contents, StoreContents):
        size = contents.stores.events.status().size_bytes or 0
        return max(_PLAIN * size, _EVENT_BYTES * contents.event_count)
    path = Path(source)
    files = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
    total = 0
    for file in files:
        with file.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        total += file.stat().st_size * (_PACKED if packed else _PLAIN)
    return total
