"""Critical paths over a real history, in which most recorded causes are wrong."""

from __future__ import annotations

from typing import Any

import pytest

from xcstore.analysis.causality import MODES, Mode
from xcstore.analysis.critical_path import critical_path
from xcstore.model.catalog import Catalog
from xcstore.model.loader import component_from_document
from xcstore.queries.causality import neighbourhood
from xcstore.queries.critical_path import with_streams
from xcstore.store.codec import event_from_document
from xcstore.store.memory import open_memory_stores


@pytest.mark.parametrize("mode", MODES)
def test_the_time_of_every_path_is_accounted_for_and_no_doubtful_link_is_on_it(reference_json: Any, mode: Mode) -> None:
    stores = open_memory_stores()
    stores.events.append_many(event_from_document(document) for document in reference_json("memory_events.json"))
    catalog = Catalog(component_from_document(document) for document in reference_json("components.json").values())
    events = list(stores.events.get_all_events())
    waited = 0

    for event in events[::131]:
        wide = with_streams(stores, neighbourhood(stores, event.id, mode=mode, catalog=catalog), catalog=catalog)
        path = critical_path(wide.graph, catalog=catalog)

        skews = sum(segment.skew_ms for segment in path.segments)
        assert sum(path.totals().values()) == path.elapsed_ms + skews
        assert len(set(path.event_ids)) == len(path.event_ids) == len(path.segments) + 1
        assert not [segment for segment in path.segments if segment.link and segment.link.doubts]
        waited += path.totals().get("event", 0)

    assert waited > 0
