"""`python3 spec/scenarios/runner [STORY…]`: plays the scenarios over raw HTTP, or through an adapter program.

Exit status: 0 all passed, 1 some failed, 3 some were skipped because the server lacks what they need.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import sys
import time
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from runner.adapter import Adapter
from runner.program import Program
from runner.story import load_all
from runner.suite import Suite
from runner.wire import Wire

SKIPPED = 3


def main() -> int:
    """Plays what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stories", nargs="*", help="names of stories; all without one")
    parser.add_argument("--driftqd", default=os.environ.get("DRIFTQD_BIN", "target/debug/driftqd"))
    parser.add_argument("--adapter", help="a program that carries the calls; see README.md")
    parser.add_argument("--jobs", type=int, default=4, help="stories at the same time")
    parser.add_argument("--allow-skips", action="store_true", help="a skipped story is no failure")
    given = parser.parse_args()
    known = load_all()
    stories = [story for story in known if not given.stories or story.name in given.stories]
    if len(stories) < len(given.stories):
        parser.error("there is no such story")
    began = time.monotonic()

    def connect(address: str) -> Adapter:
        return Program(given.adapter, address) if given.adapter else Wire(address)

    suite = Suite(given.driftqd, connect)
    counts = {"passed": 0, "failed": 0, "skipped": 0, "beyond": 0}
    try:
        with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
            for story, (verdict, why) in zip(stories, pool.map(suite.run, stories), strict=True):
                counts[verdict] += 1
                if verdict != "passed":
                    print(f"{verdict:8} {story.name}: {why}")
        unused = [] if given.stories or given.adapter else suite.unused(known)
    finally:
        suite.close()
    for operation in unused:
        print(f"unused   no story calls {operation}")
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    print(f"{len(stories)} stories in {time.monotonic() - began:.1f} s: {said}")
    if counts["failed"] or unused or not counts["passed"]:
        return 1
    return SKIPPED if counts["skipped"] and not given.allow_skips else 0


if __name__ == "__main__":
    sys.exit(main())
