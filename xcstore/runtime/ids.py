"""Ids in the form of a UUID, made fast, and equal for equal seeds."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Final, Protocol

from xcstore.units import EpochMs

__all__ = ["IdSource", "TimeOrderedIds"]


_COUNTS: Final = tuple(f"{count:03x}" for count in range(0x1000))


class IdSource(Protocol):
    """Where the runtime takes its ids from. One source may be shared by several runtimes."""

    def event_id(self, now: EpochMs) -> str: ...

    def instance_id(self) -> str: ...


class TimeOrderedIds:
    """Event ids sort as they were made (UUID version 7); instance ids are random (version 4).

    `uuid.uuid4` asks the system for random bytes each time and takes as long as the rest of a transition.
    Instance ids are not ordered by time, as their first characters are what people tell them apart by.

    Parameters
    ----------
    seed : int, optional
        Equal seeds give equal ids. None: seeded by the system, so that two processes never make the same ids.

    Notes
    -----
    RFC 9562, section 5.7; the 12 bits after the version count within a millisecond (section 6.2, method 1).

    Examples
    --------
    >>> ids = TimeOrderedIds(seed=1)
    >>> first, second = ids.event_id(EpochMs(5)), ids.event_id(EpochMs(5))
    >>> first < second, len(first), first[14]
    (True, 36, '7')
    """

    def __init__(self, seed: int | None = None) -> None:
        # Ids need no secrecy; the generator is seeded from the system's entropy when no seed is given.
        self._bits = random.Random(seed).getrandbits
        self._moment = -1
        self._count = 0
        self._head = self._tail = ""

    def event_id(self, now: EpochMs) -> str:
        if now > self._moment:
            self._begin(now)
        elif self._count >= 0xFFF:
            self._begin(self._moment + 1)
        else:
            # The same millisecond, or a clock that was set back: ids go on from the latest.
            self._count += 1
        return f"{self._head}{_COUNTS[self._count]}{self._tail}"

    def _begin(self, moment: int) -> None:
        """Go on to another millisecond, and take fresh random bits for it: those in it differ by the count."""
        self._moment, self._count = moment, 0
        text, tail = f"{moment:012x}", f"{self._bits(62) | 1 << 63:016x}"
        self._head, self._tail = f"{text[:8]}-{text[8:]}-7", f"-{tail[:4]}-{tail[4:]}"

    def continue_after(self, event_id: str) -> None:
        """Make ids that sort after this one, which another process made. What is not of this form is left alone."""
        digits = event_id.replace("-", "")
        if len(digits) == 32 and digits[12] == "7":
            with suppress(ValueError):
                moment, count = int(digits[:12], 16), int(digits[13:16], 16)
                if moment > self._moment or (moment == self._moment and count > self._count):
                    self._begin(moment)
                    self._count = count

    def instance_id(self) -> str:
        text = f"{self._bits(124):031x}"
        variant = "89ab"[int(text[15], 16) & 3]
        return f"{text[:8]}-{text[8:12]}-4{text[12:15]}-{variant}{text[16:19]}-{text[19:]}"
