# Made from `_async` by scripts/make_sync.py: change it there.

"""The blocking client, put together from its resources."""

from __future__ import annotations

from .._retry import RetryConfig
from ._broker import BrokerCalls
from ._dead_letters import DeadLetterCalls
from ._runs import RunCalls
from ._topics import TopicCalls


class Client(RunCalls, TopicCalls, DeadLetterCalls, BrokerCalls):
    """Talks to driftqd.

    `url` (with or without `/v1`) defaults to `DRIFTQ_HTTP_URL`, then `http://localhost:8080`; `token` to
    `DRIFTQ_TOKEN`; `ca_cert`, the file of a private authority for `https`, to `DRIFTQ_CA_CERT`. `actor` names
    who acts where the broker has no tokens. Close it with `client.close()`, or use it as
    `with Client() as client:`.
    """

    def twin(self, *, timeout_s: float | None = None, retry: RetryConfig | None = None) -> Client:
        """A second client to the same broker, with connections of its own, for another thread."""
        settings = self._settings
        return Client(
            settings.url,
            token=settings.token,
            ca_cert=settings.ca_cert,
            actor=settings.actor,
            timeout_s=timeout_s or settings.timeout_s,
            retry=retry or settings.retry,
            transport=self._transport,
        )
