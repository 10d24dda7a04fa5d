"""A provider simulator: a server that speaks the vendors' real wire formats, with scripted faults.

For the demo, for tests, and for people who rehearse an outage. It is imported only where it is
asked for, it answers only on its own port, and every answer says `x-routerd-simulated: 1`. It knows
nothing of the router: it reads and writes the wire with code of its own, so that a mistake in an
adapter does not hide behind the same mistake here.
"""

from __future__ import annotations

from routerd.simulate.account import Account, AccountSnapshot, Attempt, Price, Tally, billed
from routerd.simulate.answer import default_output_tokens, expected_reasoning, expected_text
from routerd.simulate.script import Fault, FaultScript, Pacing, parse_fault
from routerd.simulate.search import expected_ranking, expected_vector
from routerd.simulate.server import VENDORS, Simulator, run, serve
from routerd.simulate.tokens import count_tokens

__all__ = [
    "VENDORS",
    "Account",
    "AccountSnapshot",
    "Attempt",
    "Fault",
    "FaultScript",
    "Pacing",
    "Price",
    "Simulator",
    "Tally",
    "billed",
    "count_tokens",
    "default_output_tokens",
    "expected_ranking",
    "expected_reasoning",
    "expected_text",
    "expected_vector",
    "parse_fault",
    "run",
    "serve",
]
