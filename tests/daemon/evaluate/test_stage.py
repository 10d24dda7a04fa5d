"""The configuration of a rehearsed daemon: the user's own but for the places, and readable."""

from __future__ import annotations

import tomllib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from routerd.evaluate.stage import NOWHERE, SHORT_SECONDS, Actor, as_toml, impatient, staged
from routerd.settings import (
    Budget,
    Caching,
    ProviderSettings,
    Rule,
    Settings,
    parse_settings,
    timeouts_for,
)

OWN = parse_settings(
    tomllib.loads(
        """
        directory = ["mine.toml", "/etc/routerd/more.toml"]
        [budgets.month]
        window = "month"
        dollars = "12.50"
        calls = 7
        [cache.shortcuts.fast]
        seconds = 60
        [providers.openai]
        contracted = true
        discount_percent = 12.5
        [providers.mistral.keys.trial]
        key_env = "TRIAL"
        calls_a_minute = 3
        [providers.mistral.keys.trial.free."*"]
        calls = 500
        [providers.xai]
        enabled = false
        [rules."a.b"]
        words = ["quote \\" and \\\\ and \\u007f"]
        use = "fast"
        [promises.chat]
        survives = ["private"]
        """
    ),
    "own.toml",
)
CAST = (
    Actor("openai", "openai", "vendor"),
    Actor("mistral", "openai", "vendor", "mistral"),
    Actor("ollama", "openai", "machine", "compatible", ("qwen3:8b",)),
    Actor("odd", "smoke-signals", "vendor"),
)
URLS = {"openai": "http://127.0.0.1:1", "mistral": "http://127.0.0.1:2", "ollama": "http://x:3"}


def test_who_serves_is_led_to_a_simulator_and_stays_who_it_is() -> None:
    made = staged(OWN, CAST, URLS, folder=Path("/home/me"))
    assert made.providers["openai"] == structs.replace(
        OWN.providers["openai"],
        adapter="openai",
        boundary="vendor",
        base_url="http://127.0.0.1:1/openai/v1",
        simulated=True,
    )
    trial = made.providers["mistral"].keys["trial"]
    assert (trial.key_env, trial.calls_a_minute) == ("TRIAL", None)
    assert trial.free["*"].calls == 500_000
    assert made.providers["ollama"].keyless
    assert made.providers["odd"].base_url == NOWHERE
    assert made.providers["xai"] == ProviderSettings(enabled=False)
    assert made.directory == ["/home/me/mine.toml", "/etc/routerd/more.toml"]
    assert not made.discovery.local_servers
    assert (made.rules, made.promises, made.cache) == (OWN.rules, {}, Caching())
    month = OWN.budgets["month"]
    assert made.budgets == {"month": structs.replace(month, calls=7_000)}


def test_the_daily_default_is_written_down_because_simulators_bill_nothing() -> None:
    made = staged(Settings(), CAST, URLS, folder=Path(), default_cap="10.0")
    assert made.budgets == {"default daily cap": Budget(dollars="10.0")}


def test_who_is_slow_is_waited_for_a_moment_by_whoever_calls() -> None:
    made = impatient(OWN)
    for latency in (None, "interactive", "batch", 60_000):
        limits = timeouts_for(
            made.timeouts, made.interactive_timeouts, made.batch_timeouts, latency
        )
        short = {limits.first_content, limits.thinking, limits.whole_answer}
        assert short == {SHORT_SECONDS}
        assert limits.total == OWN.timeouts.total
    assert parse_settings(tomllib.loads(as_toml(made)), "written") == made


def test_what_is_written_is_read_as_the_same() -> None:
    for settings in (Settings(), OWN, staged(OWN, CAST, URLS, folder=Path("/home/me"))):
        assert parse_settings(tomllib.loads(as_toml(settings)), "written") == settings


@given(st.text(), st.lists(st.text()))
def test_any_text_survives(name: str, words: list[str]) -> None:
    settings = Settings(rules={name: Rule(words=words, use=name)})
    assert parse_settings(tomllib.loads(as_toml(settings)), "written") == settings
