"""Decide: which deployments may serve a call, in what order, and why not the others. Pure."""

from routerd.decide.plan import make_plan, refusal, resolve

__all__ = ["make_plan", "refusal", "resolve"]
