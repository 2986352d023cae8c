"""A client that speaks the streaming dialect with `curl` alone: queries instead of bodies, NDJSON instead of polls.

Usage: python3 scripts/check_dialect_a.py PATH_OF_DRIFTQD
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from typing import Any

from check_readme import start


class Client:
    """Calls one broker, each time with a new `curl`."""

    def __init__(self, address: str) -> None:
        self.base = f"http://{address}"

    def call(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        """The status and the body."""
        words = ["curl", "-sS", "-X", method, "-w", "\n%{http_code}", self.base + path]
        words += ["-d", body] if body is not None else []
        told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        text, _, status = told.rpartition("\n")
        return int(status), text

    def take(self, query: str, count: int) -> list[dict[str, Any]]:
        """The first items of a stream, which is closed then."""
        words = ["curl", "-sSN", "-m", "30", f"{self.base}/v1/consume?{query}"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as stream:
            assert stream.stdout is not None
            items: list[dict[str, Any]] = []
            for line in stream.stdout:
                if line.strip():
                    items.append(json.loads(line))
                if len(items) == count:
                    break
            stream.terminate()
        return items


def expect(what: str, found: object, wanted: object) -> None:
    """Ends the check when the two differ."""
    if found != wanted:
        raise SystemExit(f"{what}: expected {wanted!r}, found {found!r}")


def play(client: Client) -> None:
    """A message fails, comes again, is settled; another is given up and found in its dead letter topic."""
    expect("health", client.call("GET", "/v1/healthz"), (200, '{"status":"ok"}'))
    expect("topic", client.call("POST", "/v1/topics?name=mail&partitions=2")[0], 201)
    expect("topic again", client.call("POST", "/v1/topics", '{"name":"mail"}')[0], 201)
    expect("topics", json.loads(client.call("GET", "/v1/topics")[1])["topics"], ["mail"])
    produced = "topic=mail&key=k1&value=hello&tenant=acme&retry_max_attempts=2&retry_backoff_ms=50"
    expect("produce", client.call("POST", f"/v1/produce?{produced}")[0], 200)
    expect("no value", client.call("POST", "/v1/produce?topic=mail")[0], 400)

    [first] = client.take("topic=mail&group=senders&owner=w1&lease_ms=30000", 1)
    expect("first delivery", (first["value"], first["key"], first["attempts"]), ("hello", "k1", 1))
    claim = f"topic=mail&group=senders&partition={first['partition']}&offset={first['offset']}"
    expect("another's ack", client.call("POST", f"/v1/ack?{claim}&owner=w2")[0], 409)
    expect("nack", client.call("POST", f"/v1/nack?{claim}&owner=w1&error=smtp+is+down")[0], 204)
    [second] = client.take("topic=mail&group=senders&owner=w1&lease_ms=30000", 1)
    expect("second delivery", (second["attempts"], second["last_error"]), (2, "smtp is down"))
    expect("ack", client.call("POST", f"/v1/ack?{claim}&owner=w1")[0], 204)
    expect("ack again", client.call("POST", f"/v1/ack?{claim}&owner=w1")[0], 204)

    envelope = '{"retry_policy":{"max_attempts":1}}'
    body = f'{{"topic":"mail","key":"k2","value":{{"n":1.0}},"envelope":{envelope}}}'
    expect("produce", client.call("POST", "/v1/produce", body)[0], 200)
    [last] = client.take("topic=mail&group=senders&owner=w1&lease_ms=30000", 1)
    nack = {name: last[name] for name in ("partition", "offset")}
    nack |= {"topic": "mail", "group": "senders", "owner": "w1", "reason": "no such address"}
    expect("last nack", client.call("POST", "/v1/nack", json.dumps(nack))[0], 204)
    [dead] = client.take("topic=dlq.mail&group=people&owner=me", 1)
    expect("dead letter", (dead["key"], dead["value"]), ("k2", {"n": 1.0}))
    told = dead["envelope"]["dlq"]
    expect("its past", (told["original_topic"], told["attempts"], told["last_error"]), ("mail", 1, "no such address"))
    metrics = client.call("GET", "/metrics")[1]
    wanted = 'dlq_messages_total{topic="mail",reason="max_attempts_reached"} 1'
    expect("metrics", wanted in metrics, True)


def main() -> None:
    """Plays the story against a broker of its own."""
    with tempfile.TemporaryDirectory() as folder:
        broker, address = start(sys.argv[1], folder)
        try:
            play(Client(address))
        finally:
            broker.terminate()
            broker.wait()
    print("a client of the streaming dialect works with curl alone")


if __name__ == "__main__":
    main()
