"""What `routerd models check` finds in a directory, and in the lists of providers."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from routerd.models import Directory, load_directory
from routerd.models.audit import CODES, Finding, audit, audit_lists
from routerd.providers.base import ListedModel

PACKAGED = load_directory()
DAY = dt.date(2026, 11, 20)


def found(
    directory: Directory, code: str, day: dt.date = DAY, days: int = 60
) -> dict[str, Finding]:
    return {item.subject: item for item in audit(directory, day, days=days) if item.code == code}


def own(folder: Path, text: str) -> Directory:
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return load_directory([path])


def test_the_packaged_directory_has_notes_and_no_problem() -> None:
    findings = audit(PACKAGED, DAY)
    assert {item.severity for item in findings} == {"note"}
    assert {item.code for item in findings} <= set(CODES)
    assert (
        "claude-opus-5-5 replaces it" in found(PACKAGED, "retired")["claude-opus-4-20250514"].text
    )


def test_what_ends_soon_is_told_so_many_days_ahead() -> None:
    assert "gpt-4.1-2025-04-14" in found(PACKAGED, "retiring")
    assert "gpt-4.1-2025-04-14" not in found(PACKAGED, "retiring", days=30)
    text = found(PACKAGED, "retiring", days=300)["gpt-5.4-nano-2026-03-17"].text
    assert "ends on 2027-04-01; gpt-5.4-mini-2026-03-17 replaces it (in class fast" in text


def test_a_candidate_that_has_ended_is_a_problem() -> None:
    later = dt.date(2027, 4, 1)
    nano = found(PACKAGED, "retired", later)["gpt-5.4-nano-2026-03-17"]
    assert nano.severity == "problem"
    assert "change it there (in class fast" in nano.text
    first = audit(PACKAGED, later)[0]
    assert first.severity == "problem"


def test_what_ends_and_leads_nowhere_is_a_problem(tmp_path: Path) -> None:
    alone = own(tmp_path, '[models."grok-4.3"]\nretires_on = 2026-11-01\n')
    finding = found(alone, "retired")["grok-4.3"]
    assert (finding.severity, finding.text) == (
        "problem",
        "ended on 2026-11-01, and nothing replaces it",
    )
    to_ended = own(
        tmp_path,
        '[models."grok-4.3"]\nretires_on = 2026-11-01\nreplacement = "o4-mini-2025-04-16"\n',
    )
    assert "ended on 2026-10-23 itself" in found(to_ended, "retired")["grok-4.3"].text


def test_a_deployment_may_end_alone(tmp_path: Path) -> None:
    text = '[deployments."bedrock/us.anthropic.claude-opus-5-5"]\nretires_on = 2026-11-01\n'
    finding = found(own(tmp_path, text), "retired")["bedrock/us.anthropic.claude-opus-5-5"]
    assert finding.severity == "note"
    text = '[deployments."xai/grok-4.7"]\nretires_on = 2026-11-01\n'
    assert found(own(tmp_path, text), "retired")["xai/grok-4.7"].severity == "problem"


def test_moving_aliases() -> None:
    moving = found(PACKAGED, "moving")
    assert moving["gpt-6-luna"].text == "may change behind its id (in class fast, shortcut cheap)"
    assert "claude-opus-5-5" not in moving
    assert {item.severity for item in moving.values()} == {"note"}


def test_a_replacement_that_a_default_policy_refuses_is_a_problem(tmp_path: Path) -> None:
    text = """
[models."gpt-4o-2024-11-20"]
replacement = "gpt-6-luna"
[models."o4-mini-2025-04-16"]
replacement = "gpt-6-luna"
[models.gpt-6-sol]
replacement = "gpt-6-luna"
"""
    assert found(PACKAGED, "moving_replacement") == {}
    findings = found(own(tmp_path, text), "moving_replacement")
    assert findings.keys() == {"gpt-4o-2024-11-20", "o4-mini-2025-04-16"}
    for finding in findings.values():
        assert finding.severity == "problem"
        assert finding.text == "its replacement is a moving alias: gpt-6-luna"


def test_backups_that_cannot_help(tmp_path: Path) -> None:
    text = """
[models.lonely]
vendor = "acme"
model_class = "fast"
pinned = "dated"
source = "mine"
[models.nowhere]
vendor = "acme"
model_class = "fast"
pinned = "dated"
source = "mine"
[models.backed-by-nothing]
vendor = "acme"
model_class = "fast"
pinned = "dated"
backup = "nowhere"
source = "mine"
[models.backed-by-the-past]
vendor = "acme"
model_class = "fast"
pinned = "dated"
backup = "o4-mini-2025-04-16"
source = "mine"
[models.backed-at-home]
vendor = "acme"
model_class = "fast"
pinned = "dated"
backup = "grok-4.5"
source = "mine"
""" + "".join(
        f'[deployments."xai/{name}"]\nmodel = "{name}"\nprovider = "xai"\n'
        f'provider_model = "{name}"\n'
        for name in ("lonely", "backed-by-nothing", "backed-by-the-past", "backed-at-home")
    )
    directory = own(tmp_path, text)
    missing = found(directory, "no_backup")
    assert missing["lonely"].severity == "note"
    assert missing["backed-by-nothing"].severity == "problem"
    assert "nothing serves that" in missing["backed-by-nothing"].text
    assert missing["backed-by-the-past"].severity == "problem"
    assert "an outage takes them too" in found(directory, "same_provider")["backed-at-home"].text
    assert found(directory, "price_gap")["xai/lonely"].text == "not known: any price"


def test_gaps_of_prices_and_scores(tmp_path: Path) -> None:
    gaps = found(PACKAGED, "price_gap")
    assert set(gaps) == {
        "mistral/mistral-large-4-0",
        "cohere/command-a-plus-05-2026",
        "cohere/rerank-v5.0-pro",
        "cohere/rerank-v5.0-fast",
        # No list says what the longer lifetime costs above the threshold.
        "anthropic/claude-haiku-5-5",
        "openai/gpt-6-astra",
        "openai/gpt-6.1-sol",
        "openai/gpt-6.1-terra",
        "openai/gpt-6-sol",
        "openai/gpt-6-luna",
        "openai/gpt-5.6-sol",
        "openai/gpt-5.6-terra",
        "openai/gpt-5.6-luna",
    }
    missing = "not known: cache_write_long above 100,000 tokens"
    assert gaps["anthropic/claude-haiku-5-5"].text == missing
    half = '[deployments."mistral/mistral-large-4-0".price]\nsource = "me"\ninput = 700_000_000\n'
    assert found(own(tmp_path, half), "price_gap")["mistral/mistral-large-4-0"].text == (
        "not known: output"
    )
    scores = found(PACKAGED, "score_gap")
    assert scores["claude-opus-5-5"].text == "no score at all: its class and price speak for it"
    assert scores["claude-opus-4-8"].text == (
        "no score in 3 of 8: tool_calling, factuality, long_context"
    )
    assert "rerank-3" not in scores


def lists(**models: ListedModel | None) -> dict[str, list[ListedModel]]:
    listed = {
        item.provider_model: ListedModel(item.provider_model)
        for item in PACKAGED.deployments.values()
        if item.provider == "anthropic"
    }
    for name, model in models.items():
        key = name.replace("_", "-")
        if model is None:
            del listed[key]
        else:
            listed[key] = model
    return {"anthropic": list(listed.values())}


@pytest.mark.parametrize(
    ("model", "listed", "severity", "code", "text"),
    [
        ("claude_opus_5_5", None, "problem", "not_listed", "does not list claude-opus-5-5 (in"),
        ("claude_opus_4_7", None, "note", "not_listed", "does not list claude-opus-4-7"),
        (
            "claude_opus_5_5",
            ListedModel("claude-opus-5-5", retired=True),
            "problem",
            "retired",
            "says that it has been retired",
        ),
        (
            "claude_opus_5_5",
            ListedModel("claude-opus-5-5", None, "2026-12-24T00:00:00Z"),
            "note",
            "retiring",
            "ends on 2026-12-24; the directory does not know",
        ),
        (
            "claude_sonnet_4_5_20250929",
            ListedModel("claude-sonnet-4-5-20250929", None, "2027-02-01"),
            "note",
            "retiring",
            "ends on 2027-02-01; the directory says 2026-11-30",
        ),
        (
            "claude_opus_5_5",
            ListedModel("claude-opus-5-5", is_legacy=True),
            "note",
            "retiring",
            "calls it legacy and does not say when it ends",
        ),
    ],
)
def test_what_a_provider_says(
    model: str, listed: ListedModel | None, severity: str, code: str, text: str
) -> None:
    [finding] = audit_lists(PACKAGED, lists(**{model: listed}), DAY)
    assert (finding.severity, finding.code) == (severity, code)
    assert text in finding.text


def test_what_is_no_news() -> None:
    known = ListedModel("claude-sonnet-4-5-20250929", None, "2026-11-30")
    far = ListedModel("claude-opus-5-5", None, "2028-01-01")
    nonsense = ListedModel("claude-opus-4-6", None, "some day")
    said = {
        "claude_sonnet_4_5_20250929": known,
        "claude_opus_5_5": far,
        "claude_opus_4_6": nonsense,
        # Ended by our own word already.
        "claude_opus_4_20250514": None,
    }
    assert audit_lists(PACKAGED, lists(**said), DAY) == []
    assert audit_lists(PACKAGED, {}, DAY) == []


def test_google_lists_its_models_under_a_prefix() -> None:
    listed = [
        ListedModel(f"models/{item.provider_model}")
        for item in PACKAGED.deployments.values()
        if item.provider == "gemini"
    ]
    assert audit_lists(PACKAGED, {"gemini": listed}, DAY) == []


def test_amazon_takes_arns_for_what_it_lists_by_id(tmp_path: Path) -> None:
    text = """
[deployments."bedrock/mine"]
model = "nova-pro-v1"
provider = "bedrock"
provider_model = "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.amazon.nova-pro-v1:0"
[deployments."bedrock/ours"]
model = "nova-pro-v1"
provider = "bedrock"
provider_model = "arn:aws:bedrock:eu-west-1:1:application-inference-profile/a1b2"
"""
    directory = own(tmp_path, text)
    listed = [
        ListedModel(item.provider_model)
        for item in PACKAGED.deployments.values()
        if item.provider == "bedrock"
    ]
    [missing] = audit_lists(directory, {"bedrock": listed}, DAY)
    assert missing.subject == "bedrock/mine"
    listed.append(ListedModel("eu.amazon.nova-pro-v1:0"))
    assert audit_lists(directory, {"bedrock": listed}, DAY) == []


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("gemini-3.8-flash", []),
        ("models/gemini-3.8-flash", []),
        ("publishers/google/models/gemini-3.8-flash", []),
        ("gemini-9-nano", ["not_listed"]),
        ("publishers/meta/models/llama", []),
        ("tunedModels/mine", []),
        ("endpoints/123", []),
    ],
)
def test_no_list_of_googles_has_what_is_ones_own(
    tmp_path: Path, name: str, codes: list[str]
) -> None:
    head = '[deployments."vertex/mine"]\nmodel = "gemini-3.8-flash"\nprovider = "vertex"\n'
    directory = own(tmp_path, f'{head}provider_model = "{name}"\n')
    findings = audit_lists(directory, {"vertex": [ListedModel("gemini-3.8-flash")]}, DAY)
    assert [finding.code for finding in findings] == codes
