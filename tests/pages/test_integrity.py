"""The Integrity page: a run on demand, kinds, findings with their evidence, links."""

from __future__ import annotations

from typing import Any

import pytest

from tests.pages.conftest import OpenPage
from tests.pages.test_overview import UNESCAPED_LINK, all_markdown, metric, table
from xcstore.analysis.integrity import KINDS
from xcstore.ops.verifying import verify
from xcstore.store.opening import open_stores
from xcstore.ui import working


def verified(open_page: OpenPage, url: str, **address: Any) -> Any:
    app = open_page(url, "integrity", **address)
    app.button(key="integrity-run").click().run()
    assert not app.exception, [item.value for item in app.exception]
    assert not app.error, [item.value for item in app.error]
    return app


def test_nothing_is_read_before_the_button_is_pressed(open_page: OpenPage, demo_url: str) -> None:
    app = open_page(demo_url, "integrity")

    assert not app.exception
    assert "Nobody has verified this store yet" in app.info[0].value
    assert not app.metric


def test_every_kind_is_listed_with_its_count_and_the_worst_is_open(open_page: OpenPage, demo_url: str) -> None:
    app = verified(open_page, demo_url)

    kinds = table(app, "kind")
    assert set(kinds["kind"]) == {kind.title for kind in KINDS.values()}
    counted = dict(zip(kinds["kind"], kinds["findings"], strict=True))
    assert counted["Dangling causes"] == counted["Missing causes"] == 1
    assert kinds["kind"][0] == "Breaks in a state chain"
    assert set(kinds["is"][kinds["findings"] == 0]) == {"✓ none"}
    assert app.subheader[0].value == "Breaks in a state chain"
    assert metric(app, "Events") != "0"


def test_the_last_report_stays_for_whoever_comes_next(open_page: OpenPage, demo_url: str) -> None:
    verified(open_page, demo_url)

    app = open_page(demo_url, "integrity")
    assert not app.info
    assert table(app, "kind")["findings"].sum() > 0
    assert any("verified" in caption.value for caption in app.caption)


def test_the_address_opens_a_kind_and_the_evidence_of_a_finding(open_page: OpenPage, demo_url: str) -> None:
    app = verified(open_page, demo_url, kind="dangling_cause", finding="0")

    assert app.subheader[0].value == "Dangling causes"
    evidence = table(app, "evidence")
    assert "missing cause" in set(evidence["evidence"])
    assert any("Likely:" in item.value for item in app.markdown)


def test_an_address_that_cannot_be_right_is_said_and_left_out(open_page: OpenPage, demo_url: str) -> None:
    app = verified(open_page, demo_url, kind="nonsense", finding="999")

    assert any("names no kind of finding" in warning.value for warning in app.warning)
    assert app.subheader[0].value == "Breaks in a state chain"


def test_stored_text_is_shown_as_text(open_page: OpenPage, hostile_url: str) -> None:
    app = verified(open_page, hostile_url)

    for kind in [*KINDS]:
        app.query_params["kind"] = kind
        app.query_params["finding"] = "0"
        app.run()
        assert not app.exception
        shown = [text.replace("sqlite:///", "") for text in all_markdown(app)]
        assert not [text for text in shown if UNESCAPED_LINK.search(text)]


def test_an_empty_store_says_what_to_do(open_page: OpenPage, empty_url: str) -> None:
    app = open_page(empty_url, "integrity")

    assert "no events yet" in app.info[0].value
    assert not app.button(key="shell-refresh").disabled


def test_who_leaves_or_cancels_ends_the_reading(demo_url: str) -> None:
    seen: list[int] = []

    def note(done: int, total: int) -> None:
        seen.append(done)
        raise working.StoppedError

    with open_stores(demo_url) as stores, pytest.raises(working.StoppedError):
        verify(stores, on_progress=note)

    assert len(seen) == 1
