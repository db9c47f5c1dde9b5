"""The dashboard as a process of its own, on one store."""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path
from typing import Final

import xcstore
from xcstore.demo.servers.process import LOOPBACK, Server
from xcstore.errors import ConfigError

__all__ = ["dashboard"]

_COMPONENTS: Final = Path(__file__).parent.parent / "components"
_NO_PROXY: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def dashboard(store_url: str, folder: Path, port: int) -> Server:
    """The dashboard on a port of loopback, not started yet. What it logs goes into `folder`.

    Raises
    ------
    ConfigError
        `app.py` is not beside the package: it is not part of an installed one.
    """
    app = Path(xcstore.__file__).parent.parent / "app.py"
    if not app.is_file():
        raise ConfigError("the dashboard is not part of the installed package; run this in a checkout of the project")
    url = f"http://{LOOPBACK}:{port}"
    options = ["--server.port", str(port), "--server.address", LOOPBACK, "--server.headless", "true"]
    return Server(
        "the dashboard",
        url,
        [sys.executable, "-m", "streamlit", "run", str(app), *options],
        log=folder / "dashboard.log",
        is_ready=lambda: _answers(url),
        port=port,
        # By the environment: a URL may hold a password, which a command line would show to everybody.
        # Not every backend holds definitions beside the events; those of the demo are in the package.
        environment={"XCSTORE_URL": store_url, "XCSTORE_DEFINITIONS": str(_COMPONENTS)},
        cwd=app.parent,  # where its .streamlit is
    )


def _answers(url: str) -> bool:
    try:
        with _NO_PROXY.open(f"{url}/_stcore/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
