"""What a route needs to be run: a deployment, joined to the live provider that serves it."""

from __future__ import annotations

from msgspec import Struct

from routerd.domain import Capabilities
from routerd.models.pricing import Price
from routerd.providers.base import Adapter
from routerd.providers.transport.channel import Channel

__all__ = ["Target"]


class Target(Struct, frozen=True, eq=False):
    """One deployment that can be called now."""

    deployment: str
    model: str
    provider: str
    provider_model: str
    capabilities: Capabilities
    context_window: int | None
    output_limit: int | None
    price: Price | None
    adapter: Adapter
    channel: Channel
    simulated: bool
