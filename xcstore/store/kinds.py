"""What kind of store it is, in words for readers."""

from __future__ import annotations

from typing import Final

from xcstore.store.base import Layout

__all__ = ["kind_text"]

_PRODUCTS: Final = {
    "sqlite": "SQLite",
    "postgresql": "PostgreSQL",
    "postgres": "PostgreSQL",
    "timescaledb": "TimescaleDB",
    "mongodb": "MongoDB",
    "mongodb+srv": "MongoDB",
    "influxdb": "InfluxDB",
    "redis": "Redis",
    "rediss": "Redis",
    "archive": "archive",
    "memory": "in memory",
}
_ONE_LAYOUT: Final = ("influxdb", "redis", "rediss", "archive", "memory")


def kind_text(identity: str, layout: Layout) -> str:
    """The product, and whose layout it has where there are several.

    Examples
    --------
    >>> kind_text("mongodb://db/shop", "ours"), kind_text("postgresql://db/shop", "shipped")
    ('MongoDB, ours', 'PostgreSQL, shipped')
    >>> kind_text("redis://db:6379/0", "documents"), kind_text("archive:///kept", "ours")
    ('Redis', 'archive')
    """
    scheme = identity.partition("://")[0]
    product = _PRODUCTS.get(scheme, scheme.partition("+")[0])
    return product if scheme in _ONE_LAYOUT else f"{product}, {layout}"
