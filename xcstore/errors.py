"""Everything xcstore raises on purpose.

XcstoreError
├── ConfigError                    a setting is missing or cannot be read (also ValueError)
├── DefinitionError                a component document cannot be used (also ValueError)
├── InvalidEventError              what is sent is no event: a payload that is no mapping (also ValueError)
├── QueryError                     a question that cannot be asked: bad cursor, bad path (also ValueError)
├── NotFoundError                  nothing stored under that id (also LookupError)
│   └── UnknownEventError          the event to continue from is not in the stream
├── StoreError                     the store failed or refused
│   ├── StoreUnavailableError      it cannot be reached; trying again may help
│   ├── StoreTimeoutError          the question took longer than the time limit
│   ├── NotAStoreError             it was reached, but holds no event store
│   ├── ReadOnlyStoreError         a write on a store that was opened for reading
│   ├── DuplicateEventError        the id is already there; nothing was changed
│   ├── ConcurrencyError           the stream moved on since `expected_last_id`; nothing was changed
│   ├── LimitExceededError         a value is outside what every backend can hold (also ValueError)
│   └── CorruptEventError          a stored row or document cannot be understood
├── TransitionNotAllowedError      no transition for this event in this state
├── InstanceNotActiveError         the instance is finished or unknown
└── ReplayError                    the recorded states contradict each other

Catch `XcstoreError` to show one clear sentence; anything else is a defect of this package.
Messages say what failed, the value, and what would be right. No message ever holds a password.
"""

from __future__ import annotations

__all__ = [
    "ConcurrencyError",
    "ConfigError",
    "CorruptEventError",
    "DefinitionError",
    "DuplicateEventError",
    "InstanceNotActiveError",
    "InvalidEventError",
    "LimitExceededError",
    "NotAStoreError",
    "NotFoundError",
    "QueryError",
    "ReadOnlyStoreError",
    "ReplayError",
    "StoreError",
    "StoreTimeoutError",
    "StoreUnavailableError",
    "TransitionNotAllowedError",
    "UnknownEventError",
    "XcstoreError",
]


class XcstoreError(Exception):
    """Base of the family."""


class ConfigError(XcstoreError, ValueError):
    """A setting is missing or cannot be read."""


class DefinitionError(XcstoreError, ValueError):
    """A component document cannot be used. `file` and `line` say where, when known."""

    def __init__(self, message: str, *, file: str | None = None, line: int | None = None) -> None:
        where = ":".join(str(part) for part in (file, line) if part is not None)
        super().__init__(f"{where}: {message}" if where else message)
        self.file = file
        self.line = line


class InvalidEventError(XcstoreError, ValueError):
    """What is sent cannot be an event, or the data of an instance."""


class QueryError(XcstoreError, ValueError):
    """A question that cannot be asked."""


class NotFoundError(XcstoreError, LookupError):
    """Nothing is stored under that id."""


class UnknownEventError(NotFoundError):
    """The event to continue from is empty or not in the stream of that instance."""


class StoreError(XcstoreError):
    """The store failed or refused."""


class StoreUnavailableError(StoreError):
    """The store cannot be reached; trying again may help."""


class StoreTimeoutError(StoreError):
    """The store took longer than the time limit and was cancelled."""


class NotAStoreError(StoreError):
    """The database was reached, but it holds no event store that we know."""


class ReadOnlyStoreError(StoreError):
    """A write was asked of a store that was opened for reading."""


class DuplicateEventError(StoreError):
    """The id is already in the store; nothing was changed."""

    def __init__(self, event_id: str) -> None:
        super().__init__(f"event {event_id!r} is already in the store; nothing was changed")
        self.event_id = event_id


class ConcurrencyError(StoreError):
    """The stream of the instance moved on since `expected_last_id`; nothing was changed."""


class LimitExceededError(StoreError, ValueError):
    """A value is outside the limits on writing (`store.codec.LIMITS`); nothing was written."""


class CorruptEventError(StoreError):
    """A stored row or document cannot be understood as an event or a snapshot."""


class TransitionNotAllowedError(XcstoreError):
    """No transition for this event in this state."""


class InstanceNotActiveError(XcstoreError):
    """The instance is finished, or nobody knows it."""


class ReplayError(XcstoreError):
    """The recorded states contradict each other."""
