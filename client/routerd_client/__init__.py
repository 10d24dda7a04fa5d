"""Ask for a job, not for a vendor: the client of routerd.

    from routerd_client import Client

    client = Client()
    for text in client.stream("smart", "Why is the sky blue?").text:
        print(text, end="")
    reply = client.complete("fast", messages, tenant="acme")
    reply = await client.acomplete("smart", messages)
    vectors = client.embed("embed", ["a text", "another"]).vectors
    best = client.rerank("rerank", "Which is red?", ["sky", "rose"]).results[0].index

These, and `aembed` and `arerank`, are also functions here, on a default client. Needs msgspec and
the standard library; runs with threads and on asyncio.
"""

from routerd_client.api import (
    Client,
    acomplete,
    aembed,
    arerank,
    complete,
    default_client,
    embed,
    rerank,
    stream,
)
from routerd_client.errors import (
    CallerError,
    ConnectionLost,
    DaemonUnavailable,
    ProviderError,
    RouterdError,
    RouterError,
)
from routerd_client.found import Embeddings, Ranking
from routerd_client.limits import Limits
from routerd_client.options import Messages, Options, SearchOptions
from routerd_client.reply import Reply
from routerd_client.request import StreamPart
from routerd_client.streams import Stream, TextStream
from routerd_proto.content import (
    Document,
    Image,
    Message,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolName,
    ToolResult,
)
from routerd_proto.frames import (
    CallRestarted,
    CitationAdded,
    LikelyToken,
    LogprobsAdded,
    ReasoningDelta,
    ReasoningEnded,
    RefusalDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
)
from routerd_proto.search import Purpose, Ranked

__all__ = [
    "CallRestarted",
    "CallerError",
    "CitationAdded",
    "Client",
    "ConnectionLost",
    "DaemonUnavailable",
    "Document",
    "Embeddings",
    "Image",
    "LikelyToken",
    "Limits",
    "LogprobsAdded",
    "Message",
    "Messages",
    "Options",
    "ProviderError",
    "Purpose",
    "Ranked",
    "Ranking",
    "Reasoning",
    "ReasoningDelta",
    "ReasoningEnded",
    "RefusalDelta",
    "Reply",
    "RouterError",
    "RouterdError",
    "SearchOptions",
    "Stream",
    "StreamPart",
    "Text",
    "TextDelta",
    "TextStream",
    "TokenLogprob",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallStarted",
    "ToolName",
    "ToolResult",
    "Usage",
    "acomplete",
    "aembed",
    "arerank",
    "complete",
    "default_client",
    "embed",
    "rerank",
    "stream",
]
