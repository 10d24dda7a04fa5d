"""Our signer beside the vendor's own, on requests of every kind."""

from __future__ import annotations

import datetime as dt
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.providers.bedrock.adapter import BedrockAdapter
from routerd.providers.bedrock.encode import encode_request
from routerd.providers.bedrock.signing import Credentials, SigV4Signer
from tests.daemon.providers.drive import request

auth = pytest.importorskip(
    "botocore.auth", reason="the vendors' own clients are not installed: requirements-vendors.lock"
)
from botocore.awsrequest import AWSRequest  # noqa: E402 - behind the check that it is there
from botocore.config import Config  # noqa: E402
from botocore.credentials import Credentials as VendorsCredentials  # noqa: E402
from botocore.session import Session  # noqa: E402
from botocore.tokens import FrozenAuthToken  # noqa: E402

REGIONS = ("us-east-1", "eu-central-1", "us-gov-west-1", "ap-southeast-2", "eusc-de-east-1")
KEY_CHARACTERS = st.characters(codec="ascii", exclude_characters=":", exclude_categories=["C", "Z"])
keys = st.text(KEY_CHARACTERS, min_size=1, max_size=60)
models = st.one_of(
    st.from_regex(r"[a-z]{2,6}\.[a-z0-9-]{1,20}:[0-9]", fullmatch=True),
    st.just("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0"),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
)
moments = st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2099, 1, 1))  # noqa: DTZ001


def vendors_headers(
    method: str, url: str, headers: dict[str, str], body: bytes, asked: dict[str, Any]
) -> dict[str, str]:
    """Sign with the vendor's signer, at a given time."""
    credentials = VendorsCredentials(asked["key"], asked["secret"], asked["token"])
    signer = auth.SigV4Auth(credentials, "bedrock", asked["region"])
    aws = AWSRequest(method=method, url=url, data=body, headers=headers)
    moment = asked["moment"]
    with mock.patch("botocore.auth.get_current_datetime", return_value=moment):
        signer.add_auth(aws)
    return {name.lower(): value for name, value in aws.headers.items()}


@given(
    region=st.sampled_from(REGIONS),
    model=models,
    body=st.binary(max_size=300),
    key=keys,
    secret=keys,
    token=st.none() | keys,
    moment=moments,
    stream=st.booleans(),
)
def test_a_request_is_signed_as_the_vendor_signs_it(
    region: str,
    model: str,
    body: bytes,
    key: str,
    secret: str,
    token: str | None,
    moment: dt.datetime,
    stream: bool,
) -> None:
    path = encode_request(request(model, stream=stream)).path
    host = f"bedrock-runtime.{region}.amazonaws.com"
    asked = {"key": key, "secret": secret, "token": token, "region": region, "moment": moment}
    theirs = vendors_headers(
        "POST", f"https://{host}{path}", {"Content-Type": "application/json"}, body, asked
    )
    signer = SigV4Signer(Credentials(key, secret, token))
    seconds = moment.replace(tzinfo=dt.UTC).timestamp()
    ours = signer.sign("POST", host, path, [(b"content-type", b"application/json")], body, seconds)
    assert {name.decode(): value.decode() for name, value in ours} == {
        name: value for name, value in theirs.items() if name != "content-type"
    }


@given(region=st.sampled_from(REGIONS), moment=moments, token=st.none() | keys)
def test_what_costs_nothing_is_signed_too(
    region: str, moment: dt.datetime, token: str | None
) -> None:
    host, path = f"bedrock.{region}.amazonaws.com", BedrockAdapter().models_paths[-1]
    asked = {"key": "AKID", "secret": "s/+", "token": token, "region": region, "moment": moment}
    theirs = vendors_headers("GET", f"https://{host}{path}", {}, b"", asked)
    seconds = moment.replace(tzinfo=dt.UTC).timestamp()
    ours = SigV4Signer(Credentials("AKID", "s/+", token)).sign("GET", host, path, [], b"", seconds)
    assert {name.decode(): value.decode() for name, value in ours} == theirs


@pytest.mark.parametrize("region", REGIONS[:4])
@pytest.mark.parametrize("fips", [False, True])
def test_the_lists_are_where_the_vendor_has_them(region: str, fips: bool) -> None:
    def place(service: str) -> str:
        client = Session().create_client(
            service,
            region_name=region,
            aws_access_key_id="AKID",
            aws_secret_access_key="s",
            config=Config(use_fips_endpoint=fips),
        )
        address: str = client.meta.endpoint_url
        return address

    assert BedrockAdapter().list_address(place("bedrock-runtime")) == place("bedrock")


@given(query=st.lists(st.from_regex(r"[a-z]{1,4}=[a-z0-9]{0,4}", fullmatch=True), max_size=4))
def test_a_query_is_part_of_it(query: list[str]) -> None:
    moment = dt.datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 - as the vendor passes it
    host = "bedrock-runtime.us-east-1.amazonaws.com"
    path = "/foundation-models" + ("?" + "&".join(query) if query else "")
    asked = {
        "key": "AKID",
        "secret": "s",
        "token": None,
        "region": "us-east-1",
        "moment": moment,
    }
    theirs = vendors_headers("GET", f"https://{host}{path}", {}, b"", asked)
    seconds = moment.replace(tzinfo=dt.UTC).timestamp()
    ours = SigV4Signer(Credentials("AKID", "s")).sign("GET", host, path, [], b"", seconds)
    assert {name.decode(): value.decode() for name, value in ours} == theirs


@given(keys)
def test_a_bearer_key_goes_where_the_vendor_puts_it(key: str) -> None:
    aws = AWSRequest(method="POST", url="https://bedrock-runtime.us-east-1.amazonaws.com/")
    auth.BearerAuth(FrozenAuthToken(key)).add_auth(aws)
    sent = {name.decode(): value.decode() for name, value in BedrockAdapter().authorize(key)}
    assert sent == {name.lower(): value for name, value in aws.headers.items()}
    assert BedrockAdapter().signer(key) is None
