"""`routerd status | ask | calls`: what a running daemon is asked over its socket."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from msgspec import structs

from routerd.cli.tables import dimmed, milliseconds, print_json, print_table, spread_text
from routerd.errors import StartError
from routerd_client import Client, DaemonUnavailable, Reply, RouterdError

__all__ = ["configure"]

PROBE_SECONDS = 3
ALIVE = {"router_overloaded", "shutting_down"}

EPILOGS = {
    "status": """\
Shows the socket, the ledger, the calls so far, and each provider with its boundary
(where text sent there ends up) and the number of deployments that it serves here.

For health checks: --live asks whether the event loop turns, --ready whether calls
are served. Both answer by the exit code, print one word (none with --quiet) and do
not wait for a daemon that is starting. No provider is asked: an outage there is a
matter of routing, not of restarting.""",
    "ask": """\
The answer goes to standard output as it comes, what it took to standard error.

  routerd ask smart "Why do routers fail over?"
  git diff | routerd ask code --system "Review this."
  routerd ask fast --image photo.png "What is this?"
  routerd ask extract --schema ticket.json < mail.txt""",
    "calls": """\
The newest call comes first. "end" says why the answer stopped, or the error that
ended the call. `routerd explain DECISION` tells the whole story of one.

  routerd calls --tenant acme --error any          what went wrong for a tenant
  routerd calls --cost-above 50 --since 2026-11    the dear ones of a month""",
}
ASK_NAMES = {
    "tenant": "who spends",
    "team": "whose team",
    "agent": "which agent",
    "user": "for whom",
    "feature": "for what part of an app",
    "task": "what for",
    "session": "its calls stay at one deployment",
    "region": "only deployments in this region",
}
ASK_OPTIONS = (
    "sensitivity",
    "max_output_tokens",
    "timeout",
    "latency",
    "max_cost_cents",
    "flags",
    "critical",
)
CALL_FILTERS = {
    "tenant": "who spent",
    "team": "whose team spent",
    "agent": "which agent asked",
    "user": "for whom it was",
    "feature": "what part of an app asked",
    "task": "what it was for",
    "model": "which model answered",
    "provider": "which provider answered",
    "target": "what was asked for",
}


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of a verb."""
    parser.set_defaults(run=globals()[verb], verb=verb)
    parser.epilog = EPILOGS[verb]
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--socket", metavar="PATH", help="the daemon's socket")
    if verb == "status":
        parser.add_argument("--ready", action="store_true", help="exit 0 if calls are served")
        parser.add_argument("--live", action="store_true", help="exit 0 if the daemon answers")
        parser.add_argument("--quiet", action="store_true", help="print nothing")
    if verb == "ask":
        _configure_ask(parser)
    if verb == "calls":
        _configure_calls(parser)
    if verb != "ask":
        parser.add_argument("--json", action="store_true", help="print JSON")


def _configure_ask(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", help="a shortcut, a class or a model: see `routerd shortcuts`")
    parser.add_argument("text", nargs="?", help="the message; - or nothing reads standard input")
    parser.add_argument("--system", metavar="TEXT", help="a system message")
    parser.add_argument("--image", metavar="FILE", type=Path, help="a picture to send along")
    parser.add_argument("--schema", metavar="FILE", type=Path, help="a JSON schema to answer in")
    for name, text in ASK_NAMES.items():
        parser.add_argument(f"--{name}", metavar="NAME", help=text)
    parser.add_argument(
        "--sensitivity",
        choices=("public", "internal", "private"),
        help="how far the text may go: anywhere, your own network, or this machine",
    )
    parser.add_argument("--max-output-tokens", type=int, metavar="N", help="length of the answer")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="for the whole call")
    parser.add_argument(
        "--latency",
        type=_latency,
        metavar="WAIT",
        help="how long the first content may take: interactive, batch, or milliseconds",
    )
    parser.add_argument(
        "--max-cost-cents", type=float, metavar="CENTS", help="what the call may cost at most"
    )
    parser.add_argument(
        "--flag", dest="flags", action="append", metavar="FLAG", help="for your rules; repeatable"
    )
    parser.add_argument(
        "--critical", action="store_const", const=True, help="stay, also when money runs short"
    )
    parser.add_argument("--json", action="store_true", help="print the whole reply as JSON")


def _latency(text: str) -> str | int:
    if text in ("interactive", "batch"):
        return text
    try:
        return int(text)
    except ValueError:
        message = f"expected interactive, batch or whole milliseconds, not {text!r}"
        raise argparse.ArgumentTypeError(message) from None


def _configure_calls(parser: argparse.ArgumentParser) -> None:
    from routerd.cli.typed import cents, moment  # noqa: PLC0415 - `status` never needs it

    parser.add_argument("--limit", type=int, default=20, help="how many (default 20)")
    for name, text in CALL_FILTERS.items():
        parser.add_argument(f"--{name}", metavar="NAME", help=f"only where this is {text}")
    parser.add_argument(
        "--error", metavar="CODE", help="only calls that ended with this error, or with `any`"
    )
    parser.add_argument(
        "--since", type=moment, metavar="TIME", help="from this day, month or time (UTC) on"
    )
    parser.add_argument(
        "--until", type=moment, metavar="TIME", help="up to before this day, month or time (UTC)"
    )
    parser.add_argument(
        "--cost-above", type=cents, metavar="CENTS", help="only calls that cost more than this"
    )


def _client(arguments: argparse.Namespace, patience: float = 2.0) -> Client:
    return Client(arguments.socket, connect_patience=patience)


def status(arguments: argparse.Namespace) -> int:
    """Show the state of the daemon, or answer a health check by the exit code."""
    probe = arguments.ready or arguments.live or arguments.quiet
    if probe:
        # A probe that waits hides what it is to show: a loop that hangs ends the probe.
        signal.signal(signal.SIGALRM, _give_up)
        signal.alarm(PROBE_SECONDS)
    try:
        with _client(arguments, patience=0 if probe else 2.0) as client:
            report = client.command("status")
    except DaemonUnavailable:
        if probe and arguments.quiet:
            return 3
        raise
    except RouterdError as error:
        # Whoever says that it is full or stopping is alive.
        if arguments.live and error.code in ALIVE:
            return 0
        raise
    serving = report["ready"] and not report["draining"]
    if not arguments.quiet:
        if arguments.json:
            print_json(report)
        elif probe:
            print("ready" if serving else "not ready")
        else:
            _print_status(report)
    return 0 if arguments.live or serving else 1


def _give_up(_number: int, _frame: object) -> NoReturn:
    sys.exit(f"routerd: no answer within {PROBE_SECONDS} seconds")


def _print_status(report: dict[str, Any]) -> None:
    # A probe needs neither.
    from routerd.cli.health_state import health_text, print_health  # noqa: PLC0415
    from routerd.cli.money_state import print_money  # noqa: PLC0415

    state = "draining" if report["draining"] else "ready" if report["ready"] else "starting"
    ledger = report["ledger"]
    print(
        f"routerd {report['version']}, {state}, pid {report['pid']}, "
        f"up {report['uptime_seconds']:.0f} s"
    )
    print(f"socket         {report['socket']}")
    print(f"configuration  {report['configuration'] or 'none: what was found'}")
    if report["needs_restart"]:
        print(f"needs restart  {', '.join(report['needs_restart'])}: changed, not in force")
    if report["reload_refused"]:
        print(f"reload refused {report['reload_refused']}")
    print(f"ledger         {ledger['path']}{' (degraded)' if ledger['degraded'] else ''}")
    print(
        f"calls          {report['calls_served']} served, {report['calls_in_flight']} in flight, "
        f"{report['calls_waiting']} waiting, "
        f"{report['connections']} connections, {ledger['records_lost']} records lost, "
        f"{ledger['intents_lost']} intents lost"
    )
    print(f"overhead       {spread_text(report['overhead'], 'calls')}")
    print(f"loop lag       {spread_text(report['loop_lag'], 'looks')}")
    print()
    places = {row["provider"]: row for row in report["places"]["providers"]}
    rows = [
        (
            item["name"] + (" (simulated)" if item["simulated"] else ""),
            item["adapter"],
            item["server"],
            item["boundary"],
            str(item["deployments"]),
            _places(places.get(item["name"])),
            health_text(report, item["name"]),
        )
        for item in report["providers"]
    ]
    heads = ("provider", "adapter", "server", "boundary", "deployments", "in flight", "health")
    print_table(heads, rows)
    print_health(report)
    print_money(report)


def _places(row: dict[str, Any] | None) -> str:
    """Say how full a provider is."""
    if row is None:
        return "-"
    waiting = f", {row['waiting']} waiting" if row["waiting"] else ""
    return f"{row['running']} of {row['max']}{waiting}"


def ask(arguments: argparse.Namespace) -> int:
    """Send one call; the answer comes on stdout, what it took on stderr."""
    options: dict[str, Any] = {
        name: value
        for name in (*ASK_NAMES, *ASK_OPTIONS)
        if (value := getattr(arguments, name)) is not None
    }
    if arguments.schema:
        options["output_schema"] = _schema(arguments.schema)
    messages = _messages(arguments)
    with _client(arguments) as client:
        if arguments.json:
            print_json(_plain(client.complete(arguments.target, messages, **options)))
            return 0
        written = ""
        with client.stream(arguments.target, messages, **options) as stream:
            try:
                for written in stream.text:
                    sys.stdout.write(written)
                    sys.stdout.flush()
            finally:
                if written:
                    print(flush=True)
        if stream.reply.refusal:
            print(f"refused: {stream.reply.refusal}", file=sys.stderr)
        print(dimmed(_summary(stream.reply), sys.stderr), file=sys.stderr)
    return 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StartError(f"cannot read {path}: {error.strerror}.") from error


def _schema(path: Path) -> Any:
    try:
        return json.loads(_read(path))
    except ValueError as error:
        raise StartError(f"{path} is not JSON: {error}.") from error


def _messages(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    text = arguments.text
    if text is None or text == "-":
        # As UTF-8 whatever the locale says: that is what a model is sent.
        text = sys.stdin.buffer.read().decode(errors="replace")
    content: str | list[dict[str, Any]] = text
    if arguments.image:
        kind = arguments.image.suffix.lower().removeprefix(".").replace("jpg", "jpeg")
        data = _read(arguments.image)
        picture = {"type": "image", "data": data, "media_type": f"image/{kind}"}
        content = [{"type": "text", "text": text}, picture]
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if arguments.system:
        messages.insert(0, {"role": "system", "content": arguments.system})
    return messages


def _plain(reply: Reply) -> dict[str, Any]:
    return {
        "text": reply.text,
        "finish": reply.finish,
        "tool_calls": [
            {"id": call.id, "name": call.name, "arguments": call.arguments}
            for call in reply.tool_calls
        ],
        "model": reply.model,
        "deployment": reply.deployment,
        "decision_id": reply.decision_id,
        "cost_nanodollars": reply.cost_nanodollars,
        "cost_basis": reply.cost_basis,
        # On the wire it is a list of numbers without names.
        "usage": structs.asdict(reply.usage) if reply.usage else None,
        "attempts": reply.attempts,
        "degraded": reply.degraded,
        "cached": reply.cached,
        "simulated": reply.simulated,
        "notes": reply.notes,
        "first_content_seconds": reply.first_content_seconds,
        "total_seconds": reply.total_seconds,
    }


def _summary(reply: Reply) -> str:
    first = reply.first_content_seconds
    facts = [
        reply.deployment,
        _cents(reply),
        f"first token {first * 1000:.0f} ms" if first is not None else "",
        f"total {reply.total_seconds * 1000:.0f} ms",
        f"{reply.attempts} attempts" if reply.attempts > 1 else "",
        f"ended by {reply.finish}" if reply.finish != "stop" else "",
        f"degraded: {reply.degraded}" if reply.degraded else "",
        "the answer of an identical call" if reply.cached else "",
        "simulated" if reply.simulated else "",
        f"routerd explain {reply.decision_id}",
    ]
    return " · ".join(fact for fact in facts if fact)


def _cents(reply: Reply) -> str:
    from routerd.models.pricing import format_cents  # noqa: PLC0415 - `status` never needs it

    if reply.cost_nanodollars is None:
        return "cost unknown"
    estimated = "about " if reply.cost_basis == "estimated" else ""
    return estimated + format_cents(reply.cost_nanodollars)


def calls(arguments: argparse.Namespace) -> int:
    """List the last calls, the newest first."""
    asked = {name: getattr(arguments, name) for name in (*CALL_FILTERS, "error")}
    asked |= {"since_ms": arguments.since, "until_ms": arguments.until}
    asked["above_nanodollars"] = arguments.cost_above
    given = {name: value for name, value in asked.items() if value is not None}
    with _client(arguments) as client:
        records = client.command("calls", limit=arguments.limit, **given)
    if arguments.json:
        print_json(records)
        return 0
    from routerd.cli.explaining import cost_text, time_text  # noqa: PLC0415 - as above

    rows = [
        (
            record["decision_id"],
            time_text(record["received_at_ns"]),
            record["target"],
            record["deployment"] or "-",
            record["error_code"] or record["finish"],
            str(len(record["attempts"])),
            cost_text(record),
            milliseconds(record["first_content_us"]),
            milliseconds(record["total_us"]),
        )
        for record in records
    ]
    headings = ("decision", "time", "target", "deployment", "end", "attempts", "cost")
    print_table((*headings, "first token", "total"), rows)
    return 0
