"""The frames that `xcstore.frames` does not have. The column tables are the contract, as there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from xcstore.analysis.critical_path import KINDS
from xcstore.frames import Column

__all__ = ["FINDING_COLUMNS", "LINK_COLUMNS", "PARTICIPANT_COLUMNS", "SEGMENT_COLUMNS", "items_to_frame"]

TEXT: Final = "str"
WORD: Final = "category"
WHOLE: Final = "int64"
FLAG: Final = "bool"
OPTIONAL_WHOLE: Final = "Int64"
OPTIONAL_FLAG: Final = "boolean"
TEXTS: Final = "list<item: string>[pyarrow]"

LINK_COLUMNS: Final = (
    Column("cause_id", TEXT, "id of the cause"),
    Column("effect_id", TEXT, "id of the effect"),
    Column("provenance", WORD, "recorded, or inferred by a rule"),
    Column("rule", WORD, "name of the rule that inferred it; '' where it was recorded"),
    Column("evidence", TEXT, "what the rule saw, in words"),
    Column("same_instance", OPTIONAL_FLAG, "missing: the cause is not in the store"),
    Column("crosses_component", OPTIONAL_FLAG, "missing: the cause is not in the store"),
    Column("gap_ms", OPTIONAL_WHOLE, "from cause to effect, by the times they were stored; negative: the effect first"),
    Column("doubts", TEXTS, "why it cannot be right; empty does not prove that it is"),
)

PARTICIPANT_COLUMNS: Final = (
    Column("instance_id", TEXT, "id of the instance"),
    Column("component_name", WORD, "its component; '' where none is recorded"),
    Column("machine_name", WORD, "its state machine"),
    Column("belongs", FLAG, "its creation mentions the key: its whole stream is shown"),
    Column("event_count", WHOLE, "its events that are shown"),
)

SEGMENT_COLUMNS: Final = (
    Column("source_id", TEXT, "id of the event that it begins with"),
    Column("target_id", TEXT, "id of the event that it ends with"),
    Column("kind", WORD, f"what the time was spent on: {', '.join(KINDS)}"),
    Column("duration_ms", WHOLE, "how long; 0 where the clocks say that the end was first"),
    Column("same_instance", FLAG, "whether both are of one instance"),
    Column("skew_ms", WHOLE, "by how much the end was stored before the beginning"),
    Column("why", TEXT, "what speaks for the kind, in words"),
)

FINDING_COLUMNS: Final = (
    Column("kind", WORD, "what is wrong, in a word"),
    Column("severity", WORD, "error, warning or info"),
    Column("what", TEXT, "in a sentence"),
    Column("reason", TEXT, "why it is likely so"),
    Column("event_id", TEXT, "'' where it is not about one event"),
    Column("instance_id", TEXT, "'' where it is not about one instance"),
    Column("component_name", WORD, "'' where it is not about one component"),
    Column("machine_name", WORD, "'' where it is not about one machine"),
    Column("evidence", TEXT, "what was seen, as 'label: text', joined by ;"),
)


def items_to_frame(
    items: Iterable[object], columns: Sequence[Column], values: dict[str, Callable[[Any], object]] | None = None
) -> pd.DataFrame:
    """A row for each item, in the order given.

    Parameters
    ----------
    values : dict, optional
        How the columns are read that are no attribute of the items.
    """
    held = list(items)
    data: dict[str, object] = {}
    for column in columns:
        read = (values or {}).get(column.name) or attrgetter(column.name)
        data[column.name] = _column([read(item) for item in held], column.dtype)
    return pd.DataFrame(data, index=pd.RangeIndex(len(held)))


def _column(values: list[Any], dtype: str) -> object:
    if dtype == WORD:
        return pd.Categorical(values, categories=pd.Index(sorted(set(values)), dtype="str"))
    if dtype == TEXTS:
        return pd.Series([list(value) for value in values], dtype=pd.ArrowDtype(pa.list_(pa.string())))
    return pd.Series(values, dtype=dtype)
