"""OpenAI Responses: the other wire of OpenAI, and of the servers that imitate it."""

from routerd.providers.openai.responses.adapter import ResponsesAdapter
from routerd.providers.openai.responses.dialects import RESPONSES_DIALECTS, ResponsesDialect

__all__ = ["RESPONSES_DIALECTS", "ResponsesAdapter", "ResponsesDialect"]
