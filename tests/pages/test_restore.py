"""The Restore page: snapshots, the dry run, the fresh runtime, the drill, and recovery."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.backends import open_writable
from tests.factories import event, snapshot
from tests.pages.conftest import HOSTILE, OpenPage
from tests.pages.test_overview import UNESCAPED_LINK, all_markdown, links, metric, table
from xcstore.model.history import CREATION, InstanceSnapshot
from xcstore.ops.auditing import audit_page
from xcstore.ops.recovery_plan import plan_recovery
from xcstore.ops.restoration import restorations
from xcstore.queries.definitions import stored_definitions
from xcstore.store.base import FEATURES, StoredDefinition
from xcstore.store.opening import open_stores
from xcstore.units import EpochMs
from xcstore.views import recovering as views
from xcstore.views.restore import PARTS

T0 = 1_760_000_000_000
SHOP = {
    "name": "Shop",
    "stateMachines": [
        {
            "name": "Order",
            "initialState": "New",
            "states": [{"name": "New", "type": "entry"}, {"name": "Paid"}, {"name": "Done", "type": "final"}],
            "transitions": [
                {"from": "New", "to": "Paid", "event": "PAY"},
                {"from": "Paid", "to": "Done", "event": "END"},
                {"from": "Paid", "to": "Done", "event": "LATE", "type": "timeout", "timeoutMs": 60_000},
            ],
        }
    ],
}
WORDS = {"N": "New", "P": "Paid", "D": "Done"}


def fill(url: str, *, keeps_definitions: bool = True) -> str:
    """Orders whose snapshots stand in every way."""
    with open_writable(url) as stores:
        if keeps_definitions:
            stores.definitions.save_definition(StoredDefinition(hash="h", component_name="Shop", document=SHOP))
        for name, states in {"ended": "NPD", "behind": "NP", "wrong": "NP", "bare": "NP"}.items():
            stores.events.append_many(
                event(
                    id=f"{name}-{number}",
                    instance_id=name,
                    event_type={"N": CREATION, "P": "PAY", "D": "END"}[letter],
                    payload={"initialContext": {"n": 0}} if letter == "N" else {"n": number},
                    state_before=WORDS[states[number - 1]] if number else "",
                    state_after=WORDS[letter],
                    persisted_at=EpochMs(T0 + number * 1_000),
                )
                for number, letter in enumerate(states)
            )
        for name, at, state, value in (
            ("ended", 2, "Done", 2),
            ("behind", 0, "New", 0),
            ("wrong", 1, "Paid", 7),
            ("alone", 1, "Paid", 1),
        ):
            stores.snapshots.save_snapshot(
                snapshot(
                    id=name,
                    current_state=state,
                    status="completed" if state == "Done" else "active",
                    context={"n": value},
                    last_event_id=f"{name}-{at}",
                    created_at=EpochMs(T0),
                    updated_at=EpochMs(T0 + at * 1_000),
                    snapshot_at=EpochMs(T0 + at * 1_000 + 5),
                )
            )
    return url


@pytest.fixture
def shop_url(tmp_path: Path) -> str:
    return fill(f"sqlite:///{tmp_path / 'shop.db'}")


def pressed(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click().run()
    assert not app.exception, [item.value for item in app.exception]
    assert not app.error, [item.value for item in app.error]
    return app


def facts(app: AppTest) -> dict[str, str]:
    shown = table(app, "what")
    return dict(zip(shown["what"], shown["is"], strict=True))


# Snapshots


def test_each_snapshot_says_how_it_stands_against_the_events(open_page: OpenPage, shop_url: str) -> None:
    app = open_page(shop_url, "restore")

    assert not app.exception
    shown = table(app, "lag").set_index("instance")
    assert dict(shown["is"]) == {
        "alone": "✕ no events",
        "behind": "◔ behind",
        "ended": "✓ agrees",
        "wrong": "✕ disagrees",
    }
    assert shown["behind"]["behind"] == "1 of 2 events"
    assert shown["lag"]["behind"] == "1 s"
    assert shown["behind"]["alone"] == "not known"
    assert any("audited all 4 of 4 snapshots" in caption.value for caption in app.caption)


def test_a_standing_can_be_asked_for_and_stays_in_the_address(open_page: OpenPage, shop_url: str) -> None:
    app = open_page(shop_url, "restore", standing="disagrees")

    assert list(table(app, "lag")["instance"]) == ["wrong"]
    assert app.query_params["standing"] in ("disagrees", ["disagrees"])
    assert any("audited all 4 of 4 snapshots" in caption.value for caption in app.caption)


def test_what_disagrees_is_told_field_by_field(open_page: OpenPage, shop_url: str) -> None:
    app = open_page(shop_url, "restore", instance="wrong")

    seen = table(app, "evidence")
    assert dict(zip(seen["evidence"], seen["what was seen"], strict=True))["n"] == "by the events 1, in the snapshot 7"
    assert "instance=wrong" in links(app)["What restoring it would do"]
    assert "part=restore" in links(app)["What restoring it would do"]


def test_the_pages_of_a_long_list_hold_every_snapshot_once(open_page: OpenPage, demo_url: str) -> None:
    app = open_page(demo_url, "restore")
    with open_stores(demo_url) as stores:
        total = stores.snapshots.count()
        first = [item.snapshot.instance.id for item in audit_page(stores).items]

    assert list(table(app, "lag")["instance"]) == first
    assert any(f"of {total:,} snapshots" in caption.value for caption in app.caption)
    app.button(key="restore-snapshots-page-on").click().run()
    second = list(table(app, "lag")["instance"])
    assert second
    assert not set(second) & set(first)
    assert min(second) > max(first)


def test_a_store_without_snapshots_says_that_events_suffice(open_page: OpenPage, hostile_url: str) -> None:
    app = open_page(hostile_url, "restore")

    assert not app.exception
    assert "holds no snapshot" in app.info[0].value


@pytest.mark.parametrize("part", PARTS)
def test_an_instance_that_is_not_there_is_said_so(open_page: OpenPage, shop_url: str, part: str) -> None:
    app = open_page(shop_url, "restore", part=part, instance="nobody")

    assert not app.exception
    if part in ("snapshots", "restore"):
        assert any("neither an event nor a snapshot" in info.value for info in app.info)


# The dry run


def test_a_dry_run_of_all_counts_what_would_come_back(open_page: OpenPage, shop_url: str) -> None:
    app = open_page(shop_url, "restore", part="restore")
    assert not app.metric  # nothing is read before the button is pressed
    pressed(app, "restoring-run")

    with open_stores(shop_url) as stores:
        found = list(restorations(stores, stored_definitions(stores.definitions).catalog, as_of=EpochMs(T0 + 2_000)))
    restored = [one for one in found if one.outcome == "restored"]
    assert metric(app, "Come back") == str(len(restored))
    assert metric(app, "Ended") == "1"
    assert metric(app, "Timers") == str(sum(len(one.timers) for one in restored))
    assert metric(app, "Overdue") == "0"
    assert list(table(app, "come back")["component"]) == ["Shop"]
    assert {"wrong", "alone"} <= set(table(app, "problem")["problem"]) or {"wrong", "alone"} <= set(
        next(frame.value for frame in app.dataframe if {"instance", "problem"} <= set(frame.value))["instance"]
    )


def test_the_clock_decides_which_timers_are_overdue(open_page: OpenPage, shop_url: str) -> None:
    at_the_end = facts(open_page(shop_url, "restore", part="restore", instance="bare"))
    now = facts(open_page(shop_url, "restore", part="restore", instance="bare", clock="now"))

    assert at_the_end["timer LATE"].startswith("runs for another")
    assert "would fire once" in now["timer LATE"]


def test_one_instance_says_from_what_it_would_come_back(open_page: OpenPage, shop_url: str) -> None:
    said = {
        name: facts(open_page(shop_url, "restore", part="restore", instance=name))
        for name in ("ended", "behind", "wrong", "bare")
    }

    assert said["ended"]["would come back"] == "○ has ended"
    assert said["behind"]["from"] == "its snapshot and the events after it: 1 event folded"
    assert said["bare"]["from"] == "all of its events: 2 events folded"
    assert said["wrong"]["as all events say"].startswith("✕ no")
    assert "by the events 1" in said["wrong"]["differs: n"]


# The fresh runtime


def restored(open_page: OpenPage, url: str, **address: str) -> AppTest:
    app = pressed(open_page(url, "restore", part="restore", **address), "restoring-run")
    assert app.button(key="restoring-restore").disabled
    app.checkbox(key="restoring-sure").check().run()
    return pressed(app, "restoring-restore")


def test_what_is_brought_back_lives_in_memory_and_can_be_thrown_away(open_page: OpenPage, shop_url: str) -> None:
    file = Path(shop_url.removeprefix("sqlite:///"))
    before = file.read_bytes(), sorted(file.parent.iterdir())
    app = restored(open_page, shop_url)

    assert any("brought back; the clock says 2025-10-09" in plain(text) for text in all_markdown(app))
    living = table(app, "pending").set_index("instance")
    assert living["state"]["bare"] == "Paid"
    assert living["pending"]["bare"].startswith("LATE in 59 s")
    assert not [button for button in app.button if button.key == "restoring-go-on"]

    pressed(app, "restoring-discard")
    assert not [frame for frame in app.dataframe if "pending" in frame.value]
    assert (file.read_bytes(), sorted(file.parent.iterdir())) == before


def test_overdue_timers_fire_once_when_it_is_let_go_on_and_the_store_stays_as_it_was(
    open_page: OpenPage, shop_url: str
) -> None:
    file = Path(shop_url.removeprefix("sqlite:///"))
    before = file.read_bytes()
    app = restored(open_page, shop_url, clock="now")
    assert "Paid" in set(table(app, "pending")["state"])

    pressed(app, "restoring-go-on")

    assert not [frame for frame in app.dataframe if "pending" in frame.value and "bare" in set(frame.value["instance"])]
    assert file.read_bytes() == before


def plain(text: str) -> str:
    return text.replace("\\", "").replace("\u2060", "")


# The drill


def drilled(open_page: OpenPage, url: str, **address: str) -> AppTest:
    return pressed(open_page(url, "restore", part="drill", **address), "drilling-run")


def test_the_drill_certifies_a_store_with_its_counts_digests_and_times(open_page: OpenPage, demo_url: str) -> None:
    app = open_page(demo_url, "restore", part="drill")
    assert not app.metric  # nothing is read before the button is pressed
    pressed(app, "drilling-run")

    with open_stores(demo_url) as stores:
        events = sum(1 for _ in stores.events.get_all_events())
        found = list(restorations(stores, stored_definitions(stores.definitions).catalog))
    assert any("✓ PASSED" in text for text in all_markdown(app))
    assert metric(app, "Events") == f"{events:,}"
    assert metric(app, "Live again") == f"{sum(one.outcome == 'restored' for one in found):,}"
    assert {"read", "restore", "bring back"} <= set(table(app, "took")["phase"])
    digests = table(app, "SHA-256").set_index("of")
    assert digests["count"]["events"] == events
    assert all(len(digest) == 64 for digest in digests["SHA-256"])
    assert len(app.get("download_button")) == 1
    assert app.code[0].value.startswith("python -m xcstore drill sqlite:///")


def test_a_drill_that_fails_names_the_damage(open_page: OpenPage, shop_url: str) -> None:
    app = drilled(open_page, shop_url)

    assert any("✕ FAILED" in text for text in all_markdown(app))
    damages = table(app, "where")
    assert any("wrong" in where for where in damages["where"])
    assert metric(app, "Recovery time") == "–"


def test_a_drill_writes_nothing_beside_the_store_and_leaves_no_temporary_one(
    open_page: OpenPage, shop_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = tmp_path / "temporary"
    places.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(places))
    file = Path(shop_url.removeprefix("sqlite:///"))
    before = file.read_bytes(), sorted(file.parent.iterdir())

    drilled(open_page, shop_url)

    assert (file.read_bytes(), sorted(file.parent.iterdir())) == before
    assert not [one for one in places.iterdir() if one.name.startswith("xcstore")]


def test_what_is_masked_is_neither_in_the_certificate_nor_said_to_agree(
    open_page: OpenPage, shop_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert any("in the snapshot 7" in text for text in table(drilled(open_page, shop_url), "where")["what"])

    monkeypatch.setenv("XCSTORE_REDACT", "n")
    damages = table(drilled(open_page, shop_url), "where")
    assert any("wrong" in where for where in damages["where"])  # it is still found
    assert not any("7" in text for text in damages["what"])
    for part in ("snapshots", "restore"):
        captions = [plain(caption.value) for caption in open_page(shop_url, "restore", part=part).caption]
        assert any("what is masked is neither compared" in text for text in captions)


def test_the_last_certificate_stays_for_whoever_comes_next(open_page: OpenPage, shop_url: str) -> None:
    drilled(open_page, shop_url)

    app = open_page(shop_url, "restore", part="drill")
    assert any("✕ FAILED" in text for text in all_markdown(app))
    assert any("drilled" in caption.value for caption in app.caption)


def test_from_the_overview_and_from_integrity_it_is_one_click_away(open_page: OpenPage, demo_url: str) -> None:
    ways = links(open_page(demo_url))

    assert "part=drill" in ways["Could it be restored from what is in it?"]
    assert "Is this store sound?" in ways
    app = pressed(open_page(demo_url, "integrity"), "integrity-run")
    assert "part=drill" in links(app)["Could it be restored from what is in it?"]


# Recovery


def test_where_it_only_reads_it_shows_what_would_be_written_and_what_to_set(open_page: OpenPage, shop_url: str) -> None:
    app = open_page(shop_url, "restore", part="recovery")
    assert not app.metric
    pressed(app, "recovering-run")

    with open_stores(shop_url) as stores:
        plan = plan_recovery(stores, stored_definitions(stores.definitions).catalog)
    assert plan.snapshots
    assert list(table(app, "as of event")["instance"]) == [one.instance_id for one in plan.snapshots]
    assert metric(app, "Left alone") == str(len(plan.skipped))
    assert not [button for button in app.button if button.key == "recovering-apply"]
    assert any("XCSTORE_ALLOW_WRITE" in plain(text) for text in all_markdown(app))
    assert app.code[0].value == f"XCSTORE_ALLOW_WRITE=true python -m xcstore recover {shop_url}"


def test_what_is_confirmed_by_its_number_is_written_and_taken_back(
    open_page: OpenPage, shop_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XCSTORE_ALLOW_WRITE", "true")
    before = kept(shop_url)
    app = pressed(open_page(shop_url, "restore", part="recovery"), "recovering-run")
    number = int(metric(app, "New")) + int(metric(app, "Replaced"))
    assert number
    assert app.button(key="recovering-apply").disabled
    app.text_input(key="recovering-confirm").set_value(str(number + 1)).run()
    assert app.button(key="recovering-apply").disabled
    app.text_input(key="recovering-confirm").set_value(str(number)).run()
    assert kept(shop_url) == before  # nothing yet

    pressed(app, "recovering-apply")

    assert f"{number} snapshots written" in app.success[0].value
    written = kept(shop_url)
    assert len(written["bare"]) == 1
    assert len(before.get("bare", [])) == 0
    (log,) = Path(shop_url.removeprefix("sqlite:///")).parent.glob("*.jsonl")
    assert log.name in app.code[0].value
    assert "--undo" in app.code[0].value

    assert app.button(key="recovering-undo").disabled
    app.checkbox(key="recovering-sure").check().run()
    pressed(app, "recovering-undo")
    assert "Taken back" in app.success[0].value
    assert kept(shop_url) == before


def test_masked_data_and_other_writers_are_never_written(
    open_page: OpenPage, shop_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XCSTORE_ALLOW_WRITE", "true")
    monkeypatch.setenv("XCSTORE_REDACT", "n")
    app = open_page(shop_url, "restore", part="recovery")

    assert "masked" in app.info[0].value
    assert not [button for button in app.button if button.key.startswith("recovering")]
    assert "another writer" in views.cannot_recover("documented", FEATURES, masked=False)
    assert "cannot take back" in views.cannot_recover("ours", FEATURES - {"delete"}, masked=False)
    assert not views.cannot_recover("ours", FEATURES, masked=False)


def kept(url: str) -> dict[str, list[InstanceSnapshot]]:
    """All snapshots that are kept, by instance."""
    with open_stores(url) as stores:
        ids = [one.instance.id for one in stores.snapshots.get_all_snapshots()]
        return {name: list(stores.snapshots.list_snapshots(name)) for name in ids}


# What every part keeps


def told(open_page: OpenPage, url: str) -> dict[str, Any]:
    """What the parts of the page say of a store, without what depends on the moment or the backend."""
    found: dict[str, Any] = {}
    snapshots = table(open_page(url, "restore"), "lag").drop(columns="age")
    found["snapshots"] = snapshots.to_dict("records")
    app = pressed(open_page(url, "restore", part="restore"), "restoring-run")
    found["restore"] = {item.label: item.value for item in app.metric}, table(app, "come back").to_dict("records")
    app = drilled(open_page, url)
    timed = ("Recovery time", "Recovery point")
    found["drill"] = {item.label: item.value for item in app.metric if item.label not in timed}
    found["damage"] = sorted(table(app, "where")["where"])
    app = open_page(url, "restore", part="recovery")
    assert not app.exception
    return found


_in_a_file: dict[str, Any] = {}


@pytest.mark.xdist_group("restore page on backends")
def test_every_part_says_the_same_on_every_backend(
    open_page: OpenPage, backend: str, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "memory":
        pytest.skip("memory:// is always empty where it is opened")
    folder = tmp_path / "definitions"
    folder.mkdir()
    (folder / "shop.json").write_text(json.dumps(SHOP), encoding="utf-8")
    monkeypatch.setenv("XCSTORE_DEFINITIONS", str(folder))
    if not _in_a_file:
        _in_a_file.update(told(open_page, fill(f"sqlite:///{tmp_path / 'shop.db'}", keeps_definitions=False)))
    fill(store_url, keeps_definitions=False)

    assert told(open_page, store_url) == _in_a_file


@pytest.mark.parametrize("part", PARTS)
def test_an_empty_store_says_what_to_do(open_page: OpenPage, empty_url: str, part: str) -> None:
    app = open_page(empty_url, "restore", part=part)

    assert not app.exception
    assert "holds no events yet" in app.info[0].value


@pytest.mark.parametrize("part", PARTS)
def test_stored_text_is_shown_as_text(open_page: OpenPage, tmp_path: Path, part: str) -> None:
    url = hostile(f"sqlite:///{tmp_path / 'hostile.db'}")
    for instance in ("", f"{HOSTILE[0]}0"):
        app = open_page(url, "restore", part=part, **({"instance": instance} if instance else {}))
        for key in ("restoring-run", "drilling-run", "recovering-run"):
            if any(button.key == key for button in app.button):
                pressed(app, key)
        assert not app.exception
        for shown in all_markdown(app):
            assert not UNESCAPED_LINK.search(shown.replace("sqlite:///", "")), shown


def hostile(url: str) -> str:
    with open_stores(url, read_only=False) as stores:
        for number, text in enumerate(HOSTILE):
            common: dict[str, Any] = {"machine_name": text, "component_name": text}
            name = f"{text[:40]}{number}"
            first = event(
                instance_id=name, event_type=CREATION, state_before="", state_after=text, payload={text: text}, **common
            )
            stores.events.append(first)
            stores.snapshots.save_snapshot(
                snapshot(id=name, current_state=text[::-1], context={text: text}, last_event_id=first.id, **common)
            )
    return url
