"""Cohere's Chat API, version 2."""

from routerd.providers.cohere.adapter import CohereAdapter

__all__ = ["CohereAdapter"]
