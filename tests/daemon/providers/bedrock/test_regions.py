from __future__ import annotations

import pytest

from routerd.providers.bedrock.regions import DEFAULT_REGION, address_in, own_address, region_of

AWS = "https://bedrock-runtime.{}.amazonaws.com"


@pytest.mark.parametrize(
    ("at", "region", "called"),
    [
        ("us-east-1", None, "us-east-1"),
        ("us-east-1", "global", "us-east-1"),
        ("us-east-1", "somewhere", "us-east-1"),
        ("us-west-2", "us", "us-west-2"),
        ("us-east-1", "eu", "eu-central-1"),
        ("eu-west-3", "eu", "eu-west-3"),
        ("eu-west-3", "us", "us-east-1"),
        ("us-gov-west-1", "us", "us-east-1"),
        ("us-east-1", "jp", "ap-northeast-1"),
        ("us-east-1", "au", "ap-southeast-2"),
        ("us-east-1", "ap-southeast-2", "ap-southeast-2"),
    ],
)
def test_the_address_of_a_region(at: str, region: str | None, called: str) -> None:
    assert address_in(AWS.format(at), region) == AWS.format(called)


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8080/bedrock", "https://gateway.example/b"])
def test_other_addresses_stay(base_url: str) -> None:
    assert address_in(base_url, "eu-central-1") == base_url


@pytest.mark.parametrize(
    ("at", "environ", "called"),
    [
        (DEFAULT_REGION, {}, DEFAULT_REGION),
        (DEFAULT_REGION, {"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        (DEFAULT_REGION, {"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
        (DEFAULT_REGION, {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "x"}, "eu-west-1"),
        (DEFAULT_REGION, {"AWS_REGION": " "}, DEFAULT_REGION),
        ("eu-west-3", {"AWS_REGION": "us-west-2"}, "eu-west-3"),
    ],
)
def test_the_environment_names_the_region_where_nobody_else_does(
    at: str, environ: dict[str, str], called: str
) -> None:
    assert own_address(AWS.format(at), environ) == AWS.format(called)


def test_a_region_that_cannot_be_is_none() -> None:
    assert own_address(AWS.format(DEFAULT_REGION), {"AWS_REGION": "Frankfurt"}) is None
    assert own_address("https://gateway.example", {"AWS_REGION": "x"}) == "https://gateway.example"


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("bedrock-runtime.eu-central-1.amazonaws.com", "eu-central-1"),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("bedrock-runtime.us-east-1.api.aws", "us-east-1"),
        ("vpce-1-x.bedrock-runtime.ap-southeast-2.vpce.amazonaws.com", "ap-southeast-2"),
        ("bedrock-runtime.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
        ("my-gateway-1.example:8443", None),
        ("127.0.0.1:8080", None),
    ],
)
def test_the_region_in_a_host(host: str, region: str | None) -> None:
    assert region_of(host) == region
