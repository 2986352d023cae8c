"""Makes the blocking twin of what is under `_async`: `python scripts/make_sync.py` writes it.

Word for word: `await` goes, asynchronous names become their blocking counterparts. A test holds that what is
committed is what this makes. With `--check` nothing is written; files that differ are named.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "driftq"
SOURCE, TARGET = PACKAGE / "_async", PACKAGE / "_sync"

NOTE = "# Made from `_async` by scripts/make_sync.py: change it there.\n\n"

#: In this order; each is a regular expression over the whole text.
RULES: tuple[tuple[str, str], ...] = (
    (r"await asyncio\.sleep\(", "time.sleep("),
    (r"= asyncio\.sleep\b", "= time.sleep"),
    (r"\bimport asyncio\b", "import time"),
    (r"\bAwaitable\[(\w+)\]", r"\1"),
    (r"\bAwaitable, ", ""),
    (r"\bawait ", ""),
    (r"`async with ", "`with "),
    (r"\basync (def|with|for) ", r"\1 "),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"contextlib\.aclosing\b", "contextlib.closing"),
    (r"\baclose\b", "close"),
    (r"contextlib\.asynccontextmanager\b", "contextlib.contextmanager"),
    (r"\bAsyncGenerator\[(\w+)\]", r"Generator[\1]"),
    (r"\bAsyncGenerator\b", "Generator"),
    (r"\bAsyncIterator\b", "Iterator"),
    (r"\bAsyncBaseTransport\b", "BaseTransport"),
    (r"\bAsync(Client|Sender|RunHandle|OutboxRelay|Engine|Connection)\b", r"\1"),
    (r"from sqlalchemy\.ext\.asyncio import", "from sqlalchemy import"),
    (r"\ba(iter_raw|read|next)\b", r"\1"),
    (r"\bevents_of\b", "events_of_blocking"),
    (r"\bThe asynchronous client\b", "The blocking client"),
    (r"\bthe asynchronous client\b", "the blocking client"),
    (r"one client may be shared by all tasks of an event loop", "one client may be shared by threads"),
    (r", for another event loop", ", for another thread"),
)


def made(text: str) -> str:
    """The blocking twin of a module, before it is formatted."""
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    return text


def formatted(text: str, name: str) -> str:
    """As ruff writes it, with its imports in order."""
    for command in (["check", "--select", "I", "--fix", "--quiet"], ["format", "--quiet"]):
        words = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(TARGET / name), "-"]
        text = subprocess.run(words, input=text, capture_output=True, text=True, check=True).stdout
    return text


def twins() -> dict[Path, str]:
    """Every file of the blocking client, as it should be."""
    return {
        TARGET / source.name: formatted(NOTE + made(source.read_text()), source.name)
        if source.name != "__init__.py"
        else '"""The blocking client. All of it is made from `_async` by scripts/make_sync.py."""\n'
        for source in sorted(SOURCE.glob("*.py"))
    }


def main() -> int:
    """Writes the twins, or with `--check` names those that differ."""
    wanted = twins()
    if "--check" in sys.argv[1:]:
        stale = [path.name for path, text in wanted.items() if not path.is_file() or path.read_text() != text]
        stale += [path.name for path in TARGET.glob("*.py") if path not in wanted]
        sys.stderr.write("".join(f"_sync/{name} is not what make_sync.py makes\n" for name in stale))
        return 1 if stale else 0
    TARGET.mkdir(exist_ok=True)
    for path in TARGET.glob("*.py"):
        if path not in wanted:
            path.unlink()
    for path, text in wanted.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
