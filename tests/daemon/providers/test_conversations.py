"""The conversations that every wire is tried with hold every kind of content there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, Phase, find, settings

from routerd_proto.content import (
    Content,
    Document,
    Image,
    Message,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from tests.daemon.providers.conversations import conversations

Holds = Callable[[Content], bool]


def parts_in(messages: list[Message]) -> Iterator[Content]:
    for message in messages:
        for part in () if isinstance(message.content, str) else message.content:
            yield part
            if isinstance(part, ToolResult) and not isinstance(part.content, str):
                yield from part.content


def of_gateway(part: Content) -> bool:
    return isinstance(part, Reasoning) and "reasoning_details" in part.data


KINDS: dict[str, Holds] = {
    "image at an address": lambda part: isinstance(part, Image) and part.data is None,
    "image sent along": lambda part: isinstance(part, Image) and bool(part.data),
    "document at an address": lambda part: isinstance(part, Document) and part.url is not None,
    "document sent along": lambda part: isinstance(part, Document) and part.media_type is None,
    "document of text": lambda part: isinstance(part, Document) and part.media_type == "text/csv",
    "result": lambda part: isinstance(part, ToolResult) and not part.is_error,
    "result of an error": lambda part: isinstance(part, ToolResult) and part.is_error,
    "result with an image": lambda part: (
        isinstance(part, ToolResult) and any(isinstance(item, Image) for item in part.content)
    ),
    "arguments that are no object": lambda part: (
        isinstance(part, ToolCall) and part.arguments == "not json"
    ),
    "details of reasoning": of_gateway,
    **{
        f"reasoning with {kind}": lambda part, kind=kind: (  # type: ignore[misc]
            isinstance(part, Reasoning) and kind in part.data
        )
        for kind in ("signature", "redacted", "item", "phase", "kind", "on")
    },
    **{
        f"{kind.__name__} to be cached for {ttl}": lambda part, kind=kind, ttl=ttl: (  # type: ignore[misc]
            isinstance(part, kind) and part.cache == ttl
        )
        for kind in (Text, Image, Document, ToolResult)
        for ttl in ("5m", "1h")
    },
}
SEARCHING = settings(
    max_examples=5_000,
    phases=[Phase.generate],
    database=None,
    suppress_health_check=list(HealthCheck),
    deadline=None,
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_content_is_drawn(kind: str) -> None:
    drawn = conversations(documents="anywhere")
    found = find(drawn, lambda said: any(map(KINDS[kind], parts_in(said))), settings=SEARCHING)
    assert any(map(KINDS[kind], parts_in(found)))


def test_calls_in_parallel_are_drawn_and_all_of_them_are_answered() -> None:
    def calls_twice(said: list[Message]) -> bool:
        return any(
            sum(isinstance(part, ToolCall) for part in message.content) > 1 for message in said
        )

    said = find(conversations(), calls_twice, settings=SEARCHING)
    calls = [part.id for part in parts_in(said) if isinstance(part, ToolCall)]
    results = [part.call_id for part in parts_in(said) if isinstance(part, ToolResult)]
    assert calls == results
    assert len(set(calls)) == len(calls)
