"""CRC-64 as mongodump writes it into archives (CRC-64/XZ: Go's `crc64.ECMA`).

The CRC of a block is the exclusive or of what each of its bytes gives at its place. So a table by place and byte does a
block at once; a byte at a time, Python would take longer than for all else that is done with a dump.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["Crc64"]

_POLYNOMIAL: Final = 0xC96C5795D7870F42
_ONES: Final = 2**64 - 1
_BLOCK: Final = 4096
"""Bytes at once; the table has 8 MB."""


class Crc64:
    """The CRC of bytes that come in parts.

    Examples
    --------
    >>> sums = Crc64()
    >>> sums.add(b"12345")
    >>> sums.add(b"6789")
    >>> hex(sums.value() & (1 << 64) - 1)
    '0x995dc9bbdf1939fa'
    """

    def __init__(self) -> None:
        self._state = _ONES
        self._waiting = bytearray()

    def add(self, raw: bytes) -> None:
        self._waiting += raw
        end = len(self._waiting) // _BLOCK * _BLOCK
        for start in range(0, end, _BLOCK):
            self._state = _after(self._state, self._waiting[start : start + _BLOCK])
        del self._waiting[:end]

    def value(self) -> int:
        """Of all that was added, as the signed number that BSON holds."""
        state = _after(self._state, self._waiting) ^ _ONES
        return state - 2**64 if state >> 63 else state


def _after(state: int, raw: bytearray) -> int:
    """The state after at most a block of bytes."""
    if not raw:
        return state
    size = len(raw)
    # What the state is before counts as if it stood in the first eight bytes; of fewer, the rest of it moves down.
    mixed = np.frombuffer(raw.ljust(8, b"\0"), np.uint8).copy()
    mixed[:8] ^= np.frombuffer(state.to_bytes(8, "little"), np.uint8)
    given = _table()[np.arange(size - 1, -1, -1), mixed[:size]]
    return int(np.bitwise_xor.reduce(given)) ^ (state >> 8 * size)


@cache
def _table() -> npt.NDArray[Any]:
    """What a byte gives that so many bytes follow, by (number of bytes that follow, byte)."""
    table = np.empty((_BLOCK, 256), np.uint64)
    row = np.arange(256, dtype=np.uint64)
    for _ in range(8):
        row = row >> np.uint64(1) ^ np.where(row & np.uint64(1), np.uint64(_POLYNOMIAL), np.uint64(0))
    first = table[0] = row
    for number in range(1, _BLOCK):
        row = row >> np.uint64(8) ^ first[row & np.uint64(255)]
        table[number] = row
    return table
