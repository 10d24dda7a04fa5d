"""What a route needs to be run: a deployment, joined to the live provider that serves it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct, structs

from routerd.domain import Capabilities, Kind
from routerd.models.pricing import Price
from routerd.models.prompt import PromptAdjustments
from routerd.providers.base import Adapter
from routerd.providers.search import SearchWire
from routerd.providers.transport.channel import Channel

__all__ = ["Key", "Target"]


class Key(Struct, frozen=True, eq=False):
    """One key of a provider, as the channel that sends it. A provider's only one has no name."""

    name: str | None
    channel: Channel


class Target(Struct, frozen=True, eq=False):
    """One deployment that can be called now.

    `keys` are all keys it can be called with, `channel` sends the first of them. `prompt` is how
    prompts to it are changed, `prompt_tokens` about what that adds. `wire` is the dialect that is
    spoken to it, the wire format where that has none. `search` are the wires it has for what is no
    chat. `watched` says that it is asked for a stream also where the caller is not streamed to, as
    long as a backup stands by: only so its silence is seen. None: by calls that somebody awaits.
    """

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
    keys: tuple[Key, ...] = ()
    prompt: PromptAdjustments | None = None
    prompt_tokens: int = 0
    wire: str = ""
    search: Mapping[Kind, SearchWire] = {}
    watched: bool | None = None

    def __post_init__(self) -> None:
        """Have a channel that is given alone send the only key."""
        if not self.keys:
            structs.force_setattr(self, "keys", (Key(None, self.channel),))

    def channel_of(self, key: str | None) -> Channel:
        """Return the channel that sends a key."""
        for item in self.keys:
            if item.name == key:
                return item.channel
        return self.channel

    def has_larger_window_than(self, other: Target) -> bool:
        """Return whether its model takes more than that of another; False where nobody knows."""
        if self.context_window is None or other.context_window is None:
            return False
        return self.context_window > other.context_window

    def price_at(self, seconds: float) -> Price | None:
        """Return its price at a time, in seconds since the epoch."""
        if self.price is None or not self.price.changes:
            return self.price
        return self.price.at(datetime.fromtimestamp(seconds, UTC).date())
