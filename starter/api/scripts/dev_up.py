"""Starts everything: the broker, the API and a worker. `python starter/api/scripts/dev_up.py --help`.

From any folder, with nothing but Python's standard library. `--demo` also plays the story in the terminal:
a run fails, its dead letter is shown, the fix is applied, the replay succeeds.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this is where an older one is told
    sys.exit("dev_up.py needs Python 3.11 or newer; this is %d.%d" % sys.version_info[:2])  # noqa: UP031

from devstack.cli import up

if __name__ == "__main__":
    sys.exit(up(sys.argv[1:]))
