"""A gateway that misbehaves, in front of the bench's provider: what a peer may do to the bench.

    python -m tests.bench.stand_in_gateway PORT PROVIDER_PORT BEHAVIOUR

It passes bytes on. The behaviours: `well`; `absent` ends at once; `dies` and `refuses` do so at the
first burst; `hangs` says nothing to who asks for five parts, one by one; `stubborn` does not end
when it is told to, nor does what it has started.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

BURST = b",gap=0"
PACED = b"parts=5,gap=20"
REFUSAL = b"HTTP/1.1 500 Not Today\r\ncontent-length: 0\r\n\r\n"
SLEEPER = """stand_in_gateway = "a child"
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(600)
"""
CODE = 3


async def main(own: int, provider: int, behaviour: str) -> None:
    """Serve until the end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", provider)
        back = asyncio.create_task(pass_on(upstream_reader, writer))
        while data := await reader.read(65536):
            if behaviour == "dies" and BURST in data:
                os._exit(CODE)
            if behaviour == "refuses" and BURST in data:
                writer.write(REFUSAL)
            elif not (behaviour == "hangs" and PACED in data):
                upstream_writer.write(data)
        upstream_writer.close()
        await back

    server = await asyncio.start_server(serve, "127.0.0.1", own, backlog=1000)
    await server.serve_forever()


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until one side ends."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
    except OSError:
        pass
    writer.close()


if __name__ == "__main__":
    if sys.argv[3] == "absent":
        sys.exit(CODE)
    if sys.argv[3] == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", SLEEPER])
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
