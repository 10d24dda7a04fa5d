"""Records as a pipeline would leave them: one call with a failed attempt and an answer."""

from __future__ import annotations

from typing import Any, get_type_hints

from hypothesis import strategies as st
from msgspec import structs

from routerd.domain import (
    Attempt,
    BudgetRoom,
    Dropped,
    Features,
    FreeQuota,
    Intent,
    Plan,
    Record,
    Route,
    Snapshot,
    Usage,
)
from tests.proto.arbitrary import TEXT, values_of

__all__ = ["NOON_NS", "any_record", "decision_id", "full_record", "intent_of", "small_record"]

# 2026-11-20, 12:00 UTC.
NOON_NS = 1_795_176_000_000_000_000


def decision_id(number: int, *, tail: int = 0) -> str:
    """Return an id whose first 12 digits are a time in milliseconds, as real ones are."""
    return f"{NOON_NS // 1_000_000 + number:012x}{tail:020x}"


def small_record(number: int = 0, **changes: Any) -> Record:
    return Record(
        decision_id=changes.pop("decision_id", decision_id(number)),
        call_id=changes.pop("call_id", f"call-{number}"),
        received_at_ns=NOON_NS + number * 1_000_000,
        target="smart",
        stream=True,
        **changes,
    )


def full_record(number: int = 0, **changes: Any) -> Record:
    failed = Attempt(
        deployment="openai/gpt",
        model="gpt",
        provider="openai",
        server="api.openai.com:443",
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
    answered = Attempt(
        deployment="mistral/large",
        model="large",
        provider="mistral",
        server="api.mistral.ai:443",
        reason="fallback",
        started_us=95_100,
        headers_us=250_000,
        first_content_us=350_100,
        streamed=True,
        ended_us=1_400_000,
        status=200,
        finish="stop",
        usage=Usage(100, 20, 3, 4, 50, 10),
        cost_nanodollars=1_234_567,
        cost_basis="measured",
        answered_model="large-2611",
        response_id="cmpl-1",
        held_nanodollars=2_000_000,
    )
    record = small_record(
        number,
        tenant="acme",
        team="search",
        agent="tagger",
        user="u-17",
        feature="tags",
        task="extract",
        features=Features(input_tokens=120, max_output_tokens=500),
        plan=Plan(
            target="smart",
            rule="the shortcut smart is the class flagship",
            model_class="flagship",
            routes=(
                Route("openai/gpt", "gpt", "openai"),
                Route("mistral/large", "large", "mistral"),
            ),
            dropped=(
                Dropped("local/tiny", "window", "about 120 tokens in, takes 100"),
                Dropped("groq/gpt", "provider_not_configured", "no key or address for groq"),
            ),
        ),
        attempts=[failed, answered],
        finish="stop",
        model="large",
        deployment="mistral/large",
        provider="mistral",
        usage=answered.usage,
        cost_nanodollars=1_234_567,
        cost_basis="measured",
        first_content_us=350_100,
        total_us=1_400_200,
        upstream_us=1_399_600,
        peer_uid=1000,
        skipped=[Dropped("openai/mini", "budget", "5 of 5 calls are spent", "team")],
        arm="control",
    )
    record.trace_id = record.decision_id
    return structs.replace(record, **changes)


def intent_of(record: Record, number: int = 1, /, **changes: Any) -> Intent:
    """Return what was written before an attempt of a record was sent."""
    attempt = record.attempts[number - 1]
    intent = Intent(
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
        held_nanodollars=attempt.held_nanodollars,
        input_tokens=200,
        output_tokens=500,
        model_class=record.plan.model_class if record.plan is not None else None,
        tenant=record.tenant,
        team=record.team,
        agent=record.agent,
        user=record.user,
        feature=record.feature,
        task=record.task,
    )
    return structs.replace(intent, **changes)


def any_record(text: st.SearchStrategy[str] = TEXT) -> st.SearchStrategy[Record]:
    """Return records with `text` wherever text may stand, and every list of any length."""
    seconds = st.floats(allow_nan=False, allow_infinity=False)
    attempt = _built(Attempt, text, retry_after=st.none() | seconds)
    dropped = _built(Dropped, text, code=text | st.sampled_from(("retired", "boundary", "budget")))
    plan = _built(Plan, text, dropped=st.lists(dropped, max_size=3).map(tuple))
    snapshot = _built(
        Snapshot,
        text,
        now=seconds,
        rooms=st.lists(_built(BudgetRoom, text, resets_at=seconds), max_size=1).map(tuple),
        free=st.lists(_built(FreeQuota, text, resets_at=seconds), max_size=1).map(tuple),
        unhealthy_seconds=st.dictionaries(text, seconds, max_size=2),
        last_resorts=st.lists(text, max_size=2).map(tuple),
    )
    return _built(
        Record,
        text,
        features=st.none() | _built(Features, text, seconds=seconds),
        plan=st.none() | plan,
        attempts=st.lists(attempt, max_size=2),
        snapshot=st.none() | snapshot,
    )


def _built(
    kind: Any, text: st.SearchStrategy[str], **known: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    others = {
        name: values_of(hint, text)
        for name, hint in get_type_hints(kind).items()
        if name not in known
    }
    return st.builds(kind, **others, **known)
