"""The command line as a person and a script meet it: what it prints, where, and the exit code."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from routerd.simulate import expected_text
from tests.e2e.conftest import ROOT, Daemon
from tests.e2e.processes import environment, routerd

VERBS = (
    "serve",
    "init",
    "check",
    "status",
    "ask",
    "explain",
    "calls",
    "spend",
    "budgets",
    "reconcile",
    "drill",
    "models",
    "shortcuts",
    "prices",
    "simulate",
)
COMMAND = [sys.executable, "-m", "routerd"]
Ended = subprocess.CompletedProcess[str]
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000000000500010d0a2db40000000049454e44ae426082"
)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("cli"), "--simulated", environ={})
    yield daemon.wait_until_ready()
    daemon.end()


def told(daemon: Daemon, *arguments: str, stdin: str = "") -> Ended:
    """Run a verb against the daemon, found through the environment."""
    environ = {"ROUTERD_SOCKET": str(daemon.socket)}
    return routerd(*arguments, home=daemon.folder, environ=environ, stdin=stdin)


def decision_of(ended: Ended) -> str:
    match = re.search(r"routerd explain ([0-9a-f]{32})", ended.stderr)
    assert match is not None
    return match[1]


# --- help -------------------------------------------------------------------------------------


def test_alone_it_shows_the_verbs_and_the_first_steps(tmp_path: Path) -> None:
    ended = routerd(home=tmp_path)
    assert ended.returncode == 2
    for verb in VERBS:
        assert re.search(rf"^    {verb}\s", ended.stdout, re.MULTILINE)
    assert "routerd serve --simulated" in ended.stdout
    assert routerd("--help", home=tmp_path).stdout == ended.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_teaches(tmp_path: Path, verb: str) -> None:
    ended = routerd(verb, "--help", home=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"usage: routerd {verb} ")
    explanation = ended.stdout.partition("show this help message and exit")[2]
    assert len(explanation.split()) > 30
    # Every option says what it is for.
    for option in re.findall(r"^  (--?\S+.*)$", explanation, re.MULTILINE):
        assert len(option.split()) > 2 or re.search(rf"{re.escape(option)}\n {{10}}", explanation)


def test_a_wrong_word_is_refused(tmp_path: Path) -> None:
    ended = routerd("stats", home=tmp_path)
    assert ended.returncode == 2
    assert "status" in ended.stderr
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", routerd("--version", home=tmp_path).stdout)


# --- status -----------------------------------------------------------------------------------


def test_status_shows_the_daemon(daemon: Daemon) -> None:
    ended = told(daemon, "status")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"ready, pid {daemon.process.pid}" in ended.stdout
    assert str(daemon.socket) in ended.stdout
    assert str(daemon.ledger) in ended.stdout
    assert re.search(
        r"^anthropic \(simulated\) +anthropic +127\.0\.0\.1:", ended.stdout, re.MULTILINE
    )
    assert "\033" not in ended.stdout
    report = json.loads(told(daemon, "status", "--json").stdout)
    assert report["ready"] is True
    names = {item["name"] for item in report["providers"]}
    assert names == {"anthropic", "openai", "voyage"}


@pytest.mark.parametrize(
    ("options", "printed"),
    [
        (["--ready"], "ready\n"),
        (["--live"], "ready\n"),
        (["--quiet"], ""),
        (["--ready", "--quiet"], ""),
    ],
)
def test_status_answers_a_health_check(daemon: Daemon, options: list[str], printed: str) -> None:
    ended = told(daemon, "status", *options)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, printed, "")


@pytest.mark.parametrize("options", [[], ["--ready"], ["--live"], ["--quiet"]])
def test_status_without_a_daemon_is_exit_code_3(tmp_path: Path, options: list[str]) -> None:
    ended = routerd("status", f"--socket={tmp_path}/none.sock", *options, home=tmp_path)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ("Start the daemon with `routerd serve`" in ended.stderr) is (options != ["--quiet"])


def test_status_imports_next_to_nothing(tmp_path: Path) -> None:
    code = f"""
import sys
sys.argv = ["routerd", "status", "--quiet", "--socket={tmp_path}/none.sock"]
from routerd.__main__ import main
code = main()
heavy = "aiohttp anyio asyncio httpx opentelemetry sqlite3 structlog uvloop routerd.simulate"
print(code, [name for name in heavy.split() if name in sys.modules], file=sys.stderr)
"""
    command = [sys.executable, "-c", code]
    ended = subprocess.run(
        command, env=environment(tmp_path), capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert ended.stderr == "3 []\n"


# --- ask --------------------------------------------------------------------------------------


def test_ask_prints_the_answer_alone(daemon: Daemon) -> None:
    ended = told(daemon, "ask", "smart", "Hello")
    assert ended.returncode == 0
    deployment = ended.stderr.partition(" ")[0]
    assert ended.stdout == expected_text(deployment.partition("/")[2], "Hello") + "\n"
    assert re.search(r"\d¢ · first token \d+ ms · total \d+ ms · simulated · ", ended.stderr)
    assert "\033" not in ended.stdout + ended.stderr


def test_ask_reads_standard_input(daemon: Daemon) -> None:
    ended = [told(daemon, "ask", "fast", *more, stdin="Größe?\n") for more in ([], ["-"])]
    model = ended[0].stderr.partition(" ")[0].partition("/")[2]
    assert ended[0].stdout == ended[1].stdout == expected_text(model, "Größe?\n") + "\n"


def test_ask_prints_the_whole_reply_as_json(daemon: Daemon) -> None:
    ended = told(daemon, "ask", "fast", "Hello", "--json", "--tenant=acme", "--system=Be kind.")
    reply = json.loads(ended.stdout)
    assert ended.stderr == ""
    assert (reply["finish"], reply["simulated"], reply["attempts"]) == ("stop", True, 1)
    assert reply["cost_nanodollars"] > 0
    assert reply["usage"]["output_tokens"] > 0
    assert json.loads(told(daemon, "explain", "--json", reply["decision_id"]).stdout)["tenant"] == (
        "acme"
    )


def test_ask_takes_a_schema_and_a_picture(daemon: Daemon, tmp_path: Path) -> None:
    schema, picture = tmp_path / "schema.json", tmp_path / "picture.png"
    schema.write_text(
        '{"type":"object","properties":{"ok":{"type":"boolean"}},"required":["ok"],'
        '"additionalProperties":false}'
    )
    picture.write_bytes(PNG)
    ended = told(daemon, "ask", "extract", "Well?", f"--schema={schema}", f"--image={picture}")
    assert ended.returncode == 0
    assert json.loads(ended.stdout).keys() == {"ok"}
    record = json.loads(told(daemon, "explain", "--json", decision_of(ended)).stdout)
    assert (record["features"]["images"], record["features"]["output_schema"]) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["smrt", "Hello"], 1, "did you mean smart"),
        (["smart", ""], 1, "caller's fault"),
        (["private", "Hello", "--max-output-tokens=0"], 1, "max_output_tokens"),
        (["smart", "Hello", "--image=none.png"], 2, "cannot read none.png: No such file"),
        (["smart", "Hello", "--schema=none.json"], 2, "cannot read none.json: No such file"),
        (["smart", "Hello", "--schema=README.md"], 2, "README.md is not JSON"),
        (["smart", "Hello", "--sensitivity=secret"], 2, "invalid choice: 'secret'"),
    ],
)
def test_ask_says_what_was_wrong(
    daemon: Daemon, arguments: list[str], code: int, sentence: str
) -> None:
    ended = told(daemon, "ask", *arguments)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


# --- explain and calls ------------------------------------------------------------------------


def test_explain_tells_the_story_of_a_call(daemon: Daemon) -> None:
    asked = told(daemon, "ask", "smart", "Hello", "--tenant=acme", "--task=greeting")
    decision = decision_of(asked)
    shown = told(daemon, "explain", decision).stdout
    deployment = asked.stderr.partition(" ")[0]
    for line in (
        f"decision   {decision}\n",
        "asked      'smart' at ",
        "for        tenant acme, task greeting\n",
        "rule       shortcut smart\n",
        f"end        stop, answered by {deployment}, simulated\n",
        "no key or address for mistral\n",
    ):
        assert line in shown
    assert re.search(rf"^primary +{deployment} ", shown, re.MULTILINE)
    assert re.search(r"^backup +\S+ ", shown, re.MULTILINE)
    assert re.search(rf"^1  first +{deployment} +200 +stop +[\d.]+¢ ", shown, re.MULTILINE)
    said = r"^1 told +request req_\S+, answer msg_\S+, model \S+, 90 % of its limits left$"
    assert re.search(said, shown, re.MULTILINE)
    assert "Hello" not in shown
    assert told(daemon, "explain", decision[:20].upper()).stdout == shown


@pytest.mark.parametrize(
    ("decision", "sentence"),
    [
        ("ffffffffffffffffffffffffffffffff", "the ledger has no call ffffffff"),
        ("ffffffff", "the ledger has no call ffffffff"),
        ("fff", "at least the first 8"),
        ("no-decision", "is no decision id"),
    ],
)
def test_explain_says_what_it_does_not_find(daemon: Daemon, decision: str, sentence: str) -> None:
    ended = told(daemon, "explain", decision)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert sentence in ended.stderr


def test_an_ambiguous_beginning_is_told(daemon: Daemon) -> None:
    ids: list[str] = []
    with daemon.client() as client:
        # Ids begin with the time: two in one window of 65 s begin with the same eight digits.
        while len({decision[:8] for decision in ids}) == len(ids):
            ids.append(client.complete("fast", "Hello", max_output_tokens=8).decision_id)
    ended = told(daemon, "explain", ids[-1][:8])
    assert ended.returncode == 1
    assert f"several calls have ids that begin with {ids[-1][:8]}: give more digits" in ended.stderr


def test_calls_lists_the_newest_first(daemon: Daemon) -> None:
    with daemon.client() as client:
        ids = [client.complete("fast", "Hello", max_output_tokens=8).decision_id for _ in range(3)]
    shown = told(daemon, "calls", "--limit=2").stdout.splitlines()
    assert shown[0].split()[:3] == ["decision", "time", "target"]
    assert [line.partition(" ")[0] for line in shown[1:]] == [ids[2], ids[1]]
    listed = json.loads(told(daemon, "calls", "--limit=1", "--json").stdout)
    assert [record["decision_id"] for record in listed] == [ids[2]]
    refused = told(daemon, "calls", "--limit=0")
    assert refused.returncode == 1
    assert "Expected `int` >= 1 - at `$.limit`" in refused.stderr


# --- the directory ----------------------------------------------------------------------------


def test_models_and_shortcuts_need_no_daemon(tmp_path: Path) -> None:
    models = routerd("models", home=tmp_path)
    assert (models.returncode, models.stderr) == (0, "")
    assert "openai/gpt-6-luna" in models.stdout
    assert "anthropic/claude-opus-5-5" in models.stdout
    filtered = routerd("models", "--class=fast", "--provider=openai", "--json", home=tmp_path)
    rows = json.loads(filtered.stdout)
    assert rows
    assert {(row["model_class"], row["provider"]) for row in rows} == {("fast", "openai")}
    scores = routerd("models", "--scores", home=tmp_path).stdout.splitlines()
    assert scores[0].split()[:3] == ["model", "reasoning", "coding"]
    assert len(scores) > 10
    shortcuts = json.loads(routerd("shortcuts", "--json", home=tmp_path).stdout)
    assert {"smart", "fast", "workhorse", "private"} <= {row["name"] for row in shortcuts}
    assert "smart" in routerd("shortcuts", home=tmp_path).stdout


def test_own_entries_are_listed_too(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        '[shortcuts.tagger]\ndescription = "Tags."\ncandidates = ["gpt-6-luna"]\n'
        'degraded = "fail"\n'
    )
    (tmp_path / "routerd.toml").write_text('directory = ["mine.toml"]\n')
    shown = routerd("shortcuts", f"--config={tmp_path}/routerd.toml", home=tmp_path).stdout
    assert re.search(r"^tagger +Tags\. ", shown, re.MULTILINE)


# --- init and check ---------------------------------------------------------------------------

KEYS = {"OPENAI_API_KEY": "sk-the-key-itself"}


def test_init_writes_what_check_accepts(tmp_path: Path) -> None:
    file = tmp_path / "routerd.toml"
    made = routerd("init", str(file), home=tmp_path, environ=KEYS)
    assert (made.returncode, made.stderr) == (0, "")
    assert "found: openai" in made.stdout
    text = file.read_text()
    assert '[providers.openai]\nkey_env = "OPENAI_API_KEY"' in text
    assert "sk-the-key-itself" not in text
    checked = routerd("check", f"--config={file}", home=tmp_path, environ=KEYS)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "no problem found" in checked.stdout
    again = routerd("init", str(file), home=tmp_path, environ=KEYS)
    assert again.returncode == 2
    assert f"{file} exists. Move it away" in again.stderr
    assert file.read_text() == text
    printed = routerd("init", "-", home=tmp_path, environ=KEYS)
    assert printed.stdout == text


def test_init_says_where_it_cannot_write(tmp_path: Path) -> None:
    ended = routerd("init", f"{tmp_path}/none/routerd.toml", home=tmp_path)
    assert ended.returncode == 2
    assert "cannot write" in ended.stderr


def test_check_shows_what_a_start_would_use(tmp_path: Path) -> None:
    ended = routerd("check", "--json", home=tmp_path, environ=KEYS)
    report = json.loads(ended.stdout)
    assert [item["name"] for item in report["providers"]] == ["openai"]
    assert report["configuration"] is None
    assert "sk-the-key-itself" not in ended.stdout
    nothing = routerd("check", home=tmp_path)
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert "routerd found no provider" in nothing.stderr


def test_check_warns_of_a_name_that_is_taken_for_ones_own_network(tmp_path: Path) -> None:
    file = tmp_path / "routerd.toml"
    file.write_text(
        '[providers.box]\nadapter = "openai"\nkeyless = true\nboundary = "own-network"\n'
        'base_url = "https://llm.example.invalid/v1"\n[providers.openai]\nkeyless = true\n'
    )
    checked = routerd("check", f"--config={file}", home=tmp_path)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "warning: providers.box: llm.example.invalid is taken for a server" in checked.stdout
    assert checked.stdout.endswith("\nnothing that a start would refuse\n")


def test_the_usual_places_of_a_configuration_are_looked_at(tmp_path: Path) -> None:
    file = tmp_path / ".config" / "routerd" / "routerd.toml"
    file.parent.mkdir(parents=True)
    file.write_text("[providers.openai]\nkeyless = true\n")
    report = json.loads(routerd("check", "--json", home=tmp_path).stdout)
    assert report["configuration"] == str(file)
    other = tmp_path / "other.toml"
    other.write_text("[providers.anthropic]\nkeyless = true\n")
    environ = {"ROUTERD_CONFIG": str(other)}
    report = json.loads(routerd("check", "--json", home=tmp_path, environ=environ).stdout)
    assert [item["name"] for item in report["providers"]] == ["anthropic"]


# --- simulate ---------------------------------------------------------------------------------


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
def test_simulate_serves_until_it_is_stopped(tmp_path: Path, with_signal: int) -> None:
    with subprocess.Popen(
        [*COMMAND, "simulate", "--port=0", "--fault=status:503,times=1"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        socket.create_connection(("127.0.0.1", port)).close()
        process.send_signal(with_signal)
        _, stderr = process.communicate(timeout=15)
    assert (process.returncode, stderr) == (0, "")


def test_simulate_says_what_it_cannot_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = routerd("simulate", f"--port={port}", home=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert "Choose another --port, or 0" in ended.stderr
    for fault, sentence in (("cutt", "unknown fault 'cutt'"), ("status:200", "400 to 599")):
        ended = routerd("simulate", f"--fault={fault}", home=tmp_path)
        assert ended.returncode == 2
        assert sentence in ended.stderr
        assert "Traceback" not in ended.stderr


# --- readers, signals and terminals -----------------------------------------------------------


@pytest.mark.parametrize("verb", ["models", "shortcuts", "calls", "status"])
def test_a_reader_that_leaves_early_is_no_error(daemon: Daemon, verb: str) -> None:
    # A reader that has left before a word is written, which `| head -1` may also be.
    reading, writing = os.pipe()
    os.close(reading)
    command = [*COMMAND, verb]
    environ = environment(daemon.folder, {"ROUTERD_SOCKET": str(daemon.socket)})
    ended = subprocess.run(
        command, env=environ, stdout=writing, stderr=subprocess.PIPE, cwd=ROOT, check=False
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_ctrl_c_ends_ask_and_the_call(daemon: Daemon) -> None:
    environ = environment(daemon.folder, {"ROUTERD_SOCKET": str(daemon.socket)})
    with subprocess.Popen(
        [*COMMAND, "ask", "smart", "Tell me a long story"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        assert os.read(process.stdout.fileno(), 1)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=15)
    assert (process.returncode, stderr) == (130, b"")
    with daemon.client() as client:
        record = client.command("calls", limit=1)[0]
    assert (record["target"], record["error_code"]) == ("smart", "cancelled")


@pytest.mark.parametrize(("environ", "is_dim"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_a_dimmed_heading(
    daemon: Daemon, environ: Mapping[str, str], is_dim: bool
) -> None:
    master, terminal = pty.openpty()
    subprocess.run(
        [*COMMAND, "status", f"--socket={daemon.socket}"],
        env=environment(daemon.folder, environ),
        stdout=terminal,
        cwd=ROOT,
        check=True,
    )
    os.close(terminal)
    shown = b""
    while b"openai" not in shown:
        shown += os.read(master, 4096)
    os.close(master)
    assert (b"\033[2mprovider" in shown) is is_dim
    assert (b"\033" in shown) is is_dim


def test_a_terminal_on_one_side_colours_only_that_side(daemon: Daemon) -> None:
    master, terminal = pty.openpty()
    ended = subprocess.run(
        [*COMMAND, "ask", "fast", "Hello", f"--socket={daemon.socket}"],
        env=environment(daemon.folder),
        stdout=terminal,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        check=True,
    )
    os.close(terminal)
    os.close(master)
    assert b"\033" not in ended.stderr
