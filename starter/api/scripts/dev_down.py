"""Stops what `dev_up.py` started; data stays, unless `--wipe`.

`python starter/api/scripts/dev_down.py --help`, from any folder.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this is where an older one is told
    sys.exit("dev_down.py needs Python 3.11 or newer; this is %d.%d" % sys.version_info[:2])  # noqa: UP031

from devstack.cli import down

if __name__ == "__main__":
    sys.exit(down(sys.argv[1:]))
