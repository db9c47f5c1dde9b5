"""Snapshots against the events of their instances, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.factories import event, snapshot
from xcstore.model.history import CREATION
from xcstore.ops import auditing
from xcstore.ops.auditing import audit_instance, audit_page
from xcstore.store.base import Stores
from xcstore.store.opening import open_stores
from xcstore.units import EpochMs

T0 = 1_700_000_000_000
PATH = ("New", "Open", "Paid", "Done")


@pytest.fixture
def stores() -> Iterator[Stores]:
    with open_stores("memory://") as opened:
        yield opened


def tell(stores: Stores, name: str, steps: int = 4, component: str = "Shop") -> None:
    """A stream of `steps` events, a second apart; each sets `n` to its number."""
    for n in range(steps):
        stores.events.append(
            event(
                id=f"{name}-{n}",
                instance_id=name,
                component_name=component,
                event_type="MOVE" if n else CREATION,
                payload={"n": n} if n else {"initialContext": {"n": 0}},
                state_before=PATH[(n - 1) % 4] if n else "",
                state_after=PATH[n % 4],
                persisted_at=EpochMs(T0 + n * 1_000),
            )
        )


def save(stores: Stores, name: str, at: int, **overrides: object) -> None:
    """A snapshot as of the event of that number."""
    fields: dict[str, object] = {
        "id": name,
        "current_state": PATH[at % 4],
        "context": {"n": at},
        "last_event_id": f"{name}-{at}",
        "snapshot_at": EpochMs(T0 + at * 1_000 + 5),
    }
    stores.snapshots.save_snapshot(snapshot(**{**fields, **overrides}))


def test_each_standing_is_told_with_what_is_behind_and_since_when(stores: Stores) -> None:
    for name in ("agreeing", "behind", "other-state", "other-value", "adrift"):
        tell(stores, name)
    save(stores, "agreeing", 3)
    save(stores, "behind", 1)
    save(stores, "other-state", 3, current_state="Open")
    save(stores, "other-value", 2, context={"n": 7})
    save(stores, "adrift", 3, last_event_id="gone")
    save(stores, "alone", 3)

    page = audit_page(stores)

    assert {item.snapshot.instance.id: (item.standing, item.behind, item.lag_ms) for item in page.items} == {
        "adrift": ("adrift", None, None),
        "agreeing": ("agrees", 0, 0),
        "alone": ("alone", None, None),
        "behind": ("behind", 2, 2_000),
        "other-state": ("disagrees", 0, 0),
        "other-value": ("disagrees", 1, 1_000),
    }
    assert page.total == page.audited == 6
    assert page.next is None
    told = {item.snapshot.instance.id: item for item in page.items}
    assert "by the events 2, in the snapshot 7" in dict(told["other-value"].findings[0].evidence)["n"]
    assert not told["agreeing"].findings
    assert [finding.kind for finding in told["alone"].findings] == ["snapshot_orphan"]


def test_paging_audits_every_snapshot_once_and_a_filter_leaves_none_out(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "CHUNK", 3)
    for number in range(11):
        tell(stores, f"i{number:02}")
        save(stores, f"i{number:02}", 3 if number % 4 else 1)

    def all_pages(**asked: object) -> tuple[list[str], int]:
        found: list[str] = []
        audited, after = 0, None
        while True:
            page = audit_page(stores, after=after, limit=3, **asked)  # type: ignore[arg-type]
            found += [item.snapshot.instance.id for item in page.items]
            audited += page.audited
            if (after := page.next) is None:
                return found, audited

    assert all_pages() == ([f"i{number:02}" for number in range(11)], 11)
    assert all_pages(standings=("behind",)) == (["i00", "i04", "i08"], 11)


def test_snapshots_of_other_components_are_passed_over(stores: Stores) -> None:
    for name, component in (("a", "Shop"), ("b", "Stock")):
        tell(stores, name, component=component)
        save(stores, name, 3, component_name=component)

    page = audit_page(stores, components=("Stock",))

    assert [item.snapshot.instance.id for item in page.items] == ["b"]
    assert (page.audited, page.total) == (1, 2)


def test_a_stream_too_long_for_a_page_is_said_not_to_be_compared(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "STREAM", 10)
    tell(stores, "long", 11)
    tell(stores, "short", 10)
    save(stores, "long", 10, context={"n": "wrong"})
    save(stores, "short", 9)

    standings = {item.snapshot.instance.id: item.standing for item in audit_page(stores).items}

    assert standings == {"long": "unread", "short": "agrees"}
    (audited,) = audit_page(stores, standings=("unread",)).items
    assert (audited.behind, audited.compared, audited.events) == (0, False, 11)


def test_all_that_are_kept_of_an_instance_are_judged_the_latest_first(stores: Stores) -> None:
    tell(stores, "one")
    for at in (0, 1, 3):
        save(stores, "one", at)

    kept = audit_instance(stores, "one")

    assert [(item.standing, item.behind) for item in kept] == [("agrees", 0), ("behind", 2), ("behind", 3)]
    assert audit_instance(stores, "nobody") == ()
