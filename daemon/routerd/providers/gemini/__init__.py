"""Google's generateContent."""

from routerd.providers.gemini.adapter import GeminiAdapter
from routerd.providers.gemini.services import SERVICES

__all__ = ["SERVICES", "GeminiAdapter"]
