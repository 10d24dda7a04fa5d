"""Whole answers and commands, against the fake router, blocking and awaited."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import routerd_client
from routerd_client import (
    CallerError,
    Client,
    Message,
    Options,
    ProviderError,
    Text,
    Tool,
    ToolName,
    Usage,
)
from routerd_client.testing import FakeRouter
from routerd_proto.frames import CallOptions, TraceContext
from tests.client.ways import Way

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_reply_says_who_answered_and_what_it_cost(router: FakeRouter, way: Way) -> None:
    usage = Usage(3, output_tokens=2)
    router.answer("smart", text="forty-two", usage=usage, cost_nanodollars=12_345_678)
    with router.client() as client:
        reply = way.complete(client, "smart", "What is it?", tenant="acme", task="tagging")
    assert reply.text == "forty-two"
    assert (reply.finish, reply.model, reply.usage) == ("stop", "fake", usage)
    assert reply.cost_cents == pytest.approx(1.2345678)
    assert reply.simulated
    assert reply.degraded is None
    (call,) = router.calls
    assert (call.target, call.messages, call.stream, call.sends) == (
        "smart",
        "What is it?",
        False,
        0,
    )
    assert call.options == CallOptions(tenant="acme", task="tagging")
    assert reply.decision_id == f"fake-{call.call_id}"


def test_dicts_and_structs_say_the_same(router: FakeRouter, way: Way) -> None:
    router.answer(text="ok")
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    with router.client() as client:
        way.complete(
            client,
            "smart",
            [Message("user", "a"), {"role": "user", "content": [{"type": "text", "text": "b"}]}],
            tools=[Tool("weather", parameters=schema), {"name": "time"}],
            tool_choice={"name": "time"},
            stop=("x", "y"),
        )
    (call,) = router.calls
    assert call.messages == [Message("user", "a"), Message("user", [Text("b")])]
    assert call.options.tools == [Tool("weather", parameters=schema), Tool("time")]
    assert call.options.tool_choice == ToolName("time")
    assert call.options.stop == ["x", "y"]


def test_none_means_that_an_option_is_not_set(router: FakeRouter) -> None:
    router.answer(text="ok")
    with router.client() as client:
        client.complete("smart", "x", stop=None, tools=None, restart=None, seed=None, trace=None)
    assert router.calls[0].options == CallOptions()


def test_every_option_of_a_call_can_be_passed() -> None:
    fields = CallOptions.__struct_fields__
    assert sorted(Options.__annotations__) == sorted((*fields, "trace"))


@pytest.mark.parametrize(
    ("name", "hint"),
    [("tennant", "did you mean tenant?"), ("zzz", "there are: tenant, team, agent")],
)
def test_an_unknown_option_is_refused_before_anything_is_sent(name: str, hint: str) -> None:
    options: Any = {"team": "a", name: "b"}
    client = Client("nowhere")
    for call in (client.complete, client.stream, routerd_client.complete, routerd_client.stream):
        with pytest.raises(
            TypeError, match=f"a call has no option '{name}'; {hint}".replace("?", ".")
        ):
            call("smart", "x", **options)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (TRACEPARENT, TraceContext(TRACEPARENT)),
        (
            {"traceparent": TRACEPARENT, "tracestate": "a=1"},
            TraceContext(TRACEPARENT, "a=1"),
        ),
        (None, None),
    ],
)
def test_a_trace_goes_along(
    router: FakeRouter, way: Way, given: str | Mapping[str, str] | None, sent: TraceContext | None
) -> None:
    router.answer(text="ok")
    with router.client() as client:
        way.complete(client, "smart", "x", trace=given)
    assert router.calls[0].trace == sent


def test_the_current_span_is_the_parent(router: FakeRouter) -> None:
    router.answer(text="ok")
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("app") as span, router.client() as client:
        client.complete("smart", "x")
        client.complete("smart", "x", trace=TRACEPARENT)
    context = span.get_span_context()
    sent, given = (call.trace for call in router.calls)
    assert sent is not None
    ids = (trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id))
    assert sent.traceparent == f"00-{ids[0]}-{ids[1]}-{context.trace_flags:02x}"
    assert given == TraceContext(TRACEPARENT)


def test_an_error_of_the_daemon_is_typed_and_the_connection_goes_on(
    router: FakeRouter, way: Way
) -> None:
    router.fail("rate_limit", "too fast", retry_after=2.0, details={"status": 429}, after_parts=2)
    router.answer(text="ok")
    with router.client() as client:
        with pytest.raises(ProviderError) as caught:
            way.complete(client, "smart", "x")
        assert way.complete(client, "smart", "x").text == "ok"
    error = caught.value
    assert (error.code, error.retryable, error.retry_after) == ("rate_limit", True, 2.0)
    assert error.details == {"status": 429}
    assert error.reply is not None
    assert (error.reply.text, error.reply.finish) == ("part 1 part 2 ", "error")
    assert error.decision_id == error.reply.decision_id == f"fake-{router.calls[0].call_id}"


def test_what_cannot_travel_is_the_callers_mistake(router: FakeRouter, way: Way) -> None:
    router.answer(text="ok")
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    with router.client() as client:
        for messages in (object(), [{"role": "user", "content": deep}], [{1 << 70: "x"}]):
            with pytest.raises(CallerError) as caught:
                way.complete(client, "smart", messages)
            assert caught.value.code == "invalid_request"
        assert way.complete(client, "smart", "x").text == "ok"
    assert len(router.calls) == 1


def test_text_with_lone_surrogates_is_mended(router: FakeRouter, way: Way) -> None:
    router.answer(text="ok")
    with router.client() as client:
        way.complete(client, "smart", [{"role": "user", "content": "a\ud800b"}])
    assert router.calls[0].messages == [Message("user", "a\ufffdb")]


def test_commands(router: FakeRouter, way: Way) -> None:
    router.answer_command("status", {"state": "passing"})
    with router.client() as client:
        assert way.command(client, "status", verbose=True) == {"state": "passing"}
        with pytest.raises(CallerError):
            way.command(client, "explain", name="x")
    assert [(each.name, each.arguments) for each in router.commands] == [
        ("status", {"verbose": True}),
        ("explain", {"name": "x"}),
    ]


def test_the_module_level_functions_follow_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for text in ("one", "two"):
        with FakeRouter() as router:
            router.answer(text=text)
            monkeypatch.setenv("ROUTERD_SOCKET", router.socket_path)
            assert routerd_client.complete("smart", "x").text == text
            assert list(routerd_client.stream("smart", "x").text) == [text]
            assert routerd_client.default_client() is routerd_client.default_client()
            routerd_client.default_client().close()


async def test_the_awaited_module_level_function(
    monkeypatch: pytest.MonkeyPatch, router: FakeRouter
) -> None:
    router.answer(text="ok")
    monkeypatch.setenv("ROUTERD_SOCKET", router.socket_path)
    reply = await routerd_client.acomplete("smart", "x")
    assert reply.text == "ok"


def test_the_import_adds_the_standard_library_alone() -> None:
    code = """
import sys, msgspec, msgspec.structs
before = set(sys.modules)
import routerd_client
added = {name.partition('.')[0] for name in set(sys.modules) - before}
foreign = added - sys.stdlib_module_names - {'routerd_client', 'routerd_proto'}
assert not foreign, foreign
heavy = {'asyncio', 'ssl', 'opentelemetry', 'importlib.metadata', 'difflib'} & set(sys.modules)
assert not heavy, heavy
import routerd_client.testing
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={"PATH": os.environ["PATH"]})
