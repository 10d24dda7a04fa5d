"""`routerd simulate`: a provider that speaks the real wire formats, for rehearsing outages."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Coroutine
from functools import partial

import anyio

from routerd.errors import StartError
from routerd.models import load_directory
from routerd.simulate import VENDORS, Pacing, Price, parse_fault, run

__all__ = ["configure"]

EPILOG = """\
a configuration that uses it:
  [providers.openai]
  base_url = "http://127.0.0.1:9100/openai/v1"
  simulated = true
  keyless = true
OpenAI's other format (adapter = "openai-responses") is at /openai-responses/v1; servers that speak
Chat Completions with habits of their own are at /deepseek, /groq, /mistral, /openrouter and /xai.

faults, any number of them, each KIND[:VALUE][,name=value...]:
  status:503,times=1             one answer with status 503
  status:429,retry_after=2       rate limited, and when to come back
  reset | silence                a reset before headers, or no answer at all
  cut:40 | stall:20              a stream cut or stalled after so many tokens
  reset_in_answer:40             the same with a TCP reset
  malformed | missing_end        a broken event in the middle, or a stream with no end
  missing_mark                   all but the last event of a stream
  error_in_stream:10             the vendor's own error inside a stream
  slow_first_token:20            headers at once, the first token after 20 s
  each takes vendor=, model=, times=, after_calls=, chance=0.1 (one call in ten, by chance) and
  prefilled=true (only calls that begin the answer themselves)

While it runs, GET /_simulator/account shows what it was asked and what it would bill, and POST
/_simulator/faults replaces the faults (a JSON list)."""


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    parser.set_defaults(run=simulate, verb=verb)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=9100, help="port, 0 for any (default 9100)")
    parser.add_argument(
        "--vendor",
        action="append",
        choices=sorted(VENDORS),
        help="whom to be; may be given again (default: all)",
    )
    parser.add_argument("--fault", action="append", default=[], metavar="FAULT", help="see below")
    parser.add_argument(
        "--think", type=float, default=0.3, metavar="SECONDS", help="before the answer (0.3)"
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=60,
        metavar="N",
        help="tokens a second, 0 for all at once (60)",
    )
    parser.add_argument("--tokens", type=int, metavar="N", help="length of every answer")


def simulate(arguments: argparse.Namespace) -> int:
    """Run until SIGTERM or Ctrl-C."""
    try:
        faults = [parse_fault(text) for text in arguments.fault]
        pacing = Pacing(
            think_seconds=arguments.think,
            tokens_per_second=arguments.rate,
            output_tokens=arguments.tokens,
        )
        anyio.run(
            _until_stopped,
            partial(
                run,
                host=arguments.host,
                port=arguments.port,
                vendors=arguments.vendor or sorted(VENDORS),
                faults=faults,
                pacing=pacing,
                prices=directory_prices(),
                on_ready=lambda url: print(f"simulating on {url}", flush=True),
            ),
            backend_options={"use_uvloop": True},
        )
    except ValueError as error:
        raise StartError(f"{error}. See `routerd simulate --help`.") from error
    except OSError as error:
        raise StartError(
            f"cannot listen on {arguments.host}:{arguments.port}: {error.strerror}. "
            f"Choose another --port, or 0."
        ) from error
    return 0


def directory_prices() -> dict[str, Price]:
    """Return what the directory says a call costs, for the simulator's own books."""
    prices = {
        deployment.id: Price(
            input=price.input,
            output=price.output,
            cache_read=price.cache_read,
            cache_write=price.cache_write,
            cache_write_long=price.cache_write_long,
        )
        for deployment in load_directory().deployments.values()
        if (price := deployment.price) is not None
        and price.input is not None
        and price.output is not None
    }
    # The same models in the vendor's other format, which is simulated under a name of its own.
    own = {name: price for name, price in prices.items() if name.startswith("openai/")}
    return prices | {
        f"openai-responses/{name.partition('/')[2]}": price for name, price in own.items()
    }


async def _until_stopped(serve: partial[Coroutine[None, None, None]]) -> None:
    loop = asyncio.get_running_loop()
    with anyio.CancelScope() as scope:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, scope.cancel)
        await serve()
