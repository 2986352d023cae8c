"""`https`: whom the clients trust, and what they say when they cannot."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

import driftq
from driftq import AsyncClient, Client, RetryConfig

ONCE = RetryConfig(max_tries=1)


class Broker(http.server.BaseHTTPRequestHandler):
    """As much of a broker as a health check needs."""

    def do_GET(self) -> None:
        body = b'{"status":"ok"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_cert(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(params=["tls", "plain"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def address(authority: trustme.CA, scheme: str) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Broker)
    if scheme == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    # A client that breaks its handshake off is what is tested here, and no fault of the server's.
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("scheme", ["tls"])
async def test_a_private_authority_is_trusted_when_it_is_named(
    address: str, ca_cert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncClient(f"https://{address}", ca_cert=ca_cert, retry=ONCE) as client:
        assert (await client.health()).status == "ok"
        async with client.twin() as twin:
            assert (await twin.health()).status == "ok"
    monkeypatch.setenv("DRIFTQ_HTTP_URL", f"https://{address}/v1")
    monkeypatch.setenv("DRIFTQ_CA_CERT", str(ca_cert))
    with Client(retry=ONCE) as client_of_the_environment:
        assert client_of_the_environment.health().status == "ok"


@pytest.mark.parametrize("scheme", ["tls"])
def test_an_authority_that_nobody_named_is_not_trusted_and_not_asked_again(address: str) -> None:
    with (
        Client(f"https://{address}") as client,
        pytest.raises(driftq.Untrusted, match="DRIFTQ_CA_CERT") as caught,
    ):
        client.health()
    assert not caught.value.retryable
    assert "certificate verify failed" in str(caught.value)


@pytest.mark.parametrize("scheme", ["plain"])
async def test_a_broker_without_tls_is_told_from_one_that_is_away(address: str) -> None:
    async with AsyncClient(f"https://{address}") as client:
        with pytest.raises(driftq.Untrusted, match="say http://"):
            await client.health()
