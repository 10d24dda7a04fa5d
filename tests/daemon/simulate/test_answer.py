from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.simulate import default_output_tokens, expected_text
from routerd.simulate.answer import TOKENS, compose, text_tokens
from routerd.simulate.exchange import Question, Tool

WEATHER = Tool("get_weather", {"type": "object", "properties": {"city": {"type": "string"}}})
TIME = Tool("get_time", {"type": "object", "properties": {"zone": {"type": "string"}}})


def question(said: str = "hello", **more: Any) -> Question:
    return Question(model="m", said=said, prompt=said.encode(), **more)


def names(asked: Question) -> list[str]:
    return [call.name for call in compose(asked).calls]


def test_a_byte_chooses_a_token_so_there_are_128() -> None:
    assert len(TOKENS) == 128


def test_a_text_depends_on_model_and_prompt_alone() -> None:
    assert expected_text("m", "p", 50) == expected_text("m", "p", 50)
    assert len({expected_text(m, p, 50) for m in "ab" for p in ("p", "q")}) == 4
    assert len(text_tokens("m", "p", None)) == default_output_tokens("p")


@given(st.integers(0, 300), st.integers(0, 300))
def test_fewer_tokens_are_the_beginning_of_more(one: int, other: int) -> None:
    less, more = sorted((one, other))
    assert text_tokens("m", "p", more)[:less] == text_tokens("m", "p", less)


def test_a_long_text_holds_everything_that_breaks_naive_readers() -> None:
    text = expected_text("m", "p", 4000)
    for trap in (
        "\n",
        "\u2028",
        "\u0085",
        "\t",
        '"',
        "\\",
        "é",
        "東",
        "😀",
        "👩\u200d💻",
    ):
        assert trap in text


def test_the_limit_cuts_the_text_and_is_told() -> None:
    answer = compose(question(limit=5), 20)
    assert "".join(answer.text) == expected_text("m", "hello", 5)
    assert answer.finish == "length"
    assert compose(question(limit=20), 20).finish == "stop"


def test_reasoning_takes_from_the_limit_first() -> None:
    answer = compose(question(limit=10, reasoning_tokens=8), 20)
    assert (len(answer.reasoning), len(answer.text), answer.finish) == (8, 2, "length")
    answer = compose(question(limit=4, reasoning_tokens=8), 20)
    assert (len(answer.reasoning), len(answer.text), answer.finish) == (4, 0, "length")


@given(st.integers(0, 120), st.integers(1, 12))
def test_a_text_stops_before_the_first_stop_sequence(start: int, length: int) -> None:
    whole = expected_text("m", "hello", 40)
    stop = whole[start : start + length]
    answer = compose(question(stops=("\0", stop)), 40)
    if stop:
        assert "".join(answer.text) == whole[: whole.index(stop)]
        assert (answer.finish, answer.stop) == ("stop_sequence", stop)
    else:
        assert "".join(answer.text) == whole


@pytest.mark.parametrize(
    ("said", "called"),
    [
        ("hello", []),
        ("Please use get_weather for Paris", ["get_weather"]),
        ("get_weathers", []),
        ("call get_time, then get_weather", ["get_weather", "get_time"]),
        ("use both tools", ["get_weather", "get_time"]),
        ("Call all of the tools", ["get_weather", "get_time"]),
    ],
)
def test_tools_are_called_where_the_prompt_asks_for_them(said: str, called: list[str]) -> None:
    assert names(question(said, tools=(WEATHER, TIME))) == called


def test_the_callers_choice_of_tools_is_kept() -> None:
    tools = (WEATHER, TIME)
    assert names(question("get_time", tools=tools, tool_choice="none")) == []
    assert names(question("hi", tools=tools, tool_choice="required")) == ["get_weather"]
    assert names(question("get_time", tools=tools, tool_choice="required")) == ["get_time"]
    named = question("hi", tools=tools, tool_choice="named", tool_named="get_time")
    assert names(named) == ["get_time"]
    assert names(question("both tools", tools=tools, parallel_calls=False)) == ["get_weather"]


def test_once_the_results_are_there_the_answer_is_text() -> None:
    asked = question("use get_weather", tools=(WEATHER,), tools_answered=True)
    assert "".join(compose(asked, 9).text) == expected_text("m", "use get_weather", 9)


def test_arguments_are_json_in_pieces() -> None:
    call = compose(question("get_weather", tools=(WEATHER,))).calls[0]
    assert set(json.loads("".join(call.arguments))) == {"city"}
    assert len(call.arguments) > 1


def test_a_limit_inside_a_call_cuts_its_arguments() -> None:
    asked = question("both tools", tools=(WEATHER, TIME))
    first = compose(asked).calls[0]
    cut = compose(question("both tools", tools=(WEATHER, TIME), limit=len(first.arguments) + 1))
    assert cut.finish == "length"
    assert [len(call.arguments) for call in cut.calls] == [len(first.arguments), 1]


def test_a_schema_is_filled_in() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    assert isinstance(json.loads("".join(compose(question(schema=schema)).text))["n"], int)
