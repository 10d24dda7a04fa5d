"""The bench of other routers: what it reads, what it prints, and what it does where one is missing.

Nothing here needs a network, and nothing is installed.
"""

from __future__ import annotations

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest

from bench import install_peers, peers
from bench.callers import run_load
from bench.fake_provider import TEXT, stream_pieces
from bench.load import Job, Outcome, Sizes
from bench.machine import choose_cores
from bench.measure_peers import free_port
from bench.peer_drivers import GatewayDriver, PartCounter
from bench.peers import LEFT_OUT, PEERS, is_installed, missing
from bench.peers_report import beside_peers, two_digits
from bench.raw_client import RawClient, post
from bench.report import to_data
from bench.session import Run
from bench.systems import Broken, fake_provider

SMALLEST = Sizes().divided(1000)
STREAM = b"".join(stream_pieces(3))


def test_parts_are_counted_however_they_are_cut() -> None:
    assert PartCounter().feed(STREAM) == 3
    for cut in range(len(STREAM) + 1):
        counter = PartCounter()
        assert counter.feed(STREAM[:cut]) + counter.feed(STREAM[cut:]) == 3
    counter = PartCounter()
    assert sum(counter.feed(STREAM[at : at + 1]) for at in range(len(STREAM))) == 3


def test_an_empty_part_is_none() -> None:
    # As LiteLLM's proxy begins a stream.
    assert PartCounter().feed(b'"delta":{"content":"","role":"assistant"}') == 0


class Refusal(BaseHTTPRequestHandler):
    """A gateway that answers every call with 500."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_error(500)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_gateway_that_refuses_is_told_by_its_first_line() -> None:
    async def call_and_stream(port: int) -> None:
        driver = GatewayDriver(port, {"x-one": "two"})
        with pytest.raises(ValueError, match=r"answers with HTTP/1\.0 500 Internal"):
            await driver.call()
        with pytest.raises(ValueError, match=r"answers a stream with HTTP/1\.0 500 Internal"):
            await anext(driver.stream(1, 0))
        await driver.close()

    with HTTPServer(("127.0.0.1", 0), Refusal) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            asyncio.run(call_and_stream(server.server_port))
        finally:
            server.shutdown()
            thread.join()


class OneAnswer(BaseHTTPRequestHandler):
    """A gateway that answers a call and then hangs up, as they do after some idle seconds."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = TEXT.encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_connection_that_was_closed_while_idle_is_not_used_again() -> None:
    async def call_twice(port: int) -> None:
        client = RawClient(port=port)
        await client.call(post(b"{}"))
        while not client.idle[0].is_lost:  # noqa: ASYNC110 - the loop itself tells
            await asyncio.sleep(0.01)
        assert await client.call(post(b"{}")) == TEXT.encode()
        client.close()

    with HTTPServer(("127.0.0.1", 0), OneAnswer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            asyncio.run(call_twice(server.server_port))
        finally:
            server.shutdown()
            thread.join()


def test_what_fails_is_said_and_the_rest_is_measured(tmp_path: Path) -> None:
    cores = choose_cores()
    with fake_provider(cores, tmp_path) as port:
        job = Job("gateway", port, SMALLEST, may_fail=True, router_port=port)
        good = run_load(job, cores.load)
        job = msgspec.structs.replace(job, router_port=free_port())
        bad = run_load(job, cores.load)
    assert good.failed == {}
    assert {"call_p50_us", "paced_part_caller_cpu_us", "hang_up_p50_us"} < set(good.numbers)
    assert bad.numbers == {}
    assert len(bad.failed) == 6
    assert all(reason.startswith("Connection") for reason in bad.failed.values())
    with pytest.raises(Broken, match="the caller gateway failed"):
        run_load(msgspec.structs.replace(job, may_fail=False), cores.load)


def test_outcomes_are_joined() -> None:
    both = Outcome({"a": 1.0}, {"x": "y"}) | Outcome({"b": 2.0}, {})
    assert both == Outcome({"a": 1.0, "b": 2.0}, {"x": "y"})


@pytest.mark.parametrize("name", PEERS)
def test_one_that_is_not_there_is_left_out_in_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    reason = missing(PEERS[name])
    assert reason is not None
    assert "\n" not in reason
    assert reason.startswith(f"{PEERS[name].title}: left out, ")
    folder = tmp_path / PEERS[name].place
    folder.mkdir()
    (folder / peers.STAMP).write_text("another lock")
    assert missing(PEERS[name]) == reason
    (folder / peers.STAMP).write_text(peers.digest(PEERS[name].place))
    assert is_installed(PEERS[name].place)


def test_one_that_cannot_be_installed_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    monkeypatch.setattr(install_peers, "FOLDER", tmp_path)
    monkeypatch.setattr(install_peers, "PEERS", {"portkey": PEERS["portkey"]})
    monkeypatch.setenv("PATH", "/nowhere")
    assert install_peers.main() == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "installing portkey into .peers"
    assert said[1].startswith("portkey cannot be installed and is left out: ")
    assert len(said) == 2
    assert not is_installed("portkey")


def test_a_ratio_is_written_in_full() -> None:
    assert [two_digits(value) for value in (0.126, 9.94, 22.4, 152.0)] == [
        "0.13",
        "9.9",
        "22",
        "152",
    ]


def made_up(scale: float) -> Run:
    """Return a run in which a library takes twice what routerd does and a gateway fails."""
    routerd = {
        "call_p50_us": 100 * scale,
        "call_cpu_us": 50 * scale,
        "calls_per_second": 1000.0,
        "idle_pss_mb": 40.0,
    }
    library = {key: 2 * value for key, value in routerd.items()}
    return {
        "machine": {"reference_us": 4000.0},
        "relay": {"call_p50_us": 10 * scale, "call_cpu_us": 5 * scale},
        "routerd": routerd,
        "tensorzero": library | {"calls_per_second": 500.0},
        "portkey": {"call_p50_us": 300.0} if scale == 1 else {},
    }


def test_the_table_has_ratios_within_runs_and_says_what_is_missing() -> None:
    runs = [made_up(1), made_up(3)]
    failures = [
        {"portkey": {"calls at once": "TimeoutError"}},
        {"portkey": {"calls at once": "TimeoutError", "one call": "TimeoutError"}},
    ]
    what = {"tensorzero": "1.2: embedded", "portkey": "3.4: a gateway"}
    printed = beside_peers(runs, failures, what, ["LiteLLM: left out, it is not installed"])
    lines = printed.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    assert rows[0] == ["", "relay", "routerd", "TensorZero", "Portkey"]
    found = {row[0]: row[1:] for row in rows[1:]}
    assert found["one call, p50, µs"] == ["20 ±50%", "200 ±50%", "400 ±50%", "300"]
    assert found["CPU a call, caller and router, 64 at once, µs"][-2:] == ["200 ±50%", "failed"]
    # Of the runs that have both.
    assert found["one call, p50"] == ["2", "3"]
    assert found["idle memory of the router or its process (PSS)"] == ["2", ""]
    # More of them is better.
    assert found["calls a second, 64 at once: routerd's over theirs"] == ["2", ""]
    assert lines[-6:] == [
        "- TensorZero 1.2: embedded",
        "- Portkey 3.4: a gateway",
        "- Portkey has no figure of calls at once in 2 of 2 runs: TimeoutError",
        "- Portkey has no figure of one call in 1 of 2 runs: TimeoutError",
        "- LiteLLM: left out, it is not installed",
        f"- {LEFT_OUT}",
    ]
    measured = to_data(runs, {})["measures"]["call_cpu_us"]
    assert measured["ratios"]["tensorzero_to_routerd"]["values"] == (2.0, 2.0)
    assert set(measured["systems"]) == {"relay", "routerd", "tensorzero"}
