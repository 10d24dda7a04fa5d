"""`routerd drill` as a person and CI meet it: what it prints, and the exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from routerd.cli import main
from routerd.cli.drill_tables import WIDTH

PROVIDERS = """\
[discovery]
local_servers = false
[providers.anthropic]
[providers.openai]
[providers.mistral]
"""
KEPT = '[promises.chat]\nshortcuts = ["smart"]\nsurvives = ["one_provider", "budget_85"]\n'
BROKEN = '[promises.home]\nshortcuts = ["fast", "smart"]\nsurvives = ["private"]\n'
Drill = Callable[..., tuple[int, str, str]]


@pytest.fixture
def drill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Drill:
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "MISTRAL_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "routerd.toml"

    def run(text: str, *arguments: str) -> tuple[int, str, str]:
        file.write_text(text, encoding="utf-8")
        code = main(["drill", f"--config={file}", *arguments])
        return code, *capsys.readouterr()

    return run


def test_every_shortcut_is_told_in_a_hundred_columns_and_without_a_key(drill: Drill) -> None:
    code, out, err = drill(PROVIDERS)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    # The first names the file, wherever that is.
    assert max(len(line) for line in lines[1:]) <= WIDTH
    headings = next(line for line in lines if line.startswith("shortcut"))
    assert headings.split("  ")[0] == "shortcut"
    for name in ("one down", "two down", "at 85 %", "at cap", "private"):
        assert name in headings
    assert [line.split()[0] for line in lines if line.startswith(("smart ", "embed "))] == [
        "smart",
        "embed",
    ]
    assert "note           openai has no key here, and is rehearsed as if it had one" in lines
    assert "\033" not in out
    assert "promises       none declared" in out


def test_what_fails_is_listed_by_scenario(drill: Drill) -> None:
    _, out, _ = drill(PROVIDERS)
    fails = out.partition("FAILS, nothing serves\n")[2].partition("\n\n")[0]
    rows = {line[:18].strip(): line[18:].strip() for line in fails.splitlines()[1:]}
    assert rows["openai down"] == "embed"
    assert rows["private call"].startswith("all (")
    # What one provider alone does is not said of its pairs once more.
    assert not any(" + " in name for name in rows)


def test_who_is_slow_or_at_its_rate_limit_is_told_in_a_line(drill: Drill) -> None:
    _, out, _ = drill(PROVIDERS)
    told = " ".join(out.split())
    assert "one slow, or one that answers 429: the same as one down; until it is noticed" in told
    short = PROVIDERS + "[timeouts]\nfirst_content = 30.0\ntotal = 30.0\n"
    _, out, _ = drill(short)
    first = out.partition("FAILS at first, until the outage is noticed\n")[2].partition("\n\n")[0]
    assert max(len(line) for line in out.splitlines()[1:]) <= WIDTH
    assert "anthropic slow" in first
    assert "anthropic at 429" not in out
    assert "the same as one down, but for" in out


@pytest.mark.parametrize(
    ("scenario", "title"),
    [
        ("slow:anthropic", "anthropic slow"),
        ("limited:anthropic", "anthropic at 429, names 60 s"),
        ("limited_unsaid:anthropic", "anthropic at 429, names no time"),
    ],
)
def test_one_slow_or_limited_provider_can_be_looked_at(
    drill: Drill, scenario: str, title: str
) -> None:
    code, out, _ = drill(PROVIDERS, f"--scenario={scenario}")
    lines = out.splitlines()
    assert (code, f"{title}  ({scenario})" in lines) == (0, True)
    assert max(len(line) for line in lines[1:]) <= WIDTH
    row = next(line for line in lines if line.startswith("smart "))
    assert row.split()[1].startswith("openai/")
    assert ("120 s later until that is noticed" in row) == scenario.startswith("slow")
    assert drill(PROVIDERS, f"--scenario={scenario}", "--json")[0] == 0


def test_promises_name_slow_and_limited_providers(drill: Drill) -> None:
    promise = '[promises.all]\nshortcuts = ["{}"]\nsurvives = ["slow_provider", "rate_limit"]\n'
    assert drill(PROVIDERS + promise.format("smart"))[0] == 0
    code, out, _ = drill(PROVIDERS + promise.format("embed"))
    assert code == 1
    broken = [line for line in out.splitlines() if line.startswith("BROKEN")]
    assert broken == [
        "BROKEN   promise all: embed in slow:openai: fails: slow (1)",
        "BROKEN   promise all: embed in limited:openai: fails: at its rate limit (1)",
        "BROKEN   promise all: embed in limited_unsaid:openai: fails: at its rate limit (1)",
    ]
    late = "[timeouts]\nfirst_content = 30.0\ntotal = 30.0\n"
    code, out, _ = drill(PROVIDERS + promise.format("smart") + late)
    assert code == 1
    assert "smart in slow:anthropic: fails until the outage is noticed: the time of a" in out


def test_promises_that_hold_end_with_0(drill: Drill) -> None:
    code, out, _ = drill(PROVIDERS + KEPT)
    assert code == 0
    assert "promises       1 kept, 0 broken" in out


def test_a_broken_promise_ends_with_1_and_is_named_with_scenario_and_reason(drill: Drill) -> None:
    code, out, _ = drill(PROVIDERS + KEPT + BROKEN)
    assert code == 1
    broken = [line for line in out.splitlines() if line.startswith("BROKEN")]
    assert [line.partition(": fails: ")[0] for line in broken] == [
        "BROKEN   promise home: fast in private",
        "BROKEN   promise home: smart in private",
    ]
    assert "promises       1 kept, 1 broken" in out


def test_a_promise_for_an_unknown_shortcut_is_a_mistake_of_the_file(drill: Drill) -> None:
    code, out, err = drill(PROVIDERS + KEPT.replace("smart", "smrat"))
    assert (code, out) == (2, "")
    assert "promises.chat.shortcuts[0]" in err
    assert "'smrat' is no known shortcut; near: smart" in err


@pytest.mark.parametrize(
    "setting", ["survives = []", 'survives = ["everything"]', "shortcuts = []"]
)
def test_a_promise_that_says_nothing_is_refused(drill: Drill, setting: str) -> None:
    code, _, err = drill(f"{PROVIDERS}[promises.chat]\n{setting}\n")
    assert code == 2
    assert "promises.chat" in err


def test_one_scenario_and_one_shortcut_can_be_looked_at(drill: Drill) -> None:
    code, out, _ = drill(PROVIDERS, "--scenario=down:anthropic")
    assert code == 0
    row = next(line for line in out.splitlines() if line.startswith("smart "))
    assert row.split()[1].startswith("openai/")
    assert drill(PROVIDERS, "--scenario=anthropic")[1] == out
    _, out, _ = drill(PROVIDERS, "--scenario=openai+anthropic")
    assert "anthropic + openai down  (down:anthropic+openai)" in out
    _, out, _ = drill(PROVIDERS, "--shortcut=smart")
    assert "anthropic + openai down" in out
    assert "no money left" in out
    _, out, _ = drill(PROVIDERS, "--all")
    assert out.count("\nsmart ") == 19
    # A class is as good as a shortcut.
    assert drill(PROVIDERS, "--shortcut=flagship")[0] == 0
    code, _, err = drill(PROVIDERS, "--shortcut=smrat")
    assert (code, "'smrat' is no known shortcut; near: smart" in err) == (2, True)
    code, _, err = drill(PROVIDERS, "--scenario=down:opnai")
    assert (code, "near: down:openai" in err) == (2, True)


def test_a_program_gets_everything_as_json(drill: Drill) -> None:
    code, out, _ = drill(PROVIDERS + KEPT + BROKEN, "--json")
    report = json.loads(out)
    assert code == 1
    assert report["promises"] == {"chat": True, "home": False}
    assert [item["target"] for item in report["breaches"]] == ["fast", "smart"]
    assert report["warnings"] == []
    one = next(
        item
        for item in report["outcomes"]
        if (item["target"], item["scenario"]) == ("smart", "budget_cap")
    )
    assert (one["mark"], one["deployment"], one["reason"][:13]) == ("FAILS", None, "no money left")


def test_a_tenant_is_rehearsed_by_its_policy(drill: Drill) -> None:
    policy = '[policies.acme]\ntenants = ["acme"]\nwithout = ["anthropic"]\n'
    _, out, _ = drill(PROVIDERS + policy, "--scenario=healthy", "--tenant=acme")
    assert "anthropic/" not in out
    _, out, _ = drill(PROVIDERS + policy, "--scenario=healthy")
    assert "anthropic/" in out


def test_a_server_that_does_not_answer_is_named(drill: Drill) -> None:
    box = (
        '[providers.box]\nadapter = "openai"\ndialect = "compatible"\n'
        'base_url = "http://127.0.0.1:9/v1"\nboundary = "own-network"\n'
    )
    _, out, _ = drill(PROVIDERS + box)
    assert "note           box did not answer, so its models are missing here" in out
