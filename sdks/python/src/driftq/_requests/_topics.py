"""Requests about topics and groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

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
from ._call import UNSET, Call, body, model, nothing, params, part, policy, said

SeekTo = Literal["earliest", "latest"] | Mapping[str, int]


def topic_path(topic: str) -> str:
    """Where a topic lives."""
    return f"/v1/topics/{part(topic)}"


def list_topics(limit: int | None, cursor: str | None) -> Call[TopicPage]:
    """`GET /v1/topics`: names."""
    return Call("GET", "/v1/topics", model(TopicPage), params=params(limit=limit, cursor=cursor))


def list_topic_summaries(limit: int | None, cursor: str | None) -> Call[TopicSummaryPage]:
    """`GET /v1/topics?detail=1`: what they hold."""
    return Call(
        "GET",
        "/v1/topics",
        model(TopicSummaryPage),
        params=params(detail=1, limit=limit, cursor=cursor),
    )


def create_topic(name: str, partitions: int | None, settings: Mapping[str, Any]) -> Call[TopicCreated]:
    """`POST /v1/topics`; asking again changes nothing."""
    fields = body(name=name, partitions=partitions, **_settings(settings))
    return Call("POST", "/v1/topics", model(TopicCreated), body=fields)


def get_topic(name: str) -> Call[Topic]:
    """`GET /v1/topics/{topic}`."""
    return Call("GET", topic_path(name), model(Topic))


def update_topic(name: str, reason: str | None, settings: Mapping[str, Any]) -> Call[Topic]:
    """`PATCH /v1/topics/{topic}`: what is `UNSET` stays, None is the default again."""
    fields = said(**_settings(settings), reason=UNSET if reason is None else reason)
    return Call("PATCH", topic_path(name), model(Topic), body=fields)


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    settings = dict(given)
    if isinstance(settings.get("retry_policy"), RetryPolicy):
        settings["retry_policy"] = policy(settings["retry_policy"])
    return settings


def delete_topic(name: str, reason: str | None) -> Call[None]:
    """`DELETE /v1/topics/{topic}`; a repeat could hit the next topic of that name."""
    return Call("DELETE", topic_path(name), nothing, params=params(reason=reason), repeatable=False)


def browse_topic(name: str, partition: int, start: int | None, limit: int | None) -> Call[BrowsePage]:
    """`GET /v1/topics/{topic}/messages`."""
    query = params(partition=partition, limit=limit, **{"from": start})
    return Call("GET", f"{topic_path(name)}/messages", model(BrowsePage), params=query)


def list_groups(topic: str | None, limit: int | None, cursor: str | None) -> Call[GroupPage]:
    """`GET /v1/groups`."""
    return Call("GET", "/v1/groups", model(GroupPage), params=params(topic=topic, limit=limit, cursor=cursor))


def seek_group(topic: str, group: str, to: SeekTo, reason: str | None) -> Call[Sought]:
    """`POST /v1/groups/seek`; a repeat could undo what was acked in between."""
    place = to if isinstance(to, str) else dict(to)
    fields = body(topic=topic, group=group, to=place, reason=reason)
    return Call("POST", "/v1/groups/seek", model(Sought), body=fields, repeatable=False)


def delete_group(topic: str, group: str, reason: str | None) -> Call[None]:
    """`DELETE /v1/groups`; a repeat could hit the next group of that name."""
    query = params(topic=topic, group=group, reason=reason)
    return Call("DELETE", "/v1/groups", nothing, params=query, repeatable=False)
