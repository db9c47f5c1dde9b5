"""Units of time, and the only place where they are converted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, NewType

__all__ = ["DAY", "HOUR", "MAX_UTC", "MINUTE", "MIN_UTC", "SECOND", "DurationMs", "EpochMs", "from_utc", "to_utc"]

EpochMs = NewType("EpochMs", int)
"""A moment: milliseconds since 1970-01-01T00:00Z. May lie outside what a calendar can show."""

DurationMs = NewType("DurationMs", int)
"""A length of time in milliseconds."""

SECOND: Final = DurationMs(1_000)
MINUTE: Final = DurationMs(60_000)
HOUR: Final = DurationMs(3_600_000)
DAY: Final = DurationMs(86_400_000)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MIN_UTC: Final = EpochMs(-62_135_596_800_000)  # 0001-01-01T00:00:00.000Z
MAX_UTC: Final = EpochMs(253_402_300_799_999)  # 9999-12-31T23:59:59.999Z


def to_utc(moment: EpochMs) -> datetime | None:
    """The UTC datetime of `moment`, or None where no calendar of ours reaches (year < 1 or > 9999)."""
    if not MIN_UTC <= moment <= MAX_UTC:
        return None
    return _EPOCH + timedelta(milliseconds=moment)


def from_utc(moment: datetime) -> EpochMs:
    """Milliseconds since the epoch of an aware datetime; finer parts are cut off.

    Raises
    ------
    ValueError
        `moment` has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone; give an aware datetime")
    return EpochMs((moment - _EPOCH) // timedelta(milliseconds=1))
