"""What other routers may do to the bench: each is said in the table, and costs no other figure.

Stand-ins misbehave as a gateway and as a library. Nothing is installed and nothing is fetched.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import measure_peers, peers, systems
from bench.load import Job, Outcome, Sizes
from bench.machine import choose_cores
from bench.measure_peers import gateway, measure_peer
from bench.peers import PEERS, Peer, Start
from bench.peers_report import beside_peers
from bench.systems import fake_provider
from tests.bench.stand_in_gateway import CODE

SMALLEST = Sizes(
    measure_seconds=8,
    warm_calls=1,
    calls=5,
    calls_at_once=64,
    paced_parts=5,
    burst_rounds=1,
    first_parts=10,
    hang_ups=1,
    held=10,
)
KEY = "Bearer sk-not-for-anybody-else"
# What each measure gives.
FIGURES = {
    "a first answer": "ready_ms",
    "a held stream": "held_stream_kib",
    "one call": "call_p50_us",
    "calls at once": "call_caller_cpu_us",
    "a paced part": "paced_part_caller_cpu_us",
    "a part in a burst": "burst_part_caller_cpu_us",
    "the first part": "first_part_p50_us",
    "a hang-up": "hang_up_p50_us",
}
# Answers as LiteLLM does; a burst is its end, and for one that paces it has no ear.
LIBRARY = """
import json, os, time
from types import SimpleNamespace as Plain
from bench.peer_drivers import PartCounter
from bench.raw_client import RawClient, post

client = None

async def acompletion(*, api_base, messages, stream=False, **options):
    global client
    if client is None:
        client = RawClient(port=int(api_base.rpartition(":")[2].partition("/")[0]))
    asked = post(json.dumps({"messages": messages, "stream": stream}).encode())
    if not stream:
        body = json.loads(await client.call(asked))
        message = Plain(content=body["choices"][0]["message"]["content"])
        print("a library may print", end="")
        return Plain(choices=[Plain(message=message)])
    if "parts=200,gap=0" in messages[-1]["content"]:
        os._exit(9)
    if "parts=5,gap=20" in messages[-1]["content"]:
        time.sleep(600)
    return chunks(client.stream(asked))

async def chunks(stream):
    counter = PartCounter()
    try:
        async for data in stream:
            for _ in range(counter.feed(data)):
                yield Plain(choices=[Plain(delta=Plain(content="a part"))])
    finally:
        await stream.aclose()
"""


def measured(peer: Peer, folder: Path, monkeypatch: pytest.MonkeyPatch, sizes: Sizes) -> Outcome:
    """Measure a stand-in."""
    monkeypatch.setitem(PEERS, "stand-in", peer)
    cores = choose_cores()
    with fake_provider(cores, folder) as port:
        return measure_peer("stand-in", cores, folder, sizes, port)


def stand_in(behaviour: str) -> Peer:
    """Return a gateway that behaves like that."""

    def starting(place: Path, home: Path, own: int, port: int) -> Start:
        command = [sys.executable, "-m", "tests.bench.stand_in_gateway", str(own), str(port)]
        return Start([*command, behaviour], {}, {"authorization": KEY})

    return Peer("Stand-in", "a relay", "stand-in", "none", slower=1, warm=1, starting=starting)


def missing_figures(found: Outcome) -> set[str]:
    """Return the measures of which there is nothing."""
    return {name for name, key in FIGURES.items() if key not in found.numbers}


def test_one_that_is_well_has_every_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(stand_in("well"), tmp_path, monkeypatch, SMALLEST)
    assert found.failed == {}
    assert missing_figures(found) == set()
    assert found.numbers["idle_pss_mb"] > 0
    assert found.numbers["call_router_cpu_us"] > 0


def test_one_that_dies_keeps_the_figures_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = measured(stand_in("dies"), tmp_path, monkeypatch, SMALLEST)
    after = {"a part in a burst", "the first part", "a hang-up"}
    assert found.failed == dict.fromkeys(after, f"its process ended with {CODE}")
    assert missing_figures(found) == after


@pytest.mark.parametrize(
    ("behaviour", "measure", "reason"),
    [
        ("hangs", "a paced part", "TimeoutError"),
        ("refuses", "a part in a burst", "ValueError: it answers a stream with HTTP/1.1 500 Not"),
    ],
)
def test_one_that_fails_at_something_has_the_other_figures(
    behaviour: str,
    measure: str,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = measured(stand_in(behaviour), tmp_path, monkeypatch, SMALLEST)
    assert list(found.failed) == [measure]
    assert found.failed[measure].startswith(reason)
    assert missing_figures(found) == {measure}
    assert KEY not in repr(found)
    run = {"routerd": {"call_p50_us": 100.0}, "stand-in": found.numbers}
    table = beside_peers([run], [{"stand-in": found.failed}], {"stand-in": "1.0"}, [])
    said = f"- Stand-in has no figure of {measure} in 1 of 1 runs: {found.failed[measure]}"
    assert said in table.splitlines()


def test_a_library_that_dies_or_is_deaf_costs_that_measure_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    python = tmp_path / "library" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        f'#!/bin/sh\nPYTHONPATH="{tmp_path}:$PYTHONPATH" exec {sys.executable} "$@"\n'
    )
    python.chmod(0o700)
    (tmp_path / "litellm.py").write_text(LIBRARY)
    library = Peer("Library", "made up", "library", "none", 1, 1, caller="litellm")
    found = measured(library, tmp_path, monkeypatch, SMALLEST)
    assert found.failed == {
        "a paced part": "no answer, and deaf to its time being up",
        "a part in a burst": "its caller ended with 9",
    }
    assert missing_figures(found) == found.failed.keys()


def test_one_that_does_not_start_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(stand_in("absent"), tmp_path, monkeypatch, SMALLEST)
    assert found == Outcome(failed={"anything": f"Stand-in ended with {CODE}"})
    monkeypatch.setattr(measure_peers, "START_SECONDS", 0.3)
    monkeypatch.setattr(measure_peers, "is_answering", lambda port, headers: False)
    found = measured(stand_in("well"), tmp_path, monkeypatch, SMALLEST)
    assert found == Outcome(failed={"anything": "Stand-in did not start within 0.3 s"})


def test_one_that_cannot_be_started_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def starting(place: Path, home: Path, own: int, port: int) -> Start:
        return Start([str(tmp_path / "nothing")], {}, {})

    peer = Peer("Nothing", "made up", "nothing", "none", 1, 1, starting=starting)
    found = measured(peer, tmp_path, monkeypatch, SMALLEST)
    assert found == Outcome(failed={"anything": "No such file or directory"})


def stand_ins() -> int:
    """Count the processes of stand-ins, and what they have started."""
    files = list(Path("/proc").glob("[0-9]*/cmdline"))
    return sum(b"stand_in_gateway" in read(file) for file in files)


def read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


def test_nothing_is_left_of_one_that_will_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systems, "STOP_SECONDS", 0.2)
    cores = choose_cores()
    with fake_provider(cores, tmp_path) as port:
        job = Job("gateway", port, SMALLEST)
        with gateway(stand_in("stubborn"), cores, tmp_path, job):
            assert stand_ins() == 2
    assert stand_ins() == 0
