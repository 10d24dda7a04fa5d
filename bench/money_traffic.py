"""A month of calls that were never made: who made them, what served them, what they cost.

Rules of this file: the same numbers each time, from a generator with a seed. A few users make most
of the calls and a few models serve most of them, as everywhere; no name is anybody's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from routerd.domain import (
    Attempt,
    BudgetRoom,
    Dropped,
    Features,
    Intent,
    Plan,
    Record,
    Route,
    Snapshot,
    Usage,
)

__all__ = [
    "MONTH",
    "MONTH_NS",
    "NEXT_MONTH",
    "Caller",
    "a_caller",
    "full_record",
    "intents_of",
    "month_of_calls",
    "provider_of",
]

MONTH: Final = date(2026, 11, 1)
NEXT_MONTH: Final = date(2026, 12, 1)
MONTH_NS: Final = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * 1_000_000_000
DAYS_NS: Final = (NEXT_MONTH - MONTH).days * 86_400 * 1_000_000_000

TENANTS: Final = 50
TEAMS: Final = 4
USERS: Final = 20_000
MODELS: Final = 12
PROVIDERS: Final = 4
TASKS: Final = 5
SEED: Final = 3


class Caller(NamedTuple):
    """Who makes a call, for what, and which model serves it."""

    tenant: str
    team: str
    agent: str
    user: str
    feature: str
    task: str
    model: str


def a_caller(chance: random.Random, users: int = USERS) -> Caller:
    """Draw a call: the user of rank n, and of a task the model of rank n, in one over n of them."""
    user = int(users ** chance.random())
    task = chance.randrange(TASKS)
    rank = int((MODELS + 1) ** chance.random()) - 1
    tenant = user % TENANTS
    return Caller(
        tenant=f"tenant-{tenant}",
        team=f"team-{tenant}-{user // TENANTS % TEAMS}",
        agent=f"agent-{task}",
        user=f"user-{user:05}",
        feature=f"feature-{task}",
        task=f"task-{task}",
        model=f"model-{(2 * task + rank) % MODELS:02}",
    )


def provider_of(model: str) -> str:
    """Return who serves a model."""
    return f"provider-{int(model[-2:]) % PROVIDERS}"


def month_of_calls(count: int) -> Iterator[Record]:
    """Yield so many calls, spread evenly over the month, each with what totals are made of."""
    chance = random.Random(SEED)
    for number in range(count):
        record = _begin(number, MONTH_NS + number * DAYS_NS // count, a_caller(chance))
        record.attempts.append(_answered(record.model, chance.randrange(100, 4000)))
        yield record


def full_record(number: int, chance: random.Random, *, snapshot: bool) -> Record:
    """Return a call with all that a record says: a failed attempt, an answer, reasons, numbers."""
    record = _begin(number, MONTH_NS + number * 1_000_000, a_caller(chance))
    model, provider, deployment = record.model, record.provider, record.deployment
    other = f"model-{(int(model[-2:]) + 1) % MODELS:02}"
    failed = Attempt(
        deployment=f"{provider_of(other)}/{other}",
        model=other,
        provider=provider_of(other),
        server="provider.example:443",
        reason="first",
        started_us=300,
        headers_us=90_000,
        ended_us=95_000,
        status=429,
        error_class="rate_limit",
        error_code="rate_limit_exceeded",
        error_phase="headers",
        retry_after=20.0,
        cost_nanodollars=0,
        cost_basis="measured",
    )
    answered = _answered(model, chance.randrange(100, 4000))
    answered.reason, answered.started_us, answered.headers_us = "fallback", 95_100, 250_000
    answered.first_content_us, answered.ended_us = 350_100, 1_400_000
    answered.answered_model, answered.response_id = f"{model}-2611", f"cmpl-{number}"
    record.attempts += [failed, answered]
    record.features = Features(input_tokens=120, max_output_tokens=500)
    record.plan = Plan(
        target=record.target,
        rule=f"the shortcut {record.target} is the class flagship",
        model_class="flagship",
        routes=(
            Route(failed.deployment, other, failed.provider),
            Route(deployment, model, provider),
        ),
        dropped=(
            Dropped("local/tiny", "window", f"about {number} tokens in, takes 100"),
            Dropped("groq/gpt", "provider_not_configured", "no key or address for groq"),
        ),
    )
    record.usage = answered.usage
    record.cost_nanodollars, record.cost_basis = answered.cost_nanodollars, "measured"
    record.first_content_us, record.total_us, record.upstream_us = 350_100, 1_400_200, 1_399_600
    record.skipped.append(Dropped("openai/mini", "budget", "5 of 5 calls are spent", "team"))
    if snapshot:
        record.snapshot = _snapshot(record)
    return record


def intents_of(record: Record) -> list[Intent]:
    """Return what is written down before each attempt of a record."""
    return [
        Intent(
            decision_id=record.decision_id,
            number=number,
            call_id=record.call_id,
            peer_uid=record.peer_uid,
            at_ms=(record.received_at_ns + attempt.started_us * 1000) // 1_000_000,
            target=record.target,
            stream=record.stream,
            deployment=attempt.deployment,
            model=attempt.model,
            provider=attempt.provider,
            server=attempt.server,
            reason=attempt.reason,
            held_nanodollars=2_000_000,
            input_tokens=200,
            output_tokens=500,
            model_class="flagship",
            tenant=record.tenant,
            team=record.team,
            agent=record.agent,
            user=record.user,
            feature=record.feature,
            task=record.task,
        )
        for number, attempt in enumerate(record.attempts, 1)
    ]


def _begin(number: int, at_ns: int, caller: Caller) -> Record:
    decision_id = f"{at_ns // 1_000_000:012x}{number:020x}"
    provider = provider_of(caller.model)
    return Record(
        decision_id=decision_id,
        call_id=f"call-{number}",
        received_at_ns=at_ns,
        target=f"shortcut-{caller.task[-1]}",
        stream=True,
        tenant=caller.tenant,
        team=caller.team,
        agent=caller.agent,
        user=caller.user,
        feature=caller.feature,
        task=caller.task,
        trace_id=decision_id,
        peer_uid=1000,
        finish="stop",
        model=caller.model,
        deployment=f"{provider}/{caller.model}",
        provider=provider,
    )


def _answered(model: str, tokens: int) -> Attempt:
    provider = provider_of(model)
    return Attempt(
        deployment=f"{provider}/{model}",
        model=model,
        provider=provider,
        server="provider.example:443",
        reason="first",
        started_us=300,
        status=200,
        finish="stop",
        usage=Usage(tokens, tokens // 5, 3, 4, tokens // 2, tokens // 10),
        cost_nanodollars=tokens * 1_234,
        cost_basis="measured",
        held_nanodollars=tokens * 2_000,
    )


def _snapshot(record: Record) -> Snapshot:
    """Return what a decision under nine caps saw, as it stands in the record."""
    scopes = (record.tenant, record.team, record.agent, record.user, record.feature)
    return Snapshot(
        now=record.received_at_ns / 1e9,
        rooms=tuple(
            BudgetRoom(
                budget=f"budget-{number}",
                scope=f"tenant {scopes[number % len(scopes)]}",
                unit="nanodollars",
                limit=1_000_000_000_000,
                spent=123_456_789_012,
                held=2_000_000,
                soft=800_000_000_000,
                resets_at=1_796_083_200.0,
            )
            for number in range(9)
        ),
    )
