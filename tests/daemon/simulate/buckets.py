"""Usage by bucket as the vendors' own clients read it, and a prompt that fills those of a cache.

Rules of this file: the arithmetic stands here once more, by the vendors' references, so that an
adapter that puts tokens into another bucket is found out.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import asdict, replace

from routerd.domain import Usage
from routerd.providers.base import ChatRequest, Outcome
from routerd.providers.registry import build_adapter
from routerd.simulate import Simulator
from routerd_proto.content import Message, Text
from tests.daemon.simulate.adapting import ask

__all__ = [
    "CACHED_PROMPT",
    "anthropics_usage",
    "buckets_used",
    "openais_usage",
    "usage_of",
    "warm_up",
]

# Each is longer than the least that vendors cache.
LAWS, TABLES, LETTER = (f"{name} number one, " * 500 for name in ("law", "table", "letter"))
CACHED_PROMPT = [
    Message("system", [Text(LAWS, "1h"), Text(TABLES, "1h")]),
    Message("user", [Text(LETTER, "5m"), Text("Describe the lantern.")]),
]
"""What `warm_up` left in the cache is read, the tables are kept for an hour, the letter less."""
WARM_UP = [Message("system", [Text(LAWS, "1h")]), Message("user", "Hi")]


async def warm_up(
    simulator: Simulator, wire: str, dialect: str | None, chat: ChatRequest, place: str | None
) -> None:
    """Leave the beginning of `CACHED_PROMPT` in the cache, by a call that is otherwise alike."""
    asked = replace(chat, messages=WARM_UP)
    _, outcome = await ask(simulator, build_adapter(wire, dialect), asked, place)
    assert isinstance(outcome, Outcome), outcome


def usage_of(outcome: Outcome) -> Usage:
    """Return what an adapter was told."""
    assert outcome.usage is not None
    return outcome.usage


def buckets_used(usage: Usage) -> set[str]:
    """Name the buckets with tokens in them, beside the plain ones of input and output."""
    return {
        name.removesuffix("_tokens")
        for name, tokens in asdict(usage).items()
        if tokens and name not in ("input_tokens", "output_tokens")
    }


def openais_usage(told: Any) -> Usage:
    """Read `CompletionUsage`: the cache's tokens are in the prompt, reasoning in the completion."""
    details, output = told.prompt_tokens_details, told.completion_tokens_details
    read = 0 if details is None else details.cached_tokens
    # Other vendors' clients have no word for it, nor have they the tokens.
    written = getattr(details, "cache_write_tokens", None) or 0
    return Usage(
        input_tokens=told.prompt_tokens - read - written,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=told.completion_tokens,
        reasoning_tokens=None if output is None else output.reasoning_tokens,
    )


def anthropics_usage(told: Any) -> Usage:
    """Read `Usage`: the cache's tokens are beside the input, thinking in the output."""
    output = told.output_tokens_details
    return Usage(
        input_tokens=told.input_tokens,
        cache_read_tokens=told.cache_read_input_tokens,
        cache_write_tokens=told.cache_creation.ephemeral_5m_input_tokens,
        cache_write_long_tokens=told.cache_creation.ephemeral_1h_input_tokens,
        output_tokens=told.output_tokens,
        reasoning_tokens=None if output is None else output.thinking_tokens,
    )
