"""One record, told to a person: who asked, what was decided and why, and how it ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from routerd.cli.tables import milliseconds, print_table, printable
from routerd.models.pricing import format_cents
from routerd.models.rooms import amount_text
from routerd_proto.frames import Part, TextDelta, ToolCallStarted

__all__ = ["cost_text", "print_record", "print_texts", "time_text"]


def time_text(nanoseconds: int) -> str:
    """Write a time of the wall clock, UTC."""
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")


def cost_text(record: dict[str, Any]) -> str:
    """Write what a call or an attempt cost; an unknown price is never shown as zero."""
    if record["cost_nanodollars"] is None:
        return "unknown"
    about = "~" if record["cost_basis"] == "estimated" else ""
    return about + format_cents(record["cost_nanodollars"])


def print_record(record: dict[str, Any]) -> None:
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
        print(f"facts      {_facts(record['features'])}")
    plan = record["plan"]
    if plan:
        print(f"rule       {plan['rule']}")
    print(f"end        {_end(record)}")
    print(f"cost       {cost_text(record)} ({record['cost_basis']})")
    own_us = record["total_us"] - record["upstream_us"] - record["waited_us"]
    print(
        f"time       first content {milliseconds(record['first_content_us'])}, "
        f"total {milliseconds(record['total_us'])}, of it "
        f"{milliseconds(own_us)} in routerd"
    )
    if record["cached"]:
        print("kept       given again from an identical call; no provider was asked")
    for line in _money(record):
        print(f"money      {printable(line)}")
    for note in record["notes"]:
        print(f"note       {printable(note)}")
    if plan:
        print()
        _print_plan(plan)
    if record["attempts"]:
        print()
        _print_attempts(record["attempts"])


def _facts(features: dict[str, Any]) -> str:
    facts = [f"about {features['input_tokens']} tokens in", features["sensitivity"]]
    facts += [
        f"{features[name]} {name}" for name in ("images", "documents", "tools") if features[name]
    ]
    facts += [
        name.replace("_", " ")
        for name in ("forced_tool", "output_schema", "prefill")
        if features[name]
    ]
    return ", ".join(facts)


def _end(record: dict[str, Any]) -> str:
    if record["error_code"]:
        text = f"failed: {record['error_code']}"
    else:
        text = f"{record['finish']}, answered by {record['deployment']}"
    if record["degraded"]:
        text += f", degraded: {record['degraded']}"
    return text + (", simulated" if record["simulated"] else "")


def _money(record: dict[str, Any]) -> list[str]:
    """Say what the budgets had at the moment of the decision, and whom they did not let serve."""
    rooms = record["snapshot"]["rooms"] if record["snapshot"] else []
    lines = [
        f"{room['budget']} ({room['scope']}): {amount_text(room['unit'], room['spent'])} spent and "
        f"{amount_text(room['unit'], room['held'])} held of "
        f"{amount_text(room['unit'], room['limit'])}"
        for room in rooms
        if room["provider"] is None and room["model"] is None
    ]
    return lines + [f"skipped {item['deployment']}: {item['detail']}" for item in record["skipped"]]


def _print_plan(plan: dict[str, Any]) -> None:
    rows = [
        (
            ("primary", "backup", "secondary backup")[number],
            route["deployment"],
            route["degraded"] or "",
        )
        for number, route in enumerate(plan["routes"])
    ]
    rows += [
        (f"not: {item['code']}", item["deployment"], item["detail"]) for item in plan["dropped"]
    ]
    print_table(("candidate", "deployment", "why"), rows)


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
            milliseconds(attempt["ended_us"]),
        )
        for number, attempt in enumerate(attempts, 1)
    ]
    headings = ("#", "attempt", "deployment", "status", "end", "held", "cost")
    print_table((*headings, "started", "first", "ended"), rows)


def _held_text(attempt: dict[str, Any]) -> str:
    held = attempt["held_nanodollars"]
    return "-" if held is None else format_cents(held)


def print_texts(texts: dict[str, Any]) -> None:
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
