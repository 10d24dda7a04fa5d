"""The lists of the control plane: where they are, and what can be called by them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.providers.base import ListedModel, ListsAdapter
from routerd.providers.bedrock import BedrockAdapter
from routerd.providers.bedrock.regions import list_address, region_of

BEDROCK = BedrockAdapter()
ARN = "arn:aws:bedrock:us-east-1::foundation-model/"
END = "2027-02-01T00:00:00Z"


def models(*entries: Any) -> bytes:
    return json.dumps({"modelSummaries": entries}).encode()


def profiles(*entries: Any) -> bytes:
    return json.dumps({"inferenceProfileSummaries": entries}).encode()


def model(name: str, *kinds: str, **lifecycle: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {"modelId": name, "modelArn": ARN + name}
    if kinds:
        entry["inferenceTypesSupported"] = kinds
    return {**entry, "modelLifecycle": lifecycle} if lifecycle else entry


def profile(name: str, *behind: str) -> dict[str, Any]:
    arns = [{"modelArn": ARN + bare} for bare in behind]
    return {"inferenceProfileId": name, "models": arns, "status": "ACTIVE"}


@pytest.mark.parametrize(
    ("called", "listed"),
    [
        ("https://bedrock-runtime.eu-west-1.amazonaws.com", "bedrock.eu-west-1.amazonaws.com"),
        (
            "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com",
            "bedrock-fips.us-gov-west-1.amazonaws.com",
        ),
        ("https://bedrock-runtime.us-east-1.api.aws", "bedrock.us-east-1.api.aws"),
    ],
)
def test_the_lists_are_at_the_control_plane_of_the_same_region(called: str, listed: str) -> None:
    assert list_address(called) == f"https://{listed}"
    assert region_of(listed) == region_of(called)


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8080/bedrock-runtime", "https://g.example"])
def test_other_addresses_have_their_lists_themselves(base_url: str) -> None:
    assert list_address(base_url) == base_url


def test_what_is_called_by_its_own_id_and_what_by_a_profile() -> None:
    assert isinstance(BEDROCK, ListsAdapter)
    assert BEDROCK.models_paths == ("/foundation-models", "/inference-profiles?maxResults=1000")
    first = models(
        model("a.one", "ON_DEMAND", "PROVISIONED"),
        model("a.two", "INFERENCE_PROFILE", status="LEGACY", endOfLifeTime=END),
        model("a.three", "PROVISIONED"),
        model("a.four", status="LEGACY"),
        model("a.five", "INFERENCE_PROFILE"),
    )
    second = models(model("a.five", "ON_DEMAND"))
    found = BEDROCK.join_lists(
        [
            first,
            profiles(profile("us.a.two", "a.two", "a.two"), profile("us.a.six", "a.six")),
            second,
            profiles(profile("eu.a.four", "a.four")),
        ]
    )
    assert found == [
        ListedModel("a.one"),
        ListedModel("a.four", is_legacy=True),
        ListedModel("a.five"),
        ListedModel("us.a.two", retires_at=END, is_legacy=True),
        ListedModel("us.a.six"),
        ListedModel("eu.a.four", is_legacy=True),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"<html>",
        b'{"modelSummaries": {}}',
        models(None, 1, {}, {"modelId": 5}),
        profiles("x", {"inferenceProfileId": None}),
    ],
)
def test_lists_that_make_no_sense(body: bytes) -> None:
    assert BEDROCK.join_lists([body]) == BEDROCK.list_models(body) == []
    assert BEDROCK.join_lists([]) == []


def test_odd_entries_are_read_as_far_as_they_go() -> None:
    odd = profiles({"inferenceProfileId": "us.a", "models": [{"modelArn": 5}, None]})
    listed = models(model("a", status=5, endOfLifeTime=7), {"modelId": "b", "modelLifecycle": 1})
    assert BEDROCK.join_lists([odd, listed]) == [
        ListedModel("a"),
        ListedModel("b"),
        ListedModel("us.a"),
    ]
