"""Laying diagrams out, in a process of its own and within a time limit.

    layout_svg(dot, *, engine='dot', time_limit_s=5.0) -> str | None      Graphviz's SVG; None at the limit
    draw_diagram(diagram, *, time_limit_s=5.0) -> Drawing | None          the finished picture for `ui.viewer.show`
    LayoutWorker(...)                                                     the process; one is shared by all callers

None means: show the table and say so. The process starts at the first use, is started again after the limit or a
crash, and ends with the interpreter. This module knows no Streamlit.
"""

from __future__ import annotations

import atexit
import json
import logging
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from xcstore.render.diagram import LAYOUT_LIMIT, Diagram, node_count
from xcstore.render.dot import to_dot
from xcstore.render.drawing import Drawing, draw
from xcstore.ui.layout_worker import read_message

__all__ = ["Engine", "LayoutWorker", "draw_diagram", "layout_svg"]

log = logging.getLogger(__name__)

Engine = Literal["dot", "neato", "fdp", "sfdp", "circo", "twopi"]
TIME_LIMIT_S: Final = 5.0
_START_S: Final = 10.0  # loading Graphviz the first time, on a busy machine, does not count as layout


class LayoutWorker:
    """One process that lays out one graph at a time. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def layout(self, dot: str, *, engine: Engine = "dot", time_limit_s: float = TIME_LIMIT_S) -> str | None:
        """Graphviz's SVG of `dot`; None when it took longer than the limit (waiting in turn included) or failed."""
        started = time.monotonic()
        if not self._lock.acquire(timeout=time_limit_s):
            log.warning("layout not begun within %.1f s: others are before it", time_limit_s)
            return None
        try:
            left = max(time_limit_s - (time.monotonic() - started), 0.05)
            answer = self._ask(dot, engine, left)
        finally:
            self._lock.release()
        if answer is None:
            log.warning("layout stopped engine=%s limit_s=%.1f characters=%d", engine, time_limit_s, len(dot))
            return None
        text = answer[1:].decode("utf-8", "replace")
        if answer[:1] != b"S":
            log.error("Graphviz refused the graph: %s", text[:200])
            return None
        return text

    def close(self) -> None:
        """End the process; the next layout starts another."""
        with self._lock:
            self._stop()

    def _ask(self, dot: str, engine: Engine, seconds: float) -> bytes | None:
        fresh = self._process is None or self._process.poll() is not None
        process = self._start() if fresh else self._process
        if process is None or process.stdin is None or process.stdout is None:
            return None
        # Killing ends the blocking read below; simpler, on every system, than reading with a time limit.
        timer = threading.Timer(seconds + (_START_S if fresh else 0.0), process.kill)
        timer.daemon = True
        timer.start()
        request = json.dumps({"dot": dot, "engine": engine, "time_limit_s": seconds + _START_S}).encode()
        try:
            process.stdin.write(struct.pack(">I", len(request)) + request)
            process.stdin.flush()
            answer = read_message(process.stdout)  # type: ignore[arg-type]
        except OSError:
            answer = None
        finally:
            timer.cancel()
        if answer is None:
            self._stop()
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        # A script, not `multiprocessing`: that would run the Streamlit script again in the child. -P keeps this
        # folder off the child's path, where our module names would hide others.
        script = Path(__file__).with_name("layout_worker.py")
        self._stop()
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was not yet written cannot be any more
                    log.debug("pipe of the layout process was already broken")


_WORKER: Final = LayoutWorker()
atexit.register(_WORKER.close)


def layout_svg(dot: str, *, engine: Engine = "dot", time_limit_s: float = TIME_LIMIT_S) -> str | None:
    """Graphviz's SVG of `dot`, from the shared process; None when it took longer than the limit or failed."""
    return _WORKER.layout(dot, engine=engine, time_limit_s=time_limit_s)


class _NotDrawnError(Exception):
    """Carries a failure past the cache, which keeps results but not exceptions: the next call tries again."""


def draw_diagram(diagram: Diagram, *, time_limit_s: float = TIME_LIMIT_S) -> Drawing | None:
    """The finished picture; None when there are over `LAYOUT_LIMIT` nodes or the layout took too long.

    A wide diagram of direction 'auto' is laid out downwards too; the viewer knows its room and chooses.
    The last pictures are remembered: the same diagram gives the same picture.
    """
    if node_count(diagram) > LAYOUT_LIMIT:
        return None
    try:
        return _drawn(diagram, time_limit_s)
    except _NotDrawnError:
        return None


@lru_cache(maxsize=64)
def _drawn(diagram: Diagram, time_limit_s: float) -> Drawing:
    svg = layout_svg(to_dot(diagram, "LR"), time_limit_s=time_limit_s)
    if svg is None:
        raise _NotDrawnError
    wide = draw(diagram, svg, "LR")
    if diagram.direction != "auto" or wide.width < _ALWAYS_FITS or node_count(diagram) > _TWO_SHAPES:
        return wide
    down = layout_svg(to_dot(diagram, "TB"), time_limit_s=time_limit_s)
    return wide if down is None else replace(wide, alternatives=(draw(diagram, down, "TB").svg,))


_ALWAYS_FITS: Final = 700  # px
_TWO_SHAPES: Final = 120  # nodes; larger ones are dragged in either shape, and the second doubles what is sent
