"""The bench of deltas measures what it says: an event that becomes one part, on every wire."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench.deltas import WIRES, Cost, main, measure_wire
from routerd.providers.registry import ADAPTERS


def test_every_wire_is_measured() -> None:
    assert set(WIRES) == set(ADAPTERS)


@pytest.mark.parametrize("wire", WIRES)
def test_an_event_is_read_and_counted(wire: str) -> None:
    cost = measure_wire(wire, 1)
    assert cost.event_bytes > len(msgspec.json.encode(WIRES[wire]))
    assert min(cost.part_us, cost.burst_us, cost.floor_us) > 0
    assert cost.ratio == cost.part_us / cost.floor_us


def test_the_table_and_the_file_say_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "deltas.json"
    assert main(["--quick", f"--json={file}"]) in (0, 1)  # how fast it is, a test does not judge
    costs = msgspec.json.decode(file.read_bytes(), type=list[Cost])
    printed = capsys.readouterr().out
    assert [cost.wire for cost in costs] == list(WIRES)
    assert all(f"{cost.part_us:.2f}" in printed for cost in costs)
    assert all(f"{cost.burst_us:.2f}" in printed for cost in costs)
    assert "an OpenAI delta may take 3 us: " in printed
