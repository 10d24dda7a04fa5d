"""A Messages request: read, checked as Anthropic checks it, and turned into a `Question`."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import msgspec

from routerd.simulate.anthropic.body import (
    Block,
    CacheControl,
    Message,
    MessagesRequest,
    decoded,
)
from routerd.simulate.anthropic.errors import invalid
from routerd.simulate.anthropic.own_tools import check_own_blocks, is_own, open_use, searches
from routerd.simulate.anthropic.signature import signed
from routerd.simulate.exchange import JsonSchema, Question, Tool
from routerd.simulate.schema import loose_object
from routerd.simulate.vendor import Prompt

__all__ = ["SAMPLING_FREE_VERSION", "THINKS_UNSHOWN", "read_question"]

# From this version of the API on, sampling parameters are refused.
SAMPLING_FREE_VERSION = "2026-10-21"
THINKING_TOKENS = {"low": 16, "medium": 32, "high": 48, "xhigh": 96, "max": 160}
# Models that show no thinking unless they are asked to.
THINKS_UNSHOWN = re.compile(r"claude-[a-z]+-(?:4-[7-9]|[5-9])")
MOST_MARKS = 4
TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")
NEEDED_FIELDS: dict[str, tuple[str, ...]] = {
    "text": ("text",),
    "image": ("source",),
    "document": ("source",),
    "tool_use": ("id", "name", "input"),
    "tool_result": ("tool_use_id",),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
    "search_result": (),
    "server_tool_use": (),
}
USER_BLOCKS = frozenset({"image", "document", "tool_result"})
ASSISTANT_BLOCKS = frozenset({"tool_use", "thinking", "redacted_thinking"})


class Turn(NamedTuple):
    """Messages of one role that follow each other, as one; `place` is the first one's number."""

    role: str
    place: int
    blocks: list[Block]


def read_question(data: bytes, version: str, *, counting: bool = False) -> Question:
    """Read the body of a request; raise `Refusal` as the vendor would.

    `version` is the `anthropic-version` header; `counting` where only tokens are counted, which
    needs no `max_tokens`.
    """
    body = decoded(data)
    if not body.model:
        raise invalid("model: Field required")
    if body.max_tokens is None and not counting:
        raise invalid("max_tokens: Field required")
    if body.max_tokens is not None and body.max_tokens < 1:
        raise invalid("max_tokens: Input should be greater than or equal to 1")
    turns = checked_turns(body.messages)
    check_sampling(body, version)
    thinking_tokens, thinking_shown = thinking(body)
    choice, named = tool_choice(body)
    prompt = gathered(body, turns)
    said = next((text for turn in reversed(turns) if (text := user_text(turn))), "")
    tools, begun = body.tools or [], open_use(turns[-1].blocks)
    return Question(
        model=body.model,
        said=said,
        prompt=prompt.data,
        borders=prompt.borders,
        marks=prompt.marks,
        stream=bool(body.stream),
        tools=tuple(Tool(tool.name, tool.input_schema or {}) for tool in tools if not is_own(tool)),
        pauses=begun is None and searches(tools, said),
        begun=begun,
        tool_choice=choice,
        tool_named=named,
        tools_answered=any(block.type == "tool_result" for block in turns[-1].blocks),
        prefilled=turns[-1].role == "assistant",
        parallel_calls=not (body.tool_choice and body.tool_choice.disable_parallel_tool_use),
        schema=wanted_schema(body),
        reasoning_tokens=thinking_tokens,
        reasoning_shown=thinking_shown,
        limit=body.max_tokens,
        stops=tuple(body.stop_sequences or ()),
    )


def checked_turns(messages: list[Message] | None) -> list[Turn]:
    """Join messages of one role, and check blocks and tool results as the vendor does."""
    if messages is None:
        raise invalid("messages: Field required")
    if not messages:
        raise invalid("messages: at least one message is required")
    turns: list[Turn] = []
    for number, message in enumerate(messages):
        if message.role not in {"user", "assistant"}:
            raise invalid(f"messages.{number}.role: Input should be 'user' or 'assistant'")
        content = message.content
        blocks = [Block("text", text=content)] if isinstance(content, str) else content
        if not any(block.text or block.type != "text" for block in blocks):
            raise invalid(f"messages.{number}: user messages must have non-empty content")
        for place, block in enumerate(blocks):
            check_block(block, message.role, f"messages.{number}.content.{place}")
        if turns and turns[-1].role == message.role:
            turns[-1].blocks.extend(blocks)
        else:
            turns.append(Turn(message.role, number, list(blocks)))
    check_turns(turns)
    return turns


def check_turns(turns: list[Turn]) -> None:
    """Check how turns begin and end, and that nothing is half in them."""
    if turns[0].role != "user":
        raise invalid('messages: first message must use the "user" role')
    check_tool_results(turns)
    last = turns[-1]
    for turn in turns:
        check_own_blocks(turn.blocks, f"messages.{turn.place}", is_last=turn is last)
    ends_in = last.blocks[-1].text or ""
    if last.role == "assistant" and ends_in.rstrip() != ends_in:
        raise invalid("messages: final assistant content cannot end with trailing whitespace")


def check_block(block: Block, role: str, place: str) -> None:
    """Check one block by itself."""
    kind = block.type
    if kind not in NEEDED_FIELDS and not kind.endswith("_tool_result"):
        raise invalid(f"{place}: Input tag '{kind}' found using 'type' is not expected here")
    if kind in (USER_BLOCKS if role == "assistant" else ASSISTANT_BLOCKS):
        raise invalid(f"{place}: `{kind}` blocks are not permitted in `{role}` messages")
    for name in NEEDED_FIELDS.get(kind, ()):
        if getattr(block, name) is None:
            raise invalid(f"{place}.{kind}.{name}: Field required")
    if kind == "text" and not block.text:
        raise invalid("messages: text content blocks must be non-empty")
    if kind == "tool_use" and not TOOL_ID.fullmatch(block.id or ""):
        raise invalid(f"{place}.tool_use.id: String should match pattern '^{TOOL_ID.pattern}$'")
    if kind == "thinking" and not signed(block.thinking or "", block.signature or ""):
        raise invalid(f"{place}: Invalid `signature` in `thinking` block")


def check_tool_results(turns: list[Turn]) -> None:
    """Check that each tool use is answered in the next turn, and nothing else is."""
    called: list[str] = []
    for turn in turns:
        results = [block.tool_use_id for block in turn.blocks if block.type == "tool_result"]
        for result in results:
            if result not in called:
                raise invalid(
                    f"messages.{turn.place}.content.0: unexpected `tool_use_id` found in "
                    f"`tool_result` blocks: {result}. Each `tool_result` block must have a "
                    "corresponding `tool_use` block in the previous message."
                )
        check_answered([one for one in called if one not in results], turn.place - 1)
        called = [block.id or "" for block in turn.blocks if block.type == "tool_use"]
    check_answered(called, turns[-1].place)


def check_answered(unanswered: list[str], place: int) -> None:
    """Refuse tool uses without results."""
    if unanswered:
        raise invalid(
            f"messages.{place}: `tool_use` ids were found without `tool_result` blocks immediately "
            f"after: {', '.join(unanswered)}. Each `tool_use` block must have a corresponding "
            "`tool_result` block in the next message."
        )


def check_sampling(body: MessagesRequest, version: str) -> None:
    """Check the sampling parameters and the stop sequences."""
    for name in ("temperature", "top_p", "top_k"):
        if getattr(body, name) is not None and version == SAMPLING_FREE_VERSION:
            raise invalid(f"{name}: Extra inputs are not permitted")
    if body.temperature is not None and not 0 <= body.temperature <= 1:
        raise invalid("temperature: range: 0..1")
    if any(not stop.strip() for stop in body.stop_sequences or ()):
        raise invalid("stop_sequences: each stop sequence must contain non-whitespace")


def thinking(body: MessagesRequest) -> tuple[int, bool]:
    """Read how many tokens to think, and whether to show them."""
    asked = body.thinking
    effort = (body.output_config.effort if body.output_config else None) or "high"
    if effort not in THINKING_TOKENS:
        raise invalid(
            f"output_config.effort: '{effort}' is not supported. Supported levels: "
            + ", ".join(THINKING_TOKENS)
        )
    if asked is None or asked.type in {"disabled", "between_tools"}:
        return 0, False
    if asked.type not in {"enabled", "adaptive"}:
        raise invalid(
            f"thinking: Input tag '{asked.type}' found using 'type' does not match any of the "
            "expected tags: 'adaptive', 'between_tools', 'disabled', 'enabled'"
        )
    if body.temperature not in (None, 1):
        raise invalid("`temperature` may only be set to 1 when thinking is enabled.")
    default = "omitted" if THINKS_UNSHOWN.search(body.model or "") else "summarized"
    shown = (asked.display or default) != "omitted"
    if asked.type == "adaptive":
        return THINKING_TOKENS[effort], shown
    if asked.budget_tokens is None:
        raise invalid("thinking.enabled.budget_tokens: Field required")
    if asked.budget_tokens < 1024:
        raise invalid(
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
        )
    if body.max_tokens is not None and body.max_tokens <= asked.budget_tokens:
        raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if body.tool_choice is not None and body.tool_choice.type in {"any", "tool"}:
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")
    return THINKING_TOKENS["high"], shown


def tool_choice(
    body: MessagesRequest,
) -> tuple[Literal["auto", "none", "required", "named"], str]:
    """Read `tool_choice`: how, and which tool by name."""
    choice = body.tool_choice
    if choice is None:
        return "auto", ""
    if not body.tools and choice.type != "none":
        raise invalid("tool_choice may only be specified while providing tools")
    match choice.type:
        case "auto" | "none":
            return "none" if choice.type == "none" else "auto", ""
        case "any":
            return "required", ""
        case "tool":
            if choice.name not in [tool.name for tool in body.tools or ()]:
                raise invalid(f"Tool '{choice.name}' not found in provided tools")
            return "named", choice.name or ""
        case other:
            raise invalid(
                f"tool_choice: Input tag '{other}' found using 'type' does not match any of the "
                "expected tags: 'auto', 'any', 'tool', 'none'"
            )


def wanted_schema(body: MessagesRequest) -> JsonSchema | None:
    """Read the schema the answer must fit."""
    wanted = (body.output_config.format if body.output_config else None) or body.output_format
    if wanted is None:
        return None
    if wanted.type != "json_schema":
        raise invalid("output_config.format.type: Input should be 'json_schema'")
    if (place := loose_object(wanted.schema)) is not None:
        raise invalid(
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be "
            f"explicitly set to false ({place})"
        )
    return wanted.schema


def gathered(body: MessagesRequest, turns: list[Turn]) -> Prompt:
    """Gather the prompt in the order that the vendor caches: tools, system, messages."""
    prompt = Prompt()
    for tool in body.tools or ():
        add(prompt, [tool.name, tool.description, tool.input_schema], tool.cache_control)
    system = body.system
    for block in [Block("text", text=system)] if isinstance(system, str) else system or ():
        add(prompt, ["system", block.text], block.cache_control)
    for turn in turns:
        for block in turn.blocks:
            attached: list[str] = []
            bare = countable(block, attached)
            add(prompt, [turn.role, bare], block.cache_control, *attached)
    if body.cache_control is not None:
        prompt.mark(body.cache_control.seconds)
    if len(prompt.marks) > MOST_MARKS:
        raise invalid(
            f"A maximum of {MOST_MARKS} blocks with cache_control may be provided. "
            f"Found {len(prompt.marks)}."
        )
    if prompt.rising:
        raise invalid(
            "cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' "
            "cache_control block. Note that blocks are processed in the following order: `tools`, "
            "`system`, `messages`."
        )
    return prompt


def add(prompt: Prompt, bare: object, mark: CacheControl | None, *attached: str) -> None:
    """Add a block, marked where the caller marked it."""
    prompt.add(bare, *attached, keep_seconds=None if mark is None else mark.seconds)


def countable(block: Block, attached: list[str]) -> Block:
    """Return a block without its mark and its images, which go to `attached`."""
    bare = msgspec.structs.replace(block, cache_control=None, source=None)
    if block.source is not None:
        attached.append(msgspec.json.encode(block.source).decode())
    if isinstance(block.content, list):
        inner: list[Block] = [countable(part, attached) for part in block.content]
        bare.content = inner
    return bare


def user_text(turn: Turn) -> str:
    """Return the text of a user turn, its blocks joined by newlines."""
    if turn.role != "user":
        return ""
    return "\n".join(block.text for block in turn.blocks if block.type == "text" and block.text)
