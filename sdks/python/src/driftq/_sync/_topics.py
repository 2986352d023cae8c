# Made from `_async` by scripts/make_sync.py: change it there.

"""Calls about topics and the groups that read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._requests import UNSET, SeekTo, Unset
from .._requests import topics as requests
from .._types import (
    BrowsePage,
    GroupPage,
    RetryPolicy,
    Sought,
    Topic,
    TopicCreated,
    TopicPage,
    TopicSummaryPage,
)
from ._sender import Sender


class TopicCalls(Sender):
    """Topics: made, shown, set, looked into and deleted; groups: listed, moved and deleted."""

    def list_topics(self, *, limit: int | None = None, cursor: str | None = None) -> TopicPage:
        """Lists topic names, sorted."""
        return self._send(requests.list_topics(limit, cursor))

    def list_topic_summaries(
        self, *, limit: int | None = None, cursor: str | None = None
    ) -> TopicSummaryPage:
        """Lists topics with what they hold."""
        return self._send(requests.list_topic_summaries(limit, cursor))

    def create_topic(
        self,
        name: str,
        *,
        partitions: int | None = None,
        retry_policy: RetryPolicy | Mapping[str, Any] | None = None,
        idempotency_window_ms: int | None = None,
        partition_max_messages: int | None = None,
        partition_max_bytes: int | None = None,
        retention: Mapping[str, Any] | None = None,
        routing: Mapping[str, Any] | None = None,
    ) -> TopicCreated:
        """Makes a topic; one that exists stays as it is, with the settings that it has."""
        settings = {
            "retry_policy": retry_policy,
            "idempotency_window_ms": idempotency_window_ms,
            "partition_max_messages": partition_max_messages,
            "partition_max_bytes": partition_max_bytes,
            "retention": retention,
            "routing": routing,
        }
        return self._send(requests.create_topic(name, partitions, settings))

    def get_topic(self, name: str) -> Topic:
        """Shows a topic: its partitions, groups and settings."""
        return self._send(requests.get_topic(name))

    def update_topic(
        self,
        name: str,
        *,
        retry_policy: RetryPolicy | Mapping[str, Any] | Unset | None = UNSET,
        idempotency_window_ms: int | Unset | None = UNSET,
        partition_max_messages: int | Unset | None = UNSET,
        partition_max_bytes: int | Unset | None = UNSET,
        retention: Mapping[str, Any] | Unset | None = UNSET,
        routing: Mapping[str, Any] | Unset | None = UNSET,
        reason: str | None = None,
    ) -> Topic:
        """Changes a topic's settings: what is left out stays, None is the default again."""
        settings = {
            "retry_policy": retry_policy,
            "idempotency_window_ms": idempotency_window_ms,
            "partition_max_messages": partition_max_messages,
            "partition_max_bytes": partition_max_bytes,
            "retention": retention,
            "routing": routing,
        }
        return self._send(requests.update_topic(name, reason, settings))

    def delete_topic(self, name: str, *, reason: str | None = None) -> None:
        """Deletes a topic with its messages and groups; dead letters that came from it stay."""
        self._send(requests.delete_topic(name, reason))

    def browse_topic(
        self, name: str, *, partition: int = 0, start: int | None = None, limit: int | None = None
    ) -> BrowsePage:
        """Looks at messages from offset `start` on, without a group, a lease or any effect."""
        return self._send(requests.browse_topic(name, partition, start, limit))

    def list_groups(
        self, *, topic: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> GroupPage:
        """Lists groups, of one topic or of all, with their lag."""
        return self._send(requests.list_groups(topic, limit, cursor))

    def seek_group(self, topic: str, group: str, *, to: SeekTo, reason: str | None = None) -> Sought:
        """Moves a group: `to` is `earliest`, `latest`, `{"partition", "offset"}` or `{"time_ms"}`.

        What lies behind the new place comes (again); live leases of what is sought over end.
        """
        return self._send(requests.seek_group(topic, group, to, reason))

    def delete_group(self, topic: str, group: str, *, reason: str | None = None) -> None:
        """Deletes a group; its consumers' streams end."""
        self._send(requests.delete_group(topic, group, reason))
