from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.simulate import Fault, FaultScript, Pacing, parse_fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("silence", Fault(kind="silence")),
        (
            "status:503,retry_after=2,times=1",
            Fault(kind="status", status=503, retry_after=2.0, times=1),
        ),
        (
            " status : 429 , code = insufficient_quota ",
            Fault(kind="status", status=429, code="insufficient_quota"),
        ),
        ("cut:12,model=a.b-v1:0", Fault(kind="cut", after_tokens=12, model="a.b-v1:0")),
        ("slow_first_token:1.5", Fault(kind="slow_first_token", seconds=1.5)),
        ("error_in_stream:3,code=x", Fault(kind="error_in_stream", after_tokens=3, code="x")),
        ("reset,vendor=openai,after_calls=2", Fault(kind="reset", vendor="openai", after_calls=2)),
        ("status:400,param=top_p", Fault(kind="status", status=400, param="top_p")),
        ("status:500,scope=all", Fault(kind="status", status=500, scope="all")),
        ("missing_end", Fault(kind="missing_end")),
        ("reset_in_answer:4,chance=0.5", Fault(kind="reset_in_answer", after_tokens=4, chance=0.5)),
        ("status:400,prefilled=true", Fault(kind="status", status=400, prefilled=True)),
    ],
)  # fmt: skip
def test_a_fault_as_a_command_line_writes_it(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("sttaus:503", "unknown fault 'sttaus'"),
        ("", "unknown fault ''"),
        ("status", "a status fault needs a status from 400 to 599"),
        ("status:200", "a status fault needs a status from 400 to 599"),
        ("status:abc", "status"),
        ("reset:3", "reset takes no value after a colon"),
        ("cut:3,after_tokens=4", "after_tokens is given twice"),
        ("cut:-1", "after_tokens must be 0 or more"),
        ("cut,retry_after=3", "retry_after does not belong to a cut fault"),
        ("cut,param=top_p", "param does not belong to a cut fault"),
        ("cut,times", "expected name=value"),
        ("cut,times=", "expected name=value"),
        ("cut,times=0", "times must be 1 or more"),
        ("cut,chance=0", "chance must be above 0 and up to 1"),
        ("cut,chance=1.5", "chance must be above 0 and up to 1"),
        ("cut,colour=red", "unknown setting 'colour'"),
        ("cut,kind=stall", "unknown setting 'kind'"),
        ("stall,scope=all", "happens inside an answer"),
        ("slow_first_token", "needs seconds"),
        ("slow_first_token:inf", "seconds must be 0 or more"),
    ],
)
def test_a_fault_that_cannot_be_meant_is_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=r"fault|cut|reset|status") as refused:
        parse_fault(text)
    assert complaint in str(refused.value)


def test_faults_in_json_are_checked_alike() -> None:
    fault = Fault(kind="status", status=529, retry_after=1.5, model="m")
    assert msgspec.json.decode(msgspec.json.encode(fault), type=Fault) == fault
    for wrong in (b'{"kind":"cut","status":500}', b'{"kind":"burn"}', b'{"kind":"cut","when":1}'):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(wrong, type=Fault)


def test_a_fault_strikes_so_many_times_after_so_many_calls() -> None:
    fault = Fault(kind="reset", times=2, after_calls=1)
    script = FaultScript([fault])
    assert [script.next("openai", "m") for _ in range(5)] == [None, fault, fault, None, None]


def test_a_fault_strikes_only_whom_it_concerns_and_only_they_count() -> None:
    fault = Fault(kind="reset", vendor="openai", model="m", after_calls=1)
    script = FaultScript([fault])
    assert script.next("anthropic", "m") is None
    assert script.next("openai", "other") is None
    assert script.next("openai", "m") is None
    assert script.next("openai", "m") is fault


def test_one_fault_strikes_a_call_and_the_next_one_has_its_turn_after_it() -> None:
    first, second = Fault(kind="reset", times=1), Fault(kind="silence", times=1)
    script = FaultScript([first, second])
    assert [script.next("v", "m") for _ in range(3)] == [first, second, None]


def test_calls_and_probes_are_told_apart() -> None:
    probes = Fault(kind="status", status=500, scope="probes")
    both = Fault(kind="reset", scope="all")
    assert FaultScript([probes]).next("v", "m") is None
    assert FaultScript([probes]).next("v", None, probe=True) is probes
    assert FaultScript([Fault(kind="reset")]).next("v", None, probe=True) is None
    assert FaultScript([both]).next("v", "m") is both
    assert FaultScript([both]).next("v", None, probe=True) is both


def test_replacing_the_faults_begins_all_counts_again() -> None:
    fault = Fault(kind="reset", times=1)
    script = FaultScript([fault])
    script.next("v", "m")
    script.replace([fault])
    assert script.faults == (fault,)
    assert script.next("v", "m") is fault


def test_a_fault_may_be_for_calls_alone_that_begin_the_answer_themselves() -> None:
    fault = Fault(kind="status", status=400, prefilled=True, times=1)
    script = FaultScript([fault])
    assert script.next("v", "m") is None
    assert script.next("v", "m", prefilled=True) is fault
    assert script.next("v", "m", prefilled=True) is None


@given(st.integers(0, 2**32))
def test_what_is_left_to_chance_is_the_same_for_the_same_seed(seed: int) -> None:
    often, seldom = Fault(kind="reset", chance=0.8), Fault(kind="silence", chance=0.1)
    one, other = (FaultScript([often, seldom], seed=seed) for _ in range(2))
    struck = [one.next("v", "m") for _ in range(200)]
    assert struck == [other.next("v", "m") for _ in range(200)]
    assert 100 < struck.count(often) < 200
    assert struck.count(None) < 100


def test_what_is_left_to_chance_strikes_no_more_often_than_it_may() -> None:
    script = FaultScript([Fault(kind="reset", chance=0.5, times=3, after_calls=4)])
    struck = [script.next("v", "m") is not None for _ in range(100)]
    assert not any(struck[:4])
    assert sum(struck) == 3


def test_where_in_an_answer_a_fault_strikes() -> None:
    assert Fault(kind="cut").point(9) == 4
    assert Fault(kind="missing_end").point(9) == 9
    assert Fault(kind="cut", after_tokens=3).point(9) == 3
    assert Fault(kind="cut", after_tokens=30).point(9) == 9


def test_pacing_refuses_what_is_no_pace() -> None:
    assert Pacing(tokens_per_second=50).token_seconds == 0.02
    assert Pacing(tokens_per_second=0).token_seconds == 0.0
    assert Pacing().token_seconds == 0.0
    for wrong in (
        {"think_seconds": -1},
        {"tokens_per_second": -1},
        {"tokens_per_second": float("nan")},
        {"think_seconds": float("inf")},
        {"output_tokens": 0},
    ):
        with pytest.raises(ValueError, match="must be"):
            Pacing(**wrong)
