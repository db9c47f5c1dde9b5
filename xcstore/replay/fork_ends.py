"""How an instance ends, as recorded and in a fork."""

from __future__ import annotations

from xcstore.analysis.context import diff, same_json
from xcstore.model.history import Instance
from xcstore.replay.fork_results import EndVerdict, ForkInstance
from xcstore.runtime.interpreter import properties_of
from xcstore.units import DurationMs, EpochMs

__all__ = ["end_of"]


def end_of(
    name: str,
    recorded: Instance | None,
    forked: Instance | None,
    *,
    again: Instance | None,
    assumed: str | None,
    goes_on: bool,
    created: EpochMs | None,
    end: EpochMs,
    until: EpochMs,
) -> ForkInstance:
    """The two ends of an instance side by side.

    Parameters
    ----------
    again : Instance or None
        How it ends in the run without an edit.
    assumed : str or None
        What unknown its state rests on.
    goes_on : bool
        The run ended before its timers ran out.
    created : EpochMs or None
        When the recorded one was made.
    end, until : EpochMs
        Where the recording ends, and how far the forked one was followed.
    """
    known = recorded or forked
    assert known is not None
    changes = diff(properties_of(recorded), properties_of(forked)) if recorded and forked else ()
    verdict: EndVerdict
    reason = ""
    if assumed is not None:
        verdict, reason = "unknown", assumed
    elif recorded is None:
        verdict = "new"
    elif forked is None:
        verdict = "gone"
    elif recorded.current_state == forked.current_state and not changes:
        verdict = "same"
    else:
        if again is None or again.current_state != recorded.current_state:
            verdict, reason = "unknown", "its end is not repeatable, also without an edit"
        elif again.current_state == forked.current_state and same_json(properties_of(again), properties_of(forked)):
            verdict, reason = "unknown", "not repeatable, also without an edit"
        else:
            verdict = "changed"
    if goes_on and verdict in ("changed", "new"):
        verdict, reason = "unknown", "the run ended before the timers of this instance ran out"
    made = forked.created_at if forked is not None else None
    return ForkInstance(
        recorded_id=None if recorded is None else name,
        forked_id=None if forked is None else name,
        component_name=known.component_name,
        machine_name=known.machine_name,
        recorded_state=None if recorded is None else recorded.current_state,
        forked_state=None if forked is None else forked.current_state,
        changes=changes,
        recorded_ms=_lasted(recorded, created, end),
        forked_ms=_lasted(forked, made if recorded is None or created is not None else None, until),
        recorded_ended=recorded is not None and recorded.status != "active",
        forked_ended=forked is not None and forked.status != "active",
        verdict=verdict,
        reason=reason,
    )


def _lasted(instance: Instance | None, created: EpochMs | None, end: EpochMs) -> DurationMs | None:
    if instance is None or created is None:
        return None
    until = instance.updated_at if instance.status != "active" and instance.updated_at is not None else end
    return DurationMs(max(0, until - created))
