"""Simulated and real time."""

from __future__ import annotations

import time

import pytest

from xcstore.runtime.clock import SimulatedClock, SystemClock
from xcstore.units import DurationMs, EpochMs


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(EpochMs(1_000))


def test_timers_are_called_in_order_of_expiry_at_the_time_they_were_due(clock):
    called = []
    for delay in (300, 100, 200):
        clock.call_at(EpochMs(1_000 + delay), lambda delay=delay: called.append((delay, clock.now())))

    assert clock.advance(DurationMs(250)) == 2
    assert called == [(100, 1_100), (200, 1_200)]
    assert clock.now() == 1_250


def test_timers_of_one_moment_are_called_in_the_order_they_were_asked_for(clock):
    called = []
    for name in "abc":
        clock.call_at(EpochMs(1_500), lambda name=name: called.append(name))

    clock.advance(DurationMs(500))

    assert called == ["a", "b", "c"]


def test_a_timer_that_starts_another_has_it_called_in_the_same_advance_when_due(clock):
    called = []
    clock.call_at(EpochMs(1_100), lambda: clock.call_at(EpochMs(1_200), lambda: called.append(clock.now())))

    assert clock.advance(DurationMs(300)) == 2
    assert called == [1_200]


def test_a_timer_due_now_waits_for_the_next_advance_even_by_nothing(clock):
    called = []
    clock.call_at(clock.now(), lambda: called.append(1))

    assert called == []
    assert clock.advance(DurationMs(0)) == 1


def test_a_cancelled_timer_is_never_called(clock):
    timer = clock.call_at(EpochMs(1_100), lambda: pytest.fail("it was cancelled"))
    timer.cancel()
    timer.cancel()

    assert clock.advance(DurationMs(1_000)) == 0


def test_many_cancelled_timers_do_not_stay_in_memory(clock):
    for _ in range(10_000):
        clock.call_at(EpochMs(10**9), lambda: None).cancel()

    assert len(clock._schedule._heap) < 2_100


def test_a_clock_does_not_go_backwards(clock):
    with pytest.raises(ValueError, match="does not go backwards: it is 1000"):
        clock.advance_to(EpochMs(999))
    assert clock.now() == 1_000


def test_the_system_clock_calls_what_is_due_when_asked():
    clock = SystemClock()
    called = []
    clock.call_at(EpochMs(clock.now() + 20), lambda: called.append("soon"))
    clock.call_at(EpochMs(clock.now() + 60_000), lambda: called.append("late"))

    assert abs(clock.now() - time.time() * 1_000) < 1_000
    assert clock.run_for(DurationMs(60)) == 1
    assert called == ["soon"]
