"""How the Replay page feels in a real browser on a long history: opened, sought in, stepped through by the keyboard.

    python -m benchmarks.bench_replay_page
    python -m benchmarks.bench_replay_page --events 10000

Starts the app on a SQLite file with one instance of many events, and drives Chromium (on PATH, or XCSTORE_CHROMIUM).
Times are what a person waits, the browser and Streamlit included: for the player after the address was opened, for the
step after a far jump, and for the next step after a key was pressed, which asks no server.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from playwright.sync_api import expect, sync_playwright

from benchmarks.bench_replay import BATCH, history
from xcstore.store.opening import open_stores

ROOT = Path(__file__).parents[1]
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
WAIT_MS = 120_000


@contextmanager
def served(url: str) -> Iterator[str]:
    """The app on a store, on a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"]
    command += ["--server.address=127.0.0.1", "--server.headless=true", "--server.fileWatcherType=none"]
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "XCSTORE_URL": url}, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2):
                    break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def shown(page: Any, step: int) -> None:
    expect(page.locator(".player")).to_have_attribute("data-shown", str(step), timeout=WAIT_MS)


def measure(address: str, events: int, jumps: int) -> None:
    chromium = os.environ.get("XCSTORE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(f"{address}/")  # the first page of a process imports everything
        expect(page.get_by_test_id("stHeading").first).to_be_visible(timeout=WAIT_MS)
        page.wait_for_timeout(3_000)
        began = time.perf_counter()
        page.goto(f"{address}/replay?instance=furnace-1&step={events // 2}")
        shown(page, events // 2)
        opened = time.perf_counter() - began
        field = page.locator(".player").get_by_label("Go to step")
        sought = []
        for step in random.Random(0).sample(range(1, events), jumps):
            field.fill(str(step))
            began = time.perf_counter()
            field.press("Enter")
            shown(page, step)
            sought.append((time.perf_counter() - began) * 1_000)
            page.wait_for_timeout(1_000)
        page.locator(".player").get_by_role("slider").focus()
        stepped = []
        for number in range(1, jumps + 1):
            began = time.perf_counter()
            page.keyboard.press("ArrowRight")
            shown(page, step + number)
            stepped.append((time.perf_counter() - began) * 1_000)
        browser.close()
    print(f"\n{events:,} events of one instance, in Chromium\n\n| what | median | worst |\n|---|---:|---:|")
    print(f"| open at a step | {opened * 1_000:,.0f} ms | |")
    for name, figures in (("far jump", sought), ("key", stepped)):
        print(f"| {name} | {statistics.median(figures):,.0f} ms | {max(figures):,.0f} ms |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--jumps", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'replay.db'}"
        with open_stores(url, read_only=False) as stores:
            for start in range(0, options.events, BATCH):
                stores.events.append_many(islice(history(options.events), start, start + BATCH))
        with served(url) as address:
            measure(address, options.events, options.jumps)


if __name__ == "__main__":
    main()
