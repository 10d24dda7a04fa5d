"""Mistakes in rules, policies, experiments and shadows name file and key, also in `check`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from routerd.app.policy import build_book, policy_text
from routerd.app.startup import prepare
from routerd.cli import main
from routerd.decide import Book
from routerd.errors import SettingsError
from routerd.settings import shipped_rules

HEAD = """\
[discovery]
local_servers = false
[providers.openai]
key_env = "TEST_KEY"
[providers.lan]
adapter = "openai"
base_url = "http://192.0.2.7:8000/v1"
boundary = "own-network"
keyless = true
"""
ENVIRON = {"TEST_KEY": "sk-never-shown"}
MISTAKES = [
    # --- rules
    ('[rules.a]\nuse = "smrt"\nflags = ["x"]', "rules.a.use", "'smrt' is no known target; near: "),
    ('[rules.a]\nuse = "smart"\ntargets = ["nothing-like-it"]', "rules.a.targets[0]", "no known"),
    (
        '[rules.a]\nuse = "smart"\nmost_input_tokens = 10\ntargets = ["fast"]',
        "rules.a",
        "decides by size alone",
    ),
    ('[rules.a]\nflags = ["x"]', "rules.a", "says nothing; expected `use` or `complexity`"),
    (
        '[rules.a]\nuse = "smart"\ncode = true\nleast_input_tokens = 9\nmost_input_tokens = 8',
        "rules.a.least_input_tokens",
        "is above most_input_tokens (8)",
    ),
    ('[rules.a]\nuse = "smart"\nwords = ["x", "?!"]', "rules.a.words[1]", "holds no word"),
    ('[rules.a]\nuse = "smart"\nwordz = ["x"]', "rules.a.wordz", ""),
    ('[rules.a]\ncomplexity = "hard"', "rules.a.complexity", ""),
    # --- policies
    (
        '[policies.a]\ntenants = ["t"]\nclasses = ["flagshi"]',
        "policies.a.classes[0]",
        "no known class",
    ),
    ('[policies.a]\ntenants = ["t"]\nmodels = ["gpt-0"]', "policies.a.models[0]", "no known model"),
    (
        '[policies.default]\nwithout = ["openai", "nobody"]',
        "policies.default.without[1]",
        "'nobody' is no known model, deployment or provider",
    ),
    (
        '[policies.default]\nprivate_reaches = ["lan", "nobody"]',
        "policies.default.private_reaches[1]",
        "'nobody' is no known provider",
    ),
    (
        '[policies.default]\nprivate_reaches = ["openai"]',
        "policies.default.private_reaches[0]",
        "expected a provider in your own network; openai is vendor",
    ),
    (
        '[policies.a]\ntenants = ["t"]\nshortcuts = {mine = "smrt"}',
        "policies.a.shortcuts.mine",
        "'smrt' is no known target",
    ),
    (
        '[policies.default]\nregion = "EU"',
        "policies.default.region",
        "no deployment of the directory is in 'EU'; known regions: global, us",
    ),
    ('[policies.default]\nregion = "u"', "policies.default.region", "is in 'u'"),
    ('[policies.a]\ninherits = "b"', "policies.a.inherits", "'b' is no policy; known: default, a"),
    (
        '[policies.a]\ninherits = "b"\n[policies.b]\ninherits = "a"',
        "policies.a.inherits",
        "goes in a circle: a > b > a",
    ),
    (
        '[policies.a]\nteams = ["t"]\n[policies.b]\nteams = ["t"]',
        "policies.b",
        "is for calls of 'a' too",
    ),
    ('[policies.default]\ntenants = ["t"]', "policies.default", "is for everybody"),
    ('[policies.default]\nbalance = ["luck"]', "policies.default.balance[0]", ""),
    ("[policies.default]\nsoft_percent = 101", "policies.default.soft_percent", ""),
    # --- experiments
    (
        '[experiments.a]\ntarget = "smrt"\n[experiments.a.arms.b]\nweight = 1',
        "experiments.a.target",
        "'smrt' is no known target",
    ),
    ('[experiments.a]\ntarget = "smart"', "experiments.a.arms", "an arm with a weight above 0"),
    (
        '[experiments.a]\ntarget = "smart"\n[experiments.a.arms.b]\nweight = 0',
        "experiments.a.arms",
        "an arm with a weight above 0",
    ),
    (
        '[experiments.a]\ntarget = "smart"\n[experiments.a.arms.b]\nweight = 1\nuse = "smrt"',
        "experiments.a.arms.b.use",
        "'smrt' is no known target",
    ),
    (
        '[experiments.a]\ntarget = "smart"\n[experiments.a.arms.b]\nuse = "fast"',
        "experiments.a.arms.b",
        "weight",
    ),
    (
        (
            '[experiments.a]\ntarget = "smart"\narms = {b = {weight = 1}}\n'
            '[experiments.b]\ntarget = "smart"\narms = {b = {weight = 1}}'
        ),
        "experiments.b.target",
        "is that of experiments.a too",
    ),
    # --- shadows
    (
        '[shadows.a]\ntarget = "smrt"\nuse = "fast"\npercent = 1\ndaily_dollars = 1',
        "shadows.a.target",
        "'smrt' is no known target",
    ),
    (
        '[shadows.a]\ntarget = "smart"\nuse = "fst"\npercent = 1\ndaily_dollars = 1',
        "shadows.a.use",
        "'fst' is no known target",
    ),
    (
        '[shadows.a]\ntarget = "smart"\nuse = "fast"\npercent = 1\ndaily_dollars = "much"',
        "shadows.a.daily_dollars",
        "",
    ),
    (
        '[shadows.a]\ntarget = "smart"\nuse = "fast"\npercent = 1\ndaily_dollars = -1',
        "shadows.a.daily_dollars",
        "",
    ),
    (
        '[shadows.a]\ntarget = "smart"\nuse = "fast"\npercent = 101\ndaily_dollars = 1',
        "shadows.a.percent",
        "",
    ),
    (
        (
            '[shadows.a]\ntarget = "smart"\nuse = "fast"\n'
            "percent = 1\ndaily_dollars = 1\nin_flight = 0"
        ),
        "shadows.a.in_flight",
        "",
    ),
]
GOOD = """
[rules.mine]
targets = ["smart", "ours"]
words = ["invoice"]
most_input_tokens = 100
use = "cheap"
[policies.default]
private_reaches = ["lan"]
[policies.acme]
tenants = ["acme"]
shortcuts = {ours = "fast"}
[experiments.trial]
target = "smart"
arms = {old = {weight = 9}, new = {weight = 1, use = "fast"}}
[shadows.copy]
target = "smart"
use = "cheap"
percent = 10
daily_dollars = 1
"""


def written(folder: Path, more: str) -> Path:
    file = folder / "routerd.toml"
    file.write_text(HEAD + more, encoding="utf-8")
    return file


def book_from(file: Path) -> Book:
    startup = prepare(file, ENVIRON)
    return build_book(startup, startup.directory, startup.providers)


@pytest.mark.parametrize(("text", "key", "expected"), MISTAKES)
def test_a_mistake_names_file_and_key(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    key: str,
    expected: str,
) -> None:
    file = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        book_from(file)
    assert (str(caught.value.file), caught.value.key) == (str(file), key)
    assert expected in caught.value.expected
    # `routerd check` finds it before a start does.
    monkeypatch.setenv("TEST_KEY", ENVIRON["TEST_KEY"])
    assert main(["check", f"--config={file}"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert str(file) in err
    assert key in err
    assert expected in err


def test_without_a_mistake_all_of_it_is_in_the_book(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, GOOD)
    document = book_from(file).document
    assert document.providers == ("lan", "openai")
    assert list(document.experiments) == ["trial"]
    assert list(document.shadows) == ["copy"]
    assert list(document.policies) == ["default", "acme"]
    assert ENVIRON["TEST_KEY"].encode() not in policy_text(document)
    monkeypatch.setenv("TEST_KEY", ENVIRON["TEST_KEY"])
    assert main(["check", f"--config={file}"]) == 0
    assert "no problem found" in capsys.readouterr().out


def test_rules_of_ones_own_come_first_and_take_the_place_of_those_shipped(tmp_path: Path) -> None:
    shipped = list(shipped_rules())
    own = 'flags = ["x"]\nuse = "cheap"\n'
    text = f"[rules.zz]\n{own}[rules.{shipped[-1]}]\n{own}"
    rules = book_from(written(tmp_path, text)).document.rules
    assert list(rules) == ["zz", shipped[-1], *shipped[:-1]]
    assert rules[shipped[-1]].use == "cheap"


@pytest.mark.parametrize("region", ["us", "eu", "eu-west", "eu-west-1"])
def test_a_region_is_known_by_its_parts(tmp_path: Path, region: str) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[deployments."openai/gpt-6-luna"]\nregion = "eu-west-1"\n', encoding="utf-8")
    file = tmp_path / "routerd.toml"
    text = f'directory = ["own.toml"]\n{HEAD}[policies.default]\nregion = "{region}"\n'
    file.write_text(text, encoding="utf-8")
    assert book_from(file).document.policies["default"].region == region


def test_who_has_a_contract_is_in_the_book(tmp_path: Path) -> None:
    text = '[providers.anthropic]\nkey_env = "TEST_KEY"\ncontracted = true\n'
    assert book_from(written(tmp_path, text)).document.contracted == ("anthropic",)


# --- models of servers of your own ---------------------------------------------------------------


class Lists(BaseHTTPRequestHandler):
    """A model server that lists one model."""

    def do_GET(self) -> None:
        body = json.dumps({"data": [{"id": "house-model"}]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@contextmanager
def listing() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Lists)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_check_knows_the_models_of_servers_that_were_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with listing() as url:
        text = (
            "[discovery]\nlocal_servers = false\n[providers.house]\n"
            f'adapter = "openai"\nbase_url = "{url}"\nboundary = "machine"\nkeyless = true\n'
            '[policies.default]\nshortcuts = {mine = "house/house-model"}\n'
        )
        file = tmp_path / "routerd.toml"
        file.write_text(text, encoding="utf-8")
        assert main(["check", f"--config={file}"]) == 0
        file.write_text(text.replace("house-model", "other-model"), encoding="utf-8")
        assert main(["check", f"--config={file}"]) == 2
    assert "policies.default.shortcuts.mine" in capsys.readouterr().err
