"""`routerd explain`: one call told to a person, and its decision made again; or one not made."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from routerd.cli.tables import milliseconds, print_json, print_table, printable
from routerd.cli.telling import facts_text, money_lines, print_plan, rule_text
from routerd.errors import StartError
from routerd.models.pricing import format_cents
from routerd_client import Client
from routerd_proto.frames import Part, TextDelta, ToolCallStarted

__all__ = ["configure", "cost_text", "time_text"]

EPILOG = """\
Shows who asked for what, the facts that were measured, the rule that decided, every
candidate with the reason for or against it, each attempt with its end and its cost,
and how long it all took. The id is in every reply, log line and trace; its beginning
is enough where no other call begins like it.

The decision is made again from what was recorded, with the policy and the directory
of then. Where something else comes out, that is said, and the exit code is 1.

  routerd explain 019ac3f2                      what happened, and why
  routerd explain --dry-run request.json        what would happen; nothing is sent
  echo '{"target": "smart", "messages": "Hi"}' | routerd explain --dry-run -

A request has `target`, `messages` and, if need be, `options`, as a client sends them.
Prompts and answers are kept only for tenants that ledger.texts_of names; root and the
daemon's own user may see them with --texts."""


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    parser.set_defaults(run=explain, verb=verb)
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--socket", metavar="PATH", help="the daemon's socket")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "decision_id", nargs="?", help="the id in the reply, or its first 8 or more digits"
    )
    which.add_argument(
        "--dry-run",
        metavar="FILE",
        help="plan the request in this file (- for standard input), and send nothing",
    )
    parser.add_argument(
        "--texts", action="store_true", help="show prompt and answer, where they are kept"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def explain(arguments: argparse.Namespace) -> int:
    """Show the decision, the attempts and the end of one call, or the plan of one not made."""
    with Client(arguments.socket, connect_patience=2.0) as client:
        if arguments.dry_run is not None:
            return _plan(client, arguments)
        record = client.command("explain", decision_id=arguments.decision_id)
        texts = None
        if arguments.texts:
            texts = client.command("texts", decision_id=record["decision_id"])
    differences = record["again"]["differences"]
    if arguments.json:
        print_json(record if texts is None else {**record, "texts": texts})
    else:
        _print_record(record)
        if texts is not None:
            _print_texts(texts)
    for difference in differences:
        print(f"routerd: DECIDED DIFFERENTLY: {printable(difference)}", file=sys.stderr)
    return 1 if differences else 0


def _plan(client: Client, arguments: argparse.Namespace) -> int:
    """Show who would serve a request; 1 where nobody would."""
    planned = client.command("plan", **_request(arguments.dry_run))
    if arguments.json:
        print_json(planned)
    else:
        print(f"asked      {planned['target']!r}; nothing is sent")
        print(f"facts      {facts_text(planned['features'])}")
        print(f"rule       {rule_text(planned['plan'])}")
        for line in money_lines(planned["snapshot"]):
            print(f"money      {printable(line)}")
        print()
        print_plan(planned["plan"])
    if planned["refusal"] is not None:
        print(f"routerd: it would be refused: {printable(planned['refusal'])}", file=sys.stderr)
        return 1
    return 0


def _request(file: str) -> dict[str, Any]:
    """Read a request; StartError says what is wrong with the file."""
    name = "standard input" if file == "-" else file
    try:
        text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise StartError(f"cannot read {name}: {error.strerror}.") from error
    try:
        request = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise StartError(f"{name} is not JSON: {error}.") from error
    if not isinstance(request, dict) or not {"target", "messages"} <= request.keys():
        raise StartError(f"{name} is no request: expected an object with `target` and `messages`.")
    return request


def time_text(nanoseconds: int) -> str:
    """Write a time of the wall clock, UTC."""
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")


def cost_text(record: dict[str, Any]) -> str:
    """Write what a call or an attempt cost; an unknown price is never shown as zero."""
    if record["cost_nanodollars"] is None:
        return "unknown"
    about = {"estimated": "~", "unknown": "at least "}.get(record["cost_basis"], "")
    return about + format_cents(record["cost_nanodollars"])


def _print_record(record: dict[str, Any]) -> None:
    """Print a record as `explain` returns it."""
    who = [
        f"{name} {record[name]}"
        for name in ("tenant", "team", "agent", "user", "feature", "task")
        if record[name]
    ]
    print(f"decision   {record['decision_id']}")
    print(f"asked      {record['target']!r} at {time_text(record['received_at_ns'])} UTC")
    print(f"for        {printable(', '.join(who)) or 'nobody named'}")
    if record["features"]:
        print(f"facts      {facts_text(record['features'])}")
    plan = record["plan"]
    if plan:
        print(f"rule       {rule_text(plan)}")
    print(f"end        {_end(record)}")
    print(f"cost       {cost_text(record)} ({record['cost_basis']})")
    print(
        f"time       first content {milliseconds(record['first_content_us'])}, "
        f"last {milliseconds(record['last_content_us'])}, "
        f"total {milliseconds(record['total_us'])}, of it "
        f"{milliseconds(record['overhead_us'])} in routerd"
    )
    _print_room(record)
    if record["cached"]:
        print("kept       given again from an identical call; no provider was asked")
    for line in money_lines(record["snapshot"]):
        print(f"money      {printable(line)}")
    print(f"again      {_again(record['again'])}")
    if record["shadow_of"]:
        print(f"copies     {record['shadow_of']}")
    for note in record["notes"]:
        print(f"note       {printable(note)}")
    if plan:
        print()
        print_plan(plan)
    if record["attempts"]:
        print()
        _print_attempts(record["attempts"])


def _print_room(record: dict[str, Any]) -> None:
    """Print what a call waited for beside its providers, and which routes had no room for it."""
    waits = (
        ("queue", "queued_us", "for a place"),
        ("pause", "waited_us", "before another attempt, or for an identical call"),
        ("reader", "reader_us", "until its caller had read"),
    )
    for label, name, why in waits:
        if record[name]:
            print(f"{label:<11}waited {milliseconds(record[name])} {why}")
    for item in record["skipped"]:
        print(f"skipped    {printable(item['deployment'])}: {printable(item['detail'])}")


def _again(again: dict[str, Any]) -> str:
    if not again["possible"]:
        return f"cannot be decided again: {printable(again['why'])}"
    if not again["differences"]:
        return "decided again from the record: the same"
    return (
        f"DECIDED DIFFERENTLY FROM WHAT WAS DONE, in {len(again['differences'])} points: see below"
    )


def _end(record: dict[str, Any]) -> str:
    if record["error_code"]:
        text = f"failed: {record['error_code']}"
    else:
        text = f"{record['finish']}, answered by {record['deployment']}"
    if record["degraded"]:
        text += f", degraded: {record['degraded']}"
    return text + (", simulated" if record["simulated"] else "")


def _print_attempts(attempts: list[dict[str, Any]]) -> None:
    rows = [
        (
            str(number),
            attempt["reason"],
            attempt["deployment"],
            str(attempt["status"] or "-"),
            attempt["error_class"] or attempt["finish"] or "-",
            _held_text(attempt),
            "free" if attempt["free"] else cost_text(attempt),
            milliseconds(attempt["started_us"]),
            milliseconds(attempt["first_content_us"]),
            milliseconds(attempt["last_content_us"]),
            milliseconds(attempt["ended_us"]),
            milliseconds(attempt["waited_us"]),
        )
        for number, attempt in enumerate(attempts, 1)
    ]
    headings = ("#", "attempt", "deployment", "status", "end", "held", "cost")
    print_table((*headings, "started", "first", "last", "ended", "waited"), rows)
    for number, attempt in enumerate(attempts, 1):
        told = _told_text(attempt)
        if told:
            print(f"{number} told     {printable(told)}")


def _told_text(attempt: dict[str, Any]) -> str:
    """Write what the provider said of an attempt beside its answer; empty where it said nothing."""
    answered = attempt["answered_model"]
    if answered and attempt["fingerprint"]:
        answered = f"{answered} ({attempt['fingerprint']})"
    told = {
        "request": attempt["request_id"],
        "answer": attempt["response_id"],
        "model": answered,
        "code": attempt["error_code"],
    }
    parts = [f"{name} {value}" for name, value in told.items() if value]
    if attempt["took_ms"] is not None:
        parts.append(f"took {attempt['took_ms']} ms")
    if attempt["headroom"] is not None:
        parts.append(f"{attempt['headroom'] / 10:g} % of its limits left")
    return ", ".join(parts)


def _held_text(attempt: dict[str, Any]) -> str:
    held = attempt["held_nanodollars"]
    return "-" if held is None else format_cents(held)


def _print_texts(texts: dict[str, Any]) -> None:
    """Print prompt and answer as `texts` returns them; what is no text is named by its type."""
    for message in texts["messages"]:
        print(f"\n[{message['role']}]")
        content = message["content"]
        for part in [{"text": content}] if isinstance(content, str) else content:
            print(_text(part.get("text") or f"({part['type']})"))
    print("\n[answer]")
    if texts["answer"] is None:
        print("(too long to be kept)")
        return
    parts = msgspec.convert(texts["answer"], list[Part])
    print(_text("".join(part.text for part in parts if isinstance(part, TextDelta))))
    for part in parts:
        if isinstance(part, ToolCallStarted):
            print(f"(calls {part.name})")


def _text(text: str) -> str:
    """Show a text of several lines, without what would change the terminal."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else "\ufffd"
        for character in text
    )
