"""The names of OpenTelemetry's conventions for generative AI, in one table.

Rules of this file: every gen_ai.* name that is emitted stands here as plain text, so that a newer
dependency never renames what somebody's dashboard shows. A profile is one version of the names.
Source: OpenTelemetry semantic conventions 1.41 (gen-ai), and the main branch of
open-telemetry/semantic-conventions-genai for "latest".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, structs

__all__ = ["LATEST", "STABLE", "Names", "names_for", "provider_name"]

OPT_IN_VARIABLE: Final = "OTEL_SEMCONV_STABILITY_OPT_IN"
OPT_IN_TO_LATEST: Final = "gen_ai_latest_experimental"


class Names(Struct, frozen=True):
    """The attributes of a span that is one request to a model."""

    operation: str = "gen_ai.operation.name"
    provider: str = "gen_ai.provider.name"
    request_model: str = "gen_ai.request.model"
    request_stream: str = "gen_ai.request.stream"
    request_max_tokens: str = "gen_ai.request.max_tokens"
    output_type: str = "gen_ai.output.type"
    response_id: str = "gen_ai.response.id"
    response_model: str = "gen_ai.response.model"
    finish_reasons: str = "gen_ai.response.finish_reasons"
    time_to_first_chunk: str = "gen_ai.response.time_to_first_chunk"
    input_tokens: str = "gen_ai.usage.input_tokens"
    output_tokens: str = "gen_ai.usage.output_tokens"
    cache_read_tokens: str = "gen_ai.usage.cache_read.input_tokens"
    cache_write_tokens: str = "gen_ai.usage.cache_creation.input_tokens"
    reasoning_tokens: str = "gen_ai.usage.reasoning.output_tokens"
    server_address: str = "server.address"
    server_port: str = "server.port"
    status_code: str = "http.response.status_code"
    error_type: str = "error.type"


STABLE: Final = Names()
LATEST: Final = structs.replace(STABLE, cache_write_tokens="gen_ai.usage.cache_write.input_tokens")

# Names of providers that the conventions write in another way than the directory does.
PROVIDER_NAMES: Final[Mapping[str, str]] = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "vertex": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}


def names_for(environ: Mapping[str, str]) -> Names:
    """Return the profile that OTEL_SEMCONV_STABILITY_OPT_IN asks for, 1.41 unless it does."""
    asked = {word.strip() for word in environ.get(OPT_IN_VARIABLE, "").split(",")}
    return LATEST if OPT_IN_TO_LATEST in asked else STABLE


def provider_name(provider: str) -> str:
    """Return the conventions' name of a provider, its own where they have none."""
    return PROVIDER_NAMES.get(provider, provider)
