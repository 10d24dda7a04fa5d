from __future__ import annotations

import pytest

from routerd.providers.bedrock.signing import Credentials, SigV4Signer, read_credentials

BODY = b'{"messages":[{"role":"user","content":[{"text":"hi"}]}]}'
HOST = "bedrock-runtime.us-east-1.amazonaws.com"
HEADERS = [(b"Content-Type", b"application/json")]
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SECONDS = 1767323045.0  # 2026-01-02T03:04:05Z
HAIKU = "/model/us.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse"
PROFILE = (
    "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2F"
    "us.amazon.nova-lite-v1%3A0/converse-stream"
)


@pytest.mark.parametrize(
    ("path", "token", "signature"),
    [
        (HAIKU, None, "a9e2ddee7983975acfe7ec4ddc10af309020f208d27103fa23c25efb8a5133e9"),
        (HAIKU, "TOKENEXAMPLE", "e59bfe1adb2d01ee7d5b73bc31265d36ffb8d85d5f05d7fde809fd420923f03a"),
        (PROFILE, None, "113ed6b08afd1812a6d9a4d95ad6b3b81a5259e427b1efdd347a258f343ee8fb"),
    ],
)
def test_signatures_are_those_of_the_vendors_signer(
    path: str, token: str | None, signature: str
) -> None:
    signer = SigV4Signer(Credentials("AKIDEXAMPLE", SECRET, token))
    signed = dict(signer.sign("POST", HOST, path, HEADERS, BODY, SECONDS))
    names = "content-type;host;x-amz-date" + (";x-amz-security-token" if token else "")
    assert signed[b"authorization"].decode() == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/bedrock/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    assert signed[b"x-amz-date"] == b"20260102T030405Z"
    assert signed.get(b"x-amz-security-token") == (token.encode() if token else None)


def test_the_region_is_that_of_the_host() -> None:
    signer = SigV4Signer(Credentials("AKIDEXAMPLE", SECRET))
    for host, region in (
        ("bedrock-runtime.eu-central-1.amazonaws.com", b"eu-central-1"),
        ("bedrock-runtime.us-gov-west-1.amazonaws.com", b"us-gov-west-1"),
        ("vpce-1-x.bedrock-runtime.ap-southeast-2.vpce.amazonaws.com", b"ap-southeast-2"),
        ("127.0.0.1:8080", b"us-east-1"),
    ):
        signed = dict(signer.sign("POST", host, HAIKU, HEADERS, BODY, SECONDS))
        assert b"/20260102/" + region + b"/bedrock/" in signed[b"authorization"]


def test_credentials_are_told_from_a_bearer_key() -> None:
    assert read_credentials(None) is None
    assert read_credentials("ABSKQmVkcm9ja0FQSUtleQ==") is None
    plain = read_credentials(f"AKIDEXAMPLE:{SECRET}")
    assert plain is not None
    assert (plain.access_key_id, plain.secret, plain.token) == ("AKIDEXAMPLE", SECRET, None)
    session = read_credentials(f"AKIDEXAMPLE:{SECRET}:TOKEN==")
    assert session is not None
    assert session.token == "TOKEN=="
    assert SECRET not in repr(session)


def test_where_the_host_names_no_region_another_one_is_signed_for() -> None:
    signer = SigV4Signer(Credentials("AKIDEXAMPLE", SECRET), "eu-west-1")
    for host, region in (("gateway.example", b"eu-west-1"), (HOST, b"us-east-1")):
        signed = dict(signer.sign("POST", host, HAIKU, HEADERS, BODY, SECONDS))
        assert b"/" + region + b"/bedrock/" in signed[b"authorization"]
