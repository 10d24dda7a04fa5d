"""Decide: which deployments may serve a call, in what order, and why not the others. Pure."""

from routerd.decide.book import Book, Choice, PolicyDocument
from routerd.decide.plan import make_plan, plan_call
from routerd.decide.policy import Policies, Policy, PolicyMistake
from routerd.decide.refusing import refusal
from routerd.decide.resolving import filled, resolve, with_defaults

__all__ = [
    "Book",
    "Choice",
    "Policies",
    "Policy",
    "PolicyDocument",
    "PolicyMistake",
    "filled",
    "make_plan",
    "plan_call",
    "refusal",
    "resolve",
    "with_defaults",
]
