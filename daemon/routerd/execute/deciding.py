"""From a call to its plan: what is measured, who is asked for, and what the system has right now.

Rules of this file: nothing is awaited. A call that is only asked about takes the same way as one
that is made.
"""

from __future__ import annotations

from msgspec import Struct, structs

from routerd.budget.holds import Spending
from routerd.classify.checks import check_beyond_hold
from routerd.decide import Book, Choice, filled, make_plan, with_defaults
from routerd.domain import Caller, Features, Plan, Snapshot
from routerd.execute.accounts import Accounts
from routerd_proto.frames import CallOptions

__all__ = ["Asked", "decide", "understand"]


class Asked(Struct, frozen=True, eq=False):
    """What a call asks for: its facts, and its options, with what the shortcut sets filled in."""

    features: Features
    options: CallOptions
    choice: Choice


def understand(
    book: Book,
    target: str,
    features: Features,
    options: CallOptions,
    caller: Caller,
    *,
    policy: str | None = None,
) -> Asked:
    """Find who is asked for by a call of these facts; CallRefused where its target is unknown.

    Refused is too what in `raw` may cost more than is held, if its policy does not permit that.
    `policy` is that of the call that it copies, if it does.
    """
    if policy is not None:
        features = structs.replace(features, policy=policy)
    choice = book.choose(target, features, caller)
    if options.raw:
        held_by = choice.policy
        check_beyond_hold(options, held_by.name, permitted=held_by.raw_beyond_hold)
    defaults = choice.defaults
    return Asked(filled(features, defaults), with_defaults(options, defaults), choice)


def decide(
    book: Book, accounts: Accounts, asked: Asked, spending: Spending, now: float
) -> tuple[Plan, Snapshot]:
    """Plan a call at a time, in seconds since the epoch; there may be no route in it."""
    named = asked.features.session
    session = None if named is None else (spending.names[0], asked.choice.serves, named)
    snapshot = accounts.snapshot(
        spending,
        book.candidates(asked.choice),
        now,
        session,
        script=asked.features.script,
    )
    return make_plan(book, asked.choice, asked.features, snapshot), snapshot
