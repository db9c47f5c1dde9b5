from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.browser.examples import HOSTILE, expense_machine, order_path
from xcstore.render.diagram import LAYOUT_LIMIT, Diagram, Edge, Node
from xcstore.ui.layout import LayoutWorker, draw_diagram, layout_svg

SMALL = "digraph { a -> b }"


def heavy(nodes: int = 3_000) -> str:
    """A graph on which dot works for a long time."""
    edges = [f"{a} -> {(a * 7919 + 13 * step) % nodes}" for a in range(nodes) for step in (1, 2, 3)]
    return "digraph {" + ";".join(edges) + "}"


@pytest.fixture
def worker() -> Iterator[LayoutWorker]:
    started = LayoutWorker()
    yield started
    started.close()


def test_dot_becomes_svg(worker: LayoutWorker) -> None:
    svg = worker.layout(SMALL)
    assert svg is not None
    assert "<svg" in svg
    assert svg.count('class="node"') == 2


def test_one_process_serves_many_layouts(worker: LayoutWorker) -> None:
    worker.layout(SMALL)
    first = worker._process
    worker.layout(SMALL)
    assert worker._process is first


def test_a_layout_that_takes_too_long_is_stopped_and_the_next_one_works(worker: LayoutWorker) -> None:
    assert worker.layout(SMALL) is not None
    began = time.monotonic()
    assert worker.layout(heavy(), time_limit_s=0.5) is None
    assert time.monotonic() - began < 5
    assert worker.layout(SMALL) is not None


def test_a_worker_that_died_is_started_again(worker: LayoutWorker) -> None:
    worker.layout(SMALL)
    assert worker._process is not None
    worker._process.kill()
    worker._process.wait()
    assert worker.layout(SMALL) is not None


@pytest.mark.parametrize("dot", ["", "digraph {", "not dot at all", "digraph { a [label=<<b>] }", "\0", "graph{}" * 3])
def test_text_that_is_not_dot_gives_none_and_leaves_the_worker_well(worker: LayoutWorker, dot: str) -> None:
    worker.layout(dot, time_limit_s=2)
    assert worker.layout(SMALL) is not None


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_any_label_is_laid_out(text: str) -> None:
    drawing = draw_diagram(
        Diagram(nodes=(Node(id="a", label=text),), edges=(Edge(source="a", target="a", label=text),))
    )
    assert drawing is not None
    assert '<g id="n0"' in drawing.svg


def test_threads_share_the_worker(worker: LayoutWorker) -> None:
    dots = [f"digraph {{ only_{number} -> b }}" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda dot: worker.layout(dot, time_limit_s=20), dots))
    assert all(f"only_{number}" in (answer or "") for number, answer in enumerate(answers))


def test_waiting_for_others_counts_towards_the_limit(worker: LayoutWorker) -> None:
    worker.layout(SMALL)
    busy = threading.Thread(target=worker.layout, args=(heavy(),), kwargs={"time_limit_s": 1.5})
    busy.start()
    time.sleep(0.2)
    began = time.monotonic()
    assert worker.layout(SMALL, time_limit_s=0.3) is None
    assert time.monotonic() - began < 1.2
    busy.join()


def test_a_graph_over_the_limit_is_not_even_tried() -> None:
    nodes = tuple(Node(id=str(number), label="x") for number in range(LAYOUT_LIMIT + 1))
    began = time.monotonic()
    assert draw_diagram(Diagram(nodes=nodes)) is None
    assert time.monotonic() - began < 0.1


def test_a_wide_diagram_comes_in_two_shapes_with_the_same_ids() -> None:
    drawing = draw_diagram(expense_machine())
    assert drawing is not None
    assert all(f'id="{name}"' in drawing.svg and f'id="{name}"' in drawing.alternatives[0] for name in drawing.ids)


def test_a_small_diagram_comes_in_one_shape() -> None:
    drawing = draw_diagram(Diagram(nodes=order_path().nodes[:2]))
    assert drawing is not None
    assert drawing.alternatives == ()


def test_the_worker_ends_with_the_interpreter() -> None:
    script = f"from xcstore.ui import layout\nassert layout.layout_svg({SMALL!r})\nprint(layout._WORKER._process.pid)\n"
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(ran.stdout), 0)


def test_the_shared_function_answers() -> None:
    assert "<svg" in (layout_svg(SMALL) or "")
