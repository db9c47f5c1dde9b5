"""Two events beside each other: what happened, when, and what it left."""

from __future__ import annotations

from collections.abc import Mapping

from xcstore.analysis.context import Change, diff, same_json
from xcstore.model.history import PersistedEvent
from xcstore.replay.reasons import length_words
from xcstore.replay.recording import merged_payload
from xcstore.units import EpochMs

__all__ = ["Outcome", "difference", "is_same_but_for_time", "outcome_of", "same_outcome"]

Outcome = tuple[str, str, str, str, EpochMs]
"""Instance, event type, state before and after, and time."""


def outcome_of(event: PersistedEvent) -> Outcome:
    """What happened, without the values."""
    return event.instance_id, event.event_type, event.state_before, event.state_after, event.persisted_at


def same_outcome(one: PersistedEvent, two: PersistedEvent) -> bool:
    """Whether two runs made the same of an event."""
    return (
        outcome_of(one) == outcome_of(two)
        and same_json(one.payload, two.payload)
        and same_json(one.public_member_snapshot, two.public_member_snapshot)
    )


def is_same_but_for_time(recorded: PersistedEvent, values: Mapping[str, object], event: PersistedEvent) -> bool:
    """Whether an event of a run is the recorded one, which left `values`, at whatever time."""
    return (
        (event.event_type, event.state_before, event.state_after)
        == (recorded.event_type, recorded.state_before, recorded.state_after)
        and same_json(merged_payload(event), merged_payload(recorded))
        and same_json(values, event.public_member_snapshot or {})
    )


def difference(
    recorded: PersistedEvent, values: Mapping[str, object], event: PersistedEvent
) -> tuple[str, tuple[Change, ...]]:
    """How an event of a run differs from the recorded one, which left `values`: in words, and in the values left."""
    words: list[str] = []
    if event.event_type != recorded.event_type:
        words.append(f"is {event.event_type}, was {recorded.event_type}")
    if event.state_before != recorded.state_before:
        words.append(f"leaves {event.state_before or 'nothing'}, left {recorded.state_before or 'nothing'}")
    if event.state_after != recorded.state_after:
        words.append(f"leads to {event.state_after}, led to {recorded.state_after}")
    if not same_json(merged_payload(event), merged_payload(recorded)):
        words.append("carries another payload")
    changes = diff(values, event.public_member_snapshot or {})
    if changes:
        words.append(f"leaves {len(changes):,} {'field' if len(changes) == 1 else 'fields'} different")
    shift = event.persisted_at - recorded.persisted_at
    if shift:
        words.append(f"comes {length_words(abs(shift))} {'later' if shift > 0 else 'earlier'}")
    return ", ".join(words), changes
