"""What a fork is compared with, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from xcstore.replay.fork_results import ForkInstance, ForkStep
from xcstore.replay.recording import Recording
from xcstore.replay.run_results import Run
from xcstore.replay.track import Track

__all__ = ["Compared", "Comparison"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """What is compared: the recording, the same run again without an edit (`base`), and the fork."""

    track: Track
    recording: Recording
    base: Run
    run: Run
    edited: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()
    lacking: Mapping[str, str] = field(default_factory=dict)
    """Instances that the changed definitions have no place for, and why."""
    early: str = ""
    """Why a run ended before its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    steps: tuple[ForkStep, ...]
    instances: tuple[ForkInstance, ...]
    assumptions: tuple[str, ...]
