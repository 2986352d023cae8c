#!/usr/bin/env python3
"""Disk faults on real processes: a disk that fills up, one that fails, and power cuts.

Promises, each one a function named after it: p13 (a full disk refuses growth, settling goes on, room again is enough),
p15 (the first failed sync ends the process within a second, with exit code 74), p01 and p06 (what was answered
survives a power cut). A power cut is ext4's own shutdown on a loop mount: writes that were not synced are gone.
Needs root for its mounts; where they are impossible it says what was not measured, and fails only with --strict.

Usage: python3 scripts/check_disk.py target/debug/driftqd [--cuts 20] [--seed N] [--strict]
"""

import argparse
import fcntl
import http.client
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE_S = 30.0
# _IOR('X', 125, __u32); 2 cuts without writing the journal: nothing that waits in memory gets to the disk.
EXT4_IOC_SHUTDOWN = 0x8004587D
SHUTDOWN_NO_LOG_FLUSH = 2
EXIT_DISK_FAILED = 74
SMALL = {"DRIFTQ_SEGMENT_BYTES": str(1 << 20), "DRIFTQ_DISK_RESERVE_BYTES": str(2 << 20)}


class Impossible(Exception):
    """This machine does not allow what the check needs."""


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Impossible(f"{' '.join(command[:2])}: {done.stderr.strip()}")


@contextmanager
def tmpfs(bytes_max: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="driftq-disk-") as folder:
        run("mount", "-t", "tmpfs", "-o", f"size={bytes_max}", "tmpfs", folder)
        try:
            yield Path(folder)
        finally:
            run("umount", "-l", folder)


class LoopDisk:
    """An ext4 of its own, whose power can be cut."""

    def __init__(self, folder: Path) -> None:
        self.image, self.mount = folder / "image", folder / "mount"
        self.mount.mkdir()
        with self.image.open("wb") as image:
            image.truncate(256 << 20)
        run("mkfs.ext4", "-q", str(self.image))
        self.on()

    def on(self) -> None:
        run("mount", "-o", "loop", str(self.image), str(self.mount))

    def cut(self) -> None:
        """From now on every write and sync fails, and what was not synced is gone."""
        folder = os.open(self.mount, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, EXT4_IOC_SHUTDOWN, struct.pack("I", SHUTDOWN_NO_LOG_FLUSH))
        finally:
            os.close(folder)

    def off(self) -> None:
        run("umount", str(self.mount))


@contextmanager
def loop_disk() -> Iterator[LoopDisk]:
    with tempfile.TemporaryDirectory(prefix="driftq-disk-") as folder:
        disk = LoopDisk(Path(folder))
        try:
            yield disk
        finally:
            subprocess.run(["umount", "-l", str(disk.mount)], capture_output=True)


class Driftqd:
    """A running process over a folder."""

    def __init__(self, binary: str, folder: Path) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("DRIFTQ_")} | SMALL
        self.process = subprocess.Popen(
            [binary, "-addr", "127.0.0.1:0", "-log-format", "text", "-wal", str(folder / "data")],
            env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.said: list[str] = []
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if found := re.search(r"listens on http://([0-9.:]+)", line):
                self.address = found.group(1)
                break
        else:
            raise AssertionError("driftqd did not start:\n" + "".join(self.said))
        # Its logs are read to the end, so that it never waits for us.
        self.reader = threading.Thread(target=lambda: self.said.extend(self.process.stderr or ()), daemon=True)
        self.reader.start()

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE_S)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else {}
        finally:
            connection.close()

    def freeze(self) -> None:
        """Stops every thread where it is; a call that is in the kernel comes to its end first."""
        self.process.send_signal(signal.SIGSTOP)
        threads = Path(f"/proc/{self.process.pid}/task")

        def is_still(stat: Path) -> bool:
            return stat.read_text().rpartition(")")[2].split()[0] in "Tt"

        wait_for("a standstill", lambda: all(is_still(thread / "stat") for thread in threads.iterdir()))

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(PATIENCE_S)

    def __enter__(self) -> "Driftqd":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join(PATIENCE_S)


def wait_for(what: str, condition: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < PATIENCE_S, f"{what} never came"
        time.sleep(0.01)
    return time.monotonic() - began


def p13_a_full_disk_refuses_growth_and_room_again_is_enough(binary: str) -> str:
    value = "x" * 60_000
    with tmpfs(12 << 20) as folder, Driftqd(binary, folder) as server:
        assert server.ask("POST", "/v1/topics", {"name": "t"})[0] == 201
        # A group that is there goes on; a new one would be growth.
        assert server.ask("GET", "/v1/consume?topic=t&group=g&wait_ms=1")[0] == 200
        stored = 0
        while (answer := server.ask("POST", "/v1/produce", {"topic": "t", "value": value}))[0] == 200:
            stored += 1
            assert stored < 1_000, "a disk of 12 MiB took 60 MB"
        assert answer[0] == 503 and answer[1]["reason"] == "disk_full", answer
        status, message = server.ask("GET", "/v1/consume?topic=t&group=g&wait_ms=5000")
        assert status == 200 and message["value"] == value, f"a full disk kept a reader off: {status} {str(message)[:300]}"
        assert server.ask("POST", "/v1/ack", {"topic": "t", "group": "g", "msg": message})[0] == 204
        assert server.ask("GET", "/v1/readyz")[0] == 503
        run("mount", "-o", f"remount,size={64 << 20}", str(folder))
        body = {"topic": "t", "value": value}
        took = wait_for("a produce after room", lambda: server.ask("POST", "/v1/produce", body)[0] == 200)
        assert server.end(signal.SIGTERM) == 0
    return f"{stored} messages until 503 disk_full, a 2xx {took * 1000:.0f} ms after there was room"


def p15_the_first_failed_sync_ends_the_process(binary: str) -> str:
    with loop_disk() as disk:
        with Driftqd(binary, disk.mount) as server:
            assert server.ask("POST", "/v1/topics", {"name": "t"})[0] == 201
            disk.cut()
            began = time.monotonic()
            try:
                status, _ = server.ask("POST", "/v1/produce", {"topic": "t", "value": 1})
                assert status >= 500, f"a produce on a dead disk was answered {status}"
            except (OSError, http.client.HTTPException):
                pass  # a broken connection promises nothing
            code = server.process.wait(PATIENCE_S)
            took = time.monotonic() - began
        assert code == EXIT_DISK_FAILED, f"exit code {code}:\n" + "".join(server.said)
        assert took < 1.0, f"it lived on for {took:.2f} s"
    return f"exit code {code} after {took * 1000:.0f} ms"


class Load:
    """Produces and acks until the power goes; keeps what was intended and what was answered."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.intended: set[int] = set()
        self.stored: set[int] = set()
        self.acked: set[int] = set()
        self.maybe_acked: set[int] = set()
        self.lock = threading.Lock()
        self.number = 0

    def produce(self, server: Driftqd) -> None:
        while True:
            with self.lock:
                self.number += 1
                number = self.number
                self.intended.add(number)
                size = self.random.randint(0, 2_000)
            body = {"topic": "t", "value": {"n": number, "pad": "x" * size}}
            if server.ask("POST", "/v1/produce", body)[0] != 200:
                return
            with self.lock:
                self.stored.add(number)

    def work(self, server: Driftqd) -> None:
        while True:
            status, message = server.ask("GET", "/v1/consume?topic=t&group=g&lease_ms=60000&wait_ms=500")
            if status != 200 or not message:
                continue
            number = message["value"]["n"]  # type: ignore[index,call-overload]
            assert number not in self.acked, f"message {number} came again after its ack"
            with self.lock:
                self.maybe_acked.add(number)
            if server.ask("POST", "/v1/ack", {"topic": "t", "group": "g", "msg": message})[0] != 204:
                return
            with self.lock:
                self.acked.add(number)


def survived(server: Driftqd, load: Load) -> None:
    kept: list[int] = []
    path: str | None = "/v1/topics/t/messages?limit=1000"
    while path:
        status, page = server.ask("GET", path)
        assert status == 200, page
        kept += [message["value"]["n"] for message in page["messages"]]  # type: ignore[union-attr,attr-defined]
        cursor = page.get("next_cursor")
        path = f"/v1/topics/t/messages?limit=1000&cursor={cursor}" if cursor else None
    assert len(kept) == len(set(kept)), "a message is there twice"
    lost, made_up = load.stored - set(kept), set(kept) - load.intended
    assert not lost, f"answered and lost: {sorted(lost)[:10]}"
    assert not made_up, f"never sent: {sorted(made_up)[:10]}"


def p01_p06_what_was_answered_survives_a_power_cut(binary: str, cuts: int, seed: int) -> str:
    load = Load(seed)
    with loop_disk() as disk:
        for cut in range(cuts + 1):
            with Driftqd(binary, disk.mount) as server:
                if cut == 0:
                    assert server.ask("POST", "/v1/topics", {"name": "t"})[0] == 201
                survived(server, load)
                if cut == cuts:
                    break
                failures: list[BaseException] = []
                threads = [
                    threading.Thread(target=until_cut, args=(work, server, failures))
                    for work in (load.produce, load.produce, load.produce, load.work)
                ]
                for thread in threads:
                    thread.start()
                # The moment of a power cut is nobody's choice.
                time.sleep(load.random.uniform(0.005, 0.25))
                # A machine without power answers nobody: no answer may leave between the cut and the end. ext4 ends a
                # sync that it is in the middle of with success while it is shut down, though its journal is lost
                # (strace: fdatasync = 0 within the ioctl, the answer behind it, the next write fails).
                server.freeze()
                disk.cut()
                server.process.kill()
                for thread in threads:
                    thread.join(PATIENCE_S)
                assert not failures, failures[0]
            disk.off()
            disk.on()
        disk.off()
    return f"{cuts} cuts, {len(load.stored)} messages and {len(load.acked)} acks answered: 0 lost, 0 made up, 0 again"


def until_cut(work: Callable[[Driftqd], None], server: Driftqd, failures: list[BaseException]) -> None:
    try:
        work(server)
    except (OSError, http.client.HTTPException, json.JSONDecodeError):
        pass  # the power is off
    except BaseException as failure:
        failures.append(failure)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--strict", action="store_true", help="fail when something could not be measured")
    args = parser.parse_args()
    print(f"seed {args.seed}")
    checks: list[Callable[[], str]] = [
        lambda: p13_a_full_disk_refuses_growth_and_room_again_is_enough(args.binary),
        lambda: p15_the_first_failed_sync_ends_the_process(args.binary),
        lambda: p01_p06_what_was_answered_survives_a_power_cut(args.binary, args.cuts, args.seed),
    ]
    names = ("p13 full disk", "p15 failed sync", "p01 p06 power cuts")
    missing = 0
    for name, check in zip(names, checks, strict=True):
        try:
            print(f"{name}: {check()}", flush=True)
        except Impossible as why:
            missing += 1
            print(f"{name}: not measured ({why})", flush=True)
    return 1 if missing and args.strict else 0


if __name__ == "__main__":
    sys.exit(main())
