"""What caused an event, where nothing right is recorded: rules, each of which says what it saw.

A rule looks at one event and at those stored around it, and names one cause or none. `RULES` has them by strength; the
first that finds a cause counts. None of them proves anything: `docs/causality.md` has how often each is right.

Events of one millisecond are common, as most of what an event sets off happens at once. Among candidates alike the
latest counts that was stored before the event: by time, then by `seq` where the store keeps the order of insertion,
else by the order of the stream. Of events of our runtime `seq` is true, and no cause comes after its effect; of others,
which may have been imported in another order, one of the same millisecond may, and the evidence says so. Where several
are alike at one moment and nothing tells them apart, the evidence says how many.

Our runtime records true causes, so an event of it (one with a definition's hash) that has none came from outside,
unless it says otherwise itself: by a source component, a timer's reason, a parent or a child. No other rule is used
for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile, takewhile
from types import MappingProxyType
from typing import Final

from xcstore.analysis.causality import SUCCESSION, TIMER_REASONS, Link
from xcstore.analysis.routes import WINDOW, Agreement, Routes, Send, routes
from xcstore.analysis.surroundings import Surroundings, stored_before
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.units import DAY, HOUR, MINUTE, SECOND, DurationMs

__all__ = ["RULES", "Rule", "Surroundings", "infer", "named_instance", "timer_reason"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One way to find a cause."""

    name: str
    description: str
    infer: Callable[[PersistedEvent, Surroundings, Routes], Link | None]


def infer(
    effect: PersistedEvent, around: Surroundings, catalog: Catalog | None = None, *, succession: bool = True
) -> Link | None:
    """The cause that the strongest rule finds; None where none does.

    Parameters
    ----------
    around : Surroundings
        Has to hold what the rules may find: the instance's earlier events, those of its parent or child, and those
        of possible senders within `WINDOW` before.
    catalog : Catalog, optional
        Definitions; without them `sender` and `cascade` find nothing.
    succession : bool
        Whether the rule of that name may be used; it says what came before, not what caused.

    Examples
    --------
    >>> from xcstore.units import EpochMs
    >>> def event(name, at, kind, **payload):
    ...     return PersistedEvent(id=name, instance_id="i", machine_name="Order", event_type=kind, payload=payload,
    ...                           state_before="" if name == "a" else "Draft", state_after="Draft",
    ...                           persisted_at=EpochMs(at))
    >>> made, late = event("a", 0, CREATION), event("b", 500, "LATE", reason="timeout")
    >>> infer(late, Surroundings([made, late])).evidence
    'timer of its own instance (timeout): INSTANCE_CREATED entered Draft 500 ms earlier'
    """
    known = routes(catalog) if catalog is not None else _NO_ROUTES
    for rule in RULES.values():
        found = None if rule.name == SUCCESSION and not succession else rule.infer(effect, around, known)
        if found is not None:
            return found
    return None


def timer_reason(event: PersistedEvent) -> str:
    """Why the runtime's own timer sent the event; '' where none did."""
    reason = event.payload.get("reason") if isinstance(event.payload, Mapping) else None
    return reason if isinstance(reason, str) and reason in TIMER_REASONS else ""


def named_instance(event: PersistedEvent) -> str:
    """The instance that a creation names as its parent, or that news comes from (`childInstanceId`); else ''."""
    payload = event.payload if isinstance(event.payload, Mapping) else {}
    name = payload.get("parentInstanceId" if event.event_type == CREATION else "childInstanceId")
    return name if isinstance(name, str) else ""


# The rules


def _timer(effect: PersistedEvent, around: Surroundings, known: Routes) -> Link | None:
    reason = timer_reason(effect)
    restarts = known.restarts(effect)
    # A stream can be broken where a restart rolled the instance back; then what entered the state is further back.
    stayed = dropwhile(lambda event: event.state_after != effect.state_before, reversed(around.before(effect)))
    in_state = takewhile(lambda event: event.state_after == effect.state_before, stayed if reason else ())
    entered = next((event for event in in_state if restarts or event.state_before != event.state_after), None)
    if entered is None:
        return None
    what = f"{entered.event_type} entered {entered.state_after}"
    return _link("timer", entered, effect, f"timer of its own instance ({reason}): {what}")


def _parent(effect: PersistedEvent, around: Surroundings, known: Routes) -> Link | None:
    parent = named_instance(effect) if effect.event_type == CREATION else ""
    stream = [event for event in around.stream(parent) if _is_just_before(event, effect)] if parent else []
    makers = [
        (event, send.compare(around.values(event), effect)) for event in stream for send in known.between(event, effect)
    ]
    if makers:
        best, _, alike = _latest(makers, effect)
        said = "parentInstanceId, and its definition makes this machine"
    elif stream:
        best, _, alike = _latest([(event, Agreement()) for event in stream], effect)
        said = "parentInstanceId"
    else:
        return None
    return _link("parent", best, effect, f"created by {_named(best)}", f"{said}{alike}")


def _child(effect: PersistedEvent, around: Surroundings, known: Routes) -> Link | None:
    child = named_instance(effect) if effect.event_type != CREATION else ""
    payload = effect.payload if isinstance(effect.payload, Mapping) else {}
    told = [
        (event, Agreement())
        for event in (around.stream(child) if child else ())
        if _is_just_before(event, effect)
        and payload.get("previousState", event.state_before) == event.state_before
        and payload.get("newState", event.state_after) == event.state_after
    ]
    if not told:
        return None
    best, _, alike = _latest(told, effect)
    return _link("child", best, effect, f"told by {_named(best)}", f"childInstanceId{alike}")


def _sender(effect: PersistedEvent, around: Surroundings, known: Routes) -> Link | None:
    source = effect.source_component_name
    if not source:
        return None
    sends = [send for send in known.arriving(effect) if send.sender[0] == source]
    return _sent("sender", effect, around, sends, f"source component {source}")


def _cascade(effect: PersistedEvent, around: Surroundings, known: Routes) -> Link | None:
    if effect.source_component_name or effect.definition_hash:
        return None
    return _sent("cascade", effect, around, known.arriving(effect), "by the definition")


def _succession(effect: PersistedEvent, around: Surroundings, known: Routes) -> Link | None:
    if effect.definition_hash:
        return None
    before = around.before(effect)
    return _link(SUCCESSION, before[-1], effect, f"followed {_named(before[-1])}", "same instance") if before else None


RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        rule.name: rule
        for rule in (
            Rule(
                name="timer",
                description="a timer's event is caused by the event of its own instance that entered the state",
                infer=_timer,
            ),
            Rule(
                name="parent",
                description="a creation that names its parent is caused by the parent's transition just before it",
                infer=_parent,
            ),
            Rule(
                name="child",
                description="news that names a child instance is caused by the transition it tells of",
                infer=_child,
            ),
            Rule(
                name="sender",
                description="an event with a source component is caused by what its definition sends, values equal",
                infer=_sender,
            ),
            Rule(
                name="cascade",
                description="an event that a definition sends is caused by the nearest such sender, values equal",
                infer=_cascade,
            ),
            Rule(
                name=SUCCESSION,
                description="the event before it in its instance: what it followed, not what caused it",
                infer=_succession,
            ),
        )
    }
)
"""By strength, strongest first."""
_NO_ROUTES: Final = Routes(())

Candidate = tuple[PersistedEvent, Agreement]


def _sent(rule: str, effect: PersistedEvent, around: Surroundings, sends: Iterable[Send], said: str) -> Link | None:
    start, end = effect.persisted_at - WINDOW, effect.persisted_at
    found: list[Candidate] = []
    whens: dict[str, str] = {}
    for send in dict.fromkeys(sends):
        for event in around.place(send.sender, start, end):
            if send.is_sent_by(event) and _may_precede(event, effect):
                agreement = send.compare(around.values(event), effect)
                if not agreement.contradicts:
                    found.append((event, agreement))
                    whens.setdefault(event.id, send.when)
    if not found:
        return None
    best, agreement, alike = _latest(found, effect, best_score=True)
    equal = f", equal {', '.join(agreement.equal[:3])}" if agreement.equal else ""
    return _link(rule, best, effect, f"sent by {_named(best)} {whens[best.id]}", f"{said}{equal}{alike}")


def _latest(
    candidates: Sequence[Candidate], effect: PersistedEvent, *, best_score: bool = False
) -> tuple[PersistedEvent, Agreement, str]:
    """The nearest before the effect, or the one whose values agree most; and words for those as good as it."""

    def rank(candidate: Candidate) -> tuple[int, bool, int, int]:
        event, agreement = candidate
        return (
            agreement.score if best_score else 0,
            stored_before(event, effect),
            event.persisted_at,
            0 if best_score else agreement.score,
        )

    best = max(candidates, key=lambda candidate: (rank(candidate), candidate[0].seq or 0))
    # `max` gives the first of equals; of a stream the last is the nearest.
    equals = [one for one in candidates if rank(one) == rank(best) and one[0].seq == best[0].seq]
    event, agreement = equals[-1]
    told = len({one.id for one, _ in equals})
    said = f"; {told} alike at that moment" if told > 1 else ""
    return event, agreement, said if stored_before(event, effect) else f"{said}; stored after it"


def _may_precede(event: PersistedEvent, effect: PersistedEvent) -> bool:
    if event.id == effect.id or event.persisted_at > effect.persisted_at:
        return False
    return not effect.definition_hash or stored_before(event, effect)


def _is_just_before(event: PersistedEvent, effect: PersistedEvent) -> bool:
    return effect.persisted_at - event.persisted_at <= WINDOW and _may_precede(event, effect)


def _named(event: PersistedEvent) -> str:
    return f"{event.machine_name} {event.event_type}"


def _link(rule: str, cause: PersistedEvent, effect: PersistedEvent, what: str, why: str = "") -> Link:
    gap = DurationMs(effect.persisted_at - cause.persisted_at)
    return Link(
        cause_id=cause.id,
        effect_id=effect.id,
        provenance="inferred",
        rule=rule,
        evidence=f"{what} {_ago(gap)}{': ' if why else ''}{why}",
        same_instance=cause.instance_id == effect.instance_id,
        crosses_component=cause.component_name != effect.component_name,
        gap_ms=gap,
    )


def _ago(gap: int) -> str:
    if gap == 0:
        return "at the same millisecond"
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s")):
        if gap >= 2 * unit:
            return f"{gap / unit:.1f} {name} earlier"
    return f"{gap:,} ms earlier"
