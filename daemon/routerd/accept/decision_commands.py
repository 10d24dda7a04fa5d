"""The commands about decisions: why a call went where it went, and where one would go.

Rules of this file: a past decision is made again from what was kept of it, and a difference is told
as one. A call that is only asked about is neither sent nor counted nor recorded.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import anyio.to_thread
import msgspec
from msgspec import Struct, field

from routerd.accept.arguments import read_arguments
from routerd.accept.arguments import refusal as malformed
from routerd.accept.records import find_record, plain_record
from routerd.budget.holds import Spending
from routerd.classify.checks import check_request
from routerd.classify.features import measure
from routerd.classify.search import check_search, measure_search
from routerd.classify.words import WordRules
from routerd.decide import Book, CannotReplay, book_of, decide_again, refusal
from routerd.domain import Features, Record
from routerd.execute.accounts import Accounts
from routerd.execute.deciding import decide, understand
from routerd.execute.recording import caller_of
from routerd.execute.story import Rules
from routerd.ledger import AlteredDocument, Ledger
from routerd_proto.content import Message
from routerd_proto.frames import CallOptions
from routerd_proto.search import EmbedRequested, RerankRequested, SearchRequested

__all__ = ["DecisionCommands"]

# Books of then that are kept: whoever explains calls does so for several of one time.
MOST_BOOKS: Final = 4


class ExplainQuestion(Struct, frozen=True, forbid_unknown_fields=True):
    """Which call is to be explained: its id, or the first 8 or more digits of it."""

    decision_id: str


class PlanQuestion(Struct, frozen=True, forbid_unknown_fields=True):
    """A call that is not made: what it would ask for.

    It has `messages`, or `inputs` to be made into vectors, or a `query` and `documents`.
    """

    target: str
    messages: str | list[Message] | None = None
    options: CallOptions = field(default_factory=CallOptions)
    inputs: list[str] | None = None
    query: str = ""
    documents: list[str] | None = None

    def checked(self, seconds: float, words: WordRules) -> Features:
        """Return the facts of the call; CallRefused where it cannot be meant."""
        search: SearchRequested | None = None
        if self.inputs is not None:
            search = EmbedRequested("", self.target, self.inputs, self.options)
        elif self.documents is not None:
            search = RerankRequested("", self.target, self.query, self.documents, self.options)
        if search is not None:
            check_search(search)
            return measure_search(search, seconds, words=words)
        said = self.messages
        if said is None:
            raise malformed("missing `messages`, `inputs` or `documents`: what the call is about")
        messages = [Message("user", said)] if isinstance(said, str) else said or []
        check_request(messages, self.options)
        return measure(messages, self.options, seconds, words=words)


class DecisionCommands:
    """Answers from the ledger, and from the rules and the state of now."""

    def __init__(
        self, ledger: Ledger, rules: Callable[[], Rules], accounts: Callable[[], Accounts]
    ) -> None:
        self._ledger = ledger
        self._rules = rules
        self._accounts = accounts
        self._books: OrderedDict[tuple[str, str], Book] = OrderedDict()

    async def explain(self, arguments: dict[str, Any]) -> Any:
        """Return a record, with what comes out if its decision is made again."""
        question = read_arguments(arguments, ExplainQuestion)
        record = await find_record(self._ledger, question.decision_id)
        return {**plain_record(record), "again": await self._again(record)}

    async def plan(self, arguments: dict[str, Any]) -> Any:
        """Return the plan for a call that is not made, by what holds now."""
        question = read_arguments(arguments, PlanQuestion)
        options = question.options
        rules = self._rules()
        caller = caller_of(options)
        total = rules.timeouts_of(rules.latency_of(question.target, options)).total
        seconds = min(options.timeout or total, total)
        features = question.checked(seconds, rules.book.words)
        asked = understand(rules.book, question.target, features, options, caller)
        names = (options.tenant, options.team, options.agent, options.user, options.feature)
        plan, snapshot = decide(rules.book, self._accounts(), asked, Spending(names), time.time())
        refused = None if plan.routes else refusal(plan, snapshot)
        return {
            "target": question.target,
            "features": msgspec.to_builtins(asked.features),
            "plan": msgspec.to_builtins(plan),
            "snapshot": msgspec.to_builtins(snapshot),
            "refusal": None if refused is None else f"{refused.code}: {refused.message}",
            "directory_hash": rules.directory_hash,
            "policy_hash": rules.policy_hash,
        }

    async def _again(self, record: Record) -> dict[str, Any]:
        altered = await self._ledger.alterations(record.decision_id)
        try:
            book = await self._book(record.directory_hash, record.policy_hash)
            again = decide_again(record, caller_of(record), book)
        except CannotReplay as error:
            differences = altered
            if record.deployment and record.plan is None and not record.cached:
                differences.append(f"{record.deployment} answered, and no plan is recorded")
            return {"possible": False, "why": str(error), "differences": differences}
        except AlteredDocument as error:
            return {"possible": False, "why": str(error), "differences": [*altered, str(error)]}
        return {"possible": True, "why": "", "differences": [*altered, *again.differences]}

    async def _book(self, directory_hash: str | None, policy_hash: str | None) -> Book:
        if directory_hash is None or policy_hash is None:
            raise CannotReplay(
                "no plan was made or none was kept: the call was refused before, its answer was a "
                "kept one, or the daemon died"
            )
        rules = self._rules()
        key = (directory_hash, policy_hash)
        if key == (rules.directory_hash, rules.policy_hash):
            return rules.book
        if key not in self._books:
            directory = await self._ledger.document(directory_hash)
            policy = await self._ledger.document(policy_hash)
            if directory is None or policy is None:
                raise CannotReplay("the ledger does not have policy and directory of then any more")
            # Long enough to be felt by calls, so not on their loop.
            book = await anyio.to_thread.run_sync(partial(book_of, directory, policy))
            self._books[key] = book
            if len(self._books) > MOST_BOOKS:
                self._books.popitem(last=False)
        self._books.move_to_end(key)
        return self._books[key]
