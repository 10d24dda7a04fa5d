"""The command line of the bench: what it prints and writes, and that it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench import main
from bench.document import BEGIN, DOCUMENT, END, NoPlace, check, fill
from bench.report import MEASURES, TITLES
from bench.session import SYSTEMS
from tests.bench.test_peer_failures import SMALLEST

PROGRAM = Path(__file__).resolve().parents[2] / "bench" / "run.py"


def rows_of(text: str) -> dict[str, list[str]]:
    """Return the cells of each row of a table, by the first."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in lines}


def test_it_writes_a_table_with_what_was_on_and_a_file_with_ratios_and_spreads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(main, "QUICK_SIZES", SMALLEST)
    monkeypatch.setattr(main, "PEERS", {})
    document = tmp_path / "performance.md"
    document.write_text(DOCUMENT.read_text())
    monkeypatch.setattr(main, "DOCUMENT", document)
    file = tmp_path / "bench.json"
    arguments = ["--quick", "--runs=1", "--peers", "--document", f"--json={file}"]
    assert main.run(main.options().parse_args(arguments)) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(
        "`.venv/bin/python bench/run.py --quick --peers --document --runs 1` on "
    )
    rows = rows_of(printed)
    for measure in MEASURES:
        label = f"{measure.label}, {measure.unit}".removesuffix(", ")
        assert rows[label], label
    for name, what in SYSTEMS.items():
        if name != "sdk":  # where the vendor's client is installed
            assert f"- {TITLES[name]}: {what}" in printed.splitlines()
    data: dict[str, Any] = msgspec.json.decode(file.read_bytes())
    above = data["measures"]["added_call_caller_cpu_us"]
    assert above["target"] == 15
    found = data["measures"]["call_caller_cpu_us"]["systems"]
    least, own = found["frames"]["median"], found["routerd"]["median"]
    assert above["systems"]["routerd"]["median"] == pytest.approx(own - least)
    call = data["measures"]["call_p50_us"]
    assert call["systems"]["routerd"]["spread"] == 0.0
    assert call["ratios"]["routerd_to_relay"]["median"] > 0
    for place in (main.ROUTERD, main.BESIDE_PEERS):
        written = document.read_text().partition(BEGIN.format(place))[2].partition(END)[0]
        assert written.strip() in printed
        assert "| one call, p50, µs " in written


def test_only_the_place_is_filled(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    one, two = BEGIN.format("one"), BEGIN.format("two")
    document.write_text(f"before\n{one}old\n{END}\nbetween\n{two}{END}\nafter\n")
    fill(document, "two", "new\n")
    fill(document, "one", "newer")
    fill(document, "one", "newest")
    assert document.read_text() == (
        f"before\n{one}\nnewest\n\n{END}\nbetween\n{two}\nnew\n\n{END}\nafter\n"
    )
    with pytest.raises(NoPlace, match=r"a\.md has no place for three"):
        check(document, "one", "three")
    check(DOCUMENT, main.ROUTERD, main.BESIDE_PEERS)


@pytest.mark.parametrize(
    ("number", "to_all"),
    [(signal.SIGINT, True), (signal.SIGINT, False), (signal.SIGTERM, False)],
    ids=["Ctrl-C", "SIGINT to the bench alone", "SIGTERM"],
)
@pytest.mark.parametrize("stage", ["direct", "relay"])
def test_told_to_stop_it_leaves_no_process(
    stage: str, number: signal.Signals, to_all: bool, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), "--quick", "--runs=1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as running:
        assert running.stderr is not None
        said = ""
        while stage not in said:
            said += running.stderr.read(1)
        # The bench, the provider, and by and by a caller.
        assert len(processes_of(running.pid)) >= 2
        if to_all:
            os.killpg(running.pid, number)
        else:
            running.send_signal(number)
        said += running.communicate()[1]
    assert running.returncode == main.STOPPED
    assert said.endswith("\nstopped\n")
    assert "Traceback" not in said
    assert processes_of(running.pid) == []
    assert list(tmp_path.iterdir()) == []


def processes_of(session: int) -> list[int]:
    """List the processes of a session that have not ended."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = file.read_text().rpartition(")")[2].split()[:4]
        except OSError:  # it has ended meanwhile
            continue
        if int(its_session) == session and state != "Z":
            found.append(int(file.parent.name))
    return found
