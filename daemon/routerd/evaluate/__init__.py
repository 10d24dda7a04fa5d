"""Evaluate: what would happen, worked out or rehearsed, and never on the way of a call."""
