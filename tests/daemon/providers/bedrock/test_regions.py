from __future__ import annotations

import pytest

from routerd.providers.bedrock.regions import address_in

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
