"""Decide: which deployments may serve a call, in what order, and why not the others. Pure."""

from routerd.decide.again import Again, CannotReplay, book_of, decide_again
from routerd.decide.book import Book, Choice, PolicyDocument
from routerd.decide.plan import make_plan, plan_call
from routerd.decide.policy import Policies, Policy, PolicyMistake
from routerd.decide.refusing import refusal
from routerd.decide.resolving import filled, resolve, with_defaults

__all__ = [
    "Again",
    "Book",
    "CannotReplay",
    "Choice",
    "Policies",
    "Policy",
    "PolicyDocument",
    "PolicyMistake",
    "book_of",
    "decide_again",
    "filled",
    "make_plan",
    "plan_call",
    "refusal",
    "resolve",
    "with_defaults",
]
