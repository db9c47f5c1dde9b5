"""Opened tracks are kept for everybody, and bounded by all their events together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from xcstore.ui.replay_track import MOST_HELD, MOST_TRACKS, _Tracks


def opened(events: int) -> Any:
    return SimpleNamespace(track=SimpleNamespace(events=range(events)))


def test_small_tracks_are_kept_up_to_a_number_and_the_one_unused_longest_goes_first() -> None:
    tracks = _Tracks()
    for number in range(MOST_TRACKS):
        tracks.put(number, opened(10))
    assert tracks.get(0) is not None
    tracks.put("new", opened(10))
    assert tracks.get(0) is not None
    assert tracks.get(1) is None


def test_long_tracks_push_others_out_and_the_newest_always_stays() -> None:
    tracks = _Tracks()
    tracks.put("small", opened(10))
    tracks.put("long", opened(MOST_HELD - 5))
    assert tracks.get("small") is None
    tracks.put("longer", opened(MOST_HELD + 1))
    assert tracks.get("long") is None
    assert tracks.get("longer") is not None
