from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from routerd.simulate import Account, AccountSnapshot, Price, billed
from routerd.simulate.exchange import Usage

PRICE = Price(
    input=2_000_000_000,
    output=10_000_000_000,
    cache_read=100_000_000,
    cache_write=2_500_000_000,
    cache_write_long=4_000_000_000,
)


def test_each_part_of_the_usage_has_its_price() -> None:
    usage = Usage(input=1000, cached=200, written=300, written_long=100, output=50, reasoning=20)
    assert billed(PRICE, usage) == 400 * 2000 + 200 * 100 + 300 * 2500 + 100 * 4000 + 50 * 10_000


def test_a_cache_without_a_price_costs_as_input() -> None:
    plain = Price(input=2_000_000_000, output=0)
    assert billed(plain, Usage(input=100, cached=50, written=20, written_long=10)) == 100 * 2000
    free = Price(input=2_000_000_000, output=0, cache_read=0)
    assert billed(free, Usage(input=100, cached=50)) == 50 * 2000


@given(st.integers(0, 10**13), st.integers(0, 10**7))
def test_a_bill_is_rounded_once_to_the_nearest_nanodollar(price: int, tokens: int) -> None:
    exact = price * tokens
    made = billed(Price(input=price, output=0), Usage(input=tokens))
    assert abs(made * 1_000_000 - exact) <= 500_000


def test_calls_are_entered_and_summed() -> None:
    account = Account({"openai/a": PRICE, "b": Price(input=1_000_000, output=0)})
    first = account.begin("openai", "a", 1.0, stream=True)
    second = account.begin("anthropic", "b", 2.0)
    third = account.begin("anthropic", "c", 3.0)
    assert account.total.running == 3
    account.progress(first, 3)
    account.progress(first, 5)
    account.end(first, "completed", Usage(input=10, output=5), 4.0)
    account.struck(second, "cut")
    account.end(second, "aborted", Usage(input=7, output=2, cached=3), 5.0)
    account.end(third, "refused", Usage(), 6.0)
    assert [one.number for one in account.attempts] == [1, 2, 3]
    assert [(one.arrived, one.ended) for one in account.attempts] == [(1, 4), (2, 5), (3, 6)]
    assert account.tally("openai", "a").sent_tokens == 5
    assert account.tally("openai", "a").billed_nanodollars == 10 * 2000 + 5 * 10_000
    assert account.tally("anthropic").aborted == account.tally("anthropic").faulted == 1
    assert account.tally(model="c").billed_nanodollars is None
    assert account.total.running == 0
    assert (account.total.requests, account.total.input_tokens) == (3, 17)
    assert account.total.billed_nanodollars == 70_000 + 7


def test_old_calls_are_forgotten_and_stay_in_the_sums() -> None:
    account = Account(keep=2)
    for _ in range(5):
        account.end(account.begin("v", "m", 0.0), "completed", Usage(output=1), 1.0)
    assert [one.number for one in account.attempts] == [4, 5]
    assert account.total.output_tokens == 5


def test_the_snapshot_travels_as_json() -> None:
    account = Account()
    account.connected()
    account.probed("openai")
    account.end(account.begin("v", "m", 0.5), "completed", Usage(output=1), 1.0)
    snapshot = account.snapshot()
    assert msgspec.json.decode(msgspec.json.encode(snapshot), type=AccountSnapshot) == snapshot
    assert (snapshot.connections_open, snapshot.probes) == (1, {"openai": 1})


def test_every_change_is_told() -> None:
    told: list[int] = []
    account = Account(on_change=lambda: told.append(1))
    attempt = account.begin("v", "m", 0.0)
    account.struck(attempt, "cut")
    account.progress(attempt, 1)
    account.end(attempt, "broken", Usage(), 1.0)
    account.connected()
    account.disconnected()
    account.probed("v")
    assert len(told) == 7
