"""Anthropic's Messages API."""

from routerd.providers.anthropic.adapter import AnthropicAdapter

__all__ = ["AnthropicAdapter"]
