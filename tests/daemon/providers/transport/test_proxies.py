"""Which proxy carries a call, and calls through real ones."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.errors import SettingsError
from routerd.providers.transport import Proxies, request_may_have_arrived

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("environ", "http", "https"),
    [
        ({}, None, None),
        ({"HTTP_PROXY": "http://a:1"}, "http://a:1", None),
        ({"https_proxy": "http://a:1"}, None, "http://a:1"),
        (
            {"HTTPS_PROXY": "http://upper:1", "https_proxy": "http://lower:1"},
            None,
            "http://lower:1",
        ),
        ({"ALL_PROXY": "http://a:1"}, "http://a:1", "http://a:1"),
        ({"all_proxy": "http://a:1", "HTTP_PROXY": "http://b:1"}, "http://b:1", "http://a:1"),
        ({"HTTP_PROXY": "a:1"}, "http://a:1", None),
        ({"HTTP_PROXY": "", "http_proxy": "  "}, None, None),
        ({"ALL_PROXY": "socks5h://a:1"}, "socks5h://a:1", "socks5h://a:1"),
    ],
)
def test_the_environment(environ: Any, http: Any, https: Any):
    proxies = Proxies.from_environ(environ)
    assert (proxies.http, proxies.https) == (http, https)


@pytest.mark.parametrize("value", ["http://", "gopher://a:1", "http://a:99999", "http://[::1"])
def test_a_proxy_that_cannot_be_one_is_refused_by_name(value: Any):
    with pytest.raises(SettingsError, match="HTTP_PROXY"):
        Proxies.from_environ({"HTTP_PROXY": value})


@pytest.mark.parametrize(
    ("bypass", "host", "port", "proxied"),
    [
        ("", "api.example.com", None, True),
        ("*", "api.example.com", None, False),
        ("example.com", "example.com", None, False),
        ("example.com", "api.example.com", None, False),
        ("example.com", "API.Example.COM.", None, False),
        (".example.com", "api.example.com", None, False),
        ("*.example.com", "api.example.com", None, False),
        ("example.com", "badexample.com", None, True),
        ("other.com,  example.com", "example.com", None, False),
        ("other.com example.com", "example.com", None, False),
        ("example.com:443", "example.com", None, False),
        ("example.com:8443", "example.com", None, True),
        ("example.com:8443", "example.com", 8443, False),
        ("11.0.0.0/9", "11.1.2.3", None, False),
        ("10.0.0.0/8", "11.1.2.3", None, True),
        ("11.1.2.3", "11.1.2.3", None, False),
        ("11.1.2.3:80", "11.1.2.3", 443, True),
        ("2001:db8::/32", "2001:db8::1", None, False),
        ("2001:db8::/32", "[2001:db8::1]", None, False),
        ("[2001:db8::1]:443", "2001:db8::1", 443, False),
        ("[2001:db8::1]:80", "2001:db8::1", 443, True),
        ("10.0.0.0/8", "example.com", None, True),
        (",,", "example.com", None, True),
        (".", "example.com", None, True),
    ],
)
def test_no_proxy(bypass: str, host: str, port: int | None, proxied: Any):
    proxies = Proxies.from_environ({"ALL_PROXY": PROXY, "NO_PROXY": bypass})
    assert proxies.choose("https", host, port) == (PROXY if proxied else None)


@pytest.mark.parametrize(
    "host",
    ["localhost", "x.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1"],
)
def test_this_machine_is_not_proxied_unless_asked(host: str):
    environ = {"ALL_PROXY": PROXY}
    assert Proxies.from_environ(environ).choose("http", host, 11434) is None
    asked = Proxies.from_environ(environ, proxy_near=True)
    assert asked.choose("http", host, 11434) == PROXY


@pytest.mark.parametrize(
    ("host", "proxied"),
    [
        ("10.1.2.3", False),
        ("172.31.0.1", False),
        ("192.168.0.9", False),
        ("169.254.1.1", False),
        ("0xa.0x010203", False),
        ("167838211", False),
        ("fd00::1", False),
        ("[fe80::1%eth0]", False),
        ("::ffff:10.1.2.3", False),
        ("2130706433", False),
        ("172.32.0.1", True),
        ("134744072", True),
        ("fec0::1", True),
        ("gpu-box.lan", True),
    ],
)
def test_addresses_of_private_networks_are_not_proxied_unless_asked(host: str, *, proxied: bool):
    environ = {"ALL_PROXY": PROXY}
    found = Proxies.from_environ(environ).choose("http", host, 8000)
    assert found == (PROXY if proxied else None)
    asked = Proxies.from_environ(environ, proxy_near=True)
    assert asked.choose("http", host, 8000) == PROXY


def test_other_schemes_go_direct():
    proxies = Proxies(http=PROXY, https=PROXY, proxy_near=True)
    assert proxies.choose("http+unix", "run-model", None) is None


@given(st.text(max_size=40), st.text(max_size=40), st.none() | st.integers(0, 65535))
def test_no_text_breaks_the_decision(bypass: str, host: str, port: int | None):
    environ = {"ALL_PROXY": PROXY, "NO_PROXY": bypass}
    assert Proxies.from_environ(environ).choose("https", host, port) in {None, PROXY}


def test_a_password_never_shows():
    proxies = Proxies(https="http://user:secret@proxy.example:3128")
    assert "secret" not in repr(proxies)
    assert "proxy.example:3128" in repr(proxies)


async def answer_as_proxy(connection: Any) -> None:
    while await connection.read_request():
        await connection.answer(b"from the proxy")


def tunnel_to(target: Any, status: Any = b"200 Connection established") -> Any:
    """Return a handler that answers CONNECT and then passes bytes both ways."""

    async def pass_on(reader: Any, writer: Any) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def handler(connection: Any) -> None:
        received = await connection.read_head()
        connection.server.requests.append(received)
        await connection.send(b"HTTP/1.1 " + status + b"\r\n\r\n")
        if not status.startswith(b"200"):
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pass_on(connection.reader, writer))
            tasks.create_task(pass_on(reader, connection.writer))

    return handler


async def test_plain_http_through_a_proxy(engine: str, serve: Any, make: Any, fetch: Any):
    server = await serve(answer_as_proxy)
    proxies = Proxies(http=server.url("").replace("//", "//user:pass@"))
    transport = await make(engine, proxies=proxies)
    url = "http://provider.invalid/v1?x=%2F"
    for _ in range(2):
        assert await fetch(transport, url) == (200, b"from the proxy")
    assert server.accepted == 1
    for received in server.requests:
        assert received.line == b"POST http://provider.invalid/v1?x=%2F HTTP/1.1"
        assert received.header(b"host") == b"provider.invalid"
        wanted = b"Basic " + base64.b64encode(b"user:pass")
        assert received.header(b"proxy-authorization") == wanted


async def test_no_proxy_and_loopback_are_honoured(engine: str, serve: Any, make: Any, fetch: Any):
    async def answer_as_target(connection: Any) -> None:
        while await connection.read_request():
            await connection.answer(b"from the target")

    target, proxy = await serve(answer_as_target), await serve(answer_as_proxy)
    environ = {"http_proxy": proxy.url("")}
    for proxies, answer in (
        (Proxies.from_environ(environ), b"from the target"),
        (Proxies.from_environ(environ, proxy_near=True), b"from the proxy"),
        (
            Proxies.from_environ({**environ, "no_proxy": "127.0.0.0/8"}, proxy_near=True),
            b"from the target",
        ),
    ):
        transport = await make(engine, proxies=proxies)
        assert await fetch(transport, target.url()) == (200, answer)


async def test_the_environment_is_not_read_unasked(
    engine: str, serve: Any, make: Any, fetch: Any, monkeypatch: pytest.MonkeyPatch
):
    proxy, target = await serve(answer_as_proxy), await serve(answer_as_proxy)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url(""))
    await fetch(await make(engine), target.url())
    assert (proxy.accepted, target.accepted) == (0, 1)


async def test_tls_through_a_tunnel(engine: str, serve: Any, make: Any, fetch: Any, authority: Any):
    async def answer_as_target(connection: Any) -> None:
        while await connection.read_request():
            await connection.answer(b"from the target")

    target = await serve(answer_as_target, authority.server)
    proxy = await serve(tunnel_to(target))
    proxies = Proxies(https=proxy.url("").replace("//", "//user:pass@"), proxy_near=True)
    transport = await make(engine, ca_file=authority.ca_file, proxies=proxies)
    headers = ((b"authorization", b"Bearer test-key"),)
    for _ in range(2):
        assert await fetch(transport, target.url(), headers=headers) == (200, b"from the target")
    assert (proxy.accepted, target.accepted) == (1, 1)
    (received,) = proxy.requests
    assert received.line.startswith(f"CONNECT localhost:{target.port} ".encode())
    assert received.header(b"authorization") is None
    wanted = b"Basic " + base64.b64encode(b"user:pass")
    assert received.header(b"proxy-authorization") == wanted
    assert all(each.header(b"proxy-authorization") is None for each in target.requests)


async def hang_up(connection: Any) -> None:
    await connection.read_head()


async def speak_nonsense(connection: Any) -> None:
    await connection.read_head()
    await connection.send(b"nonsense\r\n\r\n")


async def keep_silent(connection: Any) -> None:
    await connection.read_head()
    await connection.until_closed()


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (tunnel_to(None, b"407 Proxy Authentication Required"), httpx.ProxyError),
        (tunnel_to(None, b"502 Bad Gateway"), httpx.ProxyError),
        (hang_up, httpx.ProxyError),
        (speak_nonsense, httpx.ProxyError),
        (keep_silent, httpx.ConnectTimeout),
    ],
)
async def test_a_tunnel_that_fails_has_sent_nothing(
    serve: Any, make: Any, fetch: Any, handler: Any, expected: Any
):
    # httpx's own engine reports the last three as failures of the answer.
    proxy = await serve(handler)
    transport = await make(proxies=Proxies(https=proxy.url("")))
    with pytest.raises(httpx.TransportError) as caught:
        await fetch(transport, "https://provider.invalid/", connect=0.5)
    assert type(caught.value) is expected
    assert not request_may_have_arrived(caught.value)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_not_there(
    serve: Any, make: Any, fetch: Any, unused_port: int, scheme: str
):
    # httpx's own engine reports a ConnectError, which says the same about sending again.
    proxy = f"http://127.0.0.1:{unused_port}"
    transport = await make(proxies=Proxies(http=proxy, https=proxy))
    with pytest.raises(httpx.ProxyError) as caught:
        await fetch(transport, f"{scheme}://provider.invalid/")
    assert not request_may_have_arrived(caught.value)


async def test_a_proxy_without_an_address(make: Any, fetch: Any):
    transport = await make(proxies=Proxies(http="http://does-not-exist.invalid:1"))
    with pytest.raises(httpx.ProxyError):
        await fetch(transport, "http://provider.invalid/", connect=15.0)
