"""What happened, why, and is it sound: one call each, for notebooks and scripts.

    import xcstore

    found = xcstore.trace("sqlite:///data/demo.db", event_id)    what it caused, and what caused it
    found.events, found.links                                    DataFrames
    xcstore.critical_path(found)                                 what its time was spent on
    xcstore.history(url, instance_id)                            one instance
    xcstore.correlate(url, "ORD-123")                            everything that a business key touched
    xcstore.verify(url)                                          what is wrong with a store

`url` may also be a `Stores` that is open already: then it stays open, and its redaction counts. Results show themselves
in a notebook as a picture and tables; `print` gives a few lines. Nothing is written.
"""

from xcstore.notebook.asking import correlate, critical_path, history, trace, verify
from xcstore.notebook.results import InstanceEvents, PathResult, VerifyResult
from xcstore.notebook.traces import EventTrace, KeyTrace

__all__ = [
    "EventTrace",
    "InstanceEvents",
    "KeyTrace",
    "PathResult",
    "VerifyResult",
    "correlate",
    "critical_path",
    "history",
    "trace",
    "verify",
]
