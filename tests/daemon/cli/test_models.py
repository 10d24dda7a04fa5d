"""`routerd models` and `routerd shortcuts` as a person and a script use them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from routerd.cli import main
from routerd.models import load_directory
from routerd.models.audit import CODES
from routerd.simulate import Fault, Simulator

DIRECTORY = load_directory()
SIGNING = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "a/secret+of+forty"}
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a verb with a configuration that names nothing."""
    monkeypatch.delenv("ROUTERD_CONFIG", raising=False)
    (tmp_path / "routerd.toml").write_text("", encoding="utf-8")

    def run(verb: str, *words: str) -> tuple[int, str, str]:
        code = main([verb, "--config", str(tmp_path / "routerd.toml"), *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_models_are_filtered_and_sorted(run: Run) -> None:
    code, out, _ = run("models", "--class=fast", "--needs=vision,tools", "--sort=price", "--json")
    assert code == 0
    rows = json.loads(out)
    assert rows[0]["deployment"] == "bedrock/amazon.nova-lite-v1:0"
    assert {row["model_class"] for row in rows} == {"fast"}
    _, out, _ = run("models", "--kind=embedding", "--boundary=vendor", "--vendor=voyage")
    assert [line.split()[0] for line in out.splitlines()[1:]] == [
        "voyage-4-large",
        "voyage-4",
        "voyage-4-lite",
    ]


def test_what_models_are_sorted_by_is_shown(run: Run) -> None:
    _, out, _ = run("models", "--sort=score:coding", "--vendor=anthropic")
    heading, first, *_ = out.splitlines()
    assert "score:coding" in heading
    assert "LiveBench Coding" in first
    _, out, _ = run("models", "--sort=speed", "--provider=openai")
    assert out.splitlines()[0].split()[-2:] == ["speed", "retires"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--class=fsat"], "'fsat' is no known class; known: flagship, fast"),
        (["--provider=x"], "'x' is no known provider; known: openai"),
        (["--vendor=x"], "'x' is no known vendor; known: alibaba"),
        (["--sort=x"], "'x' is no known order; known: price, window"),
        (["--needs=tools,x"], "'x' is no known capability; known: vision"),
        (["show", "claude-opus-5.5"], "is no known model or deployment; near: claude-opus-5-5"),
        (["compare", "gpt-6-luna", "%"], "'%' is no known model or deployment."),
    ],
)
def test_an_unknown_name_is_told_what_there_is(run: Run, words: list[str], said: str) -> None:
    code, out, error = run("models", *words)
    assert (code, out) == (2, "")
    assert said in error


def test_one_model_with_its_sources(run: Run) -> None:
    code, out, _ = run("models", "show", "claude-opus-5-5")
    assert code == 0
    assert out.splitlines()[0] == "claude-opus-5-5"
    assert "fixed by its vendor" in out
    assert "bedrock/us.anthropic.claude-opus-5-5" in out
    assert "shortcut smart" in out
    assert "LiteLLM model_prices" in out
    _, out, _ = run("models", "show", "bedrock/us.anthropic.claude-opus-5-5", "--json")
    shown = json.loads(out)
    assert [item["id"] for item in shown["deployments"]] == ["bedrock/us.anthropic.claude-opus-5-5"]
    _, out, _ = run("models", "--json", "show", "qwen3-8b")
    assert json.loads(out)["deployments"] == []
    _, out, _ = run("models", "show", "qwen3-8b")
    assert "none here" in out


def test_models_side_by_side(run: Run) -> None:
    names = ["gpt-5.5-2026-04-23", "kimi-k3", "groq/openai/gpt-oss-120b"]
    code, out, _ = run("models", "compare", *names)
    assert code == 0
    lines = {line[:22].strip(): line for line in out.splitlines()}
    assert lines[""].split() == names
    assert "$30.00" in lines["output $/M"]
    assert "71.4 (0.81) LiveBench IF, high" in lines["score instruction_follo"[:22]]
    assert "dimensions" not in lines
    compared = json.loads(run("models", "compare", *names, "--json")[1])
    assert list(compared) == names
    assert compared["kimi-k3"]["tools"] == "yes"


def test_the_packaged_directory_needs_nobody_to_act(run: Run) -> None:
    code, out, _ = run("models", "check", "--on=2026-11-20")
    assert code == 0
    assert out.splitlines()[-1].startswith("0 problems, ")
    code, out, _ = run("models", "check", "--on=2026-11-20", "--only=price_gap", "--json")
    findings = json.loads(out)["findings"]
    assert {item["code"] for item in findings} == {"price_gap"}
    code, out, _ = run("models", "check", "--on=2026-11-20", "--days=0", "--only=retiring")
    assert out == "0 problems, 0 notes\n"


def test_a_problem_is_an_exit_code(run: Run) -> None:
    code, out, _ = run("models", "check", "--on=2027-04-01", "--only=retired")
    assert code == 1
    assert [line.split()[:3] for line in out.splitlines()[1:3]] == [
        ["problem", "retired", "llama-4-maverick-17b-128e-instruct"],
        ["problem", "retired", "gpt-5.4-nano-2026-03-17"],
    ]


@pytest.mark.parametrize(
    ("word", "said"), [("--on=today", "is no day"), ("--days=-1", "is no number of days")]
)
def test_a_check_of_nonsense(
    run: Run, capsys: pytest.CaptureFixture[str], word: str, said: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("models", "check", word)
    assert said in capsys.readouterr().err


async def test_providers_are_asked_for_their_own_lists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "secret-key-of-a-test")
    models = ["gpt-6-luna", "gpt-6.1-sol"]
    async with Simulator(vendors=["openai"], models=models) as server:
        await anyio.Path(tmp_path / "routerd.toml").write_text(
            f"""
discovery.local_servers = false
[providers.openai]
base_url = "{server.base_url}/openai/v1"
key_env = "A_KEY"
[providers.anthropic]
base_url = "http://127.0.0.1:9"
key_env = "A_KEY"
""",
            encoding="utf-8",
        )
        words = ["models", "check", "--live", "--on=2026-11-20"]
        words += ["--config", str(tmp_path / "routerd.toml")]
        code = await anyio.to_thread.run_sync(partial(main, [*words, "--json"]))
        answer = json.loads(capsys.readouterr().out)
        alone = await anyio.to_thread.run_sync(partial(main, [*words, "--provider=openai"]))
        told = capsys.readouterr().out
        unknown = await anyio.to_thread.run_sync(partial(main, [*words, "--provider=groq"]))
        refused = capsys.readouterr().err
    assert code == 1
    assert answer["asked"] == {"openai": 2}
    assert list(answer["not_answered"]) == ["anthropic"]
    missing = {item["subject"] for item in answer["findings"] if item["code"] == "not_listed"}
    assert "openai/gpt-5.5-2026-04-23" in missing
    assert "openai/gpt-6-luna" not in missing
    assert alone == 1
    assert "openai lists 2 models" in told
    assert "anthropic" not in told.splitlines()[-2]
    assert "secret-key-of-a-test" not in told
    assert unknown == 2
    assert "'groq' is no enabled provider; enabled: openai, anthropic" in refused


@pytest.mark.parametrize(
    "keys", [{"AWS_BEARER_TOKEN_BEDROCK": "ABSK-x"}, SIGNING], ids=["bearer", "signed"]
)
async def test_bedrock_is_asked_for_models_and_for_profiles(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    keys: dict[str, str],
) -> None:
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    deployments = DIRECTORY.deployments.values()
    known = [item.provider_model for item in deployments if item.provider == "bedrock"]
    known.remove("us.anthropic.claude-opus-5-5")
    async with Simulator(vendors=["bedrock"], models=known) as server:
        file = tmp_path / "routerd.toml"
        text = f"""
discovery.local_servers = false
[providers.bedrock]
base_url = "{server.base_url}/bedrock"
"""
        await anyio.Path(file).write_text(text, encoding="utf-8")
        words = ["models", "check", "--live", "--json", "--on=2026-11-20", "--config", str(file)]
        await anyio.to_thread.run_sync(partial(main, words))
        answer = json.loads(capsys.readouterr().out)
        server.script.replace([Fault(kind="status", status=403, scope="probes", after_calls=1)])
        await anyio.to_thread.run_sync(partial(main, words))
        refused = json.loads(capsys.readouterr().out)
    assert (answer["asked"], answer["not_answered"]) == ({"bedrock": len(known)}, {})
    missing = {item["subject"] for item in answer["findings"] if item["code"] == "not_listed"}
    assert missing == {"bedrock/us.anthropic.claude-opus-5-5"}
    assert refused["asked"] == {}
    assert refused["not_answered"]["bedrock"].startswith("status 403, no list at 127.0.0.1:")
    assert refused["not_answered"]["bedrock"].endswith("/inference-profiles")


async def test_vertex_lists_its_models_in_no_project(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = ["gemini-3.8-flash"]
    async with Simulator(vendors=["vertex"], models=models) as server:
        deployment = """
[deployments."vertex/{name}"]
model = "{name}"
provider = "vertex"
provider_model = "publishers/google/models/{name}"
"""
        names = ("gemini-3.8-flash", "gemini-2.5-flash")
        directory = "".join(deployment.format(name=name) for name in names)
        await anyio.Path(tmp_path / "mine.toml").write_text(directory, encoding="utf-8")
        command = [sys.executable, "-c", "print('ya29.a-token')"]
        await anyio.Path(tmp_path / "routerd.toml").write_text(
            f"""
directory = ["mine.toml"]
discovery.local_servers = false
[providers.vertex]
base_url = "{server.base_url}/vertex/v1/projects/p-1/locations/global"
token_command = {json.dumps(command)}
""",
            encoding="utf-8",
        )
        words = ["models", "check", "--live", "--json", "--only=not_listed"]
        words += ["--config", str(tmp_path / "routerd.toml")]
        await anyio.to_thread.run_sync(partial(main, words))
    answer = json.loads(capsys.readouterr().out)
    assert (answer["asked"], answer["not_answered"]) == ({"vertex": 1}, {})
    assert [item["subject"] for item in answer["findings"]] == ["vertex/gemini-2.5-flash"]


def test_why_the_candidates_of_a_shortcut_stand_as_they_do(run: Run) -> None:
    code, out, _ = run("shortcuts", "--order=code")
    assert code == 0
    assert out.splitlines()[1].startswith("anthropic/claude-opus-5-5")
    assert "expected from its class and price" in out
    rows = json.loads(run("shortcuts", "--order=auto", "--json")[1])
    assert rows[0] == {"deployment": "fast", "why": "serves simple calls"}
    rows = json.loads(run("shortcuts", "--order=smart", "--json")[1])
    assert rows[0]["why"] == "in the order of a list"
    code, _, error = run("shortcuts", "--order=smrt")
    assert code == 2
    assert "'smrt' is no known shortcut" in error


def planned(run: Run, name: str) -> list[str]:
    code, out, _ = run("shortcuts", "--json")
    assert code == 0
    rows = {row["name"]: row for row in json.loads(out)}
    return list(rows[name]["planned"])


def test_the_first_models_of_a_shortcut_are_those_that_may_serve(run: Run, tmp_path: Path) -> None:
    """A moving alias that the default policy refuses is nothing that an app would get."""
    moving = {name for name, model in DIRECTORY.models.items() if model.pinned == "moving"}
    before = {name: planned(run, name) for name in ("smart", "fast", "cheap")}
    assert all(before.values())
    assert all(moving.isdisjoint(found) for found in before.values())
    _, out, _ = run("shortcuts")
    shown = next(line for line in out.splitlines() if line.startswith("cheap "))
    assert shown.endswith(", ".join(before["cheap"][:3]))
    assert out.splitlines()[-1] == (
        "first models: what the default policy lets serve with every provider, since none is "
        "configured; no server was asked"
    )
    (tmp_path / "routerd.toml").write_text(
        "[providers.openai]\n[providers.groq]\nenabled = false\n"
        "[policies.default]\nmoving_aliases = true\n"
    )
    models = [DIRECTORY.deployments_of(name) for name in planned(run, "cheap")]
    assert all("openai" in {item.provider for item in found} for found in models)
    assert not moving.isdisjoint(planned(run, "cheap"))
    assert (
        run("shortcuts")[1]
        .splitlines()[-1]
        .startswith("first models: what the default policy lets serve with openai;")
    )


@pytest.mark.parametrize("words", [(), ("show",), ("compare",), ("check",)])
def test_help_teaches_with_examples(
    run: Run, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        run("models", *words, "--help")
    assert "examples:\n  routerd models" in capsys.readouterr().out


def test_help_of_check_names_every_code_in_a_column_of_its_own(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        run("models", "check", "--help")
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert all([code, what] in lines for code, what in CODES.items())
