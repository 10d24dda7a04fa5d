"""Sources of tokens: what they ask, how answers are read, and what never shows."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.errors import ErrorClass, Failure
from routerd.providers.tokens import CommandSource, MetadataSource, Token, read_credentials
from routerd.providers.tokens.google import project_of
from routerd.providers.tokens.source import read_answer
from tests.daemon.providers.tokens.endpoint import AUTHORIZED_USER, PRIVATE_KEY, service_account

URI = "https://oauth2.googleapis.com/token"


def test_a_key_is_no_credentials() -> None:
    assert read_credentials(None) is None
    assert read_credentials("AIza-a-key") is None
    assert project_of("AIza-a-key") is None


def test_credentials_show_nothing_and_name_what_must_be_masked() -> None:
    account = read_credentials(service_account(URI))
    user = read_credentials(json.dumps(AUTHORIZED_USER))
    assert account is not None
    assert user is not None
    for source in (account, user, MetadataSource()):
        request = source.ask(1_000_000)
        shown = f"{source!r} {source.name} {source.identity} {request!r}"
        assert not any(value.decode() in shown for _, value in source.secrets)
    lines = [line for line in PRIVATE_KEY.splitlines() if "KEY" not in line]
    assert {line.encode() for line in lines} <= {value for _, value in account.secrets}
    assert {b"a-client-secret", b"1//a-refresh-token"} == {value for _, value in user.secrets}
    assert account.identity == getattr(read_credentials(service_account(URI)), "identity", "")
    assert account.identity != user.identity
    assert project_of(service_account(URI)) == "p-1"
    assert project_of(json.dumps(AUTHORIZED_USER)) == "p-2"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("{", "not JSON"),
        ("{}", "of the type unknown"),
        ('{"type": "external_account"}', "token_command"),
        ('{"type": "authorized_user", "client_id": "a"}', "without client_secret"),
        (service_account(URI, private_key=None), "without private_key"),
        (service_account(URI, private_key="-----BEGIN PRIVATE KEY-----\nx\n"), "no RSA key"),
        (service_account("http://example.org/token"), "no https address"),
        (service_account("https://[broken"), "no https address"),
    ],
)
def test_wrong_credentials_say_what_is_wrong(key: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_credentials(key)


def test_without_the_package_that_signs_it_says_which() -> None:
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "import routerd.providers.tokens as tokens\n"
        "try:\n    tokens.read_credentials(sys.stdin.read())\n"
        "except ValueError as error:\n    print(error)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        input=service_account(URI),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pip install 'routerd[google]'" in ended.stdout


@pytest.mark.parametrize(
    ("status", "body", "passes", "code"),
    [
        (400, b'{"error": "invalid_grant", "error_description": "No."}', False, "invalid_grant"),
        (401, b"", False, "token_unavailable"),
        (404, b"<html>", False, "token_unavailable"),
        (429, b"{}", True, "token_unavailable"),
        (500, b'{"error": "internal_failure"}', True, "internal_failure"),
        (503, b"[]", True, "token_unavailable"),
        (200, b"", True, "token_unavailable"),
        (200, b'{"access_token": ""}', True, "token_unavailable"),
        (200, b'{"access_token": "two words"}', True, "token_unavailable"),
        (200, b'{"access_token": 7}', True, "token_unavailable"),
    ],
)
def test_an_answer_without_a_token_is_a_failure_of_the_source(
    status: int, body: bytes, passes: bool, code: str
) -> None:
    failure = read_answer("the endpoint", status, body)
    assert isinstance(failure, Failure)
    assert (failure.error_class, failure.code) == (ErrorClass.AUTH, code)
    assert (failure.retry_after is not None) is passes
    assert (failure.request_sent, failure.is_evidence) == (False, False)
    assert failure.message.startswith("no access token for this provider: the endpoint ")


@pytest.mark.parametrize(
    ("told", "seconds"),
    [(3599, 3599), ("3599", 3599), (None, 300), (True, 300), (-1, 300), (1e12, 300), ("x", 300)],
)
def test_how_long_a_token_is_good_for(told: Any, seconds: float) -> None:
    answer = json.dumps({"access_token": "ya29.a", "expires_in": told}).encode()
    token = read_answer("the endpoint", 200, answer)
    assert isinstance(token, Token)
    assert (token.text, token.seconds) == ("ya29.a", seconds)
    assert "ya29" not in repr(token)


@given(st.integers(200, 599), st.binary(max_size=40))
def test_no_answer_raises(status: int, body: bytes) -> None:
    assert isinstance(read_answer("the endpoint", status, body), Token | Failure)


def printing(text: str, status: int = 0) -> CommandSource:
    code = f"import sys; sys.stdout.write({text!r}); sys.exit({status})"
    return CommandSource((sys.executable, "-c", code), 120)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("ya29.printed\n", 120),
        ('{"access_token": "ya29.printed", "expires_in": 60}', 60),
        ('{"access_token": "ya29.printed"}', 120),
    ],
)
async def test_a_command_prints_a_token(text: str, seconds: float) -> None:
    source = printing(text)
    token = await source.run()
    assert isinstance(token, Token)
    assert (token.text, token.seconds) == ("ya29.printed", seconds)
    assert "python" in source.name
    assert "printed" not in f"{source!r} {source.name} {source.identity}"


@pytest.mark.parametrize(
    ("source", "said", "passes"),
    [
        (printing("secret", 3), "ended with status 3", True),
        (printing(""), "printed no token", True),
        (printing("two words"), "printed no token", True),
        (printing("{"), "printed no token", True),
        (CommandSource(("/nonexistent/program",), 60), "cannot be run", False),
    ],
)
async def test_a_command_that_fails_is_not_quoted(
    source: CommandSource, said: str, passes: bool
) -> None:
    failure = await source.run()
    assert isinstance(failure, Failure)
    assert said in failure.message
    assert "secret" not in failure.message
    assert (failure.retry_after is not None) is passes


SLEEPING = (sys.executable, "-c", "import time; time.sleep(60)")


async def test_a_command_that_takes_too_long_is_ended() -> None:
    failure = await CommandSource(SLEEPING, 60, limit_seconds=0.1).run()
    assert isinstance(failure, Failure)
    assert failure.message.endswith("did not end in 0.1 s")


async def test_a_command_that_nobody_waits_for_is_ended() -> None:
    with anyio.move_on_after(0.2) as scope:
        await CommandSource(SLEEPING, 60).run()
    assert scope.cancelled_caught
