"""Which parts of the business data are never shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from xcstore.errors import ConfigError

__all__ = ["MASK", "NO_REDACTION", "Redaction"]

MASK: Final = "•••"

# `PersistedEvent` and `InstanceSnapshot`, by shape: the configuration imports this module, and knows no model.
Model = TypeVar("Model", bound=Any)

_ROOTS: Final = ("payload", "context", "publicMember", "internalMember", "publicMemberSnapshot", "initialContext")


@dataclass(frozen=True, slots=True)
class Redaction:
    """Paths whose values are replaced by '•••' before anybody sees them.

    A path is a row of keys: `card.number` masks whatever stands under `number` in any object `card`, at any depth,
    in payloads, contexts and members alike, since mappings and cascades copy values from one into the other.
    Positions in lists are not written: `cards.number` masks the number of every card. `*` is any one key.
    """

    paths: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Redaction:
        """From comma-separated dotted paths; a leading `payload.` (or `context.` ...) may be written, and says nothing.

        Raises
        ------
        ConfigError
            A path has an empty key, or says only where and not what.
        """
        paths = []
        for written in filter(None, (part.strip() for part in text.split(","))):
            keys = tuple(key.strip() for key in written.split("."))
            if len(keys) > 1 and keys[0] in _ROOTS:
                keys = keys[1:]
            if "" in keys or keys[-1] == "*" or keys[0] in _ROOTS:
                raise ConfigError(
                    f"{written!r} is not a path to mask; write keys joined by dots that end in a name, "
                    "such as 'card.number'"
                )
            paths.append(keys)
        return cls(tuple(dict.fromkeys(paths)))

    def __bool__(self) -> bool:
        return bool(self.paths)

    def covers(self, path: Sequence[str]) -> bool:
        """Whether the value at `path` (keys, or list positions as text) is masked, itself or as part of one that is."""
        spellings = {tuple(path), tuple(key for key in path if not key.isdecimal())}
        return any(
            _fits(masked, keys[start : start + len(masked)])
            for keys in spellings
            for masked in self.paths
            for start in range(len(keys) - len(masked) + 1)
        )

    def mask(self, value: object) -> object:
        """A copy of `value` with the masked parts replaced; the same object where there is nothing to copy."""
        if not self.paths or not isinstance(value, (Mapping, list, tuple)):
            return value
        # A stack instead of recursion: stored values may be nested more deeply than Python calls.
        result: list[object] = [None]
        waiting: list[tuple[object, list[object] | dict[str, object], int | str, tuple[tuple[str, ...], ...]]]
        waiting = [(value, result, 0, ())]
        while waiting:
            item, holder, place, begun = waiting.pop()
            copy: dict[str, object] | list[object]
            if isinstance(item, Mapping):
                copy = {}
                for key, inner in item.items():
                    rests = [rest[1:] for rest in (*begun, *self.paths) if rest[0] in (key, "*")]
                    if () in rests:
                        copy[key] = MASK
                    else:
                        copy[key] = inner
                        if isinstance(inner, (Mapping, list, tuple)):
                            waiting.append((inner, copy, key, tuple(rests)))
            elif isinstance(item, (list, tuple)):
                copy = list(item)
                waiting += [
                    (inner, copy, position, begun)
                    for position, inner in enumerate(copy)
                    if isinstance(inner, (Mapping, list, tuple))
                ]
            else:
                continue
            holder[place] = copy  # type: ignore[index]  # a list by position, a dict by key
        return result[0]

    def event(self, event: Model) -> Model:
        """The event with its business data masked, also in the document that it was read from."""
        if not self.paths:
            return event
        masked = self._with_masked(event, "payload", "context", "public_member_snapshot", "original")
        if isinstance(masked.payload, str) and masked.faults:
            # The payload could not be read: no path can find its way in it.
            masked = replace(masked, payload=MASK)
        return masked

    def snapshot(self, snapshot: Model) -> Model:
        """The snapshot with its business data masked."""
        if not self.paths:
            return snapshot
        instance = self._with_masked(snapshot.instance, "context", "public_member", "internal_member")
        return self._with_masked(replace(snapshot, instance=instance), "original")

    def _with_masked(self, value: Model, *fields: str) -> Model:
        masked: Model = replace(value, **{field: self.mask(getattr(value, field)) for field in fields})
        return masked


NO_REDACTION: Final = Redaction()


def _fits(masked: tuple[str, ...], keys: tuple[str, ...]) -> bool:
    return all(wanted in (key, "*") for wanted, key in zip(masked, keys, strict=True))
