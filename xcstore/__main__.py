"""`python -m xcstore`."""

from __future__ import annotations

import sys

from xcstore.cli import main

if __name__ == "__main__":
    sys.exit(main())
