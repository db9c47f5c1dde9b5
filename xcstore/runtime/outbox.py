"""Work that is kept with the events that asked for it, so that a runtime that is killed can go on where it was.

What waits in the queue is written in the transaction of the next event that is stored, and taken out in the
transaction of the event that it led to. Work that led to no event (it was ignored) is taken out with whatever is
written next; done again after a crash, it would be ignored again, as nothing has happened since.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from xcstore.errors import LimitExceededError, StoreError
from xcstore.model.history import PersistedEvent
from xcstore.runtime.work import Work, to_document
from xcstore.store.base import EventStore, OutboxChange, StoredWork
from xcstore.store.limits import check_writable_outbox

__all__ = ["Doubt", "Outbox", "Ticket"]

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Ticket:
    """By what name a piece of work is known to a store, and how it is written there."""

    outbox: Outbox
    stored: StoredWork

    @property
    def first(self) -> bool:
        """Whether it goes before what waits already."""
        return self.stored.position < 0


@dataclass(slots=True, eq=False)
class Doubt:
    """An event that the store may or may not have taken, with what it was to bring into the outbox."""

    event: PersistedEvent
    work: Work | None
    """What led to it."""
    asked: list[Work]
    """What it asks for."""
    is_stored: Callable[[PersistedEvent], bool]
    stored: bool | None = None

    def decide(self) -> bool:
        """Whether it was stored; raises the store's error while that cannot be found out."""
        if self.stored is None:
            self.stored = self.is_stored(self.event)
            if self.stored:
                # Told again: adding what is there, or removing what is not, changes nothing.
                for work in self.asked:
                    if work.ticket is not None:
                        work.ticket.outbox.add(work.ticket)
                if self.work is not None and self.work.ticket is not None:
                    self.work.ticket.outbox.settle(self.work)
        return self.stored


class Outbox:
    """What one store knows of the queue, and what it is still to be told."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        # Random, and not from the runtime's ids: equal seeds have to give equal histories with any store.
        self._prefix = os.urandom(6).hex()
        self._numbers = itertools.count(1)
        self._to_add: dict[str, StoredWork] = {}
        self._to_remove: dict[str, None] = {}
        self._adopted: set[str] = set()
        self.doubts: list[Doubt] = []
        """While these are open, nobody knows what the store holds, and nothing is told to it."""
        self.dirty = False
        """Whether there is something to tell."""

    def enter(self, work: Work, position: int) -> None:
        """Have `work` written with whatever is written next."""
        document = to_document(work)
        if document is None:
            return
        key, name = f"{self._prefix}-{next(self._numbers)}", work.executor.name
        stored = StoredWork(id=key, position=position, component_name=name, document=document)
        try:
            check_writable_outbox(OutboxChange(add=(stored,)))
        except LimitExceededError:
            return  # it is refused when its turn comes, and must not take this event with it
        work.ticket = Ticket(self, stored)
        self.add(work.ticket)

    def add(self, ticket: Ticket) -> None:
        self._to_add[ticket.stored.id] = ticket.stored
        self.dirty = True

    def adopt(self, work: Work, stored: StoredWork) -> bool:
        """`work` was read from the store; whether it is new here."""
        if stored.id in self._adopted or stored.id.startswith(f"{self._prefix}-"):
            return False
        self._adopted.add(stored.id)
        work.ticket = Ticket(self, stored)
        return True

    def settle(self, work: Work) -> None:
        """`work` is done without an event, or in another store."""
        if work.ticket is not None:
            key = work.ticket.stored.id
            self._to_add.pop(key, None)
            self._to_remove[key] = None
            self.dirty = True
            work.ticket = None

    def withdraw(self, works: Iterable[Work]) -> None:
        """These were entered for an event that was not stored, as far as anybody knows."""
        for work in works:
            if work.ticket is not None:
                self._to_add.pop(work.ticket.stored.id, None)

    def begin(self, done: Work | None) -> OutboxChange | None:
        """What to write together with the event that `done` led to; None where there is nothing.

        Raises
        ------
        StoreError
            An earlier event is in doubt, and the store cannot be asked about it.
        """
        while self.doubts:
            self.doubts[-1].decide()
            self.doubts.pop()
        ticket = None if done is None else done.ticket
        own = ticket.stored.id if ticket is not None and ticket.outbox is self else None
        add = tuple(stored for key, stored in self._to_add.items() if key != own)
        remove = tuple(self._to_remove) if own is None else (*self._to_remove, own)
        return OutboxChange(add=add, remove=remove) if add or remove else None

    def commit(self, change: OutboxChange | None, done: Work | None) -> None:
        """The store has taken what `begin` gave."""
        if change is not None:
            for stored in change.add:
                self._to_add.pop(stored.id, None)
            for key in change.remove:
                self._to_remove.pop(key, None)
        if done is not None and done.ticket is not None:
            if done.ticket.outbox is self:
                self._to_add.pop(done.ticket.stored.id, None)
                done.ticket = None
            else:
                done.ticket.outbox.settle(done)
        self.dirty = bool(self._to_add or self._to_remove)

    def flush(self) -> None:
        """Write what is left to write. Where the store fails now, it is written with the next event."""
        try:
            change = self.begin(None)
            if change is not None:
                self._store.change_outbox(change)
        except StoreError as error:
            log.warning("finished work could not be taken out of the store's outbox yet: %s", error)
        else:
            self.commit(change, None)
