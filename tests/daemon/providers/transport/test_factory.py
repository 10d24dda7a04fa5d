"""Settings become a transport, or an error that says what to change."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from routerd.errors import SettingsError
from routerd.providers.transport import (
    AiohttpTransport,
    HttpxTransport,
    Proxies,
    Request,
    Timeouts,
    TransportSettings,
    build_transport,
)
from tests.daemon.providers.transport.conftest import host_of

SOCKS = Proxies(https="socks5://127.0.0.1:1080")


def test_the_engines():
    assert isinstance(build_transport(TransportSettings()), AiohttpTransport)
    assert isinstance(build_transport(TransportSettings(engine="httpx")), HttpxTransport)


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        (TransportSettings(http2=True), "http2: .*httpx"),
        (TransportSettings(proxies=SOCKS), "engine: .*httpx"),
    ],
)
def test_what_only_the_other_engine_can_do(settings: Any, advice: Any):
    with pytest.raises(SettingsError, match=advice):
        build_transport(settings)


@pytest.mark.parametrize(
    ("settings", "package", "advice"),
    [
        (TransportSettings(engine="httpx", http2=True), "h2", r"install 'httpx\[http2\]'"),
        (TransportSettings(engine="httpx", proxies=SOCKS), "socksio", r"install 'httpx\[socks\]'"),
    ],
)
def test_a_package_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, settings: Any, package: Any, advice: Any
):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else find(name)
    )
    with pytest.raises(SettingsError, match=f"package {package} .*{advice}"):
        build_transport(settings)


@pytest.mark.parametrize("content", [None, "this is no certificate"])
def test_an_authority_that_cannot_be_read(tmp_path: Path, content: str | None):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match="ca_file"):
        build_transport(TransportSettings(ca_file=str(path)))


@pytest.mark.parametrize(
    "settings",
    [
        {"engine": "curl"},
        {"keepalive_seconds": 0},
        {"tcp_keepalive_seconds": 0},
        {"timeouts": {"read": 0}},
        {"timeouts": {"total": 5}},
        {"verify": False},
    ],
)
def test_settings_without_sense_are_refused(settings: Any):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, TransportSettings)


async def test_calls_that_name_no_time_out_get_the_settings(engine: str, serve: Any, make: Any):
    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.until_closed()

    server = await serve(handler)
    transport = await make(engine, timeouts=Timeouts(read=0.2))
    with pytest.raises(httpx.ReadTimeout):
        await transport.send(Request("POST", server.url(), [host_of(server.url())]))


async def test_silent_connections_are_probed_by_the_system(
    engine: str, serve: Any, make: Any, fetch: Any, monkeypatch: pytest.MonkeyPatch
):
    set_options = []
    plain = socket.socket.setsockopt

    def remember(self: socket.socket, level: Any, option: Any, value: Any) -> Any:
        set_options.append((level, option, value))
        return plain(self, level, option, value)

    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.answer()

    server = await serve(handler)
    transport = await make(engine, tcp_keepalive_seconds=7)
    monkeypatch.setattr(socket.socket, "setsockopt", remember)
    await fetch(transport, server.url())
    assert (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1) in set_options
    assert (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 7) in set_options
