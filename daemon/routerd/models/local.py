"""Which model is behind a name that a local server lists.

Rules of this file: names are compared whole, after the packaging is taken off (organisation,
folder, file ending, quantisation). A name that is merely similar is another model: a fine-tune
must not inherit the scores of what it was made from.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from routerd.domain import Capabilities, Kind
from routerd.models.pricing import Price
from routerd.models.schema import LocalListing, Model

__all__ = [
    "LOCAL_PRICE",
    "ListedLocally",
    "ad_hoc_model",
    "is_sent_on",
    "kind_of_listed",
    "normalise",
    "strip_format",
]

LOCAL_PRICE: Final = Price(
    input=0,
    output=0,
    cache_read=0,
    cache_write=0,
    cache_write_long=0,
    source="declared: a server of your own bills nothing",
)

_SEPARATORS: Final = re.compile(r"[\s:_@]+")
# How weights are packed, never which: q4-k-m, iq3-xxs, awq, fp8, mxfp4, 00001-of-00002.
_FORMAT: Final = re.compile(
    r"-(?:"
    r"latest|gguf|ggml|mlx|safetensors|awq|gptq|exl[23]|bnb|qat|ud|dwq|w4a16|w8a8|autoround|hf"
    r"|(?:nv|mx)?fp(?:4|8|16|32)(?:-dynamic)?|bf16|f16|f32|int[48]|[2-8]-?bits?"
    r"|i?q[1-8](?:-(?:[0-3]|k|s|m|l|xs|xl|xxs|nl))*"
    r"|\d{5}-of-\d{5}"
    r")$"
)


class ListedLocally(Protocol):
    """A model as a local server lists it: its id there, and the window it was started with."""

    @property
    def id(self) -> str:
        """The id that requests must name."""
        ...

    @property
    def context_window(self) -> int | None:
        """Tokens, None where the server does not say."""
        ...

    @property
    def kind(self) -> Kind | None:
        """What calls it is for, None where the server does not say."""
        ...


def normalise(listed_id: str) -> str:
    """Return the bare name in lower case: `Qwen/Qwen3-8B-GGUF:Q4_K_M` is `qwen3-8b-gguf-q4-k-m`."""
    name = listed_id.strip().lower().replace("\\", "/").rstrip("/").rpartition("/")[2]
    return _SEPARATORS.sub("-", name.removesuffix(".gguf").replace(".gguf:", ":")).strip("-")


def strip_format(name: str) -> str:
    """Take the packaging off a normalised name: `qwen3-8b-gguf-q4-k-m` is `qwen3-8b`."""
    while (shorter := _FORMAT.sub("", name)) != name:
        name = shorter
    return name


def kind_of_listed(entry: ListedLocally, listing: LocalListing) -> Kind | None:
    """Return what calls a model is for; None where it is for none, or not answered there itself."""
    if not entry.id or is_sent_on(entry.id, listing):
        return None
    if entry.kind is not None:
        return entry.kind
    parts = normalise(entry.id).split("-")

    def has_one_of(beginnings: tuple[str, ...]) -> bool:
        return any(part.startswith(beginnings) for part in parts)

    if has_one_of(listing.not_chat):
        return None
    if has_one_of(listing.rerank):
        return "rerank"
    return "embedding" if has_one_of(listing.embedding) else "chat"


def is_sent_on(listed_id: str, listing: LocalListing) -> bool:
    """Say whether a server only forwards an id to somebody's cloud: `gpt-oss:120b-cloud`."""
    return normalise(listed_id).rpartition("-")[2] in listing.not_local


def ad_hoc_model(deployment_id: str, provider: str, kind: Kind = "chat") -> Model:
    """Describe a model nobody knows: nothing is claimed but which calls its text is for.

    Its weights are held still by whoever runs the server: they change when that person loads
    others, and never behind anybody's back. So it counts as fixed by its vendor, as the named
    releases of open weights do.
    """
    return Model(
        id=deployment_id,
        vendor="unknown",
        model_class="open-weight" if kind == "chat" else kind,
        kind=kind,
        pinned="vendor",
        capabilities=Capabilities(),
        source=f"listed by {provider}",
    )
