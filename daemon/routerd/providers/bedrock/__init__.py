"""Converse and ConverseStream of AWS Bedrock."""

from routerd.providers.bedrock.adapter import BedrockAdapter

__all__ = ["BedrockAdapter"]
