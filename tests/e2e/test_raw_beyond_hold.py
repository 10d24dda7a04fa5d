"""What a policy permits beyond the hold leaves as it was given, and its cost is told as open."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import anyio.to_thread
import pytest

from routerd.simulate import Price, Simulator, expected_text
from routerd_client import CallerError, Client, Tool
from tests.e2e.asking import WAYS, Way, ask
from tests.e2e.conftest import NO_DISCOVERY, Daemon
from tests.e2e.money import attempt_rows, budget_row

SAID = "Tell me a story"
POLICIES = """\
[policies.default]
moving_aliases = true
[policies.research]
teams = ["research"]
raw_beyond_hold = true
[budgets.all]
dollars = 5
"""
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
OWN_TOOL = Tool("get_weather", "The weather.", CITY)
SEARCH: dict[str, Any] = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}


class Wire(NamedTuple):
    """A provider, its adapter where it is not its usual one, its model, and what it is sent."""

    provider: str
    adapter: str
    model: str
    raw: dict[str, Any]

    @property
    def vendor(self) -> str:
        return self.adapter or self.provider


CHAT = {
    "web_search_options": {"search_context_size": "high", "user_location": None},
    "prediction": {"type": "content", "content": "Once \u2028 upon a time"},
    "service_tier": "priority",
}
RESPONSES = {"tools": [{"type": "web_search", "filters": {"allowed_domains": ["a.example"]}}]}
ANTHROPIC = {
    "tools": [SEARCH],
    "mcp_servers": [{"type": "url", "url": "https://mcp.example", "name": "a"}],
    "container": {"skills": [{"skill_id": "pdf"}]},
    "speed": "fast",
}
GEMINI = {"tools": [{"googleSearch": {}}, {"codeExecution": {}}], "serviceTier": "priority"}
BEDROCK = {
    "additionalModelRequestFields": {"tools": [SEARCH]},
    "serviceTier": {"type": "priority"},
    "performanceConfig": {"latency": "optimized"},
}
WIRES = [
    Wire("openai", "", "gpt-6.1-sol", CHAT),
    Wire("openai", "openai-responses", "gpt-6.1-sol", RESPONSES),
    Wire("anthropic", "", "claude-opus-5-5", ANTHROPIC),
    Wire("gemini", "", "gemini-3.8-flash", GEMINI),
    Wire("bedrock", "", "claude-opus-5-5", BEDROCK),
]
# Its reference knows nothing of the kind, and its simulator refuses what that does not know.
COHERE = Wire("cohere", "", "command-a-03-2025", {"connectors": [{"id": "web-search"}]})


@pytest.fixture
def bodies(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the bodies of all calls that the simulator gets, as they come over the wire."""
    noted: list[bytes] = []
    call = Simulator._call

    async def noting(server: Any, request: Any, vendor: Any, asked: Any, names: Any) -> Any:
        noted.append(asked.body)
        return await call(server, request, vendor, asked, names)

    monkeypatch.setattr(Simulator, "_call", noting)
    return noted


def simulate(wire: Wire, prices: dict[str, Price]) -> Simulator:
    renamed = {
        name.replace(f"{wire.provider}/", f"{wire.vendor}/"): prices[name] for name in prices
    }
    return Simulator(vendors=[wire.vendor], prices=renamed)


async def start(
    wire: Wire, launch: Callable[..., Daemon], folder: Path, simulator: Simulator
) -> Daemon:
    version = {"openai": "/v1", "openai-responses": "/v1"}.get(wire.vendor, "")
    lines = [
        f"[providers.{wire.provider}]",
        f'base_url = "{simulator.base_url}/{wire.vendor}{version}"',
        "simulated = true",
    ]
    if wire.adapter:
        lines.append(f'adapter = "{wire.adapter}"')
    if wire.provider != "bedrock":
        lines.append("keyless = true")
    file = folder / "routerd.toml"
    await anyio.Path(file).write_text(NO_DISCOVERY + POLICIES + "\n".join([*lines, ""]))
    environ = {"AWS_BEARER_TOKEN_BEDROCK": "ABSK-a-bearer-key"}
    daemon = await anyio.to_thread.run_sync(lambda: launch(f"--config={file}", environ=environ))
    return await anyio.to_thread.run_sync(daemon.wait_until_ready)


def as_written(raw: dict[str, Any]) -> list[bytes]:
    """Return what was given as it is to stand in a body; of what is joined, each piece."""
    written: list[bytes] = []
    for name, value in raw.items():
        if name == "additionalModelRequestFields":
            written += as_written(value)
        else:
            for piece in value if isinstance(value, list) else [value]:
                text = json.dumps(piece, separators=(",", ":"), ensure_ascii=False)
                named = text if isinstance(value, list) else f'"{name}":{text}'
                written.append(named.encode())
    return written


@pytest.mark.parametrize("wire", WIRES, ids=[wire.vendor for wire in WIRES])
async def test_it_goes_out_as_it_was_given_and_is_told_as_open(
    launch: Callable[..., Daemon],
    tmp_path: Path,
    prices: dict[str, Price],
    bodies: list[bytes],
    wire: Wire,
) -> None:
    async with simulate(wire, prices) as simulator:
        daemon = await start(wire, launch, tmp_path, simulator)
        async with daemon.client() as client:
            await assert_refused(client, wire)
            assert bodies == []
            for way in WAYS:
                await assert_open(client, way, wire)
            held = await budget_row(client, "all")
            spend = await client.acommand("spend", simulated=True)
        rows = await attempt_rows(daemon.ledger)
    assert len(bodies) == len(WAYS)
    for body in bodies:
        assert [piece for piece in as_written(wire.raw) if piece not in body] == []
        assert OWN_TOOL.name.encode() in body
    assert [row.cost_basis for row in rows] == ["unknown"] * len(WAYS)
    known = [row.cost_nanodollars or 0 for row in rows]
    assert all(known)
    assert (held["spent"], held["held"]) == (sum(known), 0)
    total = spend["total"]
    assert (total["cost_nanodollars"], total["unknown_requests"]) == (sum(known), len(WAYS))


async def assert_refused(client: Client, wire: Wire) -> None:
    """Check that who is not permitted is told by which setting it would be."""
    with pytest.raises(CallerError) as caught:
        await client.acomplete(wire.model, SAID, team="sales", raw={wire.provider: wire.raw})
    assert caught.value.code == "invalid_request"
    assert "policies.default.raw_beyond_hold = true would permit it" in str(caught.value)
    # A call that is only asked about is told the same.
    said = [{"role": "user", "content": SAID}]
    options: dict[str, Any] = {"raw": {wire.provider: wire.raw}}
    with pytest.raises(CallerError) as planned:
        await client.acommand("plan", target=wire.model, messages=said, options=options)
    assert planned.value.details["place"] == caught.value.details["place"]
    options["team"] = "research"
    plan = await client.acommand("plan", target=wire.model, messages=said, options=options)
    assert plan["plan"]["routes"]


async def assert_open(client: Client, way: Way, wire: Wire) -> None:
    """Ask once, beside a tool of the caller's own; no number stands for what nobody knows."""
    raw = {wire.provider: wire.raw}
    heard = await ask(client, way, wire.model, SAID, team="research", raw=raw, tools=[OWN_TOOL])
    reply = heard.answer
    assert heard.text == expected_text(reply.deployment.partition("/")[2], SAID)
    assert (reply.cost_nanodollars, reply.cost_basis) == (None, "unknown")
    notes = "\n".join(reply.notes)
    assert "can cost more than was held: nothing bounds this call" in notes
    assert "no price list says all that this cost: $" in notes


async def test_what_its_vendor_refuses_costs_nothing(
    launch: Callable[..., Daemon], tmp_path: Path, prices: dict[str, Price], bodies: list[bytes]
) -> None:
    async with simulate(COHERE, prices) as simulator:
        daemon = await start(COHERE, launch, tmp_path, simulator)
        async with daemon.client() as client:
            await assert_refused(client, COHERE)
            raw = {"cohere": COHERE.raw}
            heard = await ask(client, "acomplete", COHERE.model, SAID, team="research", raw=raw)
            assert heard.error is not None
            held = await budget_row(client, "all")
    [body] = bodies
    assert [piece for piece in as_written(COHERE.raw) if piece not in body] == []
    [row] = await attempt_rows(daemon.ledger)
    assert (row.cost_nanodollars, row.cost_basis) == (0, "measured")
    assert (held["spent"], held["held"]) == (0, 0)
