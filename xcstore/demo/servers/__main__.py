"""`python -m xcstore.demo.servers`: start each server once, and say which of them can be had on this machine.

What is not installed is fetched on the way, so that later starts take less than a second. Exit status 1: one is
missing.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from xcstore.demo.servers.influxdb import running_influxdb
from xcstore.demo.servers.mongodb import running_mongodb
from xcstore.demo.servers.postgresql import running_postgresql
from xcstore.demo.servers.redis import running_redis
from xcstore.errors import StoreUnavailableError


def main() -> int:
    """Returns the exit status."""
    missing = 0
    for running in (running_postgresql, running_mongodb, running_influxdb, running_redis):
        with tempfile.TemporaryDirectory(prefix="xcstore-server-") as folder:
            try:
                with running(Path(folder)) as server:
                    print(f"{server.name} can be started", flush=True)
            except StoreUnavailableError as error:
                print(error, file=sys.stderr, flush=True)
                missing += 1
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
