"""Voyage AI's wire: embeddings and rerank, and no chat."""

from routerd.providers.voyage.adapter import VoyageAdapter

__all__ = ["VoyageAdapter"]
