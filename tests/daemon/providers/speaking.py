"""Vendors that answer as they are told, each in its own wire, for conversations that cross them.

A new adapter joins with its line in SPEAKERS, and a function that writes an answer as its vendor
would. What every adapter sends is read by one walk over its body, whatever the wire.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from msgspec import Struct

from routerd.providers.base import Adapter
from routerd.providers.registry import build_adapter
from routerd_client.reply import assemble
from routerd_proto.content import Message
from routerd_proto.frames import CallEnded
from tests.daemon.providers.drive import chat_parts, decode
from tests.daemon.providers.streaming import STREAMS

Json = dict[str, Any]


class Thought(Struct, frozen=True):
    """Reasoning with what only its vendor can read; either may be empty."""

    text: str
    signature: str


class Words(Struct, frozen=True):
    """A piece of the answer's text; `signature` stands on it where the vendor signs texts."""

    text: str
    signature: str = ""


class Did(Struct, frozen=True):
    """A tool of the vendor's own that it ran, with a result that is sealed, where it has any."""

    seal: str


class Use(Struct, frozen=True):
    """A tool call; `signature` stands on the call itself where the vendor signs calls."""

    id: str
    name: str
    arguments: Json
    signature: str = ""


Block = Thought | Words | Use | Did


def name_of(adapter: str, dialect: str | None) -> str:
    """Name a wire: two of them may have a dialect of one name, where a server speaks both."""
    return f"{dialect}-responses" if adapter == "openai-responses" else dialect or adapter


class Speaker(NamedTuple):
    """A vendor: its adapter, one of its models, and how it writes an answer.

    `keeps` says what goes back to it of its reasoning: `data` that only it can read, the `text`.
    """

    adapter: str
    dialect: str | None
    model: str
    write: Callable[[list[Block]], Json]
    keeps: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return name_of(self.adapter, self.dialect)

    def build(self) -> Adapter:
        return build_adapter(self.adapter, self.dialect)

    def say(self, blocks: list[Block], *, stream: bool = False) -> Message:
        """Have it answer, at once or in a stream; return it as a client sends it back."""
        written = self.write(blocks)
        body = STREAMS[self.adapter](written) if stream else json.dumps(written).encode()
        parts, outcome = decode(self.build(), [body], stream=stream)
        assert outcome.complete, outcome
        return assemble(chat_parts(parts), CallEnded("stop", "d")).message


def anthropic(blocks: list[Block]) -> Json:
    content: list[Json] = []
    for block in blocks:
        match block:
            case Thought(text="", signature=signature):
                content.append({"type": "redacted_thinking", "data": signature})
            case Thought(text=text, signature=signature):
                content.append({"type": "thinking", "thinking": text, "signature": signature})
            case Words(text=text):
                content.append({"type": "text", "text": text})
            case Use(id=call_id, name=name, arguments=arguments):
                use = {"type": "tool_use", "id": call_id, "name": name, "input": arguments}
                content.append(use)
            case Did(seal=seal):
                search = {"type": "server_tool_use", "id": f"srvtoolu_{seal}", "name": "web_search"}
                content.append(search | {"input": {"query": "tides"}})
                found = {"type": "web_search_tool_result", "tool_use_id": f"srvtoolu_{seal}"}
                content.append(found | {"content": [{"encrypted_content": seal}]})
    return {"type": "message", "id": "m", "model": "m", "stop_reason": "end_turn"} | {
        "content": content,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def bedrock(blocks: list[Block]) -> Json:
    content: list[Json] = []
    for block in blocks:
        match block:
            case Thought(text="", signature=signature):
                content.append({"reasoningContent": {"redactedContent": signature}})
            case Thought(text=text, signature=signature):
                thought = {"text": text, "signature": signature}
                content.append({"reasoningContent": {"reasoningText": thought}})
            case Words(text=text):
                content.append({"text": text})
            case Use(id=call_id, name=name, arguments=arguments):
                use = {"toolUseId": call_id, "name": name, "input": arguments}
                content.append({"toolUse": use})
            case Did(seal=seal):
                own = {"type": "server_tool_use", "toolUseId": seal, "name": "nova_grounding"}
                content.append({"toolUse": own | {"input": {}}})
                found = {"type": "nova_grounding_result", "toolUseId": seal, "status": "success"}
                content.append({"toolResult": found | {"content": [{"text": "calm"}]}})
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 1},
    }


def gemini(blocks: list[Block]) -> Json:
    parts: list[Json] = []
    for block in blocks:
        match block:
            case Thought(text=text, signature=signature):
                signed = {"thoughtSignature": signature} if signature else {}
                parts.append({"text": text, "thought": True} | signed)
            case Words(text=text, signature=signature):
                signed = {"thoughtSignature": signature} if signature else {}
                parts.append({"text": text} | signed)
            case Did(seal=seal):
                parts.append({"executableCode": {"language": "PYTHON", "code": seal}})
                ran = {"outcome": "OUTCOME_OK", "output": seal}
                parts.append({"codeExecutionResult": ran})
            case Use(id=call_id, name=name, arguments=arguments, signature=signature):
                call = {"name": name, "args": arguments} | ({"id": call_id} if call_id else {})
                signed = {"thoughtSignature": signature} if signature else {}
                parts.append({"functionCall": call} | signed)
    return {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]}


def chat(blocks: list[Block], **message: Any) -> Json:
    """Write a Chat Completions answer; `message` is what a dialect says otherwise."""
    text = "".join(block.text for block in blocks if isinstance(block, Words))
    calls = [
        {
            "id": block.id,
            "type": "function",
            "function": {"name": block.name, "arguments": json.dumps(block.arguments)},
        }
        for block in blocks
        if isinstance(block, Use)
    ]
    said = {"role": "assistant", "content": text or None} | message
    if calls:
        said["tool_calls"] = calls
    return {"id": "c", "model": "m", "choices": [{"index": 0, "message": said}]}


def reasoning_content(blocks: list[Block]) -> Json:
    return chat(blocks, reasoning_content=thoughts_of(blocks))


def reasoning(blocks: list[Block]) -> Json:
    return chat(blocks, reasoning=thoughts_of(blocks))


def reasoning_details(blocks: list[Block]) -> Json:
    details = [
        {
            "type": "reasoning.text",
            "text": block.text,
            "signature": block.signature,
            "index": index,
        }
        for index, block in enumerate(blocks)
        if isinstance(block, Thought)
    ]
    return chat(blocks, reasoning_details=details)


def signed_calls(blocks: list[Block]) -> Json:
    """Write an answer of Gemini's in this format: a call has its signature beside it."""
    answer = chat(blocks)
    [choice] = answer["choices"]
    uses = (block for block in blocks if isinstance(block, Use))
    for call, use in zip(choice["message"].get("tool_calls", ()), uses, strict=True):
        if use.signature:
            call["extra_content"] = {"google": {"thought_signature": use.signature}}
    return answer


def thinking_parts(blocks: list[Block]) -> Json:
    content: list[Json] = []
    for block in blocks:
        if isinstance(block, Thought) and block.text:
            text = {"type": "text", "text": block.text}
            content.append({"type": "thinking", "thinking": [text]})
        elif isinstance(block, Words):
            content.append({"type": "text", "text": block.text})
    return chat(blocks, content=content)


def cohere(blocks: list[Block]) -> Json:
    content = [
        {"type": "thinking", "thinking": block.text}
        if isinstance(block, Thought)
        else {"type": "text", "text": block.text}
        for block in blocks
        if not isinstance(block, Use | Did)
    ]
    (choice,) = chat(blocks)["choices"]
    message = choice["message"] | {"content": content}
    return {"id": "c", "finish_reason": "COMPLETE", "message": message}


def responses_alone(blocks: list[Block]) -> Json:
    """Write the items of an answer of a server that has no tools of its own."""
    return responses([block for block in blocks if not isinstance(block, Did)])


def responses(blocks: list[Block]) -> Json:
    """Write the items of an answer; no answer ends with reasoning."""
    last = max(i for i, block in enumerate(blocks) if not isinstance(block, Thought | Did))
    items: list[Json] = []
    for index, block in enumerate([*blocks[last + 1 :], *blocks[: last + 1]]):
        match block:
            case Thought(text=text, signature=signature):
                summary = [{"type": "summary_text", "text": text}] if text else []
                item = {"type": "reasoning", "id": f"rs_{index}", "summary": summary}
                items.append(item | {"encrypted_content": signature})
            case Words(text=text):
                part = {"type": "output_text", "text": text, "annotations": []}
                item = {"type": "message", "id": f"msg_{index}", "role": "assistant"}
                items.append(item | {"content": [part]})
            case Use(id=call_id, name=name, arguments=arguments):
                item = {"type": "function_call", "id": f"fc_{index}", "call_id": call_id}
                items.append(item | {"name": name, "arguments": json.dumps(arguments)})
            case Did(seal=seal):
                action = {"type": "search", "query": seal}
                search = {"type": "web_search_call", "id": f"ws_{index}", "action": action}
                items.append(search | {"status": "completed"})
    return {"id": "resp_1", "status": "completed", "model": "m", "output": items}


def thoughts_of(blocks: list[Block]) -> str:
    return "".join(block.text for block in blocks if isinstance(block, Thought))


DATA, TEXT = frozenset({"data"}), frozenset({"text"})
SPEAKERS = (
    Speaker("anthropic", None, "claude-opus-4-6", anthropic, DATA | TEXT),
    Speaker("bedrock", None, "us.anthropic.claude-opus-4-6-v1:0", bedrock, DATA | TEXT),
    Speaker("gemini", None, "gemini-3.8-flash", gemini, DATA | TEXT),
    Speaker("cohere", None, "command-a-reasoning-08-2025", cohere, TEXT),
    Speaker("openai", "openai", "gpt-5.1", chat),
    Speaker("openai", "azure", "gpt-5.1", chat),
    Speaker("openai", "azure-deployments", "gpt-5.1", chat),
    Speaker("openai", "compatible", "some-model", reasoning_content),
    Speaker("openai", "google", "gemini-3.8-flash", signed_calls, DATA),
    Speaker("openai", "vllm", "qwen-4", reasoning),
    Speaker("openai", "llamacpp", "qwen-4", reasoning_content),
    Speaker("openai", "ollama", "qwen-4", reasoning),
    Speaker("openai", "tei", "qwen-4", reasoning_content),  # it has no chat, and is asked for none
    Speaker("openai", "together", "qwen-4", reasoning),
    Speaker("openai", "fireworks", "qwen-4", reasoning_content),
    Speaker("openai", "cerebras", "qwen-4", reasoning, TEXT),
    Speaker("openai", "huggingface", "qwen-4", reasoning_content),
    Speaker("openai", "deepseek", "deepseek-v4", reasoning_content, TEXT),
    Speaker("openai", "moonshot", "kimi-k3", reasoning_content, TEXT),
    Speaker("openai", "zai", "glm-5", reasoning_content, TEXT),
    Speaker("openai", "groq", "qwen-4", reasoning),
    Speaker("openai", "xai", "grok-4.3", reasoning_content),
    Speaker("openai", "mistral", "mistral-large", thinking_parts, TEXT),
    Speaker("openai", "openrouter", "a/model", reasoning_details, DATA | TEXT),
    Speaker("openai-responses", "openai", "gpt-6.1-sol", responses, DATA | TEXT),
    Speaker("openai-responses", "azure", "our-deployment", responses, DATA | TEXT),
    Speaker("openai-responses", "bedrock", "m-1", responses_alone, DATA | TEXT),
    Speaker("openai-responses", "deepseek", "deepseek-v4", responses_alone, DATA | TEXT),
    Speaker("openai-responses", "groq", "qwen-4", responses_alone, DATA | TEXT),
    Speaker("openai-responses", "openrouter", "a/m-1", responses_alone, DATA | TEXT),
    Speaker("openai-responses", "compatible", "some-model", responses_alone, DATA | TEXT),
)


class Sent(NamedTuple):
    """A tool call or a result as some wire carries it; `text` is what a result says."""

    id: str
    name: str | None = None
    arguments: Json | None = None
    text: str = ""


def turns_of(body: Json) -> list[Any]:
    """Return what a body says turn by turn, system text apart."""
    return next(body[name] for name in ("messages", "contents", "input") if name in body)


def leaves(value: Any) -> Iterator[str]:
    """Go through all strings, in the order in which they are written."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)


def calls_in_body(value: Any) -> Iterator[Sent]:
    """Go through the tool calls that a body holds."""
    for item in _objects(value):
        match item:
            case {"type": "tool_use", "id": call_id, "name": name, "input": arguments}:
                yield Sent(call_id, name, arguments)
            case {"functionCall": {"id": call_id, "name": name, "args": arguments}}:
                yield Sent(call_id, name, arguments)
            case {"toolUse": {"type": "server_tool_use"}}:
                pass
            case {"toolUse": {"toolUseId": call_id, "name": name, "input": arguments}}:
                yield Sent(call_id, name, arguments)
            case {"type": "function_call", "call_id": call_id, "name": name, "arguments": text}:
                yield Sent(call_id, name, json.loads(text))
            case {"type": "function", "id": call_id, "function": {"name": name, "arguments": text}}:
                yield Sent(call_id, name, json.loads(text))


def results_in_body(value: Any) -> Iterator[Sent]:
    """Go through the results of tools that a body holds."""
    for item in _objects(value):
        match item:
            case {"type": "tool_result", "tool_use_id": call_id}:
                yield Sent(call_id, text=_text(item.get("content")))
            case {"functionResponse": {"id": call_id, "name": name, "response": response}}:
                yield Sent(call_id, name, text=_text(response))
            case {"toolResult": {"type": _}}:
                pass
            case {"toolResult": {"toolUseId": call_id, "content": content}}:
                yield Sent(call_id, text=_text(content))
            case {"type": "function_call_output", "call_id": call_id, "output": output}:
                yield Sent(call_id, text=_text(output))
            case {"role": "tool", "tool_call_id": call_id, "content": content}:
                yield Sent(call_id, text=_text(content))


def signed_in(value: Any) -> Iterator[Json]:
    """Go through what only its vendor can read: reasoning, its own tools, and what is signed."""
    for item in _objects(value):
        if (
            str(item.get("type", "")).startswith(("thinking", "redacted_thinking", "reasoning"))
            or item.get("type") in ("server_tool_use", "web_search_tool_result")
            or item.get("type") == "nova_grounding_result"
            or item.get("type") == "web_search_call"
            or "reasoningContent" in item
            or "executableCode" in item
            or "codeExecutionResult" in item
            or "thoughtSignature" in item
            or "thought_signature" in item
            or item.get("thought") is True
        ):
            yield item


def _objects(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from _objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from _objects(item)


def _text(value: Any) -> str:
    return "".join(leaves(value))
