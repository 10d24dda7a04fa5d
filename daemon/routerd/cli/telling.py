"""A decision told to a person: the facts, the rule, and every candidate with its reason.

Rules of this file: text from records of the ledger, or from the plan of a call that was not made;
both have the same shape. What a stranger wrote is printed without what moves a cursor.
"""

from __future__ import annotations

from typing import Any, Final

from routerd.cli.tables import print_table, printable
from routerd.models.pricing import format_cents
from routerd.models.rooms import amount_text

__all__ = ["facts_text", "money_lines", "print_plan", "rule_text"]

PLACES: Final = ("primary", "backup", "secondary backup")
# What put a candidate in its place, in words.
CODES: Final = {
    "order": "as listed",
    "score": "by score",
    "free_tier": "free tier",
    "headroom": "most headroom",
    "weights": "by lot",
    "price": "cheapest of equals",
    "latency": "fastest",
    "in_flight": "least busy of equals",
    "session": "session",
    "slow": "slower than the call waits",
    "other_provider": "a backup at another provider",
    "replacement": "replacement",
    "least_bad": "all are unhealthy: tried once",
    "tight_window": "too long for all by estimate: tried where it may fit",
    "last_resort": "it rests, and is tried if all others fail",
}


TOLD: Final = (
    *("forced_tool", "output_schema", "prefill", "logprobs", "reasoning", "code", "critical"),
)


def facts_text(features: dict[str, Any]) -> str:
    """Say what was measured of a call."""
    facts = [f"about {features['input_tokens']} tokens in", features["sensitivity"]]
    if features["max_output_tokens"] is not None:
        facts.append(f"at most {features['max_output_tokens']} out")
    facts += [
        f"{features[name]} {name}" for name in ("images", "documents", "tools") if features[name]
    ]
    facts += [name.replace("_", " ") for name in TOLD if features.get(name)]
    latency = features["latency"]
    if latency is not None:
        facts.append(f"within {latency} ms" if isinstance(latency, int) else latency)
    facts += [f"{name} {features[name]}" for name in ("region", "session") if features[name]]
    if features["max_nanodollars"] is not None:
        facts.append(f"for at most {format_cents(features['max_nanodollars'])}")
    facts += [f"flag {flag}" for flag in features["flags"]]
    facts += [f"words of {name}" for name, holds in features["text_rules"].items() if holds]
    return printable(", ".join(facts))


def rule_text(plan: dict[str, Any]) -> str:
    """Say what chose the candidates, and what else was settled about the call."""
    parts = [plan["rule"]]
    if plan["policy"] != "default":
        parts.append(f"policy {plan['policy']}")
    if plan["nearly_spent"]:
        parts.append(f"nearly spent: {', '.join(plan['nearly_spent'])}")
    if plan["shadows"]:
        parts.append(f"copied for {', '.join(plan['shadows'])}")
    return printable("; ".join(parts))


def money_lines(snapshot: dict[str, Any] | None) -> list[str]:
    """Say what the budgets had at the moment of the decision."""
    return [
        f"{room['budget']} ({room['scope']}): {amount_text(room['unit'], room['spent'])} spent and "
        f"{amount_text(room['unit'], room['held'])} held of "
        f"{amount_text(room['unit'], room['limit'])}"
        for room in (snapshot["rooms"] if snapshot else [])
        if room["provider"] is None and room["model"] is None
    ]


def print_plan(plan: dict[str, Any]) -> None:
    """Print every candidate that was looked at: who is tried in which place, and who is not."""
    rows = [
        (PLACES[number], route["deployment"], _why(route))
        for number, route in enumerate(plan["routes"])
    ]
    rows += [
        (f"not: {item['code']}", item["deployment"], item["detail"]) for item in plan["dropped"]
    ]
    print_table(("candidate", "deployment", "why"), rows)


def _why(route: dict[str, Any]) -> str:
    code = CODES.get(route["code"], route["code"])
    parts = [f"{code}: {route['detail']}" if route["detail"] else code]
    if route["free"]:
        parts.append("paid by a free tier")
    elif route["bound_nanodollars"] is not None:
        parts.append(f"at most {format_cents(route['bound_nanodollars'])}")
    if route["lowered_by"] is not None:
        parts.append(f"{route['max_output_tokens']} tokens out, lowered by {route['lowered_by']}")
    if route["degraded"]:
        parts.append(f"degraded: {route['degraded']}")
    return "; ".join(parts)
