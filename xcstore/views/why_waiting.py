"""Why an instance waits, as sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from xcstore.render.labels import count_text, duration_text, moment_text, short_id, visible_text

if TYPE_CHECKING:
    from datetime import tzinfo

    from xcstore.analysis.lifecycle import Sender
    from xcstore.queries.why_waiting import Awaited, SeenSender, WaitLevel, WhyWaiting
    from xcstore.store.base import InstanceSummary
    from xcstore.units import EpochMs

__all__ = ["Sentence", "build"]

_TRUSTED: Final = {
    "true": "",
    "inferred": ", as a rule infers",
    "as recorded": ", by recorded links, which may be wrong here",
}

Parts = tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One statement, and the instance and event that it speaks of."""

    parts: Parts
    """Text, and whether it is a name to stand out. Stored text: escape it."""
    instance_id: str = ""
    name: str = ""
    """'Reservation 3f…a1'; '' where the sentence is about the instance that the page shows anyway."""
    event_id: str = ""

    @property
    def text(self) -> str:
        return "".join(part for part, _ in self.parts)


def build(found: WhyWaiting, *, as_of: EpochMs, zone: tzinfo) -> tuple[Sentence, ...]:
    """A sentence for each instance of the row, and where it ends; () for an instance that does not wait.

    `as_of` is the moment up to which the store knows what happened.
    """
    if found.end == "not waiting":
        return ()
    first, *others = found.levels
    sentences = [_waits(first, as_of, zone)]
    for before, level in zip(found.levels, others, strict=False):
        sentences.append(_next(before, level, as_of, zone))
    closing = _closing(found, zone)
    return (*sentences, closing) if closing else tuple(sentences)


def _waits(level: WaitLevel, as_of: EpochMs, zone: tzinfo) -> Sentence:
    return Sentence(parts=((f"{_name(level.instance)} ", False), *_stay(level, as_of, zone)))


def _stay(level: WaitLevel, as_of: EpochMs, zone: tzinfo) -> Parts:
    """'waits in S since T (for 3 d) for E (sent by …) or F (…).'"""
    waited = duration_text(max(0, as_of - level.since))
    least = "" if level.entry_read else "at least "
    parts: list[tuple[str, bool]] = [
        ("waits in ", False),
        (_cut(level.instance.state), True),
        (f" since {least}{moment_text(level.since, zone)} (for {least}{waited}) for ", False),
    ]
    for number, item in enumerate(level.awaited):
        if number:
            parts.append((" or ", False))
        parts += [(_cut(item.move.event), True), (f" ({_who(item, as_of, zone)})", False)]
    return (*parts, (".", False))


def _who(item: Awaited, as_of: EpochMs, zone: tzinfo) -> str:
    """Who sends it, and how that is known."""
    if item.due_at is not None:
        overdue = ", overdue" if item.due_at < as_of else ""
        earlier = " at the latest" if item.due_earlier else ""
        return f"by the definition its own timer, due {moment_text(item.due_at, zone)}{earlier}{overdue}"
    if item.move.senders:
        ways: dict[str, list[str]] = {}
        for sender in item.move.senders:
            ways.setdefault(_machine(sender), []).append(_cut(sender.when, 200))
        names = " or ".join(f"{machine}, {' or '.join(when)}" for machine, when in ways.items())
        return f"by the definition sent by {names}"
    if item.seen:
        told = " or ".join(f"{_machine(seen)} in {seen.count} of {item.examples}" for seen in item.seen[:3])
        return f"as seen, sent by {told} latest cases"
    if item.examples:
        return f"as seen, sent by no other known instance in {count_text(item.examples, 'latest case')}"
    return "no definition says who sends it, and no other such event is stored"


def _next(before: WaitLevel, level: WaitLevel, as_of: EpochMs, zone: tzinfo) -> Sentence:
    item = level.instance
    named = f"{_name(item)} of {_cut(item.component_name) or '(no component)'}"
    entered, sends, now_in = _cut(before.instance.state), _either(level.sends), _cut(item.state)
    linked = (
        f"Entering {entered} set {named} in motion"
        if level.linked == "set in motion"
        else f"{named} led {_name(before.instance)} into {entered}"
    )
    if level.linked_by is not None:
        linked += f" ({_cut(level.linked_by.event_type)} at {moment_text(level.linked_by.persisted_at, zone)})"
    linked += _TRUSTED[level.trust]
    least = "at least " if level.linked_read is not None else ""
    others = f"; so could {least}{count_text(level.others, 'other', 'others')} of its machine" if level.others else ""
    how = "by the definition" if level.by_definition else "as seen in other cases"
    parts: list[tuple[str, bool]] = [(linked, False)]
    event_id = ""
    if level.did is not None:
        did = level.did
        event_id = did.id
        done = f"{_cut(did.event_type)} ({_cut(did.state_before) or '(new)'} → {_cut(did.state_after)})"
        parts += [
            (f". It handled {done} at {moment_text(did.persisted_at, zone)}, which {how} sends ", False),
            (sends, True),
            (f"; it is now in {now_in}.", False),
        ]
    elif level.awaited:
        parts += [(f"; it would send {sends}, {how}{others}. It ", False), *_stay(level, as_of, zone)]
    else:
        ended = level.status.status in ("completed", "error")
        among = f" in its {count_text(level.newest, 'newest event')}, which alone were read" if level.newest else ""
        state = f"it has ended in {now_in}" if ended else f"it is in {now_in}, from which nothing leads on,"
        parts.append((f"; it would send {sends}, {how}, but {state} without doing so{among}{others}.", False))
    return Sentence(parts=tuple(parts), instance_id=item.instance_id, name=_name(item), event_id=event_id)


def _closing(found: WhyWaiting, zone: tzinfo) -> Sentence | None:
    last = found.levels[-1]
    name = _name(last.instance)
    if found.end == "no answer":
        waiting = found.levels[-2].instance
        said = f"No {_either(last.sends)} to {_name(waiting)} is seen after that, as far as is stored."
        if last.elsewhere is not None:
            other = last.elsewhere
            went = f"{_cut(other.machine_name)} {short_id(other.instance_id)}"
            said = (
                f"It sent {_cut(other.event_type)} to another instance, {went}, at "
                f"{moment_text(other.persisted_at, zone)}{_TRUSTED[last.elsewhere_trust]}; "
                f"none to {_name(waiting)} is seen, as far as is stored."
            )
        if last.answered is not None:
            came = f"{_cut(last.answered.event_type)} at {moment_text(last.answered.persisted_at, zone)}"
            said = f"{_name(waiting)} handled {came}, and stayed in {_cut(waiting.state)}."
    elif found.end == "ended":
        read = last.linked_read
        far = "As far as the links tell" if read is None else f"Among the {_read(read)} (there may be more)"
        said = f"{far}, no instance is left that would send it."
    elif found.end == "not found":
        said = (
            f"No instance that would send this is reliably linked to {name} entering {_cut(last.instance.state)}. "
            "It may not have been created, the message to it may have been lost, the link may not be recorded, or it "
            "may act without being asked."
        )
        if found.linked_read is not None:
            said = (
                f"Among the {_read(found.linked_read)} no instance that would send this is reliably linked to {name} "
                f"entering {_cut(last.instance.state)}. There may be more linked events, which were not looked at."
            )
    elif found.end == "entry not read":
        said = (
            f"The event by which {name} entered {_cut(last.instance.state)} is not stored, or too far back to be read, "
            "so what that set in motion is not known."
        )
    elif found.end == "outside":
        timed = all(item.due_at is not None for item in last.awaited)
        said = (
            f"{name} waits for its own timer."
            if timed
            else f"No other instance is known to send this to {name}: it is from outside, or from {name} itself."
        )
    elif found.end == "unknown":
        said = "Who sends this is not known: no definition says it, and no other such event is stored."
    elif found.end == "repeated":
        said = "That leads back to an instance named above: they wait for each other."
    elif found.end == "limit":
        said = f"Followed through {count_text(len(found.levels), 'instance')}; there may be more behind."
    else:
        return None
    return Sentence(parts=((said, False),))


def _name(item: InstanceSummary) -> str:
    return f"{_cut(item.machine_name)} {short_id(item.instance_id)}"


def _read(count: int) -> str:
    return f"{count_text(count, 'linked event')} read"


def _machine(sender: Sender | SeenSender) -> str:
    return f"{_cut(sender.machine)} of {_cut(sender.component) or '(no component)'}"


def _either(events: tuple[str, ...]) -> str:
    return " or ".join(map(_cut, events))


def _cut(text: str, limit: int = 80) -> str:
    return visible_text(text, limit)
