"""Decide: which deployments may serve a call, in what order, and why not the others. Pure."""

from routerd.decide.plan import candidates_of, make_plan, refusal
from routerd.decide.resolving import resolve, with_defaults

__all__ = ["candidates_of", "make_plan", "refusal", "resolve", "with_defaults"]
