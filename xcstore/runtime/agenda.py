"""The queue: one for all components that know of each other, so that there is one order in which things happen.

One piece of work at a time; what is sent meanwhile waits. New instances and what goes to another component come before
whatever else waits, as the reference does these at once; sends and cascades queue at the end.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from xcstore.errors import (
    ConcurrencyError,
    DuplicateEventError,
    InstanceNotActiveError,
    LimitExceededError,
    NotFoundError,
    StoreError,
)
from xcstore.runtime.clock import Latest
from xcstore.runtime.live import Causes
from xcstore.runtime.outbox import Outbox
from xcstore.runtime.work import Work

if TYPE_CHECKING:
    from xcstore.runtime.executor import Executor

__all__ = ["Agenda"]

log = logging.getLogger(__name__)

_MANY = 100_000
_ROOM = 1 << 20
# Trying again cannot help against these, and keeping the work would block everything behind it.
_HOPELESS = (InstanceNotActiveError, NotFoundError, LimitExceededError, DuplicateEventError)


class Agenda:
    """What is to be done, in order.

    Attributes
    ----------
    busy : bool
        Something is being processed; what is asked for meanwhile goes to `front` and `back`.
    causes : tuple of str
        The event being processed.
    """

    def __init__(self) -> None:
        self.queue: deque[Work] = deque()
        self.front: list[Work] = []
        self.back: list[Work] = []
        self.busy = False
        self.causes: Causes = ()
        self.outboxes: dict[int, Outbox] = {}
        self.latest: dict[int, Latest] = {}
        """By the identity of the clock."""
        self._first = self._last = 0

    def accept(self, work: Work) -> None:
        """Do `work` when its turn comes: now, unless something is being processed."""
        if not self.busy:
            self._release(work.executor)
        self.queue.append(work)
        if not self.busy:
            self.drain()

    def perform(self, work: Work) -> None:
        """Do `work` and all that follows from it.

        Raises
        ------
        XcstoreError
            Why it cannot be done; then nothing of it has happened. What follows from it fails alone, see `drain`.
        """
        self.catch_up(work.executor)
        self.run(work)
        self.drain()

    def catch_up(self, executor: Executor) -> None:
        """Do what a failing store has held up for a component; raises its error if it still fails."""
        if executor.held or self.queue:
            self._release(executor)
            self.drain()
            if executor.held and executor.failure is not None:
                raise executor.failure

    def _release(self, executor: Executor) -> None:
        self.queue.extendleft(reversed(executor.held))
        executor.held.clear()

    def run(self, work: Work) -> None:
        """Do this one piece of work; what it asks for goes into the queue."""
        self.busy = True
        try:
            work.executor.process(work)
        except BaseException:
            self.drop_asked()
            raise
        finally:
            self.busy = False
            self.causes = ()
        self._settle(work)
        self.take_asked(work.executor.outbox)

    def _settle(self, work: Work) -> None:
        if work.ticket is not None:
            work.ticket.outbox.settle(work)

    def _give_up(self, work: Work, error: Exception) -> None:
        self._settle(work)
        work.executor.give_up(work, error)

    def enter_asked(self, outbox: Outbox | None) -> None:
        """Have what was asked for, and is not entered yet, written with the event that is about to be stored."""
        if outbox is None:
            return
        new = [work for work in self.front if work.ticket is None]
        if new:
            entered = [work.ticket.stored.position for work in self.front if work.ticket is not None]
            if not entered:
                # A block for the front work of one step, as its method on entry may ask for more.
                self._first -= _ROOM
            for position, work in enumerate(new, start=max(entered) + 1 if entered else self._first):
                outbox.enter(work, position)
        for work in self.back:
            if work.ticket is None:
                outbox.enter(work, self.next_position())

    def next_position(self) -> int:
        self._last += 1
        return self._last

    def take_asked(self, outbox: Outbox | None) -> None:
        """Queue what was asked for."""
        if self.front or self.back:
            self.enter_asked(outbox)
            self.queue.extendleft(reversed(self.front))
            self.queue.extend(self.back)
            self.drop_asked()

    def drop_asked(self) -> None:
        self.front.clear()
        self.back.clear()

    def resume(self, works: Sequence[tuple[int, Work]]) -> None:
        """Queue what was kept in a store, with its places."""
        places = [place for place, _ in works]
        self._first, self._last = min(self._first, *places), max(self._last, *places)
        self.queue.extend(work for _, work in works)

    def part_with(self, executor: Executor) -> list[Work]:
        """Take out what waits for one component."""
        waiting = list(self.queue)
        self.queue.clear()
        self.queue.extend(work for work in waiting if work.executor is not executor)
        return [work for work in waiting if work.executor is executor]

    def drain(self) -> None:
        """Do what is queued.

        What a store cannot take now is held, with all that comes after it for the same component; other components
        go on. What can never be done is told, and fails alone.
        """
        queue = self.queue
        done = 0
        late: Work | None = None
        while queue:
            work = queue.popleft()
            executor = work.executor
            if executor.held:
                executor.held.append(work)
                continue
            done += 1
            if done == _MANY:
                log.warning("%d pieces of work followed from one; a loop? component=%s", _MANY, executor.name)
            try:
                self.run(work)
            except ConcurrencyError as error:
                if work is late:
                    self._give_up(work, error)
                else:
                    # Another runtime has moved the instance on. It has been read again: look at the work anew, once.
                    late = work
                    queue.appendleft(work)
            except _HOPELESS as error:
                self._give_up(work, error)
            except StoreError as error:
                executor.hold_up(work, error)
            except Exception as error:
                # A defect, or a store that raises what it should not; the rest of the queue must not wait for it.
                log.exception("a piece of work failed component=%s", executor.name)
                self._give_up(work, error)
        for outbox in self.outboxes.values():
            if outbox.dirty:
                outbox.flush()
