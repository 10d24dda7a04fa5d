"""What counts as speaking to a vendor, as one table.

Rules of this file: data, looked up by `names.py`. A new SDK is a new name in a row. Modules of
Python and packages of npm match with all that is below them: `openai` is also `openai.types`, and
`@ai-sdk/openai` also `@ai-sdk/openai/internal`. A distribution that ends with `*` matches by its
beginning.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from routerd.models.vendor_hosts import VENDOR_HOSTS

__all__ = ["BEDROCK", "BEDROCK_SERVICES", "OPEN", "VENDORS", "WORDS", "Vendor"]

SDK: Final = "the vendor's SDK"
CLIENT_FOR_MANY: Final = "a client for many vendors"
# Names that are English too: most files that have one of these only talk.
WORDS: Final = (b"cohere", b"fireworks", b"replicate", b"together")
# A host that begins with one of these has more before it.
OPEN: Final = ".-"
FRAMEWORK: Final = "a framework's way to the vendors"


class Vendor(Struct, frozen=True, kw_only=True):
    """One row: whom a name leads to, and `what` it is.

    `modules` are Python's, `packages` those of npm, `distributions` those of PyPI, `hosts` where
    its API answers; one that begins with a dot or a hyphen has more before it.
    """

    name: str
    what: str = SDK
    modules: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    distributions: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


BEDROCK: Final = Vendor(
    name="bedrock",
    packages=("@aws-sdk/client-bedrock-runtime", "@aws-sdk/client-bedrock-agent-runtime"),
    hosts=VENDOR_HOSTS["bedrock"],
)
# What boto3 and its like call these clients; they themselves serve all of AWS.
BEDROCK_SERVICES: Final = ("bedrock-runtime", "bedrock-agent-runtime")

VENDORS: Final = (
    Vendor(
        name="openai",
        modules=("openai",),
        packages=("openai", "@openai/agents", "@azure/openai"),
        distributions=("openai", "openai-agents"),
        hosts=VENDOR_HOSTS["openai"],
    ),
    Vendor(
        name="anthropic",
        modules=("anthropic", "claude_agent_sdk", "claude_code_sdk"),
        packages=(
            "@anthropic-ai/sdk",
            "@anthropic-ai/bedrock-sdk",
            "@anthropic-ai/vertex-sdk",
            "@anthropic-ai/claude-agent-sdk",
        ),
        distributions=("anthropic", "claude-agent-sdk", "claude-code-sdk"),
        hosts=VENDOR_HOSTS["anthropic"],
    ),
    Vendor(
        name="google",
        modules=(
            "google.genai",
            "google.generativeai",
            "google.ai.generativelanguage",
            "google.cloud.aiplatform",
            "vertexai",
        ),
        packages=("@google/genai", "@google/generative-ai", "@google-cloud/vertexai"),
        distributions=(
            "google-genai",
            "google-generativeai",
            "google-ai-generativelanguage",
            "google-cloud-aiplatform",
            "vertexai",
        ),
        hosts=VENDOR_HOSTS["google"],
    ),
    Vendor(
        name="mistral",
        modules=("mistralai",),
        packages=("@mistralai/mistralai",),
        distributions=("mistralai",),
        hosts=VENDOR_HOSTS["mistral"],
    ),
    Vendor(
        name="cohere",
        modules=("cohere",),
        packages=("cohere-ai",),
        distributions=("cohere",),
        hosts=VENDOR_HOSTS["cohere"],
    ),
    Vendor(
        name="groq",
        modules=("groq",),
        packages=("groq-sdk",),
        distributions=("groq",),
        hosts=VENDOR_HOSTS["groq"],
    ),
    Vendor(
        name="together",
        modules=("together",),
        packages=("together-ai",),
        distributions=("together",),
        hosts=VENDOR_HOSTS["together"],
    ),
    Vendor(
        name="fireworks",
        modules=("fireworks",),
        distributions=("fireworks-ai",),
        hosts=VENDOR_HOSTS["fireworks"],
    ),
    Vendor(
        name="voyage",
        modules=("voyageai",),
        packages=("voyageai",),
        distributions=("voyageai",),
        hosts=VENDOR_HOSTS["voyage"],
    ),
    Vendor(name="xai", modules=("xai_sdk",), distributions=("xai-sdk",), hosts=VENDOR_HOSTS["xai"]),
    Vendor(name="ollama", modules=("ollama",), packages=("ollama",), distributions=("ollama",)),
    BEDROCK,
    Vendor(
        name="azure",
        modules=("azure.ai.inference",),
        packages=("@azure-rest/ai-inference",),
        distributions=("azure-ai-inference",),
        hosts=VENDOR_HOSTS["azure"],
    ),
    Vendor(
        name="cerebras",
        modules=("cerebras.cloud.sdk",),
        packages=("@cerebras/cerebras_cloud_sdk",),
        distributions=("cerebras-cloud-sdk",),
        hosts=VENDOR_HOSTS["cerebras"],
    ),
    Vendor(name="deepseek", hosts=VENDOR_HOSTS["deepseek"]),
    Vendor(name="moonshot", hosts=VENDOR_HOSTS["moonshot"]),
    Vendor(
        name="zhipu",
        modules=("zhipuai",),
        distributions=("zhipuai",),
        hosts=VENDOR_HOSTS["zhipu"],
    ),
    Vendor(
        name="alibaba",
        modules=("dashscope",),
        distributions=("dashscope",),
        hosts=VENDOR_HOSTS["alibaba"],
    ),
    Vendor(name="ai21", modules=("ai21",), distributions=("ai21",), hosts=VENDOR_HOSTS["ai21"]),
    Vendor(name="perplexity", distributions=("perplexityai",), hosts=VENDOR_HOSTS["perplexity"]),
    Vendor(
        name="replicate",
        modules=("replicate",),
        packages=("replicate",),
        distributions=("replicate",),
        hosts=VENDOR_HOSTS["replicate"],
    ),
    Vendor(
        name="huggingface",
        modules=("huggingface_hub.InferenceClient", "huggingface_hub.AsyncInferenceClient"),
        packages=("@huggingface/inference",),
        hosts=VENDOR_HOSTS["huggingface"],
    ),
    Vendor(name="ibm", modules=("ibm_watsonx_ai",), distributions=("ibm-watsonx-ai",)),
    Vendor(
        name="openrouter",
        what=CLIENT_FOR_MANY,
        packages=("@openrouter/ai-sdk-provider", "@openrouter/sdk"),
        hosts=VENDOR_HOSTS["openrouter"],
    ),
    Vendor(
        name="litellm",
        what=CLIENT_FOR_MANY,
        modules=("litellm",),
        distributions=("litellm",),
    ),
    Vendor(name="aisuite", what=CLIENT_FOR_MANY, modules=("aisuite",), distributions=("aisuite",)),
    Vendor(
        name="portkey",
        what=CLIENT_FOR_MANY,
        modules=("portkey_ai",),
        packages=("portkey-ai",),
        distributions=("portkey-ai",),
        hosts=VENDOR_HOSTS["portkey"],
    ),
    Vendor(
        name="langchain",
        what=FRAMEWORK,
        modules=(
            "langchain.chat_models",
            "langchain.llms",
            "langchain_community.chat_models",
            "langchain_community.llms",
            "langchain_anthropic",
            "langchain_aws",
            "langchain_cohere",
            "langchain_deepseek",
            "langchain_fireworks",
            "langchain_google_genai",
            "langchain_google_vertexai",
            "langchain_groq",
            "langchain_mistralai",
            "langchain_ollama",
            "langchain_openai",
            "langchain_together",
            "langchain_voyageai",
            "langchain_xai",
        ),
        packages=(
            "@langchain/anthropic",
            "@langchain/aws",
            "@langchain/cohere",
            "@langchain/deepseek",
            "@langchain/google-genai",
            "@langchain/google-vertexai",
            "@langchain/groq",
            "@langchain/mistralai",
            "@langchain/ollama",
            "@langchain/openai",
            "@langchain/xai",
        ),
        distributions=(
            "langchain-anthropic",
            "langchain-aws",
            "langchain-cohere",
            "langchain-deepseek",
            "langchain-fireworks",
            "langchain-google-genai",
            "langchain-google-vertexai",
            "langchain-groq",
            "langchain-mistralai",
            "langchain-ollama",
            "langchain-openai",
            "langchain-together",
            "langchain-voyageai",
            "langchain-xai",
        ),
    ),
    Vendor(
        name="llama_index",
        what=FRAMEWORK,
        modules=("llama_index.llms", "llama_index.multi_modal_llms", "llama_index.embeddings"),
        packages=("@llamaindex/openai", "@llamaindex/anthropic", "@llamaindex/google"),
        distributions=("llama-index-llms-*", "llama-index-embeddings-*"),
    ),
    Vendor(
        name="ai-sdk",
        what=FRAMEWORK,
        packages=(
            "@ai-sdk/amazon-bedrock",
            "@ai-sdk/anthropic",
            "@ai-sdk/azure",
            "@ai-sdk/cerebras",
            "@ai-sdk/cohere",
            "@ai-sdk/deepseek",
            "@ai-sdk/fireworks",
            "@ai-sdk/gateway",
            "@ai-sdk/google",
            "@ai-sdk/google-vertex",
            "@ai-sdk/groq",
            "@ai-sdk/mistral",
            "@ai-sdk/openai",
            "@ai-sdk/openai-compatible",
            "@ai-sdk/perplexity",
            "@ai-sdk/togetherai",
            "@ai-sdk/xai",
        ),
    ),
    Vendor(
        name="pydantic-ai",
        what=FRAMEWORK,
        modules=("pydantic_ai.models", "pydantic_ai.providers"),
    ),
)
