"""How late the event loop is: a timer that looks, and ends with who asked for it."""

from __future__ import annotations

import anyio

from routerd.telemetry.lag import LoopLag
from tests.daemon.execute.scripted import until


async def test_it_looks_again_and_again_and_stops() -> None:
    with LoopLag(interval=0.001) as lag:
        assert lag.report()["count"] == 0
        await until(lambda: (lag.report()["count"] or 0) >= 5)
    report = lag.report()
    assert report["p50_us"] is not None
    assert report["max_us"] is not None
    assert 0 <= report["p50_us"] <= report["max_us"]
    await anyio.sleep(0.02)
    assert lag.report() == report
