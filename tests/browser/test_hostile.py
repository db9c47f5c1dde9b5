"""Stored text that tries something, as every name there is, stays text in every view of every page."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import pytest

from tests.browser.reading import APP, SEARCH, WAIT_MS, go, plain, ready, table
from tests.factories import START
from xcstore.model.history import CREATION

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect

HOSTILE = (
    "<x onerror=\"document.title='owned'\">owned-x</x>",
    "\"><img src=x onerror=document.title='owned'>",
    "<script>document.title='owned'</script>",
    "</title><svg onload=document.title='owned'>",
    "'quoted' \"twice\" `ticks` \\ \\N\\l {{7*7}} %s",
    "**owned-bold** # [owned-link](javascript:alert(1)) ![](http://example.invalid/x.png)",
    "| a | b | <b>owned-bold</b> www.example.invalid",
    "$\\frac{1}{0}$ $$owned$$ :red[owned-red] :smile: :material/home:",
    "\u202eowned\u2066\u200f\u200b backwards",
    "owned \u0001\u001b[31m\u007f \u0085\n\ttwo lines",
    '=HYPERLINK("http://example.invalid","owned-cell")',
    "long" * 2_500,
)
"""Each is a component, a machine, its states and event types, an instance, two events, and every key and value."""

# Whatever is made of stored text instead of text; looked for in the page and in every shadow root.
FOUND = """() => {
  const found = [], words = []
  const roots = [document]
  while (roots.length) {
    const root = roots.pop()
    for (const element of root.querySelectorAll("*")) {
      if (element.shadowRoot) roots.push(element.shadowRoot)
      const name = element.localName
      const told = `<${name}> ${(element.textContent || "").slice(0, 80)}`
      if (name === "x" || name === "script" && /owned/.test(element.textContent)) found.push(told)
      if (name === "img" && !/^(data:|blob:|\\.?\\/)/.test(element.getAttribute("src") || "")) found.push(told)
      for (const { name: key, value } of element.attributes) {
        if (/^on/i.test(key)) found.push(`${key} of ${told}`)
        if (/^(href|src|xlink:href|action)$/i.test(key)) {
          const { protocol, host } = new URL(value, location)
          if (!/^(https?|data|blob):$/.test(protocol) || host && host !== location.host)
            found.push(`${key}=${value.slice(0, 80)} of ${told}`)
        }
      }
      if (element.matches(".katex")) found.push(`formula ${told}`)
      const own = [...element.childNodes].filter(node => node.nodeType === 3).map(node => node.data).join("").trim()
      if (/^owned-(bold|link|red|x|cell)$/.test(own)) found.push(`markup: ${told}`)
      if (name !== "textarea" && name !== "script" && name !== "style") {
        if (/[\\u202e\\u2066\\u200f]/.test(own)) found.push(`steers the direction: ${told}`)
        words.push(own)
      }
      for (const key of ["aria-label", "data-title", "title"]) {
        const value = element.getAttribute(key)
        if (value) words.push(value)
        if (/[\\u202e\\u2066\\u200f]/.test(value || "")) found.push(`steers the direction: ${key} of ${told}`)
      }
    }
  }
  if (document.title.includes("owned")) found.push(`title ${document.title}`)
  return { found: [...new Set(found)], words: words.join("\\n") }
}"""


@dataclass(frozen=True)
class Hostile:
    """A store of another writer, whose columns hold anything, and definitions of two of its components."""

    environment: dict[str, str]

    @staticmethod
    def event_id(number: int) -> str:
        return f"{number} {HOSTILE[number]}"[:200]


def instance_of(number: int) -> str:
    return f"i{number} {HOSTILE[number]}"


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    folder = tmp_path_factory.mktemp("hostile")
    _write_events(folder / "hostile.db")
    (folder / "definitions").mkdir()
    for number in (0, 1, 5):
        document = json.dumps(_component(number), ensure_ascii=False)
        (folder / "definitions" / f"{number}.json").write_text(document, encoding="utf-8")
    return Hostile(
        {
            "XCSTORE_URL": f"sqlite:///{folder / 'hostile.db'}",
            "XCSTORE_DEFINITIONS": str(folder / "definitions"),
            "XCSTORE_DEMO": "no-such-file.db",
        }
    )


def _write_events(path: Path) -> None:
    """For each text one instance, created and moved on; each event is caused by the one before it."""
    rows = []
    last: list[str] = []
    for number, text in enumerate(HOSTILE):
        values = {text: text, "deep": [{text: [text, None, 2**60]}], "note": text, "number": number}
        moves = [(CREATION, "", text, {"initialContext": values}), (text, text, f"{text} too", values)]
        for place, (event_type, before, after, payload) in enumerate(moves):
            event_id = Hostile.event_id(number) + (" moved" if place else "")
            at = START + number * 60_000 + place * 1_000
            rows.append(
                (event_id, instance_of(number), text, text, event_type, json.dumps(payload), before, after, at,
                 json.dumps(last))
            )  # fmt: skip
            last = [event_id]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE fsm_events (id TEXT PRIMARY KEY, instance_id TEXT, machine_name TEXT, component_name TEXT,"
            " event_type TEXT, event_payload TEXT, state_before TEXT, state_after TEXT, persisted_at INTEGER,"
            " caused_by TEXT)"
        )
        connection.executemany("INSERT INTO fsm_events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _component(number: int) -> dict[str, object]:
    """What the events of that text would be declared as; entering its last state sends on to the next machine."""
    text, following = HOSTILE[number], HOSTILE[number + 1]
    cascade = {"targetComponent": following, "targetMachine": following, "targetState": following, "event": following}
    return {
        "name": text,
        "version": "1.0.0",
        "metadata": {"description": text},
        "stateMachines": [
            {
                "name": text,
                "initialState": text,
                "states": [
                    {"name": text, "type": "entry", "description": text},
                    {"name": f"{text} too", "cascadingRules": [cascade | {"payload": {text: text}}]},
                    {"name": f"{text} end", "type": "final"},
                ],
                "transitions": [
                    {"from": text, "to": f"{text} too", "event": text, "type": "triggerable", "description": text},
                    {"from": f"{text} too", "to": f"{text} end", "event": f"{text} on", "type": "triggerable"},
                ],
            }
        ],
    }


@pytest.fixture
def start(serve: Callable[..., str], hostile: Hostile) -> str:
    return serve(APP, **hostile.environment)


def check(page: Any) -> str:
    """Nothing was made of the stored text; gives all words of the page."""
    seen = page.evaluate(FOUND)
    assert seen["found"] == [], page.url
    return str(seen["words"])


CONTROLS = """controls => controls.map(control => {
  const around = control.closest('[data-testid="stButtonGroup"]')
  const label = around ? around.querySelector("label") || around : null
  const said = `${label ? label.textContent : control.localName} > ${control.textContent}`.replace(/\\d+/g, "#")
  return control.checkVisibility() ? said : ""
})"""
KINDS = '[role="tab"], [role="radio"], details:not([open]) > summary'
MOST = 60


def explore(page: Any) -> str:
    """Open every tab, view and fold of the page in turn, and check each time; gives all words that were seen."""
    controls = page.get_by_test_id("stMain").locator(KINDS)
    words = check(page)
    done: set[str] = set()
    for _ in range(MOST):
        # From the end, so that what a view brings along is opened before the next view is.
        names = list(controls.evaluate_all(CONTROLS))
        place = next((n for n in reversed(range(len(names))) if names[n] and names[n] not in done), None)
        if place is None:
            return words
        done.add(names[place])
        controls.nth(place).click()
        ready(page)
        words += check(page)
    pytest.fail(f"{page.url} has more than {MOST} controls")


def test_every_page_of_the_menu_shows_it_as_text(page: Any, start: str) -> None:
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog opened: {dialog.message}"))
    go(page, start)
    menu = page.get_by_test_id("stSidebarNav").get_by_role("link")
    addresses = [str(link.get_attribute("href")) for link in menu.all()]
    assert len(addresses) >= 7
    shown = ""
    for address in addresses:
        go(page, urljoin(f"{start}/", address))
        for verify in page.get_by_role("button", name="Verify this store").all():
            verify.click()
            expect(page.get_by_role("button", name="Verify again")).to_be_visible(timeout=WAIT_MS)
            ready(page)
        shown += explore(page)
    for text in HOSTILE[:8]:
        assert text[:20] in shown


def places() -> Sequence[tuple[str, dict[str, str]]]:
    """(page, address) of what can be opened from a page of the menu."""
    found: list[tuple[str, dict[str, str]]] = []
    for number in (1, 5, 8):
        event, instance, text = f"{Hostile.event_id(number)} moved", instance_of(number), HOSTILE[number]
        found += [
            ("events", {"event": event}),
            ("causality", {"key": text}),
            ("instances", {"instance": instance, "event": event}),
            ("instances", {"instance": instance, "field": "note"}),
            ("machines", {"machine": text, "machine_component": text}),
            ("what_if", {"trace": event, "edit": json.dumps(["drop", event]), "run": "yes"}),
        ]
    sides = {"left": instance_of(0), "right": instance_of(1)}
    events = {"left": Hostile.event_id(0), "right": Hostile.event_id(1)}
    # One trace holds the events of all texts.
    found.append(("causality", {"event": Hostile.event_id(5)}))
    return [*found, ("compare", sides), ("compare", {"what": "traces", **events})]


@pytest.mark.parametrize("place", places(), ids=lambda place: f"{place[0]}-{'-'.join(place[1])}")
def test_what_a_page_opens_shows_it_as_text(page: Any, start: str, place: tuple[str, dict[str, str]]) -> None:
    where, address = place
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog opened: {dialog.message}"))
    go(page, f"{start}/{where}?" + "&".join(f"{name}={quote(value)}" for name, value in address.items()))
    main = page.get_by_test_id("stMain")
    expect(main).to_be_visible(timeout=WAIT_MS)
    if where == "causality":
        expect(main.get_by_role("radio").first).to_be_visible(timeout=WAIT_MS)
    explore(page)


def test_a_search_for_it_shows_it_as_text(page: Any, start: str) -> None:
    go(page, f"{start}/events?text=onerror")
    explore(page)
    # Of each text with it: a creation and a move.
    assert len(table(page, "Events, newest first")) == 2 * sum("onerror" in text for text in HOSTILE)

    for text in HOSTILE[:2]:
        go(page, start)
        page.get_by_label(SEARCH).fill(text)
        page.keyboard.press("Enter")
        expect(page.get_by_text("Found for")).to_be_visible(timeout=WAIT_MS)
        ready(page)
        assert text in plain(explore(page))
