"""Servers of other vendors that speak OpenAI's Chat Completions, each with its `Habits`.

Sans-I/O. What is not a habit named there, as the errors and the headers, is OpenAI's.
"""

from __future__ import annotations

import re
from typing import ClassVar

from routerd.simulate.openai import OpenAI
from routerd.simulate.openai.habits import DEEPSEEK, GROQ, MISTRAL, OPENROUTER, XAI
from routerd.simulate.vendor import Route

__all__ = ["FAMILY"]

# Where their own addresses end: api.deepseek.com, openrouter.ai/api/v1, api.groq.com/openai/v1.
BASE = r"(?:/api|/openai)?(?:/v1)?"


class Member(OpenAI):
    """One of the family: chat and the models list."""

    routes: ClassVar[tuple[Route, ...]] = (
        Route("POST", re.compile(rf"{BASE}/chat/completions"), "call"),
        Route("GET", re.compile(rf"{BASE}/models"), "models"),
        Route("GET", re.compile(rf"{BASE}/models/(?P<model>.+)"), "model"),
    )
    tells_writes = False


class Mistral(Member):
    """Thinking in parts of the content, calls whole."""

    name = "mistral"
    habits = MISTRAL
    listed_models = ("mistral-large-3",)


class DeepSeek(Member):
    """Thinks unasked, and wants that back."""

    name = "deepseek"
    habits = DEEPSEEK
    listed_models = ("deepseek-v4-pro",)


class Groq(Member):
    """The usage in a field of its own too."""

    name = "groq"
    habits = GROQ
    listed_models = ("openai/gpt-oss-120b",)


class OpenRouter(Member):
    """The usage, with its cost, after the finish."""

    name = "openrouter"
    habits = OPENROUTER
    tells_writes = True
    listed_models = ("openai/gpt-6.1-sol",)


class Grok(Member):
    """Reasoning beside the completion."""

    name = "xai"
    habits = XAI
    listed_models = ("grok-4.3",)


FAMILY = (Mistral, DeepSeek, Groq, OpenRouter, Grok)
