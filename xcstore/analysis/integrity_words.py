"""What was found by position, told with the events that it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from xcstore.analysis.causality import link_doubts
from xcstore.analysis.integrity import KINDS, Finding, Severity, moment_words, sentence
from xcstore.analysis.integrity_causes import Dangling
from xcstore.analysis.integrity_columns import Hit
from xcstore.analysis.integrity_skew import JITTER_MS, Skew
from xcstore.model.catalog import Catalog
from xcstore.model.history import PersistedEvent

__all__ = ["tell", "tell_cycle", "tell_damage", "tell_dangling", "tell_lost_effect", "tell_odd", "tell_skew"]

_RING_SHOWN: Final = 10
Told = tuple[str, str, str]
"""What, reason, page."""


def tell(hit: Hit, events: Sequence[PersistedEvent], catalog: Catalog | None = None) -> Finding:
    """A hit, with its events in the order of `hit.at`."""
    what, reason, page = _TELLERS[hit.kind](hit, events, catalog)
    return _finding(hit.kind, hit.severity or KINDS[hit.kind].severity, what, reason, events, page)


def tell_dangling(dangling: Dangling, effect: PersistedEvent, *, pruned: bool) -> Finding:
    """`pruned`: retention has removed events from this store."""
    return _finding(
        "dangling_cause",
        "warning" if pruned else "error",
        f"The recorded cause of {_name(effect)} is not in the store.",
        "Retention removed it, or it was never stored here."
        if pruned
        else "The cause was removed, is kept in another store, or was never stored.",
        [effect],
        "causality",
        (("missing cause", dangling.cause_id),),
    )


def tell_lost_effect(dangling: Dangling, cause: PersistedEvent) -> Finding:
    return _finding(
        "asymmetric_link",
        "warning",
        f"{_name(cause)} records an effect that is not in the store.",
        "The effect was removed, is kept in another store, or was never stored.",
        [cause],
        "causality",
        (("missing effect", dangling.cause_id),),
    )


def tell_cycle(size: int, events: Sequence[PersistedEvent]) -> Finding:
    """The first events of a circle of `size`."""
    if size == 1:
        what, reason = f"{_name(events[0])} names itself as its cause.", "The writer recorded its own id."
    else:
        what = f"{size:,} events cause each other: {', '.join(map(_name, events[:3]))}{' …' if size > 3 else ''}."
        reason = "A cause was recorded afterwards, or ids were used twice: what happened cannot go round."
    more = (("events", f"shown {len(events)} of {size:,}"),) if size > len(events) else ()
    return _finding("causal_cycle", "error", what, reason, events, "causality", more)


def tell_skew(skew: Skew, effect: PersistedEvent, cause: PersistedEvent) -> Finding:
    what = (
        f"Effects in {_component(effect)} are stored before their causes in {_component(cause)}, "
        f"by {skew.median_ms:,} ms at the median and {skew.most_ms:,} ms at most."
    )
    reason = (
        f"The clock of {_component(effect)} is behind that of {_component(cause)}: it is a habit, and always about "
        "as much."
        if skew.most_ms > JITTER_MS
        else "Clocks of two machines that are kept together differ by so little now and then."
    )
    more = (("links", f"{skew.early:,} of {skew.links:,}"), ("gap", f"{effect.persisted_at - cause.persisted_at:,} ms"))
    return _finding("clock_skew", "warning", what, reason, [effect, cause], "causality", more)


def tell_damage(words: str) -> Finding:
    """What a backend says of its own file."""
    return Finding(
        kind="damaged_file",
        severity="error",
        what=sentence(words),
        reason="A disk that failed, a copy of a file that was being written, or an edit past the store.",
    )


def tell_odd(event: PersistedEvent) -> Finding:
    """An event with faults."""
    return _finding(
        "odd_document",
        "warning",
        f"{_name(event)} is stored in an odd form.",
        "Another version of the writer, a field that was lost on the way, or an edit by hand.",
        [event],
        "events",
        tuple((f"fault {number}", fault) for number, fault in enumerate(event.faults[:20], 1)),
    )


def _chain(hit: Hit, events: Sequence[PersistedEvent], catalog: Catalog | None) -> Told:
    event, before = events[:2]
    what = f"{_name(event)} starts in {event.state_before!r}, but the event before it ended in {before.state_after!r}."
    if hit.case == "unreached":
        reason = f"Nothing before led to {event.state_before!r}: events in between were lost, removed or not stored."
        return what, reason, "instances"
    undone = hit.facts["undone"]
    again = ", and went the same way again" if hit.case == "again" else ""
    reason = (
        f"A restart rolled the instance back to a state of {undone:,} {'event' if undone == 1 else 'events'} before, "
        f"as from a snapshot{again}; or a second runtime held it."
    )
    return what, reason, "instances"


def _duplicate(hit: Hit, events: Sequence[PersistedEvent], catalog: Catalog | None) -> Told:
    one, other = events[:2]
    if hit.case == "created":
        what = f"The instance is created twice, in {_place(other)} and in {_place(one)}."
        reason = "Two runtimes made it, a restart made it anew, or its id was used twice."
    elif hit.case == "homes":
        count = hit.facts["events"]
        are = "is" if count == 1 else "are"
        what = f"The instance is in {_place(other)}, but {count:,} of its events {are} elsewhere, as in {_place(one)}."
        reason = "A restart gave it to every runtime that knows the machine by name, or its id was used twice."
    else:
        three, left = events[2:4]
        what = (
            f"Two lines of events are mixed, as of two runtimes: {_name(one)} goes on from {one.state_before!r}, where "
            f"{_name(other)} had ended, and then {_name(three)} from {three.state_before!r}, where {_name(left)} had."
        )
        reason = (
            "After a restart the instance was live in two runtimes, and both stored what happened to theirs; or events "
            "in between were lost, and their states meet by chance."
        )
    return what, reason, "instances"


def _unknown(hit: Hit, events: Sequence[PersistedEvent], catalog: Catalog | None) -> Told:
    event = events[0]
    state = event.state_after if hit.case == "after" else event.state_before
    count = hit.facts["events"]
    names = "event names" if count == 1 else "events name"
    what = f"{event.machine_name} has no state {state!r}, but {count:,} {names} it."
    return what, "Written under another version of the definition, or the definition at hand is not theirs.", "events"


def _too_early(hit: Hit, events: Sequence[PersistedEvent], catalog: Catalog | None) -> Told:
    effect, cause = events
    early = cause.persisted_at - effect.persisted_at
    what = f"{_name(effect)} is stored {early:,} ms before its cause, {_name(cause)}."
    if effect.component_name == cause.component_name:
        reason = "Both are of one component, which has one clock: the cause or a time is wrong, or the clock was set."
    else:
        reason = "The clocks of these components do not differ like that otherwise: the cause or a time is wrong."
    return what, reason, "causality"


def _asymmetric(hit: Hit, events: Sequence[PersistedEvent], catalog: Catalog | None) -> Told:
    cause, effect = events
    if hit.case == "unnamed":
        what = f"{_name(cause)} records {_name(effect)} as its effect, which does not name it as a cause."
    else:
        what = f"{_name(effect)} names {_name(cause)} as its cause, which records other effects, but not this one."
    return what, "One of the two writes was lost, or one of them was changed afterwards.", "causality"


def _doubtful(hit: Hit, events: Sequence[PersistedEvent], catalog: Catalog | None) -> Told:
    effect, cause = events
    what = f"The recorded cause of {_name(effect)}, {_name(cause)}, is doubtful."
    return what, f"{sentence('; '.join(link_doubts(cause, effect, catalog)))}.", "causality"


def _uncaused(hit: Hit, events: Sequence[PersistedEvent], catalog: Catalog | None) -> Told:
    event = events[0]
    what = f"{_name(event)} was sent by {event.source_component_name}, but records no cause."
    return what, "The writer knew the sender and not its event, or the cause was lost.", "causality"


def _unsaved(hit: Hit, events: Sequence[PersistedEvent], catalog: Catalog | None) -> Told:
    event = events[0]
    what = f"The instance has ended in {event.state_after!r}, and there is no snapshot of it."
    return what, "Most instances of its machine have one: the write failed, or the snapshot was removed.", "instances"


_TELLERS: Final[Mapping[str, Callable[[Hit, Sequence[PersistedEvent], Catalog | None], Told]]] = {
    "chain_break": _chain,
    "duplicate_instance": _duplicate,
    "unknown_state": _unknown,
    "effect_before_cause": _too_early,
    "asymmetric_link": _asymmetric,
    "doubtful_cause": _doubtful,
    "missing_cause": _uncaused,
    "snapshot_missing": _unsaved,
}


def _finding(
    kind: str,
    severity: Severity,
    what: str,
    reason: str,
    events: Sequence[PersistedEvent],
    page: str,
    more: tuple[tuple[str, str], ...] = (),
) -> Finding:
    event = events[0]
    shown = tuple(
        (f"event {number}" if len(events) > 1 else "event", _seen(one, event))
        for number, one in enumerate(events[:_RING_SHOWN], 1)
    )
    return Finding(
        kind=kind,
        severity=severity,
        what=what,
        reason=reason,
        evidence=(*more, *shown),
        event_id=event.id,
        instance_id=event.instance_id,
        component_name=event.component_name,
        machine_name=event.machine_name,
        page=page,
        params={"instance": event.instance_id} if page == "instances" else {"event": event.id},
    )


def _seen(event: PersistedEvent, first: PersistedEvent) -> str:
    """An event in a line; where it happened only if that is not where the first did."""
    text = f"{event.event_type} {event.state_before or '·'} → {event.state_after}, {moment_words(event.persisted_at)}, "
    text += f"id {event.id}"
    if event is first or (event.instance_id, _place(event)) != (first.instance_id, _place(first)):
        text += f", instance {event.instance_id} in {_place(event)}"
    return text


def _name(event: PersistedEvent) -> str:
    return f"{event.event_type} of {event.machine_name}"


def _place(event: PersistedEvent) -> str:
    return "/".join(filter(None, (event.component_name, event.machine_name)))


def _component(event: PersistedEvent) -> str:
    return event.component_name or "(none)"
