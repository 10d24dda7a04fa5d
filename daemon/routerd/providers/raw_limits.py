"""What of a caller's own parameters for a vendor is routerd's, whatever the vendor.

Rules of this file: pure. Names are compared as all wires spell them once case, `_` and `-` are
taken away. A parameter is forbidden where routing or the reading of the answer hang on it, or where
it takes away what bounds a call. Others are beyond the hold: before a call an upper bound of what
it can cost is set aside, and no cap holds without it, but nobody can say before how much a vendor
reads and takes for what it does on its own behalf: searches, code it runs, servers it asks, what
a guardrail looks through. Whoever answers for the money says whether those may go out, see
`classify.checks`. Tools of a vendor's own that the caller runs bring calls like any other, and are
sent. Prices: the vendors' lists; a latency or a tier that is not the usual one has a price of its
own, see `terms`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from routerd.providers.terms import is_usual
from routerd.telemetry.plain import shown_name

__all__ = [
    "HOLDERS",
    "Found",
    "beyond_hold",
    "forbidden_parameter",
    "listed_names",
    "plain_name",
]

TOO_DEAR: Final = "can cost more than was set aside for the call"
FORBIDDEN: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("model", "models", "modelid", "route"),
        "is routerd's to choose; ask for a model or a shortcut",
    ),
    **dict.fromkeys(
        (
            *("messages", "message", "chathistory", "input", "inputs", "contents", "prompt"),
            *("system", "systeminstruction", "instructions", "preamble", "cachedcontent"),
            *("previousresponseid", "conversation", "conversationid", "documents"),
        ),
        "is part of what is said; put it into the messages",
    ),
    **dict.fromkeys(
        ("stream", "includeusage", "background"),
        "is how routerd reads the answer, and cannot be changed",
    ),
    **dict.fromkeys(
        (
            *("maxtokens", "maxcompletiontokens", "maxoutputtokens", "maxnewtokens"),
            *("maxtokenstosample", "numpredict", "npredict"),
        ),
        "bounds what the call costs; use the option max_output_tokens",
    ),
    **dict.fromkeys(
        ("functions", "functioncall"),
        "is what the model may call; use the option tools",
    ),
    **dict.fromkeys(
        ("n", "candidatecount", "bestof", "numgenerations", "numreturnsequences", "usebeamsearch"),
        "asks for several answers: each is paid, and one is read",
    ),
    "audio": TOO_DEAR,
}
# What adds to what is said and takes the place of none of it, by the wire where it does: its length
# is in the bound of the prompt, as is all of `raw`. Elsewhere `documents` are those of a message.
ADDS: Final[Mapping[str, frozenset[str]]] = {"vllm": frozenset({"documents"})}
BEYOND_HOLD: Final = frozenset(
    {
        *("websearchoptions", "searchparameters", "plugins", "mcpservers", "connectors"),
        *("container", "prediction", "guardrailconfig"),
    }
)
# Objects that hold parameters, not one value: the same names are looked for inside of them.
HOLDERS: Final = frozenset(
    {
        "generationconfig",
        "inferenceconfig",
        "toolconfig",
        "additionalmodelrequestfields",
        "options",
        "parameters",
        "extrabody",
        "streamoptions",
        "text",
    }
)
# Anthropic's betas that by themselves change no price: what a tool that one of them allows costs is
# judged where the tool is asked for. Any other may, as those for a longer context and for speed do.
# Source: the types of anthropic-sdk-python, without their dates, and older ones still in use.
PLAIN_BETAS: Final = frozenset(
    {
        *("advanced-tool-use", "cache-diagnosis", "code-execution", "computer-use"),
        *("context-management", "dev-full-thinking", "effort", "extended-cache-ttl", "files-api"),
        *("fine-grained-tool-streaming", "interleaved-thinking", "mcp-client"),
        *("model-context-window-exceeded", "output-128k", "pdfs", "prompt-caching", "skills"),
        *("structured-outputs", "thinking-binding-controls", "thinking-display-updates"),
        *("thinking-token-count", "token-counting", "token-efficient-tools", "web-fetch"),
    }
)
BETA: Final = re.compile(r"([a-z0-9-]+?)(?:-\d{4}-\d{2}-\d{2})?", re.IGNORECASE)
MOST_BETAS: Final = 64
MOST_DEPTH: Final = 8
DEAR: Final = "may cost more than the listed price, by which the call is bounded"
BETA_MAY_COST: Final = "names a beta that may change prices or what is read"
NO_BETAS: Final = f"must name at most {MOST_BETAS} betas, in a list or with commas between them"
FUNCTION: Final = "offers a function; use the option tools"
AT_VENDOR: Final = (
    "offers a tool that the vendor runs: what it reads and takes for it can cost more than was set "
    "aside for the call"
)
# Anthropic's tools that the caller runs, by their type, as in bash_20250124.
RUN_BY_CALLER: Final = re.compile(r"(?:bash|text_editor|computer|memory)_\d{8}")
FUNCTION_FIELDS: Final = frozenset(
    {"function", "inputschema", "parameters", "functiondeclarations", "toolspec"}
)


class Found(NamedTuple):
    """A parameter that is not simply sent: where it stands, its plain name, and why.

    `is_beyond_hold` says that nothing but money speaks against it.
    """

    path: str
    name: str
    why: str
    is_beyond_hold: bool = False


def forbidden_parameter(parameters: Mapping[str, Any], wire: str) -> tuple[str, str] | None:
    """Return the path of the first parameter that is routerd's own, and what to do about it.

    `wire` is who they are for: a dialect, or a wire format without any.
    """
    adds = ADDS.get(wire, frozenset())
    for found in _found(parameters, "", 0):
        if not found.is_beyond_hold and found.path not in adds:
            return found.path, found.why
    return None


def beyond_hold(parameters: Mapping[str, Any]) -> list[Found]:
    """Return the parameters whose cost nothing bounds before the call."""
    return [found for found in _found(parameters, "", 0) if found.is_beyond_hold]


def listed_names(value: Any) -> list[str]:
    """Return the names that a list holds, or a text with commas; none of what is neither."""
    names = value.split(",") if isinstance(value, str) else value
    return [name.strip() for name in names] if isinstance(names, list) else []


def plain_name(name: str) -> str:
    """Return a name as all wires spell it."""
    return name.replace("_", "").replace("-", "").lower()


def _found(parameters: Mapping[str, Any], path: str, depth: int) -> Iterator[Found]:
    for name, value in parameters.items():
        plain, at = plain_name(name), path + shown_name(name)
        if plain in FORBIDDEN:
            yield Found(at, plain, FORBIDDEN[plain])
        elif plain in BEYOND_HOLD:
            yield Found(at, plain, TOO_DEAR, is_beyond_hold=True)
        elif plain in HOLDERS and isinstance(value, dict) and depth < MOST_DEPTH:
            yield from _found(value, f"{at}.", depth + 1)
        elif plain in JUDGED and value is not None and (why := JUDGED[plain](value)) is not None:
            yield Found(at, plain, why, is_beyond_hold=why in MONEY)


def _judge_tools(tools: Any) -> str | None:
    if not isinstance(tools, list):
        return "must be a list"
    reasons = [why for tool in tools if (why := _judge_tool(tool)) is not None]
    # What stays refused is told first: nobody should permit the others in vain.
    return min(reasons, key=lambda why: why in MONEY, default=None)


def _judge_tool(tool: Any) -> str | None:
    if not isinstance(tool, dict):
        return "must hold objects"
    kind, names = tool.get("type"), {plain_name(name) for name in tool if isinstance(name, str)}
    if kind in ("function", "custom") or names & FUNCTION_FIELDS:
        return FUNCTION
    is_callers = isinstance(kind, str) and RUN_BY_CALLER.fullmatch(kind)
    return None if is_callers or names == {"computeruse"} else AT_VENDOR


def _judge_tier(tier: Any) -> str | None:
    if isinstance(tier, dict) and tier.keys() == {"type"}:  # Bedrock's
        tier = tier["type"]
    return None if is_usual("servicetier", tier) else DEAR


def _judge_latency(settings: Any) -> str | None:
    return None if settings == {"latency": "standard"} else DEAR


def _judge_place(place: Any) -> str | None:
    return None if is_usual("inferencegeo", place) else DEAR


def _judge_betas(betas: Any) -> str | None:
    listed = betas.split(",") if isinstance(betas, str) else betas
    if not isinstance(listed, list) or len(listed) > MOST_BETAS:
        return NO_BETAS
    found = [BETA.fullmatch(name.strip()) if isinstance(name, str) else None for name in listed]
    if not all(found):
        return NO_BETAS
    return None if all(name and name[1] in PLAIN_BETAS for name in found) else BETA_MAY_COST


def _judge_kinds(kinds: Any) -> str | None:
    listed = kinds if isinstance(kinds, list) else [None]
    is_text = all(isinstance(kind, str) and kind.lower() == "text" for kind in listed)
    return None if is_text else "asks for what is no text: it cannot be read, and has other prices"


def _judge_editing(settings: Any) -> str | None:
    """Let a vendor leave parts of the prompt out, but not sum them up, which is paid."""
    edits = settings.get("edits") if isinstance(settings, dict) else None
    kinds = [
        edit.get("type") if isinstance(edit, dict) else None
        for edit in (edits if isinstance(edits, list) else [None])
    ]
    clears = all(isinstance(kind, str) and kind.startswith("clear_") for kind in kinds)
    return None if clears else TOO_DEAR


# The reasons that are of money alone.
MONEY: Final = frozenset({TOO_DEAR, DEAR, AT_VENDOR, BETA_MAY_COST})
# What is judged by its value.
JUDGED: Final[dict[str, Callable[[Any], str | None]]] = {
    "tools": _judge_tools,
    "servicetier": _judge_tier,
    "speed": _judge_tier,
    "performanceconfig": _judge_latency,
    "inferencegeo": _judge_place,
    "anthropicbeta": _judge_betas,
    "betas": _judge_betas,
    "modalities": _judge_kinds,
    "responsemodalities": _judge_kinds,
    "contextmanagement": _judge_editing,
}
