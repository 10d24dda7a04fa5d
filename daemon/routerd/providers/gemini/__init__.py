"""Google's generateContent."""

from routerd.providers.gemini.adapter import GeminiAdapter

__all__ = ["GeminiAdapter"]
