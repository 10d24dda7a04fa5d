"""Classify: the facts of a call, measured without I/O, and the refusal of what cannot be meant."""
