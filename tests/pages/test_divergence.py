"""The Divergence page: a run on demand, the map, the first divergence of an instance, links."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import event
from tests.pages.conftest import HOSTILE, OpenPage
from tests.pages.test_overview import UNESCAPED_LINK, all_markdown, metric, table
from xcstore.replay.divergence import divergence_map
from xcstore.replay.divergence_results import DivergenceMap
from xcstore.store.base import InstanceQuery
from xcstore.store.opening import open_stores


def replayed(open_page: OpenPage, url: str, **address: Any) -> Any:
    app = open_page(url, "divergence", **address)
    app.button(key="divergence-run").click().run()
    assert not app.exception, [item.value for item in app.exception]
    assert not app.error, [item.value for item in app.error]
    return app


@pytest.fixture(scope="module")
def expected(demo_url: str) -> DivergenceMap:
    with open_stores(demo_url) as stores:
        return divergence_map(stores)


def test_nothing_is_read_before_the_button_is_pressed(open_page: OpenPage, demo_url: str) -> None:
    app = open_page(demo_url, "divergence")

    assert not app.exception
    assert "Nobody has replayed this store yet" in app.info[0].value
    assert not app.metric


def test_the_map_counts_what_was_replayed(open_page: OpenPage, demo_url: str, expected: DivergenceMap) -> None:
    app = replayed(open_page, demo_url)

    assert metric(app, "Events") == f"{expected.events:,}"
    assert metric(app, "Diverging") == f"{expected.diverging:,}"
    machines = table(app, "version")
    assert list(machines["diverging"]) == [row.diverging for row in expected.rows]
    assert machines["is"][0] == "✕ diverges"
    kinds = table(app, "kind")
    assert dict(zip(kinds["kind"], kinds["steps"], strict=True))["Rolled back"] == expected.kinds["rolled_back"]
    assert set(table(app, "why")["instance"]) == {one.instance_id for one in expected.examples}


def test_the_last_map_stays_for_whoever_comes_next(open_page: OpenPage, demo_url: str) -> None:
    replayed(open_page, demo_url)

    app = open_page(demo_url, "divergence")
    assert not app.info
    assert any("replayed" in caption.value for caption in app.caption)


def test_the_address_opens_a_kind_a_machine_and_an_instance(
    open_page: OpenPage, demo_url: str, expected: DivergenceMap
) -> None:
    one = next(example for example in expected.examples if example.kind == "rolled_back")
    version = "/".join((one.component_name, one.machine_name, one.definition_hash[:12]))
    app = replayed(open_page, demo_url, kind="rolled_back", machine_version=version, instance=one.instance_id)

    assert set(table(app, "why")["instance"]) == {
        other.instance_id
        for other in expected.examples
        if (other.kind, other.machine_name) == ("rolled_back", one.machine_name)
    }
    assert any(f"step {one.position:,} of {one.events:,}" in item.value for item in app.markdown)
    assert any("undone" in item.value for item in app.markdown)


def test_values_that_differ_stand_beside_each_other(
    open_page: OpenPage, demo_url: str, expected: DivergenceMap
) -> None:
    one = next(example for example in expected.examples if example.changes)
    app = replayed(open_page, demo_url, instance=one.instance_id)

    changes = table(app, "field")
    assert len(changes) == len(one.changes)
    assert list(changes.columns) == ["field", "by the definition", "recorded"]


def test_the_components_of_the_sidebar_are_looked_at_alone(open_page: OpenPage, demo_url: str) -> None:
    app = replayed(open_page, demo_url, component="OrderComponent")

    assert set(table(app, "version")["component"]) == {"OrderComponent"}
    assert any("components chosen in the sidebar alone: OrderComponent" in item.value for item in app.caption)


def test_an_address_that_cannot_be_right_is_said_and_left_out(open_page: OpenPage, demo_url: str) -> None:
    app = replayed(open_page, demo_url, kind="nonsense", machine_version="a/b/c", instance="nobody")

    assert len([warning for warning in app.warning if "names nothing that was found" in warning.value]) == 2
    assert len(table(app, "why")) > 0


def test_stored_text_is_shown_as_text(open_page: OpenPage, hostile_url: str) -> None:
    with open_stores(hostile_url, read_only=False) as stores:
        for text in HOSTILE:
            # None of them ended there: each is a break in its chain.
            instance = next(
                i for i in stores.events.instances(InstanceQuery(), limit=100).items if i.machine_name == text
            )
            odd = event(
                instance_id=instance.instance_id,
                machine_name=text,
                component_name=text,
                event_type=text,
                state_before=f"{text[:40]}!",
                state_after=text,
            )
            stores.events.append(odd)
    app = replayed(open_page, hostile_url)

    names = list(table(app, "why")["instance"])
    assert len(names) == len(HOSTILE)
    with open_stores(hostile_url) as stores:
        ids = [one.instance_id for one in divergence_map(stores).examples]
    for instance_id in ids:
        app.query_params["instance"] = instance_id
        app.run()
        assert not app.exception
        # An address holds plain text alone; the others are in the table, and nothing of them is run.
        assert any("Break in the chain" in item.value for item in app.markdown) or not instance_id.isprintable()
        shown = [text.replace("sqlite:///", "") for text in all_markdown(app)]
        assert not [text for text in shown if UNESCAPED_LINK.search(text)]


def test_an_empty_store_says_what_to_do(open_page: OpenPage, empty_url: str) -> None:
    app = open_page(empty_url, "divergence")

    assert "no events yet" in app.info[0].value
