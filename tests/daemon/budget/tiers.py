"""Free tiers and deployments for the tests of quotas and keys."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from routerd.budget.quota import Tier, read_tiers
from routerd.domain import Capabilities
from routerd.models.schema import Deployment
from routerd.settings import FreeTier


def at(text: str) -> float:
    """Return a time of UTC in seconds since the epoch."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def tier(**settings: Any) -> Tier:
    return read_tiers({"*": FreeTier(**settings)}, (), "file", "free")["*"]


def deployment(name: str = "small", provider: str = "vendor") -> Deployment:
    return Deployment(
        id=f"{provider}/{name}",
        model=name,
        provider=provider,
        provider_model=f"{name}-1",
        boundary="vendor",
        capabilities=Capabilities(),
    )
