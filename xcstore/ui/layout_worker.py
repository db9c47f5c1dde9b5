"""The process that lays diagrams out: DOT on standard input, SVG on standard output.

Started by `ui.layout` as a script, not imported: Graphviz is not thread-safe, may take for ever, and a crash in it
must not take the dashboard along. Messages both ways are a length (4 bytes, big-endian) and that many bytes;
a request is a JSON object, an answer starts with 'S' (the SVG follows) or 'E' (a reason follows).
Ends when its input closes.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
from typing import BinaryIO


def main() -> None:
    """Answer requests until the input ends."""
    # Graphviz and fontconfig print warnings; nothing but answers may reach our standard output.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    import pygraphviz  # here, so that the first answer and not the start waits for it

    while (body := read_message(requests)) is not None:
        request = json.loads(body)
        _limit(float(request["time_limit_s"]))
        try:
            with pygraphviz.AGraph(string=request["dot"]) as graph:
                answer = b"S" + graph.draw(format="svg", prog=request["engine"])
        except Exception as error:  # whatever Graphviz says, the dashboard shows the table instead
            answer = b"E" + str(error).encode("utf-8", "replace")
        _limit(0)
        answers.write(struct.pack(">I", len(answer)) + answer)
        answers.flush()


def read_message(stream: BinaryIO) -> bytes | None:
    """The next message, or None where the stream ends."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    (length,) = struct.unpack(">I", head)
    body = stream.read(length)
    return body if len(body) == length else None


def _limit(seconds: float) -> None:
    # The parent kills us at the limit; this ends a layout whose parent was itself killed.
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds * 2)


if __name__ == "__main__":
    main()
