"""What a model counts otherwise is learned from measured calls, within bounds, script by script."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from routerd.domain import Attempt, Features, Record, Script, Usage
from routerd.health.token_rates import (
    LEAST_RATE,
    LEAST_TOKENS,
    LEAST_WITH_TOOLS,
    MOST_RATE,
    MOST_RATES,
    TOLD_FROM,
    TokenRates,
)

ESTIMATED = 1_000
NOTHING: dict[Script, dict[str, int]] = {script: {} for script in get_args(Script)}


def record_of(attempts: list[Attempt], features: Features | None) -> Record:
    return Record(
        decision_id="d",
        call_id="c",
        received_at_ns=0,
        target="smart",
        stream=True,
        attempts=attempts,
        features=features,
    )


def called(
    counted: Usage | None, model: str = "m", basis: Any = "measured", **facts: Any
) -> Record:
    attempt = Attempt(
        deployment="d",
        model=model,
        provider="p",
        server="s",
        reason="first",
        started_us=0,
        sent=True,
        usage=counted,
        cost_basis=basis,
    )
    return record_of([attempt], Features(**{"input_tokens": ESTIMATED} | facts))


def learned(record: Record, times: int = 40) -> TokenRates:
    rates = TokenRates()
    for _ in range(times):
        rates.learn(record)
    return rates


@pytest.mark.parametrize("estimated", [LEAST_TOKENS, LEAST_WITH_TOOLS - 1, LEAST_WITH_TOOLS])
def test_a_vendors_own_words_about_tools_are_not_taken_for_the_texts(estimated: int) -> None:
    counted = Usage(input_tokens=estimated + 530)
    rates = learned(called(counted, input_tokens=estimated, tools=1))
    is_learned = estimated >= LEAST_WITH_TOOLS
    assert rates.told["latin"].get("m", 1000) <= (1110 if is_learned else 1000)
    assert bool(learned(called(counted, input_tokens=estimated)).told["latin"])


def test_a_rate_comes_near_to_what_is_counted_and_is_told_once_it_matters() -> None:
    rates = TokenRates()
    told = []
    for _ in range(40):
        rates.learn(called(Usage(1_000, 300, 150, 50)))
        told.append(rates.told["latin"]["m"])
    assert told == sorted(told)
    assert told[0] == 1100
    assert told[-1] == 1500
    assert rates.told["hangul"] == {}


@pytest.mark.parametrize("script", get_args(Script))
def test_each_kind_of_script_is_learned_apart(script: Script) -> None:
    told = learned(called(Usage(2_000), script=script)).told
    assert told.pop(script)["m"] == pytest.approx(2000, abs=2)
    assert all(rates == {} for rates in told.values())
    assert len(told) == len(get_args(Script)) - 1


def test_a_script_that_this_version_does_not_know_is_passed_over() -> None:
    known: Any = {("m", "runes"): 2_000, ("m", "hangul"): 3_000}
    assert TokenRates(known).told == NOTHING | {"hangul": {"m": 3_000}}


def test_a_document_of_text_is_learned_from_like_any_text() -> None:
    assert learned(called(Usage(2_000), documents=1)).told["latin"]["m"] > 1900


def test_what_agrees_is_not_told_and_what_agrees_again_is_forgotten() -> None:
    rates = learned(called(Usage(1_500)))
    for _ in range(40):
        rates.learn(called(Usage(1_010)))
    assert rates.told["latin"] == {}


@pytest.mark.parametrize(
    "record",
    [
        called(None),
        called(Usage(9_000), basis="estimated"),
        called(Usage(0, output_tokens=9)),
        called(Usage(9_000), images=1),
        called(Usage(9_000), documents=1, document_files=1),
        called(Usage(9_000), input_tokens=LEAST_TOKENS - 1),
        record_of([], None),
    ],
)
def test_what_says_nothing_of_texts_teaches_nothing(record: Record) -> None:
    assert learned(record).told["latin"] == {}


@pytest.mark.parametrize(("counted", "rate"), [(10**9, MOST_RATE), (1, LEAST_RATE)])
def test_an_odd_report_moves_a_rate_no_further_than_its_bounds(counted: int, rate: int) -> None:
    told = learned(called(Usage(counted)), 100).told["latin"]
    assert told["m"] == pytest.approx(rate, abs=1)


def test_there_are_no_more_of_them_than_a_bound() -> None:
    rates = TokenRates()
    for number in range(MOST_RATES + 10):
        rates.learn(called(Usage(2_000), f"m{number}"))
    assert len(rates.told["latin"]) == MOST_RATES


def test_what_was_learned_is_kept_when_it_moved_and_known_to_the_next() -> None:
    kept: list[tuple[str, int, Script]] = []

    def keep(model: str, thousandths: int, script: Script) -> None:
        kept.append((model, thousandths, script))

    rates = TokenRates({}, keep)
    for _ in range(100):
        rates.learn(called(Usage(1_500)))
    # Not once for each call: whenever it is worth telling again.
    assert [rate for _, rate, _ in kept] == sorted(rate for _, rate, _ in kept)
    assert 3 < len(kept) < 12
    model, rate, script = kept[-1]
    assert (model, script) == ("m", "latin")
    assert rate == pytest.approx(1500, abs=TOLD_FROM)
    after = TokenRates({(model, script): rate}, keep)
    assert after.told == NOTHING | {"latin": {"m": rate}}
    count = len(kept)
    after.learn(called(Usage(1_500)))
    assert len(kept) == count
    for _ in range(100):
        after.learn(called(Usage(1_000)))
    # That it is an estimate's own again has to be known too.
    assert kept[-1][1] == pytest.approx(1000, abs=TOLD_FROM)
    assert after.told == NOTHING


def test_what_a_simulator_counts_is_not_kept() -> None:
    kept: list[str] = []

    def keep(model: str, thousandths: int, script: Script) -> None:
        kept.append(model)

    rates = TokenRates({}, keep)
    record = called(Usage(2_000))
    record.attempts[0].simulated = True
    rates.learn(record)
    assert rates.told["latin"]["m"] == 1200
    assert kept == []


def test_what_is_known_is_bounded() -> None:
    known: dict[tuple[str, Script], int] = {
        (f"m{number}", "latin"): 10**9 for number in range(MOST_RATES + 10)
    }
    rates = TokenRates(known)
    assert set(rates.told["latin"].values()) == {MOST_RATE}
    assert len(rates.told["latin"]) == MOST_RATES
