"""Errors: who is to blame, what they read like, and across process pools."""

from __future__ import annotations

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from routerd_client import (
    CallerError,
    ConnectionLost,
    DaemonUnavailable,
    ProviderError,
    Reply,
    RouterdError,
    RouterError,
    Text,
)
from routerd_client.errors import error_from
from routerd_client.testing import FakeRouter
from routerd_proto import CODES, error_info

BY_BLAME = {"caller": CallerError, "provider": ProviderError, "router": RouterError}


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_has_a_class_by_who_is_to_blame(code: str) -> None:
    error = error_from(error_info(code, "m"))
    assert isinstance(error, BY_BLAME[CODES[code].blame])
    assert isinstance(error, RouterdError)
    assert (error.code, error.retryable) == (code, CODES[code].retryable)
    assert error.next_step in str(error)


def test_what_apps_catch_by_name() -> None:
    assert type(error_from(error_info("connection_lost", "m"))) is ConnectionLost
    assert type(error_from(error_info("daemon_unavailable", "m"))) is DaemonUnavailable


def test_an_error_reads_like_a_sentence() -> None:
    info = error_info("rate_limit", "too many requests", retry_after=2.0)
    assert str(error_from(info, None, "d1")) == (
        "rate_limit: too many requests (provider's fault; retry after 2 s; decision d1). "
        "Next: Wait for `retry_after`, or add a backup deployment."
    )
    assert str(error_from(error_info("server_error", "m"))).startswith(
        "server_error: m (provider's fault; may be tried again). Next: "
    )


def test_neither_form_of_an_error_quotes_the_answer() -> None:
    reply = Reply(text="SECRET", finish="error", decision_id="d", content=[Text("SECRET")])
    error = error_from(error_info("interrupted", "m"), reply)
    assert "SECRET" not in str(error) + repr(error)


@pytest.mark.parametrize("code", ["rate_limit", "connection_lost", "daemon_unavailable"])
def test_an_error_survives_pickling(code: str) -> None:
    reply = Reply(text="for", finish="error", decision_id="d1", content=[Text("for")])
    info = error_info(code, "m", retry_after=1.5, details={"a": [1]})
    error = error_from(info, reply, "d1")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (again.info, again.reply, again.decision_id) == (info, reply, "d1")
    assert str(again) == str(error)


def ask(path: str) -> str:
    from routerd_client import Client  # noqa: PLC0415 - runs in a new process

    with Client(path) as client:
        return client.complete("smart", "x").text


def test_an_error_crosses_a_process_pool(router: FakeRouter) -> None:
    router.fail("quota", "empty", after_parts=1)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        failed = pool.submit(ask, router.socket_path)
    with pytest.raises(ProviderError) as caught:
        failed.result()
    assert caught.value.code == "quota"
    assert caught.value.reply is not None
    assert caught.value.reply.text == "part 1 "
