"""Where the vendors' APIs answer, as one table, and whose an address is.

Rules of this file: data, and one look-up; no name is resolved. A host that begins with a dot or a
hyphen has more before it, one that ends with a dot has more after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["VENDOR_HOSTS", "vendor_of_host"]

VENDOR_HOSTS: Final[Mapping[str, tuple[str, ...]]] = {
    "openai": ("api.openai.com", ".openai.azure.com"),
    "anthropic": ("api.anthropic.com",),
    "google": (
        "generativelanguage.googleapis.com",
        "aiplatform.googleapis.com",
        "-aiplatform.googleapis.com",
    ),
    "mistral": ("api.mistral.ai", "codestral.mistral.ai"),
    "cohere": ("api.cohere.com", "api.cohere.ai"),
    "groq": ("api.groq.com",),
    "together": ("api.together.xyz", "api.together.ai"),
    "fireworks": ("api.fireworks.ai",),
    "voyage": ("api.voyageai.com",),
    "xai": ("api.x.ai",),
    "bedrock": ("bedrock-runtime.",),
    "azure": (".services.ai.azure.com", ".inference.ai.azure.com"),
    "cerebras": ("api.cerebras.ai",),
    "deepseek": ("api.deepseek.com",),
    "moonshot": ("api.moonshot.ai", "api.moonshot.cn"),
    "zhipu": ("api.z.ai", "open.bigmodel.cn"),
    "alibaba": ("dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com"),
    "ai21": ("api.ai21.com",),
    "perplexity": ("api.perplexity.ai",),
    "replicate": ("api.replicate.com",),
    "huggingface": ("router.huggingface.co", "api-inference.huggingface.co"),
    "openrouter": ("openrouter.ai",),
    "portkey": ("api.portkey.ai",),
    # Its cloud. `routerd lint` does not look for it: most who name it mean the page of a download.
    "ollama": ("ollama.com",),
}


def vendor_of_host(host: str) -> str | None:
    """Return the vendor whose host this is, or a part of whose it is; `host` in lower case."""
    for vendor, names in VENDOR_HOSTS.items():
        if any(_is_of(host, name) for name in names):
            return vendor
    return None


def _is_of(host: str, name: str) -> bool:
    if name.endswith("."):
        return f".{name}" in f".{host}"
    if name.startswith((".", "-")):
        return host.endswith(name)
    return host == name or host.endswith(f".{name}")
