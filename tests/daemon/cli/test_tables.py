"""Tables and small words of the command line."""

from __future__ import annotations

import io

import pytest

from routerd.cli.explaining import cost_text, time_text
from routerd.cli.tables import dimmed, milliseconds, print_table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_columns_are_as_wide_as_their_widest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "long heading"), [("1234", "x"), ("", "")])
    assert capsys.readouterr().out == "a     long heading\n1234  x\n\n"


def test_what_a_stranger_wrote_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("tenant",), [("\x1b[2J\nacme",), ("café",)])
    assert capsys.readouterr().out == "tenant\n'\\x1b[2J\\nacme'\ncafé\n"


def test_a_table_without_rows_is_its_heading(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "b"), [])
    assert capsys.readouterr().out == "a  b\n"


def test_only_a_terminal_that_wants_it_is_dimmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert dimmed("x", io.StringIO()) == "x"
    assert dimmed("x", Terminal()) == "\033[2mx\033[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert dimmed("x", Terminal()) == "x"


def test_an_unknown_price_is_never_zero() -> None:
    assert cost_text({"cost_nanodollars": None, "cost_basis": "unknown"}) == "unknown"
    assert cost_text({"cost_nanodollars": 0, "cost_basis": "measured"}) == "0.00¢"
    assert cost_text({"cost_nanodollars": 25_000_000, "cost_basis": "estimated"}).startswith("~2.5")


def test_times() -> None:
    assert (milliseconds(None), milliseconds(1500)) == ("-", "1.5 ms")
    assert time_text(1_700_000_000_000_000_000) == "2023-11-14 22:13:20"
