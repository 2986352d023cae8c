"""Holds docs/ to the program: runs every `curl` of its pages, and compares every table with what it is about.

Usage: python3 scripts/check_docs.py PATH_OF_DRIFTQD [--update] [--allow-skips] [PAGE…]

A page's shell blocks run in order against a driftqd of the page's own. The JSON block that follows one must
have the shape of the last answer; `--update` writes it anew. An id in a shown answer stands for the real one in
later commands. In a page, `<!-- driftqd: FLAGS -->` gives flags, `<!-- not run -->` leaves out the next block, and
`<!-- needs: OPERATION -->` skips the rest of its section while the server has no such operation.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
import tempfile
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PRINTED = "localhost:8080"
TIMED_OUT = 28  # curl's exit status after `-m`
SKIPPED = 3
WIDTH = 118
# What names a thing of one run: the shown text stands for the real one.
IDS = {"run_id", "lease_id", "message_id", "next_cursor", "job_id", "token", "fingerprint"}
# Members whose text is the point of the answer.
SAID = {"status", "error", "state", "type", "reason", "outcome", "code", "stored", "duplicate", "phase"}
MORE = "…"


@dataclass
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    start: int
    end: int
    is_run: bool = True
    needs: str | None = None


@dataclass
class Page:
    """A page, its blocks, and what its comments say."""

    path: Path
    text: str
    blocks: list[Block] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its path within the repository."""
        return str(self.path.relative_to(ROOT))


_REFUSAL = re.compile(r'\s*\{\s*"error": "[A-Z_]+"')
_TOKENS = re.compile(
    r"^```(?P<language>\w*)\n(?P<text>.*?)^```$"
    r"|^<!-- driftqd: (?P<flags>.*?) -->$|^<!-- needs: (?P<needs>[\w:]+) -->$|^<!-- not run -->(?P<not>)$"
    r"|^(?P<heading>#+) ",
    re.DOTALL | re.MULTILINE,
)


def read(path: Path) -> Page:
    """A page's blocks in their order."""
    page = Page(path, path.read_text(encoding="utf-8"))
    needs, is_run = None, True
    for found in _TOKENS.finditer(page.text):
        if found["heading"]:
            needs = None
        elif found["needs"]:
            needs = found["needs"]
        elif found["flags"]:
            page.flags = shlex.split(found["flags"])
        elif found["not"] is not None:
            is_run = False
        else:
            text = found["text"]
            page.blocks.append(
                Block(found["language"], text, found.start("text"), found.end("text"), is_run, needs)
            )
            is_run = True
    return page


def commands(text: str) -> list[str]:
    """The commands of a shell block; one may go over several lines."""
    parts = re.split(r"\n(?=\S)", re.sub(r"\\\n\s*", " ", text.strip()))
    joined: list[str] = []
    for part in parts:
        if joined and (joined[-1].count("'") % 2 or joined[-1].count('"') % 2):
            joined[-1] += "\n" + part
        else:
            joined.append(part)
    return [part for part in joined if not part.startswith("#")]


class Broker:
    """A driftqd for one page."""

    def __init__(self, driftqd: str, flags: list[str], *, has_tokens: bool = False) -> None:
        self._folder = tempfile.TemporaryDirectory()
        words = [
            "--addr",
            "127.0.0.1:0",
            "--wal",
            f"{self._folder.name}/data",
            "--log-format",
            "text",
            *flags,
        ]
        self._process = subprocess.Popen(
            [driftqd, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.search(r"http://(127\.0\.0\.1:\d+)", line):
                self.address = found[1]
                break
        else:
            raise SystemExit("driftqd ended before it listened")
        self.operations: set[str] = set()
        if has_tokens:
            return
        with urllib.request.urlopen(f"http://{self.address}/v1/openapi.json") as answer:
            document = json.load(answer)
        self.operations = {
            operation["operationId"]
            for methods in document["paths"].values()
            for operation in methods.values()
        }

    def metrics(self) -> str:
        """What a scrape reads."""
        with urllib.request.urlopen(f"http://{self.address}/metrics") as answer:
            return str(answer.read().decode())

    def close(self) -> None:
        """Stops it."""
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()


class Played:
    """A page on its way: its broker, and what its shown ids stand for."""

    def __init__(self, page: Page, broker: Broker) -> None:
        self._page, self._broker = page, broker
        self._real: dict[str, str] = {}
        self._answer = ""
        self.count = 0
        self.skipped: set[str] = set()
        self.updates: list[tuple[Block, str]] = []

    def run(self, is_update: bool) -> None:
        """Every block in order."""
        is_answered = False
        following = [*self._page.blocks[1:], None]
        for block, after in zip(self._page.blocks, following, strict=True):
            if not block.is_run:
                is_answered = False
            elif block.needs is not None and block.needs not in self._broker.operations:
                self.skipped.add(block.needs)
                is_answered = False
            elif block.language == "sh":
                found = [text for text in commands(block.text) if text.startswith("curl ")]
                is_refused = after is not None and _REFUSAL.match(after.text) is not None
                for index, text in enumerate(found, start=1):
                    self._curl(text, is_refused and index == len(found))
                is_answered = bool(found)
            elif block.language == "json" and is_answered:
                self._compare(block, is_update)
                is_answered = False

    def _curl(self, text: str, is_refused: bool) -> None:
        real = text.replace(PRINTED, self._broker.address)
        for shown, actual in self._real.items():
            real = real.replace(shown, actual)
        # The status goes behind the answer, so that a shown refusal can be told from one that is not.
        words = [*shlex.split(real), "-sS", "-w", "\n%{http_code}"]
        done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=90)
        answer, _, status = done.stdout.rpartition("\n")
        if done.returncode not in (0, TIMED_OUT if "-m" in words else 0):
            raise SystemExit(f"{self._page.name}: {text}\nfailed with {done.returncode}: {done.stderr}")
        if (int(status) >= 400) != is_refused:
            raise SystemExit(f"{self._page.name}: {text}\nwas answered with {status}: {answer}")
        self._answer = answer
        self.count += 1

    def _compare(self, block: Block, is_update: bool) -> None:
        actual = json.loads(self._answer)
        if is_update:
            self.updates.append((block, rendered(actual) + "\n"))
            return
        shown = json.loads(block.text)
        found = list(unlike(shown, actual, ""))
        if found:
            text = "\n  ".join(found)
            raise SystemExit(f"{self._page.name}: an answer is not as shown:\n  {text}\n{rendered(actual)}")
        self._learn(shown, actual)

    def _learn(self, shown: Any, actual: Any) -> None:
        if isinstance(shown, dict):
            for name, value in shown.items():
                if name in IDS and isinstance(value, str) and value != actual.get(name):
                    self._real[value] = actual[name]
                elif name != MORE:
                    self._learn(value, actual.get(name))
        elif isinstance(shown, list):
            for left, right in zip(shown, actual, strict=False):
                self._learn(left, right)


def unlike(shown: Any, actual: Any, place: str) -> list[str]:
    """How an answer is not of the shown shape. A member `…` stands for members that are not shown."""
    if isinstance(shown, dict) and isinstance(actual, dict):
        missing = [f"{place}/{name} is not there" for name in shown if name not in actual and name != MORE]
        unshown = (
            [] if MORE in shown else [f"{place}/{name} is not shown" for name in actual if name not in shown]
        )
        within = [
            text
            for name in shown.keys() & actual.keys()
            for text in (
                said(shown[name], actual[name], f"{place}/{name}")
                if name in SAID
                else unlike(shown[name], actual[name], f"{place}/{name}")
            )
        ]
        return missing + unshown + within
    if isinstance(shown, list) and isinstance(actual, list):
        if MORE not in shown and len(shown) != len(actual):
            return [f"{place} has {len(actual)} elements, {len(shown)} are shown"]
        elements = [element for element in shown if element != MORE]
        return [
            text
            for index, (left, right) in enumerate(zip(elements, actual, strict=False))
            for text in unlike(left, right, f"{place}/{index}")
        ]
    if kind(shown) != kind(actual):
        return [f"{place} is {actual!r}, shown is {shown!r}"]
    return []


def said(shown: Any, actual: Any, place: str) -> list[str]:
    """A member that must be as shown to the letter, when it is a text or a boolean."""
    if isinstance(shown, str | bool):
        return [] if shown == actual else [f"{place} is {actual!r}, shown is {shown!r}"]
    return unlike(shown, actual, place)


def kind(value: Any) -> str:
    """What a value is, in JSON's words."""
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else type(value).__name__


def rendered(value: Any, indent: str = "") -> str:
    """JSON as it is read: what fits on a line is on one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= WIDTH or not isinstance(value, dict | list) or not value:
        return line
    inner = indent + "  "
    if isinstance(value, list):
        parts = [inner + rendered(element, inner) for element in value]
        return "[\n" + ",\n".join(parts) + f"\n{indent}]"
    texts = [f"{json.dumps(name)}: {rendered(element, inner)}" for name, element in value.items()]
    lines: list[str] = []
    for text in texts:
        if lines and "\n" not in lines[-1] + text and len(lines[-1]) + len(text) + 4 <= WIDTH:
            lines[-1] += f", {text}"
        else:
            lines.append(inner + text)
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def play(page: Page, driftqd: str, is_update: bool) -> tuple[int, set[str]]:
    """Runs a page; how many commands it has, and what the server lacks for the others."""
    if not any(block.language == "sh" and "curl " in block.text for block in page.blocks):
        return 0, set()
    broker = Broker(driftqd, page.flags)
    try:
        played = Played(page, broker)
        played.run(is_update)
    finally:
        broker.close()
    if played.updates:
        text = page.text
        for block, new in reversed(played.updates):
            text = text[: block.start] + new + text[block.end :]
        page.path.write_text(text, encoding="utf-8")
    return played.count, played.skipped


# -- tables and links ----------------------------------------------------------------------------------


def rows(text: str, heading: str) -> list[list[str]]:
    """The table under a heading, without its head."""
    section = text.split(f"{heading}\n", 1)
    if len(section) < 2:
        raise SystemExit(f"docs/operate.md has no {heading!r}")
    body = re.split(r"^## ", section[1], maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in body.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def check_flags(driftqd: str, text: str) -> list[str]:
    """The flags table against `--help`: names, environment variables, defaults."""
    help_text = subprocess.run([driftqd, "--help"], capture_output=True, text=True, check=True).stdout
    offered: dict[str, tuple[str, str]] = {}
    for part in re.split(r"\n(?=\s{2,6}(?:-\w, )?--)", help_text)[1:]:
        name = re.search(r"--[\w-]+", part)
        if name is None or name[0] in ("--help", "--version"):
            continue
        env = re.search(r"\[env: (\w+)=", part)
        default = re.search(r"\[default: (.*?)\]", part)
        offered[name[0]] = (env[1] if env else "", default[1] if default else "")
    shown = {}
    for row in rows(text, "## Options"):
        name = re.search(r"--[\w-]+", row[0])
        if name is None:
            raise SystemExit(f"docs/operate.md: a row of Options names no option: {row}")
        shown[name[0]] = (row[1].strip("`"), row[2].strip("`"))
    return [
        f"docs/operate.md: {name}: driftqd says {offered.get(name)}, the table {shown.get(name)}"
        for name in sorted(offered.keys() | shown.keys())
        if offered.get(name) != shown.get(name)
    ]


def check_exit_codes(driftqd: str, text: str) -> list[str]:
    """The exit codes against `--help`."""
    help_text = subprocess.run([driftqd, "--help"], capture_output=True, text=True, check=True).stdout
    said = set(re.findall(r"^  (\d+) ", help_text.split("Exit codes:")[1], re.MULTILINE))
    shown = {row[0].strip("`") for row in rows(text, "## Exit codes")}
    return [] if said == shown else [f"docs/operate.md: exit codes are {sorted(said)}, shown {sorted(shown)}"]


def check_files(driftqd: str, text: str) -> list[str]:
    """Every TOML block is a file that driftqd takes: of options and topics, or of tokens."""
    found = []
    for block in re.findall(r"^```toml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "file.toml"
            path.write_text(block, encoding="utf-8")
            if "[[token]]" in block:
                Broker(driftqd, ["--token-file", str(path)], has_tokens=True).close()
                continue
            words = [driftqd, "--config", str(path), "--print-config"]
            done = subprocess.run(words, check=False, capture_output=True, text=True)
            if done.returncode != 0:
                found.append(f"docs/operate.md: driftqd refuses a file that is shown: {done.stderr.strip()}")
    return found


def check_metrics(driftqd: str, text: str) -> list[str]:
    """The metrics table against a scrape of a server that has done something of each kind."""
    broker = Broker(driftqd, ["--partition-max-messages", "2"])
    try:
        base = f"http://{broker.address}/v1"
        policy = '{"topic":"t","value":1,"envelope":{"retry_policy":{"max_attempts":1}}}'
        steps = [
            (f"{base}/topics", '{"name":"t"}'),
            (f"{base}/consume?topic=t&group=g&wait_ms=0", None),
            *[(f"{base}/produce", policy)] * 2,
            (f"{base}/produce", policy),
            (f"{base}/consume?topic=t&group=g&owner=o&mode=poll", None),
            (f"{base}/nack", '{"topic":"t","group":"g","owner":"o","partition":0,"offset":0}'),
        ]
        for url, body in steps:
            request = urllib.request.Request(url, body.encode() if body else None)
            try:
                urllib.request.urlopen(request).read()
            except urllib.error.HTTPError as error:
                if error.code != 429:
                    raise
        scraped = broker.metrics()
    finally:
        broker.close()
    offered = set(re.findall(r"^# TYPE (\w+) ", scraped, re.MULTILINE))
    counters = set(re.findall(r"^# TYPE (\w+) counter", scraped, re.MULTILINE))
    offered = {f"{name}_total" if name in counters else name for name in offered}
    shown = {re.sub(r"\{.*", "", row[0].strip("`")) for row in rows(text, "## Metrics")}
    return [f"docs/operate.md: the metric {name} is not in the table" for name in sorted(offered - shown)] + [
        f"docs/operate.md: there is no metric {name}" for name in sorted(shown - offered)
    ]


def check_errors() -> list[str]:
    """One page a code, with its status and whether to repeat; every `reason` of the code is explained."""
    source = (ROOT / "crates/driftq-api/src/error.rs").read_text(encoding="utf-8")
    codes = re.findall(r'= "([A-Z_]+)", "([a-z-]+)", (\d+), (true|false), "', source)
    folder = DOCS / "errors"
    pages = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    index = pages.pop("README", "")
    found = []
    for code, slug, status, retryable in codes:
        text = pages.pop(slug, None)
        if text is None:
            found.append(f"docs/errors/{slug}.md is missing")
            continue
        repeat = "yes" if retryable == "true" else "no"
        if f"`{code}` · {status} · " not in text or f"retryable: {repeat}" not in text:
            found.append(f"docs/errors/{slug}.md does not say `{code}` · {status} · retryable: {repeat}")
        if f"({slug}.md)" not in index:
            found.append(f"docs/errors/README.md does not link {slug}.md")
    found += [f"docs/errors/{slug}.md is about no code" for slug in sorted(pages)]
    all_pages = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.md"))
    found += [
        f"docs/errors: no page explains the reason {reason}"
        for reason in sorted(reasons())
        if f"`{reason}`" not in all_pages
    ]
    return found


def reasons() -> set[str]:
    """Every `reason` that the server gives, as its sources have them."""
    found = set()
    for folder in ("driftq-server", "driftq-core"):
        for path in (ROOT / "crates" / folder / "src").rglob("*.rs"):
            text = path.read_text(encoding="utf-8")
            found |= set(re.findall(r'\.reason\(\s*"([a-z_]+)"', text))
            found |= set(re.findall(r'unavailable\([^;]*?,\s*"([a-z_]+)"\s*,?\s*\)', text))
            found |= set(re.findall(r'Backpressure \{ reason: "([a-z_]+)"', text))
    return found


def check_links() -> list[str]:
    """Every link within the repository leads somewhere, and every page is reached from the README."""
    found = []
    reached = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if re.match(r"[a-z]+:", target):
                continue
            path = (page.parent / target).resolve()
            if not path.exists():
                found.append(f"{page.relative_to(ROOT)}: the link {target} leads nowhere")
            elif path.is_dir():
                waiting += [path / "README.md"] if (path / "README.md").exists() else []
            elif path.suffix == ".md":
                waiting.append(path)
    own = {path for path in DOCS.rglob("*.md") if "adr" not in path.parts}
    return found + [
        f"{path.relative_to(ROOT)} cannot be reached from README.md" for path in sorted(own - reached)
    ]


def main() -> int:
    """Everything; the first page that is not as printed ends it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("driftqd")
    parser.add_argument("pages", nargs="*", type=Path)
    parser.add_argument("--update", action="store_true", help="write the shown answers anew")
    parser.add_argument("--allow-skips", action="store_true", help="what the server lacks is no failure")
    given = parser.parse_intermixed_args()
    pages = [path.resolve() for path in given.pages] or sorted(DOCS.rglob("*.md"))
    count, lacking = 0, set()
    for path in pages:
        run, skipped = play(read(path), given.driftqd, given.update)
        count += run
        lacking |= skipped
    found = []
    if not given.pages:
        operate = (DOCS / "operate.md").read_text(encoding="utf-8")
        found += check_flags(given.driftqd, operate) + check_exit_codes(given.driftqd, operate)
        found += check_metrics(given.driftqd, operate) + check_files(given.driftqd, operate)
        found += check_errors() + check_links()
    for text in found:
        print(text)
    for name in sorted(lacking):
        print(f"skipped: the server lacks {name}")
    print(f"{count} commands of docs/ work as printed" + (f", {len(found)} faults" if found else ""))
    if found or (not given.pages and count < 40):
        return 1
    return SKIPPED if lacking and not given.allow_skips else 0


if __name__ == "__main__":
    sys.exit(main())
