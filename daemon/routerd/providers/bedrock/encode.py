"""A chat request as the body of Converse.

Rules of this file: only what the caller set is sent. What a model cannot take is left out with a
note, or refused where that would change the meaning. What a maker's models take is in `makers`.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from msgspec.structs import replace

from routerd.providers.base import ChatRequest, EncodedRequest
from routerd.providers.bedrock.apart import APART_NOTE, in_turns_of_their_own
from routerd.providers.bedrock.by_tool import AnswersByTool
from routerd.providers.bedrock.makers import Habits, habits_of
from routerd.providers.bedrock.messages import (
    encode_system,
    encode_turns,
    limit_cache_marks,
)
from routerd.providers.bedrock.own_blocks import without_own_blocks
from routerd.providers.bedrock.past_calls import in_words
from routerd.providers.bedrock.reasoning import add_reasoning, thinking_kind
from routerd.providers.bedrock.tools import add_schema, add_tools, names_tools
from routerd.providers.blank_marks import with_marks_on_words
from routerd.providers.json_text import encode_json
from routerd.providers.request import (
    Notes,
    fit_output_limit,
    refusal,
    refuse_continuing,
    refuse_unsupported,
    split_system,
)

__all__ = ["encode_request"]

Json = dict[str, Any]

MOST_STOPS: Final = 2500


def encode_request(request: ChatRequest) -> EncodedRequest:
    """Write the request; CallRefused where the model cannot do what is asked."""
    refuse_unsupported(request)
    if request.options.logprobs is not None:
        raise refusal("this provider gives no log probabilities", param="options.logprobs")
    notes = Notes()
    habits = habits_of(request.model_id)
    system, messages = split_system(request.messages)
    messages = [
        message
        if isinstance(message.content, str)
        else replace(message, content=with_marks_on_words(message.content, notes))
        for message in messages
    ]
    if not names_tools(request, habits):
        messages = without_own_blocks(messages, notes)
        messages = in_words(messages, notes, signed=habits.signs is not False)
    if habits.apart is not None:
        cut = in_turns_of_their_own(messages, habits.apart)
        if cut != messages:
            notes.add(APART_NOTE)
            messages = cut
    body: Json = {"messages": encode_turns(messages, habits, notes)}
    if prompt := encode_system(system, habits, notes):
        body["system"] = prompt
    _check_prefill(body["messages"], request, notes)
    limit = add_reasoning(body, request, habits, fit_output_limit(request, notes), notes)
    inference: Json = {} if limit is None else {"maxTokens": limit}
    _add_sampling(inference, body, request, habits, notes)
    _add_stops(inference, request, habits, notes)
    if inference:
        body["inferenceConfig"] = inference
    add_tools(body, request, habits, notes)
    by_tool = add_schema(body, request, habits, notes)
    keeps_long = limit_cache_marks(body, notes)
    call = "converse-stream" if request.stream else "converse"
    return EncodedRequest(
        path=f"/model/{quote(request.model_id, safe='')}/{call}",
        headers=[(b"content-type", b"application/json")],
        body=encode_json(body),
        notes=list(notes),
        max_output_tokens=limit,
        keeps_long=keeps_long,
        wire=AnswersByTool() if by_tool else None,
    )


def _check_prefill(turns: list[Json], request: ChatRequest, notes: Notes) -> None:
    """Judge a conversation that ends with the assistant: the model is to go on from there."""
    if turns[-1]["role"] != "assistant":
        return
    refuse_continuing(request)
    last = next(block for block in reversed(turns[-1]["content"]) if "cachePoint" not in block)
    if "text" in last and last["text"] != last["text"].rstrip():
        last["text"] = last["text"].rstrip()
        notes.add("white space at the end of the last message was left out")


def _add_sampling(
    inference: Json, body: Json, request: ChatRequest, habits: Habits, notes: Notes
) -> None:
    options, sampling = request.options, request.capabilities.sampling
    values = {"temperature": options.temperature, "topP": options.top_p}
    is_claude = habits.effort == "thinking"
    for name, value in values.items():
        if value is None:
            continue
        if sampling == "no":
            notes.add(f"{name} was left out: this model does not take it")
        elif thinking_kind(body) is not None:
            notes.add(f"{name} was left out: it does not go with reasoning")
        elif name == "topP" and is_claude and "temperature" in inference:
            notes.add("topP was left out: this model takes only one of it and temperature")
        else:
            inference[name] = min(max(value, 0.0), 1.0)
            if inference[name] != value:
                notes.add(f"{name} was cut from {value} to {inference[name]}")
    if options.seed is not None:
        notes.add("seed was left out: this provider has none")


def _add_stops(inference: Json, request: ChatRequest, habits: Habits, notes: Notes) -> None:
    asked, is_claude = request.options.stop, habits.effort == "thinking"
    stops = [stop for stop in asked if (stop.strip() if is_claude else stop)]
    if len(stops) < len(asked):
        notes.add("a stop sequence of white space was left out: this provider refuses it")
    if len(stops) > MOST_STOPS:
        raise refusal(
            f"this provider takes no more than {MOST_STOPS} stop sequences", param="options.stop"
        )
    if stops:
        inference["stopSequences"] = stops
