"""OpenAI Chat Completions, and the servers that imitate it."""

from routerd.providers.openai.adapter import OpenAIAdapter
from routerd.providers.openai.dialects import DIALECTS, Dialect

__all__ = ["DIALECTS", "Dialect", "OpenAIAdapter"]
